/* client -- see client.h. */
#include "client.h"

#include "connect.h"
#include "packet.h"
#include "part.h"
#include "publish.h"

#define OUT_CHUNK   65536u   /* sent before the event ends */
#define STILL_MS    1000u    /* after prepare() what is on its way may still come */
#define DEAF_MAX_MS 3600000u /* no swap takes as long */

void will_free(will *w)
{
    if (w == NULL)
        return;
    sb_done(&w->topic);
    sb_done(&w->payload);
    parcel_release(w->client_id);
    free(w);
}

void client_scratch_trim(sb *b)
{
    if (b->cap > OUT_CHUNK * 2)
        sb_done(b);
}

/* ---- out ---- */

sb *client_out(client *c)
{
    if (!c->dirty) {
        c->dirty = true;
        c->dirty_next = c->m->dirty;
        c->m->dirty = c;
    }
    return &c->out;
}

static bool is_held_back(const client *c)
{
    return c->closing || c->full || c->starved || c->doomed ||
           (c->session != NULL && c->session->n_posts >= POSTS_MAX);
}

/* The socket is read while nothing holds the client back. */
static void reading_settle(client *c)
{
    if (c->closing || c->paused == is_held_back(c))
        return;
    c->paused = !c->paused;
    if (c->paused) {
        c->m->net->pause(c->conn);
    } else {
        c->heard_ms = mqtt_now(c->m); /* it could not be heard */
        c->m->net->resume(c->conn);
    }
}

static void send_out(client *c)
{
    broker_bytes data = {(const uint8_t *)c->out.data, c->out.len};

    if (c->closing || c->out.len == 0)
        return;
    c->full = c->m->net->send(c->conn, data, 0) == BROKER_AGAIN;
    c->queued = c->m->net->queued(c->conn);
    sb_clear(&c->out);
    client_scratch_trim(&c->out);
}

/* What comes after "full" waits for on_drain(): sending on would look like pressing a client that
 * does not read. It is little: acknowledgements of what was received before. */
static void flush(client *c)
{
    if (!c->full)
        send_out(c);
}

void client_flush_last(mqtt *m)
{
    for (client *c = m->clients; c != NULL; c = c->next)
        send_out(c);
}

void client_flush_all(mqtt *m)
{
    while (m->dirty != NULL) {
        client *c = m->dirty;

        m->dirty = c->dirty_next;
        c->dirty = false;
        flush(c);
        reading_settle(c);
    }
}

void client_flush_long(client *c)
{
    if (c->out.len >= OUT_CHUNK)
        flush(c);
}

void client_pump(client *c)
{
    while (!c->full && !c->closing) {
        size_t before = c->out.len;

        letters_pump(&c->session->letters, &c->out, OUT_CHUNK);
        if (c->out.len == before)
            break;
        client_out(c);
        if (c->out.len < OUT_CHUNK)
            break;
        flush(c);
    }
}

/* ---- the end ---- */

/* The session goes on without a connection, or ends; the will is published. */
static void detach(client *c)
{
    session *s;
    will *w;

    TAKE(s, c->session);
    TAKE(w, c->will);
    if (s != NULL) {
        s->client = NULL;
        if (s->clean)
            session_drop(&c->m->sessions, s);
        else
            session_leave(&c->m->sessions, s, mqtt_now(c->m));
        c->m->metrics->set(c->m->sessions_kept, (double)c->m->sessions.n);
    }
    if (w != NULL)
        publish_will(w, c->m);
}

static void say_goodbye(client *c, const char *line)
{
    session *s = c->session;
    broker_str id =
        s != NULL ? (broker_str){s->client_id->bytes, s->client_id->len} : (broker_str){NULL, 0};

    mqtt_say(c->m, SAY_CLIENT, "client '%s' of %s is disconnected: %s", mqtt_show(id).text,
             mqtt_show(c->m->net->address(c->conn)).text, line);
}

void client_close(client *c, mqtt_count why, const char *line)
{
    if (c->closing)
        return;
    mqtt_count_add(c->m, why, 1);
    if (line != NULL)
        say_goodbye(c, line);
    send_out(c);
    c->closing = true;
    detach(c);
    sb_done(&c->in);
    c->m->net->close(c->conn, 0, line);
}

static void client_free(client *c)
{
    mqtt *m = c->m;
    client **at = &m->dirty;

    while (c->dirty && *at != c)
        at = &(*at)->dirty_next;
    if (c->dirty)
        *at = c->dirty_next;
    *c->at = c->next;
    if (c->next != NULL)
        c->next->at = c->at;
    m->n_clients--;
    m->metrics->set(m->connections, (double)m->n_clients);
    will_free(c->will);
    topic_done(&c->last_topic);
    sb_done(&c->last_topic_text);
    sb_done(&c->chain);
    sb_done(&c->in);
    sb_done(&c->out);
    free(c);
}

static void on_close(void *self, broker_conn *conn, int32_t code, const char *why)
{
    client *c = self;
    mqtt *m = c->m;

    (void)conn;
    (void)code;
    (void)why;
    if (!c->closing) {
        c->closing = true;
        mqtt_count_add(m, COUNT_LOST, 1);
        detach(c);
    }
    client_free(c);
    client_flush_all(m);
}

void client_forget_all(mqtt *m)
{
    while (m->clients != NULL) {
        client *c = m->clients;

        if (c->session != NULL)
            c->session->client = NULL;
        client_free(c);
    }
}

/* ---- packets ---- */

static const char *on_publish(client *c, const packet *p)
{
    packet_publish m;
    const char *why = packet_read_publish(p, &m);

    if (why == NULL && !publish_packet(c, &m))
        c->starved = true;
    return why;
}

static const char *on_puback(client *c, const packet *p)
{
    uint16_t id;
    const char *why = packet_read_ack(p, &id);

    if (why == NULL && letters_acked(&c->session->letters, id)) {
        mqtt_count_add(c->m, COUNT_DELIVERED_1, 1);
        client_pump(c);
    }
    return why;
}

static const char *on_pubrel(client *c, const packet *p)
{
    uint16_t id;
    const char *why = packet_read_ack(p, &id);

    if (why == NULL) {
        session_release(c->session, id);
        packet_put_ack(client_out(c), PACKET_PUBCOMP, id);
    }
    return why;
}

static const char *on_subscribe(client *c, const packet *p)
{
    sb codes = SB_INIT, why_not = SB_INIT;
    uint16_t id;
    view filters;
    const char *why = packet_read_filters(p, &id, &filters);
    broker_str filter;
    uint8_t qos;

    if (why != NULL)
        return why;
    while (packet_next_filter(&filters, true, &filter, &qos)) {
        uint8_t granted = qos != 0; /* of QoS 2 as well */

        sb_clear(&why_not);
        if (!part_subscribe(c->m, c->session, filter, granted, &why_not)) {
            granted = SUBACK_REFUSED;
            mqtt_say(
                c->m, SAY_CLIENT, "client '%s' cannot subscribe to '%s': %s",
                mqtt_show((broker_str){c->session->client_id->bytes, c->session->client_id->len})
                    .text,
                mqtt_show(filter).text, why_not.data);
        }
        sb_putc(&codes, (char)granted);
    }
    packet_put_suback(client_out(c), id, (const uint8_t *)codes.data, codes.len);
    sb_done(&codes);
    sb_done(&why_not);
    return NULL;
}

static const char *on_unsubscribe(client *c, const packet *p)
{
    uint16_t id;
    view filters;
    const char *why = packet_read_filters(p, &id, &filters);
    broker_str filter;
    uint8_t qos;

    if (why != NULL)
        return why;
    while (packet_next_filter(&filters, false, &filter, &qos)) {
        subscription *sub = session_subscription(c->session, filter);

        if (sub != NULL)
            part_unsubscribe(sub);
    }
    packet_put_ack(client_out(c), PACKET_UNSUBACK, id);
    return NULL;
}

static const char *on_pingreq(client *c, const packet *p)
{
    const char *why = packet_read_empty(p);

    if (why == NULL)
        packet_put_pingresp(client_out(c));
    return why;
}

static const char *on_disconnect(client *c, const packet *p)
{
    const char *why = packet_read_empty(p);

    if (why == NULL) {
        will_free(c->will);
        c->will = NULL;
        client_close(c, COUNT_LEFT, NULL);
    }
    return why;
}

static const char *serve(client *c, const packet *p)
{
    static const char *(*const handlers[16])(client *, const packet *) = {
        [PACKET_PUBLISH] = on_publish,         [PACKET_PUBACK] = on_puback,
        [PACKET_PUBREL] = on_pubrel,           [PACKET_SUBSCRIBE] = on_subscribe,
        [PACKET_UNSUBSCRIBE] = on_unsubscribe, [PACKET_PINGREQ] = on_pingreq,
        [PACKET_DISCONNECT] = on_disconnect,
    };

    if (c->session == NULL)
        return p->type == PACKET_CONNECT ? connect_packet(c, p) : "the first packet is not CONNECT";
    if (handlers[p->type] == NULL)
        return "a packet that no client may send now";
    return handlers[p->type](c, p);
}

/* ---- in ---- */

/* False: nothing more can be done with *in now. */
static bool step(client *c, view *in)
{
    view before = *in;
    const char *why = NULL;
    packet p;

    switch (
        packet_next(in, c->session != NULL ? c->m->settings.max_packet : CONNECT_MAX, &p, &why)) {
    case PACKET_PART:
        return false;
    case PACKET_WHOLE:
        why = serve(c, &p);
        break;
    case PACKET_BROKEN:
        break;
    }
    if (why != NULL)
        client_close(c, COUNT_BROKE_RULES, why);
    if (c->starved)
        *in = before; /* this packet again, when there is room */
    return true;
}

static void take_packets(client *c, view *in)
{
    while (!is_held_back(c) && step(c, in))
        client_flush_long(c);
}

void client_run(client *c)
{
    view in = view_of(c->in.data, c->in.len);
    size_t left;

    if (is_held_back(c))
        return;
    take_packets(c, &in);
    if (c->closing)
        return;
    left = view_left(&in);
    if (left == 0) {
        sb_clear(&c->in);
        client_scratch_trim(&c->in);
    } else if (left != c->in.len) {
        memmove(c->in.data, in.p, left);
        c->in.len = left;
    }
    reading_settle(c);
}

/* The host reads the sockets. Some time after prepare() that means that the swap was given up; the
 * host has no other way to say so. */
static void hearing(mqtt *m)
{
    if (mqtt_now(m) - m->deaf_since_ms > STILL_MS)
        m->deaf_since_ms = 0;
}

static void on_data(void *self, broker_conn *conn, broker_buf *buf, broker_bytes data, int32_t text)
{
    client *c = self;
    view in = view_of(data.ptr, data.len);

    (void)conn;
    (void)buf;
    (void)text;
    if (c->closing)
        return;
    hearing(c->m);
    c->heard_ms = mqtt_now(c->m);
    if (c->in.len == 0) {
        take_packets(c, &in);
        if (!c->closing)
            sb_append(&c->in, in.p, view_left(&in));
        reading_settle(c);
    } else {
        sb_append(&c->in, data.ptr, data.len);
        client_run(c);
    }
    client_flush_all(c->m);
}

static void on_drain(void *self, broker_conn *conn)
{
    client *c = self;

    (void)conn;
    c->full = false;
    client_out(c);
    if (c->session != NULL)
        client_pump(c);
    client_run(c);
    client_flush_all(c->m);
}

static void on_open(void *self, broker_conn *conn)
{
    (void)self;
    (void)conn;
}

/* ---- life ---- */

static client *client_new(mqtt *m, broker_conn *conn)
{
    client *c = must_alloc(sizeof *c);

    c->m = m;
    c->conn = conn;
    c->number = ++m->last_connection;
    c->opened_ms = c->heard_ms = mqtt_now(m);
    c->next = m->clients;
    c->at = &m->clients;
    if (c->next != NULL)
        c->next->at = &c->next;
    m->clients = c;
    m->n_clients++;
    m->metrics->set(m->connections, (double)m->n_clients);
    return c;
}

static broker_peer_calls calls_of(client *c)
{
    return (broker_peer_calls){.size = sizeof(broker_peer_calls),
                               .self = c,
                               .on_open = on_open,
                               .on_data = on_data,
                               .on_drain = on_drain,
                               .on_close = on_close};
}

broker_rc client_accepted(void *self, broker_conn *conn, broker_str target,
                          broker_peer_calls *calls)
{
    (void)target;
    hearing(self);
    *calls = calls_of(client_new(self, conn));
    return BROKER_OK;
}

client *client_adopt(mqtt *m, uint64_t conn_id)
{
    client *c = client_new(m, NULL);
    broker_peer_calls calls = calls_of(c);

    if (m->net->adopt(m->ctx, conn_id, &calls, &c->conn) == BROKER_OK) {
        c->queued = m->net->queued(c->conn);
        c->full = c->queued >= HIGH_WATER;
        return c;
    }
    client_free(c);
    return NULL;
}

/* While the host holds the sockets for a swap nobody can be heard. */
static bool is_deaf(const mqtt *m, uint64_t now)
{
    return m->deaf_since_ms != 0 && now - m->deaf_since_ms <= DEAF_MAX_MS;
}

/* Its socket rests, so that it reads is the only sign of life it can give. */
static bool takes_some(client *c)
{
    size_t before = c->queued;

    c->queued = c->m->net->queued(c->conn);
    return c->queued < before;
}

static void check_times(client *c, uint64_t now)
{
    if (is_deaf(c->m, now)) {
        c->opened_ms = c->heard_ms = now;
        return;
    }
    if (c->session == NULL) {
        if (now - c->opened_ms > CONNECT_WAIT_MS)
            client_close(c, COUNT_NO_CONNECT, "no CONNECT came within 10 seconds");
        return;
    }
    if (c->paused && !c->full)
        return; /* it is us who do not listen */
    if (c->full && takes_some(c))
        c->heard_ms = now;
    if (c->silence_ms != 0 && now - c->heard_ms > c->silence_ms)
        client_close(c, COUNT_SILENT, "nothing was heard for one and a half times its keep alive");
}

void client_check_times(mqtt *m)
{
    uint64_t now = mqtt_now(m);

    for (client *c = m->clients; c != NULL; c = c->next) {
        if (c->closing)
            continue;
        c->starved = false;
        if (c->session != NULL)
            client_pump(c);
        client_run(c);
        check_times(c, now);
    }
    client_flush_all(m);
}
