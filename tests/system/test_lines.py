"""Uploads that are answered while they are sent (Accept: application/x-ndjson)."""
import json
import unittest

from node import OWNER, Node, generate, join, split, until
from test_http import HOST, LAST, Speaker

LINES = b"Accept: application/x-ndjson\r\n"
JUNK = b"\0\0\0\1x"  # a frame that is no message: its rejection is ten times as long


def chunk(data):
    return b"%x\r\n" % len(data) + data + b"\r\n"


END = b"0\r\n\r\n"


class Client(Speaker):
    """Sends a chunked body and reads a chunked answer at the same time."""

    def begin(self, path, version=b"1.1", length=None):
        framing = b"Transfer-Encoding: chunked\r\n" if length is None else b"Content-Length: %d\r\n" % length
        self.send(b"POST %s HTTP/%s\r\n" % (path.encode(), version) + HOST + LINES + framing + b"\r\n")
        head = self.line(b"\r\n\r\n").decode().split("\r\n")
        assert head[0].startswith("HTTP/1.1 200 "), head
        self.headers = dict(line.lower().split(": ", 1) for line in head[1:])
        assert self.headers["content-type"] == "application/x-ndjson", head
        self.text = b""
        return self

    def next(self):
        """The next line, or None at the orderly end of the answer."""
        while b"\n" not in self.text:
            size = int(self.line(), 16)
            self.text += self.take(size)
            assert self.take(2) == b"\r\n"
            if size == 0:
                assert self.text == b"", "text behind the last line: %r" % self.text
                return None
        line, self.text = self.text.split(b"\n", 1)
        return json.loads(line)

    def settled(self, count):
        """Lines until so many messages have an outcome."""
        lines = []
        while sum(line["count"] for line in lines) < count:
            lines.append(self.next())
        return lines

    def last(self):
        """The totals, and that nothing follows them."""
        line = self.next()
        while "index" in line:
            line = self.next()
        assert self.next() is None
        return line


class Lines(unittest.TestCase):
    BODY, IDLE = 0.9, 1.2

    @classmethod
    def setUpClass(cls):
        cls.node = Node(config={"httpServer": {"port": 0, "bodyTimeoutMs": int(cls.BODY * 1000),
                                               "idleTimeoutMs": int(cls.IDLE * 1000)}}).start()

    @classmethod
    def tearDownClass(cls):
        cls.node.stop()

    def setUp(self):
        self.stream = OWNER + "/" + self.id().rsplit(".", 1)[1]
        self.path = self.node.data_path(self.stream)

    def messages(self, count):
        return split(generate(count, stream=self.stream))

    def test_what_is_stored_is_told_before_the_rest_is_sent(self):
        m = self.messages(30)
        with Client(self.node) as c:
            c.begin(self.path)
            for at in (0, 10, 20):
                c.send(chunk(join(m[at:at + 10])))
                lines = c.settled(10)
                self.assertEqual(sum(line["stored"] for line in lines), 10)
                self.assertEqual(lines[0]["index"], at)
                self.assertEqual(self.node.raw(self.stream), m[:at + 10], "told and not there")
            c.send(chunk(join(m[:5]) + JUNK))
            lines = c.settled(6)
            self.assertEqual(sum(line["duplicates"] for line in lines), 5)
            self.assertEqual([r["index"] for line in lines for r in line["rejected"]], [35])
            c.send(END)
            total = c.last()
            self.assertEqual((total["stored"], total["duplicates"], len(total["rejected"])), (30, 5, 1))
            self.assertNotIn("error", total)
            c.send(LAST)
            self.assertEqual(c.answer().status, 200, "the connection serves the next request")

    def test_the_next_request_may_be_sent_before_the_answer_is_over(self):
        with Client(self.node) as c:
            c.begin(self.path)
            c.send(chunk(join(self.messages(10))) + END + LAST)
            self.assertEqual(c.last()["stored"], 10)
            self.assertEqual(c.answer().status, 200)
            self.assertEqual(c.rest(), b"")

    def test_an_empty_body_has_totals_too(self):
        with Client(self.node) as c:
            c.begin(self.path, length=0)
            self.assertEqual(c.last(), {"stored": 0, "duplicates": 0, "rejected": []})
            c.send(LAST)
            self.assertEqual(c.answer().status, 200)

    def test_a_client_of_http_1_0_has_its_lines_until_the_connection_closes(self):
        m = self.messages(10)
        body = join(m)
        with Client(self.node) as c:
            c.begin(self.path, b"1.0", len(body))
            self.assertNotIn("transfer-encoding", c.headers)
            c.send(join(m[:5]))
            self.assertEqual(json.loads(c.line(b"\n"))["index"], 0)
            c.send(join(m[5:]))
            rest = c.rest().strip().split(b"\n")
            self.assertEqual(json.loads(rest[-1]), {"stored": 10, "duplicates": 0, "rejected": []})

    def test_a_client_that_waits_for_100_continue_is_told_to_go_on_once(self):
        body = join(self.messages(3))
        with Client(self.node) as c:
            c.send(b"POST %s HTTP/1.1\r\n" % self.path.encode() + HOST + LINES +
                   b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body))
            self.assertEqual(c.answer().status, 100)
            c.send(body)
            self.assertEqual(json.loads(c.answer().body.strip().split(b"\n")[-1])["stored"], 3)

    def test_a_client_that_falls_silent_is_told_what_it_has_and_ended(self):
        with Client(self.node) as c:
            c.begin(self.path)
            c.send(chunk(join(self.messages(10))))
            total = c.last()
            self.assertEqual(total["stored"], 10)
            self.assertIn("broke off", total["error"])
            self.assertEqual(c.rest(), b"")

    def test_a_body_that_breaks_the_rules_is_told_what_came_before(self):
        with Client(self.node) as c:
            c.begin(self.path)
            c.send(chunk(join(self.messages(10))) + b"no chunk\r\n")
            total = c.last()
            self.assertEqual(total["stored"], 10)
            self.assertIn("broke off", total["error"])
            self.assertEqual(c.rest(), b"")

    def test_an_answer_that_is_over_before_the_body_ends_the_connection(self):
        with Client(self.node) as c:
            c.begin(self.path)
            c.send(chunk(join(self.messages(10)) + b"\x7f\xff\xff\xff"))
            total = c.last()
            self.assertEqual(total["stored"], 10)
            self.assertIn("longer than 1 MiB", total["error"])
            c.send(chunk(b"x" * 1000))
            self.assertEqual(c.rest(), b"")

    def test_what_comes_behind_a_broken_frame_touches_nothing(self):
        for _ in range(30):
            with Client(self.node) as c:
                c.begin(self.node.data_path())
                try:
                    for _ in range(200):
                        c.send(chunk(b"\xff\xff\xff\xff1234"))
                except OSError:
                    pass  # it was answered, and ended
        self.assertEqual(self.node.get("/healthz")[0], 200)

    def test_a_client_that_leaves_costs_nothing(self):
        m = self.messages(2000)
        for reset in (False, True):
            c = Client(self.node).begin(self.path)
            c.send(chunk(join(m)))
            c.reset() if reset else c.socket.close()
        until(lambda: self.node.raw(self.stream) == m, what="what was sent is stored")
        until(lambda: b"\nhttp_connections 1\n" in self.node.get("/metrics")[2], what="the connections are gone")

    def test_a_client_that_reads_nothing_is_read_no_more_and_cut(self):
        rss = self.node.rss()
        with Client(self.node, receive_buffer=4096) as c:
            c.begin(self.path)
            c.socket.settimeout(self.IDLE * 10)
            sent, junk = 0, chunk(JUNK * 10000)
            try:
                while sent < (1 << 30):
                    c.socket.sendall(junk)
                    sent += len(junk)
            except (ConnectionResetError, BrokenPipeError):
                pass
            self.assertLess(sent, 64 << 20, "it is not read for ever")
        self.assertLess(self.node.rss() - rss, 64 << 20)
        self.assertEqual(self.node.get("/healthz")[0], 200)


if __name__ == "__main__":
    unittest.main()
