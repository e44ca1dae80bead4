"""The real Streamr SDK as client and as publisher."""
import json
import os
import subprocess
import time
import unittest

from node import ROOT, Node, join, program, split

PEERS = os.path.join(ROOT, "tests", "peers")
MANY = "0x1563915e194d8cfba1943570603f7606a3115508/many"
COUNT = 100000


def run_node(script, *arguments, env=None):
    result = subprocess.run(["node", "--require", "./loopback.cjs", script, *arguments], cwd=PEERS, timeout=300,
                            capture_output=True, text=True, env=dict(os.environ, **(env or {})))
    if result.returncode != 0:
        raise AssertionError(result.stdout + result.stderr)
    return result.stdout


class Peers(unittest.TestCase):
    def test_the_sdk_resends_last_from_and_range(self):
        node = Node().start()
        out = run_node("resend.mjs", env={"STORAGE_URL": "http://127.0.0.1:%d" % node.port})
        got = json.loads(out.splitlines()[-1])
        self.assertEqual(got["uploaded"], {"stored": 4, "duplicates": 0, "rejected": []})
        self.assertEqual(got["last2"], [2, "hex:010203ff"])
        self.assertEqual(got["from"], [1, 2, "hex:010203ff"])
        self.assertEqual(got["range"], [1, 2])
        self.assertEqual(got["rangeOfChain"], [0, 1, 2])
        node.stop()

    def test_a_hundred_thousand_messages_of_a_real_identity_come_back_byte_for_byte(self):
        path = os.path.join(ROOT, "build", "sdk-messages-%d" % COUNT)
        if not os.path.exists(path):
            run_node("make-messages.mjs", path, str(COUNT))
        with open(path, "rb") as data:
            messages = data.read()
        node = Node(config={"mode": {"type": "standalone", "trackedStreams": [{"id": MANY}]}}).start()
        self.assertEqual(node.upload(messages, MANY), (200, {"stored": COUNT, "duplicates": 0, "rejected": []}))
        self.assertEqual(join(node.raw(MANY)), messages)
        node.stop()

    def test_signatures_are_accepted_exactly_as_the_sdk_accepts_them(self):
        cases = [json.loads(line) for line in run_node("verdicts.mjs", "2100").splitlines()]
        node = Node().start()
        stream = "0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a/verdicts"
        status, answer = node.upload(join([bytes.fromhex(c["frame"]) for c in cases]), stream)
        refused = {r["index"] for r in answer["rejected"]}
        self.assertGreater(len(refused), 900)
        for i, case in enumerate(cases[:1000]):  # beyond, the list of refusals is cut
            self.assertEqual(i not in refused, case["valid"], case["how"])
        self.assertEqual(answer["stored"], sum(c["valid"] for c in cases))
        node.stop()

    def test_post_quantum_signatures_are_accepted_exactly_as_the_sdk_accepts_them(self):
        seed = os.environ.get("SEED", str(time.time_ns() % 10**9))
        said = "SEED=%s" % seed
        cases = [json.loads(line) for line in run_node("mldsa.mjs", "10", seed).splitlines()]
        frames = [bytes.fromhex(c["frame"]) for c in cases]
        genuine = [f for f, c in zip(frames, cases) if c["valid"]]
        stream = "0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a/mldsa"
        node = Node().start()
        status, answer = node.upload(join(frames), stream)
        refused = {r["index"] for r in answer["rejected"]}
        self.assertGreater(len(refused), 250, said)
        for i, case in enumerate(cases):
            self.assertEqual(i not in refused, case["valid"], "%s, %s" % (case["how"], said))
        self.assertEqual(answer["stored"], len(genuine), said)
        self.assertGreaterEqual(len(genuine), 10, said)
        self.assertEqual(join(node.raw(stream)), join(genuine), said)
        # The tool says the same, asking nobody.
        verify = subprocess.run([program("logstore"), "verify", "-"], input=join(frames), capture_output=True)
        self.assertEqual(verify.stdout.decode().split("\n")[0], "%d messages: %d valid, %d invalid, 0 that cannot be checked "
                         "offline" % (len(cases), len(genuine), len(cases) - len(genuine)), said)
        node.stop()
