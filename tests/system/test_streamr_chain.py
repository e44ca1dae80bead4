"""The real Streamr SDK, the real contracts and real Streamr nodes around ours: what the SDK publishes is stored byte for byte
when the chain allows it, what ours publishes over HTTP is accepted by the SDK."""
import os
import unittest

from node import BUILD, until
from streamr import fields
from streamr_peers import OwnNode, PeerProcess, RealNode, Sdk, SdkClient, key_of
from test_chain import Chain

STRANGER = key_of(7)
CONTENT = 5  # of a StreamMessage; key requests and responses have other bodies


class TheSdkOnAChain:
    """Streams are created and rights granted by the SDK; ours is in the network in one of two ways."""

    @classmethod
    def setUpClass(cls):
        cls.chain = Chain("anvil")
        cls.addClassCleanup(cls.chain.stop)
        cls.facts = {"url": cls.chain.url, "registry": cls.chain.registry, "storage": cls.chain.storage}
        cls.sdk, cls.peers = Sdk(), PeerProcess()
        cls.addClassCleanup(cls.sdk.end)
        cls.addClassCleanup(cls.peers.end)
        cls.entry = RealNode(cls.peers, accept=True, keep=True)
        cls.alice = SdkClient(cls.sdk, cls.chain.ownerKey, [cls.entry], chain=cls.facts)
        cls.bob = SdkClient(cls.sdk, "0x" + key_of(1), [cls.entry], chain=cls.facts)

    def created(self, public=False):
        """A stream bob may read, and our node in it. public: everybody may read it, so the SDK encrypts nothing."""
        stream = self.alice.ask("create", path="/" + self.id().rsplit(".", 1)[1])["stream"]
        part = stream + "#0"
        self.permit(stream, None if public else self.bob.address, "subscribe")
        self.entry.join(part)
        self.own = self.take_part(part)
        self.addCleanup(self.own.stop)
        return stream, part

    def permit(self, stream, user, *rights):
        self.alice.ask("permit", stream=stream, user=user, rights=rights)

    def own_node(self, part, **options):
        section = {"module": os.path.join(BUILD, "plugins", "chain.so"), "rpcs": [{"url": self.chain.url}],
                   "rpcQuorum": 1, "chainId": 31337, "streamRegistryChainAddress": self.chain.registry,
                   "streamStorageRegistryChainAddress": self.chain.storage}
        return OwnNode([part], key=key_of(50), plugins={"chain": section}, config={"validation": {"publish": "chain"}},
                       **options)

    def stored(self, part, sent):
        until(lambda: set(sent) <= set(self.own.messages(part)), what="all %d messages are stored" % len(sent))
        self.assertEqual(sorted(self.own.messages(part)), sorted(sent), "these and nothing else")

    def test_plain_and_binary_messages_are_stored_byte_for_byte(self):
        stream, part = self.created(public=True)
        self.bob.subscribe(stream)
        sent = self.alice.publish(stream, count=20) + self.alice.publish(stream, count=20, first=20, binary=True, pad=100)
        self.bob.accepted(stream, 40)
        self.stored(part, sent)
        status, _, raw = self.own.node.get(self.own.node.data_path(stream) + "/last?count=1&format=raw")
        self.assertEqual((status, raw[4:]), (200, sent[-1]))

    def test_encrypted_messages_are_stored_byte_for_byte_while_keys_go_past(self):
        stream, part = self.created()
        self.bob.subscribe(stream)
        sent = []
        for n, how in enumerate((None, "rotate", "rekey")):
            if how:
                self.alice.rotate(stream, how)
            sent += self.alice.publish(stream, first=3 * n, count=3)
            accepted = self.bob.accepted(stream, 3 * n + 3)
        self.assertEqual([m["content"]["n"] for m in accepted], list(range(9)))
        self.assertEqual(self.bob.report(stream)["errors"], [])
        self.stored(part, sent)
        kinds = {CONTENT in fields(m) for m in self.entry.messages(part)}
        self.assertEqual(kinds, {True, False}, "keys were asked for in the same stream part")

    def test_what_is_published_over_http_is_accepted_by_the_sdk(self):
        stream, part = self.created(public=True)
        self.permit(stream, self.own.address(), "publish")
        self.bob.subscribe(stream)
        for n in range(10):
            status, _, body = self.own.node.request("POST", "/streams/" + stream.replace("/", "%2F"), b'{"n":%d}' % n)
            self.assertEqual((status, body), (200, b"OK"))
        accepted = self.bob.accepted(stream, 10)
        self.assertEqual(self.bob.report(stream)["errors"], [])
        self.assertEqual([m["content"] for m in accepted], [{"n": n} for n in range(10)])
        self.assertEqual({m["publisher"].lower() for m in accepted}, {self.own.address()})
        until(lambda: sorted(self.entry.messages(part)) == sorted(self.own.messages(part)), what="the same bytes went out")

    def test_strangers_and_forgers_are_refused_by_both(self):
        stream, part = self.created(public=True)
        self.bob.subscribe(stream)
        until(lambda: self.bob.id in self.entry.neighbours(part), what="they are neighbours")
        self.entry.publish(part, STRANGER, count=2, chain="stranger")
        self.entry.publish(part, self.chain.ownerKey, count=2, chain="forged", sign=False)
        sent = self.alice.publish(stream, count=3)
        self.bob.accepted(stream, 3)
        until(lambda: len(self.bob.report(stream)["errors"]) == 4, what="the SDK refuses four")
        self.stored(part, sent)
        for reason, count in (("signature", 2), ("publisher", 2)):
            name = 'bus_refused_total{reason="%s"}' % reason
            until(lambda: self.own.metric(name) == count, what="%s is %d" % (name, count))


class AsAProxyClient(TheSdkOnAChain, unittest.TestCase):
    def take_part(self, part):
        return self.own_node(part, port=None, proxies=[(self.entry, {})])  # gives the last ten seconds to who comes


class AsAMember(TheSdkOnAChain, unittest.TestCase):
    def take_part(self, part):
        own = self.own_node(part, entries=[self.entry])
        until(lambda: own.id in self.entry.neighbours(part), 40, "they are neighbours")
        return own


if __name__ == "__main__":
    unittest.main()
