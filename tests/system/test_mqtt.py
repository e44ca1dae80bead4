"""MQTT clients of a real node: mosquitto_pub and mosquitto_sub, the npm package mqtt, raw sockets."""
import json
import os
import random
import re
import ssl
import subprocess
import tempfile
import threading
import time
import unittest

import mqtt
from mqtt import Client, ack, connect, packet, publish, subscribe, text
from node import OWNER, Node, join, until
from test_peers import run_node
from test_tls import certificate
from wire import Cut

KEY = "a long random text"


def mqtt_node(settings=None, config=None, plugins=None, start=True, env=None):
    section = {"port": 0}
    section.update(settings or {})
    all_plugins = {"http": {}, "mqtt": section}
    if plugins is None:
        folder = tempfile.mkdtemp(prefix="logstore-mqtt-")
        plugins = {"logStore": {"db": {"dataPath": os.path.join(folder, "db"), "minFreeBytes": 0}}}
    all_plugins.update(plugins)
    node = Node(config=config, plugins=all_plugins, env=env)
    return started(node) if start else node


def started(node):
    node.start()
    found = until(lambda: re.search(r"MQTT 3\.1\.1(?: \(TLS\))? on 127\.0\.0\.1:(\d+)", node.said()),
                  what="the node listens for MQTT")
    node.mqtt = int(found.group(1))
    return node


class Tests(unittest.TestCase):
    settings, config = {}, None

    @classmethod
    def setUpClass(cls):
        # Memory is measured here: what ASan keeps of what was freed does not count.
        cls.node = mqtt_node(cls.settings, cls.config, env={"ASAN_OPTIONS": "quarantine_size_mb=8"})

    @classmethod
    def tearDownClass(cls):
        cls.node.stop()

    def topic(self):
        return OWNER + "/" + self.id().rsplit(".", 1)[1]

    def client(self, *args, **options):
        client = Client(self.node.mqtt, *args, **options)
        self.addCleanup(client.close)
        return client

    def stored(self, topic=None, partition=0):
        answer = self.node.json(self.node.data_path(topic or self.topic(), partition) + "/last?count=100000")
        return answer["messages"]

    def metric(self, name):
        _, _, body = self.node.get("/metrics")
        found = re.search(r"^%s (\S+)$" % re.escape(name), body.decode(), re.M)
        assert found, name + " is not there"
        return float(found.group(1))

    def closes(self, data, what, before=True):
        """The node ends the connection; others still work."""
        client = self.client("closes", open_session=False)
        if before:
            client.send(connect("closes")).expect(b"\x20\2\0\0")
        client.send(data)
        self.assertTrue(client.closed(), what)
        client.close()


class Mqtt(Tests):
    # ---- real clients ----

    def test_mosquitto_pub_and_sub(self):
        topic, port = self.topic(), str(self.node.mqtt)
        parts = self.metric("mqtt_stream_parts")
        subscriber = subprocess.Popen(["mosquitto_sub", "-p", port, "-q", "1", "-t", topic, "-C", "3"],
                                      stdout=subprocess.PIPE, text=True)
        until(lambda: self.metric("mqtt_stream_parts") > parts, what="mosquitto_sub is subscribed")
        for qos in "012":
            subprocess.run(["mosquitto_pub", "-p", port, "-q", qos, "-r", "-t", topic, "-m", '{"qos": %s}' % qos],
                           check=True, timeout=60)
        said, _ = subscriber.communicate(timeout=60)
        self.assertEqual(subscriber.returncode, 0)
        self.assertEqual(said.splitlines(), ['{"qos": 0}', '{"qos": 1}', '{"qos": 2}'])
        self.assertEqual([m["content"]["qos"] for m in self.stored()], [0, 1, 2])

    def test_mosquitto_pub_learns_of_a_refusal(self):
        result = subprocess.run(["mosquitto_pub", "-p", str(self.node.mqtt), "-q", "1", "-t", self.topic(), "-m", "no"],
                                capture_output=True, timeout=60)
        self.assertNotEqual(result.returncode, 0)
        until(lambda: "Payload is not a JSON string" in self.node.said(), what="the log says why")

    def test_mosquitto_of_another_version_is_told_so(self):
        for version, said in (("5", "Unsupported Protocol Version"), ("31", "unacceptable protocol version")):
            result = subprocess.run(["mosquitto_pub", "-p", str(self.node.mqtt), "-V", version, "-t", self.topic(),
                                     "-m", "{}"], capture_output=True, timeout=60, text=True)
            self.assertNotEqual(result.returncode, 0)
            self.assertIn(said.lower(), (result.stdout + result.stderr).lower())

    def test_the_npm_client(self):
        topic = self.topic()
        seen = json.loads(run_node("mqtt.mjs", str(self.node.mqtt), topic).splitlines()[-1])
        self.assertEqual(seen["granted"], [1, 1])
        self.assertEqual(seen["wildcard"], "refused")
        self.assertEqual(seen["topics"], [topic, topic + "?partition=0"])
        self.assertEqual(seen["numbers"], list(range(30)))
        self.assertEqual(seen["qos"], [1])
        self.assertFalse(seen["retained"])
        self.assertEqual(set(seen["after"]), {100})
        self.assertEqual([m["content"]["n"] for m in self.stored()], list(range(30)) + [100])

    # ---- publishing ----

    def test_a_message_is_stored_byte_for_byte_under_the_client_id(self):
        topic, content = self.topic(), b' {"a": 1.0, "\\u0061": [ ] }'
        with self.client("lamp-7") as client:
            client.send(publish(topic, content, qos=1)).expect(ack(mqtt.PUBACK, 1))
        (message,) = self.stored()
        self.assertRegex(message["msgChainId"], "^lamp-7~[a-z0-5]{20}$")
        self.assertEqual(message["streamId"], topic)
        self.assertIn(content, self.node.raw(topic)[0])

    def test_http_and_mqtt_meet_in_the_stream(self):
        topic = self.topic()
        client = self.client("listener")
        self.assertEqual(client.subscribed(topic), [0])
        status, _, _ = self.node.request("POST", "/streams/" + topic.replace("/", "%2F"), body=b'{"from":"http"}')
        self.assertEqual(status, 200)
        self.assertEqual(client.message(), (topic, {"from": "http"}, 0, 0, False))

    def test_the_partition_is_chosen_by_the_topic(self):
        client = self.client("p")
        client.send(publish(self.topic() + "?partition=3", {"p": 3}, qos=1)).expect(ack(mqtt.PUBACK, 1))
        self.assertEqual([m["content"] for m in self.stored(partition=3)], [{"p": 3}])

    def test_puback_is_in_the_order_of_publish(self):
        client = self.client("order")
        numbers = [5, 3, 60000, 1]
        client.send(b"".join(publish(self.topic() if n % 2 else "0x%040x/elsewhere" % 7, {"n": n}, qos=1, number=n)
                             for n in numbers))
        client.expect(b"".join(ack(mqtt.PUBACK, n) for n in numbers))

    def test_qos_2_is_stored_once(self):
        client = self.client("two", clean=False)
        client.send(publish(self.topic(), {"n": 1}, qos=2, number=7)).expect(ack(mqtt.PUBREC, 7))
        client.close()
        client = self.client("two", clean=False)
        self.assertTrue(client.session_present)
        client.send(publish(self.topic(), {"n": 1}, qos=2, number=7, dup=True)).expect(ack(mqtt.PUBREC, 7))
        client.send(ack(mqtt.PUBREL, 7)).expect(ack(mqtt.PUBCOMP, 7))
        self.assertEqual(len(self.stored()), 1)

    def test_puback_means_that_kill_9_loses_nothing(self):
        node = mqtt_node()
        topic = self.topic()
        for round_number in range(10):
            client = Client(node.mqtt, "k%d" % round_number)
            client.send(publish(topic, {"round": round_number}, qos=1 + round_number % 2, number=4))
            client.expect(ack(mqtt.PUBACK if round_number % 2 == 0 else mqtt.PUBREC, 4))
            node.kill()
            client.close()
            started(node)
        answer = node.json(node.data_path(topic) + "/last?count=100")
        self.assertEqual([m["content"]["round"] for m in answer["messages"]], list(range(10)))
        node.stop()

    def test_a_burst_is_stored_whole_and_memory_stays(self):
        topic, count = self.topic(), 20000
        client = self.client("burst")
        done = []

        def read():
            for n in range(count):
                client.expect(ack(mqtt.PUBACK, n % 65535 + 1))
            done.append(True)
        reader = threading.Thread(target=read)
        reader.start()
        content = "x" * 200
        for n in range(count):
            client.send(publish(topic, {"n": n, "x": content}, qos=1, number=n % 65535 + 1))
        reader.join(120)
        self.assertTrue(done, "not every PUBACK came")
        self.assertEqual(self.node.json(self.node.data_path(topic) + "/last?count=1")["messages"][0]["content"]["n"],
                         count - 1)
        self.assertEqual(len(self.node.raw(topic)), count)

    # ---- subscribing ----

    def test_every_spelling_gets_its_messages(self):
        topic = self.topic()
        a, b = self.client("a"), self.client("b")
        self.assertEqual(a.subscribed(topic), [0])
        self.assertEqual(b.subscribed(topic + "?partition=0", topic.replace("0x19e7e", "0x19E7E"), qos=2), [1, 1])
        a.send(publish(topic, {"n": 1}))
        self.assertEqual(a.message(), (topic, {"n": 1}, 0, 0, False))
        got = [b.message(), b.message()]
        self.assertEqual(sorted(m[0] for m in got), sorted([topic + "?partition=0", topic.replace("0x19e7e", "0x19E7E")]))

    def test_a_slow_reader_loses_qos_0_alone(self):
        topic = self.topic()
        slow = self.client("slow", receive_buffer=4096)
        fast, publisher = self.client("fast"), self.client("publisher")
        self.assertEqual(slow.subscribed(topic, qos=0), [0])
        self.assertEqual(fast.subscribed(topic, qos=0), [0])
        content, sent = "x" * 100000, 0

        def dropped():
            return self.metric('mqtt_dropped_total{reason="slow"}')
        before = dropped()
        while dropped() == before:
            publisher.send(publish(topic, {"n": sent, "x": content}, qos=1)).expect(ack(mqtt.PUBACK, 1))
            sent += 1
            self.assertLess(sent, 500, "nothing is dropped")
            self.assertEqual(fast.message()[1]["n"], sent - 1)
        slow.send(b"\xc0\0")
        numbers = []
        while True:
            kind, _, body = slow.packet()
            if kind == mqtt.PINGRESP:
                break
            numbers.append(json.loads(body[2 + len(topic):])["n"])
        self.assertEqual(numbers, sorted(set(numbers)))
        self.assertTrue(0 < len(numbers) < sent, (len(numbers), sent))
        publisher.send(publish(topic, {"n": "last"}, qos=1)).expect(ack(mqtt.PUBACK, 1))
        self.assertEqual(slow.message()[1]["n"], "last")

    # ---- sessions, wills, keep alive ----

    def test_a_kept_session_gets_what_it_did_not_acknowledge_and_what_came_meanwhile(self):
        topic = self.topic()
        client, publisher = self.client("kept", clean=False), self.client("publisher")
        self.assertFalse(client.session_present)
        client.subscribed(topic, qos=1)
        publisher.send(publish(topic, {"n": 1}, qos=1)).expect(ack(mqtt.PUBACK, 1))
        self.assertEqual(client.message(), (topic, {"n": 1}, 1, 1, False))
        client.close()
        publisher.send(publish(topic, {"n": 2}, qos=1)).expect(ack(mqtt.PUBACK, 1))
        client = self.client("kept", clean=False)
        self.assertTrue(client.session_present)
        self.assertEqual(client.message(), (topic, {"n": 1}, 1, 1, True))
        self.assertEqual(client.message(), (topic, {"n": 2}, 1, 2, False))
        client.send(ack(mqtt.PUBACK, 1) + ack(mqtt.PUBACK, 2)).ping()
        client.close()
        client = self.client("kept", clean=False)
        client.ping()
        client.close()
        self.assertFalse(self.client("kept").session_present)

    def test_a_client_id_is_taken_over(self):
        first, second = self.client("same"), self.client("same")
        self.assertTrue(first.closed())
        second.ping()

    def test_a_will_is_published_when_the_connection_is_lost_and_not_after_a_goodbye(self):
        topic = self.topic()
        for last, wills in ((b"", 1), (b"\xe0\0", 1), (b"\xf0\0", 2)):
            client = self.client("w", will=(topic, b'{"last":"%s"}' % last.hex().encode()))
            client.send(last)
            if last:
                client.closed()
            client.close()
            # Wills of one millisecond are in the order of their chains.
            until(lambda n=wills: len(self.stored()) == n, what="the will is stored")
        self.assertEqual([m["content"]["last"] for m in self.stored()], ["", "f000"])

    def test_keep_alive_is_one_and_a_half_times(self):
        silent, pinging = self.client("silent", keep_alive=1), self.client("pinging", keep_alive=1)
        begun = time.monotonic()
        closed = threading.Thread(target=silent.closed)
        closed.start()
        while closed.is_alive():
            pinging.ping()
            closed.join(0.2)
        self.assertGreaterEqual(time.monotonic() - begun, 1.4)
        pinging.ping()

    # ---- what has gone wrong in other brokers ----

    def test_class_memory_by_a_length_field_before_connect(self):
        before = self.node.rss()
        for _ in range(200):
            with self.client(open_session=False) as client:
                client.send(b"\x10\xff\xff\xff\x7f")
                self.assertTrue(client.closed())
        waiting = [self.client(open_session=False).send(b"\x10\xff\x7f" + b"\0\4MQTT" * 1000) for _ in range(100)]
        self.assertLess(self.node.rss() - before, 32 << 20)
        for client in waiting:
            client.close()

    def test_class_qos_2_ids_that_are_never_released(self):
        client = self.client("unfinished")
        payload, before = {"n": 1}, self.node.rss()
        for start in range(1, 65536, 5000):
            numbers = range(start, min(start + 5000, 65536))
            threading.Thread(target=client.send, daemon=True, args=(
                b"".join(publish(self.topic(), payload, qos=2, number=n) for n in numbers),)).start()
            client.expect(b"".join(ack(mqtt.PUBREC, n) for n in numbers))
        self.assertLess(self.node.rss() - before, 160 << 20)
        client.ping()

    def test_class_leak_on_a_will_that_is_refused(self):
        for will in (("", b"{}"), (self.topic(), b"no"), (self.topic() + "/#", b"{}"),
                     ("$CONTROL/dynamic-security/v1", b"{}"), (self.topic() + "?partition=100", b"{}")):
            with self.client(open_session=False) as client:
                client.send(connect("will", will=will))
                self.assertTrue(client.closed(), will)
                self.assertEqual(client.have, b"")

    def test_class_a_topic_of_no_length(self):
        self.closes(packet(mqtt.PUBLISH, 0, text("") + b"{}"), "PUBLISH")
        self.closes(packet(mqtt.SUBSCRIBE, 2, b"\0\1" + text("") + b"\0"), "SUBSCRIBE")
        self.closes(packet(mqtt.UNSUBSCRIBE, 2, b"\0\1" + text("")), "UNSUBSCRIBE")

    def test_class_packets_of_a_server(self):
        for kind, body in ((mqtt.CONNACK, b"\0\0"), (mqtt.SUBACK, b"\0\1\0"), (mqtt.UNSUBACK, b"\0\1"),
                           (mqtt.PINGRESP, b""), (mqtt.PUBREC, b"\0\1"), (mqtt.PUBCOMP, b"\0\1"), (0, b""), (15, b"")):
            for before in (True, False):
                self.closes(packet(kind, 0, body), (kind, before), before)

    def test_class_quadratic_work_on_one_packet(self):
        topics = [OWNER + "/q/%d" % n for n in range(15000)]
        client, other = self.client("many"), self.client("other")
        begun = time.monotonic()
        self.assertEqual(client.subscribed(*topics[:1024]), [0] * 1024)
        self.assertEqual(client.subscribed(*topics[1024:1100]), [0x80] * 76)
        for kind, qos in ((mqtt.SUBSCRIBE, b"\0"), (mqtt.UNSUBSCRIBE, b"")):
            self.closes(packet(kind, 2, b"\0\1" + b"".join(text(t) + qos for t in topics)), kind)
        other.ping()
        self.assertLess(time.monotonic() - begun, 10)

    def test_class_half_open_sockets_after_a_refused_connect(self):
        for data in (connect("", clean=False), connect("x", level=3), connect("x", level=5), connect("x", level=255)):
            with self.client(open_session=False) as client:
                client.send(data)
                self.assertEqual(client.packet()[0], mqtt.CONNACK)
                self.assertTrue(client.closed())
        until(lambda: self.metric("mqtt_connections") == 0, what="no connection is left")

    def test_class_a_will_to_a_control_topic(self):
        with self.client(open_session=False) as client:
            client.send(connect("w", will=("$CONTROL/broker/v1", b"{}")))
            self.assertTrue(client.closed())

    def test_any_order_of_broken_bytes_leaves_the_node_alive(self):
        valid = [connect("x"), publish(self.topic(), {"n": 1}, qos=2), subscribe(self.topic(), qos=1),
                 ack(mqtt.PUBREL, 1), ack(mqtt.PUBACK, 1), b"\xc0\0", b"\xe0\0"]
        seed = int(os.environ.get("SEED", time.time_ns() % 10**9))
        rng = random.Random(seed)
        for _ in range(300):
            data = bytearray(connect("fuzz%d" % rng.randrange(3), clean=rng.random() < 0.5) if rng.random() < 0.8 else b"")
            for _ in range(rng.randrange(1, 8)):
                data += rng.choice(valid)
            for _ in range(rng.randrange(3)):
                data[rng.randrange(len(data))] = rng.randrange(256)
            with self.client(open_session=False) as client:
                client.send(bytes(data[:rng.randrange(1, len(data) + 1)]))
        with self.client("after") as client:
            client.ping()


class Keys(Tests):
    settings = {"apiAuthentication": {"keys": [KEY]}}

    def answer(self, **options):
        with self.client(open_session=False) as client:
            client.send(connect(**options))
            code = client.packet()[2][1]
            if code:
                self.assertTrue(client.closed())
            return code

    def test_the_key_is_the_password(self):
        self.assertEqual(self.answer(), 5)
        self.assertEqual(self.answer(key="wrong"), 4)
        self.assertEqual(self.answer(key=""), 4)
        self.assertEqual(self.answer(key=KEY[:-1]), 4)
        self.assertEqual(self.answer(key=KEY + "\0"), 4)
        self.assertEqual(self.answer(key=KEY, user="anybody"), 0)

    def test_class_a_kept_session_is_not_for_who_has_no_key(self):
        client = self.client("kept", clean=False, key=KEY)
        client.subscribed(self.topic(), qos=1)
        self.assertEqual(self.answer(client="kept", key="wrong"), 4)
        self.assertEqual(self.answer(client="kept", clean=False), 5)
        client.ping()

    def test_mosquitto_shows_the_key(self):
        run = ["mosquitto_pub", "-p", str(self.node.mqtt), "-t", self.topic(), "-m", "{}", "-q", "1"]
        self.assertEqual(subprocess.run(run + ["-u", "u", "-P", KEY], timeout=60, capture_output=True).returncode, 0)
        self.assertEqual(subprocess.run(run + ["-u", "u", "-P", "no"], timeout=60, capture_output=True).returncode, 4)
        self.assertEqual(subprocess.run(run, timeout=60, capture_output=True).returncode, 5)
        self.assertEqual(len(self.stored()), 1)


class Settings(unittest.TestCase):
    def test_class_no_anonymous_port_beyond_loopback(self):
        node = mqtt_node({"host": "0.0.0.0"}, start=False)
        with self.assertRaises(AssertionError):
            node.start()
        self.assertIn("apiAuthentication", node.said())
        self.assertNotIn("MQTT 3.1.1 on", node.said())

    def test_class_a_certificate_that_is_not_there_opens_no_plain_port(self):
        node = mqtt_node({"sslCertificate": {"certFileName": "/nowhere.pem", "privateKeyFileName": "/nowhere.key"}},
                         start=False)
        with self.assertRaises(AssertionError):
            node.start()
        self.assertNotIn("MQTT 3.1.1", node.said())

    def test_unknown_settings_are_refused(self):
        node = mqtt_node({"ports": 1883}, start=False)
        with self.assertRaises(AssertionError):
            node.start()
        self.assertIn("ports", node.said())

    def test_class_max_connections_is_honoured(self):
        node = mqtt_node({"maxConnections": 3})
        clients = [Client(node.mqtt, "c%d" % n) for n in range(3)]
        with Client(node.mqtt, open_session=False) as one_more:
            one_more.send(connect("d"))
            self.assertTrue(one_more.closed())
            self.assertEqual(one_more.have, b"")
        for client in clients:
            client.ping()
        clients.pop().close()

        def again():
            with Client(node.mqtt, open_session=False) as client:
                client.send(connect("d"))
                try:
                    return client.packet()[0] == mqtt.CONNACK
                except Cut:
                    return False
        until(again, what="there is room for one again")
        node.stop()

    def test_tls(self):
        folder = tempfile.mkdtemp(prefix="logstore-mqtt-tls-")
        cert, key = certificate(folder)
        node = mqtt_node({"sslCertificate": {"certFileName": cert, "privateKeyFileName": key}})
        context = ssl.create_default_context(cafile=cert)
        client = Client(node.mqtt, "tls", wrap=lambda s: context.wrap_socket(s, server_hostname="localhost"))
        client.ping()
        subprocess.run(["mosquitto_pub", "--cafile", cert, "-h", "localhost", "-p", str(node.mqtt), "-q", "1", "-t",
                        OWNER + "/tls", "-m", "{}"], check=True, timeout=60)
        plain = Client(node.mqtt, open_session=False)
        plain.send(connect("plain"))
        self.assertTrue(plain.closed())
        client.close()
        node.stop()

    def test_the_domain_and_metadata(self):
        node = mqtt_node({"streamIdDomain": OWNER, "payloadMetadata": True})
        client = Client(node.mqtt, "m")
        self.assertEqual(client.subscribed("a/b"), [0])
        client.send(publish("a/b", {"content": {"a": 1}, "metadata": {"timestamp": 1700000000000}}, qos=1))
        topic, payload, _, _, _ = client.message()
        self.assertEqual((topic, payload["content"]), ("a/b", {"a": 1}))
        metadata = payload["metadata"]
        self.assertEqual((metadata["timestamp"], metadata["sequenceNumber"], metadata["publisherId"]),
                         (1700000000000, 0, OWNER))
        self.assertRegex(metadata["msgChainId"], "^m~[a-z0-5]{20}$")
        client.close()
        node.stop()

    def test_what_is_sent_again_with_its_own_timestamp_is_accepted_and_stored_as_a_copy(self):
        node = mqtt_node({"payloadMetadata": True})
        topic = OWNER + "/again"

        def message(n):
            return publish(topic, {"content": {"n": n}, "metadata": {"timestamp": 1700000000000 + n}}, qos=1, number=n)
        for _ in range(2):
            with Client(node.mqtt, "again", clean=False) as client:
                for n in (1, 2):
                    client.send(message(n)).expect(ack(mqtt.PUBACK, n))
        answer = node.json(node.data_path(topic) + "/last?count=100")
        self.assertEqual([m["content"]["n"] for m in answer["messages"]], [1, 1, 2, 2])
        self.assertEqual(len({m["msgChainId"] for m in answer["messages"]}), 2)
        node.stop()

    def test_what_clients_cannot_read_is_left_out_and_counted(self):
        with open(os.path.join(os.path.dirname(__file__), "..", "vectors", "streamr.json")) as vectors:
            messages = {m["name"]: bytes.fromhex(m["protobuf"]) for m in json.load(vectors)["streamMessages"]}
        names = ["json-plain-first-in-chain", "json-same-timestamp-seq-1", "aes-json", "aes-binary", "binary-plain",
                 "json-plain-with-prev-ref"]
        node = mqtt_node()
        client = Client(node.mqtt, "c")
        client.subscribed(OWNER + "/vectors", qos=1)
        status, answer = node.upload(join([messages[n] for n in names]), OWNER + "/vectors")
        self.assertEqual((status, answer["stored"]), (200, len(names)))
        got = [client.message()[1] for _ in range(3)]
        self.assertEqual(got, [{"hello": "world"},
                               {str(i): byte for i, byte in enumerate(bytes.fromhex("0001027f80feff"))},
                               {"n": 2, "text": "w\u00f6rld"}])
        _, _, metrics = node.get("/metrics")
        self.assertIn(b'mqtt_dropped_total{reason="encrypted"} 2', metrics)
        self.assertIn(b'mqtt_dropped_total{reason="not_object"} 1', metrics)
        client.close()
        node.stop()

    def test_a_stream_nobody_stores_is_delivered_and_acknowledged(self):
        node = mqtt_node(plugins={})
        a, b = Client(node.mqtt, "a"), Client(node.mqtt, "b")
        a.subscribed(OWNER + "/x", qos=1)
        b.send(publish(OWNER + "/x", {"n": 1}, qos=1)).expect(ack(mqtt.PUBACK, 1))
        self.assertEqual(a.message()[1], {"n": 1})
        a.close(), b.close()
        node.stop()
