/* line -- see line.h. */
#include "line.h"
#include "streamr/streamr.h"

static void hex(sb *out, broker_bytes b)
{
    size_t len = 2 * b.len;

    hex_encode(sb_room(out, len), b.ptr, b.len);
    out->len += len;
}

static void content(const broker_msg *m, sb *out)
{
    size_t at = out->len;

    if (m->content_type != BROKER_CONTENT_JSON || m->encryption_type != BROKER_ENCRYPTION_NONE) {
        sb_putc(out, '"');
        hex(out, m->content);
        sb_putc(out, '"');
        return;
    }
    if (!streamr_json_valid(m->content.ptr, m->content.len)) {
        sb_json_string(out, (const char *)m->content.ptr, m->content.len);
        return;
    }
    sb_append(out, m->content.ptr, m->content.len);
    /* Inside a JSON string there is none, so this changes white space only. */
    for (; at < out->len; at++)
        if (out->data[at] == '\n' || out->data[at] == '\r')
            out->data[at] = ' ';
}

void line_append(const broker_msg *m, sb *out)
{
    sb_puts(out, "{\"streamId\":");
    sb_json_string(out, m->stream.ptr, m->stream.len);
    sb_printf(out, ",\"streamPartition\":%u,\"timestamp\":%lld,\"sequenceNumber\":%d", m->partition,
              (long long)m->timestamp_ms, m->sequence);
    sb_puts(out, ",\"publisherId\":\"0x");
    hex(out, m->publisher);
    sb_puts(out, "\",\"msgChainId\":");
    sb_json_string(out, m->chain.ptr, m->chain.len);
    sb_printf(out,
              ",\"messageType\":27,\"contentType\":%u,\"encryptionType\":%u,"
              "\"content\":",
              m->content_type, m->encryption_type == BROKER_ENCRYPTION_AES ? 2u : 0u);
    content(m, out);
    sb_printf(out, ",\"signatureType\":%u,\"signature\":\"", m->signature_type);
    hex(out, m->signature);
    sb_putc(out, '"');
    if ((m->flags & BROKER_MSG_HAS_KEY_ID) != 0) {
        sb_puts(out, ",\"groupKeyId\":");
        sb_json_string(out, m->group_key_id.ptr, m->group_key_id.len);
    }
    sb_puts(out, "}\n");
}
