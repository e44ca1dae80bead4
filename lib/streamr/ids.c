/* ids -- stream ids, patterns over them, and partitions of keys. */
#include "streamr/internal.h"

#include "eth/eth.h"

#include <nettle/md5.h>

/* How long the domain is: up to the first slash, or all of it. */
static size_t domain_len(const char *id, size_t len)
{
    const char *slash = len != 0 ? memchr(id, '/', len) : NULL;

    return slash != NULL ? (size_t)(slash - id) : len;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

const char *streamr_stream_id_check(const char *id, size_t len)
{
    size_t domain = domain_len(id, len);
    uint8_t owner[20];
    const char *dot;

    if (len == 0)
        return "a stream id is '<address or ENS name>/<path>', and this one is empty";
    if (len > STREAMR_STREAM_ID_MAX)
        return "a stream id has at most 1024 bytes";
    if (!utf8_ok(id, len))
        return "a stream id is UTF-8";
    for (size_t i = 0; i < len; i++)
        if ((uint8_t)id[i] < 0x20 || id[i] == 0x7f)
            return "a stream id has no control characters";
    if (domain == len || domain + 1 == len)
        return "a stream id is '<address or ENS name>/<path>', and the path is missing";
    dot = memchr(id, '.', domain);
    if (!eth_address_parse(id, domain, owner) && (dot == NULL || dot == id))
        return "a stream id begins with an address (0x and 40 hex digits) or an ENS name";
    return NULL;
}

void streamr_stream_id_normalise(const char *id, size_t len, sb *out)
{
    size_t domain = domain_len(id, len), at = out->len;

    sb_append(out, id, len);
    for (size_t i = 0; i < domain; i++)
        out->data[at + i] = lower(out->data[at + i]);
}

bool streamr_stream_owner(const char *id, size_t len, uint8_t owner[20])
{
    return eth_address_parse(id, domain_len(id, len), owner);
}

bool streamr_stream_matches(const char *pattern, size_t pattern_len, const char *id, size_t len)
{
    size_t p = 0, i = 0, star = SIZE_MAX, resume = 0;

    while (i < len) {
        if (p < pattern_len && pattern[p] == '*') {
            star = p++;
            resume = i;
        } else if (p < pattern_len && pattern[p] == id[i]) {
            p++, i++;
        } else if (star != SIZE_MAX) {
            /* Let the last star take one more; earlier ones never need to change. */
            p = star + 1;
            i = ++resume;
        } else {
            return false;
        }
    }
    while (p < pattern_len && pattern[p] == '*')
        p++;
    return p == pattern_len;
}

uint32_t streamr_key_partition(uint32_t n, const char *key, size_t len)
{
    uint8_t digest[MD5_DIGEST_SIZE];
    struct md5_ctx md5;
    uint32_t x;

    must(n != 0);
    md5_init(&md5);
    md5_update(&md5, len, (const uint8_t *)key);
    md5_digest(&md5, sizeof digest, digest);
    x = (uint32_t)digest[0] | (uint32_t)digest[1] << 8 | (uint32_t)digest[2] << 16 |
        (uint32_t)digest[3] << 24;
    /* The absolute value of a signed number, 2^31 included. */
    return (x >> 31 != 0 ? 0u - x : x) % n;
}
