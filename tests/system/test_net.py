"""Sockets of plugins: TCP, TLS and WebSocket, through the echo plugin."""
import json
import os
import socket
import struct
import subprocess
import tempfile
import time
import unittest

from node import BUILD, Node, program, until
from ws import BINARY, CLOSE, PING, PONG, TEXT, Refused, WebSocket


def echo(**settings):
    node = Node(plugins={"echo": dict(module=os.path.join(BUILD, "zoo", "echo.so"), **settings)}).start()
    node.echo = node.json("/echo")
    return node


def swap(node):
    result = subprocess.run([program("logstore-broker"), "swap", "--config", node.config, "echo"], env=node.env,
                            capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr


class Sockets(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.node = echo()

    @classmethod
    def tearDownClass(cls):
        cls.node.stop()

    def ws(self, target="/", **how):
        return WebSocket(self.node.echo["ws"], target, **how)

    def tcp(self):
        return socket.create_connection(("127.0.0.1", self.node.echo["tcp"]), timeout=30)

    def state(self):
        return self.node.json("/echo")

    def test_tcp_bytes_come_back(self):
        s = self.tcp()
        s.sendall(b"hello")
        self.assertEqual(s.recv(100), b"hello")
        s.close()

    def test_messages_of_every_length_come_back(self):
        ws = self.ws()
        for n in (0, 1, 125, 126, 127, 65535, 65536, 1 << 20):
            ws.send(b"x" * n)
            self.assertEqual(ws.receive(), b"x" * n)
            ws.send("y" * n)
            self.assertEqual(ws.receive(), "y" * n)
        self.assertEqual(ws.close(), 1000)

    def test_fragments_are_put_together_around_control_frames(self):
        ws = self.ws()
        ws.send("Hel".encode(), TEXT, fin=False)
        ws.send(b"are you there", PING)
        ws.send(b"lo ", 0, fin=False)
        ws.send("wörld".encode(), 0)
        self.assertEqual({ws.receive_frame(), ws.receive_frame()},
                         {(PONG, b"are you there"), (TEXT, "Hello wörld".encode())})

    def test_many_small_messages_in_one_segment_keep_their_order(self):
        ws = self.ws()
        ws.socket.sendall(b"".join(ws.frame(TEXT, b"%d" % i) for i in range(2000)))
        self.assertEqual([ws.receive() for _ in range(2000)], [str(i) for i in range(2000)])

    def test_what_breaks_the_rules_is_closed_with_its_code(self):
        cases = [
            ("unmasked", dict(payload=b"x", opcode=TEXT, mask=False), 1002),
            ("reserved bit", dict(payload=b"x", opcode=TEXT, rsv=4), 1002),
            ("reserved opcode", dict(payload=b"x", opcode=3), 1002),
            ("reserved control opcode", dict(payload=b"x", opcode=11), 1002),
            ("fragmented ping", dict(payload=b"x", opcode=PING, fin=False), None),
            ("long ping", dict(payload=b"x" * 126, opcode=PING), None),
            ("continuation of nothing", dict(payload=b"x", opcode=0), 1002),
            ("text that is not UTF-8", dict(payload=b"\xc3\x28", opcode=TEXT), 1007),
            ("a surrogate", dict(payload=b"\xed\xa0\x80", opcode=TEXT), 1007),
            ("too long", dict(payload=b"x" * ((1 << 20) + 1), opcode=BINARY), 1009),
            ("a close of one byte", dict(payload=b"x", opcode=CLOSE), None),
        ]
        for name, frame, code in cases:
            ws = self.ws()
            try:
                ws.send(**frame)
            except (BrokenPipeError, ConnectionResetError):
                pass
            with self.subTest(name):
                self.assertEqual(ws.closed_with(), code)

    def test_a_length_that_only_claims_to_be_large_takes_no_memory(self):
        before = self.node.rss()
        ws = self.ws()
        ws.socket.sendall(ws.frame(BINARY, b"", length=1 << 40) + b"x")
        self.assertEqual(ws.closed_with(), 1009)
        self.assertLess(self.node.rss(), before + (8 << 20))

    def test_requests_that_open_no_websocket_are_refused_in_one_line(self):
        for headers, status in (({"Sec-WebSocket-Key": None}, 400), ({"Sec-WebSocket-Key": "short"}, 400),
                                ({"Upgrade": "h2c"}, 400), ({"Connection": "close"}, 400),
                                ({"Host": None}, 400), ({"Sec-WebSocket-Version": "8"}, 426)):
            with self.assertRaises(Refused) as refused:
                self.ws(headers=headers)
            self.assertTrue(str(refused.exception).startswith("HTTP/1.1 %d " % status), (headers, refused.exception))
        with self.assertRaises(Refused) as refused:
            self.ws(request="POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        self.assertEqual(str(refused.exception), "HTTP/1.1 400 Bad Request")
        with self.assertRaises(Refused):
            self.ws(request="GET / HTTP/1.1\r\n" + "X: y\r\n" * 5000)

    def test_the_plugin_refuses_with_a_status(self):
        for status, line in ((401, "HTTP/1.1 401 Unauthorized"), (403, "HTTP/1.1 403 Forbidden")):
            with self.assertRaises(Refused) as refused:
                self.ws("/refuse/%d" % status)
            self.assertEqual(str(refused.exception), line)

    def test_the_plugin_closes_with_a_code_and_reason(self):
        ws = self.ws("/close")
        ws.send("a")
        self.assertEqual(ws.receive(), "a")
        with self.assertRaises(EOFError) as end:
            ws.receive()
        self.assertEqual(end.exception.args, (4000, "enough"))

    def test_the_plugin_hears_the_code_of_the_peer(self):
        ws = self.ws()
        ws.send("a")
        ws.receive()
        self.assertEqual(ws.close(4321), 4321)
        until(lambda: self.state()["code"] == 4321)
        ws = self.ws()
        ws.send("a")
        ws.receive()
        ws.socket.close()
        until(lambda: self.state()["code"] == 1006)

    def test_a_paused_connection_loses_nothing_of_what_had_arrived(self):
        ws = self.ws("/slow")
        ws.socket.sendall(b"".join(ws.frame(TEXT, b"%d" % i) for i in range(50)))
        self.assertEqual(ws.receive(), "0")
        for i in range(1, 50):
            self.node.get("/echo/resume")
            self.assertEqual(ws.receive(), str(i))

    def test_a_peer_that_does_not_read_is_waited_for(self):
        before = self.node.rss()
        s = self.tcp()
        s.setblocking(False)
        sent = 0
        for _ in range(400):
            try:
                sent += s.send(b"z" * 65536)
            except BlockingIOError:
                if sent > (16 << 20):
                    break
                time.sleep(0.001)
        self.assertLess(self.node.rss(), before + (12 << 20))
        s.setblocking(True)
        s.settimeout(30)
        got = 0
        while got < sent:
            got += len(s.recv(1 << 20))
        self.assertEqual(got, sent)
        s.close()

    def test_one_connection_too_many_is_closed(self):
        open_ones = [self.ws() for _ in range(15)]
        with self.assertRaises((Refused, ConnectionError)):
            for _ in range(10):
                open_ones.append(self.ws())
        self.assertIn("has 20 connections", self.node.said())
        for ws in open_ones:
            ws.socket.close()
        until(lambda: b"net_connections 0" in self.node.get("/metrics")[2])

    def test_connections_cross_swaps(self):
        ws, s = self.ws(), self.tcp()
        for i in range(5):
            ws.send("before %d" % i)
            s.sendall(b"tcp")
            swap(self.node)
            self.assertEqual(ws.receive(), "before %d" % i)
            self.assertEqual(s.recv(10), b"tcp")
        self.assertEqual(self.node.json("/echo")["ws"], self.node.echo["ws"], "the listener stays")
        ws.send("x" * 200000, fin=False)
        swap(self.node)
        ws.send(b"y", 0)
        self.assertEqual(ws.receive(), "x" * 200000 + "y")
        s.close()


class Time(unittest.TestCase):
    def test_a_silent_peer_is_pinged_and_then_closed(self):
        node = echo(ping=100, silence=300)
        ws = WebSocket(node.echo["ws"])
        self.assertEqual(ws.receive_frame()[0], PING)
        self.assertRaises(EOFError, lambda: [ws.receive_frame() for _ in range(100)])
        until(lambda: node.json("/echo")["closes"] == 1)
        node.stop()

    def test_open_connections_do_not_keep_the_node_from_stopping(self):
        node = echo()
        ws = WebSocket(node.echo["ws"])
        ws.send("a")
        ws.receive()
        node.stop()
        self.assertEqual(ws.closed_with(), 1012)


class Tls(unittest.TestCase):
    def test_the_same_over_tls(self):
        folder = tempfile.mkdtemp()
        cert, key = os.path.join(folder, "cert.pem"), os.path.join(folder, "key.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                        "-nodes", "-days", "1", "-subj", "/CN=localhost", "-keyout", key, "-out", cert],
                       check=True, capture_output=True)
        os.chmod(key, 0o600)
        node = echo(cert=cert, key=key)
        ws = WebSocket(node.echo["ws"], tls=True)
        for n in (1, 70000, 1 << 20):
            ws.send(b"x" * n)
            self.assertEqual(ws.receive(), b"x" * n)
        swap(node)
        ws.send("after")
        self.assertEqual(ws.receive(), "after")
        self.assertEqual(ws.close(), 1000)
        node.stop()


if __name__ == "__main__":
    unittest.main()
