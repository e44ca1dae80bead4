/* What clients send as JSON text, and what they get. */
#include "payload/member.h"
#include "payload/payload.h"
#include "payload/verdict.h"
#include "streamr/streamr.h"

#include <criterion/criterion.h>

static broker_str str(const char *text)
{
    return (broker_str){text, strlen(text)};
}

/* ---- in ---- */

/* The content, or (NULL) the beginning of what is said. */
static void reads(const char *text, bool wrapped, const char *content, int64_t timestamp_ms,
                  const char *why_not)
{
    sb why = SB_INIT;
    payload p;
    bool ok = payload_read(str(text), wrapped, &p, &why);

    cr_assert_eq(ok, content != NULL, "%s: %s", text, why.data);
    if (ok) {
        cr_assert_eq(p.content.len, strlen(content), "%s", text);
        cr_assert_eq(memcmp(p.content.ptr, content, p.content.len), 0, "%s", text);
        cr_assert_eq(p.timestamp_ms, timestamp_ms, "%s", text);
    } else {
        cr_assert_eq(strncmp(why.data, why_not, strlen(why_not)), 0, "%s: %s", text, why.data);
    }
    sb_done(&why);
}

Test(payload, is_one_json_object)
{
    reads("{}", false, "{}", 0, NULL);
    reads(" \r\n\t{\"a\":1} ", false, " \r\n\t{\"a\":1} ", 0, NULL);
    reads("{\"big\":123456789012345678901234567890,\"lone\":\"\\ud800\"}", false,
          "{\"big\":123456789012345678901234567890,\"lone\":\"\\ud800\"}", 0, NULL);
    reads("", false, NULL, 0, "Payload is not a JSON string: it is empty");
    reads("nope", false, NULL, 0, "Payload is not a JSON string: unexpected character at byte 0");
    reads("{} {}", false, NULL, 0, "Payload is not a JSON string: unexpected character at byte 3");
    reads("{\"a\":}", false, NULL, 0,
          "Payload is not a JSON string: unexpected character at byte 5");
    reads("{\"a\":", false, NULL, 0, "Payload is not a JSON string: it ends too early at byte 5");
    reads("[1]", false, NULL, 0, "Content is not an object");
    reads("\"x\"", false, NULL, 0, "Content is not an object");
    reads("1", false, NULL, 0, "Content is not an object");
    reads("null", false, NULL, 0, "Content missing");
}

Test(payload, nested_too_deeply_says_so)
{
    char text[1024];

    memset(text, '[', sizeof text);
    text[sizeof text - 1] = '\0';
    reads(text, false, NULL, 0, "Payload is not a JSON string: it is nested too deeply");
}

Test(payload, a_wrapped_content_is_cut_out_byte_for_byte)
{
    reads("{\"content\":{\"a\": 1.0e+2 }}", true, "{\"a\": 1.0e+2 }", 0, NULL);
    reads(" { \"metadata\" : {\"timestamp\": 1700000000000} , \"content\" : {\"}\":\"{\\\"\"} } ",
          true, "{\"}\":\"{\\\"\"}", 1700000000000, NULL);
    reads("{\"content\":{},\"metadata\":{\"timestamp\":\"2023-11-14T22:13:20Z\"}}", true, "{}",
          1700000000000, NULL);
    reads("{\"content\":{},\"metadata\":{}}", true, "{}", 0, NULL);
    reads("{\"content\":{},\"metadata\":null}", true, "{}", 0, NULL);
    reads("{\"content\":{},\"metadata\":{\"timestamp\":null,\"publisherId\":7}}", true, "{}", 0,
          NULL);
    reads("{\"c\\u006fntent\":{\"x\":[1,{}]}}", true, "{\"x\":[1,{}]}", 0, NULL);
}

Test(payload, the_last_of_two_members_counts_as_in_javascript)
{
    reads("{\"content\":{\"a\":1},\"content\":{\"a\":2}}", true, "{\"a\":2}", 0, NULL);
    reads("{\"content\":{\"a\":1},\"content\":3}", true, NULL, 0, "Content is not an object");
}

Test(payload, a_member_inside_another_is_not_taken_for_it)
{
    reads("{\"x\":{\"content\":{}},\"y\":[\"content\",{\"content\":{}}],\"z\":\"content\"}", true,
          NULL, 0, "Content missing");
}

Test(payload, a_wrapper_that_is_wrong_says_what)
{
    reads("{}", true, NULL, 0, "Content missing");
    reads("5", true, NULL, 0, "Content missing");
    reads("[{\"content\":{}}]", true, NULL, 0, "Content missing");
    reads("{\"content\":null}", true, NULL, 0, "Content missing");
    reads("{\"content\":[]}", true, NULL, 0, "Content is not an object");
    reads("{\"content\":{},\"metadata\":7}", true, NULL, 0, "Metadata is not an object");
    reads("{\"content\":{},\"metadata\":[]}", true, NULL, 0, "Metadata is not an object");
    reads("{\"content\":{},\"metadata\":{\"timestamp\":true}}", true, NULL, 0,
          "Invalid timestamp: true");
    reads("{\"content\":{},\"metadata\":{\"timestamp\":0}}", true, NULL, 0, "Invalid timestamp: 0");
    reads("{\"content\":{},\"metadata\":{\"timestamp\":1.5}}", true, NULL, 0,
          "Invalid timestamp: 1.5");
    reads("{\"content\":{},\"metadata\":{\"timestamp\":-1}}", true, NULL, 0,
          "Invalid timestamp: -1");
}

static void routes(const char *content, const char *field, uint32_t partitions, uint32_t partition,
                   const char *key)
{
    sb got = SB_INIT, why = SB_INIT;
    uint32_t at = 77;

    cr_assert(payload_route(str(content), str(field), partitions, &at, &got, &why), "%s", content);
    cr_assert_eq(at, partition, "%s: %u", content, at);
    cr_assert_eq(got.len, strlen(key), "%s: %s", content, got.data);
    cr_assert(got.len == 0 || memcmp(got.data, key, got.len) == 0, "%s: %s", content, got.data);
    sb_done(&got);
    sb_done(&why);
}

Test(payload, a_field_is_the_partition_key)
{
    routes("{\"id\":\"lamp\"}", "id", 3, BROKER_ALL_PARTITIONS, "lamp");
    routes("{\"id\":\"\\u00e4\\n\\ud83d\\ude00\\ud800x\\/\"}", "id", 3, BROKER_ALL_PARTITIONS,
           "\xc3\xa4\n\xf0\x9f\x98\x80\xef\xbf\xbdx/");
    routes("{\"id\":\"lamp\"}", "other", 3, BROKER_ALL_PARTITIONS, "");
    routes("{\"id\":null}", "id", 3, BROKER_ALL_PARTITIONS, "");
    routes(" {\"id\":14}", "id", 3, 2, "");
    routes("{\"id\":-14}", "id", 3, 2, "");
    routes("{\"id\":123456789012345678901234567890}", "id", 7, 0, "");
    routes("{\"id\":14}", "id", 0, 0, "");
}

Test(payload, a_field_that_is_no_key_is_refused)
{
    static const char *const bad[] = {"true", "{}", "[1]", "1.5", "1e2", "-"};
    uint32_t at;

    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        sb content = SB_INIT, key = SB_INIT, why = SB_INIT;

        sb_printf(&content, "{\"id\":%s}", bad[i]);
        cr_assert_not(payload_route(str(content.data), str("id"), 3, &at, &key, &why), "%s",
                      bad[i]);
        cr_assert_neq(why.len, 0);
        sb_done(&content);
        sb_done(&key);
        sb_done(&why);
    }
}

/* ---- out ---- */

static const uint8_t publisher[] = {0xab, 0x01, 0xff};

static broker_msg message(const char *content, uint8_t content_type)
{
    return (broker_msg){.size = sizeof(broker_msg),
                        .timestamp_ms = 1700000000000,
                        .sequence = 4,
                        .publisher = {publisher, sizeof publisher},
                        .chain = str("a\"b"),
                        .body = BROKER_BODY_CONTENT,
                        .content_type = content_type,
                        .content = {(const uint8_t *)content, strlen(content)}};
}

static void writes(const broker_msg *m, bool wrapped, payload_fate fate, const char *expected)
{
    sb out = SB_INIT;

    cr_assert_eq(payload_write(m, wrapped, &out), fate, "%s", expected);
    cr_assert_eq(out.len, strlen(expected), "%s", out.data);
    cr_assert(out.len == 0 || memcmp(out.data, expected, out.len) == 0, "%s", out.data);
    cr_assert(out.len == 0 || streamr_json_valid(out.data, out.len));
    sb_done(&out);
}

Test(payload, goes_out_as_it_was_sent)
{
    broker_msg m = message(" {\"a\": 1.0}", BROKER_CONTENT_JSON);

    writes(&m, false, PAYLOAD_WRITTEN, " {\"a\": 1.0}");
    writes(
        &m, true, PAYLOAD_WRITTEN,
        "{\"content\": {\"a\": 1.0},\"metadata\":{\"timestamp\":1700000000000,\"sequenceNumber\":4,"
        "\"publisherId\":\"0xab01ff\",\"msgChainId\":\"a\\\"b\"}}");
}

Test(payload, binary_goes_out_as_an_object_with_index_keys)
{
    broker_msg m = message("\x01\xff", BROKER_CONTENT_BINARY);

    writes(&m, false, PAYLOAD_WRITTEN, "{\"0\":1,\"1\":255}");
    m.content.len = 0;
    writes(&m, false, PAYLOAD_WRITTEN, "{}");
}

Test(payload, each_byte_of_a_long_binary_stands_under_its_index)
{
    static char content[1002];
    broker_msg m = message("", BROKER_CONTENT_BINARY);
    sb expected = SB_INIT;

    for (size_t i = 0; i < sizeof content; i++) {
        content[i] = (char)(i * 7);
        sb_printf(&expected, "%c\"%zu\":%u", i == 0 ? '{' : ',', i, (uint8_t)content[i]);
    }
    sb_putc(&expected, '}');
    m.content = (broker_bytes){(const uint8_t *)content, sizeof content};
    writes(&m, false, PAYLOAD_WRITTEN, expected.data);
    sb_done(&expected);
}

Test(payload, what_clients_cannot_read_stays_inside)
{
    static const char *const bad[] = {"[1]", "1", "null", "\"x\"", "", "{", "{\"a\":1}}"};
    broker_msg m;

    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        m = message(bad[i], BROKER_CONTENT_JSON);
        writes(&m, true, PAYLOAD_NOT_OBJECT, "");
    }
    m = message("{}", BROKER_CONTENT_JSON);
    m.encryption_type = BROKER_ENCRYPTION_AES;
    writes(&m, false, PAYLOAD_ENCRYPTED, "");
    m.encryption_type = BROKER_ENCRYPTION_NONE;
    m.body = BROKER_BODY_KEY_REQUEST;
    writes(&m, false, PAYLOAD_NOT_CONTENT, "");
}

/* ---- verdicts ---- */

Test(verdict, says_of_each_outcome_whether_it_is_there_and_whether_again_may_help)
{
    static const verdict expected[] = {
        [BROKER_STORED] = VERDICT_STORED,      [BROKER_DUPLICATE] = VERDICT_THERE,
        [BROKER_VARIANT] = VERDICT_THERE,      [BROKER_EQUIVOCATION] = VERDICT_REFUSED,
        [BROKER_REJECTED] = VERDICT_REFUSED,   [BROKER_UNVERIFIABLE] = VERDICT_REFUSED,
        [BROKER_NO_STORE] = VERDICT_DELIVERED, [BROKER_FAILED] = VERDICT_FAILED,
        [BROKER_DENIED] = VERDICT_REFUSED,     [BROKER_FULL] = VERDICT_FAILED,
        [BROKER_FULL + 1] = VERDICT_FAILED,
    };

    for (int32_t code = BROKER_STORED; code < (int32_t)COUNT_OF(expected); code++) {
        broker_outcome o = {code, 0, NULL};

        cr_assert_eq(verdict_of(&o), expected[code], "%d", code);
        cr_assert_eq(verdict_is_good(verdict_of(&o)), expected[code] < VERDICT_REFUSED, "%d", code);
    }
}

Test(verdict, has_the_reason_of_the_outcome_or_one_of_its_own)
{
    broker_outcome o = {BROKER_REJECTED, 0, NULL};

    cr_assert_str_eq(verdict_why(&o), "the message was refused");
    o.reason = "because";
    cr_assert_str_eq(verdict_why(&o), "because");
    o = (broker_outcome){BROKER_FULL, 0, NULL};
    cr_assert_str_eq(verdict_why(&o), "the message could not be stored");
}
