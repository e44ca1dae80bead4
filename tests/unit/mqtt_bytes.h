/* mqtt_bytes -- packets as a client writes them. */
#ifndef TESTS_MQTT_BYTES_H
#define TESTS_MQTT_BYTES_H

#include "base/base.h"

#include <stdlib.h>

static inline void bytes_text(sb *out, const char *text)
{
    size_t len = strlen(text);

    sb_putc(out, (char)(len >> 8));
    sb_putc(out, (char)len);
    sb_append(out, text, len);
}

static inline void bytes_packet(sb *out, unsigned first, const sb *body)
{
    size_t len = body->len;

    sb_putc(out, (char)first);
    do {
        sb_putc(out, (char)((len & 0x7f) | (len > 0x7f ? 0x80 : 0)));
        len >>= 7;
    } while (len != 0);
    sb_append(out, body->data, body->len);
}

typedef struct bytes_connect_options {
    const char *id, *will_topic, *will_payload, *user, *password;
    bool keep; /* not clean */
    unsigned keep_alive_s, level, extra_flags;
} bytes_connect_options;

static inline void bytes_connect(sb *out, bytes_connect_options o)
{
    sb body = SB_INIT;
    unsigned flags = (o.keep ? 0 : 0x02u) | (o.will_topic != NULL ? 0x04u : 0) |
                     (o.user != NULL ? 0x80u : 0) | (o.password != NULL ? 0x40u : 0) |
                     o.extra_flags;

    bytes_text(&body, "MQTT");
    sb_putc(&body, (char)(o.level != 0 ? o.level : 4));
    sb_putc(&body, (char)flags);
    sb_putc(&body, (char)(o.keep_alive_s >> 8));
    sb_putc(&body, (char)o.keep_alive_s);
    bytes_text(&body, o.id);
    if (o.will_topic != NULL) {
        bytes_text(&body, o.will_topic);
        bytes_text(&body, o.will_payload);
    }
    if (o.user != NULL)
        bytes_text(&body, o.user);
    if (o.password != NULL)
        bytes_text(&body, o.password);
    bytes_packet(out, 0x10, &body);
    sb_done(&body);
}

static inline void bytes_publish(sb *out, const char *topic, const char *payload, unsigned flags,
                                 unsigned id)
{
    sb body = SB_INIT;

    bytes_text(&body, topic);
    if ((flags & 0x06) != 0) {
        sb_putc(&body, (char)(id >> 8));
        sb_putc(&body, (char)id);
    }
    sb_puts(&body, payload);
    bytes_packet(out, 0x30 | flags, &body);
    sb_done(&body);
}

/* qos < 0: UNSUBSCRIBE. */
static inline void bytes_filter(sb *out, const char *filter, int qos, unsigned id)
{
    sb body = SB_INIT;

    sb_putc(&body, (char)(id >> 8));
    sb_putc(&body, (char)id);
    bytes_text(&body, filter);
    if (qos >= 0)
        sb_putc(&body, (char)qos);
    bytes_packet(out, qos >= 0 ? 0x82 : 0xa2, &body);
    sb_done(&body);
}

static inline void bytes_ack(sb *out, unsigned first, unsigned id)
{
    sb body = SB_INIT;

    sb_putc(&body, (char)(id >> 8));
    sb_putc(&body, (char)id);
    bytes_packet(out, first, &body);
    sb_done(&body);
}

#endif
