"""A storage node of Streamr: what the chain assigns is stored, announced, and given back to the SDK of today and of yesterday."""
import hashlib
import json
import os
import socket
import struct
import subprocess
import threading
import time
import unittest

from node import KEY, OWNER, join, program, until
from storage_node import StorageNode
from streamr_peers import OwnNode, PeerProcess, RealNode
from test_chain import KEYS, PEERS, USERS, Chain, Gate


def owner_of(part, nodes):
    """Which of the nodes of a cluster has a stream part, as the Streamr storage plugin says it."""
    return abs(struct.unpack("<i", hashlib.md5(part.encode()).digest()[:4])[0]) % nodes


class Assignments(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.chain = Chain("anvil")
        cls.chain.do("node", key="0x" + KEY)
        cls.chain.do("create", path="/assignments", key="0x" + KEY)

    @classmethod
    def tearDownClass(cls):
        cls.chain.stop()

    def setUp(self):
        self.streams = 0

    def stream(self, **how):
        path = "/%s/%d" % (self.id().rsplit(".", 1)[1], self.streams)
        self.streams += 1
        self.block = self.chain.do("create", path=path, **how)["block"]
        return self.chain.owner + path

    def node(self, **how):
        how.setdefault("first_block", getattr(self, "block", 0))
        node = StorageNode(self.chain, **how)
        self.addCleanup(lambda: node.process and node.kill())
        return node.start()

    def stored(self, node, stream, partition=0):
        """Whether the node stores a message of the owner."""
        frame = self.chain.message(self.chain.ownerKey, stream, partition=partition)
        status, answer = node.upload(join([frame]), stream, partition)
        self.assertEqual(status, 200, answer)
        return answer["stored"] == 1

    def assign(self, stream, on=True, to=OWNER):
        return self.chain.do("assign", stream=stream, node=to, on=on)["block"]

    def test_a_stream_is_stored_from_its_assignment_to_its_end(self):
        stream, other = self.stream(partitions=3), self.stream()
        node = self.node()
        self.assertFalse(self.stored(node, stream))
        with node.listen() as heard:
            self.assign(stream)
            said = [json.loads(heard.receive()) for _ in range(3)]
        self.assertEqual(said, [{"streamPart": "%s#%d" % (stream, p)} for p in range(3)])
        self.assertEqual(node.assigned(), {stream: [0, 1, 2]})
        self.assertTrue(all(self.stored(node, stream, p) for p in range(3)))
        self.assertFalse(self.stored(node, other))
        self.assign(stream, on=False)
        until(lambda: node.assigned() == {}, what="the assignment ends")
        self.assertFalse(self.stored(node, stream))
        self.assertEqual(len(node.raw(stream, 1)), 1)
        node.stop()

    def test_what_is_assigned_survives_a_crash_without_the_chain(self):
        stream = self.stream(partitions=2)
        gate = Gate(self.chain.url)
        self.addCleanup(gate.stop)
        node = self.node(urls=[gate.url])
        with node.listen() as heard:
            self.assign(stream)
            heard.receive()  # from now on somebody relies on it
        node.kill()
        gate.set("500")
        node.start()
        self.assertEqual(node.assigned(), {stream: [0, 1]})
        self.assertEqual(node.json("/assignments")["streams"][0]["announced"], False)
        # Nobody may be asked who may publish; but the message has a place to go to.
        frame = self.chain.message(self.chain.ownerKey, stream)
        self.assertIn("try again", json.dumps(node.upload(join([frame]), stream)[1]))
        # Whoever waited for the announcement through the crash hears it.
        with node.listen() as heard:
            gate.set("pass")
            self.assertEqual([json.loads(heard.receive())["streamPart"] for _ in range(2)], [stream + "#0", stream + "#1"])
        self.assertTrue(self.stored(node, stream))
        node.stop()

    def test_a_crash_before_anybody_was_told_loses_no_assignment(self):
        stream = self.stream()
        gate = Gate(self.chain.url)
        self.addCleanup(gate.stop)
        node = self.node(urls=[gate.url])
        until(lambda: node.metric("chain_events_block"), what="the chain is read")
        self.assign(stream)
        until(lambda: node.metric("logstore_assigned_streams") == 1, what="the event is heard")
        node.kill()
        gate.set("wait")
        node.start()
        with node.listen() as heard:
            gate.go.set()
            self.assertEqual(json.loads(heard.receive()), {"streamPart": stream + "#0"})
        self.assertTrue(self.stored(node, stream))
        node.stop()

    def test_nobody_is_told_of_what_a_crash_would_forget(self):
        stream = self.stream()
        node = self.node()
        in_the_way = os.path.join(node.folder, ".logstore", "logstore", "assignments.new")
        until(lambda: node.metric("chain_events_block"), what="the chain is read")
        os.mkdir(in_the_way)
        with node.listen() as heard:
            self.assign(stream)
            node.takes(stream)
            until(lambda: node.get("/readyz")[0] == 503, what="the node says what it cannot do")
            self.assertIn("would be forgotten in a crash", node.get("/readyz")[2].decode())
            self.assertTrue(self.stored(node, stream))
            self.assertFalse(node.json("/assignments")["streams"][0]["announced"])
            os.rmdir(in_the_way)
            self.assertEqual(json.loads(heard.receive()), {"streamPart": stream + "#0"})
        until(lambda: node.get("/readyz")[0] == 200, what="the node is well")
        node.stop()

    def test_a_damaged_file_is_no_file(self):
        stream = self.stream()
        node = self.node()
        self.assign(stream)
        node.takes(stream)
        node.announced(stream)
        node.stop()
        path = os.path.join(node.folder, ".logstore", "logstore", "assignments")
        with open(path, "rb") as file:
            good = file.read()
        for bad in (b"", good[:-1], good[:40] + bytes([good[40] ^ 1]) + good[41:]):
            with open(path, "wb") as file:
                file.write(bad)
            node.start()
            node.takes(stream, what="the chain has said it again")
            self.assertIn("is damaged, or of another cluster", node.said())
            node.stop()

    def test_what_was_assigned_and_taken_while_the_node_was_down_is_found(self):
        gone, kept, new = self.stream(), self.stream(), self.stream()
        node = self.node(first_block=None)
        until(lambda: node.metric("chain_events_block") or node.metric('chain_requests_total{result="ok"}') > 2,
              what="it knows where the chain is")
        for stream in (gone, kept):
            self.assign(stream)
        node.takes(gone)
        node.takes(kept)
        node.announced(kept)
        node.stop()
        self.assign(gone, on=False)
        self.assign(new)
        node.start()
        until(lambda: node.assigned() == {kept: [0], new: [0]}, what="the node knows what happened")
        node.stop()

    def test_history_is_not_lived_through_again(self):
        stream, other = self.stream(), self.stream()
        first = self.assign(stream)
        for _ in range(3):
            self.assign(stream, on=False)
            self.assign(stream)
        self.assign(other)
        self.assign(other, on=False)
        node = self.node(first_block=first, events={"maxBlocks": 1})
        node.takes(stream)
        until(lambda: node.metric("chain_events_block") >= first + 7, what="the past is read")
        until(lambda: node.assigned() == {stream: [0]}, what="only that is taken")
        self.assertEqual(node.said().count("is assigned to this node:"), 1)
        self.assertNotIn("not assigned to this node any more", node.said())
        node.stop()

    def test_a_cluster_shares_the_parts(self):
        stream = self.stream(partitions=20)
        nodes = [self.node(cluster={"clusterSize": 2, "myIndexInCluster": i}) for i in range(2)]
        self.assign(stream)
        owned = [[p for p in range(20) if owner_of("%s#%d" % (stream, p), 2) == i] for i in range(2)]
        self.assertTrue(all(owned))
        for i, node in enumerate(nodes):
            node.takes(stream, owned[i])
            node.announced(stream)
            self.assertEqual([self.stored(node, stream, p) for p in (owned[i][0], owned[1 - i][0])], [True, False])
            self.assertEqual(node.metric('logstore_announcements_total{outcome="published"}'), len(owned[i]))
            part = "/streams/%s/storage/partitions/%d"
            self.assertEqual(node.get(part % (stream.replace("/", "%2F"), owned[i][0]))[0], 200)
            self.assertEqual(node.get(part % (stream.replace("/", "%2F"), owned[1 - i][0]))[0], 404)
            ready = node.json("/stores/%s/partitions/%d/ready" % (stream.replace("/", "%2F"), owned[i][0]))
            self.assertEqual(ready, {"ready": True})
        for node in nodes:
            node.stop()

    def test_a_cluster_with_an_address_of_its_own(self):
        key = "0x" + "66" * 32
        address = self.chain.do("node", key=key)["address"]
        stream = self.stream()
        node = self.node(cluster={"clusterAddress": address.upper().replace("X", "x")}, address=address)
        self.assign(stream, to=address)
        node.takes(stream)
        until(lambda: node.get("/readyz")[0] == 503, what="the node says what it lacks")
        self.assertIn("'%s/assignments' is not on the chain, create it and let %s publish to it" % (address, OWNER),
                      node.get("/readyz")[2].decode())
        self.assertTrue(self.stored(node, stream))
        with node.listen() as heard:
            self.chain.do("create", path="/assignments", key=key)
            until(lambda: "may not publish to the stream" in node.get("/readyz")[2].decode(), what="it asks again")
            self.chain.do("grant", stream=address + "/assignments", user=OWNER, key=key)
            self.assertEqual(json.loads(heard.receive()), {"streamPart": stream + "#0"})
        until(lambda: node.get("/readyz")[0] == 200, what="the node is well")
        node.stop()

    def test_partitions_that_come_and_go_are_taken_and_left(self):
        stream = self.stream(partitions=2)
        node = self.node(refresh=300)
        self.assign(stream)
        node.takes(stream, [0, 1])
        node.announced(stream)
        with node.listen() as heard:
            self.chain.do("metadata", stream=stream, partitions=4)
            self.assertEqual([json.loads(heard.receive())["streamPart"] for _ in range(2)], [stream + "#2", stream + "#3"])
        self.assertTrue(self.stored(node, stream, 3))
        self.chain.do("metadata", stream=stream, partitions=1)
        node.takes(stream, [0])
        self.chain.do("remove", stream=stream)
        until(lambda: node.assigned() == {}, what="the stream that is no more is left")
        node.stop()

    def test_a_reorganisation_takes_an_assignment_back(self):
        stream, other = self.stream(), self.stream()
        node = self.node()
        self.assign(stream)
        before = self.chain.do("rpc", method="evm_snapshot")["result"]
        self.assign(other)
        node.takes(stream)
        node.takes(other)
        self.chain.do("rpc", method="evm_revert", params=[before])
        self.chain.do("rpc", method="anvil_mine", params=["0x3"])
        until(lambda: node.assigned() == {stream: [0]}, what="the assignment is taken back")
        self.assertFalse(self.stored(node, other))
        node.stop()

    def test_an_endpoint_that_is_behind_its_events_is_asked_again(self):
        stream = self.stream()
        gate = Gate(self.chain.url)
        self.addCleanup(gate.stop)
        node = self.node(urls=[gate.url])
        until(lambda: node.metric("chain_events_block"), what="the chain is read")
        until(lambda: gate.calls() == 2, what="it knows that it may announce")
        gate.set("behind")
        self.assign(stream)
        until(lambda: gate.calls() >= 2 + 3, what="it was asked, and again")
        self.assertEqual(node.assigned(), {})
        gate.set("pass")
        node.takes(stream)
        node.stop()

    def test_what_no_event_tells_is_found_by_asking_again(self):
        stream = self.stream()
        node = self.node(refresh=300)
        self.assign(stream)
        node.takes(stream)
        node.stop()
        self.assign(stream, on=False)
        # A file of a node whose position is beyond the event.
        node.change(lambda plugins: plugins["chain"]["events"].update(confirmations=100000))
        node.start()
        until(lambda: node.assigned() == {}, what="the assignment is gone")
        node.stop()

    def test_assignments_go_on_through_swaps_of_both_plugins(self):
        streams = [self.stream() for _ in range(4)]
        node = self.node()

        def swap(name):
            said = subprocess.run([program("logstore-broker"), "swap", name, "--config", node.config], env=node.env,
                                  capture_output=True, text=True)
            self.assertIn("was swapped", said.stdout + said.stderr)

        with node.listen() as heard:
            for stream, name in zip(streams, ("chain", "logStore", "chain", "logStore")):
                self.assign(stream)
                node.takes(stream)
                self.assertEqual(json.loads(heard.receive()), {"streamPart": stream + "#0"})
                swap(name)
            for stream in streams:
                self.assertTrue(self.stored(node, stream))
            self.assign(streams[0], on=False)
            until(lambda: streams[0] not in node.assigned(), what="events are still heard")
            last = self.stream()
            self.assign(last)
            # Nothing was announced twice in between.
            self.assertEqual(json.loads(heard.receive()), {"streamPart": last + "#0"})
        swap("logStore")
        node.stop()
        node.start()  # another process tells of all it has
        until(lambda: node.metric('logstore_announcements_total{outcome="published"}') == 4, what="all are announced")
        node.stop()

    def test_a_swap_under_load_leaves_no_hole(self):
        stream = self.stream()
        node = self.node()
        self.assign(stream)
        node.takes(stream)
        frames = [self.chain.message(self.chain.ownerKey, stream) for _ in range(300)]
        refused, over = [], threading.Event()

        def upload():
            for frame in frames:
                status, answer = node.upload(join([frame]), stream)
                if (status, answer.get("stored")) != (200, 1):
                    refused.append(answer)
            over.set()

        thread = threading.Thread(target=upload)
        thread.start()
        swaps = 0
        while not over.is_set():
            subprocess.run([program("logstore-broker"), "swap", "logStore", "--config", node.config], env=node.env,
                           check=True, capture_output=True)
            swaps += 1
        thread.join()
        self.assertGreater(swaps, 1)
        self.assertEqual(refused, [])
        self.assertEqual(len(node.raw(stream)), 300)
        node.stop()

    def test_both_sdks_read_what_is_stored_plain_and_encrypted(self):
        stream = self.stream()
        node = self.node()
        self.assign(stream)
        node.takes(stream)
        got = self.peer("resend-both.mjs", STORAGE_URL="http://127.0.0.1:%d" % node.port, STREAM=stream,
                        KEY=self.chain.ownerKey)
        self.assertEqual(got["uploaded"], {"stored": 7, "duplicates": 0, "rejected": []})
        self.assertTrue(got["exact"], "the bytes are not those that were stored")
        text = 'a "quote", a \\ and \n \u00fc \u20ac'
        # streamr-client 8 can verify no encrypted message that was signed in today's way, and knows no binary ones.
        for name, all_of_it in (("v103", [0, text, 2, 3, 4, 5, "hex:010203ff"]), ("v8", [0, text, 2, 3, 4])):
            self.assertEqual(got[name]["from"], all_of_it, name)
            self.assertEqual(got[name]["range"], [text, 2], name)
            self.assertEqual(got[name]["chain"], [0, text], name)
            self.assertEqual(got[name]["last4"], [m for m in [3, 4, 5, "hex:010203ff"] if m in all_of_it], name)
        omitted = [node.metric('logstore_v8_omitted_messages_total{reason="%s"}' % r) for r in ("encrypted", "binary", "signature")]
        self.assertEqual(omitted, [2, 2, 0])  # in "from" and in "last4"
        node.stop()

    def peer(self, script, **env):
        """What a script of tests/peers says in its last line."""
        said = subprocess.run(["node", "--require", "./loopback.cjs", script], cwd=PEERS, capture_output=True, text=True,
                              timeout=300, env=dict(os.environ, **env))
        self.assertEqual(said.returncode, 0, said.stdout + said.stderr)
        return json.loads(said.stdout.splitlines()[-1])

    def test_add_to_storage_node_of_the_sdk_completes(self):
        self.block = self.chain.do("create", path="/of-the-sdk", key=KEYS[0])["block"]
        stream = USERS[0] + "/of-the-sdk"
        node = self.node(config={"mode": {"type": "standalone", "trackedStreams": [{"id": OWNER + "/assignments"}]}})
        url = "http://127.0.0.1:%d" % node.port
        self.chain.do("node", key="0x" + KEY, metadata={"urls": [url], "http": url + "/v8"})
        got = self.peer("add-to-storage-node.mjs", STORAGE_URL=url, STREAM=stream, CLUSTER=OWNER, KEY=KEYS[0],
                        CHAIN=json.dumps({k: getattr(self.chain, k) for k in ("url", "registry", "storage", "nodes")}))
        self.assertEqual(got, {"added": True, "resent": [{"hello": "stored"}], "removed": True})
        until(lambda: node.assigned() == {}, what="the stream is left")
        node.stop()

    def networked(self, entry):
        """A storage node with the plugin streamr, started."""
        node = StorageNode(self.chain, first_block=self.block)
        self.addCleanup(lambda: node.process and node.kill())
        node.change(lambda plugins: plugins.update(streamr={"network": {"controlLayer": {
            "websocketBindHost": "127.0.0.1", "websocketPort": 0, "entryPoints": [entry],
            "peerDescriptor": {"nodeId": os.urandom(20).hex()}}}}))
        return node.start()

    def test_in_the_network_the_sdk_adds_a_stream_publishes_and_reads_it_back(self):
        self.block = self.chain.do("create", path="/in-the-network", key=KEYS[1])["block"]
        stream = USERS[1] + "/in-the-network"
        peers = PeerProcess()
        self.addCleanup(peers.end)
        entry = OwnNode.at(RealNode(peers))
        node = self.networked(entry)
        url = "http://127.0.0.1:%d" % node.port
        self.chain.do("node", key="0x" + KEY, metadata={"urls": [url]})
        got = self.peer("add-to-storage-node.mjs", STORAGE_URL=url, STREAM=stream, CLUSTER=OWNER, KEY=KEYS[1],
                        ENTRY_POINT=json.dumps(entry),
                        CHAIN=json.dumps({k: getattr(self.chain, k) for k in ("url", "registry", "storage", "nodes")}))
        self.assertEqual(got, {"added": True, "resent": [{"hello": "stored"}], "removed": True})
        until(lambda: node.assigned() == {}, what="the stream is left")
        node.stop()

    def test_a_neighbour_is_waited_for_but_not_for_ever(self):
        stream = self.stream()
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            node = self.networked(OwnNode.at({"nodeId": os.urandom(20).hex(), "port": nobody.getsockname()[1]}))
            with node.listen() as heard:
                began = time.monotonic()
                self.assign(stream)
                node.takes(stream)
                self.assertEqual(json.loads(heard.receive()), {"streamPart": stream + "#0"})
                self.assertGreater(time.monotonic() - began, 5)
            node.stop()

    def test_key_exchange_is_not_stored_and_no_fault(self):
        stream = self.stream()
        node = self.node()
        self.assign(stream)
        node.takes(stream)
        for kind in ("request", "response"):
            frame = self.chain.message(self.chain.ownerKey, stream, exchange=kind)
            status, answer = node.upload(join([frame]), stream)
            self.assertEqual((status, answer["stored"]), (200, 0))
            self.assertIn("key exchange is passed on and not stored", json.dumps(answer))
        self.assertEqual(node.metric('bus_outcomes_total{outcome="rejected"}') or 0, 0)
        self.assertEqual(node.raw(stream), [])
        node.stop()


class Settings(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.chain = Chain("anvil")

    @classmethod
    def tearDownClass(cls):
        cls.chain.stop()

    def refused(self, **how):
        node = StorageNode(self.chain, **how)
        with self.assertRaises(AssertionError):
            node.start()
        return node.said()

    def test_an_index_that_no_node_of_the_cluster_has_is_refused(self):
        self.assertIn("'cluster.myIndexInCluster' is 2, but a cluster of 2 has indexes from 0 to 1",
                      self.refused(cluster={"clusterSize": 2, "myIndexInCluster": 2}))

    def test_a_process_of_its_own_is_refused(self):
        node = StorageNode(self.chain)
        node.change(lambda plugins: plugins["logStore"].update(isolate=True))
        with self.assertRaises(AssertionError):
            node.start()
        self.assertIn("take 'isolate' out of this section", node.said())

    def not_ready(self, edit, why):
        node = StorageNode(self.chain).change(edit).start()
        until(lambda: node.get("/readyz")[0] == 503, what="the node is not ready")
        self.assertIn(why, node.get("/readyz")[2].decode())
        node.stop()

    def test_without_the_plugin_chain_the_node_says_what_it_needs(self):
        self.not_ready(lambda plugins: plugins.pop("chain") and plugins.pop("http"), "add plugins.chain, with events.enabled")

    def test_without_events_the_node_says_what_it_needs(self):
        self.not_ready(lambda plugins: plugins["chain"].pop("events"), "set its events.enabled")


if __name__ == "__main__":
    unittest.main()
