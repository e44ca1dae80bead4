/* publish -- messages of publishing clients: each becomes a publication, in the chain of its
 * connection, until its outcome is known.
 *
 * Order is kept by never publishing a message while one before it is held back: because the bus
 * is full, or because the outcomes of too many are awaited. Then the connection is not read. */
#include "parts.h"
#include "payload/payload.h"
#include "payload/verdict.h"

#define IN_FLIGHT_MAX 8192u /* of one client */

/* From its arrival until the client is answered, or would be. */
struct publication {
    publication *next;
    client *c;
    uint64_t index;
    bool known;
    sb answer; /* with ack=true */
};

struct held {
    held *next;
    broker_buf *buf;
    broker_bytes data;
};

void publish_init(client *c)
{
    c->last = &c->first;
    c->last_held = &c->held;
}

/* ---- answers, in order of arrival ---- */

static void answers_send(client *c)
{
    publication *p;

    while ((p = c->first) != NULL && p->known) {
        c->first = p->next;
        if (c->first == NULL)
            c->last = &c->first;
        c->in_flight--;
        c->w->in_flight--;
        if (p->answer.len != 0)
            client_answer(c, p->answer.data, p->answer.len);
        sb_done(&p->answer);
        free(p);
    }
}

static void acknowledge(publication *p, const char *outcome, const broker_msg *m)
{
    p->known = true;
    if (!p->c->s.want.ack)
        return;
    sb_printf(&p->answer, "{\"ack\":{\"index\":%llu,\"outcome\":\"%s\"",
              (unsigned long long)p->index, outcome);
    if (m != NULL) {
        sb_puts(&p->answer, ",\"id\":");
        payload_message_id(m, &p->answer);
    }
    sb_puts(&p->answer, "}}");
}

static void refuse(publication *p, trouble_kind kind, const char *reason)
{
    const target *want = &p->c->s.want;

    trouble_say(&p->c->w->trouble, kind,
                "message %llu of a connection to '%s' is not published: %s",
                (unsigned long long)p->index, want->stream.data, reason);
    p->known = true;
    if (!want->ack)
        return;
    sb_printf(&p->answer, "{\"error\":{\"index\":%llu,\"reason\":", (unsigned long long)p->index);
    sb_json_string(&p->answer, reason, strlen(reason));
    sb_puts(&p->answer, "}}");
}

/* ---- into the bus ---- */

static void publication_add(client *c, publication *p)
{
    *c->last = p;
    c->last = &p->next;
    c->s.messages++;
    c->in_flight++;
    c->w->in_flight++;
    c->w->metrics->add(c->w->in, 1);
}

static bool message_read(client *c, broker_bytes data, broker_publication *what, sb *key, sb *why)
{
    const target *t = &c->s.want;
    websocket *w = c->w;
    payload p;

    if (!payload_read((broker_str){(const char *)data.ptr, data.len}, w->wrapped, &p, why))
        return false;
    what->partition = BROKER_ALL_PARTITIONS;
    if (t->route == ROUTE_PARTITION)
        what->partition = t->partitions[0];
    else if (t->route == ROUTE_KEY)
        sb_append(key, t->key.data, t->key.len);
    else if (t->route == ROUTE_FIELD &&
             !payload_route(p.content, (broker_str){t->key.data, t->key.len},
                            w->bus->partitions(w->ctx, what->stream), &what->partition, key, why))
        return false;
    what->key = (broker_str){key->data, key->len};
    what->timestamp_ms = p.timestamp_ms;
    what->content = (broker_bytes){(const uint8_t *)p.content.ptr, p.content.len};
    return true;
}

static void on_published(void *arg, const broker_msg *m, const broker_outcome *outcome);

/* False: the bus is full, and nothing has happened. */
static bool message_publish(client *c, broker_bytes data)
{
    broker_publication what = {.size = sizeof what,
                               .stream = {c->s.want.stream.data, c->s.want.stream.len},
                               .content_type = BROKER_CONTENT_JSON,
                               .chain = {c->s.chain, CHAIN_LEN},
                               .done = on_published};
    publication *p = must_alloc(sizeof *p);
    sb key = SB_INIT, why = SB_INIT;
    bool readable = message_read(c, data, &what, &key, &why);
    broker_rc rc = BROKER_OK;

    p->c = c;
    p->index = c->s.messages;
    what.arg = p;
    if (readable)
        rc = c->w->bus->publish(c->w->ctx, &what);
    if (rc == BROKER_AGAIN) {
        free(p);
        goto done;
    }
    publication_add(c, p);
    if (!readable)
        refuse(p, TROUBLE_PAYLOAD, why.data);
    else if (rc != BROKER_OK)
        refuse(p, rc == BROKER_EINVAL ? TROUBLE_REJECTED : TROUBLE_FAILED, verdict_of_publish(rc));
    answers_send(c);
done:
    sb_done(&key);
    sb_done(&why);
    return rc != BROKER_AGAIN;
}

/* ---- what is held back ---- */

static void hold(client *c, broker_buf *buf, broker_bytes data)
{
    held *h = must_alloc(sizeof *h);

    c->w->bus->buf_retain(buf);
    *h = (held){NULL, buf, data};
    *c->last_held = h;
    c->last_held = &h->next;
}

static void on_room(void *arg);

static void room_wait(client *c)
{
    websocket *w = c->w;

    if (c->waits_for_room)
        return;
    c->waits_for_room = true;
    c->next_waiting = NULL;
    *w->last_waiting = c;
    w->last_waiting = &c->next_waiting;
    if (!w->room_asked)
        w->room_asked = w->bus->on_room(w->ctx, on_room, w) == BROKER_OK;
}

/* Publish what is held, as far as it goes. c may be gone afterwards. */
static void held_publish(client *c)
{
    held *h;

    while ((h = c->held) != NULL && c->in_flight < IN_FLIGHT_MAX) {
        if (!message_publish(c, h->data)) {
            room_wait(c);
            break;
        }
        c->held = h->next;
        if (c->held == NULL)
            c->last_held = &c->held;
        c->w->bus->buf_release(h->buf);
        free(h);
    }
    client_flow(c);
}

static void on_room(void *arg)
{
    websocket *w = arg;
    client *c = w->waiting, *next;

    w->room_asked = false;
    w->waiting = NULL;
    w->last_waiting = &w->waiting;
    for (; c != NULL; c = next) {
        next = c->next_waiting;
        c->waits_for_room = false;
        held_publish(c);
    }
}

/* ---- from outside ---- */

void publish_data(client *c, broker_buf *buf, broker_bytes data)
{
    if (c->held == NULL && c->in_flight < IN_FLIGHT_MAX) {
        if (message_publish(c, data))
            return;
        room_wait(c);
    }
    hold(c, buf, data);
    client_flow(c);
}

static void on_published(void *arg, const broker_msg *m, const broker_outcome *outcome)
{
    static const char *const names[] = {[VERDICT_STORED] = "stored",
                                        [VERDICT_DELIVERED] = "delivered",
                                        [VERDICT_THERE] = "duplicate"};
    publication *p = arg;
    client *c = p->c;
    verdict v = verdict_of(outcome);

    if (verdict_is_good(v))
        acknowledge(p, names[v], m);
    else
        refuse(p, v == VERDICT_REFUSED ? TROUBLE_REJECTED : TROUBLE_FAILED, verdict_why(outcome));
    answers_send(c);
    if (c->held != NULL && !c->waits_for_room && c->in_flight <= IN_FLIGHT_MAX / 2)
        held_publish(c);
    else
        client_flow(c);
}
