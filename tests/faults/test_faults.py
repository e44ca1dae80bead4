"""Nothing acknowledged is lost: kill -9 and power cuts during ingest.

Each round uploads from two clients, ends the node at a random moment, starts it again and
looks for every acknowledged message, once. LONG=1 makes many rounds. A failure prints the
seed; SEED=n repeats it.
"""
import http.client
import json
import os
import random
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "system"))
from node import BUILD, STREAM, Node, generate, join, split  # noqa: E402
import powercut  # noqa: E402

LONG = os.environ.get("LONG") == "1"
SEED = int(os.environ.get("SEED", time.time_ns() % 10**9))
SHIM = os.path.join(BUILD, "lib", "libpowercut.so")


class Uploader(threading.Thread):
    """Uploads batches one after another; remembers which were acknowledged."""

    def __init__(self, node, batches):
        super().__init__()
        self.node, self.batches, self.acknowledged = node, batches, []

    def run(self):
        for batch in self.batches:
            try:
                status, answer = self.node.upload(join(batch))
            except (OSError, http.client.HTTPException, json.JSONDecodeError):
                return
            if status == 200 and answer["stored"] + answer["duplicates"] == len(batch):
                self.acknowledged += batch


class Faults(unittest.TestCase):
    def rounds(self, count, cut, plugin=None):
        """The number of acknowledged messages that were lost over all rounds."""
        rng = random.Random(SEED)
        node = Node()
        if plugin:
            with open(node.config) as text:
                config = json.load(text)
            config["plugins"]["logStore"]["module"] = plugin
            with open(node.config, "w") as out:
                json.dump(config, out)
        if cut:
            journal = os.path.join(node.folder, "journal")
            node.env.update(LD_PRELOAD=SHIM, POWERCUT_DIR=node.data, POWERCUT_JOURNAL=journal)
        expected, lost, acknowledged = set(), 0, 0
        for round_number in range(count):
            node.start()
            clients = []
            for c in range(2):
                batches = []
                messages = split(generate(3000, start=1700000000000 + (2 * round_number + c) * 10**6,
                                          seed=rng.randrange(10**6)))
                while messages:
                    n = rng.choice([1, 7, 40, 300])
                    batches.append(messages[:n])
                    messages = messages[n:]
                clients.append(Uploader(node, batches))
            for client in clients:
                client.start()
            time.sleep(rng.uniform(0.02, 0.25))  # the moment of the fault, not a wait for anything
            node.kill()
            for client in clients:
                client.join()
                expected |= set(client.acknowledged)
            acknowledged = len(expected)
            if cut:
                powercut.cut(journal, rng)
            try:
                node.start()
            except AssertionError:
                if plugin:
                    return lost + 1  # the control may lose the store altogether
                raise
            stored = node.raw()
            self.assertEqual(len(stored), len(set(stored)), "a message is there twice (SEED=%d)" % SEED)
            lost += len(expected - set(stored))
            expected &= set(stored)
            node.kill() if rng.random() < 0.5 else node.stop()
            if cut:
                powercut.cut(journal, rng)
        self.assertGreater(acknowledged, 0, "nothing was acknowledged: the test shows nothing")
        print("%d rounds, %d messages acknowledged, %d lost" % (count, acknowledged, lost))
        return lost

    def test_kill_9_loses_nothing_acknowledged(self):
        self.assertEqual(self.rounds(1000 if LONG else 15, cut=False), 0, "SEED=%d" % SEED)

    def test_a_power_cut_loses_nothing_acknowledged(self):
        self.assertEqual(self.rounds(500 if LONG else 15, cut=True), 0, "SEED=%d" % SEED)

    def forgetting(self, count, cut):
        """Retention by size drops slabs while the node is ended: what is told is what is there."""
        rng = random.Random(SEED)
        folder = tempfile.mkdtemp(prefix="logstore-test-")
        data, limit, at = os.path.join(folder, "db"), 16 << 20, 0
        node = Node(folder, plugins={"logStore": {"db": {"dataPath": data, "minFreeBytes": 0},
                                                  "retention": [{"stream": "*", "maxBytes": limit}]}, "http": {}})
        if cut:
            journal = os.path.join(node.folder, "journal")
            node.env.update(LD_PRELOAD=SHIM, POWERCUT_DIR=node.data, POWERCUT_JOURNAL=journal)
        for _ in range(count):
            node.start()
            messages = split(generate(600, start=1700000000000 + at, content=60000))
            at += 10**6
            client = Uploader(node, [messages[i:i + 20] for i in range(0, len(messages), 20)])
            client.start()
            time.sleep(rng.uniform(0.2, 1.2))  # the moment of the fault
            node.kill()
            client.join()
            if cut:
                powercut.cut(journal, rng)
            node.start()
            stored, told = node.raw(), node.json("/stores")
            self.assertEqual([(t["messages"], t["bytes"]) for t in told],
                             [(len(stored), sum(len(m) for m in stored))] if stored else [], "SEED=%d" % SEED)
            self.assertLessEqual(sum(len(m) for m in stored), limit)
            newest = client.acknowledged[-100:]  # 6 of 16 MiB: none of them is the first to go
            self.assertEqual(set(newest) - set(stored), set(), "SEED=%d" % SEED)
            node.kill() if rng.random() < 0.5 else node.stop()
            if cut:
                powercut.cut(journal, rng)

    def test_kill_9_while_retention_forgets_leaves_counts_that_are_true(self):
        self.forgetting(200 if LONG else 5, cut=False)

    def test_a_power_cut_while_retention_forgets_leaves_counts_that_are_true(self):
        self.forgetting(200 if LONG else 5, cut=True)

    def test_without_fsync_the_power_cut_is_noticed(self):
        self.assertGreater(self.rounds(6, cut=True, plugin="logstore_nosync.so"), 0,
                           "the control did not lose anything: the power cut test shows nothing")
