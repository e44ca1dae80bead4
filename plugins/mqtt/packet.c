/* packet -- see packet.h. */
#include "packet.h"

#define LEVEL_3_1_1 4

/* ---- parts ---- */

static bool take_u16(view *v, uint16_t *out)
{
    uint8_t b[2];

    if (!view_read(v, b, sizeof b))
        return false;
    *out = (uint16_t)(b[0] << 8 | b[1]);
    return true;
}

static bool take_bytes(view *v, broker_bytes *out)
{
    const uint8_t *at;
    uint16_t len;

    if (!take_u16(v, &len) || !view_skip(v, len, &at))
        return false;
    *out = (broker_bytes){at, len};
    return true;
}

/* UTF-8 without U+0000. */
static bool take_text(view *v, broker_str *out)
{
    broker_bytes b;

    if (!take_bytes(v, &b) || !utf8_ok(b.ptr, b.len))
        return false;
    if (b.len != 0 && memchr(b.ptr, 0, b.len) != NULL)
        return false;
    *out = (broker_str){(const char *)b.ptr, b.len};
    return true;
}

/* ---- in ---- */

packet_state packet_next(view *in, size_t max, packet *out, const char **why)
{
    view v = *in;
    const uint8_t *body;
    uint8_t first, byte;
    uint32_t len = 0;
    unsigned shift = 0;

    if (!view_u8(&v, &first))
        return PACKET_PART;
    do {
        if (shift == 28) {
            *why = "a packet length of more than four bytes";
            return PACKET_BROKEN;
        }
        if (!view_u8(&v, &byte))
            return PACKET_PART;
        len |= (uint32_t)(byte & 0x7f) << shift;
        shift += 7;
    } while ((byte & 0x80) != 0);
    if (len > max) {
        *why = "a packet longer than is allowed here";
        return PACKET_BROKEN;
    }
    if (!view_skip(&v, len, &body))
        return PACKET_PART;
    *out = (packet){(uint8_t)(first >> 4), first & 0x0f, view_of(body, len)};
    *in = v;
    return PACKET_WHOLE;
}

/* What stands behind the flags, level 4. */
static const char *read_connect_payload(view *v, uint8_t flags, packet_connect *c)
{
    broker_str user;

    if (!take_text(v, &c->client_id))
        return "CONNECT without a client id";
    if (c->has_will && (!take_text(v, &c->will_topic) || !take_bytes(v, &c->will_payload)))
        return "CONNECT with a broken will";
    if ((flags & 0x80) != 0 && !take_text(v, &user))
        return "CONNECT with a broken user name";
    if (c->has_password) {
        broker_bytes b;

        if (!take_bytes(v, &b))
            return "CONNECT with a broken password";
        c->password = (broker_str){(const char *)b.ptr, b.len};
    }
    return view_left(v) == 0 ? NULL : "bytes left over behind CONNECT";
}

const char *packet_read_connect(const packet *p, packet_connect *out)
{
    packet_connect c = {.level = 0};
    view v = p->body;
    broker_str name;
    const char *why;
    uint8_t flags;

    if (p->flags != 0)
        return "reserved bits are set in CONNECT";
    if (!take_text(&v, &name) || !view_u8(&v, &c.level))
        return "CONNECT without a protocol name";
    if (name.len == 6 && memcmp(name.ptr, "MQIsdp", 6) == 0) { /* MQTT 3.1 */
        *out = c;
        return c.level != LEVEL_3_1_1 ? NULL : "CONNECT with level 4 of another protocol";
    }
    if (name.len != 4 || memcmp(name.ptr, "MQTT", 4) != 0)
        return "CONNECT for another protocol than MQTT";
    if (c.level != LEVEL_3_1_1) {
        *out = c;
        return NULL;
    }
    if (!view_u8(&v, &flags) || !take_u16(&v, &c.keep_alive_s))
        return "CONNECT that ends too early";
    c.clean = (flags & 0x02) != 0;
    c.has_will = (flags & 0x04) != 0;
    c.will_qos = flags >> 3 & 0x03;
    c.will_retain = (flags & 0x20) != 0;
    c.has_password = (flags & 0x40) != 0;
    if ((flags & 0x01) != 0)
        return "the reserved flag is set in CONNECT";
    if (c.will_qos == 3 || (!c.has_will && (c.will_qos != 0 || c.will_retain)))
        return "CONNECT with impossible will flags";
    if (c.has_password && (flags & 0x80) == 0)
        return "CONNECT with a password but without a user name";
    why = read_connect_payload(&v, flags, &c);
    if (why == NULL)
        *out = c;
    return why;
}

const char *packet_read_publish(const packet *p, packet_publish *out)
{
    packet_publish m = {.dup = (p->flags & 0x08) != 0,
                        .retain = (p->flags & 0x01) != 0,
                        .qos = p->flags >> 1 & 0x03};
    view v = p->body;

    if (m.qos == 3)
        return "PUBLISH with QoS 3";
    if (m.dup && m.qos == 0)
        return "PUBLISH with DUP and QoS 0";
    if (!take_text(&v, &m.topic))
        return "PUBLISH with a broken topic";
    if (m.topic.len == 0)
        return "PUBLISH without a topic";
    if (memchr(m.topic.ptr, '+', m.topic.len) != NULL ||
        memchr(m.topic.ptr, '#', m.topic.len) != NULL)
        return "PUBLISH to a wildcard";
    if (m.qos != 0 && (!take_u16(&v, &m.id) || m.id == 0))
        return "PUBLISH without a packet id";
    m.payload = (broker_bytes){v.p, view_left(&v)};
    *out = m;
    return NULL;
}

const char *packet_read_ack(const packet *p, uint16_t *id)
{
    view v = p->body;
    uint16_t x;

    if (p->flags != (p->type == PACKET_PUBREL ? 0x02 : 0))
        return "reserved bits are set in an acknowledgement";
    if (!take_u16(&v, &x) || x == 0 || view_left(&v) != 0)
        return "an acknowledgement that is not one packet id";
    *id = x;
    return NULL;
}

const char *packet_read_empty(const packet *p)
{
    if (p->flags != 0)
        return "reserved bits are set in PINGREQ or DISCONNECT";
    return view_left(&p->body) == 0 ? NULL : "PINGREQ or DISCONNECT with a body";
}

bool packet_next_filter(view *filters, bool with_qos, broker_str *filter, uint8_t *qos)
{
    *qos = 0;
    return view_left(filters) != 0 && take_text(filters, filter) && filter->len != 0 &&
           (!with_qos || (view_u8(filters, qos) && *qos <= 2));
}

const char *packet_read_filters(const packet *p, uint16_t *id, view *filters)
{
    bool with_qos = p->type == PACKET_SUBSCRIBE;
    view v = p->body, all;
    broker_str filter;
    uint32_t n = 0;
    uint8_t qos;
    uint16_t x;

    if (p->flags != 0x02)
        return "reserved bits are set in SUBSCRIBE or UNSUBSCRIBE";
    if (!take_u16(&v, &x) || x == 0)
        return "SUBSCRIBE or UNSUBSCRIBE without a packet id";
    if (view_left(&v) == 0)
        return "SUBSCRIBE or UNSUBSCRIBE without a topic";
    all = v;
    while (view_left(&v) != 0) {
        if (++n > FILTERS_MAX)
            return "SUBSCRIBE or UNSUBSCRIBE with more than 1024 topics";
        if (!packet_next_filter(&v, with_qos, &filter, &qos))
            return "SUBSCRIBE or UNSUBSCRIBE with a broken topic";
    }
    *id = x;
    *filters = all;
    return NULL;
}

/* ---- out ---- */

static void put_u16(sb *out, uint16_t x)
{
    sb_putc(out, (char)(x >> 8));
    sb_putc(out, (char)x);
}

static void put_head(sb *out, uint8_t type, uint8_t flags, size_t len)
{
    sb_putc(out, (char)(type << 4 | flags));
    do {
        sb_putc(out, (char)((len & 0x7f) | (len > 0x7f ? 0x80 : 0)));
        len >>= 7;
    } while (len != 0);
}

void packet_put_connack(sb *out, bool session_present, uint8_t code)
{
    put_head(out, PACKET_CONNACK, 0, 2);
    sb_putc(out, (char)session_present);
    sb_putc(out, (char)code);
}

void packet_put_connack_v5_refusal(sb *out)
{
    sb_append(out, "\x20\x03\x00\x84\x00", 5);
}

void packet_put_publish(sb *out, const packet_publish *p)
{
    put_head(out, PACKET_PUBLISH,
             (uint8_t)((p->dup ? 0x08 : 0) | p->qos << 1 | (p->retain ? 0x01 : 0)),
             2 + p->topic.len + (p->qos != 0 ? 2 : 0) + p->payload.len);
    put_u16(out, (uint16_t)p->topic.len);
    sb_append(out, p->topic.ptr, p->topic.len);
    if (p->qos != 0)
        put_u16(out, p->id);
    sb_append(out, p->payload.ptr, p->payload.len);
}

void packet_put_ack(sb *out, uint8_t type, uint16_t id)
{
    put_head(out, type, type == PACKET_PUBREL ? 0x02 : 0, 2);
    put_u16(out, id);
}

void packet_put_suback(sb *out, uint16_t id, const uint8_t *codes, size_t n)
{
    put_head(out, PACKET_SUBACK, 0, 2 + n);
    put_u16(out, id);
    sb_append(out, codes, n);
}

void packet_put_pingresp(sb *out)
{
    put_head(out, PACKET_PINGRESP, 0, 0);
}
