/* words -- see words.h. */
#include "isolate/words.h"

#include <string.h>

void words_put_u8(sb *out, uint8_t x)
{
    sb_append(out, &x, 1);
}

void words_put_u16(sb *out, uint16_t x)
{
    words_put_u8(out, (uint8_t)(x >> 8));
    words_put_u8(out, (uint8_t)x);
}

void words_put_u32(sb *out, uint32_t x)
{
    uint8_t bytes[4];

    put_u32be(bytes, x);
    sb_append(out, bytes, sizeof bytes);
}

void words_put_u64(sb *out, uint64_t x)
{
    uint8_t bytes[8];

    put_u64be(bytes, x);
    sb_append(out, bytes, sizeof bytes);
}

static bool read_u16(view *v, uint16_t *out)
{
    uint8_t high, low;

    if (!view_u8(v, &high) || !view_u8(v, &low))
        return false;
    *out = (uint16_t)(high << 8 | low);
    return true;
}

void words_put_result(sb *out, const words_result *r)
{
    words_put_u32(out, (uint32_t)r->rc);
    sb_append(out, r->bytes.ptr, r->bytes.len);
}

bool words_read_result(broker_bytes body, words_result *r)
{
    view v = view_of(body.ptr, body.len);
    uint32_t rc;

    if (!view_u32be(&v, &rc))
        return false;
    *r = (words_result){(broker_rc)rc, {v.p, view_left(&v)}};
    return true;
}

void words_put_bytes(sb *out, broker_bytes bytes)
{
    words_put_u32(out, (uint32_t)bytes.len);
    sb_append(out, bytes.ptr, bytes.len);
}

bool words_read_bytes(view *v, broker_bytes *bytes)
{
    uint32_t len;

    if (!view_u32be(v, &len))
        return false;
    bytes->len = len;
    return view_skip(v, len, &bytes->ptr);
}

void words_put_msg(sb *out, const words_msg *m)
{
    words_put_u64(out, m->handle);
    words_put_u32(out, m->flags);
    words_put_u64(out, m->origin);
    words_put_bytes(out, m->raw);
}

bool words_read_msg(view *v, words_msg *m)
{
    return view_u64be(v, &m->handle) && view_u32be(v, &m->flags) && view_u64be(v, &m->origin) &&
           words_read_bytes(v, &m->raw);
}

void words_put_outcome(sb *out, const words_outcome *o)
{
    size_t len = o->outcome.reason != NULL ? strlen(o->outcome.reason) : 0;

    if (len > UINT16_MAX)
        len = UINT16_MAX;
    words_put_u64(out, o->handle);
    words_put_u8(out, (uint8_t)o->outcome.code);
    words_put_u16(out, (uint16_t)len);
    sb_append(out, o->outcome.reason, len);
    if (len != 0)
        words_put_u8(out, 0);
}

bool words_read_outcome(view *v, words_outcome *o)
{
    const uint8_t *reason = NULL;
    uint16_t len;
    uint8_t code;

    if (!view_u64be(v, &o->handle) || !view_u8(v, &code) || !read_u16(v, &len) ||
        code < BROKER_STORED || code > BROKER_FULL)
        return false;
    if (len != 0 &&
        (!view_skip(v, len + 1u, &reason) || memchr(reason, 0, len + 1u) != reason + len))
        return false;
    o->outcome = (broker_outcome){code, 0, (const char *)reason};
    return true;
}

void words_put_admission(sb *out, const words_admission *a)
{
    words_put_u64(out, a->id);
    words_put_u32(out, a->flags);
    words_put_u32(out, a->only_partition);
    words_put_u16(out, (uint16_t)a->only_stream.len);
    sb_append(out, a->only_stream.ptr, a->only_stream.len);
}

bool words_read_admission(view *v, words_admission *a)
{
    const uint8_t *stream;
    uint16_t len;

    if (!view_u64be(v, &a->id) || !view_u32be(v, &a->flags) || !view_u32be(v, &a->only_partition) ||
        !read_u16(v, &len) || !view_skip(v, len, &stream))
        return false;
    a->only_stream = (broker_str){(const char *)stream, len};
    return true;
}
