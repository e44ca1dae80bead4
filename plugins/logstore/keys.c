/* keys -- see keys.h. */
#include "keys.h"

void key_make(sb *out, uint32_t part, int64_t timestamp_ms, int32_t sequence, uint32_t publisher,
              broker_str chain)
{
    uint8_t *p = (uint8_t *)sb_room(out, KEY_FIXED);

    put_u32be(p, part);
    put_u64be(p + 4, (uint64_t)timestamp_ms);
    put_u32be(p + 12, (uint32_t)sequence);
    put_u32be(p + 16, publisher);
    out->len += KEY_FIXED;
    sb_append(out, chain.ptr, chain.len);
}

uint32_t key_part(const uint8_t *key)
{
    return get_u32be(key);
}

int64_t key_timestamp(const uint8_t *key)
{
    return (int64_t)get_u64be(key + 4);
}

int32_t key_sequence(const uint8_t *key)
{
    return (int32_t)get_u32be(key + 12);
}

uint32_t key_publisher(const uint8_t *key)
{
    return get_u32be(key + 16);
}

void value_head_make(uint8_t head[VALUE_HEAD], uint8_t flags, broker_bytes raw)
{
    head[0] = VALUE_VERSION;
    head[1] = flags;
    put_u32be(head + 2, crc32c(0, raw.ptr, raw.len));
}

bool value_open(const uint8_t *value, size_t len, broker_bytes *raw, uint8_t *flags)
{
    if (len < VALUE_HEAD || value[0] != VALUE_VERSION)
        return false;
    *flags = value[1];
    *raw = (broker_bytes){value + VALUE_HEAD, len - VALUE_HEAD};
    return crc32c(0, raw->ptr, raw->len) == get_u32be(value + 2);
}

void part_key_make(sb *out, broker_str stream, uint32_t partition)
{
    uint8_t number[4];

    put_u32be(number, partition);
    sb_putc(out, 'p');
    sb_append(out, number, sizeof number);
    sb_append(out, stream.ptr, stream.len);
}

bool part_key_open(const uint8_t *key, size_t len, broker_str *stream, uint32_t *partition)
{
    if (len < 5 || key[0] != 'p')
        return false;
    *partition = get_u32be(key + 1);
    *stream = (broker_str){(const char *)key + 5, len - 5};
    return true;
}

void slab_key_make(sb *out, uint32_t slab)
{
    uint8_t number[4];

    put_u32be(number, slab);
    sb_putc(out, 's');
    sb_append(out, number, sizeof number);
}

bool slab_key_open(const uint8_t *key, size_t len, uint32_t *slab)
{
    if (len != 5 || key[0] != 's')
        return false;
    *slab = get_u32be(key + 1);
    return true;
}

void slab_record_make(sb *out, const slab_record *r)
{
    uint8_t *to = (uint8_t *)sb_room(out, 16);

    put_u64be(to, (uint64_t)r->start_ms);
    put_u64be(to + 8, (uint64_t)r->end_ms);
    out->len += 16;
    sb_append(out, r->group.ptr, r->group.len);
}

bool slab_record_open(const uint8_t *bytes, size_t len, slab_record *out)
{
    if (len < 16)
        return false;
    *out = (slab_record){
        .start_ms = (int64_t)get_u64be(bytes),
        .end_ms = (int64_t)get_u64be(bytes + 8),
        .group = {(const char *)bytes + 16, len - 16},
    };
    return out->start_ms < out->end_ms;
}

void counts_key_make(sb *out, uint32_t slab, uint32_t part)
{
    uint8_t numbers[8];

    put_u32be(numbers, slab);
    put_u32be(numbers + 4, part);
    sb_putc(out, 'n');
    sb_append(out, numbers, sizeof numbers);
}

bool counts_key_open(const uint8_t *key, size_t len, uint32_t *slab, uint32_t *part)
{
    if (len != 9 || key[0] != 'n')
        return false;
    *slab = get_u32be(key + 1);
    *part = get_u32be(key + 5);
    return true;
}

void counts_make(sb *out, const counts *c)
{
    uint8_t *to = (uint8_t *)sb_room(out, 32);

    put_u64be(to, c->messages);
    put_u64be(to + 8, c->bytes);
    put_u64be(to + 16, (uint64_t)c->first_ms);
    put_u64be(to + 24, (uint64_t)c->last_ms);
    out->len += 32;
}

bool counts_open(const uint8_t *bytes, size_t len, counts *out)
{
    if (len != 32)
        return false;
    *out = (counts){
        .messages = get_u64be(bytes),
        .bytes = get_u64be(bytes + 8),
        .first_ms = (int64_t)get_u64be(bytes + 16),
        .last_ms = (int64_t)get_u64be(bytes + 24),
    };
    return out->messages != 0 && out->first_ms <= out->last_ms;
}

void slab_name_make(char out[24], uint32_t slab)
{
    snprintf(out, 24, "slab-%u", slab);
}

bool slab_name_open(const char *name, uint32_t *slab)
{
    int64_t id;

    if (strncmp(name, "slab-", 5) != 0 || !parse_i64(name + 5, strlen(name + 5), &id) || id < 0 ||
        id > UINT32_MAX)
        return false;
    *slab = (uint32_t)id;
    return true;
}
