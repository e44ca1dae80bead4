"""The SDK as somebody has it who never saw this tree: installed into a prefix, once a test run."""
import os
import shutil
import subprocess
import tempfile

from node import BUILD, ROOT, program

_prefix = None


def prefix():
    """Where the SDK and the broker are installed."""
    global _prefix
    if _prefix is None:
        _prefix = os.path.join(tempfile.mkdtemp(prefix="logstore-sdk-"), "usr")
        run("/", "cmake", "--install", BUILD, "--prefix", _prefix)
    return _prefix


def run(folder, *command, expected=0, **environment):
    """The output of a command that must end with the status expected."""
    env = dict(os.environ, CFLAGS="", CTEST_OUTPUT_ON_FAILURE="1", **environment)
    if _prefix is not None:
        env["PKG_CONFIG_PATH"] = os.path.join(_prefix, "lib", "pkgconfig")
        env["PATH"] = os.path.join(_prefix, "bin") + ":" + env["PATH"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=600, cwd=folder, env=env)
    if result.returncode != expected:
        raise AssertionError("%s: exit status %d, expected %d\n%s" % (
            " ".join(command), result.returncode, expected, result.stdout + result.stderr))
    return result.stdout + result.stderr


def copy(source):
    """A copy of a folder of the tree, outside of it."""
    folder = os.path.join(tempfile.mkdtemp(prefix="logstore-sdk-"), os.path.basename(source))
    shutil.copytree(os.path.join(ROOT, source), folder)
    return folder


def build(folder):
    run(folder, "cmake", "-B", "build", "-DCMAKE_PREFIX_PATH=" + prefix())
    run(folder, "cmake", "--build", "build")


def check(file, *options, expected=0, **environment):
    """What the conformance kit says of a plugin's file: {check: reason or ""}."""
    said = run("/", program("logstore-broker"), "plugin", "check", file, *options, expected=expected, **environment)
    result = {}
    for line in said.splitlines():
        if line.startswith("not ok "):
            name, _, reason = line[7:].partition(": ")
            result[name] = reason
        elif line.startswith("ok "):
            result[line.split()[1]] = ""
    return result
