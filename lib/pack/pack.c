/* pack -- see pack.h. On msgpack-c; a map is a msgpack_object. */
#include "pack/pack.h"

#include <msgpack.h>

struct unpacked {
    msgpack_unpacked m;
};

/* ---- writing ---- */

static int sb_write(void *data, const char *bytes, size_t len)
{
    sb_append(data, bytes, len);
    return 0;
}

static msgpack_packer packer_of(sb *out)
{
    msgpack_packer p;

    msgpack_packer_init(&p, out, sb_write);
    return p;
}

static msgpack_packer key_put(sb *out, const char *key)
{
    msgpack_packer p = packer_of(out);

    msgpack_pack_str(&p, strlen(key));
    msgpack_pack_str_body(&p, key, strlen(key));
    return p;
}

void pack_map(sb *out, uint32_t n)
{
    msgpack_packer p = packer_of(out);

    msgpack_pack_map(&p, n);
}

void pack_bool(sb *out, const char *key, bool value)
{
    msgpack_packer p = key_put(out, key);

    if (value)
        msgpack_pack_true(&p);
    else
        msgpack_pack_false(&p);
}

void pack_int(sb *out, const char *key, int64_t value)
{
    msgpack_packer p = key_put(out, key);

    msgpack_pack_int64(&p, value);
}

void pack_uint(sb *out, const char *key, uint64_t value)
{
    msgpack_packer p = key_put(out, key);

    msgpack_pack_uint64(&p, value);
}

void pack_text(sb *out, const char *key, const char *text)
{
    msgpack_packer p = key_put(out, key);

    msgpack_pack_str(&p, strlen(text));
    msgpack_pack_str_body(&p, text, strlen(text));
}

void pack_bytes(sb *out, const char *key, const void *bytes, size_t len)
{
    msgpack_packer p = key_put(out, key);

    msgpack_pack_bin(&p, len);
    msgpack_pack_bin_body(&p, len != 0 ? bytes : "", len);
}

void pack_list(sb *out, const char *key, uint32_t n)
{
    msgpack_packer p = key_put(out, key);

    msgpack_pack_array(&p, n);
}

/* ---- reading ---- */

#define DEPTH_MAX 16

/* Step over one object. 1: done; 0: it goes on behind the bytes; -1: no msgpack. Counts are held
 * against the bytes that are there: msgpack-c would allocate for what they claim. */
static int step_over(view *in, unsigned depth)
{
    /* Bytes of the length or value behind each type from 0xc0 on; 9: there is no such type. */
    static const uint8_t tails[] = {0, 9, 0, 0, 1, 2, 4, 1, 2,  4, 4, 8, 1, 2, 4, 8,
                                    1, 2, 4, 8, 1, 2, 4, 8, 16, 1, 2, 4, 2, 4, 2, 4};
    uint8_t type, tail[8] = {0};
    uint64_t n = 0, items = 0;
    const uint8_t *skipped;

    if (!view_u8(in, &type))
        return 0;
    if (type < 0x80 || type >= 0xe0)
        return 1;
    if (type < 0x90)
        items = 2u * (type & 0xfu);
    else if (type < 0xa0)
        items = type & 0xfu;
    else if (type < 0xc0)
        n = type & 0x1fu;
    else if (tails[type - 0xc0] == 9)
        return -1;
    else if (type >= 0xc7 && type <= 0xc9)
        return -1; /* extensions are nothing we write */
    else if (type >= 0xd4 && type <= 0xd8)
        return -1;
    else if (!view_read(in, tail, tails[type - 0xc0]))
        return 0;
    for (unsigned i = 0; type >= 0xc0 && i < tails[type - 0xc0]; i++)
        n = n << 8 | tail[i];
    if (type >= 0xdc) {
        items = type >= 0xde ? 2 * n : n;
        n = 0;
    } else if ((type >= 0xca && type <= 0xd3)) {
        n = 0; /* a number */
    }
    if (items != 0 && depth == DEPTH_MAX)
        return -1;
    for (; items != 0; items--) {
        int rc = step_over(in, depth + 1);

        if (rc != 1)
            return rc;
    }
    return view_skip(in, n, &skipped) ? 1 : 0;
}

int unpack(const void *bytes, size_t len, unpacked **out)
{
    view in = view_of(bytes, len);
    int rc = step_over(&in, 0);
    unpacked *u;
    size_t at = 0;

    if (rc != 1 || view_left(&in) != 0)
        return rc == 0 ? 0 : -1;
    u = must_alloc(sizeof *u);
    msgpack_unpacked_init(&u->m);
    if (msgpack_unpack_next(&u->m, bytes, len, &at) == MSGPACK_UNPACK_SUCCESS &&
        u->m.data.type == MSGPACK_OBJECT_MAP) {
        *out = u;
        return 1;
    }
    unpacked_free(u);
    return -1;
}

void unpacked_free(unpacked *u)
{
    if (u == NULL)
        return;
    msgpack_unpacked_destroy(&u->m);
    free(u);
}

const unpacked_map *unpacked_root(const unpacked *u)
{
    return (const unpacked_map *)&u->m.data;
}

static const msgpack_object *value_of(const unpacked_map *m, const char *key)
{
    const msgpack_object_map *map = &((const msgpack_object *)m)->via.map;
    size_t len = strlen(key);

    for (uint32_t i = 0; i < map->size; i++) {
        const msgpack_object *k = &map->ptr[i].key;

        if (k->type == MSGPACK_OBJECT_STR && k->via.str.size == len &&
            memcmp(k->via.str.ptr, key, len) == 0)
            return &map->ptr[i].val;
    }
    return NULL;
}

bool unpack_bool(const unpacked_map *m, const char *key, bool fallback)
{
    const msgpack_object *o = value_of(m, key);

    return o != NULL && o->type == MSGPACK_OBJECT_BOOLEAN ? o->via.boolean : fallback;
}

int64_t unpack_int(const unpacked_map *m, const char *key, int64_t fallback)
{
    const msgpack_object *o = value_of(m, key);

    if (o != NULL && o->type == MSGPACK_OBJECT_NEGATIVE_INTEGER)
        return o->via.i64;
    if (o != NULL && o->type == MSGPACK_OBJECT_POSITIVE_INTEGER && o->via.u64 <= INT64_MAX)
        return (int64_t)o->via.u64;
    return fallback;
}

uint64_t unpack_uint(const unpacked_map *m, const char *key, uint64_t fallback)
{
    const msgpack_object *o = value_of(m, key);

    return o != NULL && o->type == MSGPACK_OBJECT_POSITIVE_INTEGER ? o->via.u64 : fallback;
}

const char *unpack_bytes(const unpacked_map *m, const char *key, size_t *len)
{
    const msgpack_object *o = value_of(m, key);

    if (o == NULL || (o->type != MSGPACK_OBJECT_STR && o->type != MSGPACK_OBJECT_BIN))
        return NULL;
    *len = o->via.bin.size; /* text and bytes lie alike */
    return o->via.bin.ptr;
}

char *unpack_text(const unpacked_map *m, const char *key)
{
    size_t len = 0;
    const char *text = unpack_bytes(m, key, &len);

    if (text == NULL || len == 0 || memchr(text, '\0', len) != NULL)
        return NULL;
    return must_strndup(text, len);
}

uint32_t unpack_list(const unpacked_map *m, const char *key)
{
    const msgpack_object *o = value_of(m, key);

    return o != NULL && o->type == MSGPACK_OBJECT_ARRAY ? o->via.array.size : 0;
}

const unpacked_map *unpack_element(const unpacked_map *m, const char *key, uint32_t i)
{
    const msgpack_object *o = value_of(m, key);
    const msgpack_object *item;

    if (o == NULL || o->type != MSGPACK_OBJECT_ARRAY || i >= o->via.array.size)
        return NULL;
    item = &o->via.array.ptr[i];
    return item->type == MSGPACK_OBJECT_MAP ? (const unpacked_map *)item : NULL;
}
