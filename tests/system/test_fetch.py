"""HTTP requests that plugins make: tests/plugins/fetch.c in the real daemon, against servers of our own."""
import http.server
import json
import os
import re
import ssl
import tempfile
import threading
import unittest
import urllib.parse

from node import BUILD, Node, until
from test_tls import certificate


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def any(self):
        server, path = self.server, self.path
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with server.lock:
            server.asked.append((self.command, path, dict(self.headers), body))
            server.peers.add(self.client_address)
        word, _, rest = path[1:].partition("/")
        if word == "bytes":
            self.answer(200, bytes(range(256)) * (int(rest) // 256))
        elif word == "status":
            self.answer(int(rest), b"" if rest == "204" else b"as you asked")
        elif word == "to":
            self.answer(302, b"moved", Location=urllib.parse.unquote(rest))
        elif word == "hops":
            left = int(rest)
            self.answer(302, Location="/hops/%d" % (left - 1)) if left else self.answer(200, b"there")
        elif word == "endless":
            self.send_response(200)
            self.end_headers()
            try:
                while not server.over.is_set():
                    self.wfile.write(bytes(65536))
            except OSError:
                pass
            self.close_connection = True
        elif word == "hang":
            with server.lock:
                server.hanging += 1
            server.over.wait(60)
            self.close_connection = True
        elif word == "cut":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"x" * 10)
            self.close_connection = True
        else:
            self.answer(200, body)

    do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = any


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, *_):
        pass  # clients that leave

    def __init__(self, cert=None, key=None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.lock, self.asked, self.peers, self.hanging = threading.Lock(), [], set(), 0
        self.over = threading.Event()
        if cert:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(cert, key)
            self.socket = context.wrap_socket(self.socket, server_side=True)
        self.url = "%s://localhost:%d/" % ("https" if cert else "http", self.server_address[1])
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def stop(self):
        self.over.set()
        self.shutdown()
        self.server_close()


def fetch_node(**env):
    plugins = {"fetcher": {"module": os.path.join(BUILD, "test-plugins", "fetch.so")}}
    return Node(plugins=plugins, env=env).start()


def metric(node, name):
    return float(re.search(r"^%s (\S+)$" % re.escape(name), node.get("/metrics")[2].decode(), re.M).group(1))


class Fetch(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="logstore-fetch-")
        cls.cert, cls.key = certificate(cls.folder)
        cls.server, cls.secure = Server(), Server(cls.cert, cls.key)
        # Proxies of the environment must not matter.
        cls.node = fetch_node(SSL_CERT_FILE=cls.cert, http_proxy="http://127.0.0.1:1", https_proxy="http://127.0.0.1:1",
                              all_proxy="http://127.0.0.1:1")

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()
        cls.secure.stop()
        cls.node.stop()

    def ask(self, url, status=200, **how):
        return self.node.json("/fetch?" + urllib.parse.urlencode(dict(how, url=url)), status)

    def test_an_answer_comes_whole_or_in_parts(self):
        for server in (self.server, self.secure):
            for parts in (0, 1):
                got = self.ask(server.url + "bytes/1048576", parts=parts)
                self.assertEqual((got["ok"], got["status"], got["bytes"], got["sum"]),
                                 (1, 200, 1 << 20, 4096 * 255 * 128), got)
                self.assertEqual(got["parts"] > 1, bool(parts))

    def test_any_status_is_an_answer(self):
        for status in (204, 404, 500):
            self.assertEqual(self.ask(self.server.url + "status/%d" % status)["status"], status)

    def test_method_header_and_body_arrive_and_nothing_else_is_claimed(self):
        for method, body in (("POST", "some text"), ("POST", ""), ("PUT", "x"), ("DELETE", ""), ("HEAD", "")):
            self.ask(self.server.url + "echo/" + method, method=method, body=body, header="X-Custom:a value")
            command, _, headers, got = self.server.asked[-1]
            self.assertEqual((command, got.decode(), headers["X-Custom"]), (method, body, " a value".strip()))
            self.assertNotIn("Content-Type", headers)
            self.assertNotIn("Expect", headers)
            self.assertRegex(headers["User-Agent"], r"^logstore-broker/\d+\.\d+\.\d+$")
        self.ask(self.server.url + "echo/", method="POST", body="{}", header="Content-Type:application/json")
        self.assertEqual(self.server.asked[-1][2]["Content-Type"], "application/json")

    def test_headers_of_the_last_answer_can_be_read(self):
        url = self.server.url + "to/" + urllib.parse.quote(self.server.url + "bytes/256", "")
        self.assertEqual(self.ask(url, wants="content-length")["why"], "256")
        self.assertEqual(self.ask(url, wants="Location")["why"], "absent")  # of the redirect

    def test_redirects_are_followed_five_times(self):
        self.assertEqual(self.ask(self.server.url + "hops/5")["bytes"], 5)
        got = self.ask(self.server.url + "hops/6")
        self.assertEqual((got["rc"], got["why"]), (-5, "Maximum (5) redirects followed"))

    def test_a_redirect_leaves_neither_http_nor_tls(self):
        for url in ("file:///etc/passwd", "ftp://127.0.0.1/", "gopher://127.0.0.1:1/"):
            got = self.ask(self.server.url + "to/" + urllib.parse.quote(url, ""))
            self.assertEqual((got["rc"], got["bytes"]), (-5, 0), got)
            self.assertIn("not supported or disabled", got["why"])
        got = self.ask(self.secure.url + "to/" + urllib.parse.quote(self.server.url + "bytes/256", ""))
        self.assertIn("not supported or disabled", got["why"])
        got = self.ask(self.server.url + "to/" + urllib.parse.quote(self.secure.url + "bytes/256", ""))
        self.assertEqual(got["bytes"], 256)

    def test_what_is_not_a_web_address_is_refused_at_once(self):
        for url in ("file:///etc/passwd", "ftp://localhost/", "localhost:80", "", "http://local\nhost/"):
            self.assertEqual(self.ask(url, 400)["start"], -1, url)
        for how in ({"method": "GET / HTTP/1.1\r\nX: "}, {"header": "X:a\r\nY: b"}):
            self.assertEqual(self.ask(self.server.url, 400, **how)["start"], -1)

    def test_an_answer_that_is_too_long_is_an_error(self):
        self.assertEqual(self.ask(self.server.url + "bytes/1024", max=1024)["ok"], 1)
        for parts in (0, 1):
            got = self.ask(self.server.url + "bytes/1280", max=1024, parts=parts)
            self.assertEqual((got["rc"], got["why"]), (-5, "the answer is longer than 1024 bytes"))
        got = self.ask(self.server.url + "endless/", max=5000000, parts=1)
        self.assertEqual(got["why"], "the answer is longer than 5000000 bytes")

    def test_time_runs_out(self):
        got = self.ask(self.server.url + "hang/", timeout=300)
        self.assertEqual(got["rc"], -5)
        self.assertIn("timed out", got["why"].lower())

    def test_a_cut_answer_and_a_dead_port_are_errors(self):
        got = self.ask(self.server.url + "cut/")
        self.assertEqual((got["rc"], got["bytes"]), (-5, 0))
        got = self.ask("http://127.0.0.1:1/")
        self.assertEqual(got["rc"], -5)
        self.assertIn("connect", got["why"].lower())

    def test_a_stranger_is_not_believed(self):
        node = fetch_node()
        got = node.json("/fetch?" + urllib.parse.urlencode({"url": self.secure.url}))
        self.assertEqual(got["rc"], -5)
        self.assertIn("certificate", got["why"].lower())
        node.stop()
        got = self.ask("https://127.0.0.2:%d/" % self.secure.server_address[1])  # not in the certificate
        self.assertEqual(got["rc"], -5)

    def test_a_cancelled_fetch_calls_nobody(self):
        self.assertTrue(self.ask(self.server.url + "bytes/1024", cancel=0)["cancelled"])
        self.assertTrue(self.ask(self.server.url + "endless/", parts=1, cancel=3)["cancelled"])
        until(lambda: metric(self.node, "fetch_running") == 0)
        self.assertGreater(metric(self.node, 'fetch_total{result="cancelled"}'), 1)

    def test_connections_are_used_again(self):
        self.ask(self.server.url + "bytes/256")
        with self.server.lock:
            self.server.peers.clear()
        for _ in range(10):
            self.ask(self.server.url + "bytes/256")
        with self.server.lock:
            self.assertLessEqual(len(self.server.peers), 2, self.server.peers)

    def test_many_at_once_run_64_wide_and_the_queue_has_an_end(self):
        got = self.ask(self.server.url + "bytes/256", times=500)
        self.assertEqual((got["ok"], got["bytes"]), (500, 500 * 256))
        server, node = Server(), fetch_node()
        answers = []
        asking = threading.Thread(target=lambda: answers.append(
            node.json("/fetch?" + urllib.parse.urlencode({"url": server.url + "hang/", "times": 1000}))))
        asking.start()
        until(lambda: server.hanging == 64)
        self.assertEqual((metric(node, "fetch_running"), metric(node, "fetch_waiting")), (64, 936))
        got = node.json("/fetch?" + urllib.parse.urlencode({"url": server.url, "times": 100, "timeout": 100}))
        self.assertEqual((got["failed"], got["why"]), (88, "it waited too long for its turn"))
        self.assertEqual(metric(node, 'fetch_total{result="refused"}'), 1)
        server.stop()
        asking.join()
        node.kill()

    def test_a_node_that_stops_waits_for_no_fetch_it_has_cancelled(self):
        server, node = Server(), fetch_node()
        asking = threading.Thread(target=lambda: node.get("/fetch?" + urllib.parse.urlencode(
            {"url": server.url + "hang/"})), daemon=True)
        asking.start()
        until(lambda: server.hanging == 1)
        server.over.set()
        asking.join()
        node.stop()
        server.stop()


if __name__ == "__main__":
    unittest.main()
