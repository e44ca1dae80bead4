"""Hostile neighbours in a stream part: whatever they do costs only themselves. Real nodes beside ours exchange messages all
the time, and none may be lost or late.

OWN=real puts a real node in the place of ours: how the network itself stands it.
"""
import os
import socket
import threading
import time
import unittest

import ws
from node import BUILD, until
from streamr import Peer, descriptor, field, fields, request
from streamr_peers import PeerProcess, RealNode, all_have, key_of, numbers, own_node

ALICE = "0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a"
KEY = "11" * 32
# Growth of resident memory that is too much; freed memory stays with ASan for a while.
TOO_MUCH = (64 << 20) + ((256 << 20) if "asan" in os.path.basename(BUILD) else 0)
METHODS = {"sendStreamMessage": "StreamMessage", "handshake": "StreamPartHandshakeRequest",
           "interleaveRequest": "InterleaveRequest", "neighborUpdate": "NeighborUpdate",
           "leaveStreamPartNotice": "LeaveStreamPartNotice", "requestConnection": "ProxyConnectionRequest",
           "openConnection": "TemporaryConnectionRequest", "closeConnection": "CloseTemporaryConnection",
           "pauseNeighbor": "PauseNeighborRequest", "resumeNeighbor": "ResumeNeighborRequest", "sendMetadata": "MessageID"}


def message(part, publisher, timestamp, chain, content=b"{}", sequence=0, previous=None):
    """A StreamMessage whose signature is junk."""
    stream, _, partition = part.partition("#")
    ident = (field(1, stream) + (field(2, int(partition)) if partition != "0" else b"") + field(3, timestamp) +
             field(4, sequence) + field(5, publisher) + field(6, chain))
    before = field(2, field(1, previous)) if previous else b""
    return field(1, ident) + before + field(3, b"\1" * 65) + field(4, 1) + field(5, field(1, content))


class Hostile(Peer):
    """A connection that knows the stream part."""

    def __init__(self, node, part, **options):
        super().__init__(node.port, **options)
        self.part, self.service = part, "stream-part-delivery-" + part

    def become_neighbour(self):
        self.join()
        answer = self.ask(self.service, "handshake", METHODS["handshake"], field(1, self.part) + field(2, "x"))
        return fields(answer.body).get(1) == [1]

    def tell(self, method, body, service=None):
        self.send(request(service or self.service, method, METHODS[method], body, True))

    def request(self, method, body):
        self.send(request(self.service, method, METHODS[method], body))

    def drain(self, seconds=1):
        """Read what comes for a while, answer nothing."""
        self.ws.socket.settimeout(0.2)
        end = time.monotonic() + seconds
        try:
            while time.monotonic() < end:
                self.receive()
        except (TimeoutError, socket.timeout):
            return True
        except (ws.Closed, OSError):
            return False
        finally:
            self.ws.socket.settimeout(30)


class Neighbours(unittest.TestCase):
    """A real node, the entry point, is our neighbour."""

    @classmethod
    def setUpClass(cls):
        cls.peers = PeerProcess()
        cls.entry = RealNode(cls.peers)
        cls.parts = ["%s/%s#0" % (ALICE, name) for name in unittest.TestLoader().getTestCaseNames(cls)]
        for part in cls.parts:
            cls.entry.join(part)
        cls.own = own_node(cls.parts, entries=[cls.entry])

    @classmethod
    def tearDownClass(cls):
        cls.own.stop()
        cls.peers.end()

    def setUp(self):
        self.part = "%s/%s#0" % (ALICE, self._testMethodName)
        until(lambda: self.own.id in self.entry.neighbours(self.part), 20, "they are neighbours")
        self.sent, self.over, self.slowest = 0, threading.Event(), 0
        self.rss = self.memory()
        self.friend = threading.Thread(target=self.exchange)
        self.friend.start()

    def memory(self):
        return self.own.node.rss() if self.own.kind == "own" else 0

    def exchange(self):
        """A message every 50 ms; how long the slowest took to ours."""
        while not self.over.wait(0.05):
            began = time.monotonic()
            self.entry.publish(self.part, KEY, first=self.sent, chain="friend")
            self.sent += 1
            while not self.over.is_set() and self.received() < self.sent and time.monotonic() - began < 20:
                time.sleep(0.005)
            self.slowest = max(self.slowest, time.monotonic() - began)

    def received(self):
        return len(numbers(self.own.received(self.part).get(ALICE, {}).get("numbers", [])))

    def tearDown(self):
        """Friends lost nothing and waited for nothing; memory is as it was."""
        at = self.sent
        until(lambda: self.sent > at + 10, 30, "friends exchange messages afterwards")
        self.over.set()
        self.friend.join()
        all_have([self.own], self.part, ALICE, range(self.sent))
        self.own.publish(self.part, count=3, first=1000000)
        all_have([self.entry], self.part, self.own.address(), range(1000000, 1000003))
        self.assertLess(self.slowest, 20)  # exchange() waits no longer: nobody was held up for good
        self.assertLess(self.memory() - self.rss, TOO_MUCH)

    def passed_on(self):
        return self.own.metric("streamr_messages_out_total") if self.own.kind == "own" else 0

    def hostile(self, **options):
        peer = Hostile(self.own, self.part, **options)
        self.addCleanup(peer.ws.socket.close)
        return peer

    def test_garbage_for_every_method(self):
        for method in METHODS:
            peer = self.hostile()
            peer.become_neighbour()
            for n in range(60):
                peer.tell(method, os.urandom(n))
                peer.request(method, os.urandom(n))
            good = message(self.part, b"\x22" * 20, 1700000000000, "c")
            for cut in range(0, len(good), 7):
                peer.tell(method, good[:cut])
                peer.tell(method, good[:cut] + b"\xff" + good[cut + 1:])
            peer.drain(0.05)

    def test_forged_messages_are_not_stored_and_do_not_shut_out_the_genuine(self):
        """In the chain of a publisher who goes on: far in the future, and with a previous message that is not one."""
        peer = self.hostile()
        peer.become_neighbour()
        until(lambda: self.sent > 5, 30, "the publisher publishes")
        publisher, now = bytes.fromhex(ALICE[2:]), int(time.time() * 1000)
        peer.tell("sendStreamMessage", message(self.part, publisher, now + 10**9, "friend", b'{"n":77777777}', previous=now + 10**9 - 1))
        elsewhere = next(part for part in self.parts if part != self.part)
        genuine = self.peers.ask("make", part=elsewhere, key=key_of(8), first=77777778, timestamp=now)["messages"]
        peer.tell("sendStreamMessage", bytes.fromhex(genuine[0]))
        peer.tell("sendStreamMessage", message(self.part, publisher, now, "new", b'{"n":77777779}'))
        for n in range(500):
            peer.tell("sendStreamMessage", message(self.part, os.urandom(20), now, os.urandom(10).hex(), b'{"n":77777780}'))
        peer.drain()
        at = self.sent
        until(lambda: self.sent > at + 5, 30, "it goes on")
        if self.own.kind == "own":
            stored = self.own.messages(self.part) + self.own.messages(elsewhere)
            self.assertFalse([m for m in stored if b'{"n":777777' in m])

    def test_the_same_message_over_and_over(self):
        peer = self.hostile()
        peer.become_neighbour()
        flood = message(self.part, b"\x33" * 20, 1700000000000, "flood", b"x" * 1000)
        before = self.passed_on()
        end, told = time.monotonic() + 3, 0
        peer.ws.socket.settimeout(0.5)
        while time.monotonic() < end:
            try:
                peer.tell("sendStreamMessage", flood)
                told += 1
            except (socket.timeout, OSError):
                pass
        self.assertGreater(told, 1000)
        self.assertLess(self.passed_on() - before, 500)
        counted = self.entry.received(self.part).get("0x" + "33" * 20, {"count": 0})["count"]
        self.assertLessEqual(counted, 1)

    def test_a_neighbour_that_reads_nothing(self):
        peer = self.hostile(receive_buffer=4096)
        self.assertTrue(peer.become_neighbour())
        self.entry.publish(self.part, key_of(9), count=300, pad=100000, every=15, chain="large")
        address = self.peers.ask("address", key=key_of(9))["address"]
        all_have([self.own], self.part, address, range(300))
        self.assertLess(self.memory() - self.rss, TOO_MUCH)

    def test_lists_of_nodes_that_are_not_there(self):
        """Handshakes, updates and interleaving that name thousands of nodes: none of them is our trouble."""
        peer = self.hostile()
        peer.become_neighbour()
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port = silent.getsockname()[1]
            names = [descriptor(os.urandom(20).hex(), "127.0.0.1", port) for _ in range(5000)]
            for _ in range(5):
                body = field(1, self.part) + b"".join(field(3, d) for d in names)
                peer.request("neighborUpdate", body)
                peer.request("handshake", field(1, self.part) + field(2, "y") + b"".join(field(4, os.urandom(20)) for _ in names))
            for d in names[:200]:
                peer.request("interleaveRequest", field(1, d))
            peer.drain()
            silent.settimeout(0.5)
            dialled, held = 0, []
            try:
                while dialled < 2000:
                    held.append(silent.accept()[0])
                    dialled += 1
            except socket.timeout:
                pass
            self.assertLess(dialled, 300)
            for connection in held:
                connection.close()

    def test_somebody_with_the_id_of_a_neighbour(self):
        for _ in range(5):
            peer = self.hostile(node_id=self.entry.id)
            try:
                peer.handshake()
                peer.tell("leaveStreamPartNotice", field(1, self.part))
                peer.drain(0.05)
            except ws.Closed:
                pass
            peer.ws.socket.close()
        until(lambda: self.own.id in self.entry.neighbours(self.part), 40, "the real one is a neighbour (again)")

    def test_clients_that_come_and_go(self):
        for n in range(100):
            peer = self.hostile()
            peer.become_neighbour()
            if n % 2:
                peer.tell("leaveStreamPartNotice", field(1, self.part))
            peer.ws.socket.close()


if __name__ == "__main__":
    unittest.main()
