/* publish -- see publish.h. */
#include "publish.h"

#include "payload/payload.h"
#include "payload/verdict.h"

#define DRAWN_LEN 20u
#define WILLS_MAX 1000u

/* A publication in flight, or its outcome, until what came before it is acknowledged. */
typedef struct post {
    struct post *next; /* of the session */
    mqtt *m;
    parcel *client_id;
    session *session;    /* NULL: a will, or nobody waits any more */
    uint64_t connection; /* that is to be answered                 */
    uint16_t id;
    uint8_t qos;
    bool will, over, good;
} post;

static post *post_make(mqtt *m, parcel *client_id)
{
    post *p = must_alloc(sizeof *p);

    p->m = m;
    p->client_id = parcel_retain(client_id);
    return p;
}

static void post_free(post *p)
{
    parcel_release(p->client_id);
    free(p);
}

/* ---- topics and payloads ---- */

static bool content_read(const mqtt *m, broker_bytes bytes, payload *out, sb *why)
{
    return payload_read((broker_str){(const char *)bytes.ptr, bytes.len}, m->settings.wrapped, out,
                        why);
}

bool publish_check(mqtt *m, broker_str text, broker_bytes bytes, sb *why)
{
    topic t = TOPIC_INIT;
    payload content;
    bool ok =
        topic_read(text, m->settings.domain, &t, why) && content_read(m, bytes, &content, why);

    topic_done(&t);
    return ok;
}

/* What the topic and the payload say; *key holds what it points to. */
static bool publication_read(mqtt *m, const topic *t, broker_bytes bytes, broker_publication *out,
                             sb *key, sb *why)
{
    payload content;

    if (!content_read(m, bytes, &content, why))
        return false;
    out->size = sizeof *out;
    out->stream = (broker_str){t->stream.data, t->stream.len};
    out->partition = t->choice == TOPIC_PARTITION ? t->partition : BROKER_ALL_PARTITIONS;
    out->content_type = BROKER_CONTENT_JSON;
    out->content = (broker_bytes){(const uint8_t *)content.content.ptr, content.content.len};
    out->timestamp_ms = content.timestamp_ms;
    out->key = (broker_str){NULL, 0};
    if (t->choice == TOPIC_KEY)
        out->key = (broker_str){t->value.data, t->value.len};
    if (t->choice != TOPIC_FIELD)
        return true;
    if (!payload_route(content.content, (broker_str){t->value.data, t->value.len},
                       m->bus->partitions(m->ctx, out->stream), &out->partition, key, why))
        return false;
    out->key = (broker_str){key->data, key->len};
    return true;
}

void publish_draw(sb *out)
{
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz012345";
    uint8_t random[DRAWN_LEN];

    random_bytes(random, sizeof random);
    for (size_t i = 0; i < sizeof random; i++)
        sb_putc(out, alphabet[random[i] % 32]);
}

void publish_chain(const parcel *client_id, sb *out)
{
    size_t most = CHAIN_MAX - 1 - DRAWN_LEN, len = client_id->len;

    if (len > most) {
        len = most;
        while ((client_id->bytes[len] & 0xc0) == 0x80) /* never through a character */
            len--;
    }
    sb_append(out, client_id->bytes, len);
    sb_putc(out, '~');
    publish_draw(out);
}

/* ---- outcomes ---- */

static bool outcome_count(mqtt *m, const broker_outcome *outcome)
{
    static const mqtt_count counts[] = {
        [VERDICT_STORED] = COUNT_STORED, [VERDICT_DELIVERED] = COUNT_UNSTORED,
        [VERDICT_THERE] = COUNT_STORED,  [VERDICT_REFUSED] = COUNT_REFUSED,
        [VERDICT_FAILED] = COUNT_FAILED,
    };
    verdict v = verdict_of(outcome);

    mqtt_count_add(m, counts[v], 1);
    return verdict_is_good(v);
}

/* Acknowledge what is over, in order. The session may be gone afterwards. */
static void posts_flush(session *s)
{
    bool clean = s->clean;
    post *p;

    while ((p = s->posts) != NULL && p->over) {
        client *c = s->client != NULL && s->client->number == p->connection ? s->client : NULL;
        post done = *p;

        s->posts = p->next;
        if (s->posts == NULL)
            s->posts_end = &s->posts;
        s->n_posts--;
        post_free(p);
        if (c == NULL || done.qos == 0)
            continue;
        if (done.good) {
            packet_put_ack(client_out(c), done.qos == 1 ? PACKET_PUBACK : PACKET_PUBREC, done.id);
            continue;
        }
        client_close(c, COUNT_UNPUBLISHED,
                     "its publication was not accepted, and MQTT 3.1.1 has no "
                     "other way to say so");
        if (clean)
            return;
    }
}

static void post_append(session *s, post *p)
{
    *s->posts_end = p;
    s->posts_end = &p->next;
    s->n_posts++;
}

static void failure_say(mqtt *m, const char *what, const parcel *client_id, broker_str stream,
                        const char *why)
{
    broker_str id = {client_id->bytes, client_id->len};

    mqtt_say(m, SAY_PUBLISH, "%s of client '%s' to '%s' is not published: %s", what,
             mqtt_show(id).text, mqtt_show(stream).text, why);
}

static void will_lost(mqtt *m, const will *w, const char *why)
{
    mqtt_count_add(m, COUNT_WILLS_LOST, 1);
    failure_say(m, "the will", w->client_id, (broker_str){w->topic.data, w->topic.len}, why);
}

static void on_published(void *arg, const broker_msg *msg, const broker_outcome *outcome)
{
    post *p = arg;
    mqtt *m = p->m;
    session *s = p->session;
    client *c;

    p->over = true;
    p->good = outcome_count(m, outcome);
    m->n_posts--;
    if (p->will)
        mqtt_count_add(m, p->good ? COUNT_WILLS : COUNT_WILLS_LOST, 1);
    if (!p->good)
        failure_say(m, p->will ? "the will" : "a message", p->client_id,
                    msg != NULL ? msg->stream : (broker_str){NULL, 0}, verdict_why(outcome));
    if (s == NULL) {
        post_free(p);
        return;
    }
    if (!p->good && p->qos == 2)
        session_release(s, p->id);
    c = s->client;
    posts_flush(s);
    if (c != NULL && !c->closing)
        client_run(c);
    client_flush_all(m);
}

void publish_leave(session *s)
{
    while (s->posts != NULL) {
        post *p = s->posts;

        s->posts = p->next;
        p->session = NULL;
        if (p->over)
            post_free(p);
    }
    s->posts_end = &s->posts;
    s->n_posts = 0;
}

/* ---- packets ---- */

static post *post_new(client *c, const packet_publish *sent)
{
    post *p = post_make(c->m, c->session->client_id);

    p->session = c->session;
    p->connection = c->number;
    p->id = sent->id;
    p->qos = sent->qos;
    return p;
}

/* Something that is over already, to be answered in its turn. */
static void answer_later(client *c, const packet_publish *sent, bool good)
{
    post *p = post_new(c, sent);

    p->over = true;
    p->good = good;
    post_append(c->session, p);
    posts_flush(c->session);
}

static void refuse(client *c, const packet_publish *sent, const char *why)
{
    mqtt_count_add(c->m, COUNT_REFUSED, 1);
    failure_say(c->m, "a message", c->session->client_id, sent->topic, why);
    if (sent->qos == 0)
        return;
    c->doomed = true;
    answer_later(c, sent, false);
}

/* A PUBLISH of QoS 2 that came before, and was not released. */
static void answer_again(client *c, const packet_publish *sent)
{
    for (post *p = c->session->posts; p != NULL; p = p->next)
        if (p->qos == 2 && p->id == sent->id) {
            p->connection = c->number;
            return;
        }
    answer_later(c, sent, true);
}

static bool topic_of(client *c, broker_str text, sb *why)
{
    sb *last = &c->last_topic_text;

    if (last->len == text.len && memcmp(last->data, text.ptr, text.len) == 0)
        return true;
    sb_clear(last);
    if (!topic_read(text, c->m->settings.domain, &c->last_topic, why))
        return false;
    sb_append(last, text.ptr, text.len);
    return true;
}

/* BROKER_OK, BROKER_AGAIN, or an error and *why. */
static broker_rc publish_post(client *c, const packet_publish *sent, sb *why)
{
    mqtt *m = c->m;
    broker_publication what = {.flags = 0};
    sb key = SB_INIT;
    post *p;
    broker_rc rc = BROKER_EINVAL;

    if (!topic_of(c, sent->topic, why) ||
        !publication_read(m, &c->last_topic, sent->payload, &what, &key, why))
        goto done;
    p = post_new(c, sent);
    what.chain = (broker_str){c->chain.data, c->chain.len};
    what.done = on_published;
    what.arg = p;
    rc = m->bus->publish(m->ctx, &what);
    if (rc == BROKER_OK) {
        post_append(c->session, p);
        m->n_posts++;
        goto done;
    }
    post_free(p);
    if (rc != BROKER_AGAIN)
        sb_puts(why, verdict_of_publish(rc));
done:
    sb_done(&key);
    return rc;
}

bool publish_packet(client *c, const packet_publish *sent)
{
    sb why = SB_INIT;
    broker_rc rc;

    if (sent->qos == 2 && session_has_received(c->session, sent->id)) {
        answer_again(c, sent);
        return true;
    }
    rc = publish_post(c, sent, &why);
    if (rc == BROKER_AGAIN)
        mqtt_ask_for_room(c->m);
    else if (rc != BROKER_OK)
        refuse(c, sent, why.data);
    else if (sent->qos == 2)
        session_receive(c->session, sent->id);
    sb_done(&why);
    return rc != BROKER_AGAIN;
}

/* ---- wills ---- */

/* BROKER_AGAIN: the bus is full. */
static broker_rc will_post(mqtt *m, const will *w, sb *why)
{
    broker_publication what = {.flags = 0};
    topic t = TOPIC_INIT;
    sb key = SB_INIT, chain = SB_INIT;
    post *p;
    broker_rc rc = BROKER_EINVAL;

    if (!topic_read((broker_str){w->topic.data, w->topic.len}, m->settings.domain, &t, why) ||
        !publication_read(m, &t, (broker_bytes){(const uint8_t *)w->payload.data, w->payload.len},
                          &what, &key, why))
        goto done;
    p = post_make(m, w->client_id);
    p->will = true;
    /* Its own: its timestamp is older than what the connection published after it. */
    publish_chain(w->client_id, &chain);
    what.chain = (broker_str){chain.data, chain.len};
    what.done = on_published;
    what.arg = p;
    rc = m->bus->publish(m->ctx, &what);
    if (rc == BROKER_OK) {
        m->n_posts++;
        goto done;
    }
    post_free(p);
    if (rc != BROKER_AGAIN)
        sb_puts(why, verdict_of_publish(rc));
done:
    topic_done(&t);
    sb_done(&key);
    sb_done(&chain);
    return rc;
}

/* True: it waits for room. */
static bool will_waits(mqtt *m, const will *w)
{
    sb why = SB_INIT;
    broker_rc rc = will_post(m, w, &why);

    if (rc != BROKER_OK && rc != BROKER_AGAIN)
        will_lost(m, w, why.data);
    sb_done(&why);
    return rc == BROKER_AGAIN;
}

void publish_will(will *w, mqtt *m)
{
    will **end = &m->wills;

    if (m->n_wills == 0 && !will_waits(m, w)) {
        will_free(w);
        return;
    }
    if (m->n_wills == WILLS_MAX) {
        will_lost(m, w, "the bus is full and 1000 wills wait for room already");
        will_free(w);
        return;
    }
    while (*end != NULL)
        end = &(*end)->next;
    *end = w;
    m->n_wills++;
    mqtt_ask_for_room(m);
}

void publish_wills(mqtt *m)
{
    while (m->wills != NULL && !will_waits(m, m->wills)) {
        will *w = m->wills;

        m->wills = w->next;
        m->n_wills--;
        will_free(w);
    }
    if (m->wills != NULL)
        mqtt_ask_for_room(m);
}
