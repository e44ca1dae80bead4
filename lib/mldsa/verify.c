/* verify -- FIPS 204 algorithms 3 (ML-DSA.Verify) and 8 (ML-DSA.Verify_internal).
 *
 * What costs little is checked first: hints and the range of z. The matrix is made and
 * multiplied row by row, and each row of w1 goes into the hash as soon as it is there, so
 * that a verification needs the seven polynomials of z and four more. */
#include "mldsa/internal.h"

#include <nettle/sha3.h>
#include <string.h>

#define MU_LEN 64u

/* H (section 3.7) is SHAKE256, which nettle has for results of known length. */
static void mu_of(uint8_t mu[MU_LEN], const uint8_t key[MLDSA87_KEY_LEN], mldsa_part head,
                  const mldsa_part *parts, size_t n)
{
    struct sha3_256_ctx h;
    uint8_t tr[64];

    sha3_256_init(&h);
    sha3_256_update(&h, MLDSA87_KEY_LEN, key);
    sha3_256_shake(&h, sizeof tr, tr); /* and h is as after init */
    sha3_256_update(&h, sizeof tr, tr);
    if (head.len != 0)
        sha3_256_update(&h, head.len, head.bytes);
    for (size_t i = 0; i < n; i++)
        if (parts[i].len != 0)
            sha3_256_update(&h, parts[i].len, parts[i].bytes);
    sha3_256_shake(&h, MU_LEN, mu);
}

/* w = A z - c t1 2^d, one row of it; z and c are transformed already. */
static void row_of_w(poly *w, const poly z[L], const poly *c, const uint8_t *key, unsigned row)
{
    int64_t sum[N] = {0};
    poly t;

    for (unsigned i = 0; i < L; i++)
        expand_a_multiply(sum, &z[i], key, (uint8_t)row, (uint8_t)i);
    t1_unpack(&t, key + SEED_LEN + (size_t)row * T1_LEN);
    ntt(&t);
    /* At most 7 q 9q + 9q 9q: less than the 256 q^2 that can be reduced. */
    for (unsigned i = 0; i < N; i++)
        w->c[i] = mont_reduce(sum[i] - (int64_t)c->c[i] * t.c[i]);
    ntt_inverse(w);
}

bool mldsa_verify_internal(const uint8_t key[MLDSA87_KEY_LEN], mldsa_part head,
                           const mldsa_part *parts, size_t n, const uint8_t sig[MLDSA87_SIG_LEN])
{
    const uint8_t *z_bytes = sig + CHALLENGE_LEN, *hint_bytes = z_bytes + (size_t)L * Z_LEN;
    uint8_t mu[MU_LEN], hints[N], w1[W1_LEN], challenge[CHALLENGE_LEN];
    struct sha3_256_ctx h;
    poly z[L], c, w;

    if (!hint_valid(hint_bytes))
        return false;
    for (unsigned i = 0; i < L; i++)
        if (!z_unpack(&z[i], z_bytes + (size_t)i * Z_LEN))
            return false;
    for (unsigned i = 0; i < L; i++)
        ntt(&z[i]);
    sample_in_ball(&c, sig);
    ntt(&c);
    mu_of(mu, key, head, parts, n);
    sha3_256_init(&h);
    sha3_256_update(&h, sizeof mu, mu);
    for (unsigned i = 0; i < K; i++) {
        row_of_w(&w, z, &c, key, i);
        hint_row(hints, hint_bytes, i);
        w1_pack(w1, &w, hints);
        sha3_256_update(&h, sizeof w1, w1);
    }
    sha3_256_shake(&h, sizeof challenge, challenge);
    return memcmp(challenge, sig, sizeof challenge) == 0;
}

bool mldsa87_verify(const uint8_t key[MLDSA87_KEY_LEN], const mldsa_part *parts, size_t n,
                    const uint8_t sig[MLDSA87_SIG_LEN])
{
    static const uint8_t pure_without_context[2] = {0, 0};

    return mldsa_verify_internal(key, (mldsa_part){pure_without_context, 2}, parts, n, sig);
}
