"""The listener with TLS: what a client gets, and what a wrong certificate says."""
import http.client
import os
import re
import socket
import ssl
import subprocess
import tempfile
import unittest

from node import Node, generate, split, until


def certificate(folder, name="localhost"):
    cert, key = os.path.join(folder, name + ".pem"), os.path.join(folder, name + ".key")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=" + name, "-addext",
                    "subjectAltName=DNS:localhost,IP:127.0.0.1"], check=True, capture_output=True)
    os.chmod(key, 0o600)
    return cert, key


class Https(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="logstore-tls-")
        cls.cert, cls.key = certificate(cls.folder)
        cls.node = Node(config={"httpServer": {
            "port": 0, "headTimeoutMs": 700,
            "sslCertificate": {"certFileName": cls.cert, "privateKeyFileName": cls.key}}}).start()
        cls.messages = generate(20000)
        status, _, body = cls.ask("POST", cls.node.data_path(), cls.messages)
        assert status == 200 and b'"stored":20000' in body, (status, body)

    @classmethod
    def tearDownClass(cls):
        cls.node.stop()

    @classmethod
    def context(cls, version=None):
        context = ssl.create_default_context(cafile=cls.cert)
        if version:
            context.minimum_version = context.maximum_version = version
        return context

    @classmethod
    def ask(cls, method, path, body=None, version=None):
        connection = http.client.HTTPSConnection("127.0.0.1", cls.node.port, timeout=60, context=cls.context(version))
        connection.request(method, path, body)
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        return answer.status, answer.headers, data

    def everything(self):
        return self.node.data_path() + "/from?fromTimestamp=0&format=raw"

    def test_what_was_uploaded_comes_back_byte_for_byte_with_tls_1_2_and_1_3(self):
        sent = sorted(split(self.messages))
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            status, _, body = self.ask("GET", self.everything(), version=version)
            self.assertEqual(status, 200)
            self.assertEqual(sorted(split(body)), sent)

    def test_the_log_says_https(self):
        self.assertIn("listening on https://127.0.0.1:", self.node.said())

    def test_a_slow_reader_gets_all_of_a_long_answer(self):
        raw = socket.create_connection(("127.0.0.1", self.node.port), timeout=60)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        with self.context().wrap_socket(raw, server_hostname="localhost") as client:
            client.sendall(("GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n" % self.everything()).encode())
            got = b""
            while True:
                piece = client.recv(3000)
                if not piece:
                    break
                got += piece
        self.assertEqual(len(split(got.split(b"\r\n\r\n", 1)[1])), 20000)

    def test_pipelined_requests_in_one_record_are_answered_in_order(self):
        with self.context().wrap_socket(socket.create_connection(("127.0.0.1", self.node.port), timeout=20),
                                        server_hostname="localhost") as client:
            client.sendall(b"".join(b"GET /%s HTTP/1.1\r\nHost: localhost\r\n%s\r\n" % (path, last) for path, last in
                                    ((b"healthz", b""), (b"nowhere", b""), (b"healthz", b"Connection: close\r\n"))))
            got = b""
            while True:
                piece = client.recv(65536)
                if not piece:
                    break
                got += piece
        self.assertEqual(re.findall(rb"HTTP/1.1 (\d+)", got), [b"200", b"404", b"200"])

    def test_http_1_1_is_the_protocol_agreed_on_and_http_2_alone_is_refused(self):
        context = self.context()
        context.set_alpn_protocols(["h2", "http/1.1"])
        with context.wrap_socket(socket.create_connection(("127.0.0.1", self.node.port)),
                                 server_hostname="localhost") as client:
            self.assertEqual(client.selected_alpn_protocol(), "http/1.1")
        context.set_alpn_protocols(["h2"])
        with self.assertRaises(ssl.SSLError):
            context.wrap_socket(socket.create_connection(("127.0.0.1", self.node.port)), server_hostname="localhost")

    def test_plain_http_and_old_tls_and_silence_cost_only_their_connection(self):
        with socket.create_connection(("127.0.0.1", self.node.port), timeout=20) as plain:
            plain.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            got = b"".join(iter(lambda: plain.recv(65536), b""))
            self.assertNotIn(b"HTTP/1.1 200", got)
        context = self.context()
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.set_ciphers("DEFAULT@SECLEVEL=0")
        with self.assertRaises((ssl.SSLError, ConnectionError)):
            context.wrap_socket(socket.create_connection(("127.0.0.1", self.node.port)), server_hostname="localhost")
        with socket.create_connection(("127.0.0.1", self.node.port), timeout=20) as silent:
            silent.sendall(b"\x16\x03\x01")
            self.assertEqual(silent.recv(100), b"")  # closed when the head's time is over
        self.assertEqual(self.ask("GET", "/healthz")[0], 200)

    def test_clients_that_vanish_in_mid_handshake_and_mid_answer_leave_nothing(self):
        for cut in (5, 100, 400):
            with socket.create_connection(("127.0.0.1", self.node.port)) as raw:
                raw.sendall(os.urandom(1) * cut)
        for _ in range(20):
            client = self.context().wrap_socket(socket.create_connection(("127.0.0.1", self.node.port)),
                                                server_hostname="localhost")
            client.sendall(("GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % self.everything()).encode())
            client.recv(10)
            client.close()
        until(lambda: b"\nhttp_connections 1\n" in self.ask("GET", "/metrics")[2], what="one connection is left")


class WrongCertificates(unittest.TestCase):
    def refused(self, cert, key):
        node = Node(config={"httpServer": {"port": 0, "sslCertificate": {
            "certFileName": cert, "privateKeyFileName": key}}})
        with self.assertRaises(AssertionError):
            node.start()
        self.assertNotEqual(node.process.wait(), 0)
        return node.said()

    def test_each_says_which_file_and_why(self):
        folder = tempfile.mkdtemp(prefix="logstore-tls-")
        cert, key = certificate(folder)
        _, other = certificate(folder, "other")
        text = os.path.join(folder, "text")
        with open(text, "w") as out:
            out.write("not a certificate\n")
        self.assertIn("cannot read the certificate file '%s/none' (No such file" % folder,
                      self.refused(folder + "/none", key))
        self.assertIn("cannot read the TLS key file '%s/none'" % folder, self.refused(cert, folder + "/none"))
        self.assertIn("'%s' is not a PEM certificate chain (no start line)" % text, self.refused(text, key))
        self.assertIn("'%s' is not the PEM private key of the certificate in '%s' (key values mismatch)" % (other, cert),
                      self.refused(cert, other))
        os.chmod(key, 0o644)
        self.assertIn("can be read by everybody; run: chmod o-rwx '%s'" % key, self.refused(cert, key))


if __name__ == "__main__":
    unittest.main()
