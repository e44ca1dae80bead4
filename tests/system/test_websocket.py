"""The websocket plugin from outside: what publishers and subscribers see."""
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import unittest

from node import OWNER, ROOT, STREAM, Node, generate, join, program, split, until
from test_tls import certificate
from ws import BINARY, CLOSE, PING, TEXT, Client, Closed, Refused, flood, path

SANITIZED = "asan" in os.environ.get("BUILD_DIR", "")


class WsNode(Node):
    def __init__(self, settings=None, store=True, **rest):
        folder = rest.pop("folder", None) or tempfile.mkdtemp(prefix="logstore-test-")
        plugins = {"logStore": {"db": {"dataPath": os.path.join(folder, "db"), "minFreeBytes": 0}}} if store else {}
        plugins["websocket"] = dict({"port": 0}, **(settings or {}))
        super().__init__(folder=folder, plugins=plugins, **rest)

    def start(self):
        super().start()
        self.ws_port = int(re.search(r"listening on wss?://\S+:(\d+)", self.said()).group(1))
        return self

    def client(self, kind, stream=STREAM, **query):
        options = {k: query.pop(k) for k in ("receive_buffer", "context") if k in query}
        return Client(self.ws_port, path(stream, kind, **query), **options)

    def subscribed(self, stream=STREAM, **query):
        """A subscriber that is one: what is published from now on reaches it."""
        before = self.metric('websocket_connections{kind="subscribe"}')
        client = self.client("subscribe", stream, **query)
        until(lambda: self.metric('websocket_connections{kind="subscribe"}') > before, what="it is subscribed")
        return client

    def metric(self, name):
        body = self.get("/metrics")[2].decode()
        found = re.search("^" + re.escape(name) + r" (\S+)$", body, re.M)
        return float(found.group(1)) if found else 0

    def contents(self, stream=STREAM, partition=0):
        answer = self.json(self.data_path(stream, partition) + "/from?fromTimestamp=0")
        return [m["content"] for m in answer["messages"]]


class Websocket(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.node = WsNode().start()

    @classmethod
    def tearDownClass(cls):
        cls.node.stop()

    def stream(self):
        return OWNER + "/" + self.id().rsplit(".", 1)[1]

    def test_a_message_goes_to_the_subscriber_and_to_the_store(self):
        s = self.stream()
        text = '{"n":1, "text":"w\u00f6rld"}'
        with self.node.subscribed(s) as live, self.node.client("publish", s) as out:
            out.send(text)
            self.assertEqual(live.receive(), text)
            until(lambda: self.node.contents(s) == [json.loads(text)], what="it is stored")
            out.send(text.encode(), BINARY)
            self.assertEqual(live.receive(), text, "a binary message is text")

    def test_refusals_are_the_line_the_streamr_node_sends(self):
        for target in ("/", "/streams/x", path(STREAM, "publish", partition=0, partitionKey="a"),
                       path(STREAM, "subscribe", partitions="0,x"), path("nodomain", "publish")):
            with self.assertRaises(Refused, msg=target) as refused:
                Client(self.node.ws_port, target)
            self.assertEqual(refused.exception.args[0], b"HTTP/1.1 400 Bad Request\r\n\r\n", target)

    def test_any_prefix_and_any_case_of_the_address_will_do(self):
        s = self.stream()
        with self.node.subscribed(s.replace("0x19e7", "0x19E7")) as live:
            with Client(self.node.ws_port, "/api/v2" + path(s, "publish")) as out:
                out.send("{}")
                self.assertEqual(live.receive(), "{}")

    def test_every_message_is_answered_in_order_when_that_is_asked_for(self):
        s = self.stream()
        with self.node.client("publish", s, ack="true") as out:
            for m in ('{"n":0}', "[1]", "ping", "nonsense", '{"n":3}'):
                out.send(m)
            answers = [out.receive() for _ in range(5)]
        answers.remove("pong")  # it waits for no outcome, so it may come before any of them
        answers = [json.loads(a) for a in answers]
        self.assertEqual([a.get("ack", a.get("error"))["index"] for a in answers], [0, 1, 2, 3])
        self.assertEqual(answers[1], {"error": {"index": 1, "reason": "Content is not an object"}})
        self.assertIn("Payload is not a JSON string", answers[2]["error"]["reason"])
        self.assertEqual(answers[0]["ack"]["outcome"], "stored")
        stored = self.node.json(self.node.data_path(s) + "/last?count=2")["messages"]
        for answer, m in zip((answers[0], answers[3]), stored):
            self.assertEqual(answer["ack"]["id"], [m["streamId"], m["streamPartition"], m["timestamp"],
                                                   m["sequenceNumber"], m["publisherId"], m["msgChainId"]])

    def test_faults_without_ack_are_logged_counted_and_survived(self):
        s = self.stream()
        before = self.node.metric('websocket_errors_total{reason="payload"}')
        with self.node.subscribed(s) as live, self.node.client("publish", s) as out:
            for m in ("", "null", "7", "{", '{"n":1}'):
                out.send(m)
            self.assertEqual(live.receive(), '{"n":1}')
            self.assertEqual(self.node.metric('websocket_errors_total{reason="payload"}') - before, 4)
            out.send("ping")
            self.assertEqual(out.receive(), "pong", "nothing else came")
        self.assertIn("is not published: ", self.node.said())

    def test_each_connection_has_a_chain(self):
        s = self.stream()
        for _ in range(2):
            with self.node.client("publish", s, ack="true") as out:
                for _ in range(3):
                    out.send("{}")
                    out.receive()
        chains = [m["msgChainId"] for m in self.node.json(self.node.data_path(s) + "/from?fromTimestamp=0")["messages"]]
        self.assertEqual(len(chains), 6)
        self.assertEqual([chains.count(c) for c in set(chains)], [3, 3])

    def test_text_ping_is_answered_on_both_kinds(self):
        for kind in ("publish", "subscribe"):
            with self.node.client(kind) as c:
                c.send("ping")
                self.assertEqual(c.receive(), "pong")

    def test_a_ping_frame_comes_at_connect(self):
        for kind in ("publish", "subscribe"):
            with self.node.client(kind) as c:
                c.socket.settimeout(5)  # the next one would be due later
                self.assertEqual(c.frame()[0], PING)

    def test_what_no_subscriber_may_read_does_not_come(self):
        with open(os.path.join(ROOT, "tests", "vectors", "streamr.json")) as file:
            vectors = {m["name"]: bytes.fromhex(m["protobuf"]) for m in json.load(file)["streamMessages"]}
        names = ["json-plain-first-in-chain", "aes-json", "json-same-timestamp-seq-1", "aes-binary", "binary-plain",
                 "json-plain-with-prev-ref"]
        s = OWNER + "/vectors"
        encrypted = self.node.metric('websocket_dropped_total{reason="encrypted"}')
        with self.node.subscribed(s) as live:
            status, answer = self.node.upload(join([vectors[n] for n in names]), s)
            self.assertEqual((status, answer["stored"]), (200, len(names)), answer)
            self.assertEqual(json.loads(live.receive()), {"hello": "world"})
            self.assertEqual(json.loads(live.receive()),
                             {"0": 0, "1": 1, "2": 2, "3": 127, "4": 128, "5": 254, "6": 255})
            self.assertIn("text", json.loads(live.receive()))
        self.assertEqual(self.node.metric('websocket_dropped_total{reason="encrypted"}') - encrypted, 2)
        self.assertGreaterEqual(self.node.metric('websocket_dropped_total{reason="not_object"}'), 1)
        self.assertEqual(self.node.said().count("an encrypted message of"), 1, "once a minute")

    def test_sixteen_subscribers_get_twenty_thousand_messages_once_each(self):
        s, count = self.stream(), 20000 if not SANITIZED else 5000
        clients = [self.node.subscribed(s) for _ in range(16)]
        got = [None] * len(clients)

        def read(i):
            got[i] = [json.loads(clients[i].receive())["n"] for _ in range(count)]

        threads = [threading.Thread(daemon=True, target=read, args=(i,)) for i in range(len(clients))]
        for t in threads:
            t.start()
        data = generate(count, stream=s)
        self.assertEqual(self.node.upload(data, s)[1], {"stored": count, "duplicates": 0, "rejected": []})
        for t in threads:
            t.join(300)
        for i, c in enumerate(clients):
            self.assertEqual(got[i], list(range(count)), "subscriber %d" % i)
            c.send("ping")
            self.assertEqual(c.receive(), "pong", "and nothing more")
            c.close()

    def test_a_publisher_that_is_faster_than_the_node_loses_nothing(self):
        s, count = self.stream(), 20000  # more than may wait for their outcomes
        with self.node.subscribed(s) as live, self.node.client("publish", s, ack="true") as out:
            sender = threading.Thread(daemon=True, target=flood, args=(out, ['{"n":%d}' % n for n in range(count)]))
            sender.start()
            answers = [json.loads(out.receive()) for _ in range(count)]
            sender.join()
            self.assertEqual([a["ack"]["index"] for a in answers], list(range(count)))
            self.assertEqual({a["ack"]["outcome"] for a in answers}, {"stored"})
            self.assertEqual([json.loads(live.receive())["n"] for _ in range(count)], list(range(count)))
        self.assertEqual([c["n"] for c in self.node.contents(s)], list(range(count)))

    def test_hostile_clients_hurt_only_themselves(self):
        s = self.stream()
        with self.node.subscribed(s) as live:
            for data in (b"\x81\x04ping",                                     # not masked
                         b"\xf1\x80\0\0\0\0", b"\x83\x80\0\0\0\0",            # reserved bits, reserved opcode
                         b"\x81\xff" + b"\xff" * 8 + b"\0\0\0\0",             # as long as can be
                         b"\x81\xff" + b"\0" * 4 + b"\x7f\xff\xff\xff\0\0\0\0",
                         b"\x89\xfe\x01\x00\0\0\0\0", b"\x09\x80\0\0\0\0",    # long ping, ping in parts
                         b"\x80\x80\0\0\0\0", b"\x81\x82\0\0\0\0\xc3\x28",    # nothing to continue, no UTF-8
                         b"\x88\x81\0\0\0\0\x03", os.urandom(4096)):
                with self.node.client("publish", s) as c:
                    c.socket.sendall(data)
                    c.socket.shutdown(socket.SHUT_WR)
                    with self.assertRaises(Closed, msg=data[:20]):
                        while True:
                            c.receive()
            for half in (b"", b"GET ", b"GET /streams/x/publish HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"):
                with socket.create_connection(("127.0.0.1", self.node.ws_port)) as c:
                    c.sendall(half)
            with self.node.client("publish", s) as out:
                out.send('{"a":', TEXT, final=False)
                out.send("ping", PING)
                out.send("1}", 0)
                self.assertEqual(live.receive(), '{"a":1}', "parts are put together")

    def test_a_message_over_the_limit_closes_its_connection(self):
        with self.node.client("publish", self.stream()) as out:
            out.send("{" + " " * (1 << 20) + "}")
            with self.assertRaises(Closed) as closed:
                out.receive()
            self.assertEqual(closed.exception.code, 1009)

    def test_metrics_are_well_formed_and_connections_are_counted_down(self):
        body = self.node.get("/metrics")[2]
        check = subprocess.run(["promtool", "check", "metrics"], input=body, capture_output=True)
        self.assertEqual(check.returncode, 0, check.stdout + check.stderr)
        clients = [self.node.client(kind) for kind in ("publish", "subscribe") * 5]
        until(lambda: self.node.metric('websocket_connections{kind="publish"}') >= 5)
        for i, c in enumerate(clients):
            c.socket.close() if i % 3 else c.close()
        for kind in ("publish", "subscribe"):
            until(lambda: self.node.metric('websocket_connections{kind="%s"}' % kind) == 0, what=kind)


class Settings(unittest.TestCase):
    def test_keys_are_asked_for_after_the_url(self):
        node = WsNode({"apiAuthentication": {"keys": ["a key", "other"]}}).start()
        for query, line in ((dict(partition="x"), b"400 Bad Request"), ({}, b"401 Unauthorized"),
                            (dict(apiKey="wrong"), b"403 Forbidden"), (dict(apiKey=""), b"403 Forbidden")):
            with self.assertRaises(Refused) as refused:
                node.client("publish", **query)
            self.assertEqual(refused.exception.args[0], b"HTTP/1.1 " + line + b"\r\n\r\n")
        with node.client("publish", apiKey="a key", ack="true") as out:
            out.send("{}")
            self.assertIn("stored", out.receive())
        self.assertNotIn("a key", node.said())
        self.assertNotIn("wrong", node.said())
        node.stop()

    def test_the_keys_of_the_root_count_unless_the_section_says_none(self):
        keys = {"apiAuthentication": {"keys": ["k"]}}
        node = WsNode(config=keys).start()
        with self.assertRaises(Refused):
            node.client("publish")
        node.client("publish", apiKey="k").close()
        node.stop()
        node = WsNode({"apiAuthentication": None}, config=keys).start()
        node.client("publish").close()
        node.stop()

    def test_nobody_listens_to_the_world_without_a_key(self):
        node = WsNode({"host": "0.0.0.0"})
        with self.assertRaises(AssertionError):
            node.start()
        self.assertEqual(node.process.wait(30), 3)
        self.assertIn("'host' is reachable from other machines", node.said())

    def test_a_section_with_a_typing_error_is_refused(self):
        node = WsNode({"pingInterval": 1})
        result = subprocess.run([program("logstore-broker"), "--check", node.config], capture_output=True, text=True,
                                env=node.env)
        self.assertEqual(result.returncode, 1)
        self.assertIn("pingInterval", result.stderr)

    def test_partitions_and_their_keys(self):
        s = OWNER + "/parts"
        node = WsNode(config={"mode": {"type": "standalone", "trackedStreams": [{"id": s, "partitions": 10}]}}).start()
        with node.subscribed(s, partitions="2,8") as both, node.subscribed(s) as zero:
            with node.client("publish", s, partition=8) as out:
                out.send('{"to":8}')
            self.assertEqual(both.receive(), '{"to":8}')
            with node.client("publish", s, partitionKey="foo") as out:  # 2 of 10, says the SDK
                out.send('{"to":2}')
            self.assertEqual(both.receive(), '{"to":2}')
            with node.client("publish", s, partitionKeyField="id", ack="true") as out:
                for m, partition in (('{"id":"foo"}', 2), ('{"id":18}', 8), ('{"no":1}', 0)):
                    out.send(m)
                    self.assertEqual(json.loads(out.receive())["ack"]["id"][1], partition, m)
                out.send('{"id":{}}')
                self.assertIn("partition key", json.loads(out.receive())["error"]["reason"])
            self.assertEqual([both.receive(), both.receive()], ['{"id":"foo"}', '{"id":18}'])
            self.assertEqual(zero.receive(), '{"no":1}', "nothing of the others came before")
        with self.assertRaises(Refused):
            node.client("publish", s, partition=10)
        node.stop()

    def test_what_nobody_stores_is_delivered(self):
        node = WsNode(store=False).start()
        with node.subscribed() as live, node.client("publish", ack="true") as out:
            out.send('{"n":1}')
            self.assertEqual(json.loads(out.receive())["ack"]["outcome"], "delivered")
            self.assertEqual(live.receive(), '{"n":1}')
        node.stop()

    def test_metadata_goes_round(self):
        node = WsNode({"payloadMetadata": True}).start()
        with node.subscribed() as live, node.client("publish", ack="true") as out:
            out.send('{"content":{"n":1},"metadata":{"timestamp":1700000000123,"publisherId":"ignored"}}')
            ack = json.loads(out.receive())["ack"]["id"]
            got = json.loads(live.receive())
            self.assertEqual(got, {"content": {"n": 1}, "metadata": {
                "timestamp": 1700000000123, "sequenceNumber": 0, "publisherId": OWNER, "msgChainId": ack[5]}})
            for m, reason in (('{"n":1}', "Content missing"), ('{"content":[]}', "Content is not an object"),
                              ('{"content":{},"metadata":7}', "Metadata is not an object"),
                              ('{"content":{},"metadata":{"timestamp":"x"}}', "Invalid timestamp")):
                out.send(m)
                self.assertIn(reason, json.loads(out.receive())["error"]["reason"], m)
        node.stop()

    def test_idle_connections_are_pinged_and_silent_ones_ended(self):
        node = WsNode({"pingSendInterval": 200, "disconnectTimeout": 300}).start()
        with node.client("subscribe") as alive, node.client("subscribe") as silent:
            alive.socket.settimeout(0.2)
            deadline = time.monotonic() + 30
            while alive.pings < 5 and time.monotonic() < deadline:
                try:
                    alive.receive()
                except (socket.timeout, TimeoutError):
                    pass
            self.assertGreaterEqual(alive.pings, 5)
            silent.socket.settimeout(30)
            with self.assertRaises(Closed):
                while True:
                    silent.frame()  # it never answered
        node.stop()

    def test_more_connections_than_allowed_are_turned_away(self):
        node = WsNode({"maxConnections": 3}).start()
        clients = [node.client("subscribe") for _ in range(3)]
        with self.assertRaises((Refused, ConnectionError)):
            node.client("subscribe")
        clients.pop().close()
        until(lambda: self.opens(node), what="there is room again")
        for c in clients:
            c.close()
        node.stop()

    def opens(self, node):
        try:
            node.client("subscribe").close()
            return True
        except (Refused, ConnectionError):
            return False

    def test_a_slow_subscriber_is_closed_and_the_others_get_everything(self):
        node = WsNode({"maxQueuedBytes": 1 << 20, "disconnectTimeout": 0}).start()
        count = 3000  # of 4 KiB
        with node.subscribed() as fast, node.subscribed(receive_buffer=4096) as slow:
            got = []

            def read():
                while len(got) < count:
                    got.append(json.loads(fast.receive())["n"])

            reader = threading.Thread(daemon=True, target=read)
            reader.start()
            messages = split(generate(count, content=4096))
            for at in range(0, count, 100):  # no faster than the fast one reads
                self.assertEqual(node.upload(join(messages[at:at + 100]))[1]["stored"], 100)
                until(lambda: len(got) >= at + 100, what="the fast one has read it")
            reader.join()
            self.assertEqual(got, list(range(count)))
            until(lambda: node.metric('websocket_errors_total{reason="slow_subscriber"}') == 1)
            seen = 0
            with self.assertRaises(Closed) as closed:
                while True:
                    self.assertEqual(json.loads(slow.receive())["n"], seen)
                    seen += 1
            self.assertEqual(closed.exception.code, 1013)
            self.assertEqual(closed.exception.reason, "too slow: more than 1048576 bytes wait (maxQueuedBytes)")
            self.assertLess(seen, count)
            self.assertIn("closing the subscriber 127.0.0.1:", node.said())
        until(lambda: node.metric("websocket_queued_bytes") == 0)
        node.stop()

    def test_over_tls(self):
        folder = tempfile.mkdtemp(prefix="logstore-wss-")
        cert, key = certificate(folder)
        node = WsNode({"sslCertificate": {"certFileName": cert, "privateKeyFileName": key}}).start()
        self.assertIn("listening on wss://127.0.0.1:", node.said())
        context = ssl.create_default_context(cafile=cert)
        with node.subscribed(context=context) as live, node.client("publish", context=context, ack="true") as out:
            for n in range(1000):
                out.send('{"n":%d}' % n)
            for n in range(1000):
                self.assertEqual(json.loads(out.receive())["ack"]["index"], n)
                self.assertEqual(json.loads(live.receive()), {"n": n})
        node.stop()

    def test_a_port_that_is_taken_is_a_sentence(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            node = WsNode({"port": taken.getsockname()[1]})
            with self.assertRaises(AssertionError):
                node.start()
            self.assertEqual(node.process.wait(30), 3)
            self.assertIn(str(taken.getsockname()[1]), node.said())


class Endings(unittest.TestCase):
    def test_what_was_acknowledged_is_there_after_a_kill(self):
        folder = tempfile.mkdtemp(prefix="logstore-test-")
        acknowledged = []
        for round_ in range(5):
            node = WsNode(folder=folder).start()
            out = node.client("publish", ack="true")
            flood(out, ['{"n":%d}' % (round_ * 10000 + n) for n in range(2000)])
            for _ in range(1 + 150 * round_):
                answer = json.loads(out.receive())
                self.assertEqual(answer["ack"]["outcome"], "stored")
                acknowledged.append(tuple(answer["ack"]["id"]))
            node.kill()
        node = WsNode(folder=folder).start()
        there = {(m["streamId"], m["streamPartition"], m["timestamp"], m["sequenceNumber"], m["publisherId"],
                  m["msgChainId"]) for m in node.json(node.data_path() + "/from?fromTimestamp=0")["messages"]}
        self.assertEqual(set(acknowledged) - there, set())
        node.stop()

    def test_a_stop_in_the_middle_of_a_flood_is_a_clean_one(self):
        node = WsNode().start()
        over = threading.Event()

        def publish():
            with node.client("publish") as out:
                try:
                    while not over.is_set():
                        flood(out, ['{"n":1}'] * 1000)
                except OSError:
                    pass

        threads = [threading.Thread(daemon=True, target=publish) for _ in range(2)]
        for t in threads:
            t.start()
        until(lambda: node.metric("websocket_messages_in_total") > 20000, 60, "the flood is there")
        node.stop()
        over.set()
        for t in threads:
            t.join(30)

    def test_a_stop_answers_publishers_and_says_goodbye(self):
        node = WsNode().start()
        with node.client("subscribe") as live, node.client("publish", ack="true") as out:
            flood(out, ['{"n":%d}' % n for n in range(500)])
            out.receive()
            node.stop()
            answered = 1
            with self.assertRaises(Closed) as closed:
                while True:
                    self.assertEqual(json.loads(out.receive())["ack"]["outcome"], "stored")
                    answered += 1
            self.assertIn(closed.exception.code, (1001, 1012))
            with self.assertRaises(Closed) as closed:
                while True:
                    live.receive()
            self.assertIn(closed.exception.code, (1001, 1012))
        node.start()
        self.assertGreaterEqual(len(node.contents()), answered)
        node.stop()


def documented(language):
    """The first example of docs/websocket.md in that language."""
    with open(os.path.join(ROOT, "docs", "websocket.md")) as file:
        return re.search("```%s\n(.*?)```" % language, file.read(), re.S).group(1)


class Pages(unittest.TestCase):
    """Browsers let any page ask any node on the machine."""

    def asks(self, node, origin, kind="publish", **query):
        try:
            with Client(node.ws_port, path(STREAM, kind, **query), headers={"Origin": origin}):
                return 101
        except Refused as refused:
            return int(refused.args[0].split()[1])

    def test_a_page_may_publish_only_when_it_is_listed(self):
        node = WsNode({"allowedOrigins": ["https://app.example"]}).start()
        self.assertEqual(self.asks(node, "https://app.example"), 101)
        for origin in ("https://evil.example", "https://app.example.evil", "null", 'https://app.example","x'):
            self.assertEqual(self.asks(node, origin), 403, origin)
        self.assertEqual(self.asks(node, "https://evil.example", "subscribe"), 101, "what GET gives, this gives too")
        self.assertIn("may not publish here; list it in 'allowedOrigins'", node.said())
        node.stop()

    def test_a_page_that_shows_a_key_may(self):
        node = WsNode({"apiAuthentication": {"keys": ["k"]}}).start()
        self.assertEqual(self.asks(node, "https://app.example", apiKey="k"), 101)
        self.assertEqual(self.asks(node, "https://app.example"), 401)
        node.stop()


class RealClients(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.node = WsNode({"allowedOrigins": ["null", "file://"]}).start()  # a page from the disk
        cls.peers = os.path.join(ROOT, "tests", "peers")

    @classmethod
    def tearDownClass(cls):
        cls.node.stop()

    def here(self, example):
        self.assertIn("127.0.0.1:7170", example)
        self.assertIn(STREAM, example)
        return example.replace("127.0.0.1:7170", "127.0.0.1:%d" % self.node.ws_port)

    def javascript(self, *arguments, text=None):
        result = subprocess.run(["node", *arguments], cwd=self.peers, input=text, capture_output=True, text=True,
                                timeout=60)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        return result.stdout

    def test_the_ws_package_publishes_and_subscribes(self):
        out = self.javascript("websocket.mjs", "ws://127.0.0.1:%d" % self.node.ws_port, OWNER + "/npm", "500")
        self.assertEqual(json.loads(out), {"inOrder": True, "stored": 500, "closeCode": 1000, "refused": 400})

    def test_the_documented_node_example_works(self):
        out = self.javascript("--input-type=module", "-", text=self.here(documented("js")))
        self.assertEqual(out, "{ celsius: 21.5 }\n")

    def test_the_documented_page_works_in_chromium(self):
        folder = tempfile.mkdtemp(prefix="logstore-browser-")
        with open(os.path.join(folder, "page.html"), "w") as page:
            page.write(self.here(documented("html")))
        with Browser(folder) as browser:
            browser.open("file://%s/page.html" % folder)
            said = until(lambda: (lambda t: t.count("\n") >= 2 and t)(browser.text("log")), 60, "the page has its answers")
        self.assertIn('got {"celsius":21.5}\n', said)
        self.assertRegex(said, r"stored \d{13}\n")


class Browser:
    """Headless Chromium, led through its debugging socket."""

    def __init__(self, folder):
        self.folder = folder
        self.process = subprocess.Popen(
            [shutil.which("chromium") or "chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
             "--disable-dev-shm-usage", "--disable-extensions", "--disable-background-networking",
             "--remote-debugging-port=0", "--user-data-dir=" + folder, "about:blank"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.id = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(20)
        shutil.rmtree(self.folder, ignore_errors=True)

    def port(self):
        try:
            with open(os.path.join(self.folder, "DevToolsActivePort")) as file:
                lines = file.read().split("\n")
            return (int(lines[0]), lines[1]) if len(lines) > 1 else None
        except FileNotFoundError:
            return None

    def call(self, method, **params):
        self.id += 1
        message = dict({"id": self.id, "method": method, "params": params}, **self.session)
        self.socket.send(json.dumps(message))
        while True:
            answer = json.loads(self.socket.receive())
            if answer.get("id") == self.id:
                assert "error" not in answer, answer
                return answer["result"]

    def open(self, url):
        port, target = until(self.port, 60, "Chromium listens")
        self.session = {}
        self.socket = Client(port, target, timeout=60)
        page = self.call("Target.createTarget", url=url)
        attached = self.call("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        self.session = {"sessionId": attached["sessionId"]}

    def text(self, element):
        """The text of an element; empty while there is none."""
        script = "(document.getElementById(%s) || {textContent: ''}).textContent" % json.dumps(element)
        return self.call("Runtime.evaluate", expression=script)["result"].get("value", "")


class Example(unittest.TestCase):
    def test_the_example_configuration_is_accepted(self):
        node = Node()
        with open(os.path.join(ROOT, "etc", "client-interfaces.json")) as file:
            text = file.read()
        for there, here in (("/etc/logstore-broker/node.key", node.key), ("/var/lib/logstore-broker/db", node.data)):
            self.assertIn(there, text)
            text = text.replace(there, here)
        with open(node.config, "w") as out:
            out.write(text)
        result = subprocess.run([program("logstore-broker"), "--check", node.config], capture_output=True, text=True,
                                env=node.env)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)


if __name__ == "__main__":
    unittest.main()
