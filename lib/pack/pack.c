/* pack -- see pack.h. Format: https://github.com/msgpack/msgpack/blob/master/spec.md */
#include "pack/pack.h"

/* A big-endian number of 1, 2, 4 or 8 bytes. */
static bool number(view *v, size_t size, uint64_t *out)
{
    uint8_t bytes[8];
    uint64_t x = 0;

    if (!view_read(v, bytes, size))
        return false;
    for (size_t i = 0; i < size; i++)
        x = x << 8 | bytes[i];
    *out = x;
    return true;
}

/* A value whose first byte is `fixed` with a small number in the bits of `mask`, or
 * `sized`, `sized` + 1 .. and a number of 1 << shift bytes, twice as many each. */
static bool head(view *v, uint8_t fixed, uint8_t mask, uint8_t sized, unsigned shift,
                 unsigned sizes, uint64_t *out)
{
    uint8_t first;

    if (!view_u8(v, &first))
        return false;
    if ((first & ~mask) == fixed) {
        *out = first & mask;
        return true;
    }
    return first >= sized && first < sized + sizes &&
           number(v, (size_t)1 << (shift + first - sized), out);
}

bool unpack_uint(view *v, uint64_t *out)
{
    view at = *v;

    if (!head(&at, 0x00, 0x7f, 0xcc, 0, 4, out))
        return false;
    *v = at;
    return true;
}

bool unpack_bool(view *v, bool *out)
{
    if (view_left(v) == 0 || (*v->p != 0xc2 && *v->p != 0xc3))
        return false;
    *out = *v->p++ == 0xc3;
    return true;
}

bool unpack_text(view *v, broker_str *out)
{
    view at = *v;
    const uint8_t *bytes;
    uint64_t len;

    if (!head(&at, 0xa0, 0x1f, 0xd9, 0, 3, &len) || len > view_left(&at) ||
        !view_skip(&at, (size_t)len, &bytes))
        return false;
    *out = (broker_str){(const char *)bytes, (size_t)len};
    *v = at;
    return true;
}

bool unpack_array(view *v, size_t *n)
{
    view at = *v;
    uint64_t count;

    if (!head(&at, 0x90, 0x0f, 0xdc, 1, 2, &count) || count > view_left(&at))
        return false;
    *n = (size_t)count;
    *v = at;
    return true;
}
