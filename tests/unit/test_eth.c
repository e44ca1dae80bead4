/* eth: hashes, addresses and signatures; what is accepted was measured on the Streamr SDK. */
#include "eth/eth.h"

#include <criterion/criterion.h>
#include <jansson.h>

static json_t *vectors(void)
{
    json_error_t error;
    json_t *root = json_load_file(TEST_VECTORS "/streamr.json", 0, &error);

    cr_assert_not_null(root, "%s", error.text);
    return root;
}

static size_t unhex(const char *hex, uint8_t *to)
{
    cr_assert(hex_decode(to, hex, strlen(hex)), "bad hex '%s'", hex);
    return strlen(hex) / 2;
}

static void expect_hex(const uint8_t *bytes, size_t len, const char *hex)
{
    char text[300];

    hex_encode(text, bytes, len);
    text[2 * len] = '\0';
    cr_assert_str_eq(text, hex);
}

static const char *str(json_t *object, const char *key)
{
    const char *s = json_string_value(json_object_get(object, key));

    cr_assert_not_null(s, "the vectors have no '%s'", key);
    return s;
}

Test(keccak, agrees_with_the_vectors)
{
    json_t *root = vectors(), *v;
    size_t i;

    json_array_foreach(json_object_get(root, "hashing"), i, v)
    {
        const char *text = str(v, "utf8");
        eth_part part = {text, strlen(text)};
        uint8_t hash[32];

        eth_keccak256(text, strlen(text), hash);
        expect_hex(hash, 32, str(v, "keccak256"));
        eth_personal_digest(&part, 1, hash);
        expect_hex(hash, 32, str(v, "keccak256WithEthereumPrefix"));
    }
    json_decref(root);
}

Test(keccak, pieces_hash_like_the_whole_at_every_cut_around_a_block)
{
    uint8_t bytes[300], whole[32], cut[32];

    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 7);
    for (size_t len = 130; len < 280; len += (len == 140 ? 128 : 1)) {
        eth_keccak256(bytes, len, whole);
        for (size_t at = 0; at <= len; at += 3) {
            eth_part parts[] = {{bytes, at},
                                {NULL, 0},
                                {bytes + at, 1 <= len - at ? 1 : 0},
                                {bytes + at + (1 <= len - at), len - at - (1 <= len - at)}};

            eth_keccak256_parts(parts, COUNT_OF(parts), cut);
            cr_assert_eq(memcmp(whole, cut, 32), 0, "%zu bytes cut at %zu", len, at);
        }
    }
}

Test(keys, give_the_public_key_and_address_of_the_vectors)
{
    json_t *root = vectors(), *v;
    size_t i;

    json_array_foreach(json_object_get(root, "keys"), i, v)
    {
        uint8_t key[32], pub[64], address[20];
        char text[43];

        unhex(str(v, "privateKey"), key);
        cr_assert(eth_key_public(key, pub));
        expect_hex(pub, 64, str(v, "publicKeyUncompressed") + 2);
        eth_address_of(pub, address);
        eth_address_text(address, text);
        cr_assert_str_eq(text, str(v, "address"));
    }
    json_decref(root);
}

Test(keys, zero_and_the_group_order_are_refused)
{
    uint8_t key[32] = {0}, pub[64];

    cr_assert_not(eth_key_public(key, pub));
    unhex("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141", key);
    cr_assert_not(eth_key_public(key, pub));
    key[31]--;
    cr_assert(eth_key_public(key, pub));
}

Test(address, checksum_text_is_that_of_eip_55)
{
    static const char *const texts[] = {
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
        "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB", "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb"};

    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        uint8_t address[20];
        char text[43];

        cr_assert(eth_address_parse(texts[i], 42, address));
        eth_address_checksum_text(address, text);
        cr_assert_str_eq(text, texts[i]);
    }
}

Test(address, parses_exactly_forty_digits_after_0x)
{
    const char *good = "0x19E7e376e7c213b7e7e7e46cc70a5dd086daff2a";
    uint8_t address[20];
    char bad[64];

    cr_assert(eth_address_parse(good, 42, address));
    cr_assert_not(eth_address_parse(good, 41, address));
    cr_assert_not(eth_address_parse(good + 1, 41, address));
    cr_assert_not(eth_address_parse("", 0, address));
    snprintf(bad, sizeof bad, "%sa", good);
    cr_assert_not(eth_address_parse(bad, 43, address));
    snprintf(bad, sizeof bad, "%s", good);
    bad[1] = 'X';
    cr_assert_not(eth_address_parse(bad, 42, address));
    bad[1] = 'x', bad[10] = 'g';
    cr_assert_not(eth_address_parse(bad, 42, address));
}

/* order - s, big-endian. */
static void negate(uint8_t s[32], const char *order_hex)
{
    uint8_t order[32];
    int borrow = 0;

    unhex(order_hex, order);
    for (int i = 31; i >= 0; i--) {
        int d = order[i] - s[i] - borrow;

        borrow = d < 0;
        s[i] = (uint8_t)(d & 0xff);
    }
}

#define K1_ORDER "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"
#define R1_ORDER "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551"

/* The first signed message of the vectors. */
#define DIGEST "f2ff247331c05941059eb676c26fba4a172e0fa8299ce504651f957e2c40b02e"
#define SIG_R  "dee00cf34478a93f8427d36a7dedab1e3f40f7a636418c1d05e6673187b546db"
#define SIG_S  "3c0ce1eebb20b6e6295f9f665be06fb347ec78fbc28af99873fb46c259f407de"
#define SIGNER "19e7e376e7c213b7e7e7e46cc70a5dd086daff2a"

/* Whom r || s || v of DIGEST leads to, "" for nobody. */
static const char *recovered(const char *r, const char *s, unsigned v)
{
    static char text[41];
    uint8_t digest[32], sig[65], pub[64], address[20];

    unhex(DIGEST, digest);
    unhex(r, sig);
    unhex(s, sig + 32);
    sig[64] = (uint8_t)v;
    if (!eth_recover(digest, sig, pub))
        return "";
    eth_address_of(pub, address);
    hex_encode(text, address, 20);
    return text;
}

Test(recover, takes_v_27_and_28_as_the_sdk_does)
{
    cr_assert_str_eq(recovered(SIG_R, SIG_S, 28), SIGNER);
    cr_assert_str_eq(recovered(SIG_R, SIG_S, 27), "dd3d5b4b2def24aa09f90f80512a8e7bb208d7a9");
    cr_assert_str_eq(recovered(SIG_R, SIG_S, 1), SIGNER);
}

Test(recover, refuses_every_other_v)
{
    for (unsigned v = 0; v < 256; v++)
        if (v != 0 && v != 1 && v != 27 && v != 28)
            cr_assert_str_eq(recovered(SIG_R, SIG_S, v), "", "v %u led to a key", v);
}

Test(recover, adds_the_order_to_a_small_r_when_v_is_29_or_30_as_the_sdk_does)
{
    static const struct {
        unsigned r, v;
        const char *who;
    } cases[] = {
        {2, 27, "be731b1dcd5f5d8c2d0c230a458c6dbd04b1f3fb"},
        {2, 28, "40b3ca8334a99cfc1f47c13a0ebe9ee208e30197"},
        {2, 29, "84e68ec345c8baca13cd0b7bddd623288babcdbd"},
        {2, 30, "148a51a4f01aa9ef486cd9a53b855be335e5738d"},
        {1, 27, "5e274c037998c0eda060d7225337a6cca92620c8"},
        {1, 29, ""},
        {4, 30, "7d1c01461ecf12ad58a9fb4de07a818165a0fa24"},
        {5, 27, ""},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char r[65];

        snprintf(r, sizeof r, "%064x", cases[i].r);
        cr_assert_str_eq(recovered(r, SIG_S, cases[i].v), cases[i].who, "r %u v %u", cases[i].r,
                         cases[i].v);
    }
}

Test(recover, takes_high_s_with_the_other_v_as_the_sdk_does)
{
    char high[65];
    uint8_t s[32];

    unhex(SIG_S, s);
    negate(s, K1_ORDER);
    hex_encode(high, s, 32);
    high[64] = '\0';
    cr_assert_str_eq(recovered(SIG_R, high, 27), SIGNER);
    cr_assert_str_eq(recovered(SIG_R, high, 28), "dd3d5b4b2def24aa09f90f80512a8e7bb208d7a9");
}

Test(recover, refuses_r_and_s_that_are_zero_or_not_below_the_order)
{
    const char *zero = "0000000000000000000000000000000000000000000000000000000000000000";
    const char *above = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364142";

    for (unsigned v = 27; v <= 30; v++) {
        cr_assert_str_eq(recovered(zero, SIG_S, v), "");
        cr_assert_str_eq(recovered(SIG_R, zero, v), "");
        cr_assert_str_eq(recovered(K1_ORDER, SIG_S, v), "");
        cr_assert_str_eq(recovered(SIG_R, K1_ORDER, v), "");
        cr_assert_str_eq(recovered(SIG_R, above, v), "");
    }
}

Test(sign, makes_the_signature_of_the_vectors)
{
    uint8_t digest[32], key[32], sig[65];

    unhex(DIGEST, digest);
    memset(key, 0x11, sizeof key);
    eth_sign(digest, key, sig);
    expect_hex(sig, 65, SIG_R SIG_S "1c");
}

/* The P-256 message of the vectors. */
typedef struct p256_case {
    uint8_t key[33], sig[64], payload[1024];
    size_t len;
} p256_case;

static p256_case p256_load(void)
{
    json_t *root = vectors(), *v;
    p256_case c = {.len = 0};
    size_t i;

    json_array_foreach(json_object_get(root, "streamMessages"), i, v)
    {
        if (strcmp(str(v, "name"), "secp256r1") != 0)
            continue;
        unhex(str(json_object_get(v, "fields"), "publisherId") + 2, c.key);
        unhex(str(v, "signature"), c.sig);
        c.len = unhex(str(v, "signedPayload"), c.payload);
    }
    json_decref(root);
    cr_assert_neq(c.len, 0);
    return c;
}

static bool p256_ok(const p256_case *c)
{
    eth_part parts[] = {{c->payload, 10}, {c->payload + 10, c->len - 10}};

    return eth_p256_verify(parts, 2, c->key, c->sig);
}

Test(p256, accepts_the_vector_and_its_high_s_twin_as_the_sdk_does)
{
    p256_case c = p256_load();

    cr_assert(p256_ok(&c));
    negate(c.sig + 32, R1_ORDER);
    cr_assert(p256_ok(&c));
}

Test(p256, refuses_what_the_sdk_refuses)
{
    p256_case good = p256_load(), c = good;

    memset(c.sig, 0, 32);
    cr_assert_not(p256_ok(&c), "r zero");
    c = good, memset(c.sig + 32, 0, 32);
    cr_assert_not(p256_ok(&c), "s zero");
    c = good, unhex(R1_ORDER, c.sig + 32);
    cr_assert_not(p256_ok(&c), "s the order");
    c = good, c.key[0] ^= 1;
    cr_assert_not(p256_ok(&c), "the other point of this x");
    c = good, c.key[0] = 4;
    cr_assert_not(p256_ok(&c), "first byte 4");
    c = good, c.key[32] ^= 1;
    cr_assert_not(p256_ok(&c), "x off the curve");
    c = good, memset(c.key + 1, 0xff, 32);
    cr_assert_not(p256_ok(&c), "x above the field");
    c = good, c.payload[c.len - 1] ^= 1;
    cr_assert_not(p256_ok(&c), "another payload");
    for (unsigned i = 0; i < 64; i++) {
        c = good, c.sig[i] ^= 0x10;
        cr_assert_not(p256_ok(&c), "byte %u of the signature changed", i);
    }
}

Test(p256, signs_what_it_then_verifies)
{
    p256_case c = p256_load();
    eth_part part = {c.payload, c.len};
    uint8_t key[32], pub[33], zero[32] = {0};

    memset(key, 0x33, sizeof key);
    cr_assert(eth_p256_sign(&part, 1, key, c.sig, pub));
    cr_assert_eq(memcmp(pub, c.key, 33), 0);
    cr_assert(p256_ok(&c));
    cr_assert_not(eth_p256_sign(&part, 1, zero, c.sig, pub));
    unhex(R1_ORDER, key);
    cr_assert_not(eth_p256_sign(&part, 1, key, c.sig, pub));
}
