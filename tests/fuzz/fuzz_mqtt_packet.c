/* Any bytes as MQTT packets: nothing is read outside them, and a PUBLISH that is taken says the
 * same when it is written and read again. */
#include "packet.h"
#include "topic.h"

static void publish_again(const packet_publish *m)
{
    const char *why = NULL;
    packet_publish again;
    sb out = SB_INIT;
    packet p;
    view in;

    packet_put_publish(&out, m);
    in = view_of(out.data, out.len);
    must(packet_next(&in, SIZE_MAX, &p, &why) == PACKET_WHOLE && view_left(&in) == 0);
    must(packet_read_publish(&p, &again) == NULL);
    must(again.qos == m->qos && again.dup == m->dup && again.retain == m->retain &&
         again.id == m->id && again.topic.len == m->topic.len &&
         again.payload.len == m->payload.len);
    sb_done(&out);
}

static void topic_read_any(broker_str text)
{
    topic t = TOPIC_INIT;
    sb why = SB_INIT;

    if (topic_read(text, (broker_str){NULL, 0}, &t, &why))
        must(t.stream.len != 0 && utf8_ok(t.value.data, t.value.len) && t.partition < 100);
    else
        must(why.len != 0);
    topic_done(&t);
    sb_done(&why);
}

static void read_one(const packet *p)
{
    packet_connect c;
    packet_publish m;
    broker_str filter;
    view filters;
    uint16_t id;
    uint8_t qos;

    if (packet_read_connect(p, &c) == NULL && c.level == 4 && c.has_will)
        topic_read_any(c.will_topic);
    if (packet_read_publish(p, &m) == NULL) {
        publish_again(&m);
        topic_read_any(m.topic);
    }
    if (packet_read_ack(p, &id) == NULL)
        must(id != 0);
    packet_read_empty(p);
    if (packet_read_filters(p, &id, &filters) == NULL)
        while (packet_next_filter(&filters, p->type == PACKET_SUBSCRIBE, &filter, &qos))
            topic_read_any(filter);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    view in = view_of(data, size);
    const char *why = NULL;
    packet p;

    while (packet_next(&in, 4096, &p, &why) == PACKET_WHOLE)
        read_one(&p);
    return 0;
}
