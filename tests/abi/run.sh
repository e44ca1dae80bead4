#!/bin/sh
# run.sh BUILD_DIR -- the gates of the plugin ABI; "ok NAME" or "not ok NAME" a line.
#
# header: alone, as C and C++, by gcc and clang. layout: every member is where it was, for both.
# growth: against the header of each release (frozen/), only what may change has changed. symbols:
# a plugin exports its table and nothing else. reference: docs/plugin-reference.md is of this header.
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

for compiler in gcc clang; do
    gate "layout $compiler C" $compiler -std=c11 -I $header -fsyntax-only tests/abi/layout.c
    gate "layout $compiler C++" $compiler -x c++ -std=c++11 -I $header -fsyntax-only tests/abi/layout.c
done

for frozen in tests/abi/frozen/*; do
    gate "growth since $(basename "$frozen")" python3 tests/abi/growth.py "$frozen" $header abidiff
done
gate "growth.py judges each change" python3 tests/abi/test_growth.py
gate "reference is current" scripts/reference --check

for plugin in "$build"/plugins/*.so "$build"/examples/*.so; do
    gate "symbols of $(basename "$plugin")" sh -c \
        "[ \"\$(nm -D --defined-only '$plugin' | awk '{ print \$3 }')\" = broker_plugin ]"
done
exit $bad
