"""An MQTT 3.1.1 client that sends any bytes and reads packets strictly."""
import json
import struct

from wire import Cut, Wire

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, \
    PINGRESP, DISCONNECT = range(1, 15)


def text(value):
    value = value.encode() if isinstance(value, str) else value
    return struct.pack(">H", len(value)) + value


def packet(kind, flags, body=b""):
    length, head = len(body), bytearray([kind << 4 | flags])
    while True:
        head.append(length & 127 | (128 if length > 127 else 0))
        length >>= 7
        if length == 0:
            return bytes(head) + body


def connect(client="c", clean=True, key=None, will=None, keep_alive=0, user=b"", level=4):
    flags = (2 if clean else 0) | (4 if will else 0) | (0xc0 if key is not None else 0)
    return packet(CONNECT, 0, text("MQTT") + bytes([level, flags]) + struct.pack(">H", keep_alive) + text(client) +
                  (text(will[0]) + text(will[1]) if will else b"") +
                  (text(user) + text(key) if key is not None else b""))


def publish(topic, payload, qos=0, number=1, dup=False, retain=False):
    payload = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return packet(PUBLISH, (8 if dup else 0) | qos << 1 | retain,
                  text(topic) + (struct.pack(">H", number) if qos else b"") + payload)


def subscribe(*topics, qos=0, number=9):
    return packet(SUBSCRIBE, 2, struct.pack(">H", number) + b"".join(text(t) + bytes([qos]) for t in topics))


def ack(kind, number):
    return packet(kind, 2 if kind == PUBREL else 0, struct.pack(">H", number))


class Client(Wire):
    def __init__(self, port, *args, open_session=True, receive_buffer=None, wrap=None, **options):
        super().__init__(port, receive_buffer=receive_buffer)
        if wrap:
            self.socket = wrap(self.socket)
        if open_session:
            self.send(connect(*args, **options))
            kind, _, body = self.packet()
            assert kind == CONNACK and body[1] == 0, (kind, body)
            self.session_present = body[0] == 1

    def more(self):
        if not super().more():
            raise Cut(bytes(self.have))

    def packet(self):
        """(kind, flags, body)"""
        while True:
            length, shift, at = 0, 0, 1
            while at < len(self.have):
                length |= (self.have[at] & 127) << shift
                shift += 7
                at += 1
                if not self.have[at - 1] & 128:
                    if len(self.have) < at + length:
                        break
                    first, body = self.have[0], bytes(self.have[at:at + length])
                    del self.have[:at + length]
                    return first >> 4, first & 15, body
            self.more()

    def expect(self, data):
        """The next bytes, exactly."""
        while len(self.have) < len(data):
            self.more()
        got = bytes(self.have[:len(data)])
        assert got == data, "%s came, expected %s" % (got.hex(), data.hex())
        del self.have[:len(data)]
        return self

    def message(self):
        """The next PUBLISH: (topic, payload, qos, number, dup)"""
        kind, flags, body = self.packet()
        assert kind == PUBLISH, (kind, body)
        assert flags & 1 == 0, "retain is set"
        (length,) = struct.unpack_from(">H", body)
        topic, rest, qos, number = body[2:2 + length].decode(), body[2 + length:], flags >> 1 & 3, 0
        if qos:
            (number,), rest = struct.unpack_from(">H", rest), rest[2:]
        return topic, json.loads(rest), qos, number, flags & 8 != 0

    def subscribed(self, *topics, qos=0):
        self.send(subscribe(*topics, qos=qos))
        kind, _, body = self.packet()
        assert kind == SUBACK, (kind, body)
        return list(body[2:])

    def ping(self):
        """Everything before is done with: the answer comes in turn."""
        return self.send(b"\xc0\0").expect(b"\xd0\0")

    def closed(self):
        """True once the node has closed; what it still sends is thrown away."""
        try:
            while True:
                self.more()
        except Cut:
            return True
