"""A disk that fails: a call at a time (writefail.c), and bytes of the store that went bad.

Acknowledged messages are there exactly once when the fault is over, without a restart and after
one; a query never takes what it could read for the whole. LONG=1 tries every call.
"""
import errno
import glob
import http.client
import json
import mmap
import os
import re
import struct
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "system"))
from node import BUILD, OWNER, Node, generate, join, split, until  # noqa: E402

LONG = os.environ.get("LONG") == "1"
SHIM = os.path.join(BUILD, "lib", "libwritefail.so")
STREAMS = [OWNER + "/one", OWNER + "/two"]
DAY = 86400000


class Control:
    """The page shared with the shim."""

    def __init__(self, path):
        with open(path, "wb") as out:
            out.write(bytes(24))
        with open(path, "r+b") as page:
            self.page = mmap.mmap(page.fileno(), 24)

    def fail(self, at, error, sticky):
        self.page[16:24] = struct.pack("II", error, sticky)
        self.page[8:16] = bytes(8)
        self.page[0:8] = struct.pack("Q", at)

    def clear(self):
        self.fail(0, 0, 0)

    def calls(self):
        return struct.unpack("Q", self.page[8:16])[0]


class Writes(unittest.TestCase):
    def node(self):
        node = Node(folder=tempfile.mkdtemp(prefix="logstore-test-disk-space-"))  # errors name paths
        self.control = Control(os.path.join(node.folder, "control"))
        node.env.update(LD_PRELOAD=SHIM, WRITEFAIL_DIR=node.data,
                        WRITEFAIL_CONTROL=os.path.join(node.folder, "control"))
        self.addCleanup(lambda: node.process and node.kill())
        return node

    def upload(self, node, data, stream):
        """(status, acknowledged whole)"""
        try:
            status, answer = node.upload(data, stream)
        except (OSError, http.client.HTTPException, json.JSONDecodeError) as why:
            self.fail("an upload was not answered: %r\n%s" % (why, node.said()))
        count = len(split(data))
        self.assertIn(status, (200, 503, 507), answer)
        self.assertLessEqual(answer["stored"] + answer["duplicates"], count)
        if status == 200:
            self.assertEqual(answer["stored"] + answer["duplicates"], count, answer)
        else:
            self.assertTrue(answer["error"], "an error without a sentence")
        return status, answer

    def batch(self, number, stream):
        """Each in a span of its own now and then, so that slabs are made too."""
        start = 1700000000000 + (number // 4) * 40 * DAY + number * 1000
        return generate(20, stream=stream, start=start, seed=number + 1)

    def rounds(self, calls, error, sticky):
        node = self.node().start()
        acknowledged = {s: set() for s in STREAMS}
        failed = 0
        for number, at in enumerate(calls):
            batches = [(s, self.batch(number, s)) for s in STREAMS]
            self.control.fail(at, error, sticky)
            for s, data in batches:
                status, _ = self.upload(node, data, s)
                failed += status != 200
                if status == 200:
                    acknowledged[s] |= set(split(data))
                else:
                    self.assertEqual(status, 507 if error == errno.ENOSPC else 503)
            self.control.clear()
            if number % 5 == 4:
                node.kill() if number % 2 else node.stop()
                node.start()
            for s, data in batches:
                def mends(s=s, data=data):
                    return self.upload(node, data, s)[0] == 200
                until(mends, what="call %d, error %d: writes succeed again" % (at, error))
                acknowledged[s] |= set(split(data))
                stored = node.raw(s)
                self.assertEqual(len(stored), len(set(stored)), "call %d: a message is there twice" % at)
                self.assertEqual(set(stored), acknowledged[s], "call %d" % at)
                parts = {p["streamId"]: p["messages"] for p in node.json("/stores")}
                self.assertEqual(parts[s], len(stored), "call %d: the count is wrong" % at)
            self.assertEqual(node.get("/readyz")[0], 200)
        node.stop()
        node.start()
        for s in STREAMS:
            self.assertEqual(set(node.raw(s)), acknowledged[s], "after a restart")
        node.stop()
        self.assertGreater(failed, 0, "no call failed: the test shows nothing")
        print("%d rounds, %d uploads failed" % (len(calls), failed))

    def calls(self):
        return list(range(1, 61)) if LONG else [1, 2, 3, 4, 5, 6, 7, 9, 11, 14, 18, 23]

    def test_a_full_disk_at_any_call_is_507_and_loses_nothing(self):
        self.rounds(self.calls(), errno.ENOSPC, 1)

    def test_an_error_at_any_call_is_503_and_loses_nothing(self):
        self.rounds(self.calls(), errno.EIO, 1)

    def test_a_single_error_at_any_call_loses_nothing(self):
        self.rounds(self.calls(), errno.EIO, 0)

    def test_while_nothing_can_be_written_queries_are_whole_or_cut(self):
        node = self.node().start()
        s = STREAMS[0]
        data = self.batch(0, s)
        self.assertEqual(self.upload(node, data, s)[0], 200)
        self.control.fail(1, errno.EIO, 1)
        for number in range(1, 6):
            self.assertEqual(self.upload(node, self.batch(number, s), s)[0], 503)
            self.assertEqual(node.get("/readyz")[0], 503)
            try:
                status, _, body = node.get(node.data_path(s) + "/from?fromTimestamp=0&format=raw")
            except http.client.IncompleteRead:
                continue
            if status == 200:
                self.assertEqual(body, data, "a query took an empty store for the whole")
        self.control.clear()
        until(lambda: self.upload(node, self.batch(1, s), s)[0] == 200, what="writes succeed again")
        until(lambda: node.get("/readyz")[0] == 200, what="ready again")
        self.assertEqual(join(node.raw(s)), data + self.batch(1, s))
        node.stop()


class Damage(unittest.TestCase):
    """A flipped byte in a block of an SST file, which RocksDB's checksum notices."""

    COUNT = 4000

    @classmethod
    def setUpClass(cls):
        cls.node = node = Node().start()
        cls.parts = {s: generate(cls.COUNT, stream=s, seed=n + 1) for n, s in enumerate(STREAMS)}
        for s in STREAMS:
            assert node.upload(cls.parts[s], s)[0] == 200
        node.stop()
        # Stopping flushes: both streams are in SST files, the first one's blocks first.
        tables = sorted(glob.glob(os.path.join(node.data, "*.sst")), key=os.path.getsize)
        cls.table = tables[-1]
        with open(cls.table, "r+b") as f:
            at = os.path.getsize(cls.table) // 4
            f.seek(at)
            byte = f.read(1)
            f.seek(at)
            f.write(bytes([byte[0] ^ 0x10]))
        node.start()

    @classmethod
    def tearDownClass(cls):
        cls.node.kill()

    def damaged_total(self):
        return int(re.search(rb"^logstore_damaged_total (\d+)$", self.node.get("/metrics")[2], re.M).group(1))

    def test_a_query_over_the_damage_is_cut_and_said(self):
        for root, query in [("stores", "from?fromTimestamp=0"), ("stores", "from?fromTimestamp=0&format=raw"),
                            ("streams", "from?fromTimestamp=0"), ("stores", "last?count=%d" % (self.COUNT - 5)),
                            ("stores", "last?count=%d&format=raw" % (self.COUNT - 5)),
                            ("stores", "last?count=%d&limit=1" % (self.COUNT - 5)), ("stores", "last?count=-%d" % self.COUNT)]:
            before = self.damaged_total()
            try:
                status, _, body = self.node.get(self.node.data_path(STREAMS[0], root=root) + "/" + query)
            except http.client.IncompleteRead as cut:
                if "raw" in query:
                    self.assertTrue(self.parts[STREAMS[0]].startswith(cut.partial), "what came is not the beginning")
            else:
                self.assertGreaterEqual(status, 500, "%s ended cleanly: %r" % (query, body[:200]))
            self.assertEqual(self.damaged_total(), before + 1, query)
        self.assertIn("damaged", self.node.said())

    def test_what_is_not_damaged_is_answered(self):
        self.assertEqual(join(self.node.raw(STREAMS[1])[:self.COUNT]), self.parts[STREAMS[1]])
        newest = split(self.parts[STREAMS[0]])[-10:]
        self.assertEqual(self.node.raw(STREAMS[0], query="last?count=10"), newest)
        oldest = split(self.parts[STREAMS[0]])[:10]
        self.assertEqual(self.node.raw(STREAMS[0], query="last?count=-10"), oldest)

    def test_messages_elsewhere_are_stored_even_if_not_at_once(self):
        # A compaction that meets the damage stops all writes until the store is opened again.
        for s in (OWNER + "/three", STREAMS[1]):
            messages = split(generate(10, stream=s, start=1710000000000))

            def stored(s=s, messages=messages):
                status, answer = self.node.upload(join(messages), s)
                if status != 200:
                    self.assertEqual(status, 503)
                    self.assertIn("Corruption", answer["error"])
                return status == 200

            until(stored, what="ten messages are stored")
            self.assertEqual(self.node.raw(s)[-10:], messages)


if __name__ == "__main__":
    unittest.main()
