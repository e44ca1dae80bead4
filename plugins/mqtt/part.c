/* part -- see part.h. */
#include "part.h"

#include "client.h"
#include "packet.h"
#include "topic.h"

#include "payload/payload.h"
#include "streamr/streamr.h"

#define SLOTS 4096u

typedef struct part {
    struct part *next; /* of one slot of the table */
    mqtt *m;
    char *stream;
    size_t stream_len;
    uint32_t partition;
    broker_sub *sub;
    subscription *subscriptions;
} part;

/* ---- messages ---- */

static void deliver_now(mqtt *m, subscription *sub, broker_bytes text)
{
    client *c = sub->session->client;

    if (c == NULL)
        return; /* QoS 0 is not kept for those who are away */
    if (c->full) {
        mqtt_count_add(m, COUNT_DROPPED_SLOW, 1);
        return;
    }
    packet_put_publish(client_out(c), &(packet_publish){
                                          .topic = {sub->topic->bytes, sub->topic->len},
                                          .payload = text,
                                      });
    client_flush_long(c);
    mqtt_count_add(m, COUNT_DELIVERED_0, 1);
}

static void deliver_surely(mqtt *m, subscription *sub, parcel *text)
{
    session *s = sub->session;
    uint32_t dropped = letters_put(&s->letters, sub->topic, text);

    if (dropped != 0)
        mqtt_count_add(m, COUNT_DROPPED_QUEUE, dropped);
    if (s->client != NULL)
        client_pump(s->client);
}

static void deliver(part *p, const broker_msg *msg)
{
    mqtt *m = p->m;
    parcel *kept = NULL;
    payload_fate fate;

    sb_clear(&m->scratch);
    fate = payload_write(msg, m->settings.wrapped, &m->scratch);
    if (fate == PAYLOAD_ENCRYPTED) {
        mqtt_count_add(m, COUNT_DROPPED_ENCRYPTED, 1);
        mqtt_say(m, SAY_CONTENT, "messages of '%s' are encrypted and cannot be read here",
                 mqtt_show(msg->stream).text);
        return;
    }
    if (fate == PAYLOAD_NOT_OBJECT) {
        mqtt_count_add(m, COUNT_DROPPED_NOT_OBJECT, 1);
        mqtt_say(m, SAY_CONTENT, "messages of '%s' are JSON but no objects, so no client gets them",
                 mqtt_show(msg->stream).text);
        return;
    }
    if (fate != PAYLOAD_WRITTEN)
        return;
    for (subscription *sub = p->subscriptions; sub != NULL; sub = sub->part_next) {
        if (sub->qos == 0) {
            deliver_now(m, sub, (broker_bytes){(const uint8_t *)m->scratch.data, m->scratch.len});
            continue;
        }
        if (kept == NULL)
            kept = parcel_new(m->scratch.data, m->scratch.len);
        deliver_surely(m, sub, kept);
    }
    parcel_release(kept);
    client_scratch_trim(&m->scratch);
}

static size_t on_msgs(void *self, const broker_msg *const *msgs, size_t n)
{
    part *p = self;

    for (size_t i = 0; i < n; i++)
        deliver(p, msgs[i]);
    client_flush_all(p->m);
    return n;
}

/* ---- the table ---- */

static part **slot_of(mqtt *m, broker_str stream, uint32_t partition)
{
    if (m->parts == NULL)
        m->parts = must_alloc(SLOTS * sizeof(part *));
    return &m->parts[(hash_bytes(stream.ptr, stream.len) + partition) % SLOTS];
}

static part *part_find(mqtt *m, broker_str stream, uint32_t partition)
{
    part *p = *slot_of(m, stream, partition);

    while (p != NULL && (p->partition != partition || p->stream_len != stream.len ||
                         memcmp(p->stream, stream.ptr, stream.len) != 0))
        p = p->next;
    return p;
}

static part *part_add(mqtt *m, broker_str stream, uint32_t partition)
{
    part *p = must_alloc(sizeof *p), **slot = slot_of(m, stream, partition);
    broker_subscription want = {.size = sizeof want,
                                .stream = stream,
                                .partition = partition,
                                .on_msgs = on_msgs,
                                .self = p};

    p->m = m;
    if (m->bus->subscribe(m->ctx, &want, &p->sub) != BROKER_OK) {
        free(p);
        return NULL;
    }
    p->stream = must_strndup(stream.ptr, stream.len);
    p->stream_len = stream.len;
    p->partition = partition;
    p->next = *slot;
    *slot = p;
    m->n_parts++;
    m->metrics->set(m->stream_parts, (double)m->n_parts);
    return p;
}

static void part_drop(part *p)
{
    mqtt *m = p->m;
    part **at = slot_of(m, (broker_str){p->stream, p->stream_len}, p->partition);

    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    m->bus->unsubscribe(p->sub);
    m->n_parts--;
    m->metrics->set(m->stream_parts, (double)m->n_parts);
    free(p->stream);
    free(p);
}

/* The partition a topic is about; one key has one, a field of the content has the first. False:
 * the stream has fewer, *why. */
static bool partition_of(mqtt *m, const topic *t, uint32_t *out, sb *why)
{
    uint32_t known = m->bus->partitions(m->ctx, (broker_str){t->stream.data, t->stream.len});

    *out = 0;
    if (t->choice == TOPIC_PARTITION) {
        *out = t->partition;
        if (known != 0 && t->partition >= known)
            sb_printf(why, "the stream has %u partitions, so there is no partition %u", known,
                      t->partition);
        return known == 0 || t->partition < known;
    }
    if (t->choice == TOPIC_KEY && known > 1)
        *out = streamr_key_partition(known, t->value.data, t->value.len);
    return true;
}

static part *part_of(mqtt *m, broker_str text, sb *why)
{
    topic t = TOPIC_INIT;
    uint32_t partition;
    part *p = NULL;

    if (topic_read(text, m->settings.domain, &t, why) && partition_of(m, &t, &partition, why)) {
        broker_str stream = {t.stream.data, t.stream.len};

        p = part_find(m, stream, partition);
        if (p == NULL && m->n_parts == PARTS_MAX)
            sb_puts(why, "the clients of this node subscribe to 10000 stream parts already");
        else if (p == NULL && (p = part_add(m, stream, partition)) == NULL)
            sb_puts(why, "the node's bus does not take the subscription");
    }
    topic_done(&t);
    return p;
}

static void join(part *p, subscription *sub)
{
    sub->part = p;
    sub->part_next = p->subscriptions;
    sub->part_at = &p->subscriptions;
    if (sub->part_next != NULL)
        sub->part_next->part_at = &sub->part_next;
    p->subscriptions = sub;
}

/* The part goes with its last subscription. */
static void leave(subscription *sub)
{
    *sub->part_at = sub->part_next;
    if (sub->part_next != NULL)
        sub->part_next->part_at = sub->part_at;
    if (sub->part->subscriptions == NULL)
        part_drop(sub->part);
}

bool part_subscribe(mqtt *m, session *s, broker_str text, uint8_t qos, sb *why)
{
    subscription *sub = session_subscription(s, text);
    part *p;

    if (sub == NULL && s->n_subscriptions == SUBSCRIPTIONS_MAX) {
        sb_puts(why, "a client may have 1024 subscriptions");
        return false;
    }
    p = part_of(m, text, why);
    if (p == NULL)
        return false;
    if (sub != NULL) {
        sub->qos = qos;
        if (sub->part != p) { /* its key has another partition since the stream has more */
            leave(sub);
            join(p, sub);
        }
        return true;
    }
    sub = must_alloc(sizeof *sub);
    *sub = (subscription){.session = s,
                          .topic = parcel_new(text.ptr, text.len),
                          .qos = qos,
                          .next = s->subscriptions};
    s->subscriptions = sub;
    s->n_subscriptions++;
    join(p, sub);
    return true;
}

void part_unsubscribe(subscription *sub)
{
    session *s = sub->session;
    subscription **at = &s->subscriptions;

    while (*at != sub)
        at = &(*at)->next;
    *at = sub->next;
    s->n_subscriptions--;
    leave(sub);
    parcel_release(sub->topic);
    free(sub);
}
