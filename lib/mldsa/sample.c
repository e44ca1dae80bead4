/* sample -- polynomials out of seeds: FIPS 204 algorithms 32 (ExpandA), 30 (RejNTTPoly), 14
 * (CoeffFromThreeBytes) and 29 (SampleInBall).
 *
 * The seeds are shorter than a block, so a sponge (FIPS 202, SHAKE) begins as its state
 * with the seed in it and only gives. The permutation is nettle's. */
#include "mldsa/internal.h"

#include <nettle/sha3.h>
#include <string.h>

#define RATE_128 168u /* bytes of a block of SHAKE128 */
#define RATE_256 136u

/* Lanes are little-endian whatever the machine is; compilers make this one load. */
static uint64_t lane_load(const uint8_t *p)
{
    uint64_t x = 0;

    for (unsigned i = 0; i < 8; i++)
        x |= (uint64_t)p[i] << 8 * i;
    return x;
}

/* seed fills whole lanes; tail follows it, with the padding's first byte behind it. */
static void sponge_start(struct sha3_state *s, unsigned rate, const uint8_t *seed, size_t len,
                         uint64_t tail)
{
    memset(s, 0, sizeof *s);
    for (size_t i = 0; i < len / 8; i++)
        s->a[i] = lane_load(seed + 8 * i);
    s->a[len / 8] = tail;
    s->a[rate / 8 - 1] |= (uint64_t)0x80 << 56;
}

/* The next block. */
static void sponge_give(struct sha3_state *s, uint8_t *out, unsigned rate)
{
    sha3_permute(s);
    for (unsigned i = 0; i < rate; i++)
        out[i] = (uint8_t)(s->a[i / 8] >> 8 * (i % 8));
}

void expand_a_multiply(int64_t sum[N], const poly *z, const uint8_t rho[SEED_LEN], uint8_t row,
                       uint8_t column)
{
    uint8_t block[RATE_128];
    struct sha3_state s;
    unsigned n = 0;

    sponge_start(&s, RATE_128, rho, SEED_LEN, (uint64_t)0x1f << 16 | (uint64_t)row << 8 | column);
    while (n < N) {
        sponge_give(&s, block, RATE_128);
        for (unsigned i = 0; i < RATE_128 && n < N; i += 3) {
            int32_t a = block[i] | block[i + 1] << 8 | (block[i + 2] & 0x7f) << 16;

            if (a < Q) {
                sum[n] += (int64_t)a * z->c[n];
                n++;
            }
        }
    }
}

void sample_in_ball(poly *c, const uint8_t seed[CHALLENGE_LEN])
{
    uint8_t block[RATE_256];
    struct sha3_state s;
    unsigned at = 8;
    uint64_t signs;

    sponge_start(&s, RATE_256, seed, CHALLENGE_LEN, 0x1f);
    sponge_give(&s, block, RATE_256);
    signs = lane_load(block);
    memset(c, 0, sizeof *c);
    for (unsigned i = N - TAU; i < N; signs >>= 1) {
        uint8_t j;

        do {
            if (at == RATE_256) {
                sponge_give(&s, block, RATE_256);
                at = 0;
            }
            j = block[at++];
        } while (j > i);
        c->c[i++] = c->c[j];
        c->c[j] = (signs & 1) != 0 ? -1 : 1;
    }
}
