"""Builds are swapped while traffic flows; what is wrong with a new one costs nobody anything."""
import http.client
import itertools
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))
import mqtt  # noqa: E402
from node import BUILD, STREAM, Node, generate, join, program, split, until  # noqa: E402
import ws  # noqa: E402
from test_lines import END, Client, chunk  # noqa: E402
from test_websocket import WsNode  # noqa: E402
from wire import Cut  # noqa: E402


def build(name):
    return os.path.join(BUILD, "swap", name + ".so")


class SwapNode(Node):
    """A node with the tally, whose file is `current`."""

    def __init__(self, first="one", host=None, **settings):
        folder = tempfile.mkdtemp(prefix="logstore-swap-")
        self.current = os.path.join(folder, "tally.so")
        shutil.copy(build(first), self.current)
        super().__init__(folder=folder, plugins={"tally": dict(module=self.current, **settings)},
                         config=dict({"swap": {"prepareMs": 1000, "pauseMs": 1000}, "shutdownTimeoutMs": 2000},
                                     **(host or {})))

    def put(self, name):
        """Replace the file as an installer does: written beside it, then renamed."""
        shutil.copy(build(name), self.current + ".new")
        os.rename(self.current + ".new", self.current)


def command(node, *arguments):
    return subprocess.run([program("logstore-broker"), arguments[0], "--config", node.config, *arguments[1:]],
                          env=node.env, capture_output=True, text=True, timeout=60)


def tally(node):
    status, _, body = node.get("/tally")
    assert status == 200, body
    count, version = body.decode().split()
    return int(count), version


class Swaps(unittest.TestCase):
    def setUp(self):
        self.node = SwapNode().start()

    def tearDown(self):
        self.node.stop()

    def swap(self, name, expected=0):
        result = command(self.node, "swap", "tally", build(name))
        self.assertEqual(result.returncode, expected, result.stdout + result.stderr)
        return result.stdout + result.stderr

    def refused(self, name, reason, before=None):
        """The swap fails with the reason, and what ran before runs on, its count too."""
        before = before or "1.0.0"
        count, _ = tally(self.node)
        self.assertIn(reason, self.swap(name, 1))
        self.assertEqual(tally(self.node), (count + 1, before))
        self.assertIn(reason, self.node.said())

    def test_the_next_build_goes_on_with_the_state_of_the_one_before(self):
        self.assertEqual(tally(self.node), (1, "1.0.0"))
        self.assertIn("1.0.0", self.swap("two"))
        self.assertEqual(tally(self.node), (2, "2.0.0"))
        self.swap("one")
        self.assertEqual(tally(self.node), (3, "1.0.0"))

    def test_a_build_that_does_not_start_is_rolled_back(self):
        self.refused("start_fails", "the abacus is broken")

    def test_a_build_that_refuses_the_state_is_rolled_back(self):
        self.refused("bad_state", "the count is in roman numerals")

    def test_a_build_that_crashes_in_create_or_a_constructor_never_comes_in(self):
        self.refused("create_crashes", "it crashes when it is tried in a process of its own")
        self.refused("constructor_crashes", "it crashes when it is tried in a process of its own")

    def test_a_file_that_is_no_build_is_refused(self):
        path = os.path.join(self.node.folder, "text.so")
        with open(path, "w") as out:
            out.write("hello")
        result = command(self.node, "swap", "tally", path)
        self.assertEqual(result.returncode, 1)
        self.assertIn("not a shared library", result.stderr)
        self.assertEqual(tally(self.node), (1, "1.0.0"))

    def test_a_build_of_another_plugin_is_refused(self):
        self.refused("other_name", "is a build of plugin 'other', not of 'tally'")

    def test_a_build_that_never_becomes_quiet_runs_on(self):
        self.swap("never_quiet")
        self.refused("two", "took too long to become quiet", "6.6.6")
        self.node.stop(expected=4)  # it is stuck at the end too, and says so
        self.assertIn("'tally' did not let go in time", self.node.said())

    def test_a_build_that_never_is_prepared_runs_on(self):
        self.swap("never_prepared")
        self.refused("two", "took too long to prepare", "6.6.6")
        self.node.stop(expected=4)

    def test_a_build_that_fails_to_become_quiet_runs_on(self):
        self.swap("quiesce_fails")
        self.refused("two", "the beads are stuck", "6.6.6")

    def test_a_build_that_keeps_a_job_running_gets_its_state_back(self):
        self.swap("keeps_a_job")
        self.refused("two", "says it is quiet, but still holds 1 running", "6.6.6")

    def test_a_dry_run_says_what_would_happen_and_changes_nothing(self):
        result = command(self.node, "swap", "--dry-run", "tally", build("two"))
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("would be accepted: 2.0.0", result.stdout)
        result = command(self.node, "swap", "--dry-run", "tally", build("other_name"))
        self.assertEqual(result.returncode, 0, "it can be loaded; that it is another one only the node knows")
        self.assertEqual(tally(self.node)[1], "1.0.0")

    def test_a_plugin_nobody_knows_is_named(self):
        result = command(self.node, "swap", "nosuch")
        self.assertEqual(result.returncode, 1)
        self.assertIn("the configuration has no such plugin", result.stderr)

    def test_disabled_and_enabled_again(self):
        self.assertEqual(command(self.node, "disable", "tally").returncode, 0)
        self.assertEqual(self.node.get("/tally")[0], 404)
        self.assertIn("no plugin of that name runs", command(self.node, "disable", "tally").stderr)
        self.assertEqual(command(self.node, "enable", "tally").returncode, 0)
        self.assertEqual(tally(self.node), (1, "1.0.0"))
        self.assertIn("it runs already", command(self.node, "enable", "tally").stderr)

    def test_what_is_asked_while_it_is_disabled_is_answered(self):
        self.swap("keeps_a_job")  # so that it takes a while
        result = []
        thread = threading.Thread(target=lambda: result.append(command(self.node, "disable", "tally")), daemon=True)
        thread.start()
        while self.node.get("/tally")[0] != 404:
            pass
        thread.join()
        self.assertEqual(result[0].returncode, 0, result[0].stderr)

    def test_the_list_shows_what_runs(self):
        self.swap("two")
        listed = command(self.node, "plugins").stdout
        self.assertRegex(listed, r"tally +tally +2\.0\.0 +[0-9a-f]{12} ABI 1\.0 +running ")

    def test_a_hundred_swaps_leave_nothing_behind(self):
        self.swap("two")
        maps = len(open("/proc/%d/maps" % self.node.process.pid).readlines())
        rss = self.node.rss()
        for i in range(50):
            self.swap("one")
            self.swap("two")
        self.assertEqual(tally(self.node), (1, "2.0.0"))
        if "asan" not in BUILD and "tsan" not in BUILD:  # there the code stays, for the reports
            self.assertLess(len(open("/proc/%d/maps" % self.node.process.pid).readlines()), maps + 10)
            self.assertLess(self.node.rss(), rss + (4 << 20))

    def test_requests_that_are_open_go_on_with_the_next_build(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.node.port, timeout=30)
        connection.putrequest("POST", "/tally")
        connection.putheader("Content-Length", str(1 << 20))
        connection.endheaders()
        connection.send(b"x" * 1000)
        slow = http.client.HTTPConnection("127.0.0.1", self.node.port, timeout=30)
        slow.request("GET", "/tally/slow")
        answer = slow.getresponse()
        numbers = answer.read(100000)
        self.swap("two")
        numbers += answer.read(1000000)
        connection.send(b"x" * ((1 << 20) - 2000))
        self.swap("one")
        connection.send(b"x" * 1000)
        self.assertEqual(connection.getresponse().read(), b"%d" % (1 << 20))
        numbers += answer.read()
        self.assertEqual(numbers, b"".join(b"%d\n" % (n + 1) for n in range(1000000)))


class Files(unittest.TestCase):
    def test_sighup_swaps_what_differs(self):
        node = SwapNode().start()
        node.process.send_signal(signal.SIGHUP)
        until(lambda: "is read again" in node.said())
        self.assertEqual(tally(node), (1, "1.0.0"))
        node.put("two")
        node.process.send_signal(signal.SIGHUP)
        until(lambda: "'tally' was swapped" in node.said())
        self.assertEqual(tally(node), (2, "2.0.0"))
        node.stop()

    def test_stopping_in_the_middle_of_a_swap_starts_nothing(self):
        node = SwapNode("keeps_a_job", host={"swap": {"prepareMs": 1000, "pauseMs": 20000},
                                             "shutdownTimeoutMs": 20000}).start()
        threading.Thread(target=command, args=(node, "swap", "tally", build("two")), daemon=True).start()
        until(lambda: " stopped " in command(node, "plugins").stdout, what="the old build is quiet")
        node.stop()
        self.assertNotIn("crashed", node.said())

    def test_a_file_given_by_hand_stays_until_the_next_start(self):
        node = SwapNode().start()
        self.assertEqual(command(node, "swap", "tally", build("two")).returncode, 0)
        self.assertEqual(command(node, "reload").stdout, "nothing to do\n")
        self.assertEqual(tally(node), (1, "2.0.0"))
        node.stop()
        node.start()
        self.assertEqual(tally(node), (1, "1.0.0"))
        node.stop()

    def test_a_stream_gets_partitions_while_somebody_listens_to_it(self):
        stream = "0x" + "22" * 20 + "/other"
        node = Node(plugins={"filter": {"module": os.path.join(BUILD, "examples", "filter.so"), "from": stream,
                                        "to": STREAM}}).start()
        with open(node.config) as file:
            config = json.load(file)
        config["mode"]["trackedStreams"].append({"id": stream, "partitions": 3})
        with open(node.config, "w") as file:
            json.dump(config, file)
        self.assertEqual(command(node, "reload").returncode, 0)
        self.assertEqual(command(node, "disable", "filter").returncode, 0)
        node.stop()

    def test_a_watched_file_is_swapped_when_it_is_replaced(self):
        node = SwapNode(watch=True).start()
        self.assertEqual(tally(node), (1, "1.0.0"))
        node.put("two")
        until(lambda: "'tally' was swapped" in node.said())
        self.assertEqual(tally(node), (2, "2.0.0"))
        node.put("create_crashes")
        until(lambda: "it crashes when it is tried" in node.said())
        self.assertEqual(tally(node), (3, "2.0.0"))
        node.stop()

    def test_reload_enables_disables_and_says_what_takes_a_restart(self):
        node = SwapNode().start()
        with open(node.config) as file:
            config = json.load(file)
        config["plugins"]["http"] = {}
        config["httpServer"]["maxConnections"] = 77
        with open(node.config, "w") as file:
            json.dump(config, file)
        result = command(node, "reload")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("'http' was enabled", result.stdout)
        self.assertIn("'httpServer' changed, which takes effect when the node is started again", result.stdout)
        del config["plugins"]["tally"]
        with open(node.config, "w") as file:
            json.dump(config, file)
        self.assertIn("'tally' was disabled", command(node, "reload").stdout)
        self.assertEqual(node.get("/tally")[0], 404)
        with open(node.config, "w") as file:
            file.write("{ \"plugins\": 5 }")
        result = command(node, "reload")
        self.assertEqual(result.returncode, 1)
        self.assertIn("config.json", result.stderr)
        self.assertEqual(node.get("/healthz")[0], 200)
        node.stop()

    def test_reload_makes_the_store_take_streams_that_are_tracked_from_now_on(self):
        node, other = Node().start(), "0x" + "22" * 20 + "/other"
        data = generate(10, stream=other)
        status, answer = node.upload(data, stream=other)
        self.assertEqual((answer["stored"], len(answer["rejected"])), (0, 10))
        with open(node.config) as file:
            config = json.load(file)
        config["mode"]["trackedStreams"].append({"id": other})
        with open(node.config, "w") as file:
            json.dump(config, file)
        result = command(node, "reload")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("'logStore' was swapped", result.stdout)
        self.assertNotIn("'http'", result.stdout, "it reads nothing of that")
        self.assertEqual(node.upload(data, stream=other)[1]["stored"], 10)
        node.stop()

    def test_no_node_is_told_apart_from_a_refusal(self):
        node = SwapNode()
        result = command(node, "plugins")
        self.assertEqual(result.returncode, 3)
        self.assertIn("no node answers at", result.stderr)

    def test_the_socket_of_a_dead_node_is_taken_over(self):
        node = SwapNode().start()
        node.kill()
        node.start()
        self.assertEqual(command(node, "plugins").returncode, 0)
        self.assertEqual(os.stat(os.path.join(node.folder, ".logstore", "admin.sock")).st_mode & 0o777, 0o600)
        node.stop()


class Store(unittest.TestCase):
    """The store itself, under upload and slow readers, loses and doubles nothing."""

    def test_uploads_and_answers_cross_swaps_of_the_store(self):
        node = Node().start()
        messages = split(generate(30000, content=200))
        node.upload(join(messages[:20000]))
        readers = []
        last = {"last": "/last?count=15000&format=raw", "limited": "/last?count=15000&limit=14000&format=raw"}
        for form in ("raw", "object", "last", "limited"):
            connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=60)
            connection.request("GET", node.data_path() + last.get(form, "/from?fromTimestamp=0&format=" + form))
            answer = connection.getresponse()
            readers.append((form, answer, [answer.read(1000)]))
        body = join(messages[20000:])
        upload = http.client.HTTPConnection("127.0.0.1", node.port, timeout=60)
        upload.putrequest("POST", node.data_path())
        upload.putheader("Content-Length", str(len(body)))
        upload.endheaders()
        at = 0
        for i in range(6):
            upload.send(body[at:at + 300001])
            at += 300001
            result = command(node, "swap", "logStore", build("logstore_b") if i % 2 == 0 else
                             os.path.join(BUILD, "plugins", "logstore.so"))
            self.assertEqual(result.returncode, 0, result.stderr)
            for _, answer, parts in readers:
                parts.append(answer.read(150000))
        upload.send(body[at:])
        answer = upload.getresponse()
        self.assertEqual(json.loads(answer.read()), {"stored": 10000, "duplicates": 0, "rejected": []})
        for form, answer, parts in readers:
            data = b"".join(parts) + answer.read()
            if form == "object":
                got = json.loads(data)["messages"]
                self.assertEqual(len(set(json.dumps(m) for m in got)), len(got))
                self.assertGreaterEqual(len(got), 20000)
            elif form == "last":
                self.assertEqual(split(data), messages[5000:20000])
            elif form == "limited":
                self.assertEqual(split(data), messages[5000:19000])
            else:
                got = split(data)
                self.assertEqual(got[:20000], messages[:20000])
                self.assertEqual(got, messages[:len(got)])
        self.assertEqual(node.raw(), messages)
        node.stop()

    def test_an_upload_that_is_answered_meanwhile_crosses_swaps_of_the_store(self):
        node = Node().start()
        messages = split(generate(16000, content=200))
        ends = list(itertools.accumulate(len(m) + 4 for m in messages))
        body = join(messages)
        lines, at = [], 0
        with Client(node) as c:
            c.begin(node.data_path())
            for i in range(6):
                part = body[at:at + 800001]
                c.send(chunk(part))
                at += len(part)
                if i % 2 == 0:  # else it is in flight, and the next build tells what became of it
                    whole = sum(end <= at for end in ends)
                    lines += c.settled(whole - sum(line["count"] for line in lines))
                result = command(node, "swap", "logStore", build("logstore_b") if i % 2 == 0 else
                                 os.path.join(BUILD, "plugins", "logstore.so"))
                self.assertEqual(result.returncode, 0, result.stderr)
            c.send(chunk(body[at:]) + END)
            lines += c.settled(len(messages) - sum(line["count"] for line in lines))
            self.assertEqual(c.last(), {"stored": len(messages), "duplicates": 0, "rejected": []})
            c.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            self.assertEqual(c.answer().status, 200)
        self.assertEqual(sum(line["stored"] for line in lines), len(messages))
        self.assertEqual(node.raw(), messages)
        node.stop()

    def test_an_upload_that_ends_before_its_body_does_not_keep_the_store_from_being_swapped(self):
        node = Node(config={"swap": {"prepareMs": 5000}}).start()
        messages = split(generate(20000, content=200))
        with Client(node) as c:
            c.begin(node.data_path())
            c.send(chunk(join(messages) + b"\xff\xff\xff\xff"))  # and the body is not over
            result = command(node, "swap", "logStore", build("logstore_b"))
            self.assertEqual(result.returncode, 0, result.stderr)
            last = c.last()
            self.assertEqual(last["stored"], len(messages))
            self.assertIn("longer than 1 MiB", last["error"])
        self.assertEqual(node.raw(), messages)
        node.stop()

    def test_many_small_requests_see_no_swap(self):
        node = Node().start()
        self.addCleanup(lambda: node.process and node.kill())
        messages = split(generate(4000))
        failures, done, stored = [], threading.Event(), []
        self.addCleanup(done.set)

        def told(work, *arguments):
            try:
                work(*arguments)
            except Exception as why:  # the thread's end would pass unseen
                failures.append(why)

        def post(mine):
            for m in mine:
                status, answer = node.upload(join([m]))
                if status != 200 or answer["stored"] != 1:
                    failures.append((status, answer))
                stored.append(m)

        def get():
            while not done.is_set():
                status, _, body = node.get(node.data_path() + "/last?count=1&format=raw")
                if status != 200:
                    failures.append((status, body))

        workers = [threading.Thread(target=told, args=(post, messages[i::4]), daemon=True) for i in range(4)]
        readers = [threading.Thread(target=told, args=(get,), daemon=True) for _ in range(4)]
        for t in workers + readers:
            t.start()
        swaps = 0
        while any(t.is_alive() for t in workers):
            result = command(node, "swap", "logStore")
            self.assertEqual(result.returncode, 0, result.stderr)
            swaps += 1
        done.set()
        for t in workers + readers:
            t.join()
        self.assertEqual(failures, [])
        self.assertGreater(swaps, 3)
        self.assertEqual(node.raw(), messages)
        node.stop()


class Interfaces(unittest.TestCase):
    """Clients of the interfaces keep their connections, and see each message once."""

    def test_websocket_subscribers_see_every_message_once_across_swaps_of_it_and_of_the_store(self):
        node = Node(plugins={"websocket": {"port": 0}, "logStore": {"db": {"minFreeBytes": 0}}}).start()
        port = int(re.search(r"listening on ws://127.0.0.1:(\d+)", node.said()).group(1))
        target = "/streams/%s/subscribe" % STREAM.replace("/", "%2F")
        clients = [ws.Client(port, target) for _ in range(16)]
        messages = split(generate(3000, content=40))
        seen = [[] for _ in clients]

        def read(i):
            while len(seen[i]) < len(messages):
                seen[i].append(json.loads(clients[i].receive())["n"])

        readers = [threading.Thread(target=read, args=(i,)) for i in range(len(clients))]
        for r in readers:
            r.start()
        for at in range(0, len(messages), 100):
            self.assertEqual(node.upload(join(messages[at:at + 100]))[1]["stored"], 100)
            result = command(node, "swap", "websocket" if at % 200 == 0 else "logStore")
            self.assertEqual(result.returncode, 0, result.stderr)
        for r in readers:
            r.join(60)
        for numbers in seen:
            self.assertEqual(numbers, list(range(3000)))
        node.stop()

    def test_websocket_clients_lose_nothing_while_it_is_swapped_under_load(self):
        count, uploaded, published = 10000, STREAM + "/uploaded", STREAM + "/published"
        node = WsNode().start()
        out = node.client("publish", published, ack="true")
        clients = [node.subscribed(uploaded) for _ in range(16)] + [node.subscribed(published), out]
        seen = [[] for _ in clients]

        def read(i):
            while len(seen[i]) < count:
                seen[i].append(json.loads(clients[i].receive()))

        data = generate(count, stream=uploaded)
        threads = [threading.Thread(target=read, args=(i,)) for i in range(len(clients))]
        threads.append(threading.Thread(target=node.upload, args=(data, uploaded)))
        threads.append(threading.Thread(target=ws.flood, args=(out, ['{"n":%d}' % n for n in range(count)])))
        for t in threads:
            t.start()
        swaps = 0
        while swaps < 3 or any(t.is_alive() for t in threads):
            result = command(node, "swap", "websocket")
            self.assertEqual(result.returncode, 0, result.stderr)
            swaps += 1
        answers = seen.pop()
        self.assertEqual([a["ack"]["index"] for a in answers], list(range(count)))
        for messages in seen:
            self.assertEqual([m["n"] for m in messages], list(range(count)))
        node.stop()

    def test_websocket_publishers_get_every_answer_across_swaps(self):
        node = Node(plugins={"websocket": {"port": 0}, "logStore": {"db": {"minFreeBytes": 0}}}).start()
        port = int(re.search(r"listening on ws://127.0.0.1:(\d+)", node.said()).group(1))
        out = ws.Client(port, "/streams/%s/publish?ack=true" % STREAM.replace("/", "%2F"))
        answers = []
        reader = threading.Thread(target=lambda: [answers.append(json.loads(out.receive())) for _ in range(2000)])
        reader.start()
        for n in range(2000):
            out.send('{"n":%d}' % n)
            if n % 100 == 0:
                result = command(node, "swap", "websocket" if n % 200 == 0 else "logStore")
                self.assertEqual(result.returncode, 0, result.stderr)
        reader.join(60)
        self.assertEqual([a["ack"]["index"] for a in answers], list(range(2000)))
        self.assertEqual({a["ack"]["outcome"] for a in answers}, {"stored"})
        stored = node.json(node.data_path() + "/from?fromTimestamp=0")["messages"]
        self.assertEqual([m["content"]["n"] for m in stored], list(range(2000)))
        node.stop()

    def test_what_mqtt_acknowledges_while_the_node_stops_is_stored(self):
        # The store is named last, so it leaves first.
        node = Node(plugins={"mqtt": {"port": 0}, "logStore": {"db": {"minFreeBytes": 0}}}).start()
        port = int(re.search(r"MQTT 3\.1\.1 on 127\.0\.0\.1:(\d+)", node.said()).group(1))
        publisher, acked = mqtt.Client(port, "p"), []

        def read_acks():
            try:
                while True:
                    _, _, body = publisher.packet()
                    acked.append(struct.unpack(">H", body)[0] - 1)
            except Cut:
                pass

        reader = threading.Thread(target=read_acks, daemon=True)
        reader.start()
        sender = threading.Thread(target=lambda: [publisher.send(mqtt.publish(STREAM, {"n": n}, qos=1, number=n + 1))
                                                  for n in range(60000)], daemon=True)
        sender.start()
        until(lambda: len(acked) > 1000, what="acknowledgements")
        node.stop()
        reader.join(60)
        sender.join(60)
        node.start()
        stored = {m["content"]["n"] for m in node.json(node.data_path() + "/from?fromTimestamp=0")["messages"]}
        self.assertEqual(set(acked) - stored, set())
        node.stop()

    def test_mqtt_clients_get_every_message_and_every_acknowledgement_once_across_swaps(self):
        node = Node(plugins={"mqtt": {"port": 0}, "logStore": {"db": {"minFreeBytes": 0}}}).start()
        port = int(re.search(r"MQTT 3\.1\.1 on 127\.0\.0\.1:(\d+)", node.said()).group(1))
        subscriber, publisher, seen, acks = mqtt.Client(port, "s"), mqtt.Client(port, "p"), [], []
        self.assertEqual(subscriber.subscribed(STREAM, qos=1), [1])

        def read_messages():
            while len(seen) < 2000:
                _, payload, _, number, dup = subscriber.message()
                subscriber.send(mqtt.ack(mqtt.PUBACK, number))
                seen.append((payload["n"], dup))

        def read_acks():
            while len(acks) < 2000:
                kind, _, body = publisher.packet()
                acks.append((kind, struct.unpack(">H", body)[0]))

        readers = [threading.Thread(target=read_messages), threading.Thread(target=read_acks)]
        for r in readers:
            r.start()
        for n in range(2000):
            publisher.send(mqtt.publish(STREAM, {"n": n}, qos=1, number=n + 1))
            if n % 100 == 0:
                result = command(node, "swap", "mqtt" if n % 200 == 0 else "logStore")
                self.assertEqual(result.returncode, 0, result.stderr)
        for r in readers:
            r.join(60)
        self.assertEqual(seen, [(n, False) for n in range(2000)])
        self.assertEqual(acks, [(mqtt.PUBACK, n + 1) for n in range(2000)])
        stored = node.json(node.data_path() + "/from?fromTimestamp=0")["messages"]
        self.assertEqual([m["content"]["n"] for m in stored], list(range(2000)))
        node.stop()


if __name__ == "__main__":
    unittest.main()
