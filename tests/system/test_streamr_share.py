"""Our node does its share in the network: beside it real nodes (v103) join as fast, and messages flow as well, as beside one of
their own, under load and when nodes go.

OWN=real puts a real node in the place of ours.
"""
import os
import time
import unittest

from node import until
from streamr_peers import PeerProcess, RealNode, all_have, key_of, own_node

ALICE = "0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a"
KEY = "11" * 32
LONG = os.environ.get("LONG") == "1"
MANY = 20000 if LONG else 3000


class Share(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.peers = PeerProcess()
        cls.addClassCleanup(cls.peers.end)
        cls.entry = RealNode(cls.peers)

    def parts(self, count):
        return ["%s/%s#%d" % (ALICE, self.id().rsplit(".", 1)[1], n) for n in range(count)]

    def real(self, *parts, **options):
        node = RealNode(options.pop("peers", self.peers), entries=[self.entry], **options)
        self.addCleanup(node.stop)
        for part in parts:
            node.join(part)
        return node

    def own(self, *parts, **options):
        node = own_node(list(parts), entries=[self.entry], **options)
        self.addCleanup(node.stop)
        return node

    def neighbours(self, real, *others, parts, seconds=40):
        for part in parts:
            until(lambda: {o.id for o in others} <= set(real.neighbours(part)), seconds,
                  "%s has its neighbours in %s" % (real.id[:8], part))

    def test_a_real_node_joins_without_delay(self):
        """Who asks the DHT waits for every node that was asked on the way: one that keeps silent costs ten seconds."""
        parts = self.parts(10)
        with PeerProcess() as others:
            entry = RealNode(others)
            for part in parts:
                entry.join(part)
            own = own_node(parts, entries=[entry])
            self.addCleanup(own.stop)
            self.neighbours(entry, own, parts=parts)
            took = []
            for part in parts:
                newcomer, began = RealNode(others, entries=[entry]), time.monotonic()
                newcomer.join(part)
                self.neighbours(newcomer, own, entry, parts=[part])
                took.append(round(time.monotonic() - began, 1))
                newcomer.stop()
        self.assertLess(max(took), 5, "seconds: %s" % took)

    def test_many_stream_parts_at_once(self):
        parts = self.parts(30)
        real = self.real(*parts)
        own = self.own(*parts)
        self.neighbours(real, own, parts=parts)
        for n, part in enumerate(parts):
            real.publish(part, KEY, count=3, first=n)
            own.publish(part, count=3, first=n)
        for n, part in enumerate(parts):
            all_have([own], part, ALICE, range(n, n + 3))
            all_have([real], part, own.address(), range(n, n + 3))
            self.assertEqual(own.received(part)[ALICE]["count"], 3, "of this part alone")

    def test_thousands_of_messages_come_once_and_in_order(self):
        part, = self.parts(1)
        own = self.own(part)
        real, behind = self.real(part), self.real(part)
        for node in (real, behind):
            self.neighbours(node, own, parts=[part])
        real.publish(part, KEY, count=MANY, pad=200)
        all_have([own, behind], part, ALICE, range(MANY), seconds=120)
        own.publish(part, count=MANY, pad=200)
        all_have([real, behind], part, own.address(), range(MANY), seconds=120)
        for node, publisher in ((own, ALICE), (behind, own.address())):
            self.assertEqual(dict(node.received(part)[publisher], numbers=0),
                             {"count": MANY, "numbers": 0, "duplicates": 0, "disorder": 0, "other": 0})

    def test_messages_of_nearly_a_mebibyte_pass_both_ways(self):
        part, = self.parts(1)
        own = self.own(part)
        real, behind = self.real(part), self.real(part)
        for node in (real, behind):
            self.neighbours(node, own, parts=[part])
        real.publish(part, KEY, count=10, pad=900000)
        all_have([own, behind], part, ALICE, range(10))
        own.publish(part, count=10, pad=900000)
        all_have([real, behind], part, own.address(), range(10))

    def test_messages_flow_on_without_the_entry_point(self):
        part, = self.parts(1)
        with PeerProcess() as others:
            entry = RealNode(others)
            real, own = RealNode(self.peers, entries=[entry]).join(part), own_node([part], entries=[entry])
            self.addCleanup(real.stop)
            self.addCleanup(own.stop)
            self.neighbours(real, own, parts=[part])
            others.kill()
        real.publish(part, KEY, count=10)
        own.publish(part, count=10)
        all_have([own], part, ALICE, range(10))
        all_have([real], part, own.address(), range(10))

    def test_who_comes_after_ours_has_left_is_not_held_up(self):
        parts = self.parts(4)
        for part in parts:
            self.entry.join(part)
        own = own_node(parts, entries=[self.entry])
        self.neighbours(self.entry, own, parts=parts)
        own.stop()
        took = {}
        for part in parts:
            until(lambda: own.id not in self.entry.neighbours(part), 5, "it is let go")
        for part in parts:
            began = time.monotonic()
            self.neighbours(self.real(part), self.entry, parts=[part])
            took[part[-2:]] = round(time.monotonic() - began, 1)
        self.assertLess(max(took.values()), 5, took)


if __name__ == "__main__":
    unittest.main()
