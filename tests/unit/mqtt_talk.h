/* mqtt_talk -- what clients say to the mqtt plugin on the host of mqtt_fake.h, and what they hear.
 */
#ifndef TESTS_MQTT_TALK_H
#define TESTS_MQTT_TALK_H

#include "tests/unit/mqtt_bytes.h"
#include "tests/unit/mqtt_fake.h"

#include <criterion/criterion.h>

#define OWNER "0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a"
#define TOPIC OWNER "/t"

static inline void begin(void)
{
    fake_init();
    cr_assert_eq(fake_start(), BROKER_OK);
}

/* What the plugin has sent since the last look, as hex. */
static inline void sent(broker_conn *c, const char *hex)
{
    char got[4096];

    cr_assert_lt(c->sent.len, sizeof got / 2);
    hex_encode(got, c->sent.data, c->sent.len);
    got[2 * c->sent.len] = '\0';
    cr_assert_str_eq(got, hex);
    sb_clear(&c->sent);
}

/* The payloads of the PUBLISH packets sent, "qos.id:payload " each with "!" for DUP; the rest is
 * skipped. */
static inline void delivered(broker_conn *c, const char *expected)
{
    sb said = SB_INIT;
    size_t at = 0;

    while (at < c->sent.len) {
        const uint8_t *p = (const uint8_t *)c->sent.data + at;
        size_t len = 0, head = 1, topic;
        unsigned qos = p[0] >> 1 & 3, id = 0;

        for (unsigned shift = 0;; shift += 7) {
            len |= (size_t)(p[head] & 0x7f) << shift;
            if ((p[head++] & 0x80) == 0)
                break;
        }
        if (p[0] >> 4 == 3) {
            cr_assert_eq(p[0] & 1, 0, "retain is set");
            topic = (size_t)p[head] << 8 | p[head + 1];
            if (qos != 0)
                id = (unsigned)(p[head + 2 + topic] << 8 | p[head + 3 + topic]);
            sb_printf(&said, "%s%u.%u:%.*s ", (p[0] & 8) != 0 ? "!" : "", qos, id,
                      (int)(len - topic - 2 - (qos != 0 ? 2 : 0)),
                      (const char *)p + head + 2 + topic + (qos != 0 ? 2 : 0));
        }
        at += head + len;
    }
    cr_assert_str_eq(said.len != 0 ? said.data : "", expected);
    sb_done(&said);
    sb_clear(&c->sent);
}

static inline void send_connect(broker_conn *c, bytes_connect_options o)
{
    sb out = SB_INIT;

    bytes_connect(&out, o);
    fake_bytes(c, out.data, out.len);
    sb_done(&out);
}

static inline broker_conn *connected(const char *id, bool keep, bool present)
{
    broker_conn *c = fake_open();

    send_connect(c, (bytes_connect_options){.id = id, .keep = keep});
    sent(c, present ? "20020100" : "20020000");
    return c;
}

static inline void subscribe(broker_conn *c, const char *filter, int qos)
{
    sb out = SB_INIT;

    bytes_filter(&out, filter, qos, 9);
    fake_bytes(c, out.data, out.len);
    sent(c, qos < 0 ? "b0020009" : qos == 0 ? "9003000900" : "9003000901");
    sb_done(&out);
}

static inline void publish(broker_conn *c, const char *topic, const char *payload, unsigned flags,
                           unsigned id)
{
    sb out = SB_INIT;

    bytes_publish(&out, topic, payload, flags, id);
    fake_bytes(c, out.data, out.len);
    sb_done(&out);
}

static inline void ack(broker_conn *c, unsigned first, unsigned id)
{
    sb out = SB_INIT;

    bytes_ack(&out, first, id);
    fake_bytes(c, out.data, out.len);
    sb_done(&out);
}

/* Its chain is one of the client's. */
static inline bool post_is(size_t i, const char *stream, const char *content, const char *client)
{
    const fake_post *p = &fake.posts[i];
    size_t len = strlen(client);

    return i < fake.n_posts && strcmp(p->stream.data, stream) == 0 &&
           strcmp(p->content.data, content) == 0 && p->chain.len == len + 21 &&
           memcmp(p->chain.data, client, len) == 0 && p->chain.data[len] == '~';
}

static inline void swap(void)
{
    cr_assert_eq(fake_quiesce(), BROKER_OK);
    cr_assert_eq(fake.n_subs, 0);
    broker_plugin.destroy(fake.plugin);
    cr_assert_eq(broker_plugin.create(&fake.ctx, &fake.plugin), BROKER_OK);
    cr_assert_eq(fake_start(), BROKER_OK);
}

static inline broker_conn *with_will(const char *topic, const char *payload)
{
    broker_conn *c = fake_open();

    send_connect(c,
                 (bytes_connect_options){
                     .id = "w", .will_topic = topic, .will_payload = payload, .keep_alive_s = 10});
    return c;
}

#endif
