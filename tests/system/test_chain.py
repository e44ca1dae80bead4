"""Publish permissions from a chain: the real contracts on anvil, and the stub of the peers, through the real program."""
import http.server
import json
import os
import re
import subprocess
import threading
import time
import unittest

from node import BUILD, ROOT, Node, join, program, until

PEERS = os.path.join(ROOT, "tests", "peers")
KEYS = ["0x" + byte * 32 for byte in ("22", "33", "44")]
USERS = ["0x1563915e194d8cfba1943570603f7606a3115508", "0x5cbdd86a2fa8dc4bddd8a8f69dba48572eec07fb",
         "0x7564105e977516c53be337314c7e53838967bdac"]
NODE_KEY, NODE = "0x" + "55" * 32, "0xe1fae9b4fab2f5726677ecfa912d96b0b683e6a9"
NOW = 1700000000000


class Chain:
    """tests/peers/devchain.mjs."""

    def __init__(self, kind):
        self.process = subprocess.Popen(["node", "--require", "./loopback.cjs", "devchain.mjs", kind], cwd=PEERS, text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        first = self.process.stdout.readline()
        if not first:
            raise AssertionError("the %s chain did not start; without it nothing of this is tested" % kind)
        self.__dict__.update(json.loads(first))
        self.at = NOW

    def do(self, what, **how):
        self.process.stdin.write(json.dumps(dict(how, do=what)) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if "error" in answer:
            raise AssertionError("%s: %s" % (what, answer["error"]))
        return answer

    def message(self, key, stream, **how):
        """A message no other is like."""
        self.at += 1
        return bytes.fromhex(self.do("message", key=key, stream=stream, timestamp=self.at, **how)["message"])

    def stop(self):
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()


def chain_node(chain, settings=None, urls=None, logstore=None, **config):
    section = {"module": os.path.join(BUILD, "plugins", "chain.so"), "rpcs": [{"url": u} for u in urls or [chain.url]],
               "chainId": 31337, "streamRegistryChainAddress": chain.registry,
               "streamStorageRegistryChainAddress": chain.storage}
    section.update(settings or {})
    node = Node(config=dict({"validation": {"publish": "chain"},
                             "mode": {"type": "standalone", "trackedStreams": [{"id": chain.owner + "/*"}]}}, **config))
    with open(node.config) as file:
        whole = json.load(file)
    whole["plugins"]["chain"] = section
    whole["plugins"]["logStore"].update(logstore or {})
    whole["plugins"]["asker"] = {"module": os.path.join(BUILD, "test-plugins", "asker.so")}
    with open(node.config, "w") as out:
        json.dump(whole, out)
    return node.start()


def metric(node, name):
    found = re.search(r"^%s (\S+)$" % re.escape(name), node.get("/metrics")[2].decode(), re.M)
    return float(found.group(1)) if found else None


class Gate:
    """Stands before a chain: passes requests on, or does what a bad endpoint does."""

    def __init__(self, url):
        gate = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                asked = json.loads(body)
                with gate.lock:
                    gate.asked.extend(q["method"] for q in (asked if isinstance(asked, list) else [asked]))
                    gate.posts += 1
                    gate.times.append(time.monotonic())
                    mode = gate.mode
                if mode == "hang":
                    gate.over.wait(60)
                if mode == "wait":
                    gate.go.wait(60)
                status, answer = gate.answer(mode, url, body)
                self.send_response(status)
                if status == 429:
                    self.send_header("Retry-After", "1")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 256

            def handle_error(self, *_):
                pass  # clients that leave

        self.lock, self.asked, self.posts, self.times, self.over = threading.Lock(), [], 0, [], threading.Event()
        self.mode, self.go = "pass", threading.Event()
        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = "http://127.0.0.1:%d/secret-key" % self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @staticmethod
    def answer(mode, url, body):
        if mode == "429":
            return 429, b'{"error":"slow down"}'
        if mode == "500":
            return 500, b"oops"
        if mode == "garbage":
            return 200, b"<html>not today</html>"
        if mode == "huge":
            return 200, b'{"jsonrpc":"2.0","id":1,"result":"0x' + b"00" * (3 << 20) + b'"}'
        if mode == "hang":
            return 200, b""
        asked = json.loads(body)
        if mode == "long ranges" and not isinstance(asked, list) and asked["method"] == "eth_getLogs":
            first, last = (int(asked["params"][0][k], 16) for k in ("fromBlock", "toBlock"))
            if last - first >= 2:
                error = {"code": -32005, "message": "query returned more than 10000 results"}
                return 200, json.dumps({"jsonrpc": "2.0", "id": asked["id"], "error": error}).encode()
        if mode == "behind":  # of assignments it has not heard
            asked = asked if isinstance(asked, list) else [asked]
            if any(q["method"] == "eth_call" and q["params"][0]["data"].startswith("0xa030f2df") for q in asked):
                return 200, json.dumps([{"jsonrpc": "2.0", "id": q["id"], "result": "0x" + "00" * 32} for q in asked]
                                       if body[:1] == b"[" else
                                       {"jsonrpc": "2.0", "id": asked[0]["id"], "result": "0x" + "00" * 32}).encode()
        if mode == "no batches" and isinstance(asked, list):
            return 400, b'{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"batches are not supported"}}'
        if mode == "lies" and not isinstance(asked, list) and asked["method"] == "eth_call":
            word = "%064x"
            rights = "0x" + "".join(word % x for x in (1, 1, 2 ** 255, 2 ** 255, 1))
            return 200, json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": rights}).encode()
        import urllib.request
        with urllib.request.urlopen(urllib.request.Request(url, body, {"Content-Type": "application/json"})) as got:
            return 200, got.read()

    def set(self, mode):
        with self.lock:
            self.mode = mode

    def calls(self):
        with self.lock:
            return self.asked.count("eth_call")

    def stop(self):
        self.over.set()
        self.go.set()
        self.server.shutdown()
        self.server.server_close()


class Permissions:
    """The same against both chains."""

    kind = None

    @classmethod
    def setUpClass(cls):
        cls.chain = Chain(cls.kind)

    @classmethod
    def tearDownClass(cls):
        cls.chain.stop()

    def setUp(self):
        self.streams = 0

    def stream(self, **how):
        path = "/%s/%d" % (self.id().rsplit(".", 1)[1], self.streams)
        self.streams += 1
        self.chain.do("create", path=path, **how)
        return self.chain.owner + path

    def node(self, *args, **how):
        node = chain_node(self.chain, *args, **how)
        self.addCleanup(lambda: node.process and node.kill())
        return node

    def upload(self, node, stream, *keys, partition=0, **how):
        """What becomes of a message of each key: True stored, else the code and reason."""
        frames = [self.chain.message(key, stream, partition=partition, **how) for key in keys]
        status, answer = node.upload(join(frames), stream, partition)
        if status != 200:
            return [answer] * len(keys), status
        refused = {r["index"]: r for r in answer.get("rejected", [])}
        return [True if i not in refused else refused[i] for i in range(len(keys))], status

    def stored(self, node, stream, key, **how):
        got, _ = self.upload(node, stream, key, **how)
        return got[0] is True

    def test_who_may_publish_is_stored_and_who_may_not_is_refused(self):
        node, stream = self.node(), self.stream()
        self.chain.do("grant", stream=stream, user=USERS[0])
        got, status = self.upload(node, stream, KEYS[0], KEYS[1], self.chain.ownerKey)
        self.assertEqual((status, got[0], got[2]), (200, True, True), got)
        self.assertIn("no permission to publish", json.dumps(got[1]))
        self.assertEqual(len(node.raw(stream)), 2)
        node.stop()

    def test_a_right_is_asked_for_once_and_its_absence_for_a_while(self):
        gate = Gate(self.chain.url)
        self.addCleanup(gate.stop)
        node, stream = self.node({"cache": {"maxAgeDenied": 1000}}, [gate.url]), self.stream()
        for _ in range(5):
            self.assertTrue(self.stored(node, stream, self.chain.ownerKey))
        self.assertEqual(gate.calls(), 1)
        for _ in range(3):
            self.assertFalse(self.stored(node, stream, KEYS[0]))
        self.chain.do("grant", stream=stream, user=USERS[0])
        until(lambda: self.stored(node, stream, KEYS[0]), what="the right is found")
        node.stop()

    def test_a_stream_that_is_not_there_takes_nothing(self):
        node = self.node()
        self.assertFalse(self.stored(node, self.chain.owner + "/nowhere", self.chain.ownerKey))
        node.stop()

    def test_everybody_may_publish_to_a_public_stream(self):
        node, stream = self.node({"cache": {"maxAgeDenied": 100, "maxAge": 1000}}), self.stream()
        self.assertFalse(self.stored(node, stream, KEYS[0]))
        self.chain.do("public", stream=stream)
        until(lambda: self.stored(node, stream, KEYS[0]), what="the stream is public")
        self.chain.do("public", stream=stream, on=False)
        until(lambda: not self.stored(node, stream, KEYS[0]), what="the stream is not public any more")
        node.stop()

    def test_a_revoked_right_ends_with_what_is_remembered(self):
        node, stream = self.node({"cache": {"maxAge": 1500}}), self.stream()
        self.chain.do("grant", stream=stream, user=USERS[0])
        self.assertTrue(self.stored(node, stream, KEYS[0]))
        self.chain.do("revoke", stream=stream, user=USERS[0])
        until(lambda: not self.stored(node, stream, KEYS[0]), what="the right is gone")
        node.stop()

    def test_a_partition_the_stream_does_not_have_is_refused(self):
        node, stream = self.node(), self.stream(partitions=3)
        self.assertTrue(self.stored(node, stream, self.chain.ownerKey, partition=2))
        self.assertFalse(self.stored(node, stream, self.chain.ownerKey, partition=3))
        node.stop()

    def test_many_messages_of_many_publishers_are_few_requests(self):
        gate = Gate(self.chain.url)
        self.addCleanup(gate.stop)
        node, stream = self.node(urls=[gate.url]), self.stream()
        self.chain.do("grant", stream=stream, user=USERS[0])
        before = gate.posts
        got, _ = self.upload(node, stream, *(KEYS[:2] * 100))
        self.assertEqual([g is True for g in got], [True, False] * 100)
        self.assertEqual(gate.calls(), 2)
        self.assertLessEqual(gate.posts - before, 3)
        node.stop()

    def test_a_chain_that_cannot_be_asked_refuses_nobody_for_good(self):
        gate = Gate(self.chain.url)
        self.addCleanup(gate.stop)
        node, stream = self.node({"timeoutMs": 500}, [gate.url]), self.stream()
        for mode in ("500", "garbage", "huge", "429", "hang"):
            gate.set(mode)
            got, status = self.upload(node, stream, self.chain.ownerKey)
            self.assertIn("try again", json.dumps(got), mode)
            self.assertEqual(len(node.raw(stream)), 0, mode)
        until(lambda: node.get("/readyz")[0] == 503, what="the node is not ready")
        self.assertIn("the chain cannot be asked", node.get("/readyz")[2].decode())
        gate.set("pass")
        until(lambda: node.get("/readyz")[0] == 200, what="the node is ready again")
        self.assertTrue(self.stored(node, stream, self.chain.ownerKey))
        self.assertNotIn("secret-key", node.said())
        dump = subprocess.run([program("logstore-broker"), "--dump-config", node.config], capture_output=True, text=True,
                              env=node.env, check=True).stdout
        self.assertIn("maxAgeDenied", dump)
        self.assertNotIn("secret-key", dump)
        node.stop()

    def test_an_endpoint_is_left_alone_for_as_long_as_it_asks(self):
        gate = Gate(self.chain.url)
        self.addCleanup(gate.stop)
        node, stream = self.node(urls=[gate.url]), self.stream()
        until(lambda: gate.posts == 1, what="the endpoint is known")
        gate.set("429")
        self.assertIn("try again", json.dumps(self.upload(node, stream, self.chain.ownerKey)))
        waited = [b - a for a, b in zip(gate.times[1:], gate.times[2:])]
        self.assertGreater(len(waited), 1)
        self.assertGreaterEqual(min(waited), 0.99, waited)
        node.stop()

    def test_another_endpoint_is_asked_when_one_fails(self):
        gates = [Gate(self.chain.url) for _ in range(3)]
        for gate in gates:
            self.addCleanup(gate.stop)
        node, stream = self.node({"timeoutMs": 1000}, [g.url for g in gates]), self.stream()
        gates[0].set("500")
        self.assertTrue(self.stored(node, stream, self.chain.ownerKey))
        gates[1].set("hang")
        got, _ = self.upload(node, stream, KEYS[0])
        self.assertIn("try again", json.dumps(got))  # one of three is no quorum of two
        gates[0].set("pass")
        until(lambda: "no permission" in json.dumps(self.upload(node, stream, KEYS[0])), what="two answer again")
        node.stop()

    def test_one_endpoint_that_lies_is_outvoted(self):
        gates = [Gate(self.chain.url) for _ in range(3)]
        for gate in gates:
            self.addCleanup(gate.stop)
        gates[0].set("lies")
        node, stream = self.node(urls=[g.url for g in gates]), self.stream()
        self.assertFalse(self.stored(node, stream, KEYS[0]))
        gates[1].set("lies")
        self.assertTrue(self.stored(node, stream, KEYS[1]))  # so many must not
        node.stop()

    def test_an_endpoint_without_batches_is_asked_one_by_one(self):
        gate = Gate(self.chain.url)
        self.addCleanup(gate.stop)
        gate.set("no batches")
        node, stream = self.node(urls=[gate.url]), self.stream()
        self.chain.do("grant", stream=stream, user=USERS[0])
        got, _ = self.upload(node, stream, *KEYS, self.chain.ownerKey)
        self.assertEqual([g is True for g in got], [True, False, False, True])
        node.stop()

    def test_an_endpoint_of_another_chain_is_not_asked(self):
        node, stream = self.node({"chainId": 31338}), self.stream()
        got, _ = self.upload(node, stream, self.chain.ownerKey)
        self.assertIn("try again", json.dumps(got))
        self.assertIn("it serves chain 31337, not 31338", node.said())
        node.kill()

    def test_a_registry_that_is_none_is_told(self):
        node, stream = self.node({"streamRegistryChainAddress": "0x" + "12" * 20}), self.stream()
        got, _ = self.upload(node, stream, self.chain.ownerKey)
        self.assertIn("try again", json.dumps(got))
        node.stop()

    def test_other_plugins_ask_what_they_want(self):
        node, stream = self.node(), self.stream(partitions=7)
        self.chain.do("grant", stream=stream, user=USERS[0])
        self.chain.do("grant", stream=stream, user=USERS[1], right=3)

        def ask(what, user="", of=stream):
            return node.json("/ask?what=%d&stream=%s&user=%s" % (what, of.replace("/", "%2F"), user[2:]))

        self.assertEqual(ask(1), {"rc": 0, "value": 7, "at_once": False})
        self.assertEqual(ask(1), {"rc": 0, "value": 7, "at_once": True})
        self.assertEqual(ask(1, of=self.chain.owner + "/nowhere")["value"], 0)
        self.assertEqual([ask(2, u)["value"] for u in USERS], [1, 0, 0])
        self.assertEqual([ask(3, u)["value"] for u in USERS], [0, 1, 0])
        self.assertEqual(ask(4, NODE)["value"], 0)
        self.assertEqual(ask(4, NODE)["at_once"], True)
        self.assertEqual(ask(4, "0x12")["rc"], -1)
        self.assertEqual(ask(9)["rc"], -1)
        node.stop()

    def heard(self, node, n):
        return until(lambda: (lambda h: h if len(h) >= n else None)(node.json("/heard")), what="%d events" % n)

    def test_storage_events_are_heard_in_order_from_a_block_on(self):
        stream = self.stream()
        self.register()
        first = self.chain.do("assign", stream=stream, node=NODE)["block"]
        gate = Gate(self.chain.url)
        self.addCleanup(gate.stop)
        gate.set("long ranges")
        events = {"enabled": True, "fromBlock": first, "confirmations": 0, "pollInterval": 100, "maxBlocks": 1000}
        node = self.node({"events": events}, [gate.url], admin={"socket": "admin"})
        node.get("/heard")
        self.chain.do("assign", stream=stream, node=NODE, on=False)
        self.assertEqual([(h["added"], h["node"], h["stream"]) for h in self.heard(node, 2)],
                         [(True, NODE[2:6], stream), (False, NODE[2:6], stream)])
        for on in (True, False) * 5:
            self.chain.do("assign", stream=stream, node=NODE, on=on)
        heard = self.heard(node, 12)
        self.assertEqual([h["added"] for h in heard], [True, False] * 6)
        self.assertEqual([h["block"] for h in heard], list(range(first, first + 12)))
        # What it stands at crosses a swap: nothing is told twice.
        subprocess.run([program("logstore-broker"), "swap", "chain", "--config", node.config], env=node.env, check=True,
                       capture_output=True)
        node.get("/heard")
        self.chain.do("assign", stream=stream, node=NODE)
        self.assertEqual(len(self.heard(node, 13)), 13)
        node.stop()

    def test_an_assignment_is_known_by_its_event(self):
        stream = self.stream()
        self.register()
        events = {"enabled": True, "confirmations": 0, "pollInterval": 100}
        node = self.node({"events": events})
        until(lambda: metric(node, 'chain_requests_total{result="ok"}') > 2, what="it knows where the chain is")
        path = "/ask?what=4&stream=%s&user=%s" % (stream.replace("/", "%2F"), NODE[2:])
        self.assertEqual(node.json(path)["value"], 0)
        self.chain.do("assign", stream=stream, node=NODE)
        until(lambda: node.json(path)["value"] == 1, 5, what="the assignment is known before its absence is old")
        node.stop()

    def test_what_is_known_crosses_a_swap(self):
        gate = Gate(self.chain.url)
        self.addCleanup(gate.stop)
        node, stream = self.node(urls=[gate.url], admin={"socket": "admin"}), self.stream()
        self.assertTrue(self.stored(node, stream, self.chain.ownerKey))
        said = subprocess.run([program("logstore-broker"), "swap", "chain", "--config", node.config], capture_output=True,
                              text=True, env=node.env)
        self.assertIn("was swapped", said.stdout + said.stderr)
        gate.set("500")
        self.assertTrue(self.stored(node, stream, self.chain.ownerKey))
        node.stop()


    def test_a_message_that_waits_for_its_verdict_crosses_a_swap(self):
        gate = Gate(self.chain.url)
        self.addCleanup(gate.stop)
        node, stream = self.node(urls=[gate.url], admin={"socket": "admin"}), self.stream()
        until(lambda: gate.posts == 1, what="the endpoint is known")
        gate.set("wait")
        frame, outcome = self.chain.message(self.chain.ownerKey, stream), []
        upload = threading.Thread(target=lambda: outcome.append(node.upload(join([frame]), stream)))
        upload.start()
        until(lambda: gate.calls() == 1, what="the question is under way")
        swap = subprocess.Popen([program("logstore-broker"), "swap", "chain", "--config", node.config], text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=node.env)
        gate.go.set()
        said = swap.communicate(timeout=60)[0]
        upload.join(60)
        self.assertEqual(outcome[0], (200, {"stored": 1, "duplicates": 0, "rejected": []}))
        self.assertIn("was swapped", said)
        node.stop()


class Anvil(Permissions, unittest.TestCase):
    kind = "anvil"

    def test_a_right_ends_at_its_time(self):
        node, stream = self.node(), self.stream()
        now = int(time.time())
        self.chain.do("until", stream=stream, user=USERS[0], publish=now - 10, subscribe=now + 1000)
        self.chain.do("until", stream=stream, user=USERS[1], publish=now + 1000, subscribe=0)
        got, _ = self.upload(node, stream, KEYS[0], KEYS[1])
        self.assertEqual([g is True for g in got], [False, True], got)
        self.chain.do("until", stream=stream, user=USERS[2], publish=int(time.time()) + 2, subscribe=0)
        self.assertTrue(self.stored(node, stream, KEYS[2]))
        until(lambda: not self.stored(node, stream, KEYS[2]), what="the right ends, though it is remembered")
        node.stop()

    def test_a_contract_says_who_signs_for_it(self):
        node, stream = self.node(), self.stream()
        wallet = self.chain.do("wallet", owner=USERS[0])["contract"]
        for user in (wallet, USERS[2]):
            self.chain.do("grant", stream=stream, user=user)
        got, _ = self.upload(node, stream, KEYS[0], KEYS[1], contract=wallet)
        self.assertIs(got[0], True)
        self.assertIn("does not accept the signature", json.dumps(got[1]))
        got, _ = self.upload(node, stream, KEYS[2], contract=USERS[2])  # no contract is there
        self.assertIn("does not accept the signature", json.dumps(got[0]))
        got, _ = self.upload(node, stream, KEYS[0], contract=self.chain.do("wallet", owner=USERS[0])["contract"])
        self.assertIn("no permission", json.dumps(got[0]))
        node.stop()


    def register(self):
        if not getattr(Anvil, "registered", False):
            self.chain.do("node", key=NODE_KEY)
        Anvil.registered = True

    def test_a_grant_and_its_end_count_with_their_event(self):
        events = {"enabled": True, "confirmations": 0, "pollInterval": 100}
        node, stream = self.node({"events": events}), self.stream()
        until(lambda: metric(node, 'chain_requests_total{result="ok"}') > 2, what="it knows where the chain is")
        self.assertTrue(self.stored(node, stream, self.chain.ownerKey))
        self.assertFalse(self.stored(node, stream, KEYS[0]))
        self.chain.do("grant", stream=stream, user=USERS[0])
        until(lambda: self.stored(node, stream, KEYS[0]), 20, what="the grant is seen")
        self.chain.do("revoke", stream=stream, user=USERS[0])
        until(lambda: not self.stored(node, stream, KEYS[0]), 20, what="its end is seen")
        node.stop()

    def test_a_reorganisation_takes_back_what_was_told(self):
        self.register()
        stream, other = self.stream(), self.stream()
        events = {"enabled": True, "confirmations": 0, "pollInterval": 100}
        node = self.node({"events": events})
        until(lambda: metric(node, 'chain_requests_total{result="ok"}') > 2, what="it knows where the chain is")
        node.get("/heard")
        self.chain.do("assign", stream=stream, node=NODE)
        before = self.chain.do("rpc", method="evm_snapshot")["result"]
        self.chain.do("assign", stream=other, node=NODE)
        self.heard(node, 2)
        self.assertEqual(node.json("/ask?what=4&stream=%s&user=%s" % (other.replace("/", "%2F"), NODE[2:]))["value"], 1)
        self.chain.do("rpc", method="evm_revert", params=[before])
        self.chain.do("assign", stream=stream, node=NODE, on=False)
        self.chain.do("rpc", method="anvil_mine", params=["0x3"])
        heard = self.heard(node, 4)
        told = [(h["stream"] == other, h["added"], h["back"]) for h in heard]
        self.assertEqual(told[:3], [(False, True, False), (True, True, False), (True, False, True)])
        self.assertEqual(told[-1], (False, False, False))
        self.assertEqual(node.json("/ask?what=4&stream=%s&user=%s" % (other.replace("/", "%2F"), NODE[2:]))["value"], 0)
        node.stop()


class Stub(Permissions, unittest.TestCase):
    kind = "stub"

    def register(self):
        pass


if __name__ == "__main__":
    unittest.main()
