"""The streamr plugin: connections, hostile peers, and (with real Streamr v103 nodes) messages in both directions."""
import json
import os
import re
import socket
import ssl
import struct
import subprocess
import tempfile
import time
import unittest

import ws
from node import BUILD, OWNER, Node, generate, program, split, until
from streamr import Peer, descriptor, field, fields, handshake, request
from test_tls import certificate

OUR = {"websocketPort": 0, "websocketBindHost": "127.0.0.1"}


def broker(control=None, node=None, logstore=None, **config):
    folder = Node()  # its folder and key
    plugins = {"logStore": {"db": {"dataPath": folder.data, "minFreeBytes": 0}}, "http": {},
               "streamr": {"network": {"controlLayer": control or {}, "node": node or {}}}}
    return Node(folder.folder, plugins=plugins, config=config)


def port_of(node):
    return int(until(lambda: re.search(r"Streamr node on wss?://\S+:(\d+)", node.said()), what="it listens").group(1))


def id_of(node):
    return until(lambda: re.search(r"this is node (\w+)", node.said()), what="it has an id").group(1)


def metric(node, name):
    _, _, body = node.get("/metrics")
    found = re.search(r"^streamr_%s (\S+)$" % re.escape(name), body.decode(), re.M)
    return float(found.group(1)) if found else 0


class Hostile(unittest.TestCase):
    """Whatever a peer does, it costs only itself: a friend is answered all the time."""

    @classmethod
    def setUpClass(cls):
        cls.node = broker(dict(OUR, maxConnectionsPerAddress=30, maxFramesPerSecond=2000)).start()
        cls.port, cls.id = port_of(cls.node), id_of(cls.node)
        cls.friend = Peer(cls.port).join()

    @classmethod
    def tearDownClass(cls):
        cls.friend.ws.socket.close()
        cls.node.stop()

    def friend_is_served(self, within=2):
        took = self.friend.ping()
        self.assertLess(took, within)

    def tearDown(self):
        self.friend_is_served()

    def test_a_handshake_for_somebody_else_or_of_an_old_version_is_refused(self):
        for target, version, error in ((descriptor("ab" * 20), "1.1", 1), (None, "0.9", 2), (None, "x", 2)):
            with Peer(self.port) as peer:
                self.assertEqual(peer.handshake(target, version), error)
                peer.closed()
        with Peer(self.port) as peer:
            self.assertIsNone(peer.handshake(descriptor(self.id), "2.0"))
            peer.ping()

    def test_a_node_with_our_own_id_is_hung_up_on(self):
        with Peer(self.port, self.id) as peer:
            peer.send(handshake(peer.own))
            self.assertEqual(peer.closed(), 1002)

    def test_garbage_and_broken_frames(self):
        with Peer(self.port) as peer:
            for _ in range(200):
                peer.send(os.urandom(50))
            self.assertEqual(peer.closed(), 1002)
        with Peer(self.port) as peer:
            peer.join()
            good = request("layer0", "ping", "dht.PingRequest", field(1, "x"))
            for n in range(len(good)):
                peer.send(good[:n])
                peer.send(good[:n] + bytes([good[n] ^ 0x55]) + good[n + 1:])
            peer.send(b"")
            peer.ws.send("text", ws.TEXT)
            peer.ping()  # and is still there itself

    def test_huge_lengths_inside_and_outside_of_frames(self):
        with Peer(self.port) as peer:
            peer.join()
            peer.send(field(1, "m") + field(4, "layer0") + b"\x2a\xff\xff\xff\xff\x0f")
            peer.ping()
            peer.ws.socket.sendall(struct.pack(">BBQ", 0x82, 0xff, 1 << 40) + b"\0\0\0\0")
            self.assertEqual(peer.closed(), 1009)

    def test_a_handshake_said_again_changes_nothing(self):
        with Peer(self.port) as peer:
            peer.join()
            said = handshake(descriptor("77" * 20))
            for _ in range(50):
                peer.send(said)
            peer.ping()
            info = peer.ask("system/node-info-rpc", "getInfo", "NodeInfoRequest")
            self.assertNotIn(b"\x77" * 20, info.body)
            self.assertIn(bytes.fromhex(peer.id), info.body)

    def test_forged_descriptors(self):
        huge = field(1, os.urandom(20)) + field(8, os.urandom(100000))
        short = field(1, b"short")
        for own in (huge, short, b"", b"\xff" * 30):
            with Peer(self.port) as peer:
                peer.own = own
                peer.send(handshake(own))
                for _ in range(40):
                    peer.send(handshake(own))
                self.assertEqual(peer.closed(), 1002)
        with Peer(self.port) as peer:  # a server that is not there is nobody's trouble until it is dialled
            peer.own = descriptor(peer.id, "203.0.113.1", 9)
            self.assertIsNone(peer.handshake())
            peer.ping()

    def test_a_flood_is_read_slowly(self):
        before = metric(self.node, "throttled_total")
        frame = request("nobody", "nothing", "dht.PingRequest", b"", True)
        out = struct.pack(">BBHI", 0x82, 0xfe, len(frame), 0) + frame
        with Peer(self.port) as peer:
            peer.join()
            peer.ws.socket.settimeout(0.2)
            sent, end = 0, time.monotonic() + 3
            while time.monotonic() < end:
                try:
                    sent += peer.ws.socket.send(out * 200)
                except socket.timeout:
                    pass
                self.friend_is_served(0.5)
            came = metric(self.node, 'frames_total{direction="in"}')
            self.assertGreater(metric(self.node, "throttled_total"), before)
            self.assertLess(came, 30000)

    def test_a_peer_that_does_not_read_is_not_kept_for(self):
        with Peer(self.port, receive_buffer=4096) as peer:
            peer.join()
            peer.ws.socket.settimeout(1)
            before, asked = self.node.rss(), 0
            try:
                while asked < 600:
                    peer.send(request("layer0", "ping", "dht.PingRequest", field(1, "x" * 60000)))
                    asked += 1
                    if asked % 50 == 0:
                        self.friend_is_served(0.5)
            except TimeoutError:
                pass  # it is not read any more
            self.assertGreater(asked, 100)
            self.assertLess(self.node.rss() - before, (256 if "asan" in BUILD else 32) << 20)
            until(lambda: metric(self.node, "frames_unsent_total") > 0, what="answers are left out")

    def test_many_connections_of_one_address_leave_room_for_others(self):
        peers = []
        try:
            refused = 0
            for _ in range(60):
                try:
                    peers.append(Peer(self.port))
                except ws.Refused as answer:
                    self.assertTrue(answer.args[0].startswith(b"HTTP/1.1 503"), answer.args[0])
                    refused += 1
            self.assertGreater(refused, 25)
        finally:
            for peer in peers:
                peer.ws.socket.close()
        until(lambda: self.connects(), what="there is room again")

    def connects(self):
        try:
            with Peer(self.port) as peer:
                return peer.join().ping() is not None
        except ws.Refused:
            return False

    def test_a_connectivity_request_is_answered_and_tries(self):
        with socket.create_server(("127.0.0.1", 0)) as nobody:
            closed_port = nobody.getsockname()[1]
        for port, reachable in ((self.port, True), (closed_port, False), (0, False)):
            with Peer(self.port, target="/?action=connectivityRequest") as peer:
                body = field(1, port) if port else b""
                peer.send(field(1, "m%d" % port) + field(4, "system/connectivity-checker") + field(6, body))
                opcode, data = next(f for f in iter(peer.ws.frame, None) if f[0] != ws.PING)
                self.assertEqual(opcode, ws.BINARY)
                answer = fields(fields(data)[7][0])
                self.assertEqual(3 in answer, reachable)
                self.assertEqual(answer[1], [b"127.0.0.1"])
                self.assertEqual(answer[5], [b"1.1"])


class Messages(unittest.TestCase):
    """What a stream part brings is checked as an upload is."""

    def test_forged_and_broken_messages_are_not_stored_and_good_ones_beside_them_are(self):
        stream = OWNER + "/hostile"
        service = "stream-part-delivery-%s#0" % stream
        start = int(time.time() * 1000) - 5000
        good = split(generate(300, stream=stream, start=start))
        other = split(generate(3, stream=OWNER + "/other", start=start))
        node = broker(OUR, mode={"type": "standalone", "trackedStreams": [{"id": stream}, {"id": OWNER + "/other"}]}).start()

        def send(peer, message, name=service):
            peer.send(request(name, "sendStreamMessage", "StreamMessage", message, True))
        with Peer(port_of(node)) as enemy, Peer(port_of(node)) as friend:
            enemy.join()
            friend.join()
            for i, message in enumerate(good[:200]):
                send(enemy, message[:-1] + bytes([message[-1] ^ 1]))  # the end, where the signature is or the content
                send(enemy, os.urandom(len(message)))
                send(enemy, message[:i])
            for message in other:
                send(enemy, message)  # of another stream part
            enemy.send(request(service, "sendStreamMessage", "dht.PingRequest", b"", True))
            enemy.ping()
            for message in good[200:]:
                send(friend, message)
            until(lambda: len(set(node.raw(stream)) & set(good)) >= 100, what="the good ones are stored")
            stored = set(node.raw(stream))
            self.assertLessEqual(stored, set(good), "something forged is stored")
            self.assertEqual(node.raw(OWNER + "/other"), [])
            friend.ping()
        node.stop()


class Alone(unittest.TestCase):
    def test_a_configuration_it_cannot_use_is_refused_with_a_sentence(self):
        for control, sentence in (({"websocketPortRange": {"min": 20, "max": 10}}, "begins behind its end"),
                                  ({"entryPoints": [{"nodeId": "xx", "websocket": {"host": "a", "port": 1}}]}, "nodeId"),
                                  ({"nonsense": 1}, "nonsense")):
            node = broker(control)
            with self.assertRaises(AssertionError):
                node.start()
            self.assertIn(sentence, node.said())

    def test_settings_for_what_it_does_not_do_are_named_once(self):
        node = broker(dict(OUR, iceServers=[], webrtcPortRange={"min": 1, "max": 2})).start()
        for key in ("iceServers", "webrtcPortRange"):
            self.assertEqual(node.said().count("'network.controlLayer.%s' has no effect" % key), 1)
        node.stop()

    def test_with_a_certificate_it_speaks_tls(self):
        cert, key = certificate(tempfile.mkdtemp(prefix="logstore-test-"))
        node = broker(dict(OUR, tlsCertificate={"certFileName": cert, "privateKeyFileName": key})).start()
        context = ssl.create_default_context(cafile=cert)
        with Peer(port_of(node), context=context) as peer:
            peer.join().ping()
        with self.assertRaises(ws.Refused):
            Peer(port_of(node))
        node.stop()

    def test_it_keeps_the_promises_of_the_plugin_header(self):
        nobody = {"nodeId": "ee" * 20, "websocket": {"host": "127.0.0.1", "port": 1}}
        for network in ({"controlLayer": OUR}, {"controlLayer": dict(OUR, entryPoints=[nobody])},
                        {"node": {"proxies": [nobody]}}):
            result = subprocess.run([program("logstore-broker"), "plugin", "check",
                                     os.path.join(BUILD, "plugins", "streamr.so"), "--config",
                                     json.dumps({"network": network})], capture_output=True, text=True)
            self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def test_its_metrics_are_well_formed(self):
        node = broker(OUR).start()
        body = node.get("/metrics")[2]
        self.assertIn(b"streamr_frames_total", body)
        check = subprocess.run(["promtool", "check", "metrics"], input=body, capture_output=True)
        self.assertEqual(check.returncode, 0, check.stderr)
        node.stop()

    def test_it_leaves_with_a_notice_and_its_code(self):
        node = broker(OUR).start()
        with Peer(port_of(node)) as peer:
            peer.join().ping()
            node.stop()
            notice = peer.receive()
            self.assertEqual(notice.method, "gracefulDisconnect")
            self.assertEqual(fields(notice.body)[1], [1])
            self.assertEqual(peer.closed(), 1001)


if __name__ == "__main__":
    unittest.main()
