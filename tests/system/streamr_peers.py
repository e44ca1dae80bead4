"""Streamr nodes for the system tests: real ones (npm, tests/peers/streamr-node.mjs) and ours, behind the same door.

A node of either kind has id, port, peer(), join(), leave(), publish(), received(), neighbours(), stop() and kill().
Everything is on 127.0.0.1; every process is ended with the tests.
"""
import atexit
import json
import os
import re
import shutil
import subprocess
import tempfile
import threading
import time

import ws
from node import OWNER, ROOT, Node, split, until

PEERS = os.path.join(ROOT, "tests", "peers")
NEEDED = ("@streamr/trackerless-network", "@streamr/sdk", "@streamr/dht", "ethers", "ws")
VERSION = "103.3.1"


def need_packages():
    """Fails, never skips: tests without the real peers show nothing."""
    for name in NEEDED:
        path = os.path.join(PEERS, "node_modules", name, "package.json")
        if not os.path.exists(path):
            raise AssertionError("the npm package %s is missing; run scripts/setup test" % name)
        with open(path) as file:
            found = json.load(file)["version"]
        if name.startswith("@streamr/") and found != VERSION:
            raise AssertionError("%s is %s, the tests need %s" % (name, found, VERSION))


def key_of(n):
    """A private key, the n-th."""
    return "%064x" % (0x1000 + n)


def numbers(ranges):
    """[[1, 3], [7, 7]] as a set."""
    return {n for first, last in ranges for n in range(first, last + 1)}


class PeerError(AssertionError):
    """A peer answered a command with an error."""


class Answer:
    """What a command will be answered."""

    def __init__(self, what):
        self.what, self.done, self.value = what, threading.Event(), None

    def get(self, seconds=60):
        if not self.done.wait(seconds):
            raise AssertionError("no answer within %s s: %s" % (seconds, self.what))
        if "error" in self.value:
            raise PeerError("%s: %s" % (self.what, self.value["error"]))
        return self.value


class PeerProcess:
    """One script of tests/peers that takes commands, JSON on a line each."""

    def __init__(self, script="streamr-node.mjs", *arguments):
        need_packages()
        self.log = tempfile.NamedTemporaryFile("w+", prefix="streamr-peers-", suffix=".log")
        env = dict(os.environ, LOG_LEVEL="warn", NODE_ENV="production")
        self.process = subprocess.Popen(["node", "--require", "./loopback.cjs", script, *arguments], cwd=PEERS, text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, env=env)
        atexit.register(self.kill)
        self.lock, self.waiting, self.next, self.events = threading.Lock(), {}, 0, []
        threading.Thread(target=self._read, daemon=True).start()
        self.hello = until(lambda: next((e for e in self.events if e["event"] == "ready"), None) or
                           self._dead(), what="%s is ready" % script)

    def _dead(self):
        if self.process.poll() is not None:
            raise AssertionError("the peers ended (%s):\n%s" % (self.process.returncode, self.said()))

    def _read(self):
        for line in self.process.stdout:
            if not line.startswith("{"):
                self.log.write(line)
                continue
            message = json.loads(line)
            if "event" in message:
                self.events.append(message)
                continue
            with self.lock:
                answer = self.waiting.pop(message.get("tag"), None)
            if answer:
                answer.value = message
                answer.done.set()
        with self.lock:
            left, self.waiting = self.waiting, None
        for answer in left.values():
            answer.value = {"error": "the process of the peers has ended:\n" + self.said()}
            answer.done.set()

    def said(self):
        self.log.flush()
        with open(self.log.name, errors="replace") as log:
            return log.read()[-4000:]

    def begin(self, do, **q):
        """Answered later. None is left out, but for a port, where it means something."""
        q = {k: v for k, v in q.items() if v is not None or k == "port"}
        answer = Answer("%s %s" % (do, {k: v for k, v in q.items() if k in ("id", "part", "stream", "client")}))
        with self.lock:
            if self.waiting is None:
                raise AssertionError("the process of the peers has ended:\n" + self.said())
            self.next += 1
            self.waiting[self.next] = answer
            self.process.stdin.write(json.dumps(dict(q, do=do, tag=self.next)) + "\n")
            self.process.stdin.flush()
        return answer

    def ask(self, do, seconds=60, **q):
        return self.begin(do, **q).get(seconds)

    def kill(self):
        """Without a word to anybody."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(30)

    def end(self):
        """As kill(), but everything there was to say has been said: stop() the nodes first."""
        try:
            self.process.stdin.close()
            self.process.wait(20)
        except (subprocess.TimeoutExpired, OSError):
            pass
        self.kill()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()


class RealNode:
    """A node of @streamr/trackerless-network in a process that may have several."""

    kind = "real"

    def __init__(self, peers, node_id=None, port=0, entries=None, **options):
        """entries: nodes, or what peer() gives; none: it is an entry point itself. port None: no server.
        options: accept (proxy connections), client (uses proxies only), keep (the messages themselves)."""
        self.peers, self.id = peers, node_id or os.urandom(20).hex()
        points = None if entries is None else [e if isinstance(e, dict) else e.peer() for e in entries]
        self.port = peers.ask("start", id=self.id, port=port, entryPoints=points, **options)["port"]
        self.chains = {}

    def peer(self):
        return {"nodeId": self.id, "port": self.port}

    def ask(self, do, seconds=60, **q):
        return self.peers.ask(do, seconds, id=self.id, **q)

    def begin(self, do, **q):
        return self.peers.begin(do, id=self.id, **q)

    def join(self, part, **q):
        self.ask("join", part=part, **q)
        return self

    def leave(self, part):
        self.ask("leave", part=part)

    def publish(self, part, key, count=1, first=0, seconds=120, **q):
        """Numbers first to first + count - 1, signed with key, in a chain that goes on from call to call."""
        chain = q.setdefault("chain", self.id[:20])
        known = self.chains.get((part, key, chain))
        answer = self.ask("publish", seconds, part=part, key=key, count=count, first=first, prev=known, **q)
        self.chains[part, key, chain] = answer["prev"]

    def received(self, part):
        """{publisher: {count, numbers, duplicates, disorder, other}}"""
        return self.ask("report", part=part)["publishers"]

    def messages(self, part):
        return [bytes.fromhex(m) for m in self.ask("messages", part=part)["messages"]]

    def neighbours(self, part):
        return self.ask("neighbours", part=part)["neighbours"]

    def info(self, other):
        """What another node says of itself."""
        return self.ask("info", of=other.peer())

    def set_proxies(self, part, proxies, user, direction=None):
        self.ask("setProxies", part=part, proxies=[p.peer() for p in proxies], user=user, direction=direction,
                 count=len(proxies) or None)

    def stop(self):
        self.ask("stop")

    def kill(self):
        """Ends all nodes of its process."""
        self.peers.kill()


class Sdk:
    """The process of SDK clients and of the stub chain they ask."""

    def __init__(self):
        self.peers = PeerProcess("streamr-sdk.mjs")
        self.chain = self.peers.ask("chain")

    def stream(self, stream, **q):
        """users: {address: "all", "both", "publish" or "subscribe"}; public: anybody may read, nothing is encrypted."""
        self.peers.ask("stream", stream=stream, **q)

    def end(self):
        self.peers.end()


class SdkClient:
    """A client of @streamr/sdk."""

    kind = "sdk"

    def __init__(self, sdk, key, entries, port=0, chain=None):
        self.peers, self.id, self.name = sdk.peers, os.urandom(20).hex(), os.urandom(4).hex()
        started = self.ask("client", key=key, nodeId=self.id, port=port, chain=chain,
                           entryPoints=[e if isinstance(e, dict) else e.peer() for e in entries])
        self.port, self.address = started["port"], started["address"]

    def ask(self, do, seconds=60, **q):
        return self.peers.ask(do, seconds, client=self.name, **q)

    def peer(self):
        return {"nodeId": self.id, "port": self.port}

    def publish(self, stream, seconds=60, **q):
        """The messages as the SDK encoded them."""
        return [bytes.fromhex(m) for m in self.ask("publish", seconds, stream=stream, **q)["messages"]]

    def rotate(self, stream, how="rotate"):
        self.ask("rotate", stream=stream, how=how)

    def subscribe(self, stream, partition=0):
        self.ask("subscribe", stream=stream, partition=partition)

    def report(self, stream, partition=0):
        """{accepted: [...], errors: [...]}; accepted is what passed all checks of the SDK."""
        return self.ask("report", stream=stream, partition=partition)

    def accepted(self, stream, count, seconds=30, partition=0):
        """The first count messages that it accepted."""
        try:
            until(lambda: self.ask("count", stream=stream, partition=partition)["accepted"] >= count, seconds)
        except AssertionError:
            report = self.report(stream, partition)
            raise AssertionError("within %s s the SDK accepted %d of %d messages; its errors: %s" % (
                seconds, len(report["accepted"]), count, report["errors"])) from None
        return self.report(stream, partition)["accepted"]

    def resend(self, stream, **q):
        return self.ask("resend", stream=stream, **q)["messages"]

    def stop(self):
        self.ask("destroy")


class OwnNode:
    """Our logstore-broker with the plugins streamr, logStore, http and websocket.

    It follows the stream parts it is given from its start: logStore keeps them, and a WebSocket subscriber, who sees
    doubles and order, counts them."""

    kind = "own"

    def __init__(self, parts, node_id=None, port=0, entries=None, key=None, accept=False, folder=None, proxies=None,
                 plugins=None, subscribe=True, control=None, config=None, ready=True):
        """ready: wait until it takes part in all of its stream parts."""
        self.id, self.parts, self.subscribe = node_id or os.urandom(20).hex(), list(parts), subscribe
        self.folder = folder or tempfile.mkdtemp(prefix="logstore-streamr-")
        self.key_file = os.path.join(self.folder, "key")
        if not os.path.exists(self.key_file):
            with open(os.open(self.key_file, os.O_WRONLY | os.O_CREAT, 0o600), "w") as out:
                out.write(key or key_of(int(self.id[:4], 16)))
        layer = {"websocketBindHost": "127.0.0.1", "entryPoints": [self.at(e) for e in entries or []],
                 "peerDescriptor": {"nodeId": self.id}}
        if port is not None:
            layer["websocketPort"] = port
        layer.update(control or {})
        network = {"controlLayer": layer, "node": {"acceptProxyConnections": accept}}
        if proxies:
            network["node"]["proxies"] = [dict(self.at(p), **more) for p, more in proxies]
        streams = {}
        for part in parts:
            stream, _, partition = part.partition("#")
            streams[stream] = max(streams.get(stream, 1), int(partition) + 1)
        sections = {"streamr": {"network": network}, "http": {},
                    "logStore": {"db": {"dataPath": os.path.join(self.folder, "db"), "minFreeBytes": 0}},
                    "websocket": {"port": 0, "payloadMetadata": True}}
        sections.update(plugins or {})
        config = dict({"mode": {"type": "standalone", "trackedStreams": [{"id": s, "partitions": n} for s, n in streams.items()]}},
                      **config or {})
        self.node = Node(self.folder, config=config, plugins={k: v for k, v in sections.items() if v is not None})
        self.counts = {}
        self.start(ready)

    @staticmethod
    def at(peer):
        peer = peer if isinstance(peer, dict) else peer.peer()
        return {"nodeId": peer["nodeId"], "websocket": {"host": "127.0.0.1", "port": peer["port"], "tls": False}}

    def start(self, ready=True):
        self.node.start()
        found = re.search(r"Streamr node on wss?://\S+:(\d+)", self.node.said())
        self.port = int(found.group(1)) if found else None
        found = re.search(r"websocket: listening on wss?://\S+:(\d+)|listening on wss?://\S+:(\d+)", self.node.said())
        self.ws_port = int(found.group(1) or found.group(2)) if found else None
        if ready:
            until(lambda: self.metric("streamr_stream_parts") >= len(self.parts), 15, "it is in its stream parts")
        if self.subscribe and self.ws_port:
            for part in self.parts:
                self._follow(part)
        return self

    def is_running(self):
        return self.node.process is not None

    def restart(self):
        """After stop() or kill(): the same node, folder and port; it counts from nothing."""
        self.counts.clear()
        if self.port:
            with open(self.node.config) as file:
                config = json.load(file)
            config["plugins"]["streamr"]["network"]["controlLayer"]["websocketPort"] = self.port
            with open(self.node.config, "w") as out:
                json.dump(config, out)
        return self.start()

    def _follow(self, part):
        stream, _, partition = part.partition("#")
        before = self.metric('websocket_connections{kind="subscribe"}')
        client = ws.Client(self.ws_port, ws.path(stream, "subscribe", partitions=partition), timeout=600)
        until(lambda: self.metric('websocket_connections{kind="subscribe"}') > before, what="it is subscribed")
        counts = self.counts.setdefault(part, {})

        def read():
            try:
                while True:
                    self._count(counts, json.loads(client.receive()))
            except (ws.Closed, OSError):
                client.socket.close()
        threading.Thread(target=read, daemon=True).start()

    @staticmethod
    def _count(counts, message):
        meta, content = message["metadata"], message["content"]
        p = counts.setdefault(meta["publisherId"], {"ids": set(), "n": set(), "duplicates": 0, "disorder": 0, "other": 0,
                                                    "last": -1})
        key = (meta["msgChainId"], meta["timestamp"], meta["sequenceNumber"])
        p["duplicates"] += key in p["ids"]
        p["ids"].add(key)
        n = content.get("n")
        if not isinstance(n, int):
            p["other"] += 1
            return
        p["disorder"] += n < p["last"]
        p["last"] = max(n, p["last"])
        p["n"].add(n)

    def peer(self):
        return {"nodeId": self.id, "port": self.port}

    def join(self, part, **_):
        assert part in self.parts, part
        return self

    def address(self):
        """Of its key, which signs what it publishes."""
        return re.search(r"0x[0-9a-fA-F]{40}", self.node.said()).group(0).lower()

    def publish(self, part, key=None, count=1, first=0, every=0, pad=0, **_):
        """With the node's own key, by its WebSocket plugin; back when all are on the disk."""
        stream, _, partition = part.partition("#")
        with ws.Client(self.ws_port, ws.path(stream, "publish", partition=partition, ack="true")) as out:
            for n in range(first, first + count):
                out.send(json.dumps({"content": {"n": n, "pad": "x" * pad}}, separators=(",", ":")))
                if every:
                    time.sleep(every / 1000)
            for n in range(count):
                answer = json.loads(out.receive())
                assert "ack" in answer, answer

    def received(self, part):
        out = {}
        for publisher, p in list(self.counts.get(part, {}).items()):
            out[publisher.lower()] = {"count": len(p["ids"]), "numbers": [[n, n] for n in sorted(p["n"])],
                                      "duplicates": p["duplicates"], "disorder": p["disorder"], "other": p["other"]}
        return out

    def messages(self, part):
        """As they are in the store."""
        stream, _, partition = part.partition("#")
        return self.node.raw(stream, int(partition))

    def metric(self, name):
        body = self.node.get("/metrics")[2].decode()
        found = re.search("^" + re.escape(name) + r" (\S+)$", body, re.M)
        return float(found.group(1)) if found else 0

    def stop(self):
        self.node.stop()

    def kill(self):
        self.node.kill()


class StandIn(RealNode):
    """A real node in the place of ours, with the same door and a process of its own: what a test asks of ours must hold
    of it too. Also the control group."""

    kind = "stand-in"

    def __init__(self, parts, node_id=None, port=0, entries=None, key=None, accept=False, proxies=None, **_):
        self.parts, self.key = list(parts), key or key_of(int.from_bytes(os.urandom(2), "big"))
        self.options = dict(entries=[e if isinstance(e, dict) else e.peer() for e in entries or []] or None, accept=accept,
                            keep=True)
        self.proxies = proxies or []
        if self.proxies:
            self.options.update(client=True, entries=[p.peer() for p, _ in self.proxies])
            port = None
        self.begin_life(node_id, port)

    def begin_life(self, node_id, port):
        RealNode.__init__(self, PeerProcess(), node_id, port, **self.options)
        self.own_address = self.peers.ask("address", key=self.key)["address"]
        for part in self.parts:
            if self.proxies:
                self.set_proxies(part, [p for p, _ in self.proxies], self.own_address, self.proxies[0][1].get("direction"))
            else:
                self.join(part)

    def address(self):
        return self.own_address

    def publish(self, part, key=None, **q):
        super().publish(part, self.key, **q)

    def stop(self):
        super().stop()
        self.peers.end()

    def is_running(self):
        return self.peers.process.poll() is None

    def restart(self):
        self.begin_life(self.id, self.port)
        return self


def own_node(*arguments, **options):
    """Ours; with OWN=real in the environment a real one, which shows that a test is right."""
    return (StandIn if os.environ.get("OWN") == "real" else OwnNode)(*arguments, **options)


def all_have(nodes, part, publisher, want, seconds=30):
    """Wait until each node has these numbers of the publisher; a report of who lacks what when one does not."""
    want, publisher = set(want), publisher.lower()
    lacks = {}

    def complete():
        lacks.clear()
        for node in nodes:
            have = numbers(node.received(part).get(publisher, {}).get("numbers", []))
            if want - have:
                lacks["%s %s" % (node.kind, node.id[:8])] = sorted(want - have)
        return not lacks
    try:
        until(complete, seconds)
    except AssertionError:
        said = "; ".join("%s lacks %d of %d (%s)" % (who, len(n), len(want), n[:10]) for who, n in lacks.items())
        raise AssertionError("within %s s, of %s: %s" % (seconds, publisher, said)) from None
