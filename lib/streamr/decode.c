/* decode -- one v103 StreamMessage into a broker_msg, without allocating.
 *
 * A hand-written loop over the field reader: this runs once for every message that
 * arrives. Everything here is said by a stranger. A singular field that comes twice
 * is refused, although protobuf would let the last one win: readers that disagree
 * about which one counts would disagree about what was signed. */
#include "streamr/internal.h"

#include "protobuf/protobuf.h"

static const char malformed[] = "not well-formed protobuf";
static const char twice[] = "a field is given twice";
static const char other_type[] = "a field has another wire type than the protocol gives it";
static const char not_utf8[] = "a text field is not UTF-8";

/* What walks one message: which fields came, and whether one was not known. */
typedef struct walk {
    view in;
    pb_field f;
    uint32_t seen; /* bit n: field n came */
    bool unknown;
} walk;

/* Field wire types by number, PB_WIRE_*; 0xff: not a field. */
typedef struct shape {
    uint8_t last; /* highest number */
    uint8_t wire[8];
    uint32_t repeated; /* bit n */
    uint32_t text;     /* bit n: UTF-8 */
} shape;

enum { V = PB_WIRE_VARINT, L = PB_WIRE_LEN, X = 0xff };

static const shape message_shape = {7, {X, L, L, L, V, L, L, L}, 0, 0};
static const shape id_shape = {6, {X, L, V, V, V, L, L}, 0, 1u << ID_STREAM | 1u << ID_CHAIN};
static const shape ref_shape = {2, {X, V, V}, 0, 0};
static const shape content_shape = {5, {X, L, V, V, L, L}, 0, 1u << CONTENT_KEY_ID};
static const shape key_shape = {2, {X, L, L}, 0, 1u << KEY_ID};
static const shape request_shape = {
    5, {X, L, L, L, L, V}, 1u << REQUEST_KEY_IDS, 1u << REQUEST_ID | 1u << REQUEST_KEY_IDS};
static const shape response_shape = {4, {X, L, L, L, V}, 1u << RESPONSE_KEYS, 1u << RESPONSE_ID};

/* 1: w->f is the next known field. 0: the end. -1: *why says what is wrong. */
static int walk_next(walk *w, const shape *s, const char **why)
{
    for (;;) {
        int more = pb_next(&w->in, &w->f);
        uint32_t bit;

        if (more == 0)
            return 0;
        if (more < 0) {
            *why = malformed;
            return -1;
        }
        if (w->f.number > s->last) {
            w->unknown = true;
            continue;
        }
        bit = 1u << w->f.number;
        *why = w->f.wire != s->wire[w->f.number]                                        ? other_type
               : (w->seen & bit) != 0 && (s->repeated & bit) == 0                       ? twice
               : (s->text & bit) != 0 && !utf8_ok(w->f.bytes.p, view_left(&w->f.bytes)) ? not_utf8
                                                                                        : NULL;
        w->seen |= bit;
        return *why == NULL ? 1 : -1;
    }
}

static broker_str as_str(const view *v)
{
    return (broker_str){(const char *)v->p, view_left(v)};
}

static broker_bytes as_bytes(const view *v)
{
    return (broker_bytes){v->p, view_left(v)};
}

/* Numbers that are too large for their member become what the checks refuse. */
static uint8_t as_u8(uint64_t x)
{
    return x < UINT8_MAX ? (uint8_t)x : UINT8_MAX;
}

static const char *decode_id(view in, broker_msg *m, bool *unknown)
{
    walk w = {.in = in};
    const char *why = NULL;

    while (walk_next(&w, &id_shape, &why) > 0) {
        switch (w.f.number) {
        case ID_STREAM:
            m->stream = as_str(&w.f.bytes);
            break;
        case ID_PARTITION:
            m->partition = (uint32_t)w.f.value; /* int32: the low bits count */
            break;
        case ID_TIMESTAMP:
            m->timestamp_ms = (int64_t)w.f.value;
            break;
        case ID_SEQUENCE:
            m->sequence = (int32_t)(uint32_t)w.f.value;
            break;
        case ID_PUBLISHER:
            m->publisher = as_bytes(&w.f.bytes);
            break;
        default:
            m->chain = as_str(&w.f.bytes);
        }
    }
    *unknown |= w.unknown;
    return why;
}

static const char *decode_ref(view in, broker_msg *m, bool *unknown)
{
    walk w = {.in = in};
    const char *why = NULL;

    while (walk_next(&w, &ref_shape, &why) > 0) {
        if (w.f.number == REF_TIMESTAMP)
            m->prev_timestamp_ms = (int64_t)w.f.value;
        else
            m->prev_sequence = (int32_t)(uint32_t)w.f.value;
    }
    m->flags |= BROKER_MSG_HAS_PREV;
    *unknown |= w.unknown;
    return why;
}

static const char *decode_key(view in, broker_str *id, broker_bytes *data, bool *unknown)
{
    walk w = {.in = in};
    const char *why = NULL;

    while (walk_next(&w, &key_shape, &why) > 0) {
        if (w.f.number == KEY_ID)
            *id = as_str(&w.f.bytes);
        else
            *data = as_bytes(&w.f.bytes);
    }
    *unknown |= w.unknown;
    return why;
}

static const char *decode_content(view in, broker_msg *m, bool *unknown)
{
    walk w = {.in = in};
    const char *why = NULL;

    while (why == NULL && walk_next(&w, &content_shape, &why) > 0) {
        switch (w.f.number) {
        case CONTENT_BYTES:
            m->content = as_bytes(&w.f.bytes);
            break;
        case CONTENT_TYPE:
            m->content_type = as_u8(w.f.value);
            break;
        case CONTENT_ENCRYPTION:
            m->encryption_type = as_u8(w.f.value);
            break;
        case CONTENT_KEY_ID:
            m->group_key_id = as_str(&w.f.bytes);
            m->flags |= BROKER_MSG_HAS_KEY_ID;
            break;
        default:
            why = decode_key(w.f.bytes, &m->new_key_id, &m->new_key_data, unknown);
            m->flags |= BROKER_MSG_HAS_NEW_KEY;
        }
    }
    *unknown |= w.unknown;
    return why;
}

/* Key exchange is passed on, not looked into: its bytes stay as they are, once they
 * are known to be sound. */
static const char *check_exchange(view in, const shape *s, bool *unknown)
{
    walk w = {.in = in};
    const char *why = NULL;
    broker_bytes data;
    broker_str id;

    while (why == NULL && walk_next(&w, s, &why) > 0)
        if (s == &response_shape && w.f.number == RESPONSE_KEYS)
            why = decode_key(w.f.bytes, &id, &data, unknown);
    *unknown |= w.unknown;
    return why;
}

static const char *decode_body(const pb_field *f, broker_msg *m, bool *unknown)
{
    if (m->body != 0)
        return "more than one body";
    m->body = (uint8_t)f->number;
    if (f->number == BROKER_BODY_CONTENT)
        return decode_content(f->bytes, m, unknown);
    m->content = as_bytes(&f->bytes);
    return check_exchange(
        f->bytes, f->number == BROKER_BODY_KEY_REQUEST ? &request_shape : &response_shape, unknown);
}

const char *streamr_decode(const void *bytes, size_t len, broker_msg *out)
{
    broker_msg m = {.size = sizeof m, .raw = {bytes, len}};
    walk w = {.unknown = false};
    const char *why = NULL;

    if (len > STREAMR_MESSAGE_MAX)
        return "longer than 1 MiB";
    if (len == 0)
        return "empty";
    w.in = view_of(bytes, len);
    while (why == NULL && walk_next(&w, &message_shape, &why) > 0) {
        switch (w.f.number) {
        case MSG_ID:
            why = decode_id(w.f.bytes, &m, &w.unknown);
            break;
        case MSG_PREV:
            why = decode_ref(w.f.bytes, &m, &w.unknown);
            break;
        case MSG_SIGNATURE:
            m.signature = as_bytes(&w.f.bytes);
            break;
        case MSG_SIGNATURE_TYPE:
            m.signature_type = as_u8(w.f.value);
            break;
        default:
            why = decode_body(&w.f, &m, &w.unknown);
        }
    }
    if (why == NULL)
        why = streamr_structure_check(&m);
    if (why != NULL)
        return why;
    if (w.unknown)
        m.flags |= BROKER_MSG_HAS_UNKNOWN;
    *out = m;
    return NULL;
}

static bool prev_is_smaller(const broker_msg *m)
{
    return m->prev_timestamp_ms < m->timestamp_ms ||
           (m->prev_timestamp_ms == m->timestamp_ms && m->prev_sequence < m->sequence);
}

const char *streamr_structure_check(const broker_msg *m)
{
    bool prev = (m->flags & BROKER_MSG_HAS_PREV) != 0;
    bool keyed = (m->flags & (BROKER_MSG_HAS_KEY_ID | BROKER_MSG_HAS_NEW_KEY)) != 0;

    if (m->stream.len == 0)
        return "no stream id";
    if (m->stream.len > STREAMR_STREAM_ID_MAX)
        return "the stream id is longer than 1024 bytes";
    if (m->chain.len > STREAMR_CHAIN_ID_MAX)
        return "the message chain id is longer than 1024 bytes";
    if (m->publisher.len == 0)
        return "no publisher id";
    if (m->partition >= STREAMR_PARTITIONS)
        return "the partition is not between 0 and 99";
    if (m->timestamp_ms < 0 || m->timestamp_ms > STREAMR_TIMESTAMP_MAX)
        return "the timestamp is not between 0 and 2^53 - 1";
    if (m->sequence < 0)
        return "the sequence number is negative";
    if (prev && (m->prev_timestamp_ms < 0 || m->prev_sequence < 0))
        return "the previous reference is negative";
    if (prev && !prev_is_smaller(m))
        return "the previous reference is not before the message";
    if (m->signature_type > BROKER_SIGNATURE_SECP256R1)
        return "the signature type is not one of the protocol (0 to 4)";
    if (m->body == 0)
        return "no body";
    if (m->body != BROKER_BODY_CONTENT)
        return NULL;
    if (m->content_type > BROKER_CONTENT_BINARY)
        return "the content type is not one of the protocol (0, 1)";
    if (m->encryption_type > BROKER_ENCRYPTION_AES)
        return "the encryption type is not one of the protocol (0, 1)";
    if (m->encryption_type == BROKER_ENCRYPTION_AES && m->group_key_id.len == 0)
        return "encrypted, but without a group key id";
    /* Encryption and content type are not signed. These two catch the crude forgeries. */
    if (m->encryption_type == BROKER_ENCRYPTION_NONE && keyed)
        return "not encrypted, but with a group key";
    if (m->signature_type == BROKER_SIGNATURE_LEGACY && m->content_type == BROKER_CONTENT_BINARY)
        return "binary content, which the legacy signature type does not have";
    return NULL;
}
