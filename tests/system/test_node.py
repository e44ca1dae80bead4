"""The daemon as its operator sees it: configuration, keys, policies, stopping, restarting."""
import json
import os
import signal
import socket
import subprocess
import tempfile
import time
import unittest

from node import BUILD, KEY, OWNER, STREAM, Node, generate, join, program, split, until


def broker(*arguments, env=None):
    return subprocess.run([program("logstore-broker"), *arguments], capture_output=True, text=True, timeout=60,
                          env=dict(os.environ, **(env or {})))


class Daemon(unittest.TestCase):
    def config(self, text):
        path = os.path.join(tempfile.mkdtemp(prefix="logstore-test-"), "c.json")
        with open(path, "w") as out:
            out.write(text)
        return path

    def test_version_help_and_usage(self):
        self.assertIn("plugin ABI 1.0", broker("--version").stdout)
        self.assertLessEqual(len(broker("--help").stdout.splitlines()), 24)
        self.assertEqual(broker("--nonsense").returncode, 2)

    def test_check_says_where_and_what(self):
        path = self.config('{\n  // a comment\n  "httpServer": { "prot": 1 },\n  "mode": { "type": "solo" }\n}')
        result = broker("--check", path)
        self.assertEqual(result.returncode, 1)
        self.assertIn(path + ":3:", result.stderr)
        self.assertIn("did you mean 'port'?", result.stderr)
        self.assertIn("/mode/type", result.stderr)

    def test_check_knows_the_plugins_settings(self):
        path = self.config('{ "plugins": { "logStore": { "db": { "type": "sqlite" } } } }')
        self.assertIn("rocksdb", broker("--check", path).stderr)
        path = self.config('{ "plugins": { "logStore": { "dbb": {} } } }')
        self.assertIn("did you mean 'db'?", broker("--check", path).stderr)
        self.assertIn("older node", broker("--check", self.config('{ "streamrClient": {} }')).stderr)

    def test_environment_overrides_and_is_named_in_errors(self):
        path = self.config("{}")
        result = broker("--dump-config", path, env={"LOGSTORE__BROKER__HTTP_SERVER__PORT": "8123"})
        self.assertEqual(json.loads(result.stdout)["httpServer"]["port"], 8123)
        result = broker("--check", path, env={"LOGSTORE__BROKER__HTTP_SERVER__PORT": "x"})
        self.assertIn("LOGSTORE__BROKER__HTTP_SERVER__PORT", result.stderr)

    def test_dump_masks_secrets(self):
        path = self.config('{ "client": { "auth": { "privateKey": "%s" } }, "apiAuthentication": { "keys": ["s3cret"] } }' % KEY)
        text = broker("--dump-config", path).stdout
        self.assertNotIn(KEY, text)
        self.assertNotIn("s3cret", text)

    def test_list_plugins(self):
        path = self.config('{ "plugins": { "logStore": {}, "http": {} } }')
        self.assertIn("logstore.so", broker("--list-plugins", path).stdout)

    def test_a_key_file_others_may_read_is_refused(self):
        node = Node()
        os.chmod(node.key, 0o644)
        result = broker("--check", node.config)
        self.assertEqual(result.returncode, 1)
        self.assertIn("chmod 600", result.stderr)

    def test_a_taken_port_is_said(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            node = Node(config={"httpServer": {"port": taken.getsockname()[1]}})
            result = broker(node.config)
        self.assertEqual(result.returncode, 3)
        self.assertIn("cannot listen", result.stderr)

    def test_a_damaged_store_is_refused(self):
        node = Node().start()
        node.stop()
        with open(os.path.join(node.data, "CURRENT"), "w") as out:
            out.write("rubbish")
        result = broker(node.config)
        self.assertEqual(result.returncode, 3)
        self.assertIn("cannot", result.stderr)

    def test_a_path_may_begin_at_the_home_directory(self):
        node = Node()
        config = json.load(open(node.config))
        config["plugins"]["logStore"]["db"]["dataPath"] = "~/store"
        with open(node.config, "w") as out:
            json.dump(config, out)
        node.start()
        self.assertTrue(os.path.exists(os.path.join(node.folder, "store", "CURRENT")))
        node.stop()

    def test_everything_is_there_after_a_restart(self):
        node = Node().start()
        # Years ago, some months ago, now: the ancient slab and two dated ones.
        now = int(time.time() * 1000)
        data = generate(500) + generate(500, start=now - 100 * 86400000) + generate(500, start=now - 1000)
        node.upload(data)
        node.stop()
        node.start()
        self.assertEqual(join(node.raw()), data)
        self.assertEqual([m["timestamp"] for m in node.json(node.data_path() + "/last?count=501")["messages"]][:2],
                         [now - 100 * 86400000 + 499, now - 1000])
        self.assertEqual(node.upload(data)[1], {"stored": 0, "duplicates": 1500, "rejected": []})
        node.stop()

    def test_a_long_answer_is_finished_before_the_stop(self):
        node = Node().start()
        node.upload(generate(20000))
        with socket.create_connection(("127.0.0.1", node.port), timeout=30) as c:
            c.sendall(b"GET %s/from?fromTimestamp=0&format=raw HTTP/1.0\r\n\r\n" % node.data_path().encode())
            first = c.recv(1000)
            node.process.send_signal(signal.SIGTERM)
            got = first
            while True:
                part = c.recv(1 << 20)
                if not part:
                    break
                got += part
        self.assertEqual(len(split(got.split(b"\r\n\r\n", 1)[1])), 20000)
        self.assertEqual(node.process.wait(30), 0)
        node.process = None

    def test_policies_of_publishing(self):
        mine = split(generate(1, publishers=1))[0]
        node = Node(config={"validation": {"publish": "owner"}}).start()
        answer = node.upload(join([mine]))[1]
        self.assertIn("owner", answer["rejected"][0]["reason"])
        status, _, _ = node.request("POST", "/streams/" + STREAM, b"{}")
        self.assertEqual(status, 200, "the node's own key owns the stream")
        node.stop()
        node = Node(config={"validation": {"publish": "allow", "allow": ["0x" + "ab" * 20]}}).start()
        self.assertIn("validation.allow", node.upload(join([mine]))[1]["rejected"][0]["reason"])
        self.assertEqual(node.request("POST", "/streams/" + STREAM, b"{}")[0], 403)
        node.stop()

    def test_a_full_disk_is_507_and_not_ready(self):
        node = Node()
        with open(node.config) as text:
            config = json.load(text)
        config["plugins"]["logStore"]["db"]["minFreeBytes"] = 1 << 60
        with open(node.config, "w") as out:
            json.dump(config, out)
        node.start()
        status, answer = node.upload(generate(3))
        self.assertEqual((status, answer["stored"], answer["failed"]), (507, 0, 3))
        self.assertIn("minFreeBytes", answer["error"])
        self.assertEqual(node.request("POST", "/streams/" + STREAM, b"{}")[0], 507)
        until(lambda: node.get("/readyz")[0] == 503, what="not ready")
        self.assertEqual(node.raw(), [])
        node.stop()

    def test_api_keys(self):
        node = Node(config={"apiAuthentication": {"keys": ["k1"]}}).start()
        self.assertEqual(node.get("/stores")[0], 401)
        self.assertEqual(node.get("/stores", Authorization="bearer k2")[0], 403)
        self.assertEqual(node.get("/stores", Authorization="Bearer k1")[0], 200)
        self.assertEqual(node.get("/healthz")[0], 200)
        node.stop()

    def test_plugins_that_are_no_plugins_are_refused_with_a_reason(self):
        path = os.path.join(tempfile.mkdtemp(prefix="logstore-test-"), "bad.so")
        with open(path, "w") as out:
            out.write("not a library\n")
        result = broker("--check", self.config(json.dumps({"plugins": {"bad": {"module": path}}})))
        self.assertEqual(result.returncode, 1)
        self.assertIn("not a shared library", result.stderr)
        os.chmod(path, 0o666)
        result = broker("--check", self.config(json.dumps({"plugins": {"bad": {"module": path}}})))
        self.assertIn("chmod o-w", result.stderr)
        result = broker("--check", self.config('{"plugins": {"nothere": {}}}'))
        self.assertIn("cannot be read", result.stderr)

    def test_plugins_export_one_symbol(self):
        for name in ("logstore.so", "http.so"):
            out = subprocess.run(["nm", "-D", "--defined-only", os.path.join(BUILD, "plugins", name)],
                                 capture_output=True, text=True, check=True).stdout
            names = [line.split()[2] for line in out.splitlines()]
            self.assertEqual([n for n in names if not n.startswith("__odr_asan")], ["broker_plugin"], name)
