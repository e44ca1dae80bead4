/* abi -- see abi.h. */
#include "eth/abi.h"

#include "eth/eth.h"

#include <string.h>

/* ---- writing ---- */

void abi_topic(const char *signature, uint8_t out[32])
{
    eth_keccak256(signature, strlen(signature), out);
}

void abi_selector(const char *signature, uint8_t out[4])
{
    uint8_t hash[32];

    abi_topic(signature, hash);
    memcpy(out, hash, 4);
}

static size_t padded(size_t len)
{
    return (len + ABI_WORD - 1) / ABI_WORD * ABI_WORD;
}

static void put_number(sb *out, uint64_t x)
{
    uint8_t word[ABI_WORD] = {0};

    put_u64be(word + ABI_WORD - 8, x);
    sb_append(out, word, sizeof word);
}

static void put_padding(sb *out, size_t len)
{
    static const uint8_t zeros[ABI_WORD];

    sb_append(out, zeros, len);
}

static void put_head(sb *out, const abi_value *v, size_t *tail)
{
    switch (v->kind) {
    case ABI_NUMBER:
        put_number(out, v->number);
        break;
    case ABI_ADDRESS:
        put_padding(out, ABI_WORD - 20);
        sb_append(out, v->bytes, 20);
        break;
    case ABI_BYTES32:
        sb_append(out, v->bytes, 32);
        break;
    case ABI_BYTES:
        put_number(out, *tail);
        *tail += ABI_WORD + padded(v->len);
    }
}

void abi_put(sb *out, const abi_value *args, size_t n)
{
    size_t tail = n * ABI_WORD;

    for (size_t i = 0; i < n; i++)
        put_head(out, &args[i], &tail);
    for (size_t i = 0; i < n; i++) {
        if (args[i].kind != ABI_BYTES)
            continue;
        put_number(out, args[i].len);
        sb_append(out, args[i].bytes, args[i].len);
        put_padding(out, padded(args[i].len) - args[i].len);
    }
}

void abi_put_call(sb *out, const char *signature, const abi_value *args, size_t n)
{
    uint8_t selector[4];

    abi_selector(signature, selector);
    sb_append(out, selector, sizeof selector);
    abi_put(out, args, n);
}

/* ---- reading ---- */

static const uint8_t *word_at(abi_tuple t, size_t i)
{
    return i < t.len / ABI_WORD ? t.bytes + i * ABI_WORD : NULL;
}

static bool is_zero(const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (bytes[i] != 0)
            return false;
    return true;
}

bool abi_get_u64(abi_tuple t, size_t i, uint64_t *out)
{
    const uint8_t *word = word_at(t, i);

    if (word == NULL)
        return false;
    *out = is_zero(word, ABI_WORD - 8) ? get_u64be(word + ABI_WORD - 8) : UINT64_MAX;
    return true;
}

bool abi_get_i64(abi_tuple t, size_t i, int64_t *out)
{
    uint64_t x;

    if (!abi_get_u64(t, i, &x))
        return false;
    *out = x <= INT64_MAX ? (int64_t)x : INT64_MAX;
    return true;
}

bool abi_get_bool(abi_tuple t, size_t i, bool *out)
{
    uint64_t x;

    if (!abi_get_u64(t, i, &x) || x > 1)
        return false;
    *out = x == 1;
    return true;
}

bool abi_get_address(abi_tuple t, size_t i, uint8_t out[20])
{
    const uint8_t *word = word_at(t, i);

    if (word == NULL || !is_zero(word, ABI_WORD - 20))
        return false;
    memcpy(out, word + ABI_WORD - 20, 20);
    return true;
}

bool abi_get_bytes32(abi_tuple t, size_t i, uint8_t out[32])
{
    const uint8_t *word = word_at(t, i);

    if (word == NULL)
        return false;
    memcpy(out, word, 32);
    return true;
}

bool abi_get_tuple(abi_tuple t, size_t i, abi_tuple *out)
{
    uint64_t offset;

    /* What stands behind the words cannot begin among them, but how many there are is the
     * caller's to know: an offset into them reads words for what they are not, and no more. */
    if (!abi_get_u64(t, i, &offset) || offset > t.len)
        return false;
    *out = (abi_tuple){t.bytes + offset, t.len - (size_t)offset};
    return true;
}

bool abi_get_bytes(abi_tuple t, size_t i, const uint8_t **out, size_t *len)
{
    abi_tuple at;
    uint64_t n;

    if (!abi_get_tuple(t, i, &at) || !abi_get_u64(at, 0, &n) || n > at.len - ABI_WORD)
        return false;
    *out = at.bytes + ABI_WORD;
    *len = (size_t)n;
    return true;
}

bool abi_get_text(abi_tuple t, size_t i, const char **out, size_t *len)
{
    const uint8_t *bytes;
    size_t n;

    if (!abi_get_bytes(t, i, &bytes, &n) || !utf8_ok(bytes, n))
        return false;
    *out = (const char *)bytes;
    *len = n;
    return true;
}
