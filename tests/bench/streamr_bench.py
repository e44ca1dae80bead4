"""A real Streamr node and ours, by turns, under the same load on the same machine.

The load is a peer in this process that sends prepared frames and never has more than WINDOW of them under way; a second
peer counts what comes out. Both are neighbours of the node in one stream part and cost it what any neighbour does. They run
on the same cores as the node, so a rate is what the node does at least. Called by bench.py.
"""
import functools
import os
import re
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "system"))
import streamr  # noqa: E402
import ws  # noqa: E402
from node import generate, split, until  # noqa: E402
from streamr import Frame, Peer, field, fields, header, request  # noqa: E402
from streamr_peers import OwnNode, PeerProcess, RealNode, Sdk, SdkClient  # noqa: E402

OWNER = "0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a"
CONTENT, WINDOW, CHUNK = 200, 5000, 200


def part_of(name):
    return "%s/%s#0" % (OWNER, name)


def own(part, *parts, logstore=False, websocket=True, **options):
    """Ours, with its limits as they are by default."""
    plugins = {"http": {}, "websocket": {"port": 0, "payloadMetadata": True, "maxQueuedBytes": 1 << 28} if websocket else None}
    if not logstore:
        plugins["logStore"] = None
    return OwnNode([part, *parts], plugins=plugins, subscribe=False, ready=logstore, **options)


def cpu_seconds(pid):
    with open("/proc/%d/stat" % pid) as stat:
        user, system = stat.read().rsplit(")", 1)[1].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def rss_mib(pid):
    with open("/proc/%d/status" % pid) as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1)) / 1024


def pid_of(node):
    return node.node.process.pid if node.kind == "own" else node.peers.process.pid


def client_frame(payload):
    """Of WebSocket, with a mask of zeros."""
    n = len(payload)
    head = struct.pack(">BBH", 0x82, 0xfe, n) if n > 125 else struct.pack(">BB", 0x82, 0x80 | n)
    return head + b"\0\0\0\0" + payload


class Neighbour(Peer):
    """A neighbour in one stream part that sends prepared frames and counts the stream messages it is sent."""

    def __init__(self, node, part):
        super().__init__(node.port)
        self.part, self.service, self.count = part, "stream-part-delivery-" + part, 0
        self.lock, self.is_neighbour = threading.Lock(), threading.Event()
        self.join()
        self.send(self.shake())
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()
        if not self.is_neighbour.wait(10):
            raise AssertionError("the node did not accept the load as its neighbour")

    def shake(self):
        body = field(1, self.part) + field(2, "shake")
        return request(self.service, "handshake", "StreamPartHandshakeRequest", body)

    def read(self):
        """Frames are told apart by what is in them only when they are not stream messages."""
        buffer = self.ws.buffer
        try:
            while True:
                at, size = 0, len(buffer)
                while size - at >= 4:
                    length, begin = buffer[at + 1], at + 2
                    if length == 126:
                        length, begin = buffer[at + 2] << 8 | buffer[at + 3], at + 4
                    elif length == 127:
                        raise AssertionError("a frame this long is not expected")
                    if size - begin < length:
                        break
                    if length > 400 and buffer.find(b"sendStreamMessage", begin, begin + length) > 0:
                        self.count += 1
                    else:
                        self.other(buffer[at] & 15, buffer[begin:begin + length])
                    at = begin + length
                more = self.ws.socket.recv(1 << 20)
                if not more:
                    return
                buffer = buffer[at:] + more
        except OSError:
            pass

    def other(self, opcode, payload):
        if opcode == ws.PING:
            with self.lock:
                self.ws.send(payload, ws.PONG)
        if opcode != ws.BINARY:
            return
        frame = Frame(payload)
        if frame.is_response:
            if frame.method == "handshake" and fields(frame.body).get(1) == [1]:
                self.is_neighbour.set()
        elif frame.header.get("notification") != "notification":
            with self.lock:
                self.send(self.answer(frame))

    def answer(self, frame):
        kind, body = {
            "neighborUpdate": ("NeighborUpdate", field(1, self.part)),
            "handshake": ("StreamPartHandshakeResponse", field(2, fields(frame.body).get(2, [b""])[0])),
            "ping": ("dht.PingResponse", frame.body),
        }.get(frame.method, (None, b""))
        rpc = header("response", "response") + header("method", frame.method or "")
        rpc += field(2, field(1, streamr.PREFIX + kind) + field(2, body)) if kind else b""
        rpc += field(3, frame.request_id) + (b"" if kind else field(4, 2))
        return field(1, os.urandom(8).hex()) + field(4, frame.service) + field(5, rpc)

    def prepare(self, messages):
        """Chunks of frames."""
        frames = [client_frame(request(self.service, "sendStreamMessage", "StreamMessage", m, True)) for m in messages]
        return [b"".join(frames[i:i + CHUNK]) for i in range(0, len(frames), CHUNK)]

    def run(self, chunks, total, arrived, seconds=120):
        """Seconds until all have arrived, at most WINDOW of them under way; and how many did not."""
        began = moved = time.monotonic()
        sent, last = 0, arrived()
        base = last
        while last - base < total:
            while chunks[sent // CHUNK:] and sent - (last - base) <= WINDOW - CHUNK:
                with self.lock:
                    self.ws.socket.sendall(chunks[sent // CHUNK])
                sent += CHUNK
            now = arrived()
            if now != last:
                last, moved = now, time.monotonic()
            elif time.monotonic() - moved > 10 or time.monotonic() - began > seconds:
                break
            else:
                time.sleep(0.0005)
        return moved - began, total - (last - base)


class Subscriber:
    """Of our WebSocket plugin; counts only."""

    def __init__(self, node, part):
        stream, _, partition = part.partition("#")
        self.count = 0
        before = node.metric('websocket_connections{kind="subscribe"}')
        self.client = ws.Client(node.ws_port, ws.path(stream, "subscribe", partitions=partition), timeout=600)
        until(lambda: node.metric('websocket_connections{kind="subscribe"}') > before, what="it is subscribed")
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        try:
            while True:
                if self.client.frame()[0] == ws.TEXT:
                    self.count += 1
        except (ws.Closed, OSError):
            pass


def figures(node, total, run):
    """(msg/s, CPU us per message, lost) of one run."""
    cpu = cpu_seconds(pid_of(node))
    seconds, lost = run()
    came = total - lost
    if node.kind == "own":
        settle(node)
    return came / seconds, (cpu_seconds(pid_of(node)) - cpu) / max(came, 1) * 1e6, lost


def settle(node):
    """Ours passes a message on before it is verified: what is still to be done belongs to the message."""
    last = -1
    while True:
        now = sum(node.metric('bus_messages_total{outcome="%s"}' % outcome) for outcome in ("stored", "no_store"))
        if now == last:
            return
        last = now
        time.sleep(0.2)


def relay(node, part, warm, messages):
    source, sink = Neighbour(node, part), Neighbour(node, part)
    source.run(source.prepare(warm), len(warm), lambda: sink.count)
    chunks = source.prepare(messages)
    return figures(node, len(messages), lambda: source.run(chunks, len(messages), lambda: sink.count))


@functools.lru_cache(8)
def made(name, count, seed):
    """Signed, of 10 publishers."""
    stream = part_of(name)[:-2]
    return split(generate(count, stream, publishers=10, seed=seed, content=CONTENT, start=1700000000000 + seed * 10**9))


def relay_real(count):
    part = part_of("relay")
    with PeerProcess() as peers:
        node = RealNode(peers).join(part)
        return relay(node, part, made("relay", count // 10, 1), made("relay", count, 2))


def relay_own(count, verified=False):
    """verified: somebody here wants the messages."""
    part = part_of("relay")
    node = own(part, relay=[part])
    subscriber = Subscriber(node, part) if verified else None
    try:
        return relay(node, part, made("relay", count // 10, 1), made("relay", count, 2))
    finally:
        del subscriber
        node.stop()


def publishers_of(messages):
    return {"0x" + fields(fields(m)[1][0])[5][0].hex() for m in messages}


def verify_sdk(count):
    part = part_of("verify")
    warm, messages = made("verify", max(count // 10, CHUNK), 1), made("verify", count, 2)
    sdk = Sdk()
    try:
        with PeerProcess() as peers:
            entry = RealNode(peers)
            client = SdkClient(sdk, "11" * 32, [entry])
            users = {user: "publish" for user in publishers_of(messages)}
            sdk.stream(part[:-2], users=dict(users, **{client.address: "all"}), public=True)
            client.subscribe(part[:-2])
            source = Neighbour(client, part)

            def accepted():
                return client.ask("count", stream=part[:-2])["accepted"]
            source.run(source.prepare(warm), len(warm), accepted)
            chunks = source.prepare(messages)
            return figures(client, count, lambda: source.run(chunks, count, accepted))
    finally:
        sdk.end()


def verify_own(count, logstore):
    """To a subscriber; with logStore: until it is on the disk."""
    part = part_of("verify")
    node = own(part, logstore=logstore)
    subscriber = None if logstore else Subscriber(node, part)
    until(lambda: node.metric("streamr_stream_parts") >= 1, what="it is in the stream part")
    try:
        warm, messages = made("verify", max(count // 10, CHUNK), 1), made("verify", count, 2)
        source = Neighbour(node, part)

        def arrived():
            if subscriber:
                return subscriber.count
            time.sleep(0.02)
            return int(node.metric('logstore_messages_total{outcome="stored"}'))
        source.run(source.prepare(warm), len(warm), arrived)
        chunks = source.prepare(messages)
        return figures(node, count, lambda: source.run(chunks, count, arrived))
    finally:
        node.stop()


def settled_rss(pid):
    """When it has stopped growing."""
    last = rss_mib(pid)
    for _ in range(20):
        time.sleep(0.5)
        now = rss_mib(pid)
        if abs(now - last) < 0.1:
            return now
        last = now
    return last


def idle_own(**options):
    node = own(part_of("idle"), websocket=False, **options)
    try:
        return settled_rss(pid_of(node))
    finally:
        node.stop()


def parts_own(entry, count):
    parts = [part_of("many%d" % i) for i in range(count)]
    node = own(*parts, logstore=True, websocket=False, entries=[entry])
    try:
        return settled_rss(pid_of(node))
    finally:
        node.stop()


def idle_and_parts_real(entry, count):
    with PeerProcess() as peers:
        node = RealNode(peers, entries=[entry])
        idle = settled_rss(pid_of(node))
        for i in range(count):
            node.join(part_of("many%d" % i))
        return idle, settled_rss(pid_of(node))


def join_times(entry, rounds):
    """From the start of the process until a real node in the stream part has it for a neighbour: (real, ours)."""
    out = {"real": [], "own": []}
    for turn in range(rounds):
        part = part_of("join%d" % turn)
        entry.join(part)
        for kind in out:
            began = time.monotonic()
            if kind == "real":
                node = RealNode(PeerProcess(), entries=[entry]).join(part)
            else:
                node = OwnNode([part], entries=[entry], plugins={"websocket": None}, ready=False)
            until(lambda: node.id in entry.neighbours(part), 60)
            out[kind].append(time.monotonic() - began)
            node.kill()
    return statistics.median(out["real"]), statistics.median(out["own"])


def measure_streamr(rate_line, quick):
    rows, rounds = [], 1 if quick else 3
    real_count, own_count, many = (5000, 50000, 20) if quick else (20000, 200000, 100)

    def compare(name, real, ours, limit):
        """Medians, by turns."""
        got = {"real": [], "own": []}
        for _ in range(rounds):
            got["real"].append(real())
            got["own"].append(ours())
        for i, (what, unit) in enumerate((("", "msg/s"), (", CPU", "us/msg"))):
            rate_line(rows, name + what, statistics.median(f[i] for f in got["own"]), unit, limit,
                      statistics.median(f[i] for f in got["real"]))
        for kind in got:
            if any(f[2] for f in got[kind]):
                print("%s, %s: lost %s" % (name, kind, [f[2] for f in got[kind]]), file=sys.stderr)
    compare("streamr relay, %d bytes of content" % CONTENT, lambda: relay_real(real_count), lambda: relay_own(own_count),
            "a real node")
    compare("streamr relay of what ours verifies too", lambda: relay_real(real_count),
            lambda: relay_own(own_count, verified=True), "a real node, which verifies nothing")
    compare("streamr receive and verify", lambda: verify_sdk(real_count // 10), lambda: verify_own(own_count // 4, False),
            "the real SDK")
    compare("streamr receive, verify and store", lambda: verify_sdk(real_count // 10),
            lambda: verify_own(own_count // 4, True), "the real SDK, which stores nothing")
    with PeerProcess() as peers:
        entry = RealNode(peers)
        real_idle, real_parts = idle_and_parts_real(entry, many)
        rate_line(rows, "streamr RSS idle, alone", idle_own(), "MiB", "a real node", real_idle)
        rate_line(rows, "streamr RSS idle, with logStore", idle_own(logstore=True), "MiB", "a real node", real_idle)
        rate_line(rows, "streamr RSS, logStore, %d stream parts" % many, parts_own(entry, many), "MiB", "a real node",
                  real_parts)
        real_join, own_join = join_times(entry, 3)
        rate_line(rows, "streamr start until a neighbour", own_join * 1000, "ms", "a real node", real_join * 1000)
    return rows
