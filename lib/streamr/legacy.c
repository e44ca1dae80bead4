/* legacy -- the v32 JSON array of streamr-client 8:
 *
 *   [32, [stream, partition, timestamp, sequence, publisher, chain], [timestamp, sequence]
 *    or null, 27, 0, 0 or 2, group key id or null, content, new group key or null, 2, "0x.."]
 *
 * Content is a string: the JSON text, or the hex of the ciphertext. A new group key
 * is a string that holds JSON itself: ["id","hex"]. The reader is for this one form;
 * it accepts any white space, and no text that is not valid JSON. */
#include "streamr/internal.h"

#include <inttypes.h>

#define VERSION             32
#define TYPE_MESSAGE        27
#define ENCRYPTION_AES      2 /* 1 in protobuf */
#define SIGNATURE_ETH       2
#define JSON_INTEGER_DIGITS 16u

/* ---- Reading ---- */

/* Decoded text goes to store, which has room for all of it from the start: nothing
 * moves. The first thing that is wrong stays in why, and all reads fail from then on. */
typedef struct reader {
    view in;
    sb *store;
    const char *why;
} reader;

static bool fail(reader *r, const char *why)
{
    if (r->why == NULL)
        r->why = why;
    return false;
}

static void space(reader *r)
{
    while (r->in.p < r->in.end &&
           (*r->in.p == ' ' || *r->in.p == '\n' || *r->in.p == '\r' || *r->in.p == '\t'))
        r->in.p++;
}

static bool peek(reader *r, char c)
{
    space(r);
    return r->in.p < r->in.end && *r->in.p == (uint8_t)c;
}

static bool punct(reader *r, char c)
{
    if (r->why != NULL || !peek(r, c))
        return fail(r, "not the JSON array of a version 32 message");
    r->in.p++;
    return true;
}

static bool null(reader *r)
{
    space(r);
    if (r->why != NULL || view_left(&r->in) < 4 || memcmp(r->in.p, "null", 4) != 0)
        return false;
    r->in.p += 4;
    return true;
}

static bool integer(reader *r, int64_t max, int64_t *out)
{
    const uint8_t *start;
    size_t len;

    space(r);
    if (r->why != NULL)
        return false;
    start = r->in.p;
    while (r->in.p < r->in.end && *r->in.p >= '0' && *r->in.p <= '9')
        r->in.p++;
    len = (size_t)(r->in.p - start);
    if (len == 0 || len > JSON_INTEGER_DIGITS || (len > 1 && *start == '0') ||
        !parse_i64((const char *)start, len, out) || *out > max)
        return fail(r, "a number is missing, not whole, negative or too large");
    return true;
}

static bool exactly(reader *r, int64_t want, const char *why)
{
    int64_t got;

    return integer(r, want, &got) && got == want ? true : (r->why = why, false);
}

/* The four digits of \uXXXX. */
static bool unit(reader *r, uint32_t *out)
{
    const uint8_t *at;
    uint8_t two[2];

    if (!view_skip(&r->in, 4, &at) || !hex_decode(two, (const char *)at, 4))
        return false;
    *out = (uint32_t)two[0] << 8 | two[1];
    return true;
}

static bool escape(reader *r)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    uint32_t high, low;
    const char *at;
    uint8_t c;

    if (!view_u8(&r->in, &c))
        return false;
    if (c != 'u') {
        at = c != '\0' ? strchr(from, c) : NULL;
        if (at == NULL)
            return false;
        sb_putc(r->store, to[at - from]);
        return true;
    }
    if (!unit(r, &high))
        return false;
    if (high >= 0xd800 && high < 0xe000) {
        /* Half a character has no UTF-8. */
        if (high >= 0xdc00 || view_left(&r->in) < 6 || r->in.p[0] != '\\' || r->in.p[1] != 'u')
            return false;
        r->in.p += 2;
        if (!unit(r, &low) || low < 0xdc00 || low >= 0xe000)
            return false;
        high = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
    }
    sb_put_utf8(r->store, high);
    return true;
}

static bool string(reader *r, broker_str *out)
{
    size_t at = r->store->len;

    if (!punct(r, '"'))
        return false;
    for (;;) {
        const uint8_t *run = r->in.p;

        while (r->in.p < r->in.end && *r->in.p >= 0x20 && *r->in.p != '"' && *r->in.p != '\\')
            r->in.p++;
        if (!utf8_ok(run, (size_t)(r->in.p - run)))
            return fail(r, "a string is not UTF-8");
        sb_append(r->store, run, (size_t)(r->in.p - run));
        if (r->in.p == r->in.end || *r->in.p < 0x20)
            return fail(r, "a string is not closed, or has a control character in it");
        if (*r->in.p++ == '"')
            break;
        if (!escape(r))
            return fail(r, "a string has an escape that stands for no character");
    }
    *out = (broker_str){r->store->data + at, r->store->len - at};
    return true;
}

/* The bytes that the hex in text stands for, in its place. */
static bool hex_in_place(reader *r, broker_str text, broker_bytes *out)
{
    size_t at = (size_t)(text.ptr - r->store->data);
    uint8_t *to = (uint8_t *)r->store->data + at;

    if (!hex_decode(to, text.ptr, text.len))
        return fail(r, "a string is not hexadecimal");
    *out = (broker_bytes){to, text.len / 2};
    return true;
}

static bool prefixed_hex(reader *r, broker_bytes *out)
{
    broker_str text;

    if (!string(r, &text))
        return false;
    if (text.len < 2 || memcmp(text.ptr, "0x", 2) != 0)
        return fail(r, "hexadecimal without 0x");
    return hex_in_place(r, (broker_str){text.ptr + 2, text.len - 2}, out);
}

static bool message_id(reader *r, broker_msg *m)
{
    int64_t partition, sequence;

    if (!punct(r, '[') || !string(r, &m->stream) || !punct(r, ',') ||
        !integer(r, STREAMR_PARTITIONS - 1, &partition) || !punct(r, ',') ||
        !integer(r, STREAMR_TIMESTAMP_MAX, &m->timestamp_ms) || !punct(r, ',') ||
        !integer(r, INT32_MAX, &sequence) || !punct(r, ',') || !prefixed_hex(r, &m->publisher) ||
        !punct(r, ',') || !string(r, &m->chain) || !punct(r, ']'))
        return false;
    m->partition = (uint32_t)partition;
    m->sequence = (int32_t)sequence;
    return m->publisher.len == 20 ? true : fail(r, "the publisher is not an address of 20 bytes");
}

static bool previous(reader *r, broker_msg *m)
{
    int64_t sequence;

    if (null(r))
        return true;
    if (!punct(r, '[') || !integer(r, STREAMR_TIMESTAMP_MAX, &m->prev_timestamp_ms) ||
        !punct(r, ',') || !integer(r, INT32_MAX, &sequence) || !punct(r, ']'))
        return false;
    m->prev_sequence = (int32_t)sequence;
    m->flags |= BROKER_MSG_HAS_PREV;
    return true;
}

static bool encryption(reader *r, broker_msg *m)
{
    int64_t type;

    if (!integer(r, ENCRYPTION_AES, &type))
        return false;
    if (type != 0 && type != ENCRYPTION_AES)
        return fail(r, "the encryption type is not 0 (none) or 2 (AES)");
    m->encryption_type = (uint8_t)(type == 0 ? BROKER_ENCRYPTION_NONE : BROKER_ENCRYPTION_AES);
    return true;
}

static bool key_id(reader *r, broker_msg *m)
{
    if (null(r))
        return true;
    m->flags |= BROKER_MSG_HAS_KEY_ID;
    return string(r, &m->group_key_id);
}

static bool content(reader *r, broker_msg *m)
{
    broker_str text;

    if (!string(r, &text))
        return false;
    if (m->encryption_type == BROKER_ENCRYPTION_AES)
        return hex_in_place(r, text, &m->content);
    m->content = (broker_bytes){(const uint8_t *)text.ptr, text.len};
    return true;
}

static bool new_key(reader *r, broker_msg *m)
{
    broker_str text, hex;
    reader inner;

    if (null(r))
        return true;
    if (!string(r, &text))
        return false;
    inner = (reader){view_of(text.ptr, text.len), r->store, NULL};
    if (!punct(&inner, '[') || !string(&inner, &m->new_key_id) || !punct(&inner, ',') ||
        !string(&inner, &hex) || !hex_in_place(&inner, hex, &m->new_key_data) ||
        !punct(&inner, ']'))
        return fail(r, "the new group key is not [\"id\",\"hex\"]");
    space(&inner);
    if (view_left(&inner.in) != 0)
        return fail(r, "the new group key is not [\"id\",\"hex\"]");
    m->flags |= BROKER_MSG_HAS_NEW_KEY;
    return true;
}

static bool message(reader *r, broker_msg *m)
{
    return punct(r, '[') && exactly(r, VERSION, "not version 32") && punct(r, ',') &&
           message_id(r, m) && punct(r, ',') && previous(r, m) && punct(r, ',') &&
           exactly(r, TYPE_MESSAGE, "not a content message (type 27)") && punct(r, ',') &&
           exactly(r, 0, "the content type is not 0 (JSON)") && punct(r, ',') && encryption(r, m) &&
           punct(r, ',') && key_id(r, m) && punct(r, ',') && content(r, m) && punct(r, ',') &&
           new_key(r, m) && punct(r, ',') &&
           exactly(r, SIGNATURE_ETH, "the signature type is not 2 (Ethereum)") && punct(r, ',') &&
           prefixed_hex(r, &m->signature) && punct(r, ']');
}

const char *streamr_json_decode(const char *text, size_t len, sb *store, broker_msg *out)
{
    broker_msg m = {.size = sizeof m, .body = BROKER_BODY_CONTENT};
    reader r = {.store = store};
    const char *data;

    /* An escape takes six bytes for one. */
    if (len > (size_t)8 * STREAMR_MESSAGE_MAX)
        return "longer than 8 MiB";
    if (len == 0)
        return "empty";
    r.in = view_of(text, len);
    /* Text never grows when it is decoded; a new group key is decoded twice. */
    sb_clear(store);
    data = sb_room(store, 2 * len);
    if (message(&r, &m)) {
        space(&r);
        if (view_left(&r.in) != 0)
            fail(&r, "something follows the array");
    }
    must(store->data == data);
    if (r.why == NULL)
        r.why = streamr_structure_check(&m);
    if (r.why == NULL)
        *out = m;
    return r.why;
}

/* ---- Writing ---- */

void streamr_json_text(sb *out, const char *s, size_t len)
{
    static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
    size_t i = 0; /* an index, since s may be NULL when len is 0 */

    sb_putc(out, '"');
    while (i < len) {
        size_t run = i;
        const char *at;

        while (i < len && (uint8_t)s[i] >= 0x20 && s[i] != '"' && s[i] != '\\')
            i++;
        sb_append(out, s + run, i - run);
        if (i == len)
            break;
        at = s[i] != '\0' ? strchr(from, s[i]) : NULL;
        if (at != NULL) {
            sb_putc(out, '\\');
            sb_putc(out, to[at - from]);
        } else {
            sb_printf(out, "\\u%04x", (unsigned)(uint8_t)s[i]);
        }
        i++;
    }
    sb_putc(out, '"');
}

static void quoted_hex(sb *out, const char *prefix, broker_bytes bytes)
{
    sb_putc(out, '"');
    sb_puts(out, prefix);
    hex_encode(sb_room(out, 2 * bytes.len), bytes.ptr, bytes.len);
    out->len += 2 * bytes.len;
    sb_putc(out, '"');
}

static void text_or_null(sb *out, bool there, broker_str text)
{
    if (there)
        streamr_json_text(out, text.ptr, text.len);
    else
        sb_puts(out, "null");
}

bool streamr_json_encode(const broker_msg *m, sb *out)
{
    bool aes = m->encryption_type == BROKER_ENCRYPTION_AES;

    if (m->body != BROKER_BODY_CONTENT || m->content_type != BROKER_CONTENT_JSON ||
        m->signature_type > BROKER_SIGNATURE_SECP256K1 || m->publisher.len != 20 ||
        (!aes && !streamr_is_text(m->content)))
        return false;
    sb_puts(out, "[32,[");
    streamr_json_text(out, m->stream.ptr, m->stream.len);
    sb_printf(out, ",%" PRIu32 ",%" PRId64 ",%" PRId32 ",", m->partition, m->timestamp_ms,
              m->sequence);
    quoted_hex(out, "0x", m->publisher);
    sb_putc(out, ',');
    streamr_json_text(out, m->chain.ptr, m->chain.len);
    if ((m->flags & BROKER_MSG_HAS_PREV) != 0)
        sb_printf(out, "],[%" PRId64 ",%" PRId32 "]", m->prev_timestamp_ms, m->prev_sequence);
    else
        sb_puts(out, "],null");
    sb_printf(out, ",27,0,%d,", aes ? ENCRYPTION_AES : 0);
    text_or_null(out, (m->flags & BROKER_MSG_HAS_KEY_ID) != 0, m->group_key_id);
    sb_putc(out, ',');
    if (aes)
        quoted_hex(out, "", m->content);
    else
        streamr_json_text(out, (const char *)m->content.ptr, m->content.len);
    sb_putc(out, ',');
    if ((m->flags & BROKER_MSG_HAS_NEW_KEY) != 0) {
        sb key = SB_INIT;

        streamr_new_key_text(&key, m);
        streamr_json_text(out, key.data, key.len);
        sb_done(&key);
    } else {
        sb_puts(out, "null");
    }
    sb_puts(out, ",2,");
    quoted_hex(out, "0x", m->signature);
    sb_putc(out, ']');
    return true;
}
