#!/usr/bin/env python3
"""Measures the node beside the machine's own limits, in the same run.

Called by scripts/bench, which builds first. A human table on stdout, JSON in
build/bench.json. Servers listen on 127.0.0.1 on a free port.
"""
import argparse
import atexit
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, "build", "release")
STREAM = "0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a/bench"
PATH = "/stores/" + STREAM.replace("/", "%2F") + "/data/partitions/0"
START_MS = 1700000000000


def program(name):
    return os.path.join(BUILD, "bin", name)


def number(*command):
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


class Node:
    """A standalone broker with logStore on a store of its own; isolate: its plugins in processes of their own."""

    def __init__(self, folder, isolate=False, hello=False):
        os.makedirs(folder, exist_ok=True)
        key = os.path.join(folder, "key")
        with open(os.open(key, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
            out.write("11" * 32)
        config = {
            "client": {"auth": {"privateKeyFile": key}},
            "mode": {"type": "standalone", "trackedStreams": [{"id": STREAM, "partitions": 1}]},
            "httpServer": {"port": 0},
            "plugins": {"logStore": {"db": {"type": "rocksdb", "dataPath": os.path.join(folder, "db")},
                                     "isolate": isolate}},
        }
        if hello:
            config["plugins"]["hello"] = {"module": os.path.join(BUILD, "examples", "hello.so"), "isolate": isolate}
        path = os.path.join(folder, "config.json")
        with open(path, "w") as out:
            json.dump(config, out)
        self.log = open(os.path.join(folder, "log"), "w+")
        self.process = subprocess.Popen([program("logstore-broker"), path], stderr=self.log)
        atexit.register(self.process.kill)  # when something below fails
        self.url = None
        deadline = time.monotonic() + 30
        while self.url is None:
            self.log.seek(0)
            found = re.search(r"listening on (http://\S+)", self.log.read())
            if found:
                self.url = found.group(1)
            elif self.process.poll() is not None or time.monotonic() > deadline:
                self.log.seek(0)
                sys.exit("the node did not start:\n" + self.log.read())
            else:
                time.sleep(0.01)

    def child(self, plugin):
        """The process of an isolated plugin."""
        with open("/proc/%d/task/%d/children" % (self.process.pid, self.process.pid)) as children:
            for pid in children.read().split():
                with open("/proc/%s/cmdline" % pid) as line:
                    if line.read().rstrip("\0").endswith(plugin):
                        return int(pid)
        sys.exit("there is no process of " + plugin)

    def rss_mib(self, pid=None):
        with open("/proc/%d/status" % (pid or self.process.pid)) as status:
            return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1)) / 1024

    def cpu_seconds(self, *others):
        """Of the node, and of other processes."""
        ticks = 0
        for pid in (self.process.pid, *others):
            with open("/proc/%d/stat" % pid) as stat:
                fields = stat.read().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        if self.process.wait(60) != 0:
            sys.exit("the node did not stop cleanly")


def generate(path, count, publishers, start_ms):
    with open(path, "wb") as out:
        subprocess.run([program("logstore-gen"), "--stream", STREAM, "--partition", "0", "--count",
                        str(count), "--publishers", str(publishers), "--content-bytes", "60",
                        "--start-timestamp", str(start_ms), "--seed", "7"], check=True, stdout=out)
    return os.path.getsize(path) / count - 4


def upload(node, path):
    """Seconds from the first byte to the answer, which comes after the last fsync."""
    began = time.monotonic()
    answer = subprocess.run(["curl", "-sS", "-X", "POST", "-H", "Expect:", "-T", path,
                             "-H", "Content-Type: application/octet-stream", node.url + PATH],
                            check=True, capture_output=True, text=True).stdout
    return time.monotonic() - began, json.loads(answer)


def download(node, target):
    """(seconds, bytes) of one answer read to its end."""
    out = subprocess.run(["curl", "-sS", "-f", "-o", os.devnull, "-w", "%{time_total} %{size_download}",
                          node.url + PATH + target], check=True, capture_output=True, text=True).stdout
    seconds, size = out.split()
    return float(seconds), int(size)


def rate_line(rows, name, value, unit, limit_name=None, limit=None, target=None):
    ratio = value / limit if limit else None
    rows.append({"name": name, "value": round(value, 1), "unit": unit, "limit": limit_name,
                 "limitValue": round(limit, 1) if limit else None,
                 "ratio": round(ratio, 3) if ratio else None, "target": target})


def measure(count, rounds, folder):
    rows = []
    node = Node(os.path.join(folder, "node"))
    rate_line(rows, "RSS idle", node.rss_mib(), "MiB", target="<= 30")

    warm, fresh = os.path.join(folder, "warm"), os.path.join(folder, "fresh")
    generate(warm, max(count // 20, 1000), 90, START_MS)
    size = generate(fresh, count, 100, START_MS + 10000000)
    upload(node, warm)
    recover = number(program("limits"), "recover", "2")
    cpu = node.cpu_seconds()
    seconds, answer = upload(node, fresh)
    cpu = node.cpu_seconds() - cpu
    if answer["stored"] != count:
        sys.exit("not everything was stored: %s" % answer)
    recover = (recover + number(program("limits"), "recover", "2")) / 2
    write = number(program("limits"), "write", os.path.join(folder, "limit"), str(count))
    rate_line(rows, "ingest, verified and durable (%d-byte messages)" % size, count / seconds,
              "msg/s", "recover x cores", recover, ">= 0.7")
    rate_line(rows, "same, beside the disk", count / seconds, "msg/s", "WriteBatch + fsync", write)
    rate_line(rows, "CPU per stored message", cpu / count * 1e6, "us")

    query = "/range?fromTimestamp=%d&toTimestamp=%d&format=" % (START_MS + 10000000, START_MS + 10000000 + count)
    for form, target in (("raw", ">= 400000"), ("object", ">= 100000")):
        rates, limits = [], []
        for _ in range(rounds):
            limits.append(number(program("limits"), "iterate", os.path.join(folder, "limit")))
            taken, _ = download(node, query + form)
            rates.append(count / taken)
        rate_line(rows, "range %s, one reader" % form, statistics.median(rates), "msg/s",
                  "RocksDB iterator", statistics.median(limits), target)
    rate_line(rows, "RSS after", node.rss_mib(), "MiB")
    node.stop()
    return rows


def measure_swaps(swaps):
    """The storm of tests/swap, which fails when a request does or a message is lost."""
    env = dict(os.environ, STORM_SWAPS=str(swaps), BUILD_DIR=BUILD)
    result = subprocess.run([sys.executable, "-W", "ignore", "-m", "unittest", "test_storm"], env=env,
                            cwd=os.path.join(ROOT, "tests", "swap"), capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit("the swaps under load failed:\n" + result.stdout + result.stderr)
    with open(os.path.join(ROOT, "build", "swap.json")) as file:
        figures = json.load(file)
    rows = []
    for name, key, target in (("median", "pauseMsMedian", "<= 20"), ("p99", "pauseMsP99", "<= 50"),
                              ("longest", "pauseMsMax", None)):
        rate_line(rows, "swap of logStore under load, pause, %s of %d" % (name, swaps), figures[key], "ms",
                  target=target)
    rate_line(rows, "swap of logStore under load, in all, median", figures["swapMsMedian"], "ms")
    rate_line(rows, "resident memory under that load, at most", figures["peakRssMiB"], "MiB")
    return rows


def request_rate(node, connections=8, seconds=1):
    """(answers of GET /hello a second, answers), over connections that stay open, one at a time on each."""
    request = b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n"
    port = int(node.url.rsplit(":", 1)[1])
    open_ones = [socket.create_connection(("127.0.0.1", port)) for _ in range(connections)]
    open_ones[0].sendall(request)
    size = len(open_ones[0].recv(65536))  # they are all alike
    batch, count, began = 64, 0, time.monotonic()  # sent ahead: the client is slower than the node
    while time.monotonic() - began < seconds:
        for s in open_ones:
            s.sendall(request * batch)
        for s in open_ones:
            left = size * batch
            while left > 0:
                left -= len(s.recv(left))
        count += batch * connections
    taken = time.monotonic() - began
    [s.close() for s in open_ones]
    return count / taken, count


def measure_isolation(folder, count=50000, rounds=5):
    """The same plugins in the node and in processes of their own, by turns."""
    warm, fresh = os.path.join(folder, "isolate-warm"), os.path.join(folder, "isolate-fresh")
    generate(warm, count // 20, 100, START_MS)
    generate(fresh, count, 100, START_MS + 10000000)
    names = (("isolated hello, GET", "req/s"), ("isolated hello, CPU of all processes", "us/req"),
             ("isolated logStore, ingest", "msg/s"), ("isolated logStore, CPU of all processes", "us/msg"))
    figures, memory = {False: ([], [], [], []), True: ([], [], [], [])}, {}
    for turn in range(2 * rounds):
        isolate = turn % 2 == 1
        node = Node(os.path.join(folder, "isolate-%d" % turn), isolate=isolate, hello=True)
        pids = [node.child(plugin) for plugin in ("hello", "logstore")] if isolate else []
        cpu = node.cpu_seconds(*pids)
        rate, answers = request_rate(node)
        figures[isolate][0].append(rate)
        figures[isolate][1].append((node.cpu_seconds(*pids) - cpu) / answers * 1e6)
        upload(node, warm)
        cpu = node.cpu_seconds(*pids)
        seconds, answer = upload(node, fresh)
        if answer["stored"] != count:
            sys.exit("not everything was stored: %s" % answer)
        figures[isolate][2].append(count / seconds)
        figures[isolate][3].append((node.cpu_seconds(*pids) - cpu) / count * 1e6)
        if isolate:
            memory = {"hello": node.rss_mib(pids[0]), "logstore": node.rss_mib(pids[1])}
        node.stop()
    rows = []
    for i, (name, unit) in enumerate(names):
        rate_line(rows, name, statistics.median(figures[True][i]), unit, "the same in the node",
                  statistics.median(figures[False][i]))
    rate_line(rows, "isolated hello, RSS of its process", memory["hello"], "MiB")
    rate_line(rows, "isolated logStore, RSS of its process after", memory["logstore"], "MiB")
    return rows


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench")
    parser.add_argument("--quick", action="store_true", help="100,000 messages instead of 1,000,000")
    parser.add_argument("--only", metavar="NAME", help="print only rows whose name contains NAME")
    options = parser.parse_args()
    count, rounds = (100000, 3) if options.quick else (1000000, 3)
    folder = tempfile.mkdtemp(prefix="bench-", dir=os.path.join(ROOT, "build"))
    try:
        rows = measure(count, rounds, folder) if options.only not in ("isolate", "streamr") else []
        if not options.only or "isolate" in options.only:
            rows += measure_isolation(folder)
        if not options.only or "swap" in options.only:
            rows += measure_swaps(20 if options.quick else 100)
        if not options.only or "streamr" in options.only:
            os.environ["BUILD_DIR"] = BUILD
            from streamr_bench import measure_streamr
            rows += measure_streamr(rate_line, options.quick)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    rows = [row for row in rows if not options.only or options.only in row["name"]]
    with open(os.path.join(ROOT, "build", "bench.json"), "w") as out:
        json.dump({"messages": count, "cores": os.cpu_count(), "rows": rows}, out, indent=2)
    for row in rows:
        limit = "  %.2f of %s (%.0f)" % (row["ratio"], row["limit"], row["limitValue"]) if row["ratio"] else ""
        target = "  [aim %s]" % row["target"] if row["target"] else ""
        print("%-52s %12.1f %-6s%s%s" % (row["name"], row["value"], row["unit"], limit, target))


if __name__ == "__main__":
    main()
