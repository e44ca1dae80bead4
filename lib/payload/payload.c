/* payload -- see payload.h. */
#include "payload/payload.h"

#include "payload/member.h"
#include "streamr/streamr.h"

/* ---- in ---- */

static bool refuse(sb *why, const char *what)
{
    sb_puts(why, what);
    return false;
}

static bool quote(sb *why, const char *before, broker_str text)
{
    sb_puts(why, before);
    sb_append(why, text.ptr, text.len < 100 ? text.len : 100);
    return false;
}

static bool text_check(broker_str text, sb *why)
{
    size_t at;
    const char *fault = streamr_json_fault(text.ptr, text.len, &at);

    if (fault == NULL)
        return true;
    sb_puts(why, "Payload is not a JSON string: ");
    if (text.len == 0)
        return refuse(why, "it is empty, a JSON object was expected");
    sb_printf(why, "%s at byte %zu", fault, at);
    return false;
}

static bool content_check(broker_str value, sb *why)
{
    if (value.len != 0 && value.ptr[0] == '{')
        return true;
    return refuse(why, value.len == 0 || value.ptr[0] == 'n' ? "Content missing"
                                                             : "Content is not an object");
}

/* A number of milliseconds, or a moment as text. */
static bool timestamp_read(broker_str value, int64_t *out, sb *why)
{
    broker_str text = value;

    if (text.len >= 2 && text.ptr[0] == '"')
        text = (broker_str){text.ptr + 1, text.len - 2};
    if (moment_read(text.ptr, text.len, out) && *out != 0)
        return true;
    return quote(why, "Invalid timestamp: ", value);
}

static bool metadata_read(broker_str metadata, int64_t *timestamp_ms, sb *why)
{
    broker_str value;

    *timestamp_ms = 0;
    if (metadata.len == 0 || metadata.ptr[0] == 'n')
        return true;
    if (metadata.ptr[0] != '{')
        return refuse(why, "Metadata is not an object");
    value = member_find(metadata, (broker_str){"timestamp", 9});
    if (value.len == 0 || value.ptr[0] == 'n')
        return true;
    return timestamp_read(value, timestamp_ms, why);
}

bool payload_read(broker_str text, bool wrapped, payload *out, sb *why)
{
    payload p = {.timestamp_ms = 0};
    broker_str whole;

    if (!text_check(text, why))
        return false;
    whole = member_trim(text);
    p.content = text; /* with the space around it: as it was sent */
    if (!wrapped) {
        if (!content_check(whole, why))
            return false;
    } else {
        p.content = whole.ptr[0] == '{' ? member_find(whole, (broker_str){"content", 7})
                                        : (broker_str){NULL, 0};
        if (!content_check(p.content, why))
            return false;
        if (!metadata_read(member_find(whole, (broker_str){"metadata", 8}), &p.timestamp_ms, why))
            return false;
    }
    *out = p;
    return true;
}

/* A whole number modulo n, its sign ignored, as the SDK's keyToArrayIndex() takes numbers. */
static bool number_partition(broker_str value, uint32_t n, uint32_t *out)
{
    uint64_t rest = 0;
    size_t at = value.ptr[0] == '-' ? 1 : 0;

    if (at == value.len)
        return false;
    for (; at < value.len; at++) {
        if (value.ptr[at] < '0' || value.ptr[at] > '9')
            return false;
        rest = (rest * 10 + (uint64_t)(value.ptr[at] - '0')) % n;
    }
    *out = (uint32_t)rest;
    return true;
}

bool payload_route(broker_str content, broker_str field, uint32_t partitions, uint32_t *partition,
                   sb *key, sb *why)
{
    broker_str value = member_find(member_trim(content), field);

    if (value.len != 0 && value.ptr[0] != '"' && value.ptr[0] != 'n') {
        if (number_partition(value, partitions != 0 ? partitions : 1, partition))
            return true;
        return quote(why,
                     "the field that is the partition key is neither a text nor a whole "
                     "number: ",
                     value);
    }
    *partition = BROKER_ALL_PARTITIONS;
    if (value.len != 0 && value.ptr[0] == '"')
        member_text(value, key);
    return true;
}

/* ---- out ---- */

#define NUMBER_MAX 20u /* digits of a size_t */

/* The digits of x, to `to`; how many. */
static size_t digits_put(char *to, size_t x)
{
    char backwards[NUMBER_MAX];
    size_t n = 0;

    do
        backwards[n++] = (char)('0' + x % 10);
    while ((x /= 10) != 0);
    for (size_t i = 0; i < n; i++)
        to[i] = backwards[n - 1 - i];
    return n;
}

/* By hand: a content may have a million bytes, and this is done on the loop. */
static void binary_write(broker_bytes bytes, sb *out)
{
    sb_putc(out, '{');
    for (size_t i = 0; i < bytes.len; i++) {
        char *begin = sb_room(out, 2 * NUMBER_MAX + 4), *to = begin;

        if (i != 0)
            *to++ = ',';
        *to++ = '"';
        to += digits_put(to, i);
        *to++ = '"';
        *to++ = ':';
        to += digits_put(to, bytes.ptr[i]);
        out->len += (size_t)(to - begin);
    }
    sb_putc(out, '}');
}

static void metadata_write(const broker_msg *m, sb *out)
{
    sb_printf(out, ",\"metadata\":{\"timestamp\":%lld,\"sequenceNumber\":%d,\"publisherId\":\"0x",
              (long long)m->timestamp_ms, m->sequence);
    hex_encode(sb_room(out, 2 * m->publisher.len), m->publisher.ptr, m->publisher.len);
    out->len += 2 * m->publisher.len;
    sb_puts(out, "\",\"msgChainId\":");
    sb_json_string(out, m->chain.ptr, m->chain.len);
    sb_puts(out, "}}");
}

payload_fate payload_write(const broker_msg *m, bool wrapped, sb *out)
{
    broker_str text = {(const char *)m->content.ptr, m->content.len};
    bool binary = m->content_type == BROKER_CONTENT_BINARY;

    if (m->body != BROKER_BODY_CONTENT)
        return PAYLOAD_NOT_CONTENT;
    if (m->encryption_type != BROKER_ENCRYPTION_NONE)
        return PAYLOAD_ENCRYPTED;
    if (!binary && (!streamr_json_valid(text.ptr, text.len) || member_trim(text).ptr[0] != '{'))
        return PAYLOAD_NOT_OBJECT;
    if (wrapped)
        sb_puts(out, "{\"content\":");
    if (binary)
        binary_write(m->content, out);
    else
        sb_append(out, text.ptr, text.len);
    if (wrapped)
        metadata_write(m, out);
    return PAYLOAD_WRITTEN;
}

void payload_message_id(const broker_msg *m, sb *out)
{
    sb_putc(out, '[');
    sb_json_string(out, m->stream.ptr, m->stream.len);
    sb_printf(out, ",%u,%lld,%d,\"0x", m->partition, (long long)m->timestamp_ms, m->sequence);
    hex_encode(sb_room(out, 2 * m->publisher.len), m->publisher.ptr, m->publisher.len);
    out->len += 2 * m->publisher.len;
    sb_puts(out, "\",");
    sb_json_string(out, m->chain.ptr, m->chain.len);
    sb_putc(out, ']');
}
