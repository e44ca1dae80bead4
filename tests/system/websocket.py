"""One end of a WebSocket by hand, so that tests can break every rule of RFC 6455."""
import base64
import hashlib
import os
import socket
import struct

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


def mask_of(data, mask):
    n = len(data)
    whole = int.from_bytes(data, "big") ^ int.from_bytes((mask * (n // 4 + 1))[:n], "big")
    return whole.to_bytes(n, "big")


def frame(opcode, data=b"", fin=1, rsv=0, masked=True, length=None):
    """length: claim another one than there is."""
    n = len(data) if length is None else length
    head = bytes([fin << 7 | rsv << 4 | opcode])
    bit = 0x80 if masked else 0
    if n < 126:
        head += bytes([bit | n])
    elif n < 65536:
        head += bytes([bit | 126]) + struct.pack(">H", n)
    else:
        head += bytes([bit | 127]) + struct.pack(">Q", n)
    if not masked:
        return head + data
    mask = os.urandom(4)
    return head + mask + mask_of(data, mask)


def close_frame(code, reason=b"", **how):
    return frame(CLOSE, struct.pack(">H", code) + reason, **how)


def accept_of(key):
    return base64.b64encode(hashlib.sha1(key.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()).decode()


KEY = base64.b64encode(b"sixteen bytes, !").decode()


def request(path="/", key=KEY, version="13", method="GET", http="HTTP/1.1", host="localhost",
            upgrade="websocket", connection="Upgrade", extra=""):
    lines = ["%s %s %s" % (method, path, http)]
    for name, value in (("Host", host), ("Upgrade", upgrade), ("Connection", connection),
                        ("Sec-WebSocket-Key", key), ("Sec-WebSocket-Version", version)):
        if value is not None:
            lines.append("%s: %s" % (name, value))
    return ("\r\n".join(lines) + "\r\n" + extra + "\r\n").encode()


class Ended(Exception):
    pass


class Stream:
    """A socket read in exact pieces."""

    def __init__(self, sock):
        self.sock = sock
        self.sock.settimeout(20)
        self.read = b""

    def exactly(self, n):
        pieces, have = [self.read], len(self.read)
        while have < n:
            try:
                piece = self.sock.recv(min(max(65536, n - have), 1 << 20))
            except ConnectionResetError:
                piece = b""
            if not piece:
                self.read = b"".join(pieces)
                raise Ended(self.read)
            pieces.append(piece)
            have += len(piece)
        whole = b"".join(pieces)
        self.read = whole[n:]
        return whole[:n]

    def head(self):
        while b"\r\n\r\n" not in self.read:
            piece = self.sock.recv(65536)
            if not piece:
                raise Ended(self.read)
            self.read += piece
        text, self.read = self.read.split(b"\r\n\r\n", 1)
        return text.decode() + "\r\n\r\n"

    def rest(self):
        """Everything up to the end."""
        try:
            self.exactly(1 << 40)
        except Ended as end:
            return end.args[0]

    def send(self, data):
        self.sock.sendall(data)

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Ws(Stream):
    """masked: the role of a client."""

    def __init__(self, sock, masked=True):
        super().__init__(sock)
        self.masked = masked

    @classmethod
    def connect(cls, port, path="/", context=None, behind=b"", **how):
        sock = socket.create_connection(("127.0.0.1", port), timeout=20)
        if context:
            sock = context.wrap_socket(sock, server_hostname="localhost")
        ws = cls(sock)
        ws.send(request(path, **how) + behind)
        ws.answer = ws.head()
        if " 101 " not in ws.answer or accept_of(KEY) not in ws.answer:
            raise Ended(ws.answer)
        return ws

    def say(self, opcode, data=b"", **how):
        self.send(frame(opcode, data, masked=self.masked, **how))

    def frame(self):
        """(fin, opcode, data)"""
        a, b = self.exactly(2)
        n = b & 127
        if n == 126:
            (n,) = struct.unpack(">H", self.exactly(2))
        elif n == 127:
            (n,) = struct.unpack(">Q", self.exactly(8))
        if (b & 128 != 0) == self.masked:
            raise AssertionError("the frame is masked as ours are")
        mask = self.exactly(4) if b & 128 else None
        data = self.exactly(n)
        return a >> 7, a & 15, mask_of(data, mask) if mask else data

    def message(self):
        """(opcode, data), pongs left out."""
        while True:
            fin, opcode, data = self.frame()
            if opcode != PONG:
                assert fin == 1
                return opcode, data

    def closed(self):
        """The code and reason of the Close that comes, after which nothing may come."""
        while True:
            _, opcode, data = self.frame()
            if opcode == CLOSE:
                break
        code = struct.unpack(">H", data[:2])[0] if data else None
        return code, data[2:].decode()
