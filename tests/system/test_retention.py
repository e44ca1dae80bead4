"""What retention keeps, seen from outside; what it means is in tests/unit/test_retention.c."""
import json
import re
import subprocess
import time
import unittest

from node import OWNER, Node, generate, program, split, until

LIMIT = 16 << 20


class Retention(unittest.TestCase):
    def node(self, retention):
        node = Node()
        self.write(node, retention)
        self.addCleanup(node.stop)
        return node

    def write(self, node, retention):
        with open(node.config) as text:
            config = json.load(text)
        config["plugins"]["logStore"]["retention"] = retention
        with open(node.config, "w") as out:
            json.dump(config, out)

    def check(self, node):
        return subprocess.run([program("logstore-broker"), "--check", node.config], env=node.env,
                              capture_output=True, text=True, timeout=60)

    def metric(self, node, name):
        found = re.search(r"^%s (\S+)$" % re.escape(name), node.get("/metrics")[2].decode(), re.M)
        return float(found.group(1))

    def test_an_entry_says_what_it_limits(self):
        node = self.node([{"stream": "*"}])
        result = self.check(node)
        self.assertEqual(result.returncode, 1)
        self.assertIn("retention/0", result.stderr)
        self.write(node, [{"stream": "*", "maxBytes": 1000}])
        self.assertIn("maxBytes", self.check(node).stderr)
        self.write(node, [{"stream": "*", "maxBytes": LIMIT}, {"stream": "*", "maxAgeMs": 60000}])
        self.assertEqual(self.check(node).returncode, 0)

    def test_a_size_is_kept_told_and_counted(self):
        node = self.node([{"stream": OWNER + "/*", "maxBytes": LIMIT}]).start()
        messages = split(generate(2000, content=20000))
        for at in range(0, 2000, 100):
            status, answer = node.upload(b"".join(len(m).to_bytes(4, "big") + m for m in messages[at:at + 100]))
            self.assertEqual((status, answer["stored"]), (200, 100))
        stored = node.raw()
        self.assertEqual(stored, messages[-len(stored):])
        self.assertLessEqual(sum(len(m) for m in stored), LIMIT)
        self.assertGreater(sum(len(m) for m in stored), LIMIT * 3 // 4)
        told = node.json("/stores")[0]
        self.assertEqual((told["messages"], told["bytes"]), (len(stored), sum(len(m) for m in stored)))
        first = node.json(node.data_path() + "/last?count=-1")["messages"][0]["timestamp"]
        self.assertEqual(told["firstTimestamp"], first)
        until(lambda: self.metric(node, 'logstore_forgotten_messages_total{limit="maxBytes"}') == 2000 - len(stored))
        until(lambda: self.metric(node, 'logstore_retained_bytes{stream="%s/*"}' % OWNER) == told["bytes"])
        self.assertLessEqual(self.metric(node, "logstore_slabs"), 10)
        self.assertIn("as retention of '%s/*' says (maxBytes)" % OWNER, node.said())

    def test_a_changed_rule_reaches_what_is_stored_when_it_is_reloaded(self):
        node = self.node([{"stream": "*", "maxAgeMs": 100 * 86400000}]).start()
        now = int(time.time() * 1000)
        node.upload(generate(100, start=now - 50 * 86400000))
        node.upload(generate(10, start=now - 86400000, seed=2))
        self.assertEqual(len(node.raw()), 110)
        for retention, left in (([{"stream": "*", "maxAgeMs": 10 * 86400000}], 10), ([], 10)):
            self.write(node, retention)
            result = subprocess.run([program("logstore-broker"), "reload", "--config", node.config], env=node.env,
                                    capture_output=True, text=True, timeout=60)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertEqual(len(node.raw()), left)
        self.assertEqual(node.upload(generate(100, start=now - 50 * 86400000))[1]["stored"], 100)


if __name__ == "__main__":
    unittest.main()
