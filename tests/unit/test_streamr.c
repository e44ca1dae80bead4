/* streamr: both codecs, signatures and identifiers, against messages of the real SDK. */
#include "eth/eth.h"
#include "protobuf/protobuf.h"
#include "streamr/streamr.h"

#include <criterion/criterion.h>
#include <jansson.h>

#define OWNER "0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a"

static json_t *vectors(void)
{
    json_error_t error;
    json_t *root = json_load_file(TEST_VECTORS "/streamr.json", 0, &error);

    cr_assert_not_null(root, "%s", error.text);
    return root;
}

static const char *str(json_t *object, const char *key)
{
    const char *s = json_string_value(json_object_get(object, key));

    cr_assert_not_null(s, "the vectors have no '%s'", key);
    return s;
}

/* Bytes of hex, on the heap at their exact size so that a sanitizer sees a byte too far. */
static uint8_t *unhex(const char *hex, size_t *len)
{
    uint8_t *bytes = malloc(strlen(hex) / 2 + (strlen(hex) == 0));

    *len = strlen(hex) / 2;
    cr_assert(hex_decode(bytes, hex, strlen(hex)));
    return bytes;
}

static void expect_bytes(const void *got, size_t len, const char *hex, const char *name)
{
    char *text = malloc(2 * len + 1);

    hex_encode(text, got, len);
    text[2 * len] = '\0';
    cr_assert_str_eq(text, hex, "%s", name);
    free(text);
}

static bool is(broker_str s, const char *want)
{
    return s.len == strlen(want) && (s.len == 0 || memcmp(s.ptr, want, s.len) == 0);
}

static broker_str str_of(const char *s)
{
    return (broker_str){s, strlen(s)};
}

/* Each protobuf of the vectors, content and key exchange. */
static void each_vector(void (*visit)(json_t *vector, const char *name, const broker_msg *msg))
{
    json_t *root = vectors(), *v;
    json_t *exchange = json_object_get(json_object_get(root, "groupKeyExchange"), "messages");
    unsigned seen = 0;
    size_t i;

    cr_assert_eq(json_array_extend(json_object_get(root, "streamMessages"), exchange), 0);
    json_array_foreach(json_object_get(root, "streamMessages"), i, v)
    {
        json_t *named = json_object_get(v, "name");
        const char *name = named != NULL ? json_string_value(named) : str(v, "kind"), *why;
        broker_msg msg;
        uint8_t *bytes;
        size_t len;

        bytes = unhex(str(v, "protobuf"), &len);
        why = streamr_decode(bytes, len, &msg);
        cr_assert_null(why, "%s: %s", name, why);
        visit(v, name, &msg);
        free(bytes);
        seen++;
    }
    cr_assert_geq(seen, 19);
    json_decref(root);
}

static json_t *field(json_t *vector, const char *key)
{
    json_t *fields = json_object_get(vector, "fields");

    return json_object_get(fields != NULL ? fields : vector, key);
}

static void expect_fields(json_t *v, const char *name, const broker_msg *m)
{
    json_t *fields = json_object_get(v, "fields"), *prev, *key;

    if (fields == NULL)
        return;
    prev = json_object_get(fields, "previousMessageRef");
    key = json_object_get(fields, "newGroupKey");
    cr_assert(is(m->stream, str(fields, "streamId")));
    cr_assert(is(m->chain, str(fields, "messageChainId")));
    cr_assert_eq(m->partition, json_integer_value(field(v, "streamPartition")));
    cr_assert_eq(m->timestamp_ms, json_integer_value(field(v, "timestamp")));
    cr_assert_eq(m->sequence, json_integer_value(field(v, "sequenceNumber")));
    cr_assert_eq(m->content_type, json_integer_value(field(v, "contentType")));
    cr_assert_eq(m->encryption_type, json_integer_value(field(v, "encryptionType")));
    cr_assert_eq(m->signature_type, json_integer_value(field(v, "signatureType")));
    cr_assert_eq(m->flags & BROKER_MSG_HAS_UNKNOWN, 0);
    cr_assert_eq((m->flags & BROKER_MSG_HAS_PREV) != 0, !json_is_null(prev));
    if (!json_is_null(prev)) {
        cr_assert_eq(m->prev_timestamp_ms, json_integer_value(json_object_get(prev, "timestamp")));
        cr_assert_eq(m->prev_sequence, json_integer_value(json_object_get(prev, "sequenceNumber")));
    }
    cr_assert_eq((m->flags & BROKER_MSG_HAS_KEY_ID) != 0,
                 !json_is_null(json_object_get(fields, "groupKeyId")));
    cr_assert_eq((m->flags & BROKER_MSG_HAS_NEW_KEY) != 0, !json_is_null(key));
    if (!json_is_null(key)) {
        cr_assert(is(m->new_key_id, str(key, "id")));
        expect_bytes(m->new_key_data.ptr, m->new_key_data.len, str(key, "data"), name);
    }
    expect_bytes(m->content.ptr, m->content.len, str(fields, "content"), name);
}

Test(decode, reads_every_field_of_the_vectors)
{
    each_vector(expect_fields);
}

static void expect_reencoded(json_t *v, const char *name, const broker_msg *m)
{
    sb out = SB_INIT;

    streamr_encode(m, &out);
    expect_bytes(out.data, out.len, str(v, "protobuf"), name);
    sb_done(&out);
}

Test(encode, writes_the_vectors_byte_for_byte)
{
    each_vector(expect_reencoded);
}

static void expect_payload(json_t *v, const char *name, const broker_msg *m)
{
    sb out = SB_INIT;

    streamr_signed_payload(m, &out);
    expect_bytes(out.data, out.len, str(v, "signedPayload"), name);
    sb_done(&out);
}

Test(payload, is_that_of_the_vectors)
{
    each_vector(expect_payload);
}

static void expect_verified(json_t *v, const char *name, const broker_msg *m)
{
    const char *why = "";
    streamr_check got = streamr_verify(m, &why);

    (void)v;
    cr_assert_eq(got, STREAMR_VALID, "%s: %s", name, why);
    cr_assert_null(why);
}

Test(verify, accepts_the_vectors)
{
    each_vector(expect_verified);
}

static void expect_tampering_noticed(json_t *v, const char *name, const broker_msg *m)
{
    uint8_t sig[4627], content[2048];
    size_t step = m->signature.len / 5; /* 13 of 65 bytes, 925 of ML-DSA's */
    broker_msg bad = *m;
    const char *why;

    (void)v;
    for (size_t i = 0; i < m->signature.len; i += step) {
        memcpy(sig, m->signature.ptr, m->signature.len);
        sig[i] ^= 1;
        bad.signature.ptr = sig;
        cr_assert_eq(streamr_verify(&bad, &why), STREAMR_INVALID, "%s: byte %zu", name, i);
        cr_assert_not_null(why);
    }
    bad = *m;
    bad.signature.len--;
    cr_assert_eq(streamr_verify(&bad, &why), STREAMR_INVALID, "%s: cut", name);
    bad = *m;
    bad.timestamp_ms++;
    cr_assert_eq(streamr_verify(&bad, &why), STREAMR_INVALID, "%s: timestamp", name);
    bad = *m;
    bad.flags ^= BROKER_MSG_HAS_PREV;
    cr_assert_eq(streamr_verify(&bad, &why), STREAMR_INVALID, "%s: previous reference", name);
    bad = *m;
    memcpy(content, m->content.ptr, m->content.len);
    content[m->content.len - 1] ^= 1;
    bad.content.ptr = content;
    cr_assert_eq(streamr_verify(&bad, &why), STREAMR_INVALID, "%s: content", name);
}

Test(verify, notices_every_change)
{
    each_vector(expect_tampering_noticed);
}

static broker_msg sample(void)
{
    static const uint8_t publisher[20] = {0x19, 0xe7, 0xe3, 0x76, 0xe7, 0xc2, 0x13,
                                          0xb7, 0xe7, 0xe7, 0xe4, 0x6c, 0xc7, 0x0a,
                                          0x5d, 0xd0, 0x86, 0xda, 0xff, 0x2a};
    broker_msg m = {.size = sizeof m,
                    .stream = str_of(OWNER "/s"),
                    .timestamp_ms = 1700000000000,
                    .publisher = {publisher, 20},
                    .chain = str_of("chain"),
                    .content = {(const uint8_t *)"{}", 2},
                    .signature = {(const uint8_t *)"\x12\x34", 2},
                    .signature_type = BROKER_SIGNATURE_SECP256K1,
                    .body = BROKER_BODY_CONTENT};

    return m;
}

Test(verify, takes_only_v_27_to_30_although_recovery_knows_0_and_1)
{
    uint8_t key[32], sig[65];
    broker_msg m = sample();
    const char *why;

    memset(key, 0x11, sizeof key);
    streamr_sign(&m, key, sig);
    cr_assert_eq(streamr_verify(&m, &why), STREAMR_VALID);
    sig[64] = (uint8_t)(sig[64] - 27);
    cr_assert_eq(streamr_verify(&m, &why), STREAMR_INVALID);
}

Test(verify, refuses_publishers_and_bodies_that_do_not_go_with_the_type)
{
    uint8_t key[32], sig[65];
    broker_msg m = sample(), bad;
    const char *why;

    memset(key, 0x11, sizeof key);
    streamr_sign(&m, key, sig);
    bad = m, bad.publisher.len = 19;
    cr_assert_eq(streamr_verify(&bad, &why), STREAMR_INVALID);
    bad = m, bad.signature_type = BROKER_SIGNATURE_SECP256R1;
    cr_assert_eq(streamr_verify(&bad, &why), STREAMR_INVALID);
    bad = m, bad.signature_type = BROKER_SIGNATURE_ML_DSA_87;
    cr_assert_eq(streamr_verify(&bad, &why), STREAMR_INVALID);
    bad = m, bad.signature_type = BROKER_SIGNATURE_ERC_1271;
    cr_assert_eq(streamr_verify(&bad, &why), STREAMR_UNVERIFIABLE);
    bad = m, bad.signature_type = 5;
    cr_assert_eq(streamr_verify(&bad, &why), STREAMR_INVALID);
    bad = m, bad.signature_type = BROKER_SIGNATURE_LEGACY;
    cr_assert_eq(streamr_verify(&bad, &why), STREAMR_VALID, "plain text signs the same: %s", why);
    bad.body = BROKER_BODY_KEY_REQUEST;
    cr_assert_eq(streamr_verify(&bad, &why), STREAMR_INVALID);
    bad.body = BROKER_BODY_CONTENT, bad.content = (broker_bytes){(const uint8_t *)"\xff", 1};
    cr_assert_eq(streamr_verify(&bad, &why), STREAMR_INVALID);
}

Test(encode, writes_what_the_log_store_node_writes)
{
    broker_msg m = sample();
    sb out = SB_INIT;

    m.stream = str_of(OWNER "/pulse");
    m.chain = str_of("chain1");
    m.content = (broker_bytes){(const uint8_t *)"{\"foo\":42}", 10};
    streamr_encode(&m, &out);
    expect_bytes(
        out.data, out.len,
        "0a570a303078313965376533373665376332313362376537653765343663633730613564643038366461"
        "666632612f70756c73651880d095ffbc312a1419e7e376e7c213b7e7e7e46cc70a5dd086daff2a3206"
        "636861696e311a02123420012a0c0a0a7b22666f6f223a34327d",
        "JSON");
    sb_clear(&out);
    m.content = (broker_bytes){(const uint8_t *)"\xde\xad", 2};
    m.encryption_type = BROKER_ENCRYPTION_AES;
    m.group_key_id = str_of("GK1");
    m.flags = BROKER_MSG_HAS_KEY_ID | BROKER_MSG_HAS_PREV;
    m.prev_timestamp_ms = 1699999999999, m.prev_sequence = 3;
    streamr_encode(&m, &out);
    expect_bytes(out.data + 89, out.len - 89,
                 "120908ffcf95ffbc3110031a02123420012a0b0a02dead18012203474b31", "AES");
    sb_done(&out);
}

/* ---- Structure ---- */

/* Why the encoding of *m is refused, "" when it is not. */
static const char *refusal(const broker_msg *m)
{
    sb out = SB_INIT;
    broker_msg back;
    const char *why;

    streamr_encode(m, &out);
    why = streamr_decode(out.data, out.len, &back);
    sb_done(&out);
    return why != NULL ? why : "";
}

Test(structure, contradictions_and_numbers_out_of_range_are_refused)
{
    broker_msg good = sample(), m;

#define REFUSED(change)                                                                            \
    do {                                                                                           \
        m = good;                                                                                  \
        change;                                                                                    \
        cr_assert_str_not_empty(refusal(&m), "%s", #change);                                       \
    } while (0)
    cr_assert_str_empty(refusal(&good), "%s", refusal(&good));
    REFUSED(m.partition = 100);
    REFUSED(m.partition = 0x80000000u);
    REFUSED(m.sequence = -1);
    REFUSED(m.timestamp_ms = -1);
    REFUSED(m.timestamp_ms = 9007199254740992);
    REFUSED(m.stream.len = 0);
    REFUSED(m.publisher.len = 0);
    REFUSED(m.stream = str_of("\xff/x"));
    REFUSED(m.chain = str_of("\xed\xa0\x80"));
    REFUSED(m.signature_type = 5);
    REFUSED(m.content_type = 2);
    REFUSED(m.encryption_type = 2);
    REFUSED(m.encryption_type = 1);
    REFUSED(m.encryption_type = 1; m.flags = BROKER_MSG_HAS_KEY_ID);
    REFUSED(m.flags = BROKER_MSG_HAS_KEY_ID; m.group_key_id = str_of("k"));
    REFUSED(m.flags = BROKER_MSG_HAS_NEW_KEY; m.new_key_id = str_of("k"));
    REFUSED(m.signature_type = 0; m.content_type = BROKER_CONTENT_BINARY);
    REFUSED(m.flags = BROKER_MSG_HAS_PREV; m.prev_timestamp_ms = m.timestamp_ms);
    REFUSED(m.flags = BROKER_MSG_HAS_PREV; m.prev_timestamp_ms = m.timestamp_ms + 1);
    REFUSED(m.flags = BROKER_MSG_HAS_PREV; m.prev_timestamp_ms = -1);
    REFUSED(m.flags = BROKER_MSG_HAS_PREV; m.prev_sequence = -1);
    REFUSED(m.body = BROKER_BODY_KEY_REQUEST; m.content = good.publisher);
#undef REFUSED
    m = good, m.flags = BROKER_MSG_HAS_PREV, m.prev_timestamp_ms = m.timestamp_ms, m.sequence = 1;
    cr_assert_str_empty(refusal(&m), "same time, smaller sequence");
}

Test(structure, missing_parts_are_refused)
{
    broker_msg m;

    cr_assert_not_null(streamr_decode("", 0, &m));
    cr_assert_not_null(streamr_decode("\x2a\x00", 2, &m), "no id");
    cr_assert_not_null(streamr_decode("\x0a\x00\x2a\x00", 4, &m), "empty id");
    /* An id, and no body. */
    cr_assert_str_eq(streamr_decode("\x0a\x09\x0a\x01s\x2a\x01p\x32\x01"
                                    "c",
                                    11, &m),
                     "no body");
}

Test(structure, every_cut_of_a_message_is_refused)
{
    broker_msg m = sample(), back;
    sb out = SB_INIT;

    streamr_encode(&m, &out);
    for (size_t len = 0; len < out.len; len++) {
        uint8_t *exact = malloc(len + (len == 0));

        memcpy(exact, out.data, len);
        cr_assert_not_null(streamr_decode(exact, len, &back), "%zu of %zu bytes", len, out.len);
        free(exact);
    }
    sb_done(&out);
}

Test(structure, any_order_and_unknown_fields_are_taken_and_marked)
{
    /* Body, signature, id with its fields backwards, and field 15 as a string. */
    static const char bytes[] = "\x2a\x04\x0a\x02{}\x1a\x01s\x7a\x01?\x0a\x0b\x32\x01"
                                "c\x2a\x01p\x10\x05\x0a\x01s";
    broker_msg m;
    const char *why = streamr_decode(bytes, sizeof bytes - 1, &m);

    cr_assert_null(why, "%s", why);
    cr_assert(is(m.stream, "s"));
    cr_assert_eq(m.partition, 5);
    cr_assert_eq(m.flags, BROKER_MSG_HAS_UNKNOWN);
    cr_assert_eq((const void *)m.raw.ptr, (const void *)bytes);
    cr_assert_eq(m.raw.len, sizeof bytes - 1);
}

Test(structure, fields_given_twice_and_foreign_types_are_refused)
{
    broker_msg m = sample(), back;
    static const struct {
        const char *bytes;
        size_t len;
    } tails[] = {
        {"\x1a\x02\x12\x34", 4}, /* signature again  */
        {"\x20\x01", 2},         /* its type again   */
        {"\x2a\x00", 2},         /* body again       */
        {"\x32\x00", 2},         /* another body     */
        {"\x12\x00\x12\x00", 4}, /* two references   */
        {"\x10\x01", 2},         /* field 2 a number */
    };

    for (size_t i = 0; i < COUNT_OF(tails); i++) {
        sb out = SB_INIT;

        streamr_encode(&m, &out);
        sb_append(&out, tails[i].bytes, tails[i].len);
        cr_assert_not_null(streamr_decode(out.data, out.len, &back), "tail %zu", i);
        sb_done(&out);
    }
}

Test(structure, messages_above_a_mebibyte_are_refused)
{
    uint8_t *big = calloc(1, STREAMR_MESSAGE_MAX);
    broker_msg m = sample();

    m.content = (broker_bytes){big, STREAMR_MESSAGE_MAX - 300};
    cr_assert_str_empty(refusal(&m), "%s", refusal(&m));
    m.content.len = STREAMR_MESSAGE_MAX;
    cr_assert_str_not_empty(refusal(&m));
    free(big);
}

/* ---- Generated messages ---- */

static uint64_t random_state = 7;

static uint32_t pick(uint32_t below)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33) % below;
}

/* Text of up to max bytes, with every kind of character in it. */
static broker_str some_text(sb *store, uint32_t max)
{
    static const char *const bits[] = {
        "a", "\"", "\\",   "\n", "\x01", "\xc3\xb6", "\xe2\x82\xac", "\xf0\x9f\x98\x80",
        "/", "\t", "\x7f", "\b", "\f",   "\r"};
    size_t at = store->len, want = pick(max + 1);

    while (store->len - at < want)
        sb_puts(store, bits[pick(COUNT_OF(bits))]);
    return (broker_str){store->data + at, store->len - at};
}

static broker_bytes some_bytes(sb *store, uint32_t len)
{
    size_t at = store->len;

    for (uint32_t i = 0; i < len; i++)
        sb_putc(store, (char)pick(256));
    return (broker_bytes){(const uint8_t *)store->data + at, len};
}

/* Any message that the structure rules allow; store has room for it. */
static broker_msg some_message(sb *store)
{
    static const uint8_t lens[] = {20, 33};
    broker_msg m = {.size = sizeof m, .body = BROKER_BODY_CONTENT};

    sb_clear(store);
    sb_room(store, 8192);
    sb_puts(store, "x");
    m.stream = some_text(store, 60);
    m.stream.ptr--, m.stream.len++;
    m.chain = some_text(store, 20);
    m.partition = pick(4) == 0 ? 0 : pick(100);
    m.timestamp_ms = 2 + (int64_t)pick(1u << 30) * (pick(2) != 0 ? 1 : 8000000);
    m.sequence = (int32_t)(pick(2) * pick(1u << 30));
    m.publisher = some_bytes(store, lens[pick(2)]);
    m.signature = some_bytes(store, pick(70));
    m.signature_type = (uint8_t)pick(5);
    if (pick(2) != 0) {
        m.flags |= BROKER_MSG_HAS_PREV;
        m.prev_timestamp_ms = pick(2) * (m.timestamp_ms - 1);
        m.prev_sequence = (int32_t)(pick(2) * pick(1u << 30));
    }
    if (pick(2) != 0) {
        m.encryption_type = BROKER_ENCRYPTION_AES;
        m.flags |= BROKER_MSG_HAS_KEY_ID;
        m.group_key_id = (broker_str){store->data, 1 + some_text(store, 0).len};
        m.content = some_bytes(store, pick(300));
        if (pick(2) != 0) {
            m.flags |= BROKER_MSG_HAS_NEW_KEY;
            m.new_key_id = some_text(store, 20);
            m.new_key_data = some_bytes(store, pick(50));
        }
    } else {
        broker_str text = some_text(store, 300);

        m.content = (broker_bytes){(const uint8_t *)text.ptr, text.len};
    }
    if (m.signature_type != BROKER_SIGNATURE_LEGACY)
        m.content_type = (uint8_t)pick(2);
    return m;
}

static void expect_same(const broker_msg *a, const broker_msg *b)
{
    cr_assert(streamr_same_identity(a, b));
    cr_assert(streamr_same_payload(a, b));
    cr_assert_eq(a->flags, b->flags);
    cr_assert_eq(a->body, b->body);
    cr_assert_eq(a->content_type, b->content_type);
    cr_assert_eq(a->encryption_type, b->encryption_type);
    cr_assert_eq(a->signature_type, b->signature_type);
    cr_assert_eq(a->prev_timestamp_ms, b->prev_timestamp_ms);
    cr_assert_eq(a->prev_sequence, b->prev_sequence);
    cr_assert_eq(a->content.len, b->content.len);
    cr_assert_eq(a->group_key_id.len, b->group_key_id.len);
    cr_assert_eq(a->new_key_id.len, b->new_key_id.len);
    cr_assert_eq(a->new_key_data.len, b->new_key_data.len);
    cr_assert_eq(a->signature.len, b->signature.len);
    cr_assert(a->signature.len == 0 ||
              memcmp(a->signature.ptr, b->signature.ptr, a->signature.len) == 0);
}

Test(property, decoding_what_was_encoded_gives_the_message_back)
{
    sb store = SB_INIT, bytes = SB_INIT, again = SB_INIT;

    for (unsigned round = 0; round < 3000; round++) {
        broker_msg m = some_message(&store), back;
        const char *why;

        sb_clear(&bytes);
        sb_clear(&again);
        streamr_encode(&m, &bytes);
        why = streamr_decode(bytes.data, bytes.len, &back);
        cr_assert_null(why, "round %u: %s", round, why);
        expect_same(&m, &back);
        streamr_encode(&back, &again);
        cr_assert_eq(bytes.len, again.len);
        cr_assert_eq(memcmp(bytes.data, again.data, bytes.len), 0);
    }
    sb_done(&store);
    sb_done(&bytes);
    sb_done(&again);
}

Test(property, v32_text_is_valid_json_and_gives_the_message_back)
{
    sb store = SB_INIT, text = SB_INIT, decoded = SB_INIT;
    unsigned written = 0;

    for (unsigned round = 0; round < 3000; round++) {
        broker_msg m = some_message(&store), back;
        const char *why;

        sb_clear(&text);
        if (!streamr_json_encode(&m, &text))
            continue;
        written++;
        cr_assert(streamr_json_valid(text.data, text.len), "%s", text.data);
        why = streamr_json_decode(text.data, text.len, &decoded, &back);
        cr_assert_null(why, "%s: %s", why, text.data);
        m.signature_type = BROKER_SIGNATURE_LEGACY;
        expect_same(&m, &back);
    }
    cr_assert_gt(written, 200);
    sb_done(&store);
    sb_done(&text);
    sb_done(&decoded);
}

/* ---- Comparing ---- */

Test(compare, tells_variants_from_equivocations)
{
    broker_msg a = sample(), b = a;

    b.content_type = BROKER_CONTENT_BINARY; /* not signed */
    cr_assert(streamr_same_identity(&a, &b));
    cr_assert(streamr_same_payload(&a, &b));
    b.content = (broker_bytes){(const uint8_t *)"[]", 2};
    cr_assert(streamr_same_identity(&a, &b));
    cr_assert_not(streamr_same_payload(&a, &b));
    b = a, b.chain = str_of("chain2");
    cr_assert_not(streamr_same_identity(&a, &b));
    b = a, b.partition = 1;
    cr_assert_not(streamr_same_identity(&a, &b));
}

Test(compare, payloads_are_one_text_without_separators)
{
    broker_msg a = sample(), b = a;

    /* A reference of 1-0 and the content "x" sign the same as no reference and "10x". */
    a.flags = BROKER_MSG_HAS_PREV, a.prev_timestamp_ms = 1;
    a.content = (broker_bytes){(const uint8_t *)"x", 1};
    b.content = (broker_bytes){(const uint8_t *)"10x", 3};
    cr_assert(streamr_same_payload(&a, &b));
    b.content = (broker_bytes){(const uint8_t *)"10y", 3};
    cr_assert_not(streamr_same_payload(&a, &b));
    b.content = (broker_bytes){(const uint8_t *)"10xx", 4};
    cr_assert_not(streamr_same_payload(&a, &b));
    b.content = (broker_bytes){NULL, 0};
    cr_assert_not(streamr_same_payload(&a, &b));
}

/* ---- Version 32 ---- */

Test(legacy, reads_verifies_and_writes_the_vectors)
{
    json_t *root = vectors(), *v;
    size_t i;

    json_array_foreach(json_object_get(root, "legacyJson"), i, v)
    {
        const char *text = str(v, "serialized"), *why;
        sb store = SB_INIT, out = SB_INIT;
        broker_msg m;

        why = streamr_json_decode(text, strlen(text), &store, &m);
        cr_assert_null(why, "%s: %s", str(v, "name"), why);
        streamr_signed_payload(&m, &out);
        cr_assert_str_eq(out.data, str(v, "payloadUtf8"));
        cr_assert_eq(streamr_verify(&m, &why), STREAMR_VALID, "%s: %s", str(v, "name"), why);
        sb_clear(&out);
        cr_assert(streamr_json_encode(&m, &out));
        cr_assert_str_eq(out.data, text);
        sb_done(&store);
        sb_done(&out);
    }
    cr_assert_eq(i, 3);
    json_decref(root);
}

static void expect_same_as_legacy(json_t *v, const char *name, const broker_msg *m)
{
    sb text = SB_INIT, store = SB_INIT, proto = SB_INIT;
    broker_msg back;
    const char *why;

    if (m->signature_type != BROKER_SIGNATURE_LEGACY)
        return;
    cr_assert(streamr_json_encode(m, &text), "%s", name);
    why = streamr_json_decode(text.data, text.len, &store, &back);
    cr_assert_null(why, "%s: %s", name, why);
    streamr_encode(&back, &proto);
    expect_bytes(proto.data, proto.len, str(v, "protobuf"), name);
    sb_done(&text);
    sb_done(&store);
    sb_done(&proto);
}

Test(legacy, converts_to_protobuf_and_back_without_loss)
{
    each_vector(expect_same_as_legacy);
}

Test(legacy, what_has_no_v32_form_is_not_written)
{
    broker_msg good = sample(), m;
    sb out = SB_INIT;

    cr_assert(streamr_json_encode(&good, &out));
    sb_clear(&out);
    m = good, m.content_type = BROKER_CONTENT_BINARY;
    cr_assert_not(streamr_json_encode(&m, &out));
    for (uint8_t type = 2; type <= 4; type++) {
        m = good, m.signature_type = type;
        cr_assert_not(streamr_json_encode(&m, &out));
    }
    m = good, m.body = BROKER_BODY_KEY_REQUEST;
    cr_assert_not(streamr_json_encode(&m, &out));
    m = good, m.content = (broker_bytes){(const uint8_t *)"\xff", 1};
    cr_assert_not(streamr_json_encode(&m, &out));
    cr_assert_eq(out.len, 0);
    sb_done(&out);
}

/* Why [32,["s/p",P,T,S,"0x..","c"], and the rest, is refused; "" when it is not. */
static const char *v32_refusal(const char *rest)
{
    sb text = SB_INIT, store = SB_INIT;
    broker_msg m;
    const char *why;

    sb_printf(&text, "%s%s", "[32,[\"s/p\",0,5,0,\"" OWNER "\",\"c\"],", rest);
    why = streamr_json_decode(text.data, text.len, &store, &m);
    sb_done(&text);
    sb_done(&store);
    return why != NULL ? why : "";
}

Test(legacy, takes_white_space_escapes_and_surrogate_pairs)
{
    static const char text[] =
        " [ 32 , [ \"\\u0073\\/p\",0,\t5,0,\"" OWNER "\",\"\\ud83d\\ude00\" ]"
        ",null,27,0,0,null,\"\\\"\\u00f6\\n\\u0000\",null,2,\"0x12\" ]\r\n";
    sb store = SB_INIT;
    broker_msg m;
    const char *why = streamr_json_decode(text, sizeof text - 1, &store, &m);

    cr_assert_null(why, "%s", why);
    cr_assert(is(m.stream, "s/p"));
    cr_assert(is(m.chain, "\xf0\x9f\x98\x80"));
    cr_assert_eq(m.content.len, 5);
    cr_assert_eq(memcmp(m.content.ptr, "\"\xc3\xb6\n\0", 5), 0);
    cr_assert_eq(m.raw.len, 0);
    sb_done(&store);
}

Test(legacy, refuses_what_is_not_the_array)
{
    static const char *const bad[] = {
        "",
        "null",
        "null,27,0,0,null,\"x\",null,2",
        "null,27,0,0,null,\"x\",null,2,\"0x12\"",
        "null,27,0,0,null,\"x\",null,2,\"0x12\"]x",
        "null,27,0,0,null,\"x\",null,2,\"0x12\",1]",
        "null,27,0,0,null,\"x\",null,2,\"0x123\"]",
        "null,27,0,0,null,\"x\",null,2,\"12\"]",
        "null,27,0,0,null,\"x\",null,1,\"0x12\"]",
        "null,28,0,0,null,\"x\",null,2,\"0x12\"]",
        "null,27,1,0,null,\"x\",null,2,\"0x12\"]",
        "null,27,0,1,null,\"x\",null,2,\"0x12\"]",
        "null,27,0,3,null,\"x\",null,2,\"0x12\"]",
        "null,27,0,2,null,\"ab\",null,2,\"0x12\"]",
        "null,27,0,2,\"k\",\"zz\",null,2,\"0x12\"]",
        "null,27,0,2,\"k\",\"ab\",\"[]\",2,\"0x12\"]",
        "null,27,0,2,\"k\",\"ab\",\"[\\\"k\\\",\\\"ab\\\"] x\",2,\"0x12\"]",
        "null,27,0,2,\"k\",\"ab\",\"[\\\"k\\\",\\\"a\\\"]\",2,\"0x12\"]",
        "null,27,0,0,\"k\",\"x\",null,2,\"0x12\"]",
        "[5,0],27,0,0,null,\"x\",null,2,\"0x12\"]",
        "[-1,0],27,0,0,null,\"x\",null,2,\"0x12\"]",
        "[1.0,0],27,0,0,null,\"x\",null,2,\"0x12\"]",
        "[01,0],27,0,0,null,\"x\",null,2,\"0x12\"]",
        "[99999999999999999999999999,0],27,0,0,null,\"x\",null,2,\"0x12\"]",
        "null,27,0,0,null,{},null,2,\"0x12\"]",
        "null,27,0,0,null,\"\\ud800\",null,2,\"0x12\"]",
        "null,27,0,0,null,\"\\ud800\\u0041\",null,2,\"0x12\"]",
        "null,27,0,0,null,\"\\udc00\",null,2,\"0x12\"]",
        "null,27,0,0,null,\"\\x\",null,2,\"0x12\"]",
        "null,27,0,0,null,\"\n\",null,2,\"0x12\"]",
        "null,27,0,0,null,\"\xff\",null,2,\"0x12\"]",
    };

    cr_assert_str_empty(v32_refusal("null,27,0,0,null,\"x\",null,2,\"0x12\"]"));
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        cr_assert_str_not_empty(v32_refusal(bad[i]), "'%s' was read", bad[i]);
}

/* ---- Identifiers ---- */

Test(ids, are_an_address_or_a_name_and_a_path)
{
    static const char *const good[] = {OWNER "/a",    "streamr.eth/a/b", "a.b/c",
                                       "x.eth/a b#1", "x.eth/\xc3\xa4",  "x.eth//",
                                       "a-b.eth/x"};
    static const char *const bad[] = {"",         "/",          "/a",        "a/b",      "x.eth",
                                      "x.eth/",   OWNER "/",    OWNER,       "0x19e7/a", ".eth/a",
                                      "x.eth/\n", "x.eth/\x7f", "x.eth/\xff"};
    char *longest = malloc(2000);

    for (size_t i = 0; i < COUNT_OF(good); i++)
        cr_assert_null(streamr_stream_id_check(good[i], strlen(good[i])), "'%s'", good[i]);
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        cr_assert_not_null(streamr_stream_id_check(bad[i], strlen(bad[i])), "'%s'", bad[i]);
    memset(longest, 'a', 2000);
    memcpy(longest, "x.eth/", 6);
    cr_assert_null(streamr_stream_id_check(longest, STREAMR_STREAM_ID_MAX));
    cr_assert_not_null(streamr_stream_id_check(longest, STREAMR_STREAM_ID_MAX + 1));
    free(longest);
}

Test(ids, normalising_lowers_the_domain_and_leaves_the_path)
{
    sb out = SB_INIT;

    sb_puts(&out, "KEPT ");
    streamr_stream_id_normalise("Streamr.ETH/Foo/BAR", 19, &out);
    cr_assert_str_eq(out.data, "KEPT streamr.eth/Foo/BAR");
    sb_done(&out);
}

Test(ids, the_owner_is_the_address_in_front)
{
    uint8_t owner[20];

    cr_assert(streamr_stream_owner(OWNER "/a/b", strlen(OWNER) + 4, owner));
    cr_assert_eq(owner[0], 0x19);
    cr_assert_not(streamr_stream_owner("streamr.eth/a", 13, owner));
}

Test(ids, a_star_stands_for_any_text)
{
    static const struct {
        const char *pattern, *id;
        bool matches;
    } cases[] = {
        {"*", "", true},          {"*", "a/b", true},      {"a/*", "a/b/c", true},
        {"a/*", "b/a/", false},   {"*/x", "a/x/x", true},  {"*/x", "a/xy", false},
        {"a*b*c", "aXbYc", true}, {"a*b*c", "acb", false}, {"", "", true},
        {"", "a", false},         {"a", "a", true},        {"a", "ab", false},
        {"**a**", "bab", true},   {"a*a", "a", false},     {"*ab*ab", "abab", true},
    };
    char stars[200], text[4001];

    for (size_t i = 0; i < COUNT_OF(cases); i++)
        cr_assert_eq(streamr_stream_matches(cases[i].pattern, strlen(cases[i].pattern), cases[i].id,
                                            strlen(cases[i].id)),
                     cases[i].matches, "'%s' on '%s'", cases[i].pattern, cases[i].id);
    /* Hostile: quadratic at worst, not exponential. */
    for (size_t i = 0; i + 1 < sizeof stars; i += 2)
        memcpy(stars + i, "*a", 2);
    memset(text, 'a', sizeof text);
    text[sizeof text - 1] = 'b';
    cr_assert_not(streamr_stream_matches(stars, sizeof stars, text, sizeof text));
}

Test(ids, keys_go_to_the_partitions_that_the_sdk_gives_them)
{
    static const struct {
        uint32_t n;
        const char *key;
        uint32_t partition;
    } measured[] = {
        {100, "", 48},    {10, "", 8},           {7, "", 5},
        {100, "foo", 72}, {100, "\xc3\xb6", 77}, {7, "\xc3\xb6", 6},
        {100, "k0", 8},   {100, "k1", 86},       {100, "k4", 89},
    };
    json_t *root = vectors(), *v;
    size_t i;

    json_array_foreach(json_object_get(root, "keyToArrayIndex"), i, v)
    {
        json_t *key = json_object_get(v, "key");
        uint32_t n = (uint32_t)json_integer_value(json_object_get(v, "length"));

        if (json_is_string(key))
            cr_assert_eq(streamr_key_partition(n, json_string_value(key), json_string_length(key)),
                         (uint32_t)json_integer_value(json_object_get(v, "index")));
    }
    json_decref(root);
    for (i = 0; i < COUNT_OF(measured); i++)
        cr_assert_eq(streamr_key_partition(measured[i].n, measured[i].key, strlen(measured[i].key)),
                     measured[i].partition, "'%s' of %u", measured[i].key, measured[i].n);
}
