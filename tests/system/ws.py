"""A small WebSocket client (RFC 6455) for the system tests: blocking, strict about what it gets,
and able to send what no decent client would."""
import base64
import hashlib
import os
import socket
import struct
import time
import urllib.parse

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Refused(Exception):
    """The server answered something else than 101; args[0] is all it sent."""


class Closed(Exception):
    """The connection has ended; code is None without a close frame."""

    def __init__(self, code=None, reason=""):
        super().__init__("closed: %s %s" % (code, reason))
        self.code, self.reason = code, reason


def path(stream, kind, **query):
    return "/streams/%s/%s%s" % (urllib.parse.quote(stream, safe=""), kind,
                                 "?" + urllib.parse.urlencode(query) if query else "")


class Client:
    def __init__(self, port, target, receive_buffer=None, context=None, timeout=30, headers=None):
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout)
        self.socket.connect(("127.0.0.1", port))
        if context:
            self.socket = context.wrap_socket(self.socket, server_hostname="localhost")
        self.buffer = b""
        self.pings = 0
        self.timeout = timeout
        key = base64.b64encode(os.urandom(16))
        self.socket.sendall(b"GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n" % (target.encode(), port, key) +
                            "".join("%s: %s\r\n" % h for h in (headers or {}).items()).encode() + b"\r\n")
        head = self.head()
        if not head.startswith(b"HTTP/1.1 101 "):
            raise Refused(head + self.rest())
        accept = base64.b64encode(hashlib.sha1(key + MAGIC).digest())
        assert b"\r\nsec-websocket-accept: " + accept.lower() in head.lower(), head

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def head(self):
        while b"\r\n\r\n" not in self.buffer:
            part = self.socket.recv(65536)
            if not part:
                raise Refused(self.buffer)
            self.buffer += part
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        return head + b"\r\n\r\n"

    def rest(self):
        try:
            while True:
                part = self.socket.recv(65536)
                if not part:
                    return self.buffer
                self.buffer += part
        except ConnectionError:
            return self.buffer

    def take(self, n):
        while len(self.buffer) < n:
            try:
                part = self.socket.recv(1 << 18)
            except ConnectionError:
                part = b""
            if not part:
                raise Closed()
            self.buffer += part
        got, self.buffer = self.buffer[:n], self.buffer[n:]
        return got

    def frame(self):
        """(opcode, payload) of one frame; the server sends whole messages."""
        first, second = self.take(2)
        assert first & 0x70 == 0 and first & 0x80 and not second & 0x80, (first, second)
        length = second & 0x7f
        if length == 126:
            (length,) = struct.unpack(">H", self.take(2))
        elif length == 127:
            (length,) = struct.unpack(">Q", self.take(8))
        return first & 0x0f, self.take(length)

    def receive(self):
        """The next message as text; pings are answered. Closed when there is none, TimeoutError when
        none comes, pings or not."""
        deadline = time.monotonic() + self.timeout
        while time.monotonic() < deadline:
            opcode, data = self.frame()
            if opcode == PING:
                self.pings += 1
                self.send(data, PONG)
            elif opcode == CLOSE:
                code = struct.unpack(">H", data[:2])[0] if data else None
                self.send(data, CLOSE)
                raise Closed(code, data[2:].decode())
            elif opcode == TEXT:
                return data.decode()
            else:
                assert opcode == PONG, opcode
        raise TimeoutError("no message within %s s" % self.timeout)

    def send(self, data, opcode=TEXT, final=True):
        data = data.encode() if isinstance(data, str) else data
        length = len(data)
        head = struct.pack(">BB", opcode | (0x80 if final else 0),
                           0x80 | (length if length < 126 else 126 if length < 65536 else 127))
        head += b"" if length < 126 else struct.pack(">H" if length < 65536 else ">Q", length)
        try:
            self.socket.sendall(head + b"\0\0\0\0" + data)  # a mask of zeros
        except ConnectionError:
            pass  # what the server said before is still to be read

    def close(self, code=1000):
        """End it in an orderly way; what was still to come is thrown away."""
        self.send(struct.pack(">H", code), CLOSE)
        try:
            while True:
                self.receive()
        except Closed:
            pass
        self.socket.close()


def flood(client, messages):
    """Send many text messages without an answer, in large writes."""
    out = bytearray()
    for m in messages:
        data = m.encode()
        assert len(data) < 126
        out += struct.pack(">BBI", 0x81, 0x80 | len(data), 0) + data
    client.socket.sendall(out)
