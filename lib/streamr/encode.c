/* encode -- a broker_msg as the SDK writes it: fields by number, defaults left out.
 *
 * Sizes are added up first, then everything is written forwards into one room. */
#include "streamr/internal.h"

#include "protobuf/protobuf.h"

/* ---- Sizes; every key here is one byte ---- */

static size_t number_size(uint64_t x)
{
    return x != 0 ? 1 + pb_varint_size(x) : 0;
}

/* A field that is written even when empty. */
static size_t field_size(size_t len)
{
    return 1 + pb_varint_size(len) + len;
}

static size_t bytes_size(size_t len)
{
    return len != 0 ? field_size(len) : 0;
}

static size_t id_size(const broker_msg *m)
{
    return bytes_size(m->stream.len) + number_size(m->partition) +
           number_size((uint64_t)m->timestamp_ms) + number_size((uint64_t)m->sequence) +
           bytes_size(m->publisher.len) + bytes_size(m->chain.len);
}

static size_t ref_size(const broker_msg *m)
{
    return number_size((uint64_t)m->prev_timestamp_ms) + number_size((uint64_t)m->prev_sequence);
}

static size_t new_key_size(const broker_msg *m)
{
    return bytes_size(m->new_key_id.len) + bytes_size(m->new_key_data.len);
}

static size_t body_size(const broker_msg *m)
{
    size_t n;

    if (m->body != BROKER_BODY_CONTENT)
        return m->content.len;
    n = bytes_size(m->content.len) + number_size(m->content_type) + number_size(m->encryption_type);
    if ((m->flags & BROKER_MSG_HAS_KEY_ID) != 0)
        n += field_size(m->group_key_id.len);
    if ((m->flags & BROKER_MSG_HAS_NEW_KEY) != 0)
        n += field_size(new_key_size(m));
    return n;
}

/* ---- Writing ---- */

static uint8_t *put_key(uint8_t *p, uint32_t number, uint32_t wire)
{
    return pb_put_varint(p, pb_key(number, wire));
}

static uint8_t *put_number(uint8_t *p, uint32_t number, uint64_t x)
{
    return x != 0 ? pb_put_varint(put_key(p, number, PB_WIRE_VARINT), x) : p;
}

/* The key and length of a field of len bytes that follow. */
static uint8_t *put_len(uint8_t *p, uint32_t number, size_t len)
{
    return pb_put_varint(put_key(p, number, PB_WIRE_LEN), len);
}

static uint8_t *put_field(uint8_t *p, uint32_t number, const void *bytes, size_t len)
{
    p = put_len(p, number, len);
    if (len != 0)
        memcpy(p, bytes, len);
    return p + len;
}

static uint8_t *put_bytes(uint8_t *p, uint32_t number, const void *bytes, size_t len)
{
    return len != 0 ? put_field(p, number, bytes, len) : p;
}

static uint8_t *put_content(uint8_t *p, const broker_msg *m)
{
    p = put_bytes(p, CONTENT_BYTES, m->content.ptr, m->content.len);
    p = put_number(p, CONTENT_TYPE, m->content_type);
    p = put_number(p, CONTENT_ENCRYPTION, m->encryption_type);
    if ((m->flags & BROKER_MSG_HAS_KEY_ID) != 0)
        p = put_field(p, CONTENT_KEY_ID, m->group_key_id.ptr, m->group_key_id.len);
    if ((m->flags & BROKER_MSG_HAS_NEW_KEY) != 0) {
        p = put_len(p, CONTENT_NEW_KEY, new_key_size(m));
        p = put_bytes(p, KEY_ID, m->new_key_id.ptr, m->new_key_id.len);
        p = put_bytes(p, KEY_DATA, m->new_key_data.ptr, m->new_key_data.len);
    }
    return p;
}

void streamr_encode(const broker_msg *m, sb *out)
{
    bool prev = (m->flags & BROKER_MSG_HAS_PREV) != 0;
    size_t id = id_size(m), ref = ref_size(m), body = body_size(m);
    size_t len = field_size(id) + (prev ? field_size(ref) : 0) + bytes_size(m->signature.len) +
                 number_size(m->signature_type) + field_size(body);
    uint8_t *start = (uint8_t *)sb_room(out, len), *p = start;

    p = put_len(p, MSG_ID, id);
    p = put_bytes(p, ID_STREAM, m->stream.ptr, m->stream.len);
    p = put_number(p, ID_PARTITION, m->partition);
    p = put_number(p, ID_TIMESTAMP, (uint64_t)m->timestamp_ms);
    p = put_number(p, ID_SEQUENCE, (uint64_t)m->sequence);
    p = put_bytes(p, ID_PUBLISHER, m->publisher.ptr, m->publisher.len);
    p = put_bytes(p, ID_CHAIN, m->chain.ptr, m->chain.len);
    if (prev) {
        p = put_len(p, MSG_PREV, ref);
        p = put_number(p, REF_TIMESTAMP, (uint64_t)m->prev_timestamp_ms);
        p = put_number(p, REF_SEQUENCE, (uint64_t)m->prev_sequence);
    }
    p = put_bytes(p, MSG_SIGNATURE, m->signature.ptr, m->signature.len);
    p = put_number(p, MSG_SIGNATURE_TYPE, m->signature_type);
    p = put_len(p, m->body, body);
    if (m->body == BROKER_BODY_CONTENT) {
        p = put_content(p, m);
    } else if (body != 0) {
        memcpy(p, m->content.ptr, body);
        p += body;
    }
    must((size_t)(p - start) == len);
    out->len += len;
    out->data[out->len] = '\0';
}
