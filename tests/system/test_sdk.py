"""What plugin authors are promised: a template that works, a conformance kit that finds what is wrong, examples."""
import json
import os
import shutil
import tempfile
import unittest

import sdk
from node import BUILD, ROOT, Node, program

ASAN = "asan" in os.path.basename(BUILD)
# What the kit must say of each plugin of tests/plugins/rude.c, and in which check.
RUDE = {
    "exports_more": ("symbols", "it exports 'rude_export' beside broker_plugin"),
    "registers_in_create": ("create", "create() called metrics.counter()"),
    "opens_in_create": ("create", "create() opened '/dev/null'"),
    "fails_silently": ("create", "create() failed (-5) and gave no reason"),
    "exits": ("life", "ended the process (exit status 0)"),
    "hangs": ("life", "did not come back in time from start()"),
    "calls_from_own_thread": ("life", "work.now_ms was called on a thread that is not the host's"),
    "stops_timer_twice": ("life", "work.timer_stop() was called twice"),
    "never_leaves": ("life", "it still holds services of others that it has not left"),
    "never_quiesces": ("life", "quiesce() said BROKER_AGAIN for 10 seconds"),
    "works_after_quiesce": ("life", "work.submit() was called after quiesce() had returned BROKER_OK"),
    "never_answers": ("requests", "POST /rude/{id+} was never answered"),
    "never_answers_after_abort": ("requests", "was never answered after on_abort()"),
    "answers_twice": ("requests", "http.reply() was called on a request that had been ended"),
    "pulls_nothing": ("requests", "pull() returned BROKER_OK and had written nothing"),
    "settles_twice": ("messages", "a message was settled twice"),
    "never_settles": ("messages", "it still holds messages that it took and did not settle"),
    "takes_too_many": ("messages", "on_msgs() was given 8 messages and says it took 9"),
    "takes_none": ("messages", "bus.resume() did not follow"),
    "retains": ("messages", "it still holds messages that it retained"),
    "releases_twice": ("messages", "bus.release() was called more often than bus.retain()"),
    "looks_later": ("messages", "crashed (SIGABRT) in on_msgs()"),
    "crashes_on_message": ("messages", "crashed (SIGSEGV) in on_msgs()"),
    "loop_call_on_worker": ("messages", "registry.follow() is for the loop and was called on a worker"),
    "never_checks": ("peers", "had no verify.answer() within a minute"),
    "drops_at_quiesce": ("busy", "it still holds messages that it took and did not settle"),
    "refuses_its_state": ("restart", "start() failed: this state is not of the right size"),
    "refuses_its_state ": ("swap", "start() failed: this state is not of the right size"),
    "crashes_on_bad_state": ("bad_state", "crashed (SIGSEGV) in start(), with byte 0 of its state changed by 0x01"),
    "needs_missing": ("missing", "crashed (SIGSEGV) in start(), on a host without broker.bus/1"),
    "ignores_failure": ("failures", "metrics.add() was given NULL, when call 1 of metrics.counter() failed"),
    "leaks_thread": ("threads", "a thread that runs its code is left after destroy()"),
    "leaks_file": ("files", "'/dev/null' is left open after destroy()"),
    "leaks_memory": ("memory", "memory is left after destroy()" if ASAN else "each life leaves"),
    "stays_mapped": ("unload", "its code stays mapped after dlclose()"),
}
ZOO = {
    "other_major": ("manifest", "built for plugin ABI 9.0"),
    "broken_schema": ("config", "its config_schema cannot be used"),
    "wrong_schema": ("config", "its config_schema cannot be used"),
    "no_table": ("config", "its table 'broker_plugin' is missing"),
}


class Conformance(unittest.TestCase):
    def test_each_bad_plugin_is_found_out(self):
        for name, (check, reason) in RUDE.items():
            said = sdk.check(os.path.join(BUILD, "rude", name.strip() + ".so"), "--only", check, expected=1,
                             LOGSTORE_CHECK_LIMIT="3" if name == "hangs" else "120")
            if ASAN and reason.startswith("crashed"):  # sanitizers know before the processor does
                self.assertRegex(said[check], "^(crashed|a sanitizer ended it|ended the process)", name)
                continue
            self.assertIn(reason, said[check], name)
        for name, (check, reason) in ZOO.items():
            said = sdk.check(os.path.join(BUILD, "zoo", name + ".so"), expected=1)
            self.assertIn(reason, said[check], name)
            self.assertNotIn("life", said, "what cannot be loaded is not tried out")

    def test_each_check_has_found_something_in_the_test_above(self):
        listed = sdk.run("/", program("logstore-broker"), "plugin", "check", "--list")
        self.assertEqual({line.split()[0] for line in listed.splitlines()},
                         {check for check, _ in list(RUDE.values()) + list(ZOO.values())})

    def test_one_fault_is_told_once(self):
        said = sdk.check(os.path.join(BUILD, "rude", "answers_twice.so"), expected=1)
        self.assertEqual(said["restart"], "the same as above")
        self.assertEqual(said["create"], "")

    def test_ours_keep_the_promises(self):
        folder = tempfile.mkdtemp(prefix="logstore-kit-")
        store = {"db": {"dataPath": folder, "minFreeBytes": 0}}
        for name, config in (("rude/nothing", {}), ("plugins/http", {}), ("plugins/logstore", store)):
            said = sdk.check(os.path.join(BUILD, name + ".so"), "--config", json.dumps(config))
            self.assertGreater(len(said), 15, name)
        shutil.rmtree(folder)

    def test_wrong_use_is_told(self):
        broker, good = program("logstore-broker"), os.path.join(BUILD, "rude", "nothing.so")
        for arguments, sentence in (
                (("check", good, "--only", "nonsense"), "there is no check 'nonsense'"),
                (("check",), "try: logstore-broker plugin --help"),
                (("chekc", good), "try: logstore-broker plugin --help")):
            self.assertIn(sentence, sdk.run("/", broker, "plugin", *arguments, expected=2))
        self.assertIn("does not", sdk.check(good, "--config", "[]", expected=1)["config"] + " does not")
        self.assertIn("takes no settings", sdk.check(good, "--config", '{"a":1}', expected=1)["config"])
        self.assertIn("must be integer", sdk.check(os.path.join(BUILD, "zoo", "good.so"), "--config", '{"port":"x"}',
                                                   expected=1)["config"])
        self.assertIn("cannot be read", sdk.check("/nowhere.so", expected=1)["manifest"])


class Template(unittest.TestCase):
    def test_a_new_plugin_builds_out_of_tree_passes_the_checks_and_answers(self):
        folder = os.path.join(tempfile.mkdtemp(prefix="logstore-sdk-"), "tide_gauge")
        sdk.prefix()
        said = sdk.run("/", "logstore-broker", "plugin", "new", "tide_gauge", folder)
        self.assertEqual(said, "wrote the plugin 'tide_gauge' into %s; %s/README.md says how it is built\n" % (folder, folder))
        self.assertEqual(sorted(os.listdir(folder)), ["CMakeLists.txt", "README.md", "schema.json", "tide_gauge.c"])
        with open(os.path.join(folder, "tide_gauge.c")) as source:
            self.assertLessEqual(len(source.read().splitlines()), 60)
        sdk.build(folder)
        self.assertIn("100% tests passed", sdk.run(folder, "ctest", "--test-dir", "build"))
        node = Node(plugins={"tide_gauge": {"module": os.path.join(folder, "build", "tide_gauge.so"),
                                            "greeting": "good day"}}).start()
        self.assertEqual(node.get("/tide_gauge")[::2], (200, b"good day, request 1\n"))
        self.assertEqual(node.get("/tide_gauge")[::2], (200, b"good day, request 2\n"))
        node.stop()

    def test_the_test_of_a_new_plugin_fails_when_the_plugin_does(self):
        folder = os.path.join(tempfile.mkdtemp(prefix="logstore-sdk-"), "tide_gauge")
        sdk.run("/", program("logstore-broker"), "plugin", "new", "tide_gauge", folder)
        source = os.path.join(folder, "tide_gauge.c")
        with open(source) as file:
            text = file.read()
        with open(source, "w") as file:
            file.write(text.replace("    p->http->reply(req, &answer);\n", ""))
        sdk.build(folder)
        self.assertIn("GET /tide_gauge was never answered", sdk.run(folder, "ctest", "--test-dir", "build", expected=8))

    def test_bad_names_and_folders_that_are_there_are_refused(self):
        broker, folder = program("logstore-broker"), tempfile.mkdtemp(prefix="logstore-sdk-")
        for name, sentence in (
                ("Tide", "a plugin cannot be called 'Tide': it must begin with a letter a-z"),
                ("9tide", "it must begin with a letter a-z"),
                ("tide-gauge", "it must be made of a-z, 0-9 and _"),
                ("../tide", "it must begin with a letter a-z"),
                ("t" * 32, "it must not be longer than 31 letters"),
                ("test", "CMake keeps that name for a target of its own")):
            self.assertIn(sentence, sdk.run(folder, broker, "plugin", "new", name, "x", expected=1))
            self.assertEqual(os.listdir(folder), [])
        self.assertIn("'%s' is there already; name a folder that is not" % folder,
                      sdk.run("/", broker, "plugin", "new", "tide", folder, expected=1))
        self.assertIn("cannot make the folder '/nowhere/x' (No such file or directory)",
                      sdk.run("/", broker, "plugin", "new", "tide", "/nowhere/x", expected=1))


class Examples(unittest.TestCase):
    def test_hello_builds_with_cmake_and_with_pkg_config_and_answers(self):
        folder = sdk.copy("plugin_api/example/hello")
        sdk.build(folder)
        flags = sdk.run(folder, "pkg-config", "--cflags", "broker-plugin").split()
        sdk.run(folder, "cc", "-shared", "-Wall", "-Wextra", "-Werror", *flags, "hello.c", "-o", "plain.so")
        for file, settings, body in (("build/hello.so", {}, b"hello"), ("plain.so", {"greeting": "good day"}, b"good day")):
            file = os.path.join(folder, file)
            sdk.check(file, "--config", json.dumps(settings))
            node = Node(plugins={"hello": dict(settings, module=file)}).start()
            self.assertEqual(node.get("/hello")[::2], (200, body), file)
            node.stop()


if __name__ == "__main__":
    unittest.main()
