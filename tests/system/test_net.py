"""Plugins' own sockets: the plugin tests/plugins/echo.c in the real daemon, plain and with TLS, in both roles."""
import json
import os
import re
import select
import socket
import ssl
import struct
import subprocess
import tempfile
import time
import unittest

from node import BUILD, ROOT, Node, until
from test_tls import certificate
from websocket import (BINARY, CLOSE, CONT, KEY, PING, PONG, TEXT, Ended, Stream, Ws, accept_of, close_frame, frame,
                       request)

PEERS = os.path.join(ROOT, "tests", "peers")
ASAN = "asan" in BUILD


def echo_node(env=None, http=None, **settings):
    plugin = dict({"module": os.path.join(BUILD, "test-plugins", "echo.so")}, **settings)
    node = Node(plugins={"echo": plugin}, env=env, config={"httpServer": dict({"port": 0}, **(http or {}))}).start()
    node.ports = node.json("/echo/ports")
    return node


def metric(node, name):
    found = re.search(r"^%s (\S+)$" % re.escape(name), node.get("/metrics")[2].decode(), re.M)
    assert found, "no metric " + name
    return float(found.group(1))


def ends_of(node):
    """What the plugin was told in on_close(), so far."""
    return [json.loads(line) for line in re.findall(r"echo: (\{.*\})", node.said())]


class Echo(unittest.TestCase):
    """Tests that share one plain node."""

    @classmethod
    def setUpClass(cls):
        cls.node = echo_node()

    @classmethod
    def tearDownClass(cls):
        cls.node.stop()


class Tcp(Echo):
    def connect(self):
        return Stream(socket.create_connection(("127.0.0.1", self.node.ports["tcp"])))

    def test_bytes_come_back_and_the_rest_of_them_after_we_have_ended(self):
        with self.connect() as tcp:
            tcp.send(b"hello")
            self.assertEqual(tcp.exactly(5), b"hello")
            data = os.urandom(200000)
            tcp.send(data)
            tcp.sock.shutdown(socket.SHUT_WR)
            self.assertEqual(tcp.rest(), data)
        until(lambda: any(e["bytes"] == 200005 and e["code"] == 0 and e["why"] == "" for e in ends_of(self.node)))

    def test_a_reset_is_told_with_a_reason(self):
        with self.connect() as tcp:
            tcp.send(b"reset me")
            tcp.exactly(8)
            tcp.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        until(lambda: any(e["bytes"] == 8 and e["why"] == "connection reset by peer" for e in ends_of(self.node)))

    def test_a_megabyte_intact_through_a_sender_that_does_not_read_meanwhile(self):
        with self.connect() as tcp:
            data = os.urandom(1 << 20)
            tcp.send(data)
            self.assertEqual(tcp.exactly(1 << 20), data)


class WebSocket(Echo):
    """Over plain TCP. What RFC 6455 says, in the order of the sections of the Autobahn test suite."""

    def connect(self, path="/", **how):
        return Ws.connect(self.node.ports["ws"], path, **how)

    def test_1_messages_of_every_length_form_come_back_as_they_were(self):
        with self.connect() as ws:
            for opcode in (TEXT, BINARY):
                for size in (0, 125, 126, 127, 128, 65535, 65536, 1 << 20):
                    data = b"*" * size
                    for chop in (None, 997) if size < 1 << 20 else (None,):
                        whole = frame(opcode, data)
                        for at in range(0, len(whole), chop or len(whole)):
                            ws.send(whole[at:at + (chop or len(whole))])
                        self.assertEqual(ws.message(), (opcode, data), (opcode, size, chop))

    def test_2_pings_are_answered_and_pongs_are_not(self):
        with self.connect() as ws:
            for data in (b"", b"hello", b"\x00\xff\xfe", b"x" * 125):
                ws.say(PING, data)
                self.assertEqual(ws.frame(), (1, PONG, data))
            ws.say(PONG, b"nobody asked")
            ws.say(TEXT, b"on")
            self.assertEqual(ws.frame(), (1, TEXT, b"on"))
            for i in range(10):
                ws.say(PING, b"%d" % i)
            self.assertEqual([ws.frame() for _ in range(10)], [(1, PONG, b"%d" % i) for i in range(10)])
            for byte in frame(PING, b"slowly"):
                ws.send(bytes([byte]))
            self.assertEqual(ws.frame(), (1, PONG, b"slowly"))

    def ends(self, code, *frames, before=()):
        """The frames make the node close with that code; messages `before` came back first."""
        with self.connect() as ws:
            ws.send(b"".join(frames))
            for expected in before:
                self.assertEqual(ws.message(), expected)
            self.assertEqual(ws.closed()[0], code, frames)
            self.assertEqual(ws.rest(), b"", "nothing after a Close")

    def test_2_a_ping_that_is_too_long_or_in_pieces(self):
        self.ends(1002, frame(PING, b"x" * 126))
        self.ends(1002, frame(PING, b"x", fin=0))

    def test_3_reserved_bits(self):
        for rsv in range(1, 8):
            self.ends(1002, frame(TEXT, b"good"), frame(TEXT, b"bad", rsv=rsv), before=[(TEXT, b"good")])
            self.ends(1002, frame(PING, b"", rsv=rsv))
            self.ends(1002, frame(CLOSE, b"", rsv=rsv))

    def test_4_unknown_opcodes(self):
        for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
            self.ends(1002, frame(opcode, b"x"))
            self.ends(1002, frame(TEXT, b"good"), frame(opcode), before=[(TEXT, b"good")])

    def test_5_pieces(self):
        with self.connect() as ws:
            ws.send(frame(TEXT, b"frag", fin=0) + frame(CONT, b"ment"))
            self.assertEqual(ws.message(), (TEXT, b"fragment"))
            ws.send(frame(TEXT, b"frag", fin=0) + frame(PING, b"!") + frame(CONT, b"ment"))
            self.assertEqual(ws.frame(), (1, PONG, b"!"))
            self.assertEqual(ws.message(), (TEXT, b"fragment"))
            data = os.urandom(300000)
            for size in (1000, 65537):
                ws.say(BINARY, data[:size], fin=0)
                for at in range(size, len(data), size):
                    ws.say(CONT, data[at:at + size], fin=0)
                    ws.say(PING)
                    self.assertEqual(ws.frame(), (1, PONG, b""))
                ws.say(CONT)
                self.assertEqual(ws.message(), (BINARY, data))
            for byte in (frame(TEXT, b"a", fin=0) + frame(CONT, b"", fin=0) + frame(CONT, b"b")):
                ws.send(bytes([byte]))
            self.assertEqual(ws.message(), (TEXT, b"ab"))
        for fin in (0, 1):
            self.ends(1002, frame(CONT, b"of nothing", fin=fin))
        self.ends(1002, frame(TEXT, b"a", fin=0), frame(TEXT, b"b"))
        self.ends(1002, frame(TEXT, b"a", fin=0), frame(CONT, b"b"), frame(CONT, b"c"), before=[(TEXT, b"ab")])

    VALID = ["", "Hello-µ@ßöäüàá-UTF-8!!", "κόσμε", "\x00", "\x7f", "\x80", "߿", "ࠀ", "￿", "\U00010000", "\U0010ffff",
             "\ufffd", "\ud7ff", "\ue000", "\ufeff", "a\u0300", "\ufdd0", "\U0001fffe"]
    INVALID = ["80", "bf", "80bf", "c0", "c1", "c020", "e0", "f0", "f8", "fc", "fe", "ff", "feffff", "c0af", "e080af",
               "f08080af", "f8808080af", "c1bf", "e09fbf", "f08fbfbf", "c080", "e08080", "eda080", "edafbf", "edb080",
               "edbfbf", "eda080edb080", "f4908080", "f5808080", "cebae1bdb9cf83cebceda080656469746564", "c3", "e282",
               "f09f98", "c328", "e28228", "f09f2898", "48656c6cf8"]

    def test_6_text_is_utf_8(self):
        with self.connect() as ws:
            for text in self.VALID:
                data = text.encode()
                ws.say(TEXT, data)
                self.assertEqual(ws.message(), (TEXT, data))
                for byte in range(len(data)):  # every byte a piece
                    ws.say(CONT if byte else TEXT, data[byte:byte + 1], fin=0)
                ws.say(CONT if data else TEXT, b"")
                self.assertEqual(ws.message(), (TEXT, data))
        for hexed in self.INVALID:
            data = bytes.fromhex(hexed)
            self.ends(1007, frame(TEXT, data))
            self.ends(1007, frame(TEXT, b"ok " + data[:1], fin=0), frame(CONT, data[1:]))
            with self.connect() as ws:  # as binary it is nobody's business
                ws.say(BINARY, data)
                self.assertEqual(ws.message(), (BINARY, data))

    def test_7_closing(self):
        with self.connect() as ws:  # 7.1.1 to 7.1.3
            ws.send(frame(TEXT, b"first") + close_frame(1000) + frame(PING) + frame(TEXT, b"late") + close_frame(1000))
            self.assertEqual(ws.message(), (TEXT, b"first"))
            self.assertEqual(ws.closed(), (1000, ""))
            self.assertEqual(ws.rest(), b"")
        with self.connect() as ws:  # 7.1.5: a message that is not over is forgotten
            ws.send(frame(TEXT, b"half", fin=0) + close_frame(1000))
            self.assertEqual(ws.closed(), (1000, ""))
        for reason in (b"", b"bye", b"x" * 123):  # 7.3, 7.5
            with self.connect() as ws:
                ws.send(close_frame(1000, reason))
                self.assertEqual(ws.closed()[0], 1000)
        with self.connect() as ws:
            ws.say(CLOSE)
            self.assertEqual(ws.closed(), (None, ""))
        self.ends(1002, frame(CLOSE, b"\x03"))
        self.ends(1002, frame(CLOSE, struct.pack(">H", 1000) + b"x" * 124))
        self.ends(1007, close_frame(1000, b"\xce\xba\xed\xa0\x80"))
        for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999):
            with self.connect() as ws:  # 7.7
                ws.send(close_frame(code))
                self.assertEqual(ws.closed(), (code, ""))
                self.assertEqual(ws.rest(), b"")
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535):  # 7.9, 7.13
            self.ends(1002, close_frame(code))

    def test_9_frames_that_lie_about_their_length(self):
        self.ends(1002, bytes([0x81, 0xfe, 0, 5]) + bytes(4) + b"hello")
        self.ends(1002, bytes([0x81, 0xff]) + struct.pack(">Q", 200) + bytes(4) + b"x" * 200)
        self.ends(1002, bytes([0x82, 0xff]) + struct.pack(">Q", 1 << 63) + bytes(4) + b"x")
        self.ends(1002, frame(TEXT, b"not masked", masked=False))

    def test_messages_beyond_the_limit_are_1009_whole_and_in_pieces(self):
        self.ends(1009, frame(BINARY, b"x" * (2 << 20) + b"x"))
        self.ends(1009, frame(BINARY, b"x", length=1 << 50))
        self.ends(1009, frame(BINARY, b"x" * (1 << 20), fin=0), frame(CONT, b"x" * (1 << 20) + b"x"))
        with self.connect() as ws:
            data = os.urandom(2 << 20)
            ws.say(BINARY, data)
            self.assertEqual(ws.message(), (BINARY, data))
        until(lambda: any(e["code"] == 1009 and e["why"] == "a message of more than 2097152 bytes"
                          for e in ends_of(self.node)))

    def refused(self, status, data):
        with Stream(socket.create_connection(("127.0.0.1", self.node.ports["ws"]))) as s:
            s.send(data)
            answer = s.rest().decode()
            self.assertTrue(answer.startswith("HTTP/1.1 %d " % status), (data, answer))
            return answer

    def test_handshakes_that_are_not_to_the_letter_are_refused(self):
        self.assertIn("Sec-WebSocket-Version: 13\r\n", self.refused(426, request(version="8")))
        self.refused(426, request(version=None))
        self.refused(405, request(method="POST"))
        self.refused(400, request(http="HTTP/1.0"))
        self.refused(505, request(http="HTTP/2.0"))
        self.refused(400, request(host=None))
        self.refused(426, request(upgrade=None))
        self.refused(426, request(upgrade="h2c"))
        self.refused(426, request(connection="close"))
        self.refused(400, request(key=None))
        self.refused(400, request(key="c2hvcnQ="))
        self.refused(400, request(key=KEY[:-2] + "=A"))
        self.refused(400, request(extra="Sec-WebSocket-Key: %s\r\n" % KEY))
        self.refused(400, request(extra="Content-Length: 5\r\n") + b"hello")
        self.refused(400, b"nonsense\r\n\r\n")
        self.refused(431, b"GET / HTTP/1.1\r\nX: " + b"x" * 20000)
        self.assertGreater(metric(self.node, 'net_refused_total{reason="handshake"}'), 14)
        self.assertEqual(self.node.said().count("refused 127.0.0.1:") < 5, True, "the log is not flooded")

    def test_handshakes_in_other_words_are_accepted(self):
        for how in ({"upgrade": "WebSocket"}, {"connection": "keep-alive, upgrade"}, {"upgrade": "foo, websocket"},
                    {"extra": "Sec-WebSocket-Extensions: permessage-deflate\r\n"}, {"extra": "Origin: http://else\r\n"}):
            with self.connect(**how) as ws:
                self.assertNotIn("Extensions", ws.answer)
                ws.say(TEXT, b"hi")
                self.assertEqual(ws.message(), (TEXT, b"hi"))
        with self.connect(extra="Sec-WebSocket-Protocol: one, echo.v1\r\n") as ws:
            self.assertIn("Sec-WebSocket-Protocol: echo.v1\r\n", ws.answer)
        with self.connect(extra="Sec-WebSocket-Protocol: one, two\r\n") as ws:
            self.assertNotIn("Sec-WebSocket-Protocol", ws.answer)
        with self.connect(behind=frame(TEXT, b"no waiting") + frame(PING, b"x")) as ws:
            self.assertEqual(ws.frame(), (1, TEXT, b"no waiting"))
            self.assertEqual(ws.frame(), (1, PONG, b"x"))

    def test_a_refusal_by_the_plugin_is_one_line_with_its_status(self):
        self.assertEqual(self.refused(401, request("/refuse/401")), "HTTP/1.1 401 Unauthorized\r\n\r\n")
        self.refused(599, request("/refuse/599"))
        self.refused(500, request("/refuse/200"))

    def test_the_plugin_closes_with_a_code_and_a_reason(self):
        for code in (1000, 4001, 1012):
            with self.connect("/close/%d" % code) as ws:
                self.assertEqual(ws.closed(), (code, "as you asked"))
                ws.send(close_frame(code))
                self.assertEqual(ws.rest(), b"")

    def test_what_is_queued_goes_out_before_the_close(self):
        with self.connect("/flood/3000000") as ws:
            got = 0
            while True:
                opcode, data = ws.message()
                if opcode == CLOSE:
                    break
                got += len(data)
        self.assertEqual(got, 3014656)  # whole blocks of 64 KiB
        self.assertEqual(data, struct.pack(">H", 1000) + b"that was all")

    def test_the_plugin_is_told_how_a_connection_ended(self):
        for path, data, code, why in (("/swallow", close_frame(4100, b"my reason"), 4100, "my reason"),
                                      ("/swallow", close_frame(4101), 4101,
                                       "the peer closed it and gave no reason"),
                                      ("/swallow", frame(CLOSE), 1005, ""),
                                      ("/swallow", frame(TEXT, b"\xff"), 1007, "a text message is not UTF-8"),
                                      ("/swallow", b"", 1006, "the peer left without a Close")):
            before = len(ends_of(self.node))
            with self.connect(path) as ws:
                ws.send(data)
                if data:
                    ws.closed()
                else:
                    ws.sock.shutdown(socket.SHUT_RDWR)
            until(lambda: len(ends_of(self.node)) > before)
            end = ends_of(self.node)[-1]
            self.assertEqual((end["code"], end["why"]), (code, why))

    def test_a_slow_plugin_loses_nothing_and_keeps_the_order(self):
        with self.connect("/slow") as ws:
            for i in range(300):
                ws.say(TEXT, b"%d" % i)
            self.assertEqual([ws.message()[1] for _ in range(300)], [b"%d" % i for i in range(300)])

    def test_a_peer_that_sends_to_a_plugin_that_does_not_read_is_stopped(self):
        before = self.node.rss()
        with self.connect("/hold") as ws:
            ws.sock.settimeout(1)
            sent, block = 0, frame(BINARY, bytes(1 << 16))
            with self.assertRaises(socket.timeout):
                while sent < 200 << 20:
                    ws.send(block)
                    sent += len(block)
        self.assertLess(sent, 30 << 20)  # what the kernel takes
        self.assertLess(self.node.rss() - before, (100 if ASAN else 4) << 20)

    def test_a_peer_that_reads_slowly_holds_up_the_echo_and_costs_no_memory(self):
        with self.connect() as ws:  # fills pools and water marks once
            ws.say(BINARY, bytes(1 << 20))
            ws.message()
        before = self.node.rss()
        message = frame(BINARY, os.urandom(1 << 16))
        with self.connect() as ws:
            ws.sock.setblocking(False)
            sent, quiet = 0, time.monotonic()
            while time.monotonic() - quiet < 1:  # nothing more is taken for so long
                try:
                    sent += ws.sock.send(message[sent % len(message):])
                    quiet = time.monotonic()
                except BlockingIOError:
                    select.select([], [ws.sock], [], 0.2)
            self.assertLess(self.node.rss() - before, (60 if ASAN else 12) << 20)
            ws.sock.settimeout(20)
            expected = sent // len(message)
            for _ in range(expected):  # and now all of it comes
                self.assertEqual(len(ws.message()[1]), 1 << 16)
        self.assertGreater(expected, 10)

    def test_a_peer_that_floods_pings_and_never_reads_costs_nothing(self):
        before = self.node.rss()
        with self.connect() as ws:
            ws.sock.settimeout(2)
            pings = frame(PING, b"x" * 125) * 500
            try:
                for _ in range(600):
                    ws.send(pings)
            except socket.timeout:
                pass
        self.assertLess(self.node.rss() - before, (60 if ASAN else 4) << 20)

    def test_the_request_listener_has_websockets_too(self):
        with Ws.connect(self.node.port, "/echo/ws", behind=frame(TEXT, b"early")) as ws:
            self.assertEqual(ws.message(), (TEXT, b"early"))
            data = os.urandom(1 << 20)
            ws.say(BINARY, data)
            self.assertEqual(ws.message(), (BINARY, data))
            ws.send(close_frame(1000))
            self.assertEqual(ws.closed(), (1000, ""))
            self.assertEqual(ws.rest(), b"")
        status, _, body = self.node.get("/echo/ws")
        self.assertEqual((status, body), (400, b'{"error":"not a WebSocket"}'))
        with self.assertRaises(Ended) as end:  # any page may open a WebSocket
            Ws.connect(self.node.port, "/echo/ws", extra="Origin: http://evil.example\r\n")
        self.assertIn("HTTP/1.1 403 ", end.exception.args[0])
        with Stream(socket.create_connection(("127.0.0.1", self.node.port))) as s:  # after other requests
            s.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" + request("/echo/ws") + frame(TEXT, b"piped"))
            self.assertIn("200 OK", s.head())
            self.assertEqual(s.exactly(3), b"ok\n")
            self.assertIn(accept_of(KEY), s.head())
            self.assertEqual(Ws.frame(Ws_of(s)), (1, TEXT, b"piped"))


def Ws_of(stream):
    ws = Ws(stream.sock)
    ws.read = stream.read
    return ws


class Limits(unittest.TestCase):
    def test_silent_peers_are_pinged_and_closed(self):
        node = echo_node(pingMs=200, silenceMs=300)
        with Ws.connect(node.ports["ws"], "/swallow") as good, Ws.connect(node.ports["ws"], "/swallow") as dead:
            for _ in range(4):
                self.assertEqual(good.frame(), (1, PING, b""))
                good.say(PONG)
            self.assertEqual(dead.frame(), (1, PING, b""))
            self.assertEqual(dead.rest(), b"", "cut without more pings")
        until(lambda: [e["why"] for e in ends_of(node)].count("no answer to a ping within 300 ms") == 1)
        self.assertEqual(metric(node, 'net_closed_total{reason="timeout"}'), 1)
        node.stop()

    def test_connections_beyond_the_limit_are_closed_at_once(self):
        node = echo_node(maxConnections=3)
        kept = [Ws.connect(node.ports["ws"]) for _ in range(3)]
        with Stream(socket.create_connection(("127.0.0.1", node.ports["ws"]))) as s:
            self.assertEqual(s.rest(), b"")
        self.assertEqual(metric(node, 'net_refused_total{reason="limit"}'), 1)
        self.assertIn("as many connections as the listener takes are open", node.said())
        kept.pop().close()

        def again():
            try:
                return Ws.connect(node.ports["ws"])
            except Ended:
                return None
        kept.append(until(again, what="there is room again"))
        for ws in kept:
            ws.say(TEXT, b"on")
            self.assertEqual(ws.message(), (TEXT, b"on"))
            ws.close()
        until(lambda: metric(node, "net_connections") == 0)
        node.stop()

    def test_a_peer_that_never_shakes_hands_is_closed_in_time(self):
        node = echo_node()
        with Stream(socket.create_connection(("127.0.0.1", node.ports["ws"]))) as s:
            s.send(b"GET / HTTP/1.1\r\n")
            self.assertEqual(s.rest(), b"")
        self.assertEqual(metric(node, 'net_refused_total{reason="timeout"}'), 1)
        node.stop()

    def test_the_node_says_going_away_when_it_stops(self):
        node = echo_node()
        with Ws.connect(node.ports["ws"]) as ws, Stream(socket.create_connection(("127.0.0.1", node.ports["tcp"]))) as s:
            ws.say(TEXT, b"on")
            ws.message()
            node.stop()
            self.assertEqual(ws.closed(), (1001, "going away"))
            self.assertEqual(s.rest(), b"")


class Secure(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="logstore-net-")
        cls.cert, cls.key = certificate(cls.folder)
        # The node as a client believes this one authority.
        cls.node = echo_node(env={"SSL_CERT_FILE": cls.cert}, cert=cls.cert, key=cls.key)
        cls.context = ssl.create_default_context(cafile=cls.cert)

    @classmethod
    def tearDownClass(cls):
        cls.node.stop()

    def test_websocket_messages_intact(self):
        with Ws.connect(self.node.ports["wss"], context=self.context) as ws:
            for size in (0, 1, 126, 16384, 65536, 1 << 20):
                data = os.urandom(size)
                ws.say(BINARY, data)
                self.assertEqual(ws.message(), (BINARY, data))
            ws.send(close_frame(1000))
            self.assertEqual(ws.closed(), (1000, ""))

    def test_bytes_intact(self):
        with Stream(self.context.wrap_socket(socket.create_connection(("127.0.0.1", self.node.ports["tls"])),
                                             server_hostname="localhost")) as s:
            data = os.urandom(1 << 20)
            s.send(data)
            self.assertEqual(s.exactly(len(data)), data)
            s.sock.unwrap()

    def test_a_connection_cut_without_close_notify_is_told(self):
        before = len(ends_of(self.node))
        s = self.context.wrap_socket(socket.create_connection(("127.0.0.1", self.node.ports["tls"])),
                                     server_hostname="localhost")
        s.sendall(b"x")
        s.recv(1)
        raw = socket.socket(fileno=s.detach())
        raw.shutdown(socket.SHUT_WR)
        until(lambda: len(ends_of(self.node)) > before)
        raw.close()
        self.assertIn("without saying that this is the end", ends_of(self.node)[-1]["why"])

    def test_a_plain_client_gets_nothing(self):
        for kind in ("tls", "wss"):
            with Stream(socket.create_connection(("127.0.0.1", self.node.ports[kind]))) as s:
                s.send(request())
                self.assertNotIn(b"HTTP/1.1", s.rest())

    def dial(self, **how):
        query = "&".join("%s=%s" % item for item in dict({"count": 5, "size": 300000, "path": "/"}, **how).items())
        return self.node.json("/echo/dial?" + query)

    def test_as_a_client_it_believes_certificates_of_the_right_name_only(self):
        for kind in ("tls", "wss"):
            for host in ("localhost", "127.0.0.1"):
                got = self.dial(kind=kind, host=host, port=self.node.ports[kind])
                self.assertEqual((got["opened"], got["bytes"]), (1, 1500000), got)
            got = self.dial(kind=kind, host="127.0.0.1", name="localhost", port=self.node.ports[kind])
            self.assertEqual(got["opened"], 1, got)
            got = self.dial(kind=kind, host="localhost", name="other.example", port=self.node.ports[kind])
            self.assertEqual(got["opened"], 0)
            self.assertIn("the certificate is not to be trusted (hostname mismatch)", got["why"].lower())

    def test_as_a_client_it_does_not_believe_strangers(self):
        node = echo_node()
        got = node.json("/echo/dial?kind=wss&host=localhost&port=%d&path=/" % self.node.ports["wss"])
        self.assertEqual(got["opened"], 0)
        self.assertIn("the certificate is not to be trusted (self-signed certificate)", got["why"])
        node.stop()


class Client(Echo):
    """The node's own WebSocket client against a server that may break every rule."""

    def setUp(self):
        self.server = socket.create_server(("127.0.0.1", 0))

    def tearDown(self):
        self.server.close()

    def begin(self, **how):
        query = dict({"kind": "ws", "host": "127.0.0.1", "port": self.server.getsockname()[1], "path": "/x"}, **how)
        http = socket.create_connection(("127.0.0.1", self.node.port))
        http.sendall(("GET /echo/dial?%s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" %
                      "&".join("%s=%s" % item for item in query.items())).encode())
        self.server.settimeout(20)
        sock, _ = self.server.accept()
        ws = Ws(sock, masked=False)
        ws.answer = Stream(http)
        return ws

    def outcome(self, ws):
        return json.loads(ws.answer.rest().split(b"\r\n\r\n", 1)[1])

    def agree(self, ws, extra="", behind=b"", accept=None):
        ask = ws.head()
        key = re.search(r"Sec-WebSocket-Key: (\S+)\r\n", ask).group(1)
        ws.send(("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 "Sec-WebSocket-Accept: %s\r\n%s\r\n" % (accept or accept_of(key), extra)).encode() + behind)
        return ask

    def test_it_asks_by_the_book_masks_and_answers_a_close(self):
        ws = self.begin(count=3, size=70000, protocol="p1", text=1)
        ask = self.agree(ws, extra="Sec-WebSocket-Protocol: p1\r\n")
        self.assertTrue(ask.startswith("GET /x HTTP/1.1\r\n"), ask)
        self.assertIn("\r\nHost: 127.0.0.1:%d\r\n" % self.server.getsockname()[1], ask)
        self.assertIn("\r\nSec-WebSocket-Version: 13\r\n", ask)
        self.assertIn("\r\nSec-WebSocket-Protocol: p1\r\n", ask)
        for letter in b"dcb":
            self.assertEqual(ws.message(), (TEXT, bytes([letter]) * 70000))
        ws.send(frame(PING, b"?", masked=False))
        self.assertEqual(ws.frame(), (1, PONG, b"?"))
        ws.send(close_frame(1001, masked=False))
        self.assertEqual(ws.closed(), (1001, ""))
        ws.close()
        self.assertEqual(self.outcome(ws)["code"], 1001)

    def refuses(self, why, answer=None, **how):
        ws = self.begin()
        if answer is None:
            self.agree(ws, **how)
        else:
            ws.head()
            ws.send(answer)
        self.assertEqual(ws.rest(), b"")
        got = self.outcome(ws)
        self.assertEqual(got["opened"], 0, got)
        self.assertIn(why, got["why"])

    def test_it_refuses_what_is_no_agreement(self):
        self.refuses("does not belong to our key", accept=accept_of(KEY))
        self.refuses("an extension nobody asked for", extra="Sec-WebSocket-Extensions: permessage-deflate\r\n")
        self.refuses("a subprotocol nobody asked for", extra="Sec-WebSocket-Protocol: p2\r\n")
        self.refuses("(HTTP status 403)", b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        self.refuses("the first line is not", b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
        self.refuses("larger than 16 KiB", b"HTTP/1.1 101 x\r\nX: " + b"x" * 20000)
        self.refuses("switched to something else", b"HTTP/1.1 101 x\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n")
        ws = self.begin()
        ws.head()
        ws.close()
        self.assertIn("left during the handshake", self.outcome(ws)["why"])

    def test_it_ends_what_a_server_may_not_send(self):
        for data, code in ((frame(TEXT, b"masked"), 1002), (frame(3, masked=False), 1002),
                           (frame(TEXT, b"\xff", masked=False), 1007), (frame(CONT, b"", masked=False), 1002),
                           (frame(TEXT, b"x", rsv=4, masked=False), 1002)):
            ws = self.begin(size=1, count=1)
            self.agree(ws, behind=data)
            self.assertEqual(ws.message()[0], BINARY)
            self.assertEqual(ws.closed()[0], code)
            ws.close()
            self.assertEqual(self.outcome(ws)["code"], code)

    def test_a_server_that_says_nothing_costs_the_time_given(self):
        ws = self.begin(timeout=300)
        ws.head()
        self.assertEqual(ws.rest(), b"")
        self.assertEqual(self.outcome(ws)["why"], "the handshake took too long")

    def test_a_connection_that_cannot_be_made_says_why(self):
        self.server.close()
        spare = socket.create_server(("127.0.0.1", 0))
        port = spare.getsockname()[1]
        spare.close()
        got = self.node.json("/echo/dial?kind=tcp&host=localhost&port=%d" % port)
        self.assertEqual(got["why"], "cannot connect to 'localhost' port %d (connection refused)" % port)
        got = self.node.json("/echo/dial?kind=tcp&host=no-such-name.invalid&port=%d" % port)
        self.assertIn("cannot connect to 'no-such-name.invalid'", got["why"])
        self.assertEqual(self.node.get("/echo/dial?kind=ws&host=localhost&port=%d&path=nowhere" % port)[0], 400)


@unittest.skipUnless(os.path.isdir(os.path.join(PEERS, "node_modules", "ws")), "npm packages are not installed")
class NpmWs(unittest.TestCase):
    """The npm package `ws`, which is what Streamr nodes use, at the other end."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="logstore-net-")
        cls.cert, cls.key = certificate(cls.folder)
        cls.node = echo_node(env={"SSL_CERT_FILE": cls.cert}, cert=cls.cert, key=cls.key)

    @classmethod
    def tearDownClass(cls):
        cls.node.stop()

    def start(self, *arguments):
        return subprocess.Popen(["node", "--require", "./loopback.cjs", "ws.mjs", *arguments], cwd=PEERS, text=True,
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def test_as_client_of_each_listener(self):
        for url in ("ws://127.0.0.1:%d/" % self.node.ports["ws"], "wss://127.0.0.1:%d/" % self.node.ports["wss"],
                    "ws://127.0.0.1:%d/echo/ws" % self.node.port):
            out, err = self.start("client", url).communicate(timeout=120)
            self.assertTrue(out, err)
            self.assertEqual(json.loads(out), {"protocol": "echo.v1", "extensions": "", "wrong": [], "sizes": 26,
                                               "pong": "in between", "inOrder": True, "code": 4321,
                                               "reason": ""}, url)

    def test_as_server(self):
        for kind, files in (("ws", ()), ("wss", (self.cert, self.key))):
            process = self.start("serve", *files)
            port = int(process.stdout.readline())

            def dial(path, count=1, size=10, text=0):
                return self.node.json("/echo/dial?kind=%s&host=localhost&port=%d&path=%s&count=%d&size=%d&text=%d" % (
                    kind, port, path, count, size, text))
            for count, size, text in ((1, 1, 1), (1, 125, 0), (1, 126, 1), (1, 65536, 0), (20, 1 << 20, 0),
                                      (500, 64, 1)):
                got = dial("/", count, size, text)
                self.assertEqual((got["bytes"], got["messages"], got["wrong"], got["code"]),
                                 (count * size, count, 0, 1000), got)
            got = dial("/pieces", 3, 100000)
            self.assertEqual((got["bytes"], got["messages"], got["wrong"]), (300000, 3, 0), got)
            got = dial("/close/4002")
            self.assertEqual((got["code"], got["why"]), (4002, "as you asked"))
            got = dial("/terminate")
            self.assertEqual(got["code"], 1006)
            process.stdin.close()
            process.wait(20)
            process.stdout.close()
            process.stderr.close()


if __name__ == "__main__":
    unittest.main()
