/* relay -- see relay.h. */
#include "delivery/relay.h"

#include "delivery/glance.h"
#include "delivery/part.h"
#include "delivery/proxies.h"

/* ---- Out ---- */

static envelope message_frame(const part *p, pb_bytes message)
{
    return (envelope){
        .kind = ENVELOPE_NOTIFICATION,
        .service = {(const uint8_t *)p->service, sizeof DELIVERY_SERVICE - 1 + p->name.len},
        .method = {(const uint8_t *)"sendStreamMessage", 17},
        .type = {(const uint8_t *)NETWORK_STREAM_MESSAGE, 13},
        .body = message};
}

/* Whom it goes to, into d->to: everybody but the one it came from. An inspector that is nothing
 * else gets its own messages back: so the network does. */
static size_t targets(part *p, const glance *g, const node_id *from)
{
    const delivery *d = p->d;
    size_t n = 0;

    for (unsigned i = 0; i < p->neighbors.n; i++) {
        const node_id *id = &p->neighbors.items[i].id;

        if (from == NULL || !node_id_same(id, from))
            d->to[n++] = id;
    }
    n += clients_targets(&p->clients, g, from, d->to + n);
    n += inspect_targets(&p->inspect, d->to + n);
    return n;
}

/* How many have it now; who they are, up to the number that is of interest, is in given. */
static size_t spread(part *p, const glance *g, const node_id *from, pb_bytes message,
                     node_id given[RECENT_TARGETS_MAX])
{
    delivery *d = p->d;
    envelope frame = message_frame(p, message);
    size_t n = targets(p, g, from), sent, at = 0;

    if (n == 0)
        return 0;
    sent = peers_spread(d->peers, &frame, d->to, n, d->sent);
    d->count.sent += sent;
    d->count.full += n - sent;
    if (sent >= d->settings.min_targets)
        return sent;
    for (size_t i = 0; i < n; i++)
        if (d->sent[i])
            given[at++] = *d->to[i];
    return sent;
}

static bool is_for(part *p, pb_bytes message, const node_id *to)
{
    glance g;

    return neighbors_find(&p->neighbors, to) != NULL ||
           (glance_read(message, &g) == NULL && clients_wants(&p->clients, to, &g));
}

typedef struct feeding {
    part *p;
    const node_id *to;
} feeding;

static bool feed_one(void *ctx, void *item)
{
    feeding *f = ctx;
    const parcel *c = item;
    envelope frame = message_frame(f->p, c->bytes);
    bool sent = false;

    if (!is_for(f->p, c->bytes, f->to) ||
        peers_spread(f->p->d->peers, &frame, &f->to, 1, &sent) == 0)
        return false;
    f->p->d->count.sent++;
    return true;
}

void relay_feed(part *p, const node_id *to)
{
    node_id id = *to;
    feeding f = {p, &id};

    outbox_flush(p);
    recent_feed(p->recent, &id, peers_now_ms(p->d->peers), feed_one, &f);
}

/* ---- In ---- */

static bool is_ours(const part *p, const glance *g)
{
    return g->partition == p->partition && g->stream.len == p->stream.len &&
           memcmp(g->stream.ptr, p->stream.ptr, g->stream.len) == 0;
}

static gaps_verdict check(part *p, const glance *g)
{
    return gaps_check(p->gaps, g->publisher, g->chain, g->number,
                      g->has_previous ? &g->previous : NULL);
}

/* A client of proxies passes nothing on, and reads only what it asked for. */
static bool is_wanted(const part *p, const glance *g)
{
    return p->proxies == NULL || g->body != GLANCE_CONTENT ||
           proxies_may(p->proxies, NETWORK_SUBSCRIBE);
}

/* For who comes in the next seconds; takes the parcel. */
static void keep(part *p, parcel *c, const node_id *from, const node_id *given, size_t n)
{
    if (p->d->kept > OUTBOX_KEPT)
        parcel_free(c);
    else
        recent_add(p->recent, c, c->bytes.len, from, given, n, peers_now_ms(p->d->peers));
}

static void pass_on(part *p, const glance *g, const peers_from *from, pb_bytes message)
{
    node_id given[RECENT_TARGETS_MAX];
    size_t sent = spread(p, g, &from->id, message, given);

    if (sent < p->d->settings.min_targets)
        keep(p, parcel_of_received(p->d, message, from->buf), &from->id, given, sent);
}

void relay_in(part *p, const peers_from *from, pb_bytes message)
{
    delivery_counters *count = &p->d->count;
    gaps_verdict verdict;
    glance g;

    count->received++;
    count->received_bytes += message.len;
    if (glance_read(message, &g) != NULL || !is_ours(p, &g)) {
        count->malformed++;
        return;
    }
    if (p->inspect.watching > 0)
        inspect_saw(p, &g, &from->id);
    verdict = check(p, &g);
    count->duplicates += verdict == GAPS_DUPLICATE;
    count->invalid_chain += verdict == GAPS_INVALID || verdict == GAPS_MISMATCH;
    if (verdict != GAPS_NEW)
        return;
    if (p->proxies == NULL)
        pass_on(p, &g, from, message);
    if (!is_wanted(p, &g))
        return;
    count->accepted++;
    p->d->calls.on_message(p->d->calls.arg, p->name, message, from);
}

/* ---- Publishing ---- */

static const char *refusal(gaps_verdict verdict)
{
    return verdict == GAPS_INVALID ? "the message before it is not before it"
                                   : "it contradicts what its chain said earlier";
}

static delivery_fate fate_of(gaps_verdict verdict, const char **why)
{
    if (verdict == GAPS_DUPLICATE)
        return DELIVERY_DUPLICATE;
    *why = refusal(verdict);
    return DELIVERY_REFUSED;
}

static const char *may_publish(const part *p, pb_bytes message, glance *g)
{
    const char *why =
        message.len > ENVELOPE_MAX ? "larger than the network's limit" : glance_read(message, g);

    if (why != NULL)
        return why;
    if (!is_ours(p, g))
        return "a message of another stream part";
    if (p->proxies != NULL && g->body == GLANCE_CONTENT &&
        !proxies_may(p->proxies, NETWORK_PUBLISH))
        return "the stream part is only subscribed to through its proxies, not published to";
    return NULL;
}

static delivery_fate wait(part *p, const delivery_bytes *message, bool is_checked, const char **why)
{
    if (outbox_add(p, message, is_checked))
        return DELIVERY_WAITS;
    *why = "too much is waiting to be sent";
    return DELIVERY_REFUSED;
}

delivery_fate relay_publish(part *p, const delivery_bytes *message, const char **why)
{
    node_id given[RECENT_TARGETS_MAX];
    gaps_verdict verdict;
    size_t sent;
    glance g;

    *why = may_publish(p, message->bytes, &g);
    if (*why != NULL)
        return DELIVERY_REFUSED;
    /* What waits is not in its chain yet: nobody can have it, so no echo of it comes. */
    if ((p->outbox.first != NULL && !outbox_flush(p)) || targets(p, &g, NULL) == 0)
        return wait(p, message, false, why);
    verdict = check(p, &g);
    if (verdict != GAPS_NEW)
        return fate_of(verdict, why);
    p->d->count.published++;
    sent = spread(p, &g, NULL, message->bytes, given);
    if (sent == 0)
        return wait(p, message, true, why); /* all queues are full */
    if (sent < p->d->settings.min_targets)
        keep(p, parcel_of(p->d, message), NULL, given, sent);
    return DELIVERY_SENT;
}

relay_result relay_send(part *p, parcel *c)
{
    node_id given[RECENT_TARGETS_MAX];
    bool is_new = true;
    size_t sent;
    glance g;

    must(glance_read(c->bytes, &g) == NULL);
    if (targets(p, &g, NULL) == 0)
        return RELAY_NOBODY;
    if (!c->is_checked) {
        is_new = check(p, &g) == GAPS_NEW;
        c->is_checked = true;
        p->d->count.published += is_new;
    }
    sent = is_new ? spread(p, &g, NULL, c->bytes, given) : 0;
    if (is_new && sent == 0)
        return RELAY_FULL;
    if (is_new && sent < p->d->settings.min_targets)
        keep(p, c, NULL, given, sent);
    else
        parcel_free(c);
    return RELAY_DONE;
}
