"""What the specs say of the endpoints, seen from outside."""
import json
import os
import re
import socket
import subprocess
import time
import unittest

from node import OWNER, STREAM, Node, generate, join, program, split, until


class Api(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.node = Node().start()

    @classmethod
    def tearDownClass(cls):
        cls.node.stop()

    def stream(self):
        return OWNER + "/" + self.id().rsplit(".", 1)[1]

    def test_a_published_message_is_found_by_a_query(self):
        s = self.stream()
        status, headers, body = self.node.request("POST", "/streams/" + s.replace("/", "%2F"), b'{"hello":"world"}')
        self.assertEqual((status, body), (200, b"OK"))
        self.assertEqual(json.loads(headers["X-Message-Id"])[0], s)
        answer = self.node.json(self.node.data_path(s) + "/last?count=1")
        self.assertEqual(answer["messages"][0]["content"], {"hello": "world"})
        self.assertEqual(answer["metadata"], {"hasNext": False, "totalMessages": 1, "type": "metadata"})
        self.assertEqual(list(answer["messages"][0]), [
            "streamId", "streamPartition", "timestamp", "sequenceNumber", "publisherId", "msgChainId",
            "messageType", "contentType", "encryptionType", "content", "signatureType", "signature"])

    def test_an_upload_is_read_back_byte_for_byte_and_once(self):
        s = self.stream()
        data = generate(2000, stream=s)
        self.assertEqual(self.node.upload(data, s), (200, {"stored": 2000, "duplicates": 0, "rejected": []}))
        self.assertEqual(join(self.node.raw(s)), data)
        self.assertEqual(self.node.upload(data, s), (200, {"stored": 0, "duplicates": 2000, "rejected": []}))
        self.assertEqual(len(self.node.raw(s)), 2000)

    def test_last_from_range_and_first_select_what_the_specs_say(self):
        s = self.stream()
        start = 1700000000000
        self.node.upload(generate(100, stream=s, start=start), s)
        path = self.node.data_path(s)

        def times(query):
            return [m["timestamp"] - start for m in self.node.json(path + query)["messages"]]

        self.assertEqual(times("/last?count=3"), [97, 98, 99])
        self.assertEqual(times("/last"), [99])
        self.assertEqual(times("/last?count=0"), [])
        self.assertEqual(times("/last?count=-2"), [0, 1])
        self.assertEqual(times("/last?count=1000"), list(range(100)))
        self.assertEqual(times("/from?fromTimestamp=%d" % (start + 95)), [95, 96, 97, 98, 99])
        self.assertEqual(times("/range?fromTimestamp=%d&toTimestamp=%d" % (start + 5, start + 7)), [5, 6, 7])
        self.assertEqual(times("/range?fromTimestamp=%d&toTimestamp=%d&toSequenceNumber=0" % (start, start + 1)), [0, 1])
        self.assertEqual(times("/range?fromTimestamp=%d&fromSequenceNumber=1&toTimestamp=%d" % (start, start + 1)), [1])
        self.assertEqual(times("/range?fromTimestamp=9&toTimestamp=5"), [])
        first = self.node.json(path + "/last?count=-1")["messages"][0]
        mine = "/range?fromTimestamp=0&toTimestamp=%d&publisherId=%s&msgChainId=%s" % (
            start + 10, first["publisherId"], first["msgChainId"])
        self.assertEqual(times(mine), [0, 3, 6, 9])

    def test_limit_pages_through_a_range(self):
        s = self.stream()
        self.node.upload(generate(25, stream=s), s)
        seen, at = [], "fromTimestamp=0"
        while True:
            page = self.node.json(self.node.data_path(s) + "/from?" + at + "&limit=10")
            seen += [m["timestamp"] for m in page["messages"]]
            if not page["metadata"]["hasNext"]:
                break
            at = "fromTimestamp=%d&fromSequenceNumber=%d" % (
                page["metadata"]["nextTimestamp"], page["metadata"]["nextSequenceNumber"])
        self.assertEqual(seen, [1700000000000 + i for i in range(25)])

    def test_a_page_never_ends_among_messages_of_one_time(self):
        s = self.stream()
        every = [m for seed in range(1, 6) for m in split(generate(4, stream=s, seed=seed))]
        stored = self.node.upload(join(every), s)[1]["stored"]
        self.assertGreater(stored, 8, "several publishers at one time")
        for limit in (1, 2, 3, 7):
            seen, at = [], "fromTimestamp=0"
            while at:
                page = self.node.json(self.node.data_path(s) + "/from?" + at + "&limit=%d" % limit)
                seen += [m["signature"] for m in page["messages"]]
                self.assertLessEqual(len(seen), stored)
                at = page["metadata"]["hasNext"] and "fromTimestamp=%d&fromSequenceNumber=%d" % (
                    page["metadata"]["nextTimestamp"], page["metadata"]["nextSequenceNumber"])
            self.assertEqual(len(set(seen)), stored, "limit %d" % limit)

    def test_ids_may_have_plain_slashes_and_any_case_in_the_address(self):
        s = self.stream()
        self.node.upload(generate(1, stream=s), s)
        for spelled in (s, s.replace("/", "%2F"), s.replace("0x19e7", "0x19E7")):
            answer = self.node.json("/stores/%s/data/partitions/0/last" % spelled)
            self.assertEqual(answer["metadata"]["totalMessages"], 1, spelled)

    def test_the_error_texts_of_stores(self):
        p = self.node.data_path()
        for query, text in {
                "/last?count=abc": 'Query parameter "count" not a number: abc',
                "/last?format=protocol": 'Query parameter "format" is invalid: protocol',
                "/from": 'Query parameter "fromTimestamp" required.',
                "/from?fromTimestamp=zz": 'Query parameter "fromTimestamp" not a number: zz',
                "/range?fromTimestamp=1": 'Query parameter "toTimestamp" required as well. To request all messages '
                                          'since a timestamp, use the endpoint /stores/:id/data/partitions/:partition/from',
                "/range?fromTimestamp=1&toTimestamp=b": 'Query parameter "toTimestamp" not a number: b',
                "/range?fromTimestamp=1&toTimestamp=2&publisherId=0x1": 'Invalid combination of "publisherId" and "msgChainId"',
                "/range?fromOffset=1": 'Query parameters "fromOffset" and "toOffset" are no longer supported. '
                                       'Please use "fromTimestamp" and "toTimestamp".'}.items():
            self.assertEqual(self.node.json(p + query, 400), {"error": text}, query)
        self.assertEqual(self.node.json("/stores/%s/data/partitions/x/last" % STREAM, 400),
                         {"error": 'Path parameter "partition" not a number: x'})
        self.assertIn("Unknown query type", self.node.json(p + "/first", 404)["error"])

    def test_the_error_texts_of_streams(self):
        p = self.node.data_path(root="streams")
        self.assertEqual(self.node.json(p + "/first", 400), {"error": "Unknown resend type"})
        self.assertEqual(self.node.json(p + "/from?fromTimestamp=1&publisherId=zz", 400),
                         {"error": 'Query parameter "publisherId" not valid: zz'})
        self.assertIn("/streams/:id/data/partitions/:partition/from",
                      self.node.json(p + "/range?fromTimestamp=1", 400)["error"])

    def test_the_streams_form_is_an_array(self):
        s = self.stream()
        self.node.upload(generate(2, stream=s), s)
        answer = self.node.json(self.node.data_path(s, root="streams") + "/last?count=2")
        self.assertEqual([m["messageType"] for m in answer], [0, 0])
        self.assertEqual(self.node.json(self.node.data_path(s + "none", root="streams") + "/last"), [])

    def test_event_stream_and_json_lines(self):
        s = self.stream()
        self.node.upload(generate(2, stream=s), s)
        _, headers, body = self.node.get(self.node.data_path(s) + "/last?count=2", Accept="text/event-stream")
        self.assertEqual(headers["Content-Type"], "text/event-stream")
        self.assertTrue(body.endswith(b'}{"type":"metadata"}'))
        _, _, body = self.node.get(self.node.data_path(s) + "/last?count=2", Accept="application/x-ndjson")
        self.assertEqual(len([json.loads(line) for line in body.splitlines()]), 2)

    def test_what_is_refused_is_said_by_index(self):
        s = self.stream()
        good = split(generate(3, stream=s))
        bad = bytearray(good[1])
        bad[-3] ^= 1
        other = split(generate(1, stream=OWNER + "/elsewhere"))[0]
        far = split(generate(1, stream=s, start=int(time.time() * 1000) + 10**9))[0]
        status, answer = self.node.upload(join([good[0], bytes(bad), b"rubbish", other, far, good[2]]), s)
        self.assertEqual((status, answer["stored"]), (200, 2))
        reasons = {r["index"]: r["reason"] for r in answer["rejected"]}
        self.assertEqual(sorted(reasons), [1, 2, 3, 4])
        self.assertIn("signature", reasons[1])
        self.assertIn("stream", reasons[3])
        self.assertIn("future", reasons[4])
        self.assertEqual(len(self.node.raw(s)), 2)

    def test_an_upload_larger_than_the_bus_holds_is_taken_whole(self):
        s = self.stream()
        count = 150000  # the bus holds 100,000
        status, answer = self.node.upload(generate(count, stream=s, content=20), s)
        self.assertEqual((status, answer), (200, {"stored": count, "duplicates": 0, "rejected": []}))

    def test_an_untracked_stream_is_not_stored(self):
        s = "0x1563915e194d8cfba1943570603f7606a3115508/untracked"
        status, answer = self.node.upload(generate(1, stream=s), s)
        self.assertEqual(answer["stored"], 0)
        self.assertIn("track", answer["rejected"][0]["reason"])

    def test_a_cut_frame_is_an_error_and_the_rest_is_stored(self):
        s = self.stream()
        status, answer = self.node.upload(generate(3, stream=s)[:-5], s)
        self.assertEqual((status, answer["stored"]), (400, 2))
        self.assertIn("inside a frame", answer["error"])
        self.assertEqual(len(self.node.raw(s)), 2)

    def test_a_frame_over_a_mebibyte_is_refused(self):
        s = self.stream()
        status, answer = self.node.upload(generate(1, stream=s) + b"\x7f\xff\xff\xff" + b"x" * 100, s)
        self.assertEqual((status, answer["stored"]), (400, 1))

    def test_metadata_storage_ready_and_the_list(self):
        s = self.stream()
        data = generate(5, stream=s)
        self.node.upload(data, s)
        size = sum(len(m) for m in split(data))
        p = "/streams/" + s.replace("/", "%2F")
        self.assertEqual(self.node.json(p + "/metadata/partitions/0"), {
            "totalBytes": size, "totalMessages": 5, "firstMessage": 1700000000000, "lastMessage": 1700000000004})
        self.assertEqual(self.node.json(p + "/storage/partitions/0"), {})
        self.assertEqual(self.node.get("/streams/0x00/x/storage/partitions/0")[0], 404)
        self.assertEqual(self.node.get("/streams/%s/storage/partitions/x" % s)[2], b"Partition is not a number: x")
        self.assertEqual(self.node.json("/stores/%s/partitions/0/ready" % s), {"ready": True})
        self.assertIn({"streamId": s, "partition": 0, "messages": 5, "bytes": size, "firstTimestamp": 1700000000000,
                       "lastTimestamp": 1700000000004}, self.node.json("/stores"))

    def test_publishing_says_what_is_wrong(self):
        p = "/streams/" + self.stream().replace("/", "%2F")
        for query, body, status, text in [
                ("", b"nope", 400, "Payload is not a JSON string: "), ("", b"[1]", 400, "Content is not an object"),
                ("", b"null", 400, "Content missing"), ("", b"", 400, "Payload is not a JSON string: "),
                ("?timestamp=foo", b"{}", 400, "Invalid timestamp: foo"),
                ("?partition=-1", b"{}", 400, "-1 is not a valid positive integer"),
                ("?partition=0&partitionKey=a", b"{}", 422, 'Invalid combination of "partition" and "partitionKey"')]:
            got, _, answer = self.node.request("POST", p + query, body)
            self.assertEqual(got, status, query)
            self.assertTrue(json.loads(answer)["error"].startswith(text), answer)
        big = b"{" + b" " * (1 << 20) + b"}"
        self.assertEqual(self.node.request("POST", p, big)[0], 413)
        self.assertEqual(self.node.request("POST", p, iter([big[:500000], big[500000:]]))[0], 413, "chunked")

    def test_pages_of_other_origins_may_read_and_not_write(self):
        status, headers, _ = self.node.get("/stores", Origin="http://evil.example")
        self.assertEqual((status, headers["Access-Control-Allow-Origin"]), (200, "*"))
        status, _, _ = self.node.request("POST", "/streams/" + STREAM, b"{}", {"Origin": "http://evil.example"})
        self.assertEqual(status, 403)
        self.assertEqual(self.node.get("/stores", Host="evil.example")[0], 421)

    def test_unknown_paths_and_methods(self):
        self.assertEqual(self.node.get("/nothing")[0], 404)
        self.assertEqual(self.node.request("DELETE", "/stores")[0], 405)

    def test_health_and_metrics(self):
        self.assertEqual(self.node.get("/healthz")[0], 200)
        self.assertEqual(self.node.get("/readyz")[0], 200)
        _, _, body = self.node.get("/metrics")
        check = subprocess.run(["promtool", "check", "metrics"], input=body, capture_output=True)
        self.assertEqual(check.returncode, 0, check.stdout + check.stderr)

    def test_malformed_requests_are_never_answered_200(self):
        for head in [b"GET /stores HTTP/1.1\r\n\r\n", b"GET /stores HTTP/1.1\nHost: a\n\n",
                     b"GET /stores HTTP/1.1\r\nHost : localhost\r\n\r\n",
                     b"GET /stores HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
                     b"POST /stores HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
                     b"POST /stores HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
                     b"GET /stores HTTP/1.1\r\nHost: localhost\r\nX: a\r\n b\r\n\r\n",
                     b"GET /stores HTTP/1.1\r\nHost: localhost\r\nX: a\0b\r\n\r\n",
                     b"GET /stores HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 20000 + b"\r\n\r\n"]:
            with socket.create_connection(("127.0.0.1", self.node.port), timeout=5) as c:
                c.sendall(head)
                c.shutdown(socket.SHUT_WR)
                got = b""
                while True:
                    part = c.recv(65536)
                    if not part:
                        break
                    got += part
            self.assertFalse(got.startswith(b"HTTP/1.1 200"), head)

    def test_pipelined_requests_are_answered_in_order(self):
        s = self.stream()
        self.node.upload(generate(1000, stream=s), s)
        with socket.create_connection(("127.0.0.1", self.node.port), timeout=10) as c:
            c.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
                      b"GET %s/last?count=1000 HTTP/1.1\r\nHost: localhost\r\n\r\n"
                      b"GET /nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
                      % self.node.data_path(s).encode())
            got = b""
            while True:
                part = c.recv(65536)
                if not part:
                    break
                got += part
        self.assertEqual(re.findall(rb"HTTP/1.1 (\d+) ", got), [b"200", b"200", b"404"])
        self.assertIn(b'"totalMessages":1000', got)

    def test_a_slow_reader_costs_no_memory(self):
        s = self.stream()
        self.node.upload(generate(100000, stream=s), s)
        before = self.node.rss()
        with socket.create_connection(("127.0.0.1", self.node.port)) as c:
            c.sendall(b"GET %s/from?fromTimestamp=0 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
                      % self.node.data_path(s).encode())
            until(lambda: self.node.json("/stores") is not None)
            self.assertLess(self.node.rss() - before, 16 << 20)
            size = 0
            while True:
                part = c.recv(1 << 20)
                if not part:
                    break
                size += len(part)
        self.assertGreater(size, 40 << 20)
