/* mldsa: verification beside a signature of the real SDK, and its parts beside the words of FIPS
 * 204. */
#include "mldsa/internal.h"
#include "mldsa/mldsa.h"

#include <criterion/criterion.h>
#include <jansson.h>

typedef struct sample {
    uint8_t key[MLDSA87_KEY_LEN], sig[MLDSA87_SIG_LEN];
    uint8_t *message;
    size_t len;
} sample;

static void unhex(uint8_t *out, size_t len, json_t *hex)
{
    cr_assert_eq(json_string_length(hex), 2 * len);
    cr_assert(hex_decode(out, json_string_value(hex), 2 * len));
}

/* The message of the vectors that has this type; its message is freed by the caller. */
static sample sample_read(void)
{
    json_t *root = json_load_file(TEST_VECTORS "/streamr.json", 0, NULL), *v;
    sample s = {.message = NULL};
    size_t i;

    cr_assert_not_null(root);
    unhex(s.key, sizeof s.key, json_object_get(json_object_get(root, "mlDsa87Key"), "publicKey"));
    json_array_foreach(json_object_get(root, "streamMessages"), i, v)
    {
        json_t *payload = json_object_get(v, "signedPayload");

        if (strcmp(json_string_value(json_object_get(v, "name")), "ml-dsa-87") != 0)
            continue;
        unhex(s.sig, sizeof s.sig, json_object_get(v, "signature"));
        s.len = json_string_length(payload) / 2;
        s.message = malloc(s.len);
        unhex(s.message, s.len, payload);
    }
    cr_assert_not_null(s.message);
    json_decref(root);
    return s;
}

static bool valid(const sample *s)
{
    return mldsa87_verify(s->key, &(mldsa_part){s->message, s->len}, 1, s->sig);
}

Test(verify, takes_a_signature_of_the_sdk_however_the_message_is_cut)
{
    sample s = sample_read();

    cr_assert(valid(&s));
    for (size_t cut = 0; cut <= s.len; cut += 97) {
        mldsa_part parts[] = {{s.message, cut}, {NULL, 0}, {s.message + cut, s.len - cut}};

        cr_assert(mldsa87_verify(s.key, parts, 3, s.sig), "cut at %zu", cut);
    }
    cr_assert_not(mldsa87_verify(s.key, NULL, 0, s.sig), "another message");
    free(s.message);
}

Test(verify, notices_every_bit)
{
    sample s = sample_read();

    for (size_t at = 0; at < sizeof s.sig; at += at < sizeof s.sig - HINT_LEN - 50 ? 41 : 1) {
        s.sig[at] ^= (uint8_t)(1 << at % 8);
        cr_assert_not(valid(&s), "byte %zu of the signature", at);
        s.sig[at] ^= (uint8_t)(1 << at % 8);
    }
    for (size_t at = 0; at < sizeof s.key; at += 37) {
        s.key[at] ^= (uint8_t)(1 << at % 8);
        cr_assert_not(valid(&s), "byte %zu of the key", at);
        s.key[at] ^= (uint8_t)(1 << at % 8);
    }
    for (size_t at = 0; at < s.len; at += 103) {
        s.message[at] ^= 1;
        cr_assert_not(valid(&s), "byte %zu of the message", at);
        s.message[at] ^= 1;
    }
    cr_assert(valid(&s));
    free(s.message);
}

Test(verify, a_context_that_is_not_empty_is_another_message)
{
    sample s = sample_read();
    mldsa_part message = {s.message, s.len};

    cr_assert(mldsa_verify_internal(s.key, (mldsa_part){"\0\0", 2}, &message, 1, s.sig));
    cr_assert_not(mldsa_verify_internal(s.key, (mldsa_part){"\0\1x", 3}, &message, 1, s.sig));
    cr_assert_not(mldsa_verify_internal(s.key, (mldsa_part){"\1\0", 2}, &message, 1, s.sig));
    cr_assert_not(mldsa_verify_internal(s.key, (mldsa_part){NULL, 0}, &message, 1, s.sig));
    free(s.message);
}

static sample vector_read(json_t *key, json_t *test)
{
    json_t *message = json_object_get(test, "message");
    sample s = {.len = json_string_length(message) / 2};

    unhex(s.key, sizeof s.key, key);
    unhex(s.sig, sizeof s.sig, json_object_get(test, "signature"));
    s.message = malloc(s.len);
    unhex(s.message, s.len, message);
    return s;
}

Test(verify, says_what_nist_says)
{
    json_t *root = json_load_file(TEST_VECTORS "/mldsa.json", 0, NULL);
    json_t *acvp = json_object_get(root, "acvp"), *test;
    size_t i;

    cr_assert_eq(json_array_size(json_object_get(acvp, "tests")), 15);
    json_array_foreach(json_object_get(acvp, "tests"), i, test)
    {
        sample s = vector_read(json_object_get(acvp, "key"), test);
        bool want = json_is_true(json_object_get(test, "valid"));

        cr_assert_eq(mldsa_verify_internal(s.key, (mldsa_part){s.message, s.len}, NULL, 0, s.sig),
                     want, "case %zu: %s", i, json_string_value(json_object_get(test, "reason")));
        free(s.message);
    }
    json_decref(root);
}

Test(verify, draws_coefficients_that_are_q_again)
{
    json_t *root = json_load_file(TEST_VECTORS "/mldsa.json", 0, NULL);
    json_t *test = json_object_get(root, "drawnAgain");
    sample s = vector_read(json_object_get(test, "key"), test);

    cr_assert(valid(&s));
    free(s.message);
    json_decref(root);
}

/* ---- Coding ---- */

Test(hints, are_valid_in_one_form_only)
{
    static const uint8_t ends[K] = {2, 2, 3, 3, 3, 3, 3, 5};
    uint8_t good[HINT_LEN] = {7, 9, 0, 0, 255}, bad[HINT_LEN], row[N];

    memcpy(good + OMEGA, ends, K);
    cr_assert(hint_valid(good));
    hint_row(row, good, 0);
    cr_assert(row[7] == 1 && row[9] == 1 && row[0] == 0);
    hint_row(row, good, 7);
    cr_assert(row[0] == 1 && row[255] == 1 && row[7] == 0);
#define REFUSED(change)                                                                            \
    do {                                                                                           \
        memcpy(bad, good, sizeof bad);                                                             \
        change;                                                                                    \
        cr_assert_not(hint_valid(bad), "%s", #change);                                             \
    } while (0)
    REFUSED(bad[0] = 9; bad[1] = 7);
    REFUSED(bad[0] = 9);
    REFUSED(bad[5] = 1);
    REFUSED(bad[OMEGA - 1] = 255);
    REFUSED(bad[OMEGA + 1] = 1);
    REFUSED(bad[OMEGA + K - 1] = 76);
    REFUSED(bad[OMEGA + K - 1] = 255);
    REFUSED(bad[OMEGA + K - 1] = 2);
    REFUSED(memset(bad + OMEGA, 76, K));
    /* All rising, and one more that would lie in the ends. */
    REFUSED(for (unsigned i = 0; i < OMEGA; i++) bad[i] = (uint8_t)i; memset(bad + OMEGA, OMEGA, K);
            bad[OMEGA + K - 1] = OMEGA + 1);
#undef REFUSED
    memset(bad, 0, sizeof bad);
    cr_assert(hint_valid(bad), "no hints at all");
    for (unsigned i = 0; i < OMEGA; i++)
        bad[i] = (uint8_t)(3 * i);
    memset(bad + OMEGA, OMEGA, K);
    cr_assert(hint_valid(bad), "as many as there may be");
}

/* The bytes of z with this value in one coefficient, 0 in the others. */
static bool z_takes(int32_t value, unsigned at)
{
    uint8_t bytes[Z_LEN] = {0};
    bool ok;
    poly z;

    for (unsigned i = 0; i < N; i++) {
        uint32_t x = (uint32_t)(GAMMA1 - (i == at ? value : 0));

        for (unsigned bit = 0; bit < 20; bit++)
            if ((x >> bit & 1) != 0)
                bytes[(20 * i + bit) / 8] |= (uint8_t)(1 << (20 * i + bit) % 8);
    }
    ok = z_unpack(&z, bytes);
    for (unsigned i = 0; i < N; i++)
        cr_assert_eq(z.c[i], i == at ? value : 0, "coefficient %u", i);
    return ok;
}

Test(z, is_taken_below_gamma1_minus_beta)
{
    for (unsigned at = 0; at < N; at += 51) {
        cr_assert(z_takes(GAMMA1 - BETA - 1, at));
        cr_assert(z_takes(-(GAMMA1 - BETA - 1), at));
        cr_assert_not(z_takes(GAMMA1 - BETA, at));
        cr_assert_not(z_takes(-(GAMMA1 - BETA), at));
        cr_assert_not(z_takes(GAMMA1, at));
        cr_assert_not(z_takes(-(GAMMA1 - 1), at));
    }
}

/* Algorithms 36 and 40, word for word. */
static int32_t use_hint(int32_t r, int hint)
{
    int32_t low = r % (2 * GAMMA2), high;

    if (low > GAMMA2)
        low -= 2 * GAMMA2;
    if (r - low == Q - 1)
        high = 0, low--;
    else
        high = (r - low) / (2 * GAMMA2);
    if (hint == 1 && low > 0)
        return (high + 1) % 16;
    if (hint == 1)
        return (high - 1 + 16) % 16;
    return high;
}

Test(w1, is_what_decompose_and_use_hint_say)
{
    uint8_t hints[N] = {0}, out[W1_LEN];
    poly w = {.c = {0}};

    hints[1] = 1;
    for (int32_t step = 0; step <= 32; step++)
        for (int32_t r = step * GAMMA2 - 300; r <= step * GAMMA2 + 300; r++) {
            if (r < 0 || r >= Q)
                continue;
            w.c[0] = w.c[1] = r;
            w1_pack(out, &w, hints);
            cr_assert_eq(out[0], use_hint(r, 0) | use_hint(r, 1) << 4, "%d", r);
        }
}

/* ---- Arithmetic ---- */

static int32_t modq(int64_t x)
{
    return (int32_t)((x % Q + Q) % Q);
}

/* a times b modulo x^256 + 1, as one learns it at school. */
static void multiply(poly *out, const poly *a, const poly *b)
{
    for (unsigned i = 0; i < N; i++) {
        int64_t sum = 0;

        for (unsigned j = 0; j < N; j++) {
            int64_t product = (int64_t)a->c[j] * b->c[(i - j) % N] % Q;

            sum += j <= i ? product : -product;
        }
        out->c[i] = modq(sum);
    }
}

static void expect_product(const poly *a, const poly *b)
{
    poly want, x = *a, y = *b;

    multiply(&want, a, b);
    ntt(&x);
    ntt(&y);
    for (unsigned i = 0; i < N; i++) {
        cr_assert(abs(x.c[i]) < 9 * Q && abs(y.c[i]) < 9 * Q);
        x.c[i] = mont_reduce((int64_t)x.c[i] * y.c[i]);
    }
    ntt_inverse(&x);
    for (unsigned i = 0; i < N; i++)
        cr_assert_eq(x.c[i], want.c[i], "coefficient %u: %d, not %d", i, x.c[i], want.c[i]);
}

Test(ntt, multiplies)
{
    poly a, b;

    for (int round = 0; round < 20; round++) {
        for (unsigned i = 0; i < N; i++) {
            uint32_t bits[2];

            random_bytes(bits, sizeof bits);
            a.c[i] = (int32_t)(bits[0] % (2 * Q - 1)) - (Q - 1);
            b.c[i] = (int32_t)(bits[1] % Q);
        }
        expect_product(&a, &b);
    }
    for (int sign = -1; sign <= 1; sign += 2) {
        for (unsigned i = 0; i < N; i++)
            a.c[i] = sign * (Q - 1), b.c[i] = i % 2 == 0 ? Q - 1 : 1 - Q;
        expect_product(&a, &b);
        expect_product(&a, &a);
    }
}

Test(ntt, largest_sums_fit)
{
    poly p;

    /* What ntt_inverse() may be given: the sums double in each layer, to 256 times this. */
    for (unsigned i = 0; i < N; i++)
        p.c[i] = Q - 1;
    ntt_inverse(&p);
    for (unsigned i = 0; i < N; i++)
        cr_assert(p.c[i] >= 0 && p.c[i] < Q);
    for (int sign = -1; sign <= 1; sign += 2) {
        int64_t x = sign * (((int64_t)Q << 31) - 1);

        cr_assert_eq(modq(((int64_t)1 << 32) % Q * mont_reduce(x)), modq(x));
    }
}

Test(challenge, has_tau_coefficients_of_plus_or_minus_one)
{
    uint8_t seed[CHALLENGE_LEN];
    unsigned plus = 0;

    for (unsigned round = 0; round < 200; round++) {
        unsigned set = 0;
        poly c;

        memset(seed, (int)round, sizeof seed);
        sample_in_ball(&c, seed);
        for (unsigned i = 0; i < N; i++) {
            cr_assert(c.c[i] >= -1 && c.c[i] <= 1);
            set += c.c[i] != 0;
            plus += c.c[i] == 1;
        }
        cr_assert_eq(set, TAU);
    }
    cr_assert(plus > 200 * TAU * 4 / 10 && plus < 200 * TAU * 6 / 10, "%u are positive", plus);
}
