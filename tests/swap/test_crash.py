"""A plugin that crashes, or blocks, is named; one that does it again and again is left out."""
import http.client
import os
import unittest

from test_swap import BUILD, SwapNode, build, command, tally, until


class Crashes(unittest.TestCase):
    def crash(self, node):
        connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=30)
        connection.request("GET", "/tally/crash")
        self.assertRaises((http.client.HTTPException, ConnectionError), connection.getresponse)
        self.assertLess(node.process.wait(30), 0)
        node.process = None

    def test_the_crash_line_names_plugin_build_and_callback(self):
        node = SwapNode().start()
        self.crash(node)
        self.assertRegex(node.said(), r"crash: SIGSEGV in plugin 'tally' 1\.0\.0 \(build [0-9a-f]{40}\), callback on_req")

    def test_a_build_that_crashed_three_times_is_left_out_until_another_takes_its_place(self):
        node = SwapNode()
        for _ in range(3):
            node.start()
            self.assertEqual(tally(node), (1, "1.0.0"))
            self.crash(node)
        node.start()
        self.assertIn("'tally' is left out: this build", node.said())
        self.assertEqual(node.get("/tally")[0], 404)
        status, _, body = node.get("/readyz")
        self.assertEqual(status, 503)
        self.assertIn(b"it crashed the process too often", body)
        result = command(node, "swap", "tally", build("two"))
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(tally(node), (1, "2.0.0"))
        self.assertEqual(node.get("/readyz")[0], 200)
        node.stop()

    def test_safe_leaves_out_what_is_not_installed(self):
        node = SwapNode()
        node.arguments = ["--safe"]
        node.start()
        self.assertIn("'tally' is left out by --safe", node.said())
        self.assertEqual(node.get("/tally")[0], 404)
        node.stop()

    def test_a_callback_that_blocks_the_loop_is_named(self):
        node = SwapNode().start()
        self.assertEqual(node.get("/tally/block")[2], b"blocked")
        until(lambda: "plugin 'tally' has kept the event loop in on_req for" in node.said())
        node.stop()

    def test_a_loop_that_never_goes_on_ends_the_process(self):
        node = SwapNode(host={"watchdog": {"warnMs": 50, "abortMs": 300}}).start()
        connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=30)
        connection.request("GET", "/tally/block")
        self.assertRaises((http.client.HTTPException, ConnectionError), connection.getresponse)
        node.process.wait(30)
        node.process = None
        self.assertIn("ending, so that a supervisor starts the node again", node.said())


if __name__ == "__main__":
    unittest.main()
