"""The streamr plugin among real Streamr v103 nodes: handshakes, messages in and out, entry points that go and come."""
import re
import subprocess
import time
import unittest

import streamr
from node import program, until
from streamr_peers import OwnNode, PeerProcess, RealNode, all_have, key_of

ALICE = "0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a"
KEY = "11" * 32


def part_of(test):
    return "%s/%s#0" % (ALICE, test.id().rsplit(".", 1)[1])


class Proxies(unittest.TestCase):
    """By way of a real node that is a proxy."""

    @classmethod
    def setUpClass(cls):
        cls.peers = PeerProcess()
        cls.entry = RealNode(cls.peers, accept=True, keep=True)

    @classmethod
    def tearDownClass(cls):
        cls.peers.end()

    def test_messages_come_in_byte_for_byte_and_go_out(self):
        part = part_of(self)
        self.entry.join(part)
        own = OwnNode([part], port=None, proxies=[(self.entry, {})])
        made = self.peers.ask("make", part=part, key=KEY, count=20, timestamp=int(time.time() * 1000))["messages"]
        until(lambda: self.entry.info(self.entry)["connections"] or True, what="it is there")
        until(lambda: own.metric("streamr_connections") == 1, what="the proxy is connected")
        self.entry.ask("publish", part=part, messages=made)
        until(lambda: len(own.messages(part)) == 20, what="all are stored")
        self.assertEqual([m.hex() for m in own.messages(part)], made)
        own.publish(part, count=20, first=100)
        all_have([self.entry], part, own.address(), range(100, 120))
        own.stop()

    def test_a_direction_is_kept(self):
        part = part_of(self)
        self.entry.join(part)
        reads = OwnNode([part], port=None, proxies=[(self.entry, {"direction": "subscribe"})])
        until(lambda: reads.metric("streamr_connections") == 1, what="the proxy is connected")
        reads.publish(part, count=3, first=500)
        until(lambda: reads.metric("streamr_refused_total") == 3, what="it does not publish")
        self.assertIn("messages published here do not leave", reads.node.said())
        self.entry.publish(part, key_of(3), count=3)
        until(lambda: len(reads.messages(part)) == 6, what="it receives")
        self.assertNotIn(reads.address(), self.entry.received(part))
        reads.stop()

    def test_streams_without_a_proxy_do_not_go_by_it(self):
        part, other = part_of(self), part_of(self).replace("#", "/other#")
        self.entry.join(part)
        self.entry.join(other)
        own = OwnNode([part, other], port=None, proxies=[(self.entry, {"streams": [other]})])
        until(lambda: own.metric("streamr_connections") == 1, what="the proxy is connected")
        for name in (part, other):
            self.entry.publish(name, key_of(4), count=3)
        until(lambda: len(own.messages(other)) == 3, what="the one comes")
        self.assertEqual(own.messages(part), [])
        own.stop()


class BeingOne(unittest.TestCase):
    """Our node is the proxy, of real clients."""

    def test_real_clients_read_and_publish_by_way_of_it(self):
        part = part_of(self)
        own = OwnNode([part], accept=True)  # alone: no entry points, found by its address
        with PeerProcess() as peers:
            reader = RealNode(peers, port=None, entries=[own], client=True, keep=True)
            writer = RealNode(peers, port=None, entries=[own], client=True)
            reader.set_proxies(part, [own], ALICE, "subscribe")
            writer.set_proxies(part, [own], ALICE, "publish")
            writer.publish(part, KEY, count=20)
            all_have([reader, own], part, ALICE, range(20))
            own.publish(part, count=20, first=100)
            all_have([reader], part, own.address(), range(100, 120))
            until(lambda: len(own.messages(part)) == 40, what="all are stored")
            self.assertEqual(own.messages(part)[:20], reader.messages(part)[:20])
            reader.set_proxies(part, [], ALICE)
            writer.set_proxies(part, [], ALICE)
            own.publish(part, count=1, first=900)
            for node in (reader, writer):
                node.stop()
            until(lambda: own.metric("streamr_connections") == 0, what="they have left")
        own.stop()

    def test_what_is_relayed_is_passed_on_and_no_more(self):
        part = part_of(self)
        own = OwnNode([], accept=True, relay=[part])
        with PeerProcess() as peers:
            reader = RealNode(peers, port=None, entries=[own], client=True)
            writer = RealNode(peers, port=None, entries=[own], client=True)
            reader.set_proxies(part, [own], ALICE, "subscribe")
            writer.set_proxies(part, [own], ALICE, "publish")
            writer.publish(part, KEY, count=20)
            all_have([reader], part, ALICE, range(20))
            until(lambda: own.metric("streamr_messages_out_total") == 20, what="they are counted")
            self.assertEqual(own.metric('streamr_messages_in_total{result="new"}'), 0)  # handed in
            self.assertEqual(own.messages(part), [])
            for node in (reader, writer):
                node.stop()
        own.stop()

    def test_a_node_that_does_not_accept_clients_has_none(self):
        part = part_of(self)
        own = OwnNode([part])
        with PeerProcess() as peers:
            reader = RealNode(peers, port=None, entries=[own], client=True)
            began = reader.begin("setProxies", part=part, proxies=[own.peer()], user=ALICE, direction="subscribe", count=1)
            until(lambda: own.metric("streamr_requests_served_total") > 0, what="it has asked")
            own.publish(part, count=3)
            self.assertEqual(reader.received(part), {})
            self.assertIsNotNone(began)
        own.stop()


class Members(unittest.TestCase):
    """As a member of stream parts, found by an entry point."""

    @classmethod
    def setUpClass(cls):
        cls.peers = PeerProcess()
        cls.entry = RealNode(cls.peers)

    @classmethod
    def tearDownClass(cls):
        cls.peers.end()

    def test_messages_pass_both_ways_with_and_without_a_server(self):
        part = part_of(self)
        real = RealNode(self.peers, entries=[self.entry], keep=True).join(part)
        server = OwnNode([part], entries=[self.entry])
        client = OwnNode([part], port=None, entries=[self.entry])
        until(lambda: {server.id, client.id} <= set(real.neighbours(part)), 60, "they are neighbours")
        real.publish(part, KEY, count=50)
        all_have([server, client], part, ALICE, range(50))
        server.publish(part, count=50, first=100)
        all_have([real, client], part, server.address(), range(100, 150))
        client.publish(part, count=50, first=200)
        all_have([real, server], part, client.address(), range(200, 250))
        self.assertEqual(len(real.messages(part)), 150)
        for own in (server, client):
            own.stop()
        until(lambda: real.neighbours(part) == [], what="they have left")
        real.stop()

    def test_it_is_found_by_a_real_node_that_comes_later(self):
        part = part_of(self)
        own = OwnNode([part], entries=[self.entry])
        until(lambda: own.metric('streamr_requests_sent_total') > 1, what="it is listed")
        real = RealNode(self.peers, entries=[self.entry]).join(part)
        until(lambda: own.id in real.neighbours(part), 60, "they are neighbours")
        own.publish(part, count=5)
        all_have([real], part, own.address(), range(5))
        info = real.info(own)
        self.assertEqual([p["id"] for p in info["parts"]], [part])
        self.assertIn(real.id, [n["nodeId"] for n in info["parts"][0]["neighbours"]])
        self.assertIn(real.id, [n["nodeId"] for n in info["connections"]])
        own.stop()
        real.stop()

    def test_a_real_node_without_a_server_is_asked_to_dial_and_dials(self):
        part = part_of(self)
        hidden = RealNode(self.peers, port=None, entries=[self.entry]).join(part)
        own = OwnNode([part], entries=[self.entry])
        until(lambda: own.id in hidden.neighbours(part), 60, "they are neighbours")
        hidden.publish(part, key_of(5), count=5)
        until(lambda: len(own.messages(part)) == 5, what="they came")
        own.stop()
        hidden.stop()

    def test_a_swap_keeps_the_node_id_and_the_port_and_joins_again(self):
        part = part_of(self)
        real = RealNode(self.peers, entries=[self.entry]).join(part)
        own = OwnNode([part], entries=[self.entry])
        until(lambda: own.id in real.neighbours(part), 60, "they are neighbours")
        result = subprocess.run([program("logstore-broker"), "swap", "--config", own.node.config, "streamr"],
                                env=own.node.env, capture_output=True, text=True)
        self.assertEqual(result.returncode, 0, result.stderr)
        ids = re.findall(r"this is node (\w+)", own.node.said())
        self.assertEqual(ids, [own.id, own.id])
        ports = re.findall(r"Streamr node on ws://\S+:(\d+)", own.node.said())
        self.assertEqual(ports, [str(own.port)] * 2)
        until(lambda: own.id in real.neighbours(part), 60, "they are neighbours again")
        real.publish(part, key_of(6), count=5)
        until(lambda: len(own.messages(part)) == 5, what="they came")
        own.stop()
        real.stop()


    def test_one_that_was_killed_is_taken_back_under_its_id(self):
        part = part_of(self)
        real = RealNode(self.peers, entries=[self.entry]).join(part)
        own = OwnNode([part], entries=[self.entry])
        until(lambda: own.id in real.neighbours(part), 60, "they are neighbours")
        own.kill()
        own.restart()
        until(lambda: own.id in real.neighbours(part), 60, "they are neighbours again")
        real.publish(part, key_of(8), count=5)
        until(lambda: len(own.messages(part)) == 5, what="they came")
        own.stop()
        real.stop()

    def test_taken_out_it_leaves_and_put_back_it_joins(self):
        part = part_of(self)
        real = RealNode(self.peers, entries=[self.entry]).join(part)
        own = OwnNode([part], entries=[self.entry])
        until(lambda: own.id in real.neighbours(part), 60, "they are neighbours")
        for command in ("disable", "enable"):
            result = subprocess.run([program("logstore-broker"), command, "--config", own.node.config, "streamr"],
                                    env=own.node.env, capture_output=True, text=True)
            self.assertEqual(result.returncode, 0, result.stderr)
            until(lambda: (own.id in real.neighbours(part)) == (command == "enable"), 60, command)
        real.publish(part, key_of(9), count=5)
        until(lambda: len(own.messages(part)) == 5, what="they came")
        own.stop()
        real.stop()


class EntryPoints(unittest.TestCase):
    def test_one_that_is_killed_and_comes_back_is_used_again(self):
        part = part_of(self)
        with PeerProcess() as first:
            entry = RealNode(first)
            own = OwnNode([part], entries=[entry])
            until(lambda: own.metric("streamr_connections") >= 1, what="the entry point is connected")
            first.kill()
            until(lambda: own.metric("streamr_connections") == 0, what="it is missed")
        with PeerProcess() as second:
            again = RealNode(second, entry.id, port=entry.port)
            until(lambda: own.metric("streamr_connections") >= 1, 60, "it is connected again")
            real = RealNode(second, entries=[again]).join(part)
            until(lambda: own.id in real.neighbours(part), 90, "they are neighbours")
            real.publish(part, key_of(7), count=5)
            until(lambda: len(own.messages(part)) == 5, what="they came")
            own.stop()


class Handshakes(unittest.TestCase):
    def test_both_sides_dial_and_are_dialled(self):
        with PeerProcess() as peers:
            entry = RealNode(peers)
            own = OwnNode([], entries=[entry])  # dials the entry point
            until(lambda: own.metric("streamr_connections") == 1, what="connected")
            other = RealNode(peers, entries=[entry])
            self.assertEqual(other.info(own)["version"], "103.3.1")  # is dialled
            with streamr.Peer(own.port) as peer:
                peer.join().ping()
            own.stop()
            self.assertNotIn("WARN", entry.peers.said().replace("DuplicateConnection", ""))

    def test_an_unreachable_server_is_said_so_and_only_dials(self):
        with PeerProcess() as peers:
            entry = RealNode(peers)
            own = OwnNode([], entries=[entry], control={"websocketHost": "127.0.0.2"})
            until(lambda: "cannot reach port" in own.node.said(), what="it is said")
            until(lambda: own.metric("streamr_connections") == 1, what="connected all the same")
            own.stop()


if __name__ == "__main__":
    unittest.main()
