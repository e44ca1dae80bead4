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

void part_record_make(sb *out, const part_record *p)
{
    uint8_t *to = (uint8_t *)sb_room(out, 44);

    put_u32be(to, p->id);
    put_u64be(to + 4, p->messages);
    put_u64be(to + 12, p->bytes);
    put_u64be(to + 20, (uint64_t)p->first_ms);
    put_u64be(to + 28, (uint64_t)p->last_ms);
    put_u64be(to + 36, (uint64_t)p->max_age_ms);
    out->len += 44;
}

bool part_record_open(const uint8_t *bytes, size_t len, part_record *out)
{
    if (len != 44)
        return false;
    *out = (part_record){
        .id = get_u32be(bytes),
        .messages = get_u64be(bytes + 4),
        .bytes = get_u64be(bytes + 12),
        .first_ms = (int64_t)get_u64be(bytes + 20),
        .last_ms = (int64_t)get_u64be(bytes + 28),
        .max_age_ms = (int64_t)get_u64be(bytes + 36),
    };
    return true;
}
