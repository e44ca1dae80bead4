#!/usr/bin/env python3
"""growth.py OLD NEW [abidiff] -- whether the header NEW/broker/plugin.h keeps every promise of OLD/broker/plugin.h.

Allowed: a member behind the end of a struct that says its size, a new type, a new constant, each with a higher minor.
Everything else is one problem a line, and exit status 1. With "abidiff", its report on the two is printed too."""
import os
import re
import subprocess
import sys
import tempfile

HEADER = os.path.join("broker", "plugin.h")


def run(*command):
    return subprocess.run(command, capture_output=True, text=True)


class Header:
    """What can be seen of a header: members, sizes, constants, typedefs."""

    def __init__(self, folder, work):
        with open(os.path.join(folder, HEADER)) as file:
            text = re.sub(r"/\*.*?\*/", " ", file.read(), flags=re.S)
        self.object = os.path.join(work, re.sub(r"\W", "_", folder) + ".o")
        structs = sorted(set(re.findall(r"(?:typedef )?struct (broker_\w+)\s*\{", text)))
        source = self.object + ".c"
        with open(source, "w") as file:
            file.write("#include <broker/plugin.h>\n")
            file.writelines("struct %s probe_%s;\n" % (name, name) for name in structs)
        result = run("gcc", "-std=c11", "-g", "-c", "-I", folder, "-o", self.object, source)
        if result.returncode != 0:
            raise SystemExit("the header of %s does not compile:\n%s" % (folder, result.stderr))
        self.types = self.members_of(structs)
        self.constants = dict(line.split(" ", 2)[1:] for line in
                              run("gcc", "-std=c11", "-E", "-dM", "-I", folder, source).stdout.splitlines()
                              if re.match(r"#define BROKER_[A-Z0-9]\w* ", line))
        self.constants.update((m, v) for m, v in re.findall(r"#define (BROKER_ID_\w+) (\S+)", text))
        self.typedefs = set(" ".join(t.split()) for t in re.findall(r"^typedef [^{;]*;", text, re.M))

    def members_of(self, structs):
        """{type: (size, {offset: text})}"""
        types, name, members = {}, None, {}
        for line in run("pahole", self.object).stdout.splitlines():
            head = re.match(r"struct (broker_\w+) \{", line)
            member = re.match(r"\s+(.*?);?\s*/\*\s+(\d+)\s+\d+ \*/", line)
            size = re.match(r"\s+/\* size: (\d+),", line)
            if head:
                name, members = head.group(1), {}
            elif name and member:
                members[int(member.group(2))] = " ".join(member.group(1).split())
            elif name and size:
                types[name] = (int(size.group(1)), members)
            elif line.startswith("}"):
                name = None
        missing = set(structs) - set(types)
        if missing:
            raise SystemExit("pahole shows nothing of " + ", ".join(sorted(missing)))
        return types

    def number(self, name):
        return int(self.constants[name].rstrip("u"))


def problems(old, new):
    grown = False
    for name, (size, members) in sorted(old.types.items()):
        if name not in new.types:
            yield "struct %s is gone" % name
            continue
        new_size, new_members = new.types[name]
        for offset, text in sorted(members.items()):
            if new_members.get(offset) != text:
                yield "%s: at %d was '%s', is '%s'" % (name, offset, text, new_members.get(offset, "nothing"))
        for offset, text in sorted(new_members.items()):
            if offset in members:
                continue
            grown = True
            if offset < size:
                yield "%s: '%s' is not behind the old end (%d), where its size would tell of it" % (name, text, size)
            elif members.get(0) != "uint32_t size":
                yield "%s: '%s' is new, but the struct does not say its size and may not grow" % (name, text)
        if new_size < size:
            yield "%s: was %d bytes, is %d" % (name, size, new_size)
    for name, value in sorted(old.constants.items()):
        if name in ("BROKER_ABI_MINOR", "BROKER_NEEDS_MINOR", "BROKER_LAYOUT"):
            continue
        if new.constants.get(name) != value:
            yield "%s was %s, is %s" % (name, value, new.constants.get(name, "gone"))
    for text in sorted(old.typedefs - new.typedefs):
        yield "'%s' is gone or changed" % text
    grown = grown or set(new.types) != set(old.types) or set(new.constants) != set(old.constants)
    if new.number("BROKER_ABI_MINOR") < old.number("BROKER_ABI_MINOR") + (1 if grown else 0):
        yield "it has grown, and BROKER_ABI_MINOR is still %d" % new.number("BROKER_ABI_MINOR")


def abidiff(old, new, good):
    """Its exit status is made of bits: 1 it failed, 2 wrong usage, 4 something changed, 8 incompatibly. It says 4 of
    additions and of breaks alike, so 4 is as good as what the rules above say."""
    result = run("abidiff", old.object, new.object)
    print(result.stdout.strip() or "abidiff sees no change")
    return result.returncode == 0 or (result.returncode == 4 and good)


def main():
    with tempfile.TemporaryDirectory() as work:
        old, new = Header(sys.argv[1], work), Header(sys.argv[2], work)
        found = list(problems(old, new))
        for line in found:
            print(line)
        ok = not found
        if "abidiff" in sys.argv[3:]:
            ok = abidiff(old, new, not found) and ok
        return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
