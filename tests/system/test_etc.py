"""What is installed beside the programs says what is true of them: examples, manual pages, completions, dashboards."""
import glob
import json
import os
import re
import shutil
import subprocess
import tempfile
import unittest

from node import BUILD, OWNER, ROOT, Node, generate, program
from test_tls import certificate

ETC = os.path.join(ROOT, "etc")
PROGRAMS = {"logstore": "logstore.1", "logstore-broker": "logstore-broker.8"}


def read(*path):
    with open(os.path.join(*path)) as file:
        return file.read()


def helps(name):
    """All that the program says of its options."""
    commands = {"logstore": [["--help"]] + [["help", c] for c in ("publish", "query", "import", "export", "verify")],
                "logstore-broker": [["--help"], ["swap", "--help"], ["plugin", "--help"]]}[name]
    return "".join(subprocess.run([program(name), *c], capture_output=True, text=True).stdout for c in commands)


def page(name):
    """A manual page as it is read, and what is wrong with it."""
    result = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-P-c", "-rLL=200n", os.path.join(ETC, "man", name)],
                            capture_output=True, text=True, check=True)
    text = re.sub(r"\x1b\[[0-9;]*m|.\x08", "", result.stdout)
    return text.replace("\u2010", "-").replace("\u2212", "-"), result.stderr


def keys(schema, found):
    for name, value in schema.get("properties", {}).items():
        found.add(name)
        keys(value, found)
    for inner in ("items", "additionalProperties"):
        if isinstance(schema.get(inner), dict):
            keys(schema[inner], found)
    return found


class Examples(unittest.TestCase):
    def test_every_example_configuration_is_accepted(self):
        examples = glob.glob(os.path.join(ETC, "*.json"))
        self.assertGreater(len(examples), 4)
        for path in examples:
            with self.subTest(os.path.basename(path)):
                node = Node()
                cert, key = certificate(node.folder)
                text = read(path)
                self.assertTrue(text.startswith("//"), "it does not say what it is for")
                for there, here in (("/etc/logstore-broker/node.key", node.key), ("/var/lib/logstore-broker/db", node.data),
                                    ("/etc/logstore-broker/cert.pem", cert), ("/etc/logstore-broker/cert.key", key)):
                    text = text.replace(there, here)
                with open(node.config, "w") as out:
                    out.write(text)
                result = subprocess.run([program("logstore-broker"), "--check", node.config], env=node.env,
                                        capture_output=True, text=True)
                self.assertEqual(result.returncode, 0, result.stderr)
                installed = read(ETC, "CMakeLists.txt")
                self.assertIn(os.path.basename(path), installed, "it is not installed")


class Manual(unittest.TestCase):
    def test_the_pages_are_well_formed(self):
        for path in glob.glob(os.path.join(ETC, "man", "*")):
            self.assertEqual(page(os.path.basename(path))[1], "", path)

    def test_the_pages_name_every_option_and_command(self):
        for name, file in PROGRAMS.items():
            text = page(file)[0]
            for option in set(re.findall(r"--[a-z][a-z-]+", helps(name))):
                self.assertIn(option, text, file)
            for command in re.findall(r"^  ([a-z]+) [A-Z]", helps(name), re.M):
                self.assertIn(command, text, file)

    def test_the_page_of_the_configuration_names_every_key(self):
        text = page("logstore-broker.json.5")[0]
        words = set(re.findall(r"[A-Za-z]+", text))
        for path in [os.path.join(ROOT, "host", "conf", "schema.json")] + \
                glob.glob(os.path.join(ROOT, "plugins", "*", "schema.json")):
            for key in keys(json.loads(read(path)), set()) - {"$schema"}:
                self.assertIn(key, words, os.path.relpath(path, ROOT))


class Completions(unittest.TestCase):
    def complete(self, *words):
        """What bash offers behind these words, the last of them begun."""
        name = words[0]
        script = """source "$1"; shift; PATH="$1:$PATH"; shift
            COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _%s; printf '%%s\\n' "${COMPREPLY[@]}\"""" % name.replace("-", "_")
        result = subprocess.run(["bash", "-c", script, "bash", os.path.join(ETC, "completions", name),
                                 os.path.join(BUILD, "bin"), *words], capture_output=True, text=True, cwd=ETC)
        self.assertEqual(result.stderr, "")
        return set(result.stdout.split())

    def test_commands_and_options_are_offered(self):
        self.assertEqual(self.complete("logstore", "ex"), {"export"})
        self.assertEqual(self.complete("logstore", "--partition", "3", "query", "stream", ""), {"last", "from", "range"})
        self.assertEqual(self.complete("logstore", "query", "--format", "j"), {"jsonl"})
        self.assertEqual(self.complete("logstore", "query", "stream", "last", "1", "--ver"), {"--verify", "--version"})
        self.assertIn("standalone.json", self.complete("logstore", "import", "stream", "sta"))
        self.assertEqual(self.complete("logstore-broker", "--list"), {"--list-plugins"})
        self.assertIn("standalone.json", self.complete("logstore-broker", "--check", "sta"))
        self.assertEqual(self.complete("logstore-broker", "swap", "--dr"), {"--dry-run"})
        self.assertEqual(self.complete("logstore-broker", "plugin", "ch"), {"check"})

    def test_plugins_are_those_of_the_configuration(self):
        node = Node()
        self.assertEqual(self.complete("logstore-broker", "swap", "--config", node.config, ""), {"logStore", "http"})

    def test_every_option_and_command_is_known(self):
        for name in PROGRAMS:
            text = read(ETC, "completions", name)
            for option in set(re.findall(r"--[a-z][a-z-]+", helps(name))):
                self.assertIn(option, text)
            for command in re.findall(r"^  ([a-z]+) [A-Z]", helps(name), re.M):
                self.assertRegex(text, r"\b%s\b" % command)


class Dashboards(unittest.TestCase):
    def test_what_they_show_is_there(self):
        node = Node(plugins={"logStore": {"db": {"dataPath": os.path.join(tempfile.mkdtemp(prefix="logstore-test-"), "db"),
                                                 "minFreeBytes": 0},
                                          "retention": [{"stream": OWNER + "/*", "maxBytes": 1 << 30}]}}).start()
        self.assertEqual(node.upload(generate(10))[0], 200)
        samples = node.get("/metrics")[2].decode()
        node.stop()
        for path in glob.glob(os.path.join(ETC, "dashboards", "*.json")):
            panels = json.loads(read(path))["panels"]
            self.assertEqual(len({p["id"] for p in panels}), len(panels))
            for target in (t for p in panels for t in p["targets"]):
                name, labels = re.search(r"\b([a-z_]+)\{([^}]*)\}", target["expr"]).groups()
                found = re.findall(r"^%s(?:\{([^}]*)\})? " % name, samples, re.M)
                self.assertTrue(found, "%s: there is no metric '%s'" % (os.path.basename(path), name))
                by = re.findall(r"by \(([a-z]+)\)", target["expr"]) + re.findall(r"\{\{([a-z]+)\}\}", target["legendFormat"])
                for label in set(by) - {"instance", "job"}:
                    self.assertIn(label + "=", found[0], target["expr"])

    @unittest.skipUnless(shutil.which("promtool"), "promtool parses expressions")
    def test_their_expressions_are_read_by_prometheus(self):
        rules = {"groups": [{"name": "dashboards", "rules": []}]}
        for path in glob.glob(os.path.join(ETC, "dashboards", "*.json")):
            for panel in json.loads(read(path))["panels"]:
                for target in panel["targets"]:
                    expr = target["expr"].replace("$__rate_interval", "1m").replace("$__range", "1h")
                    rules["groups"][0]["rules"].append(
                        {"record": "r%d" % len(rules["groups"][0]["rules"]), "expr": expr})
        with tempfile.NamedTemporaryFile("w", suffix=".json", delete=False) as out:
            json.dump(rules, out)
        result = subprocess.run(["promtool", "check", "rules", out.name], capture_output=True, text=True)
        os.unlink(out.name)
        self.assertEqual(result.returncode, 0, result.stderr)


if __name__ == "__main__":
    unittest.main()
