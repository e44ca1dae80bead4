"""The real Streamr nodes that other tests measure ours by, among themselves: what these tests see is how the network behaves."""
import os
import unittest

import streamr_peers
from node import Node, join, until
from streamr_peers import PeerError, PeerProcess, RealNode, Sdk, SdkClient, all_have, key_of
from test_chain import Chain

ALICE = "0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a"
KEY = "11" * 32


class RealNodes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.peers = PeerProcess()
        cls.entry = RealNode(cls.peers, accept=True)

    @classmethod
    def tearDownClass(cls):
        cls.peers.end()

    def part(self):
        return "%s/%s#0" % (ALICE, self.id().rsplit(".", 1)[1])

    def test_two_nodes_publish_to_each_other(self):
        part = self.part()
        self.entry.join(part)
        other = RealNode(self.peers, entries=[self.entry], keep=True).join(part, minCount=1)
        self.entry.publish(part, KEY, count=20)
        all_have([other], part, ALICE, range(20))
        self.entry.publish(part, KEY, count=20, first=20, binary=True)
        other.publish(part, key_of(1), count=5, first=100)
        bob = self.peers.ask("address", key=key_of(1))["address"]
        all_have([self.entry], part, bob, range(100, 105))
        all_have([other], part, ALICE, range(40))
        report = other.received(part)[ALICE]
        self.assertEqual(report, {"count": 40, "numbers": [[0, 39]], "duplicates": 0, "disorder": 0, "other": 0})
        self.assertEqual(len(other.messages(part)), 45)
        info = other.info(self.entry)
        self.assertEqual(info["version"], "103.3.1")
        self.assertIn(other.id, [n["nodeId"] for p in info["parts"] if p["id"] == part for n in p["neighbours"]])
        other.leave(part)
        until(lambda: other.id not in self.entry.neighbours(part), what="it has left")
        other.stop()

    def test_a_proxy_serves_a_subscriber_and_a_publisher(self):
        part = self.part()
        self.entry.join(part)
        subscriber = RealNode(self.peers, port=None, entries=[self.entry], client=True)
        publisher = RealNode(self.peers, port=None, entries=[self.entry], client=True)
        subscriber.set_proxies(part, [self.entry], ALICE, "subscribe")
        publisher.set_proxies(part, [self.entry], ALICE, "publish")
        publisher.publish(part, KEY, count=10)
        all_have([self.entry, subscriber], part, ALICE, range(10))
        with self.assertRaises(PeerError):
            subscriber.publish(part, KEY)
        publisher.set_proxies(part, [], ALICE)
        subscriber.set_proxies(part, [], ALICE)
        for node in (subscriber, publisher):
            node.stop()

    def test_a_node_without_a_server_is_reached(self):
        part = self.part()
        hidden = RealNode(self.peers, port=None, entries=[self.entry]).join(part)
        other = RealNode(self.peers, entries=[self.entry]).join(part)
        until(lambda: hidden.id in other.neighbours(part), what="they are neighbours")
        other.publish(part, KEY, count=10)
        all_have([hidden], part, ALICE, range(10))
        for node in (hidden, other):
            node.stop()

    def test_messages_made_elsewhere_go_out_as_they_are(self):
        part = self.part()
        self.entry.join(part)
        other = RealNode(self.peers, entries=[self.entry], keep=True).join(part, minCount=1)
        made = self.peers.ask("make", part=part, key=KEY, count=3, timestamp=1700000000000)["messages"]
        self.entry.ask("publish", part=part, messages=made)
        all_have([other], part, ALICE, range(3))
        self.assertEqual([m.hex() for m in other.messages(part)], made)
        other.stop()


class SdkClients(unittest.TestCase):
    """Offline, with the stub chain; the entry point keeps every message as it was on the wire."""

    @classmethod
    def setUpClass(cls):
        cls.peers, cls.sdk = PeerProcess(), Sdk()
        cls.entry = RealNode(cls.peers, keep=True)
        cls.alice = SdkClient(cls.sdk, KEY, [cls.entry])
        cls.bob = SdkClient(cls.sdk, key_of(1), [cls.entry])

    @classmethod
    def tearDownClass(cls):
        cls.sdk.end()
        cls.peers.end()

    def stream(self, **q):
        stream = "%s/%s" % (ALICE, self.id().rsplit(".", 1)[1])
        self.sdk.stream(stream, users={self.alice.address: "all", self.bob.address: "subscribe"}, **q)
        self.entry.join(stream + "#0")
        self.bob.subscribe(stream)
        return stream

    def test_plain_and_binary_messages_are_accepted_and_go_out_as_encoded(self):
        stream = self.stream(public=True)
        sent = self.alice.publish(stream, count=3) + self.alice.publish(stream, count=2, first=3, binary=True, pad=5)
        accepted = self.bob.accepted(stream, 5)
        self.assertEqual([m.get("content", {}).get("n") for m in accepted], [0, 1, 2, None, None])
        self.assertEqual(accepted[4]["hex"], ("4:" + "\0\xff" * 5).encode().hex())
        self.assertEqual(self.bob.report(stream)["errors"], [])
        until(lambda: sorted(self.entry.messages(stream + "#0")) == sorted(sent), what="the entry point has the same bytes")

    def test_encrypted_messages_are_read_with_keys_that_rotate(self):
        stream = self.stream()
        sent = []
        for n, how in enumerate((None, "rotate", "rekey")):
            if how:
                self.alice.rotate(stream, how)
            sent += self.alice.publish(stream, first=2 * n, count=2)
            accepted = self.bob.accepted(stream, 2 * n + 2)
        self.assertEqual([m["content"]["n"] for m in accepted], list(range(6)))
        self.assertEqual(self.bob.report(stream)["errors"], [])
        self.assertTrue(set(sent) <= set(self.entry.messages(stream + "#0")))
        self.assertGreater(len(self.entry.messages(stream + "#0")), len(sent), "keys were asked for on the same way")

    def test_a_bad_signature_and_a_publisher_without_permission_are_not_accepted(self):
        stream = self.stream(public=True)
        until(lambda: self.bob.id in self.entry.neighbours(stream + "#0"), what="they are neighbours")
        self.entry.publish(stream + "#0", KEY, first=100, sign=False, chain="junk")
        self.entry.publish(stream + "#0", key_of(7), first=200, chain="stranger")
        self.entry.publish(stream + "#0", KEY, first=300, chain="good")
        accepted = self.bob.accepted(stream, 1)
        until(lambda: len(self.bob.report(stream)["errors"]) == 2, what="two are refused")
        self.assertEqual([m["content"]["n"] for m in accepted], [300])

    def test_permissions_are_those_of_the_real_contracts(self):
        chain = Chain("anvil")
        try:
            chain.do("create", path="/real")
            stream = chain.owner + "/real"
            where = {"url": chain.url, "registry": chain.registry, "storage": chain.storage}
            alice, bob, eve = (SdkClient(self.sdk, key_of(n), [self.entry], chain=where) for n in (20, 21, 22))
            chain.do("grant", stream=stream, user=alice.address)
            chain.do("grant", stream=stream, user=bob.address, right=3)
            bob.subscribe(stream)
            alice.publish(stream, count=3)
            self.assertEqual([m["content"]["n"] for m in bob.accepted(stream, 3)], [0, 1, 2])
            with self.assertRaises(PeerError):
                eve.publish(stream)
            for client in (alice, bob, eve):
                client.stop()
        finally:
            chain.stop()

    def test_what_our_node_has_stored_is_resent(self):
        stream = self.stream(public=True)
        node = Node(config={"mode": {"type": "standalone", "trackedStreams": [{"id": ALICE + "/*"}]}}).start()
        storage = "0x" + "b0" * 20
        self.sdk.peers.ask("storageNode", address=storage, url="http://127.0.0.1:%d" % node.port)
        self.sdk.stream(stream, users={self.alice.address: "all"}, public=True, storageNodes=[storage])
        sent = self.alice.publish(stream, count=5)
        self.assertEqual(node.upload(join(sent), stream)[1]["stored"], 5)
        self.assertEqual([m["content"]["n"] for m in self.alice.resend(stream, last=3)], [2, 3, 4])
        node.stop()


class Failures(unittest.TestCase):
    def test_a_command_that_fails_says_so(self):
        with PeerProcess() as peers:
            with self.assertRaisesRegex(PeerError, "there is no node"):
                peers.ask("join", id="00" * 20, part="x/y#0")
            with self.assertRaisesRegex(PeerError, "there is no command"):
                peers.ask("nothing")

    def test_what_a_node_lacks_is_told(self):
        with PeerProcess() as peers:
            node = RealNode(peers).join(ALICE + "/lack#0")
            with self.assertRaisesRegex(AssertionError, "real .* lacks 2 of 2"):
                all_have([node], ALICE + "/lack#0", ALICE, range(2), seconds=0.2)

    def test_peers_that_are_missing_or_killed_are_a_failure(self):
        before, streamr_peers.PEERS = streamr_peers.PEERS, os.path.join(streamr_peers.PEERS, "nowhere")
        try:
            with self.assertRaisesRegex(AssertionError, "npm package .* is missing; run scripts/setup test"):
                PeerProcess()
        finally:
            streamr_peers.PEERS = before
        peers = PeerProcess()
        peers.kill()
        with self.assertRaisesRegex(AssertionError, "has ended"):
            peers.ask("report", id="00" * 20)


if __name__ == "__main__":
    unittest.main()
