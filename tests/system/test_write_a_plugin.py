"""docs/write-a-plugin.md, followed to the letter: every file written, every command run, every answer compared."""
import os
import re
import signal
import socket
import subprocess
import tempfile
import unittest

import sdk
from node import ROOT, until

PAGE = os.path.join(ROOT, "docs", "write-a-plugin.md")
# A function or struct at the beginning of a line, by name.
PART = re.compile(r"^(?:/\*.*\*/\n)?(?:static [^\n]*?\b(\w+)\(.*?^\}\n|typedef struct (\w+) \{.*?^\} \w+;\n)", re.M | re.S)


def blocks():
    """(section number, language, what follows it, text)"""
    with open(PAGE) as page:
        text = page.read()
    section = 0
    for part in re.finditer(r"^## (\d+)\.|^```(\w+) ?([^\n]*)\n(.*?)^```$", text, re.M | re.S):
        if part.group(1):
            section = int(part.group(1))
        else:
            yield section, part.group(2), part.group(3), part.group(4)


def matches(pattern, text):
    """Whether the text is as the page shows it; '...' stands for anything, a line of it for any lines."""
    parts = ["(?:.*\n)*?" if line == "..." else ".*".join(map(re.escape, line.split("..."))) + "\n"
             for line in pattern.splitlines()]
    return re.fullmatch("".join(parts), text) is not None


class Page(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="logstore-page-")
        self.node = None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = str(free.getsockname()[1])
        self.env = dict(os.environ, PATH=os.path.join(sdk.prefix(), "bin") + ":" + os.environ["PATH"], CFLAGS="",
                        HOME=self.folder,
                        LOGSTORE__BROKER__PLUGIN_DIR=os.path.join(sdk.prefix(), "lib", "broker", "plugins"))
        for folder in os.listdir(os.path.join(sdk.prefix(), "lib")):  # lib/x86_64-linux-gnu on some systems
            plugins = os.path.join(sdk.prefix(), "lib", folder, "broker", "plugins")
            if os.path.isdir(plugins):
                self.env["LOGSTORE__BROKER__PLUGIN_DIR"] = plugins

    def tearDown(self):
        self.stop()

    def path(self, name):
        return os.path.join(self.folder, name)

    def read(self, name):
        with open(self.path(name)) as file:
            return file.read()

    def write(self, name, text):
        with open(self.path(name), "w") as file:
            file.write(text.replace("7171", self.port))

    def stop(self):
        if self.node is not None:
            self.node.send_signal(signal.SIGTERM)
            self.assertEqual(self.node.wait(60), 0, self.read("log"))
        self.node = None

    def start(self, command):
        self.stop()
        with open(self.path("log"), "w") as log:
            self.node = subprocess.Popen(command.split(), cwd=self.folder, env=self.env, stderr=log)
        until(lambda: "listening on" in self.read("log") or self.node.poll() is not None, what="the node listens")
        self.assertIsNone(self.node.poll(), self.read("log"))

    def replace(self, snippet):
        """What the page says: a part takes the place of the one of its name, new ones go below the struct."""
        source, new = self.read("tide/tide.c"), ""
        for part in PART.finditer(snippet):
            name = part.group(1) or part.group(2)
            old = [p for p in PART.finditer(source) if (p.group(1) or p.group(2)) == name]
            if old:
                source = source[:old[0].start()] + part.group(0) + source[old[0].end():]
            else:
                new += "\n" + part.group(0)
        self.assertEqual(PART.sub("", snippet).strip(), "", "the page's C is functions and structs")
        self.write("tide/tide.c", source.replace("} plugin;\n", "} plugin;\n" + new))

    def command(self, line, expected, fails=False):
        said, status = "", None

        def run():
            nonlocal said, status
            result = subprocess.run(line.replace("7171", self.port), shell=True, cwd=self.folder, env=self.env,
                                    capture_output=True, text=True, timeout=300)
            status = result.returncode
            said = result.stdout + ("" if result.returncode == 0 else result.stderr)
            if said and not said.endswith("\n"):
                said += "\n"
            return matches(expected, said)

        if "curl" in line and "POST" not in line:  # a message is on its way
            try:
                until(run, 10)
            except AssertionError:
                pass
        else:
            run()
        self.assertTrue(matches(expected, said), "$ %s\nsaid:\n%s\nand the page says:\n%s" % (line, said, expected))
        self.assertEqual(status != 0, fails, "$ %s\nexit status %s\n%s" % (line, status, said))

    def console(self, text, fails=False):
        for line, expected in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, re.M):
            self.command(line, expected, fails)

    def follow(self, last):
        for section, language, what, text in blocks():
            if section > last:
                continue
            if language == "console" and what == "node":
                self.start(text[2:].strip())
            elif language == "console" and what == "wrong":
                source = self.read("tide/tide.c")
                self.write("tide/tide.c", source.replace("p->http->reply(req, &answer)", "(void)req, (void)answer"))
                subprocess.run(["cmake", "--build", "tide/build"], cwd=self.folder, check=True, capture_output=True)
                self.console(text, fails=True)
            elif language == "console":
                self.console(text)
            elif language == "c":
                self.replace(text)
            elif what.startswith("node.json "):
                self.write("node.json", self.read("node.json").replace("  " + what.split()[1], text + "  " + what.split()[1]))
            else:
                self.write(what, text)

    def test_the_page_works_as_it_is_written(self):
        self.follow(7)


if __name__ == "__main__":
    unittest.main()
