"""Who may read, from the chain: real contracts on anvil, credentials as the clients of the Log Store make them."""
import base64
import unittest

from node import until
from test_chain import KEYS, USERS, Chain, Gate, chain_node

SUBSCRIBE = 3
# Of the key 0x11...11: as today's clients write it, and as those of 2023 did.
VECTOR = "0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a"
VECTORS = [
    "MHgxOWU3ZTM3NmU3YzIxM2I3ZTdlN2U0NmNjNzBhNWRkMDg2ZGFmZjJhOllxbVZPUjRJYjdDbmhISjNxTEw4Q0w3ayt3U3VOeUswT200NUIwRzhRMUJX"
    "UnNQbE1hVER5c3dSRzQ2Ti9STTZKVlJobTQxYlRzSHB5SmZOMmlIR1Z4cz0=",
    "MHgxOWU3ZTM3NmU3YzIxM2I3ZTdlN2U0NmNjNzBhNWRkMDg2ZGFmZjJhOjB4NjJhOTk1MzkxZTA4NmZiMGE3ODQ3Mjc3YThiMmZjMDhiZWU0ZmIwNGFl"
    "MzcyMmI0M2E2ZTM5MDc0MWJjNDM1MDU2NDZjM2U1MzFhNGMzY2FjYzExMWI4ZThkZmQxMzNhMjU1NDYxOWI4ZDViNGVjMWU5Yzg5N2NkZGEyMWM2NTcx"
    "Yg=="]


class Readers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.chain = Chain("anvil")

    @classmethod
    def tearDownClass(cls):
        cls.chain.stop()

    def node(self, **how):
        node = chain_node(self.chain, how.pop("settings", None), how.pop("urls", None), logstore={"read": "chain"}, **how)
        self.addCleanup(lambda: node.process and node.kill())
        return node

    def stream(self, node):
        """With one message in it."""
        self.chain.do("create", path="/" + self.id().rsplit(".", 1)[1])
        stream = self.chain.owner + "/" + self.id().rsplit(".", 1)[1]
        status, answer = node.upload(self.framed(self.chain.message(self.chain.ownerKey, stream)), stream)
        self.assertEqual((status, answer["stored"]), (200, 1), answer)
        return stream

    @staticmethod
    def framed(message):
        return len(message).to_bytes(4, "big") + message

    def read(self, node, stream, header=None, root="stores"):
        headers = {"Authorization": header} if header else {}
        status, _, body = node.get(node.data_path(stream, root=root) + "/last?count=1", **headers)
        return status, body.decode()

    def credential(self, key, **how):
        return self.chain.do("credential", key=key, **how)["header"]

    def test_who_may_subscribe_reads_and_nobody_else(self):
        node = self.node()
        stream = self.stream(node)
        self.chain.do("grant", stream=stream, user=USERS[0], right=SUBSCRIBE)
        self.chain.do("grant", stream=stream, user=USERS[1])  # may publish
        for root in ("stores", "streams", "v8/streams"):
            self.assertEqual(self.read(node, stream, self.credential(KEYS[0]), root)[0], 200, root)
            self.assertEqual(self.read(node, stream, self.credential(KEYS[0], hex=True), root)[0], 200, root)
            status, body = self.read(node, stream, self.credential(KEYS[1]), root)
            self.assertEqual(status, 403, root)
            self.assertIn("may not subscribe", body)
            status, body = self.read(node, stream, root=root)
            self.assertEqual(status, 401, root)
            self.assertIn("not public", body)
        node.stop()

    def test_a_public_stream_is_read_by_anybody(self):
        node = self.node()
        stream = self.stream(node)
        self.chain.do("public", stream=stream, right=SUBSCRIBE)
        self.assertEqual(self.read(node, stream)[0], 200)
        self.assertEqual(self.read(node, stream, self.credential(KEYS[2]))[0], 200)
        node.stop()

    def test_credentials_of_both_times_and_broken_ones(self):
        node = self.node()
        stream = self.stream(node)
        self.chain.do("grant", stream=stream, user=VECTOR, right=SUBSCRIBE)
        for vector in VECTORS:
            self.assertEqual(self.read(node, stream, "Basic " + vector)[0], 200)
            self.assertEqual(self.read(node, stream, "bAsIc " + vector)[0], 200)
        user, password = base64.b64decode(VECTORS[0]).decode().split(":")
        for text, why in (("user:pass", "not an address"), (user + ":", "not a signature"),
                          (user.upper().replace("0X", "0x") + ":" + password, "lower case"),
                          (USERS[0] + ":" + password, "not of the address"), (user + ":" + password[:-4], "not a signature"),
                          (user + ":0x" + "zz" * 65, "not a signature"), (user + ":0x" + "00" * 65, "not of the address")):
            status, body = self.read(node, stream, "Basic " + base64.b64encode(text.encode()).decode())
            self.assertEqual(status, 401, text)
            self.assertIn(why, body, text)
        self.assertEqual(self.read(node, stream, "Basic ***")[0], 401)
        self.assertEqual(self.read(node, stream, "Basic " + "A" * 5000)[0], 401)
        self.assertEqual(self.read(node, stream, "Bearer x")[0], 401)  # nobody's address: anybody
        node.stop()

    def test_while_the_chain_does_not_answer_nobody_reads_and_it_is_told(self):
        gate = Gate(self.chain.url)
        self.addCleanup(gate.stop)
        node = self.node(urls=[gate.url])
        stream = self.stream(node)
        self.chain.do("grant", stream=stream, user=USERS[0], right=SUBSCRIBE)
        header = self.credential(KEYS[0])
        gate.set("500")
        status, body = self.read(node, stream, header)
        self.assertEqual(status, 503, body)
        gate.set("pass")
        until(lambda: self.read(node, stream, header)[0] == 200, 30, "it answers again")
        node.stop()


if __name__ == "__main__":
    unittest.main()
