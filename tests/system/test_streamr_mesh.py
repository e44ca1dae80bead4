"""Our Streamr node among real ones (v103): they cannot tell it from their own.

OWN=real puts a real node in the place of ours. LONG=1: the neighbour is watched for 10 minutes.
"""
import json
import os
import threading
import time
import unittest

from node import ROOT, until
from streamr_peers import PeerProcess, RealNode, Sdk, SdkClient, StandIn, all_have, key_of, numbers, own_node

ALICE = "0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a"
KEY = "11" * 32
LONG = os.environ.get("LONG") == "1"
VIGIL_S = int(os.environ.get("VIGIL_S", 600 if LONG else 90))
peers = None


def setUpModule():
    global peers
    peers = PeerProcess()
    Vigil.begin()


def tearDownModule():
    Vigil.end()
    peers.end()


def part_of(test):
    return "%s/%s#0" % (ALICE, test.id().rsplit(".", 1)[1])


def listed(reals, node, part):
    """How many real nodes have it for a neighbour."""
    return sum(node.id in real.neighbours(part) for real in reals)


def neighbours_of(reals, nodes, part, least=1, seconds=40):
    for node in nodes:
        until(lambda: listed([r for r in reals if r is not node], node, part) >= least, seconds,
              "%s %s is a neighbour of %d real nodes" % (node.kind, node.id[:8], least))


class Nodes(unittest.TestCase):
    """Ends what a test started."""

    def setUp(self):
        self.part = part_of(self)
        self.stream = self.part[:-2]

    def real(self, entries=None, **options):
        node = RealNode(peers, entries=entries, **options)
        self.addCleanup(node.stop)
        return node

    def own(self, entries, parts=None, **options):
        node = own_node(parts or [self.part], entries=entries, **options)
        self.addCleanup(self.stop_own, node)
        return node

    @staticmethod
    def stop_own(node):
        if node.is_running():
            node.stop()

    def assert_exactly_once(self, node, part):
        for publisher, r in node.received(part).items():
            self.assertEqual(r["duplicates"], 0, "%s %s got messages of %s twice" % (node.kind, node.id, publisher))


class Mesh(Nodes):
    def test_messages_of_every_node_reach_every_node_once(self):
        entry = self.real(accept=True).join(self.part)
        reals = [entry] + [self.real([entry]).join(self.part) for _ in range(7)]
        owns = [self.own([entry], key=key_of(100 + i)) for i in range(4)]
        neighbours_of(reals, reals + owns, self.part, least=1)
        addresses = {}
        for i, node in enumerate(reals):
            addresses[node] = peers.ask("address", key=key_of(i))["address"]
        for node in owns:
            addresses[node] = node.address()
        for i, node in enumerate(reals + owns):
            node.publish(self.part, key_of(i), count=20, first=1000 * i)
        for i, node in enumerate(reals + owns):
            all_have([n for n in reals + owns if n is not node], self.part, addresses[node], range(1000 * i, 1000 * i + 20))
        for node in reals + owns:
            self.assert_exactly_once(node, self.part)

    def test_ours_is_the_only_way_between_two_real_nodes(self):
        """Two real proxy clients see each other through ours alone."""
        entry = self.real()
        own = self.own([entry], accept=True)
        a, b = (self.real([own], port=None, client=True) for _ in range(2))
        a.set_proxies(self.part, [own], ALICE, "publish")
        b.set_proxies(self.part, [own], ALICE, "subscribe")
        a.publish(self.part, KEY, count=50)
        all_have([own, b], self.part, ALICE, range(50))
        self.assertEqual(b.received(self.part)[ALICE]["disorder"], 0)
        self.assert_exactly_once(b, self.part)

    def test_a_real_node_without_a_server_reaches_ours(self):
        entry = self.real()
        own = self.own([entry])
        hidden = self.real([entry], port=None).join(self.part)
        until(lambda: own.id in hidden.neighbours(self.part), 40, "they are neighbours")
        hidden.publish(self.part, KEY, count=10)
        all_have([own], self.part, ALICE, range(10))
        own.publish(self.part, count=10)
        all_have([hidden], self.part, own.address(), range(10))

    def test_a_node_that_leaves_and_a_node_that_dies_are_let_go(self):
        entry = self.real().join(self.part)
        own = self.own([entry])
        leaver = self.real([entry]).join(self.part)
        with PeerProcess() as others:
            mortal = RealNode(others, entries=[entry]).join(self.part)
            until(lambda: own.id in leaver.neighbours(self.part) and own.id in mortal.neighbours(self.part), 40, "neighbours")
            leaver.leave(self.part)
            mortal.kill()
        entry.publish(self.part, KEY, count=10)
        all_have([own], self.part, ALICE, range(10))
        info = until(lambda: self.only(entry, own), 30, "only one neighbour is left")
        self.assertEqual(info, [entry.id])

    def only(self, entry, own):
        parts = {p["id"]: [n["nodeId"] for n in p["neighbours"]] for p in entry.info(own)["parts"]}
        found = parts.get(self.part, [])
        return found if len(found) == 1 else None


class Join(Nodes):
    def test_a_real_node_finds_ours_at_once(self):
        entry = self.real()
        own = self.own([entry])
        if own.kind == "own":  # it has looked for others, listed itself and looked again: now it must be found
            until(lambda: own.metric("streamr_requests_sent_total") >= 4, what="it is listed")
        real = self.real([entry]).join(self.part)
        until(lambda: own.id in real.neighbours(self.part), 3, "they are neighbours")

    def test_what_is_published_at_once_after_start_leaves(self):
        entry = self.real().join(self.part)
        own = self.own([entry], ready=False)
        own.publish(self.part, count=10)
        all_have([entry], self.part, own.address(), range(10))

    def test_it_stops_at_once_after_publishing(self):
        entry = self.real().join(self.part)
        own = self.own([entry])
        own.publish(self.part, count=10)
        all_have([entry], self.part, own.address(), range(10))
        began = time.monotonic()
        own.stop()
        self.assertLess(time.monotonic() - began, 3)


class Proxies(Nodes):
    def test_ours_subscribes_through_a_real_proxy(self):
        proxy = self.real(accept=True).join(self.part)
        own = self.own([], proxies=[(proxy, {"direction": "subscribe"})])
        full = self.real([proxy]).join(self.part, minCount=1)
        full.publish(self.part, KEY, count=5)  # the last ten seconds are given to who comes
        all_have([own], self.part, ALICE, range(5))
        full.publish(self.part, KEY, count=50, first=5)
        all_have([own], self.part, ALICE, range(55))
        self.assert_exactly_once(own, self.part)

    def test_ours_publishes_through_a_real_proxy(self):
        proxy = self.real(accept=True).join(self.part)
        full = self.real([proxy]).join(self.part, minCount=1)
        own = self.own([], proxies=[(proxy, {"direction": "publish"})])
        own.publish(self.part, count=20)
        all_have([proxy, full], self.part, own.address(), range(20))

    def test_real_clients_use_ours_as_a_proxy(self):
        entry = self.real().join(self.part)
        own = self.own([entry], accept=True)
        until(lambda: own.id in entry.neighbours(self.part), 40, "they are neighbours")
        subscriber, publisher, both = (self.real([own], port=None, client=True) for _ in range(3))
        subscriber.set_proxies(self.part, [own], ALICE, "subscribe")
        publisher.set_proxies(self.part, [own], ALICE, "publish")
        both.set_proxies(self.part, [own], ALICE)
        publisher.publish(self.part, KEY, count=10)
        all_have([entry, own, subscriber, both], self.part, ALICE, range(10))
        both.publish(self.part, key_of(3), count=10)
        address = peers.ask("address", key=key_of(3))["address"]
        all_have([entry, own, subscriber], self.part, address, range(10))
        self.assertEqual(list(publisher.received(self.part)), [ALICE], "a publisher is sent nothing, but what it sent")
        subscriber.set_proxies(self.part, [], ALICE)
        entry.publish(self.part, KEY, count=10, first=10)
        all_have([own, both], self.part, ALICE, range(20))
        self.assertEqual(subscriber.received(self.part)[ALICE]["count"], 10, "who has left is sent nothing more")

    def test_a_proxy_that_comes_back_is_used_again(self):
        with PeerProcess() as others:
            proxy = RealNode(others, accept=True).join(self.part)
            own = self.own([], proxies=[(proxy, {"direction": "subscribe"})])
            proxy.publish(self.part, KEY, count=5)
            all_have([own], self.part, ALICE, range(5))
            proxy.kill()
        if own.kind == "stand-in":
            self.skipTest("a real node (103.3.1) tries once and gives up")
        with PeerProcess() as others:
            again = RealNode(others, node_id=proxy.id, port=proxy.port, accept=True).join(self.part)
            address, sent = peers.ask("address", key=key_of(5))["address"], 0

            def used():
                nonlocal sent
                again.publish(self.part, key_of(5), first=sent, every=200)
                sent += 1
                return address in own.received(self.part)
            until(used, 40, "it is given what is published now")


class WithTheSdk(Nodes):
    @classmethod
    def setUpClass(cls):
        cls.sdk = Sdk()

    @classmethod
    def tearDownClass(cls):
        cls.sdk.end()

    def client(self, key, entry):
        client = SdkClient(self.sdk, key, [entry])
        self.addCleanup(client.stop)
        return client

    def network(self, **how):
        """(entry point, ours, the SDK's client as publisher)"""
        entry = self.real(keep=True)
        own = self.own([entry])
        alice = self.client(KEY, entry)
        self.sdk.stream(self.stream, users={alice.address: "all", own.address(): "both"}, **how)
        return entry, own, alice

    def stored(self, own, sent):
        def all_there():
            return set(sent) <= set(own.messages(self.part))
        until(all_there, 40, "all %d messages are in the store" % len(sent))

    def test_plain_and_binary_messages_of_the_sdk_are_stored_byte_for_byte(self):
        _, own, alice = self.network(public=True)
        sent = alice.publish(self.stream, count=10) + alice.publish(self.stream, count=10, first=10, binary=True, pad=100)
        self.stored(own, sent)
        self.assertEqual(sorted(own.messages(self.part)), sorted(sent))

    def test_encrypted_messages_and_key_rotations_are_stored_byte_for_byte(self):
        entry, own, alice = self.network()
        bob = self.client(key_of(1), entry)
        self.sdk.stream(self.stream, users={alice.address: "all", bob.address: "subscribe"})
        bob.subscribe(self.stream)
        sent = []
        for n, how in enumerate((None, "rotate", "rekey")):
            if how:
                alice.rotate(self.stream, how)
            sent += alice.publish(self.stream, first=3 * n, count=3)
            accepted = bob.accepted(self.stream, 3 * n + 3)  # keys are asked for and given past ours
        self.assertEqual([m["content"]["n"] for m in accepted], list(range(9)))
        self.stored(own, sent)
        stored = [m for m in own.messages(self.part) if m in set(sent)]
        self.assertEqual(sorted(stored), sorted(sent))
        if own.kind == "own":
            self.assertEqual(len(own.messages(self.part)), len(sent), "only content is stored")

    def test_what_ours_publishes_is_accepted_by_the_sdk(self):
        _, own, alice = self.network(public=True)
        alice.subscribe(self.stream)
        own.publish(self.part, count=20)
        accepted = alice.accepted(self.stream, 20)
        self.assertEqual([m["content"]["n"] for m in accepted], list(range(20)))
        self.assertEqual({m["publisher"].lower() for m in accepted}, {own.address()})
        self.assertEqual(alice.report(self.stream)["errors"], [])


class Churn(Nodes):
    """Nodes are killed and come back while one publishes. Ours lose what the network itself loses, nothing more: a group of
    real nodes alone goes through the same at the same time."""

    EVERY_MS, ROUNDS = 50, 20 if LONG else 2

    def group(self, part, own):
        entry = self.real().join(part)
        steady = [entry] + [self.real([entry]).join(part) for _ in range(2)]
        mortal = [make([part], entries=[entry]) for make in (own, StandIn, own)]
        neighbours_of(steady, mortal, part)
        return steady, mortal

    def lives(self, part, steady, mortal):
        """Kill and restart each in turn; each must get messages again before the next is killed."""
        for node in mortal * self.ROUNDS:
            node.kill()
            node.restart()
            neighbours_of(steady, [node], part)
            until(lambda: node.received(part).get(ALICE), 30, "it is given messages again")

    def test_kills_cost_no_more_than_among_real_nodes_alone(self):
        groups = {}
        for name, own in (("control", StandIn), ("ours", own_node)):
            part = "%s-%s#0" % (self.stream, name)
            steady, mortal = self.group(part, own)
            groups[name] = (part, steady, mortal)
        stop, threads, failures = threading.Event(), [], []
        sent = {name: 0 for name in groups}

        def publish(name):
            part, steady, _ = groups[name]
            while not stop.is_set():
                steady[0].publish(part, KEY, count=10, first=sent[name], every=self.EVERY_MS)
                sent[name] += 10

        def live(name):
            try:
                self.lives(*groups[name])
            except AssertionError as e:
                failures.append("%s: %s" % (name, e))
        publishers = [threading.Thread(target=publish, args=(name,)) for name in groups]
        lives = [threading.Thread(target=live, args=(name,)) for name in groups]
        for thread in publishers:
            thread.start()
        until(lambda: min(sent.values()) > 0, what="all publish")
        for thread in lives:
            thread.start()
        for thread in lives:
            thread.join()
        stop.set()
        for thread in publishers:
            thread.join()
        self.assertEqual(failures, [])
        report = {name: self.gaps(sent[name], *groups[name]) for name in groups}
        with open(os.path.join(ROOT, "build", "streamr-churn.json"), "w") as out:
            json.dump(report, out, indent=1)
        print("lost of %s: %s" % (sent, json.dumps(report)))
        for kind in ("steady", "back"):
            self.assertLessEqual(report["ours"][kind], report["control"][kind], report)
        for part, steady, mortal in groups.values():
            for node in steady + mortal:
                self.assert_exactly_once(node, part)

    def gaps(self, sent, part, steady, mortal):
        """Messages lost to nodes that stayed, and to nodes that came back after they were given the first again."""
        everything = set(range(sent))

        def missing(node, first):
            have = numbers(node.received(part).get(ALICE, {"numbers": []})["numbers"])
            return {n for n in everything if n >= first} - have
        nodes = [(node, 0) for node in steady[1:]]
        for node in mortal:
            nodes.append((node, node.received(part)[ALICE]["numbers"][0][0]))
        try:
            until(lambda: not any(missing(*n) for n in nodes), 12, "nothing is missing")
        except AssertionError:
            pass
        return {"steady": sum(len(missing(n, f)) for n, f in nodes[:len(steady) - 1]),
                "back": sum(len(missing(n, f)) for n, f in nodes[len(steady) - 1:]),
                "missing": {"%s %s" % (n.kind, n.id[:8]): sorted(missing(n, f))[:20] for n, f in nodes if missing(n, f)}}


class Vigil:
    """Three real nodes and ours, watched while the other tests run: nobody gives it up, and it misses nothing."""

    part = ALICE + "/vigil#0"

    @classmethod
    def begin(cls):
        cls.entry = RealNode(peers).join(cls.part)
        cls.reals = [cls.entry] + [RealNode(peers, entries=[cls.entry]).join(cls.part) for _ in range(2)]
        cls.own = own_node([cls.part], entries=[cls.entry])
        cls.lost, cls.published, cls.over, cls.trouble = [], 0, threading.Event(), None
        cls.thread = threading.Thread(target=cls.watch, daemon=True)
        cls.thread.start()

    @classmethod
    def watch(cls):
        try:
            neighbours_of(cls.reals, [cls.own], cls.part, least=3)
            cls.began = time.monotonic()
            while not cls.over.wait(0.5) and time.monotonic() - cls.began < VIGIL_S:
                have = listed(cls.reals, cls.own, cls.part)
                if have != 3:
                    cls.lost.append((round(time.monotonic() - cls.began, 1), have))
                cls.reals[cls.published % 3].publish(cls.part, key_of(cls.published % 3), first=cls.published)
                cls.own.publish(cls.part, first=cls.published)
                cls.published += 1
        except BaseException as e:
            cls.trouble = e

    @classmethod
    def end(cls):
        cls.over.set()
        cls.thread.join()
        cls.own.stop()


class ZGoodNeighbour(unittest.TestCase):
    def test_it_stays_a_neighbour_of_all_and_loses_nothing(self):
        Vigil.thread.join()
        if Vigil.trouble:
            raise Vigil.trouble
        self.assertGreater(Vigil.published, VIGIL_S / 2)
        self.assertEqual(Vigil.lost, [], "(seconds, real nodes that had it for a neighbour)")
        for i in range(3):
            address = peers.ask("address", key=key_of(i))["address"]
            all_have([Vigil.own], Vigil.part, address, range(i, Vigil.published, 3))
        all_have(Vigil.reals, Vigil.part, Vigil.own.address(), range(Vigil.published))


if __name__ == "__main__":
    unittest.main()
