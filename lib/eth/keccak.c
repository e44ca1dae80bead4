/* keccak -- Keccak-256 as Ethereum uses it, over pieces that lie apart.
 *
 * The permutation is nettle's; the sponge is here because libraries only offer
 * SHA3-256, which pads with 0x06 where Ethereum pads with 0x01. */
#include "eth/eth.h"

#include <nettle/sha3.h>
#include <stdio.h>
#include <string.h>

#define RATE 136u

typedef struct sponge {
    struct sha3_state state;
    size_t filled; /* of block */
    uint8_t block[RATE];
} sponge;

/* Lanes are little-endian whatever the machine is; compilers make this one load. */
static uint64_t lane_load(const uint8_t *p)
{
    uint64_t x = 0;

    for (unsigned i = 0; i < 8; i++)
        x |= (uint64_t)p[i] << 8 * i;
    return x;
}

static void absorb(sponge *s, const uint8_t *block)
{
    for (unsigned i = 0; i < RATE / 8; i++)
        s->state.a[i] ^= lane_load(block + (size_t)8 * i);
    sha3_permute(&s->state);
}

static void sponge_add(sponge *s, const void *bytes, size_t len)
{
    const uint8_t *p = bytes;

    if (len == 0)
        return;
    if (s->filled != 0) {
        size_t take = len < RATE - s->filled ? len : RATE - s->filled;

        memcpy(s->block + s->filled, p, take);
        s->filled += take;
        p += take;
        len -= take;
        if (s->filled < RATE)
            return;
        absorb(s, s->block);
        s->filled = 0;
    }
    for (; len >= RATE; p += RATE, len -= RATE)
        absorb(s, p);
    memcpy(s->block, p, len);
    s->filled = len;
}

static void sponge_end(sponge *s, uint8_t out[32])
{
    memset(s->block + s->filled, 0, RATE - s->filled);
    s->block[s->filled] = 0x01;
    s->block[RATE - 1] |= 0x80;
    absorb(s, s->block);
    for (unsigned i = 0; i < 32; i++)
        out[i] = (uint8_t)(s->state.a[i / 8] >> 8 * (i % 8));
}

void eth_keccak256_parts(const eth_part *parts, size_t n, uint8_t out[32])
{
    sponge s;

    memset(&s.state, 0, sizeof s.state);
    s.filled = 0;
    for (size_t i = 0; i < n; i++)
        sponge_add(&s, parts[i].bytes, parts[i].len);
    sponge_end(&s, out);
}

void eth_keccak256(const void *bytes, size_t len, uint8_t out[32])
{
    eth_keccak256_parts(&(eth_part){bytes, len}, 1, out);
}

void eth_personal_digest(const eth_part *parts, size_t n, uint8_t out[32])
{
    char prefix[64];
    size_t total = 0;
    sponge s;
    int len;

    for (size_t i = 0; i < n; i++)
        total += parts[i].len;
    len = snprintf(prefix, sizeof prefix, "\x19%s%zu", "Ethereum Signed Message:\n", total);
    memset(&s.state, 0, sizeof s.state);
    s.filled = 0;
    sponge_add(&s, prefix, (size_t)len);
    for (size_t i = 0; i < n; i++)
        sponge_add(&s, parts[i].bytes, parts[i].len);
    sponge_end(&s, out);
}
