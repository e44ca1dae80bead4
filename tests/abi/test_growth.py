"""growth.py finds every way to break the header, and lets it grow where it may."""
import os
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
FROZEN = os.path.join(HERE, "frozen", "1.0")
MINOR = ("#define BROKER_ABI_MINOR 0u", "#define BROKER_ABI_MINOR 1u")
# What changes the header, and what must be said of it; "" is allowed.
CHANGES = {
    "nothing": ([], ""),
    "a member at the end of a table": ([MINOR, ("    const char *(*version)(broker_ctx *ctx);\n",
                                                "    const char *(*version)(broker_ctx *ctx);\n    void (*more)(broker_ctx *ctx);\n")], ""),
    "a constant": ([MINOR, ("#define BROKER_EDENIED (-9)", "#define BROKER_EMORE (-10)\n#define BROKER_EDENIED (-9)")], ""),
    "a type": ([MINOR, ("/* ---- The plugin ", "typedef struct broker_more { uint32_t size, reserved; } broker_more;\n/* ---- The plugin ")], ""),
    "growth without a minor": ([("    const char *(*version)(broker_ctx *ctx);\n",
                                 "    const char *(*version)(broker_ctx *ctx);\n    void (*more)(broker_ctx *ctx);\n")],
                               "it has grown, and BROKER_ABI_MINOR is still 0"),
    "a member in the middle": ([MINOR, ("    void (*release)(const broker_msg *msg);",
                                        "    void (*more)(void);\n    void (*release)(const broker_msg *msg);")],
                               "broker_bus: at 48 was 'void (*release)(const broker_msg *)', is 'void (*more)(void)'"),
    "a member in a hole": ([MINOR, ("    uint8_t      signature_type;    /* BROKER_SIGNATURE_*                        */\n",
                                    "    uint8_t      signature_type;\n    uint32_t     hole;\n")], "broker_msg"),
    "another type": ([("    int64_t      timestamp_ms;      /* publisher's", "    uint64_t     timestamp_ms;      /* publisher's")],
                     "was 'int64_t timestamp_ms', is 'uint64_t timestamp_ms'"),
    "other arguments": ([("uint64_t (*now_ms)(broker_ctx *ctx);", "uint64_t (*now_ms)(broker_ctx *ctx, int unit);")],
                        "broker_work: at 32 was 'uint64_t (*now_ms)(broker_ctx *)', is 'uint64_t (*now_ms)(broker_ctx *, int)'"),
    "two swapped": ([("(*set)(broker_metric", "(*first)(broker_metric"), ("(*observe)(broker_metric", "(*set)(broker_metric"),
                     ("(*first)(broker_metric", "(*observe)(broker_metric")],
                    "broker_metrics: at 40 was 'void (*set)(broker_metric *, double)', is 'void (*observe)(broker_metric *, double)'"),
    "another number": ([("#define BROKER_EBUSY   (-7)", "#define BROKER_EBUSY   (-17)")], "BROKER_EBUSY was (-7), is (-17)"),
    "another id": ([('"broker.http/1"', '"broker.http/2"')], 'BROKER_ID_broker_http was "broker.http/1", is "broker.http/2"'),
    "a constant gone": ([("#define BROKER_SUB_DURABLE (1u << 0)", "")], "BROKER_SUB_DURABLE was (1u << 0), is gone"),
    "a typedef": ([("typedef int32_t broker_rc;", "typedef int64_t broker_rc;")], "'typedef int32_t broker_rc;' is gone or changed"),
    "a callback": ([("typedef size_t (*broker_on_msgs)(void *self, const broker_msg *const *msgs, size_t n);",
                     "typedef size_t (*broker_on_msgs)(void *self, const broker_msg *const *msgs, uint32_t n);")],
                   "is gone or changed"),
    "a struct without a size": ([MINOR, ("typedef struct broker_header { const char *name; broker_str value; }",
                                         "typedef struct broker_header { const char *name; broker_str value; int more; }")],
                                "broker_header: 'int more' is new, but the struct does not say its size and may not grow"),
}


class Growth(unittest.TestCase):
    def test_each_change_is_judged(self):
        with open(os.path.join(FROZEN, "broker", "plugin.h")) as file:
            header = file.read()
        for name, (edits, sentence) in CHANGES.items():
            folder = tempfile.mkdtemp(prefix="logstore-abi-")
            os.mkdir(os.path.join(folder, "broker"))
            text = header
            for before, after in edits:
                self.assertIn(before, text, name)
                text = text.replace(before, after)
            with open(os.path.join(folder, "broker", "plugin.h"), "w") as file:
                file.write(text)
            result = subprocess.run([sys.executable, os.path.join(HERE, "growth.py"), FROZEN, folder, "abidiff"],
                                    capture_output=True, text=True)
            self.assertEqual(result.returncode, 1 if sentence else 0, "%s: %s%s" % (name, result.stdout, result.stderr))
            self.assertIn(sentence, result.stdout, name)


if __name__ == "__main__":
    unittest.main()
