"""A hand-written Streamr peer for the system tests: WebSocket and protobuf, nothing believed."""
import os
import struct
import time
import uuid

import ws

HANDSHAKER = "system/handshaker"
PREFIX = "type.googleapis.com/"


def varint(n):
    out = bytearray()
    while n > 0x7f:
        out.append(n & 0x7f | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def field(number, value):
    """One field: a number, text or bytes."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def fields(data):
    """{number: [values]} of one message."""
    out, at = {}, 0

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7f) << shift
            shift += 7
            if byte < 0x80:
                return value
    while at < len(data):
        key = number()
        if key & 7 == 2:
            length = number()
            out.setdefault(key >> 3, []).append(data[at:at + length])
            at += length
        else:
            assert key & 7 == 0, key
            out.setdefault(key >> 3, []).append(number())
    return out


def descriptor(node_id, host=None, port=0):
    where = field(5, field(1, port) + field(2, host)) if host else b""
    return field(1, bytes.fromhex(node_id)) + where


def handshake(own, target=None, version="1.1"):
    body = field(1, own) + (field(2, target) if target else b"") + field(3, version) + field(4, "raw")
    return field(1, str(uuid.uuid4())) + field(4, HANDSHAKER) + field(8, body)


def header(key, value):
    return field(1, field(1, key) + field(2, value))


def request(service, method, kind, body, notification=False, request_id=None, message_id=None, source=None):
    """A frame that asks or tells."""
    rpc = (header("method", method) + header("request", "request") +
           header("notification", "notification" if notification else "") +
           field(2, field(1, PREFIX + kind) + (field(2, body) if body else b"")) +
           field(3, request_id or str(uuid.uuid4())))
    return (field(1, message_id or str(uuid.uuid4())) + (field(2, source) if source else b"") +
            field(4, service) + field(5, rpc))


class Frame:
    """What came."""

    def __init__(self, data):
        m = fields(data)
        self.service = m[4][0].decode()
        self.handshake_request = fields(m[8][0]) if 8 in m else None
        self.handshake_response = fields(m[9][0]) if 9 in m else None
        rpc = fields(m[5][0]) if 5 in m else {}
        self.header = {}
        for entry in rpc.get(1, []):
            e = fields(entry)
            self.header[e[1][0].decode()] = e.get(2, [b""])[0].decode()
        self.method = self.header.get("method")
        self.request_id = rpc.get(3, [b""])[0].decode()
        self.error = rpc.get(4, [None])[0]
        any_ = fields(rpc[2][0]) if 2 in rpc else {}
        self.body = any_.get(2, [b""])[0]
        self.is_response = "response" in self.header


class Peer:
    """A connection to a node; handshake() is the caller's."""

    def __init__(self, port, node_id=None, target="/", **options):
        self.id = node_id or os.urandom(20).hex()
        self.own = descriptor(self.id)
        self.ws = ws.Client(port, target, **options)
        self.seen = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ws.socket.close()

    def send(self, data):
        self.ws.send(data, ws.BINARY)

    def receive(self):
        """The next frame; ws.Closed when there is none."""
        while True:
            opcode, data = self.ws.frame()
            if opcode == ws.BINARY:
                return Frame(data)
            if opcode == ws.PING:
                self.ws.send(data, ws.PONG)
            elif opcode == ws.CLOSE:
                raise ws.Closed(struct.unpack(">H", data[:2])[0] if data else None)

    def handshake(self, target=None, version="1.1"):
        """None, or the error."""
        self.send(handshake(self.own, target, version))
        answer = self.receive()
        assert answer.service == HANDSHAKER, answer.service
        return answer.handshake_response.get(2, [None])[0]

    def join(self):
        assert self.handshake() is None
        return self

    def ask(self, service, method, kind, body=b""):
        """The answer's Frame; what else comes is kept in seen."""
        request_id = str(uuid.uuid4())
        self.send(request(service, method, kind, body, request_id=request_id))
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            frame = self.receive()
            if frame.is_response and frame.request_id == request_id:
                return frame
            self.seen.append(frame)
        raise TimeoutError(method)

    def ping(self):
        """Whether it answers; how long it took."""
        began = time.monotonic()
        answer = self.ask("layer0", "ping", "dht.PingRequest", field(1, "hello"))
        assert fields(answer.body)[1] == [b"hello"]
        return time.monotonic() - began

    def closed(self):
        """The close code, reading on until the end."""
        try:
            while True:
                self.receive()
        except ws.Closed as end:
            return end.code
