"""The zoo: plugins that are wrong in one way each, refused by the real daemon in a sentence."""
import json
import os
import shutil
import struct
import subprocess
import tempfile
import unittest

from node import BUILD, ROOT, Node, program

ZOO = os.path.join(BUILD, "zoo")
# What the daemon says of each; none of them may get to run.
REFUSED = {
    "other_major": "built for plugin ABI 9.0; this host speaks 1.0. Rebuild it against broker/plugin.h of this host",
    "newer_minor": "needs plugin ABI 1.77 or newer; this host speaks 1.0. Upgrade the host, or build the plugin with "
                   "-DBROKER_NEEDS_MINOR=0",
    "other_layout": "compiled with other type layouts (00001234, host ",
    "no_manifest": "no broker manifest; is BROKER_PLUGIN() missing?",
    "short_manifest": "manifest is 16 bytes, need 80",
    "endless_manifest": "no broker manifest; is BROKER_PLUGIN() missing?",
    "upper_name": "its name must be made of a-z, 0-9 and _",
    "slash_name": "its name must be made of a-z, 0-9 and _",
    "no_name": "its name must be made of a-z, 0-9 and _",
}
# These are found out after loading.
LOADED = {
    "unresolved": "undefined symbol: nobody_defines_this",
    "no_table": "its table 'broker_plugin' is missing or incomplete",
    "short_table": "its table 'broker_plugin' is missing or incomplete",
    "no_create": "its table 'broker_plugin' is missing or incomplete",
    "no_start": "its table 'broker_plugin' is missing or incomplete",
    "broken_schema": "cannot be used: ",
    "wrong_schema": "cannot be used: schema #/type: must match a schema in anyOf",
}


class Zoo(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="logstore-zoo-")
        self.witness = os.path.join(self.folder, "witness")

    def broker(self, plugins, *arguments):
        path = os.path.join(self.folder, "c.json")
        with open(path, "w") as out:
            json.dump({"plugins": plugins, "httpServer": {"port": 0}}, out)
        return subprocess.run([program("logstore-broker"), *arguments, path], capture_output=True, text=True,
                              timeout=60, env=dict(os.environ, ZOO_WITNESS=self.witness, HOME=self.folder))

    def file(self, name):
        return os.path.join(ZOO, name + ".so")

    def refused(self, module, sentence, plugins=None):
        for arguments in (("--check",), ("--list-plugins",), ()):
            result = self.broker(plugins or {"zoo": {"module": module}}, *arguments)
            self.assertIn(sentence, result.stderr + result.stdout, (module, arguments))
            if arguments != ("--list-plugins",):
                self.assertIn(result.returncode, (1, 3), (module, arguments))

    def test_the_good_one_runs(self):
        node = Node(folder=self.folder, plugins={"zoo": {"module": self.file("good"), "port": 5}}).start()
        self.assertIn("'zoo' 1.0.0 is running", node.said())
        node.stop()

    def test_what_the_manifest_gives_away_never_runs(self):
        for name, sentence in REFUSED.items():
            self.refused(self.file(name), "refusing '%s': %s" % (self.file(name), sentence))
            self.assertFalse(os.path.exists(self.witness), name + " got to run")

    def test_what_shows_after_loading_is_refused(self):
        for name, sentence in LOADED.items():
            self.refused(self.file(name), sentence)

    def test_files_that_are_no_plugins_never_run(self):
        with open(self.file("good"), "rb") as good:
            image = good.read()
        for name, data, sentence in (
                ("empty", b"", "cannot be read"), ("text", b"plugin\n" * 50, "not a shared library"),
                ("header", image[:64], "the file is cut short"),
                ("half", image[:len(image) // 2], "the file is cut short"),
                ("last_page", image[:-4096], "the file is cut short"),
                ("machine", image[:18] + struct.pack("<H", 0xF3) + image[20:], "built for another machine"),
                ("program", image[:16] + struct.pack("<H", 2) + image[18:], "not a shared library")):
            path = os.path.join(self.folder, name + ".so")
            with open(path, "wb") as out:
                out.write(data)
            self.refused(path, sentence)
            self.assertFalse(os.path.exists(self.witness), name + " got to run")
        self.refused(self.folder, "is not a file")
        self.refused(self.folder + "/none.so", "cannot be read (No such file or directory)")

    def test_what_others_may_write_never_runs(self):
        path = os.path.join(self.folder, "good.so")
        shutil.copy(self.file("good"), path)
        os.chmod(path, 0o777)
        self.refused(path, "run: chmod o-w " + path)
        os.chmod(path, 0o755)
        os.chmod(self.folder, 0o777)
        self.refused(path, "run: chmod o-w " + self.folder)
        os.chmod(self.folder, 0o700)
        self.assertFalse(os.path.exists(self.witness))

    def test_two_of_one_name_are_refused(self):
        self.refused(None, "a plugin named 'zoo' is loaded already; each may be configured once",
                     {"zoo": {"module": self.file("good")}, "again": {"module": self.file("good")}})

    def test_a_section_its_schema_does_not_allow_is_refused_with_a_place(self):
        self.refused(None, "c.json:1:", {"zoo": {"module": self.file("good"), "prot": 5}})
        self.refused(None, "did you mean 'port'?", {"zoo": {"module": self.file("good"), "prot": 5}})

    def test_one_that_does_not_come_up_says_why_and_the_node_ends(self):
        for name, sentence in (("create_fails", "plugin 'zoo' did not create: the device is on fire"),
                               ("create_fails_silently", "plugin 'zoo' did not create: the host lacks something"),
                               ("start_fails", "plugin 'zoo' did not start: the port is taken")):
            node = Node(plugins={"zoo": {"module": self.file(name)}})
            with self.assertRaises(AssertionError):
                node.start()
            self.assertEqual(node.process.wait(30), 3, name)
            self.assertIn(sentence, node.said())


class Version(unittest.TestCase):
    def test_it_names_the_build_as_the_linker_did(self):
        said = subprocess.run([program("logstore-broker"), "--version"], capture_output=True, text=True).stdout
        notes = subprocess.run(["readelf", "-n", program("logstore-broker")], capture_output=True, text=True).stdout
        self.assertIn("\nbuild %s\n" % notes.split("Build ID: ")[1].split()[0], said)


if __name__ == "__main__":
    unittest.main()
