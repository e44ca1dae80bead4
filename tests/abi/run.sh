#!/bin/sh
# run.sh BUILD_DIR -- the gates of the plugin ABI; "ok NAME" or "not ok NAME" a line.
#
# header: alone, as C and C++, by gcc and clang. members: every recorded member is where it
# was (1.0.txt only grows). constants: no recorded value has changed. symbols: a plugin
# exports its table and nothing else.
cd "$(dirname "$0")/../.." || exit 1
build=${1:?usage: run.sh BUILD_DIR}
header=plugin_api/include
bad=0
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

gate() {
    name=$1
    shift
    if "$@" >"$out/said" 2>&1; then echo "ok $name"; else echo "not ok $name" && cat "$out/said" && bad=1; fi
}

echo '#include <broker/plugin.h>' >"$out/alone.c"
cp "$out/alone.c" "$out/alone.cc"
for compiler in gcc clang; do
    for std in c11 c17; do
        gate "header $compiler $std" $compiler -std=$std -Wall -Wextra -Wpedantic -Werror \
            -I $header -fsyntax-only "$out/alone.c"
    done
done
for compiler in g++ clang++; do
    for std in c++11 c++17 c++20; do
        gate "header $compiler $std" $compiler -std=$std -Wall -Wextra -Wpedantic -Werror -I $header -fsyntax-only "$out/alone.cc"
    done
done

gcc -std=c11 -g -c -I $header -o "$out/probe.o" tests/abi/probe.c || bad=1
gate "members of 1.0" sh tests/abi/check.sh tests/abi/1.0.txt "$out/probe.o"

constants() {
    gcc -std=c11 -E -dM -I $header "$out/alone.c" | LC_ALL=C sort | grep '#define BROKER_[A-Z0-9_]* ' |
        grep -v 'ABI_MINOR\|NEEDS_MINOR\|LAYOUT'
}
constants >"$out/constants"
gate "constants of 1.0" sh -c "! LC_ALL=C comm -23 tests/abi/1.0-constants.txt '$out/constants' | grep ."

for plugin in "$build"/plugins/*.so; do
    gate "symbols of $(basename "$plugin")" sh -c \
        "[ \"\$(nm -D --defined-only '$plugin' | awk '{ print \$3 }')\" = broker_plugin ]"
done
exit $bad
