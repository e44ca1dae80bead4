"""Plugins in processes of their own: what ends one of them costs the broker nothing."""
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import unittest

import mqtt
from node import BUILD, OWNER, STREAM, Node, generate, program, split, until
from test_mqtt import mqtt_node
from test_websocket import WsNode
from ws import Closed


def module(name):
    return os.path.join(BUILD, "test-plugins", name + ".so")


def tally_build(name):
    return os.path.join(BUILD, "swap", name + ".so")


def command(node, *arguments):
    return subprocess.run([program("logstore-broker"), arguments[0], "--config", node.config, *arguments[1:]],
                          env=node.env, capture_output=True, text=True, timeout=60)


def is_there(pid):
    """Whether the process runs: one that has ended and was not waited for does not."""
    try:
        with open("/proc/%d/stat" % pid) as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


class IsolatedNode(Node):
    """A node whose plugins run in processes of their own."""

    def __init__(self, plugins, **rest):
        sections = {name: dict(section, isolate=section.get("isolate", True)) for name, section in plugins.items()}
        super().__init__(plugins=sections, **rest)

    def pid(self, name):
        """Of the plugin's process that runs; None: there is none at the moment."""
        for line in command(self, "plugins").stdout.splitlines():
            if name in line.split():
                found = re.search(r"process (\d+)", line)
                return int(found.group(1)) if found else None
        return None

    def metric(self, name):
        for line in self.get("/metrics")[2].decode().splitlines():
            if line.startswith(name + " "):
                return float(line.rsplit(" ", 1)[1])
        return None


def unwell(**settings):
    return {"unwell": dict(module=module("unwell"), **settings)}


class Answers(unittest.TestCase):
    """One node; nobody ends anything."""

    @classmethod
    def setUpClass(cls):
        hello = os.path.join(BUILD, "examples", "hello.so")
        cls.node = IsolatedNode({"hello": {"module": hello, "greeting": "good day"},
                                 "tally": {"module": tally_build("one")}, **unwell()}).start()

    @classmethod
    def tearDownClass(cls):
        cls.node.stop()

    def test_requests_are_answered_from_another_process(self):
        self.assertEqual(self.node.get("/hello")[2], b"good day")
        pid = int(self.node.get("/unwell")[2])
        self.assertNotEqual(pid, self.node.process.pid)
        with open("/proc/%d/stat" % pid) as stat:
            self.assertEqual(int(stat.read().rsplit(")", 1)[1].split()[1]), self.node.process.pid)

    def test_the_list_and_the_log_say_so(self):
        pid = int(self.node.get("/unwell")[2])
        self.assertEqual(self.node.pid("unwell"), pid)
        self.assertIn("unwell: runs in a process of its own (%d)" % pid, self.node.said())

    def test_what_a_path_has_for_parameters_arrives(self):
        self.assertEqual(self.node.get("/unwell/do/nothing")[0], 200)

    def test_bodies_of_all_sizes_go_in(self):
        for size in (0, 1, 70000, 5 << 20):
            status, _, body = self.node.request("POST", "/tally", body=b"x" * size)
            self.assertEqual((status, body.split()[0]), (200, str(size).encode()), size)

    def test_a_long_answer_is_streamed(self):
        status, _, body = self.node.get("/tally/slow")
        self.assertEqual(status, 200)
        self.assertEqual(body.split(), [b"%d" % i for i in range(1, 1000001)])

    def test_a_reader_who_leaves_takes_nothing_along(self):
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", self.node.port)) as s:
                s.sendall(b"GET /unwell/do/endless HTTP/1.1\r\nHost: localhost\r\n\r\n")
                self.assertTrue(s.recv(1000).startswith(b"HTTP/1.1 200"))
        self.assertEqual(self.node.get("/unwell")[0], 200)

    def test_many_at_once(self):
        wrong = []

        def ask():
            for i in range(50):
                got = self.node.get("/hello")[2], self.node.request("POST", "/tally", body=b"y" * i)[2].split()[0]
                if got != (b"good day", b"%d" % i):
                    wrong.append(got)
        threads = [threading.Thread(target=ask) for _ in range(8)]
        [t.start() for t in threads]
        [t.join() for t in threads]
        self.assertEqual(wrong, [])


class Ends(unittest.TestCase):
    def start(self, plugins=None, **rest):
        self.node = IsolatedNode(plugins or unwell(), **rest).start()
        self.addCleanup(lambda: self.node.process and self.node.kill())
        return self.node

    def again(self, before, path="/unwell"):
        """The plugin answers from another process."""
        def answered():
            status, _, body = self.node.get(path)
            return status == 200 and int(body) != before and int(body)
        return until(answered, what="it is started again")

    def test_a_crash_costs_a_restart_and_nobody_else_anything(self):
        node = self.start({**unwell(), "tally": {"module": tally_build("one"), "isolate": False}})
        pid = int(node.get("/unwell")[2])
        status, headers, _ = node.get("/unwell/do/segv")
        self.assertEqual((status, headers.get("Retry-After")), (503, "1"))
        self.assertEqual(node.get("/tally")[0], 200)
        after = self.again(pid)
        self.assertFalse(is_there(pid))
        self.assertEqual(node.get("/tally")[2].split()[0], b"2", "the other plugin was started again too")
        self.assertRegex(node.said(), r"error unwell: its process \(%d\) ended: SIGSEGV" % pid)
        self.assertIn("degraded: its process ended (SIGSEGV) and is being started again", node.said())
        self.assertIn("unwell: runs again, in process %d" % after, node.said())
        until(lambda: node.get("/readyz")[0] == 200)
        self.assertEqual(node.metric('isolated_restarts_total{plugin="unwell"}'), 1)
        node.stop()

    def test_how_it_ended_is_said(self):
        node = self.start()
        for how, said in (("abort", "SIGABRT"), ("exit", "status 7")):
            pid = int(node.get("/unwell")[2])
            self.assertEqual(node.get("/unwell/do/" + how)[0], 503)
            self.again(pid)
            self.assertIn("its process (%d) ended: %s" % (pid, said), node.said())
        node.stop()

    def test_a_loop_that_hangs_is_ended(self):
        node = self.start()
        pid = int(node.get("/unwell")[2])
        self.assertEqual(node.get("/unwell/do/hang")[0], 503)
        self.again(pid)
        self.assertIn("its process (%d) was ended: its loop answered nothing for 10 s" % pid, node.said())
        self.assertIn("plugin 'unwell' has kept the event loop in on_req", node.said())
        self.assertFalse(is_there(pid))
        node.stop()

    def test_an_answer_that_was_begun_is_cut(self):
        node = self.start()
        pid = int(node.get("/unwell")[2])
        with socket.create_connection(("127.0.0.1", node.port), timeout=30) as s:
            s.sendall(b"GET /unwell/do/endless HTTP/1.1\r\nHost: localhost\r\n\r\n")
            got = s.recv(65536)
            os.kill(pid, signal.SIGKILL)
            while True:
                more = s.recv(1 << 20)
                if not more:
                    break
                got = (got + more)[-100:]
        self.assertFalse(got.endswith(b"0\r\n\r\n"), "a cut answer looks whole")
        self.again(pid)
        node.stop()

    def test_three_ends_are_enough_and_another_build_brings_it_back(self):
        node = self.start({"tally": {"module": tally_build("one")}})
        for i in range(3):
            until(lambda: node.get("/tally")[0] == 200)
            self.assertEqual(node.get("/tally/crash")[0], 503)
        until(lambda: "ended 3 times within ten minutes" in node.said())
        self.assertEqual(node.get("/tally")[0], 503)
        status, _, body = node.get("/readyz")
        self.assertEqual(status, 503)
        self.assertIn(b"swap in another build", body)
        self.assertIsNone(node.pid("tally"))
        result = command(node, "swap", "tally", tally_build("two"))
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertEqual(node.get("/tally")[2].split()[1], b"2.0.0")
        self.assertEqual(node.get("/readyz")[0], 200)
        self.assertIsNotNone(node.pid("tally"))
        node.stop()

    def test_a_node_that_stops_takes_the_process_along(self):
        node = self.start()
        pid = int(node.get("/unwell")[2])
        node.stop()
        self.assertFalse(is_there(pid))

    def test_a_node_that_is_killed_takes_the_process_along(self):
        node = self.start()
        for how in ("nothing", "hang"):
            if node.process is None:
                node.start()
            pid = int(node.get("/unwell")[2])
            with socket.create_connection(("127.0.0.1", node.port)) as s:
                s.sendall(b"GET /unwell/do/%s HTTP/1.1\r\nHost: localhost\r\n\r\n" % how.encode())
                if how == "nothing":
                    self.assertTrue(s.recv(1000))
                node.kill()
            until(lambda: not is_there(pid), what="process %d ends (%s)" % (pid, how))

    def test_a_build_that_fails_is_said_before_it_runs(self):
        for name, said in (("constructor_crashes", "SIGSEGV"), ("create_crashes", "SIGSEGV")):
            node = IsolatedNode({"tally": {"module": tally_build(name)}})
            with self.subTest(name):
                checked = subprocess.run([program("logstore-broker"), "--check", node.config], env=node.env,
                                         capture_output=True, text=True, timeout=60)
                if name == "constructor_crashes":
                    self.assertEqual(checked.returncode, 1)
                    self.assertIn(said, checked.stderr)
                tried = command(node, "swap", "--dry-run", "tally", tally_build(name))
                self.assertEqual(tried.returncode, 1, tried.stdout)
                self.assertIn(said, tried.stdout + tried.stderr)
                with self.assertRaises(AssertionError) as raised:
                    node.start()
                self.assertIn(said, str(raised.exception))

    def test_what_is_no_build_is_refused_in_the_same_words(self):
        for isolate in (False, True):
            node = IsolatedNode({"zoo": {"module": os.path.join(BUILD, "zoo", "no_table.so"), "isolate": isolate}})
            checked = subprocess.run([program("logstore-broker"), "--check", node.config], env=node.env,
                                     capture_output=True, text=True, timeout=60)
            self.assertEqual(checked.returncode, 1)
            self.assertIn("its table 'broker_plugin' is missing or incomplete", checked.stderr)

    def test_isolate_is_a_setting_like_any_other_on_reload(self):
        node = self.start(unwell(isolate=False))
        self.assertEqual(int(node.get("/unwell")[2]), node.process.pid)
        with open(node.config) as f:
            config = json.load(f)
        for isolate in (True, False):
            config["plugins"]["unwell"]["isolate"] = isolate
            with open(node.config, "w") as f:
                json.dump(config, f)
            result = command(node, "reload")
            self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
            self.assertEqual(int(node.get("/unwell")[2]) != node.process.pid, isolate)
        node.stop()


class Changes(unittest.TestCase):
    """Swaps: of isolated builds, and when their process is away."""

    def start(self, plugins, **rest):
        self.node = IsolatedNode(plugins, **rest).start()
        self.addCleanup(lambda: self.node.process and self.node.kill())
        return self.node

    def swap(self, name, file=None):
        result = command(self.node, "swap", name, *([file] if file else []))
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def test_no_request_fails_while_builds_are_swapped(self):
        node = self.start({"tally": {"module": tally_build("one")}})
        stop, wrong, counts = threading.Event(), [], []

        def ask():
            while not stop.is_set():
                status, _, body = node.get("/tally")
                counts.append(int(body.split()[0]) if status == 200 else wrong.append((status, body)))
                status, _, body = node.request("POST", "/tally", body=b"x" * 100000)
                if (status, body) != (200, b"100000"):
                    wrong.append((status, body))
        threads = [threading.Thread(target=ask) for _ in range(4)]
        [t.start() for t in threads]
        pids = set()
        for i in range(10):
            pids.add(node.pid("tally"))
            self.swap("tally", tally_build("two" if i % 2 == 0 else "one"))
        stop.set()
        [t.join() for t in threads]
        self.assertEqual(wrong, [])
        self.assertEqual(sorted(counts), list(range(1, len(counts) + 1)), "the state did not cross")
        self.assertEqual(len(pids), 10)
        until(lambda: not any(is_there(pid) for pid in pids), what="the old processes end")
        node.stop()

    def test_an_upload_crosses_a_swap(self):
        node = self.start({"tally": {"module": tally_build("one")}})
        connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=30)
        connection.putrequest("POST", "/tally")
        connection.putheader("Content-Length", str(3 << 20))
        connection.endheaders()
        for isolate in (True, False, True):
            connection.send(b"x" * (1 << 20))
            with open(node.config) as f:
                config = json.load(f)
            config["plugins"]["tally"]["isolate"] = isolate
            with open(node.config, "w") as f:
                json.dump(config, f)
            command(node, "reload")
            self.swap("tally", tally_build("two"))
        self.assertEqual(connection.getresponse().read(), b"%d" % (3 << 20))
        node.stop()

    def test_a_build_that_does_not_start_leaves_the_old_one_its_state(self):
        node = self.start({"tally": {"module": tally_build("one")}})
        self.assertEqual(node.get("/tally")[2].split()[0], b"1")
        pid = node.pid("tally")
        for bad in ("start_fails", "bad_state", "start_crashes"):
            self.assertEqual(command(node, "swap", "tally", tally_build(bad)).returncode, 1, bad)
            self.assertEqual(node.pid("tally"), pid)
        self.assertEqual(node.get("/tally")[2].split()[0], b"2")
        node.stop()

    def test_a_process_that_is_lost_in_a_swap_is_started_again(self):
        node = self.start(unwell(quiesceMs=60000), config={"swap": {"prepareMs": 5000, "pauseMs": 5000}})
        pid = node.pid("unwell")
        result = []
        thread = threading.Thread(target=lambda: result.append(command(node, "swap", "unwell")))
        thread.start()
        until(lambda: self.waits_in_poll(pid), what="it becomes quiet")
        os.kill(pid, signal.SIGKILL)
        thread.join()
        self.assertEqual(result[0].returncode, 0, result[0].stderr)
        until(lambda: node.get("/unwell")[0] == 200)
        self.assertNotEqual(node.pid("unwell"), pid)
        node.kill()

    def waits_in_poll(self, pid):
        with open("/proc/%d/wchan" % pid) as wchan:
            return "poll" in wchan.read() and "epoll" not in open("/proc/%d/wchan" % pid).read()

    def test_a_build_that_became_quiet_too_late_runs_on(self):
        node = self.start(unwell(quiesceMs=1500), config={"swap": {"prepareMs": 5000, "pauseMs": 300}})
        pid = int(node.get("/unwell")[2])
        result = command(node, "swap", "unwell")
        self.assertEqual(result.returncode, 1)
        self.assertIn("took too long to become quiet", result.stderr)
        until(lambda: node.get("/unwell")[0] == 200, what="it runs on")
        until(lambda: node.get("/unwell")[0] == 200 and node.get("/unwell/count")[0] == 200)
        self.assertEqual(int(node.get("/unwell")[2]), pid)
        node.stop()

    def test_a_store_that_is_down_refuses_and_another_build_takes_over(self):
        folder = tempfile.mkdtemp(prefix="logstore-isolate-")
        node = self.start({"logStore": {"db": {"dataPath": os.path.join(folder, "db"), "minFreeBytes": 0}},
                           "http": {"isolate": False}})
        path = "/streams/" + STREAM.replace("/", "%2F")
        self.assertEqual(node.request("POST", path, body=b'{"n":1}')[0], 200)
        for i in range(3):
            os.kill(until(lambda: node.pid("logStore")), signal.SIGKILL)
            until(lambda: (node.metric('isolated_restarts_total{plugin="logstore"}') or 0) > i or
                  "ended 3 times within ten minutes" in node.said())
        until(lambda: "ended 3 times within ten minutes" in node.said())
        self.assertGreaterEqual(node.request("POST", path, body=b'{"n":2}')[0], 500)
        self.assertGreaterEqual(node.get(node.data_path() + "/last?count=1")[0], 500)
        self.swap("logStore", os.path.join(BUILD, "swap", "logstore_b.so"))
        self.assertEqual(node.request("POST", path, body=b'{"n":3}')[0], 200)
        self.assertEqual([m["content"]["n"] for m in node.json(node.data_path() + "/last?count=9")["messages"]], [1, 3])
        node.stop()


class Interfaces(unittest.TestCase):
    """Plugins with sockets of their own."""

    def test_mqtt(self):
        node = mqtt_node({"isolate": True}, plugins={"logStore": {"isolate": True, "db": {
            "dataPath": os.path.join(tempfile.mkdtemp(prefix="logstore-isolate-"), "db"), "minFreeBytes": 0}}})
        self.addCleanup(lambda: node.process and node.kill())
        topic = OWNER + "/isolated"
        for port in self.ports(node):
            reader, writer = mqtt.Client(port, "reader"), mqtt.Client(port, "writer")
            reader.send(mqtt.subscribe(topic, qos=1)).packet()
            for n in range(100):
                writer.send(mqtt.publish(topic, {"n": n}, qos=1, number=n + 1))
            for n in range(100):
                self.assertEqual(writer.packet()[0], mqtt.PUBACK)
            for n in range(100):
                kind, _, body = reader.packet()
                self.assertEqual(kind, mqtt.PUBLISH)
                self.assertTrue(body.endswith(b'{"n": %d}' % n) or body.endswith(b'{"n":%d}' % n), body)
                reader.send(mqtt.ack(mqtt.PUBACK, n + 1))
            reader.close(), writer.close()
        self.assertEqual(len(node.json(node.data_path(topic) + "/last?count=1000")["messages"]), 200)
        node.stop()

    def ports(self, node):
        """Of the first process, and of the one after its end."""
        def found():
            return re.findall(r"MQTT 3\.1\.1 on 127\.0\.0\.1:(\d+)", node.said())
        yield int(found()[-1])
        pid = IsolatedNode.pid(node, "mqtt")
        self.assertIsNotNone(pid)
        os.kill(pid, signal.SIGKILL)
        until(lambda: len(found()) == 2 and node.get("/readyz")[0] == 200)
        yield int(found()[-1])

    def test_websockets(self):
        node = WsNode({"isolate": True}).start()
        self.addCleanup(lambda: node.process and node.kill())
        self.assertIsNotNone(IsolatedNode.pid(node, "websocket"))
        with node.subscribed() as live, node.client("publish", ack="true") as out:
            for n in range(200):
                out.send(json.dumps({"n": n}))
            self.assertEqual([json.loads(out.receive())["ack"]["index"] for _ in range(200)], list(range(200)))
            self.assertEqual([json.loads(live.receive())["n"] for _ in range(200)], list(range(200)))
        self.assertEqual([c["n"] for c in node.contents()], list(range(200)))
        node.stop()

    def test_a_swap_closes_what_it_cannot_hand_over(self):
        with socket.create_server(("127.0.0.1", 0)) as s:
            port = s.getsockname()[1]  # a port that both builds want
        node = WsNode({"isolate": True, "port": port}).start()
        self.addCleanup(lambda: node.process and node.kill())
        with node.subscribed() as live:
            result = command(node, "swap", "websocket")
            self.assertEqual(result.returncode, 0, result.stderr)
            with self.assertRaises(Closed) as closed:
                live.receive()
            self.assertIn("1012", str(closed.exception))
        until(lambda: node.metric('websocket_connections{kind="subscribe"}') == 0, what="the new build says what it has")
        with node.subscribed() as live, node.client("publish") as out:
            out.send('{"n":1}')
            self.assertEqual(live.receive(), '{"n":1}')
        node.stop()


class Messages(unittest.TestCase):
    """An isolated store, and one who listens."""

    def setUp(self):
        folder = tempfile.mkdtemp(prefix="logstore-isolate-")
        self.node = IsolatedNode({"logStore": {"db": {"dataPath": os.path.join(folder, "db"), "minFreeBytes": 0}},
                                  "http": {"isolate": False}, **unwell(stream=STREAM)}).start()
        self.addCleanup(lambda: self.node.process and self.node.kill())

    def up(self):
        until(lambda: self.node.get(self.node.data_path() + "/last?count=1&format=raw")[0] == 200)

    def test_what_is_uploaded_is_stored_and_heard(self):
        data = generate(2000)
        status, report = self.node.upload(data)
        self.assertEqual((status, report["stored"]), (200, 2000), report)
        self.assertEqual(len(self.node.raw()), 2000)
        until(lambda: self.node.get("/unwell/count")[2] == b"2000")
        status, report = self.node.upload(data)
        self.assertEqual((status, report["duplicates"]), (200, 2000), report)
        self.node.stop()

    def test_what_was_acknowledged_survives_a_kill(self):
        first, second = generate(500, seed=1), generate(500, seed=2, start=1700001000000)
        self.assertEqual(self.node.upload(first)[1]["stored"], 500)
        os.kill(self.node.pid("logStore"), signal.SIGKILL)
        until(lambda: self.node.metric('isolated_restarts_total{plugin="logstore"}') == 1)
        self.up()
        self.assertEqual(sorted(self.node.raw()), sorted(split(first)))
        self.assertEqual(self.node.upload(second)[1]["stored"], 500)
        self.assertEqual(sorted(self.node.raw()), sorted(split(first) + split(second)))
        self.node.stop()
        self.node.start()
        self.assertEqual(sorted(self.node.raw()), sorted(split(first) + split(second)))
        self.node.stop()

    def test_nothing_is_acknowledged_that_a_dead_store_had(self):
        pid = self.node.pid("logStore")
        os.kill(pid, signal.SIGSTOP)
        answers = []

        def upload():
            answers.append(self.node.request("POST", self.node.data_path(), body=generate(100, seed=3)))

        def publish():
            answers.append(self.node.request("POST", "/streams/" + STREAM.replace("/", "%2F"), body=b'{"a":1}'))
        threads = [threading.Thread(target=upload), threading.Thread(target=publish)]
        [t.start() for t in threads]
        until(lambda: self.node.metric("bus_in_flight_messages") >= 1)
        os.kill(pid, signal.SIGKILL)
        [t.join() for t in threads]
        # What the dead store had not taken yet may go to the one after it: then it is there.
        acknowledged = sum(status == 200 and body == b"OK" for status, _, body in answers)
        self.assertEqual([status >= 500 for status, _, _ in answers].count(False), acknowledged, answers)
        self.up()
        self.assertEqual(len(self.node.raw()), acknowledged)
        self.node.stop()

    def test_uploads_and_kills_without_end_lose_nothing_acknowledged(self):
        stop, acknowledged, wrong = threading.Event(), [], []

        def upload(number):
            for i in range(1000):
                if stop.is_set():
                    return
                data = generate(50, seed=100 * number + i + 1, start=1700000000000 + (100 * number + i) * 100000)
                try:
                    status, report = self.node.upload(data)
                except (http.client.HTTPException, ConnectionError, ValueError):
                    continue
                if status == 200 and report["stored"] + report["duplicates"] == 50:
                    acknowledged.extend(split(data))
                elif status < 500:
                    wrong.append((status, report))
        threads = [threading.Thread(target=upload, args=(i,)) for i in range(2)]
        [t.start() for t in threads]
        for i in range(2):
            before = len(acknowledged)
            until(lambda: len(acknowledged) > before + 200)
            os.kill(until(lambda: self.node.pid("logStore")), signal.SIGKILL)
            until(lambda: (self.node.metric('isolated_restarts_total{plugin="logstore"}') or 0) > i)
            self.up()
        stop.set()
        [t.join() for t in threads]
        self.assertEqual(wrong, [])
        self.assertEqual(set(acknowledged) - set(self.node.raw()), set())
        self.node.stop()

    def test_a_listener_that_ends_hears_what_comes_after(self):
        self.assertEqual(self.node.upload(generate(100, seed=5))[0], 200)
        until(lambda: self.node.get("/unwell/count")[2] == b"100")
        self.assertEqual(self.node.get("/unwell/do/segv")[0], 503)
        self.assertEqual(self.node.upload(generate(70, seed=6, start=1700005000000))[0], 200)
        until(lambda: self.node.get("/unwell/count")[2] == b"70")
        self.node.stop()


if __name__ == "__main__":
    unittest.main()
