"""A socket that sends any bytes and reads exact pieces."""
import socket
import struct


class Cut(Exception):
    """The connection ended inside what was due; it holds what came of it."""


class Wire:
    """Behaves as badly as a test asks it to."""

    def __init__(self, port, address="127.0.0.1", receive_buffer=None):
        self.socket = socket.socket()
        self.socket.settimeout(30)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.connect((address, port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.have = bytearray()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        """What the node still takes of it."""
        try:
            self.socket.sendall(data)
        except (ConnectionResetError, BrokenPipeError):
            pass
        return self

    def half_close(self):
        self.socket.shutdown(socket.SHUT_WR)
        return self

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def more(self):
        try:
            part = self.socket.recv(1 << 18)
        except ConnectionResetError:
            part = b""
        self.have += part
        return part != b""

    def line(self, end=b"\r\n"):
        while end not in self.have:
            if not self.more():
                raise Cut(bytes(self.have))
        at = self.have.index(end)
        line = bytes(self.have[:at])
        del self.have[:at + len(end)]
        return line

    def take(self, length):
        while len(self.have) < length:
            if not self.more():
                raise Cut(bytes(self.have))
        data = bytes(self.have[:length])
        del self.have[:length]
        return data

    def rest(self):
        """Everything until the node closes."""
        while self.more():
            pass
        data, self.have = bytes(self.have), bytearray()
        return data
