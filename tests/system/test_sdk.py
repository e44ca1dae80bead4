"""What plugin authors are promised: a template that works, a conformance kit that finds what is wrong, examples."""
import http.server
import json
import os
import re
import shutil
import tempfile
import threading
import unittest

import sdk
from node import BUILD, OWNER, ROOT, Node, program, until

ASAN = "asan" in os.path.basename(BUILD)
# What the kit must say of each plugin of tests/plugins/rude.c, and in which check.
RUDE = {
    "exports_more": ("symbols", "it exports 'rude_export' beside broker_plugin"),
    "registers_in_create": ("create", "create() called metrics.counter()"),
    "opens_in_create": ("create", "create() opened '/dev/null'"),
    "fails_silently": ("create", "create() failed (-5) and gave no reason"),
    "exits": ("life", "ended the process (exit status 0)"),
    "hangs": ("life", "did not come back in time from start()"),
    "calls_from_own_thread": ("life", "work.now_ms() was called on a thread that is not the host's"),
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
    "never_waits": ("busy", "it still holds jobs that have not come back, messages that it took and did not settle"),
    "refuses_its_state": ("restart", "start() failed: this state is not of the right size"),
    "refuses_its_state ": ("swap", "start() failed: this state is not of the right size"),
    "forgets_resumed": ("crossing", "POST /rude/{id+} was never answered, in the build that takes over a half read request"),
    "trusts_saved": ("crossing", "crashed (SIGABRT) in resume_body(), when what save() wrote was cut to 0 bytes"),
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
        for name, config in (("rude/nothing", {}), ("plugins/http", {}), ("plugins/logstore", store),
                             ("plugins/logstore", dict(store, cluster={})),
                             ("plugins/websocket", {"port": 0}), ("plugins/mqtt", {"port": 0}),
                             ("plugins/chain", {"rpcs": [{"url": "http://127.0.0.1:1/"}], "events": {"enabled": True}})):
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
        self.assertIn("is not a JSON object", sdk.check(good, "--config", "[]", expected=1)["config"])
        self.assertIn("takes no settings", sdk.check(good, "--config", '{"a":1}', expected=1)["config"])
        self.assertIn("must be integer", sdk.check(os.path.join(BUILD, "zoo", "good.so"), "--config", '{"port":"x"}',
                                                   expected=1)["config"])
        self.assertIn("cannot be read", sdk.check("/nowhere.so", expected=1)["manifest"])


class OldBuilds(unittest.TestCase):
    """Plugins built against the headers of earlier releases."""

    def test_each_is_run_by_the_host_of_today(self):
        for release in sorted(os.listdir(os.path.join(ROOT, "tests", "abi", "frozen"))):
            file = os.path.join(BUILD, "frozen", release + "-hello.so")
            sdk.check(file)
            sdk.check(os.path.join(BUILD, "frozen", release + "-rude.so"))
            node = Node(plugins={"hello": {"module": file, "greeting": "good old day"}}).start()
            self.assertEqual(node.get("/hello")[::2], (200, b"good old day"), release)
            node.stop()


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
    """Built outside of the tree against the installed SDK, checked, and run by the daemon; and those of the build."""

    def built(self, name, config):
        """The plugin's file, after the kit has passed it."""
        folder = os.path.join(sdk.copy("plugin_api/example"), name)
        sdk.build(folder)
        for file in (os.path.join(folder, "build", name + ".so"), os.path.join(BUILD, "examples", name + ".so")):
            sdk.check(file, "--config", json.dumps(config))
        return os.path.join(folder, "build", name + ".so")

    def node(self, name, file, config):
        node = Node(plugins={"logStore": {"db": {"dataPath": tempfile.mkdtemp(prefix="logstore-sdk-"), "minFreeBytes": 0}},
                             "http": {}, name: dict(config, module=file)})
        self.addCleanup(lambda: node.process and node.kill())
        return node.start()

    def publish(self, node, stream, *contents):
        for content in contents:
            status, _, body = node.request("POST", "/streams/" + stream.replace("/", "%2F"), body=json.dumps(content))
            self.assertEqual(status, 200, body)

    def test_hello_builds_with_cmake_and_with_pkg_config_and_answers(self):
        folder = os.path.dirname(os.path.dirname(self.built("hello", {"greeting": "good day"})))
        flags = sdk.run(folder, "pkg-config", "--cflags", "broker-plugin").split()
        sdk.run(folder, "cc", "-shared", "-Wall", "-Wextra", "-Werror", *flags, "hello.c", "-o", "plain.so")
        for file, settings, body in (("build/hello.so", {}, b"hello"), ("plain.so", {"greeting": "good day"}, b"good day")):
            node = Node(plugins={"hello": dict(settings, module=os.path.join(folder, file))}).start()
            self.assertEqual(node.get("/hello")[::2], (200, body), file)
            node.stop()

    def test_counter_counts_by_a_value_and_bounds_how_many(self):
        config = {"rules": [{"name": "doors", "stream": OWNER + "/doors", "path": "door.state", "label": "state",
                             "maxValues": 2}]}
        file = self.built("counter", config)
        sdk.check(file, "--config", json.dumps({"rules": [{"name": "all", "stream": "*", "path": "hello"}]}))
        node = self.node("counter", file, config)
        self.publish(node, OWNER + "/doors", *({"door": {"state": state}} for state in ("open", "shut", "open", "ajar", 5)),
                     {"door": {"state": "o\"pen"}})
        text = until(lambda: (lambda t: t if 'counter_doors_total{state="other"} 3' in t else None)(node.get("/metrics")[2].decode()),
                     what="six messages are counted")
        self.assertIn('counter_doors_total{state="open"} 2', text)
        self.assertIn('counter_doors_total{state="shut"} 1', text)
        node.stop()

    def test_filter_republishes_what_matches(self):
        config = {"from": OWNER + "/doors", "to": OWNER + "/open", "path": "door.state", "equals": "open", "pick": "door"}
        file = self.built("filter", config)
        for more in ({"from": "*/a"}, {"from": "*/a", "path": "hello", "equals": "world"}):
            sdk.check(file, "--config", json.dumps(dict({"to": "a.eth/b"}, **more)))
        node = self.node("filter", file, config)
        self.publish(node, OWNER + "/doors", *({"door": {"state": "open" if i % 2 else "shut", "n": i}} for i in range(200)))
        path = node.data_path(OWNER + "/open") + "/last?count=1000"
        messages = until(lambda: (lambda m: m if len(m) >= 100 else None)(node.json(path)["messages"]), what="100 messages")
        self.assertEqual([m["content"] for m in messages], [{"state": "open", "n": i} for i in range(200) if i % 2])
        node.stop()

    def test_filter_from_a_pattern_does_not_hear_itself(self):
        to = "0x" + OWNER[2:].upper() + "/open"
        node = self.node("filter", self.built("filter", {"from": "*/a", "to": "a.eth/b"}), {"from": OWNER + "/*", "to": to})

        def published():
            return int(re.search(r"^filter_published_total (\d+)$", node.get("/metrics")[2].decode(), re.M).group(1))

        for n in (1, 2):
            self.publish(node, OWNER + "/doors", {"n": n})
            until(lambda: published() >= n, what="it is republished")
        self.assertEqual(published(), 2)
        self.assertEqual(len(node.json(node.data_path(OWNER + "/open") + "/last?count=9")["messages"]), 2)
        node.stop()

    def test_filter_into_its_own_stream_is_refused(self):
        node = Node(plugins={"filter": {"module": os.path.join(BUILD, "examples", "filter.so"), "from": "a.eth/b", "to": "a.eth/b"}})
        with self.assertRaises(AssertionError):
            node.start()
        self.assertIn("plugin 'filter' did not create: from and to are the same stream, 'a.eth/b'", node.said())

    def test_alert_posts_what_matches_and_tries_again(self):
        posted, answers = [], [500, 503, 200, 404, 200]

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(answers[len(posted) - 1])
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *arguments):
                pass

        server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.shutdown)
        config = {"stream": OWNER + "/doors", "path": "door", "equals": "forced", "backoffMs": 10,
                  "url": "http://127.0.0.1:%d/alarm" % server.server_address[1]}
        file = self.built("alert", config)
        for more in ({"path": "hello", "equals": "world"}, {"queue": 3}, {"attempts": 1}):
            sdk.check(file, "--config", json.dumps(dict({"stream": "*/a", "url": "https://a.b/"}, **more)))
        node = self.node("alert", file, config)
        self.publish(node, OWNER + "/doors", {"door": "shut"}, *({"door": "forced", "n": i} for i in range(3)))
        until(lambda: len(posted) == 5, what="five posts")
        self.assertEqual([p["content"]["n"] for p in posted], [0, 0, 0, 1, 2])
        self.assertEqual(posted[0]["stream"], OWNER + "/doors")
        until(lambda: "alert_posted_total 2" in node.get("/metrics")[2].decode(), what="two taken")
        self.assertIn("alert_dropped_total 1", node.get("/metrics")[2].decode())
        node.stop()

    def test_the_same_in_rust(self):
        file = os.path.join(tempfile.mkdtemp(prefix="logstore-sdk-"), "tally.so")
        sdk.run("/", "rustc", "--edition", "2021", "--crate-type", "cdylib", "-C", "panic=abort", "-O", "-o", file,
                os.path.join(ROOT, "plugin_api", "example", "rust", "tally.rs"))
        said = sdk.check(file, "--config", '{"stream":"*"}')
        self.assertEqual(said["unload"], "")
        node = self.node("tally", file, {"stream": OWNER + "/*"})
        self.publish(node, OWNER + "/doors", *({"n": i} for i in range(5)))
        until(lambda: node.get("/tally")[2] == b"5\n", what="five messages are counted")
        node.stop()


if __name__ == "__main__":
    unittest.main()
