"""A real broker for the system tests: started, asked, stopped, killed.

Every node has a folder and a port of its own on 127.0.0.1.
"""
import atexit
import http.client
import json
import os
import re
import signal
import struct
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("BUILD_DIR", os.path.join(ROOT, "build", "release")))
os.environ["LSAN_OPTIONS"] = "suppressions=" + os.path.join(ROOT, "tests", "system", "lsan.supp")
OWNER = "0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a"
STREAM = OWNER + "/test"
KEY = "11" * 32


def program(name):
    return os.path.join(BUILD, "bin", name)


def until(condition, seconds=30, what="condition"):
    """Wait for a condition; its value."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError("did not happen within %s s: %s" % (seconds, what))
        time.sleep(0.01)


def generate(count, stream=STREAM, publishers=3, start=1700000000000, seed=1, content=60, partition=0):
    """Length-prefixed signed messages."""
    return subprocess.run(
        [program("logstore-gen"), "--stream", stream, "--partition", str(partition), "--count", str(count),
         "--publishers", str(publishers), "--start-timestamp", str(start), "--seed", str(seed),
         "--content-bytes", str(content)], check=True, capture_output=True).stdout


def split(data):
    """The messages of a length-prefixed body."""
    out, at = [], 0
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        if at + 4 + length > len(data):
            raise AssertionError("the body ends inside a message")
        out.append(data[at + 4:at + 4 + length])
        at += 4 + length
    return out


def join(messages):
    return b"".join(struct.pack(">I", len(m)) + m for m in messages)


started = []


def kill_all():
    """End what failed tests have left behind."""
    for node in started:
        if node.process is not None and node.process.poll() is None:
            node.process.kill()
            node.process.wait(10)


atexit.register(kill_all)


class Node:
    def __init__(self, folder=None, config=None, plugins=None, preload=None, env=None):
        self.folder = folder or tempfile.mkdtemp(prefix="logstore-test-")
        self.key = os.path.join(self.folder, "key")
        if not os.path.exists(self.key):
            with open(os.open(self.key, os.O_WRONLY | os.O_CREAT, 0o600), "w") as out:
                out.write(KEY)
        self.data = os.path.join(self.folder, "db")
        base = {
            "client": {"auth": {"privateKeyFile": self.key}},
            "mode": {"type": "standalone", "trackedStreams": [{"id": OWNER + "/*"}]},
            "httpServer": {"port": 0},
            "plugins": plugins or {"logStore": {"db": {"dataPath": self.data, "minFreeBytes": 0}}, "http": {}},
        }
        base.update(config or {})
        if os.environ.get("ISOLATE"):  # all plugins in processes of their own
            for section in base["plugins"].values():
                section.setdefault("isolate", True)
        self.config = os.path.join(self.folder, "config.json")
        with open(self.config, "w") as out:
            json.dump(base, out)
        self.env = dict(os.environ, HOME=self.folder, **(env or {}))
        if preload:
            self.env["LD_PRELOAD"] = preload
        self.arguments = []
        self.process = None
        self.port = None
        started.append(self)

    def start(self):
        self.log_path = os.path.join(self.folder, "log")
        self.log = open(self.log_path, "w")
        self.process = subprocess.Popen([program("logstore-broker"), *self.arguments, self.config], stderr=self.log,
                                        env=self.env, stdin=subprocess.DEVNULL)
        found = until(lambda: re.search(r"listening on https?://\S+:(\d+)", self.said()) or
                      self.process.poll() is not None, what="the node listens")
        if found is True:
            raise AssertionError("the node ended at start:\n" + self.said())
        self.port = int(found.group(1))
        return self

    def said(self):
        with open(self.log_path, errors="replace") as log:
            return log.read()

    def stop(self, expected=0):
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(60)
        self.process = None
        assert status == expected, "exit status %s, expected %s:\n%s" % (status, expected, self.said())

    def kill(self):
        self.process.kill()
        self.process.wait(60)
        self.process = None

    def rss(self, field="VmRSS"):
        with open("/proc/%d/status" % self.process.pid) as status:
            return int(re.search(field + r":\s+(\d+)", status.read()).group(1)) * 1024

    def peak_rss(self):
        return self.rss("VmHWM")

    def request(self, method, path, body=None, headers=None):
        """(status, headers, body)"""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def get(self, path, **headers):
        return self.request("GET", path, headers=headers)

    def json(self, path, status=200):
        got, _, body = self.get(path)
        assert got == status, "%s: status %s, expected %s: %s" % (path, got, status, body)
        return json.loads(body)

    def data_path(self, stream=STREAM, partition=0, root="stores"):
        return "/%s/%s/data/partitions/%s" % (root, stream.replace("/", "%2F"), partition)

    def upload(self, data, stream=STREAM, partition=0, headers=None):
        status, _, body = self.request("POST", self.data_path(stream, partition), body=data, headers=headers)
        return status, json.loads(body)

    def raw(self, stream=STREAM, partition=0, query="from?fromTimestamp=0"):
        status, _, body = self.get(self.data_path(stream, partition) + "/" + query + "&format=raw")
        assert status == 200, body
        return split(body)
