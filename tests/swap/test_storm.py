"""The storm: the store, and the interfaces in turn with it, are swapped again and again under full
verified ingest, 64 readers and 16 WebSocket subscribers.

100 swaps, with LONG=1 a thousand, with STORM_SWAPS=n that many. What it measures goes to build/swap.json.
"""
import hashlib
import http.client
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))
import ws  # noqa: E402
from node import BUILD, OWNER, ROOT, STREAM, Node, generate, join, program, split, until  # noqa: E402
from test_swap import build, command  # noqa: E402

SWAPS = int(os.environ.get("STORM_SWAPS", 1000 if os.environ.get("LONG") == "1" else 100))
ROWS = 200000     # what the readers read; the slow ones take long over it
CHUNK = 20000     # messages of one upload
MAKERS = 2        # programs that make them
# Clients are on other machines than a node, as a rule: here they get the time that it leaves them.
ELSEWHERE = ["nice", "-n", "10"]
LIVE = 20         # messages that the subscribers get after each swap


def generated(path, count, partition, seed, start=1700000000000):
    with open(path + ".part", "wb") as out:
        subprocess.run([*ELSEWHERE, program("logstore-gen"), "--stream", STREAM, "--partition", str(partition),
                        "--count", str(count), "--publishers", "100", "--start-timestamp", str(start),
                        "--seed", str(seed), "--content-bytes", "60"], check=True, stdout=out)
    os.rename(path + ".part", path)


class Stock:
    """Signed messages, chunk after chunk: signing them costs as much as checking them, so most are made
    before they are needed, and the others with the time that the node leaves."""

    def __init__(self, folder):
        self.folder, self.stop, self.made = folder, threading.Event(), 0
        self.more = threading.Condition()
        self.threads = [threading.Thread(target=self.make, args=(i,), daemon=True) for i in range(MAKERS)]
        for thread in self.threads:
            thread.start()

    def path(self, number):
        return os.path.join(self.folder, "chunk%d" % number)

    def make(self, number):
        while not self.stop.is_set():
            generated(self.path(number), CHUNK, 1, 1, 1700000000000 + number * CHUNK)
            with self.more:
                self.made += 1
                self.more.notify_all()
            number += MAKERS

    def wait(self, chunks):
        with self.more:
            self.more.wait_for(lambda: self.made >= chunks)

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join()

    def take(self, number):
        with self.more:
            self.more.wait_for(lambda: os.path.exists(self.path(number)))
        with open(self.path(number), "rb") as file:
            chunk = file.read()
        os.unlink(self.path(number))
        return chunk


class Uploader(threading.Thread):
    """Sends chunk after chunk, as fast as the node takes them, until told to stop."""

    def __init__(self, node, stock):
        super().__init__(daemon=True)
        self.node, self.stock, self.stop = node, stock, threading.Event()
        self.sent, self.failures, self.seconds = [], [], 0

    def run(self):
        try:
            while not self.stop.is_set():
                self.upload(self.stock.take(len(self.sent)))
        except Exception as why:  # the thread's end would pass unseen
            self.failures.append(why)

    def upload(self, chunk):
        began = time.monotonic()
        status, answer = self.node.upload(chunk, partition=1)
        self.seconds += time.monotonic() - began
        if status != 200 or answer != {"stored": CHUNK, "duplicates": 0, "rejected": []}:
            self.failures.append((status, answer))
        self.sent.append((len(chunk), hashlib.sha256(chunk).digest()))  # a thousand swaps send gigabytes


class Subscriber(threading.Thread):
    """Counts what comes, which must be 0, 1, 2, ..."""

    def __init__(self, port, stream, expected):
        super().__init__(daemon=True)
        self.client = ws.Client(port, "/streams/%s/subscribe" % stream.replace("/", "%2F"))
        self.expected, self.seen = expected, []

    def run(self):
        while len(self.seen) < self.expected:
            self.seen.append(json.loads(self.client.receive())["n"])


class Storm(unittest.TestCase):
    def all_is_there(self, node, sent):
        """Every acknowledged message, once, byte for byte, and no other."""
        connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=60)
        self.addCleanup(connection.close)
        connection.request("GET", node.data_path(partition=1) + "/from?fromTimestamp=0&format=raw")
        answer = connection.getresponse()
        self.assertEqual(answer.status, 200)
        for i, (length, digest) in enumerate(sent):
            self.assertEqual(hashlib.sha256(answer.read(length)).digest(), digest, "upload %d" % i)
        self.assertEqual(answer.read(1), b"")

    def test_swaps_under_load_fail_no_request_and_lose_no_message(self):
        node = Node(config={"mode": {"type": "standalone", "trackedStreams": [
            {"id": OWNER + "/*", "partitions": 2}]}, "httpServer": {"port": 0, "idleTimeoutMs": 600000}},
            plugins={"logStore": {"db": {"minFreeBytes": 0}}, "http": {}, "websocket": {"port": 0}}).start()
        self.addCleanup(lambda: node.process and node.kill())
        live, sockets = OWNER + "/live", int(re.search(r"listening on ws://127.0.0.1:(\d+)", node.said()).group(1))
        folder = tempfile.mkdtemp(prefix="logstore-storm-")
        self.addCleanup(shutil.rmtree, folder, True)
        generated(os.path.join(folder, "rows"), ROWS, 0, 7)
        with open(os.path.join(folder, "rows"), "rb") as rows:
            self.assertEqual(node.upload(rows.read())[1]["stored"], ROWS)
        stock = Stock(folder)
        self.addCleanup(stock.end)
        stock.wait(SWAPS // 2)
        storm = subprocess.Popen(
            [*ELSEWHERE, program("storm"), str(node.port),
             node.data_path() + "/from?fromTimestamp=0&format=raw", "60", "4"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(storm.kill)
        uploader = Uploader(node, stock)
        self.addCleanup(uploader.stop.set)
        uploader.start()
        until(lambda: uploader.sent or uploader.failures, what="the first upload")
        builds = [build("logstore_b"), os.path.join(BUILD, "plugins", "logstore.so")]
        subscribers = [Subscriber(sockets, live, SWAPS * LIVE) for _ in range(16)]
        for subscriber in subscribers:
            subscriber.start()
        lively = split(generate(SWAPS * LIVE, stream=live))
        began = time.monotonic()
        for i in range(SWAPS):
            result = command(node, "swap", "logStore", builds[i % 2])
            self.assertEqual(result.returncode, 0, result.stderr)
            if i % 10 == 0:
                result = command(node, "swap", "websocket" if i % 20 == 0 else "http")
                self.assertEqual(result.returncode, 0, result.stderr)
            status, answer = node.upload(join(lively[i * LIVE:(i + 1) * LIVE]), stream=live)
            self.assertEqual((status, answer["stored"]), (200, LIVE))
            self.assertEqual(uploader.failures, [])
        seconds = time.monotonic() - began
        for subscriber in subscribers:
            subscriber.join(60)
            self.assertEqual(subscriber.seen, list(range(SWAPS * LIVE)))
        uploader.stop.set()
        uploader.join()
        storm.stdin.close()
        seen = json.loads(storm.stdout.read())
        storm.wait(60)
        self.assertEqual(uploader.failures, [])
        self.assertEqual(seen["failures"], 0, seen)
        self.assertGreater(seen["answers"], 0)
        self.all_is_there(node, uploader.sent)
        said = "\n".join(line for line in node.said().split("\n") if "'logStore' was swapped" in line)
        pauses = sorted(float(x) for x in re.findall(r"traffic waited ([\d.]+) ms", said))
        whole = sorted(int(x) for x in re.findall(r"in (\d+) ms; traffic", said))
        self.assertEqual(len(pauses), SWAPS)
        # 48 MiB in flight, memtables, the cache, and under 1 MiB for each reader, however many files it reads.
        self.assertLess(node.peak_rss(), 256 << 20)
        figures = {"swaps": SWAPS, "pauseMsMedian": statistics.median(pauses),
                   "pauseMsP99": pauses[int(len(pauses) * 0.99) - 1], "pauseMsMax": pauses[-1],
                   "swapMsMedian": statistics.median(whole), "messages": len(uploader.sent) * CHUNK,
                   "uploading": round(min(1, uploader.seconds / seconds), 2),
                   "answers": seen["answers"], "answeredBytes": seen["bytes"], "peakRssMiB": node.peak_rss() >> 20}
        with open(os.path.join(ROOT, "build", "swap.json"), "w") as out:
            json.dump(figures, out)
        print("\n" + json.dumps(figures))
        node.stop()


if __name__ == "__main__":
    unittest.main()
