"""A storage node of Streamr: what the chain assigns is stored, announced, and given back to the SDK of today and of yesterday."""
import json
import os
import subprocess
import unittest

from node import KEY, OWNER, join, program, until
from storage_node import StorageNode
from test_chain import Chain, Gate


class Assignments(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.chain = Chain("anvil")
        cls.chain.do("node", key="0x" + KEY)
        cls.chain.do("create", path="/assignments", key="0x" + KEY)

    @classmethod
    def tearDownClass(cls):
        cls.chain.stop()

    def setUp(self):
        self.streams = 0

    def stream(self, **how):
        path = "/%s/%d" % (self.id().rsplit(".", 1)[1], self.streams)
        self.streams += 1
        self.block = self.chain.do("create", path=path, **how)["block"]
        return self.chain.owner + path

    def node(self, **how):
        how.setdefault("first_block", getattr(self, "block", 0))
        node = StorageNode(self.chain, **how)
        self.addCleanup(lambda: node.process and node.kill())
        return node.start()

    def stored(self, node, stream, partition=0):
        """Whether the node stores a message of the owner."""
        frame = self.chain.message(self.chain.ownerKey, stream, partition=partition)
        status, answer = node.upload(join([frame]), stream, partition)
        self.assertEqual(status, 200, answer)
        return answer["stored"] == 1

    def assign(self, stream, on=True, to=OWNER):
        return self.chain.do("assign", stream=stream, node=to, on=on)["block"]

    def test_a_stream_is_stored_from_its_assignment_to_its_end(self):
        stream, other = self.stream(partitions=3), self.stream()
        node = self.node()
        self.assertFalse(self.stored(node, stream))
        with node.listen() as heard:
            self.assign(stream)
            said = [json.loads(heard.receive()) for _ in range(3)]
        self.assertEqual(said, [{"streamPart": "%s#%d" % (stream, p)} for p in range(3)])
        self.assertEqual(node.assigned(), {stream: [0, 1, 2]})
        self.assertTrue(all(self.stored(node, stream, p) for p in range(3)))
        self.assertFalse(self.stored(node, other))
        self.assign(stream, on=False)
        until(lambda: node.assigned() == {}, what="the assignment ends")
        self.assertFalse(self.stored(node, stream))
        self.assertEqual(len(node.raw(stream, 1)), 1)
        node.stop()


if __name__ == "__main__":
    unittest.main()
