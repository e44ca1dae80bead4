/* coding -- keys, signatures and high bits as bytes: FIPS 204 algorithms 23 (pkDecode), 27
 * (sigDecode), 21 (HintBitUnpack), 28 (w1Encode), 36 (Decompose) and 40 (UseHint).
 *
 * Polynomials are packed with fixed widths, so the lengths are all there is to bound; only
 * hints have a form of their own. */
#include "mldsa/internal.h"

#include <string.h>

void t1_unpack(poly *t, const uint8_t in[T1_LEN])
{
    /* Four of 10 bits in five bytes. */
    for (unsigned i = 0; i < N; i += 4, in += 5) {
        t->c[i] = (in[0] | (in[1] & 0x03) << 8) << D;
        t->c[i + 1] = (in[1] >> 2 | (in[2] & 0x0f) << 6) << D;
        t->c[i + 2] = (in[2] >> 4 | (in[3] & 0x3f) << 4) << D;
        t->c[i + 3] = (in[3] >> 6 | in[4] << 2) << D;
    }
}

bool z_unpack(poly *z, const uint8_t in[Z_LEN])
{
    uint32_t beyond = 0;

    /* Two of 20 bits in five bytes, each what gamma1 is more than the coefficient. */
    for (unsigned i = 0; i < N; i += 2, in += 5) {
        int32_t a = GAMMA1 - (in[0] | in[1] << 8 | (in[2] & 0x0f) << 16);
        int32_t b = GAMMA1 - (in[2] >> 4 | in[3] << 4 | in[4] << 12);

        beyond |= a <= BETA - GAMMA1 || a >= GAMMA1 - BETA;
        beyond |= b <= BETA - GAMMA1 || b >= GAMMA1 - BETA;
        z->c[i] = a;
        z->c[i + 1] = b;
    }
    return beyond == 0;
}

bool hint_valid(const uint8_t in[HINT_LEN])
{
    const uint8_t *ends = in + OMEGA; /* where the positions of each row end */
    unsigned at = 0;

    for (unsigned i = 0; i < K; i++) {
        unsigned first = at;

        if (ends[i] < at || ends[i] > OMEGA)
            return false;
        for (; at < ends[i]; at++)
            if (at > first && in[at - 1] >= in[at])
                return false;
    }
    for (; at < OMEGA; at++)
        if (in[at] != 0)
            return false;
    return true;
}

void hint_row(uint8_t row[N], const uint8_t in[HINT_LEN], unsigned i)
{
    const uint8_t *ends = in + OMEGA;

    memset(row, 0, N);
    for (unsigned at = i == 0 ? 0 : ends[i - 1]; at < ends[i]; at++)
        row[in[at]] = 1;
}

/* r is 0 to q - 1. The high part counts steps of 2 gamma2 to the nearest; what is nearest to
 * q counts as nearest to 0, from below. A hint moves it one step to the low part's side. */
static unsigned use_hint(int32_t r, uint8_t hint)
{
    int32_t high = (r + GAMMA2 - 1) / (2 * GAMMA2);
    int32_t low = r - high * 2 * GAMMA2;

    if (hint != 0)
        high += low > 0 ? 1 : -1;
    return (unsigned)high % 16;
}

void w1_pack(uint8_t out[W1_LEN], const poly *w, const uint8_t hints[N])
{
    for (unsigned i = 0; i < N; i += 2)
        out[i / 2] =
            (uint8_t)(use_hint(w->c[i], hints[i]) | use_hint(w->c[i + 1], hints[i + 1]) << 4);
}
