/* logstore: keys, formats and the store itself, on a real RocksDB. */
#include "eth/eth.h"
#include "format.h"
#include "keys.h"
#include "store_inner.h"
#include "streamr/streamr.h"
#include "tests/unit/store_folder.h"

#include <criterion/criterion.h>
#include <rocksdb/c.h>
#include <unistd.h>

#define STREAM "0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a/pulse"

/* ---- formats: the vectors of the Log Store spec, section 1.2 ---- */

static const char *object_of(const char *hex, bool streams)
{
    static char text[4096];
    static uint8_t raw[1024];
    broker_msg m;

    cr_assert(hex_decode(raw, hex, strlen(hex)));
    cr_assert_null(streamr_decode(raw, strlen(hex) / 2, &m));
    *(streams ? format_stream_object(text, &m) : format_store_object(text, &m)) = '\0';
    cr_assert_leq(strlen(text), format_object_max(m.raw.len));
    return text;
}

#define ID                                                                                         \
    "0a570a30307831396537653337366537633231336237653765376534366363373061356464"                   \
    "303836646166663261"                                                                           \
    "2f70756c73651880d095ffbc312a1419e7e376e7c213b7e7e7e46cc70a5dd086daff2a3206"                   \
    "636861696e31"

Test(format, a_json_message_is_the_object_of_the_spec)
{
    cr_assert_str_eq(object_of(ID "1a02123420012a0c0a0a7b22666f6f223a34327d", false),
                     "{\"streamId\":\"" STREAM
                     "\",\"streamPartition\":0,\"timestamp\":1700000000000,"
                     "\"sequenceNumber\":0,\"publisherId\":"
                     "\"0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a\","
                     "\"msgChainId\":\"chain1\",\"messageType\":27,\"contentType\":0,"
                     "\"encryptionType\":0,"
                     "\"content\":{\"foo\":42},\"signatureType\":1,\"signature\":\"1234\"}");
}

Test(format, binary_and_encrypted_content_is_hex)
{
    cr_assert(strstr(object_of(ID "1a02123420012a070a030102ff1001", false),
                     "\"contentType\":1,\"encryptionType\":0,\"content\":\"0102ff\""));
    cr_assert(
        strstr(object_of(ID "120908ffcf95ffbc3110031a02123420012a0b0a02dead18012203474b31", false),
               "\"encryptionType\":2,\"content\":\"dead\",\"signatureType\":1,"
               "\"signature\":"
               "\"1234\",\"groupKeyId\":\"GK1\"}"));
    cr_assert(
        strstr(object_of(ID "120908ffcf95ffbc3110031a02123420012a0b0a02dead18012203474b31", true),
               "\"encryptionType\":1,\"groupKeyId\":\"GK1\",\"content\":\"dead\","
               "\"signature\":\"1234\"}"));
}

Test(format, content_that_is_not_json_never_breaks_the_answer)
{
    cr_assert(strstr(object_of(ID "1a02123420012a060a047b22220a", false),
                     "\"content\":\"{\\\"\\\"\\u000a\""));
}

/* ---- keys ---- */

Test(keys, sort_by_part_time_sequence_publisher_and_chain)
{
    static const struct {
        uint32_t part;
        int64_t ms;
        int32_t sequence;
        uint32_t publisher;
        const char *chain;
    } in_order[] = {
        {0, 0, 0, 0, ""},   {0, 0, 0, 0, "a"},
        {0, 0, 0, 1, ""},   {0, 0, 1, 0, ""},
        {0, 1, 0, 0, ""},   {0, 255, 0, 0, ""},
        {0, 256, 0, 0, ""}, {0, INT64_MAX, INT32_MAX, UINT32_MAX, "z"},
        {1, 0, 0, 0, ""},   {256, 0, 0, 0, ""},
    };
    sb before = SB_INIT, key = SB_INIT;

    for (size_t i = 0; i < COUNT_OF(in_order); i++) {
        size_t common;

        sb_clear(&key);
        key_make(&key, in_order[i].part, in_order[i].ms, in_order[i].sequence,
                 in_order[i].publisher, (broker_str){in_order[i].chain, strlen(in_order[i].chain)});
        common = before.len < key.len ? before.len : key.len;
        if (i != 0) {
            int order = memcmp(before.data, key.data, common);

            cr_assert(order < 0 || (order == 0 && before.len < key.len), "key %zu", i);
        }
        sb_clear(&before);
        sb_append(&before, key.data, key.len);
    }
    sb_done(&before);
    sb_done(&key);
}

Test(keys, a_flipped_bit_in_a_value_is_noticed)
{
    uint8_t value[VALUE_HEAD + 4] = {0}, flags;
    broker_bytes raw = {value + VALUE_HEAD, 4};

    memcpy(value + VALUE_HEAD, "abcd", 4);
    value_head_make(value, 0, raw);
    cr_assert(value_open(value, sizeof value, &raw, &flags));
    value[VALUE_HEAD + 2] ^= 4;
    cr_assert_not(value_open(value, sizeof value, &raw, &flags));
}

/* ---- the store ---- */

/* A signed message in *out; its raw bytes are kept in *bytes. */
static void make(int64_t ms, const char *content, uint8_t content_type, sb *bytes, broker_msg *out)
{
    uint8_t key[32], pub[64], address[20], sig[65];
    broker_msg m = {
        .size = sizeof m,
        .stream = {STREAM, strlen(STREAM)},
        .timestamp_ms = ms,
        .publisher = {address, 20},
        .chain = {"c", 1},
        .body = BROKER_BODY_CONTENT,
        .content = {(const uint8_t *)content, strlen(content)},
        .content_type = content_type,
    };

    memset(key, 0x11, sizeof key);
    cr_assert(eth_key_public(key, pub));
    eth_address_of(pub, address);
    streamr_sign(&m, key, sig);
    sb_clear(bytes);
    streamr_encode(&m, bytes);
    cr_assert_null(streamr_decode(bytes->data, bytes->len, out));
}

static int32_t write_one(store *s, const broker_msg *m)
{
    broker_outcome outcome;

    store_write(s, &m, &outcome, 1);
    return outcome.code;
}

static size_t count_of(store *s)
{
    range all = {.to_ms = INT64_MAX - 1, .to_sequence = INT32_MAX};
    cursor *c = store_range(s, (broker_str){STREAM, strlen(STREAM)}, 0, &all);
    broker_bytes raw;
    int64_t ms, last = -1;
    int32_t sequence;
    size_t n = 0;

    while (cursor_next(c, &raw, &ms, &sequence) == 1) {
        cr_assert_gt(ms, last, "out of order");
        last = ms;
        n++;
    }
    cursor_close(c);
    return n;
}

Test(store, tells_duplicates_variants_and_equivocations_apart)
{
    store *s = store_at(folder_new(), NULL, 0);
    sb a = SB_INIT, b = SB_INIT, c = SB_INIT;
    broker_msg first, variant, other;

    make(1700000000000, "{\"a\":1}", BROKER_CONTENT_JSON, &a, &first);
    make(1700000000000, "{\"a\":1}", BROKER_CONTENT_BINARY, &b,
         &variant); /* the type is not signed */
    make(1700000000000, "{\"a\":2}", BROKER_CONTENT_JSON, &c, &other);
    cr_assert_eq(write_one(s, &first), BROKER_STORED);
    cr_assert_eq(write_one(s, &first), BROKER_DUPLICATE);
    cr_assert_eq(write_one(s, &variant), BROKER_VARIANT);
    cr_assert_eq(write_one(s, &other), BROKER_EQUIVOCATION);
    cr_assert_eq(count_of(s), 1);
    sb_done(&a);
    sb_done(&b);
    sb_done(&c);
    store_close(s);
}

Test(store, tells_them_apart_inside_one_batch_too)
{
    store *s = store_at(folder_new(), NULL, 0);
    sb a = SB_INIT, b = SB_INIT;
    broker_msg first, other;
    const broker_msg *msgs[] = {&first, &first, &other};
    broker_outcome outcomes[3];

    make(1700000000000, "{\"a\":1}", BROKER_CONTENT_JSON, &a, &first);
    make(1700000000000, "{\"a\":2}", BROKER_CONTENT_JSON, &b, &other);
    store_write(s, msgs, outcomes, 3);
    cr_assert_eq(outcomes[0].code, BROKER_STORED);
    cr_assert_eq(outcomes[1].code, BROKER_DUPLICATE);
    cr_assert_eq(outcomes[2].code, BROKER_EQUIVOCATION);
    sb_done(&a);
    sb_done(&b);
    store_close(s);
}

Test(store, keeps_messages_and_counts_over_a_reopening)
{
    char *path = folder_new();
    store *s = store_at(path, NULL, 0);
    sb bytes = SB_INIT;
    broker_msg m;
    counts p;

    for (int i = 0; i < 10; i++) { /* from ancient to dated slabs */
        make(1000 + i * 190000000000, "{}", BROKER_CONTENT_JSON, &bytes, &m);
        cr_assert_eq(write_one(s, &m), BROKER_STORED);
    }
    store_close(s);
    s = store_at(path, NULL, 0);
    cr_assert_eq(count_of(s), 10);
    cr_assert(store_part(s, (broker_str){STREAM, strlen(STREAM)}, 0, &p));
    cr_assert_eq(p.messages, 10);
    cr_assert_eq(p.first_ms, 1000);
    cr_assert_eq(write_one(s, &m), BROKER_DUPLICATE);
    sb_done(&bytes);
    store_close(s);
}

Test(store, refuses_a_format_newer_than_its_own)
{
    char *path = folder_new(), *err = NULL;
    store_options o = {.path = path, .cache_bytes = 1 << 20, .write_buffer_bytes = 1 << 20};
    rocksdb_options_t *options = rocksdb_options_create();
    rocksdb_writeoptions_t *wo = rocksdb_writeoptions_create();
    rocksdb_t *db;
    sb why = SB_INIT;

    store_close(store_at(path, NULL, 0));
    db = rocksdb_open(options, path, &err);
    cr_assert_null(err, "%s", err);
    rocksdb_put(db, wo, "v", 1, "\0\0\0\2", 4, &err);
    rocksdb_close(db);
    cr_assert_null(store_open(&o, &why));
    cr_assert(strstr(why.data, "format 2"), "%s", why.data);
    sb_done(&why);
    rocksdb_writeoptions_destroy(wo);
    rocksdb_options_destroy(options);
}

/* A degraded node is shunned: it has to find out by itself that it is well
 * again. */
Test(store, is_well_again_without_a_write_once_the_disk_has_room)
{
    store *s = store_at(folder_new(), NULL, 0);
    sb bytes = SB_INIT;
    broker_msg m;

    s->options.min_free_bytes = UINT64_MAX;
    make(1700000000000, "{}", BROKER_CONTENT_JSON, &bytes, &m);
    cr_assert_eq(write_one(s, &m), BROKER_FULL);
    store_tend(s);
    cr_assert_not(store_is_well(s, NULL), "there is no room yet");
    s->options.min_free_bytes = 0;
    store_tend(s);
    cr_assert(store_is_well(s, NULL));
    cr_assert_eq(write_one(s, &m), BROKER_STORED);
    sb_done(&bytes);
    store_close(s);
}
