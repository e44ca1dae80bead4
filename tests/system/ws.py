"""A WebSocket client that can also break the rules."""
import base64
import hashlib
import os
import socket
import ssl
import struct

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class Refused(Exception):
    """The server did not open the WebSocket; the argument is its answer."""


class WebSocket:
    def __init__(self, port, target="/", headers=None, request=None, tls=False):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        if tls:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            self.socket = context.wrap_socket(self.socket)
        self.key = base64.b64encode(os.urandom(16)).decode()
        fields = {"Host": "127.0.0.1", "Upgrade": "websocket", "Connection": "Upgrade",
                  "Sec-WebSocket-Key": self.key, "Sec-WebSocket-Version": "13"}
        fields.update(headers or {})
        head = request or "GET %s HTTP/1.1\r\n%s\r\n" % (
            target, "".join("%s: %s\r\n" % item for item in fields.items() if item[1] is not None))
        self.socket.sendall(head.encode())
        self.pending = b""
        answer = b""
        while b"\r\n\r\n" not in answer:
            part = self.socket.recv(4096)
            if not part:
                break
            answer += part
        head, _, self.pending = answer.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101"):
            raise Refused(head.decode())
        accept = base64.b64encode(hashlib.sha1(
            (self.key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest())
        assert accept in head, head

    def frame(self, opcode, payload=b"", fin=True, mask=True, rsv=0, length=None):
        """The bytes of one frame; what is wrong with it is the caller's choice."""
        first = (0x80 if fin else 0) | rsv << 4 | opcode
        n = len(payload) if length is None else length
        head = bytes([first, (0x80 if mask else 0) | (n if n < 126 else 126 if n < 65536 else 127)])
        if n >= 65536:
            head += struct.pack(">Q", n)
        elif n >= 126:
            head += struct.pack(">H", n)
        if not mask:
            return head + payload
        key = os.urandom(4)
        long = int.from_bytes((key * (len(payload) // 4 + 1))[:len(payload)], "big")
        return head + key + (int.from_bytes(payload, "big") ^ long).to_bytes(len(payload), "big")

    def send(self, payload, opcode=None, **how):
        if isinstance(payload, str):
            payload, opcode = payload.encode(), TEXT if opcode is None else opcode
        self.socket.sendall(self.frame(BINARY if opcode is None else opcode, payload, **how))

    def read(self, n):
        while len(self.pending) < n:
            part = self.socket.recv(65536)
            if not part:
                raise EOFError("the server left")
            self.pending += part
        out, self.pending = self.pending[:n], self.pending[n:]
        return out

    def receive_frame(self):
        first, second = self.read(2)
        assert second < 128, "a server does not mask"
        n = second
        if n == 126:
            n = struct.unpack(">H", self.read(2))[0]
        elif n == 127:
            n = struct.unpack(">Q", self.read(8))[0]
        return first & 15, self.read(n)

    def receive(self):
        """The next message; pings are answered, pongs passed over."""
        while True:
            opcode, payload = self.receive_frame()
            if opcode == PING:
                self.send(payload, PONG)
            elif opcode == CLOSE:
                raise EOFError(struct.unpack(">H", payload[:2])[0] if payload else None, payload[2:].decode())
            elif opcode != PONG:
                return payload.decode() if opcode == TEXT else payload

    def closed_with(self):
        """The code of the close frame that comes, whatever comes before it."""
        while True:
            opcode, payload = self.receive_frame()
            if opcode == CLOSE:
                return struct.unpack(">H", payload[:2])[0] if payload else None

    def close(self, code=1000):
        self.send(struct.pack(">H", code), CLOSE)
        return self.closed_with()
