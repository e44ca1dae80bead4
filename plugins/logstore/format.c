/* format -- see format.h. Hand-written: it runs once a message of every answer. */
#include "format.h"

#include "streamr/streamr.h"

size_t format_object_max(size_t raw_len)
{
    /* Escaping makes six characters of one byte at worst; the rest is keys and numbers. */
    return 6 * raw_len + 512;
}

static char *put(char *to, const char *s, size_t len)
{
    memcpy(to, s, len);
    return to + len;
}

#define PUT(to, literal) put((to), (literal), sizeof(literal) - 1)

static char *put_number(char *to, int64_t x)
{
    char digits[20];
    size_t n = 0;
    uint64_t left = x < 0 ? 0 - (uint64_t)x : (uint64_t)x;

    if (x < 0)
        *to++ = '-';
    do
        digits[n++] = (char)('0' + left % 10);
    while ((left /= 10) != 0);
    while (n != 0)
        *to++ = digits[--n];
    return to;
}

static char *put_hex(char *to, broker_bytes b)
{
    hex_encode(to, b.ptr, b.len);
    return to + 2 * b.len;
}

/* A JSON string; the bytes are UTF-8 already. */
static char *put_string(char *to, const char *s, size_t len)
{
    static const char digits[] = "0123456789abcdef";

    *to++ = '"';
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];

        if (c == '"' || c == '\\') {
            *to++ = '\\';
            *to++ = (char)c;
        } else if (c < 0x20) {
            to = PUT(to, "\\u00");
            *to++ = digits[c >> 4];
            *to++ = digits[c & 15];
        } else {
            *to++ = (char)c;
        }
    }
    *to++ = '"';
    return to;
}

static char *put_content(char *to, const broker_msg *m)
{
    if (m->content_type != BROKER_CONTENT_JSON || m->encryption_type != BROKER_ENCRYPTION_NONE ||
        !utf8_ok(m->content.ptr, m->content.len)) {
        *to++ = '"';
        to = put_hex(to, m->content);
        *to++ = '"';
        return to;
    }
    if (streamr_json_valid(m->content.ptr, m->content.len))
        return put(to, (const char *)m->content.ptr, m->content.len);
    return put_string(to, (const char *)m->content.ptr, m->content.len);
}

static char *put_id(char *to, const broker_msg *m)
{
    to = PUT(to, "{\"streamId\":");
    to = put_string(to, m->stream.ptr, m->stream.len);
    to = PUT(to, ",\"streamPartition\":");
    to = put_number(to, m->partition);
    to = PUT(to, ",\"timestamp\":");
    to = put_number(to, m->timestamp_ms);
    to = PUT(to, ",\"sequenceNumber\":");
    to = put_number(to, m->sequence);
    to = PUT(to, ",\"publisherId\":\"0x");
    to = put_hex(to, m->publisher);
    to = PUT(to, "\",\"msgChainId\":");
    return put_string(to, m->chain.ptr, m->chain.len);
}

char *format_store_object(char *to, const broker_msg *m)
{
    to = put_id(to, m);
    to = PUT(to, ",\"messageType\":27,\"contentType\":");
    to = put_number(to, m->content_type);
    to = PUT(to, ",\"encryptionType\":");
    to = put_number(to, m->encryption_type == BROKER_ENCRYPTION_AES ? 2 : 0);
    to = PUT(to, ",\"content\":");
    to = put_content(to, m);
    to = PUT(to, ",\"signatureType\":");
    to = put_number(to, m->signature_type);
    to = PUT(to, ",\"signature\":\"");
    to = put_hex(to, m->signature);
    *to++ = '"';
    if ((m->flags & BROKER_MSG_HAS_KEY_ID) != 0) {
        to = PUT(to, ",\"groupKeyId\":");
        to = put_string(to, m->group_key_id.ptr, m->group_key_id.len);
    }
    *to++ = '}';
    return to;
}

char *format_stream_object(char *to, const broker_msg *m)
{
    to = put_id(to, m);
    to = PUT(to, ",\"messageType\":0,\"contentType\":");
    to = put_number(to, m->content_type);
    to = PUT(to, ",\"encryptionType\":");
    to = put_number(to, m->encryption_type);
    if ((m->flags & BROKER_MSG_HAS_KEY_ID) != 0) {
        to = PUT(to, ",\"groupKeyId\":");
        to = put_string(to, m->group_key_id.ptr, m->group_key_id.len);
    }
    to = PUT(to, ",\"content\":");
    to = put_content(to, m);
    to = PUT(to, ",\"signature\":\"");
    to = put_hex(to, m->signature);
    return PUT(to, "\"}");
}
