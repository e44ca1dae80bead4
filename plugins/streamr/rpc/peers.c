/* peers -- see peers.h and rpc.h. Here: life, connections, watches, timers. */
#include "rpc/parts.h"

/* ---- what links tell ---- */

static void on_opened(void *arg, peer_link *l)
{
    peers *p = arg;

    for (peers_watch *w = p->watches, *next; w != NULL; w = next) {
        next = w->next;
        if (w->connected != NULL)
            w->connected(w->arg, &l->id, l->descriptor);
    }
}

static void on_frame(void *arg, peer_link *l, broker_buf *buf, pb_bytes frame)
{
    peers *p = arg;
    envelope e;

    if (envelope_read(frame.ptr, frame.len, &e) != NULL || e.kind > ENVELOPE_ERROR) {
        peers_add(p, RPC_COUNT_MALFORMED, 1);
        return;
    }
    if (dedup_seen(p->seen, e.message_id.ptr, e.message_id.len)) {
        peers_add(p, RPC_COUNT_DUPLICATE, 1);
        return;
    }
    e.source = l->descriptor; /* what the frame says counts for nothing */
    if (e.kind == ENVELOPE_RESPONSE || e.kind == ENVELOPE_ERROR) {
        ask_answered(p, l, &e);
        return;
    }
    p->buffer = buf;
    serve_frame(p, l, &e);
    p->buffer = NULL;
}

static void on_closed(void *arg, peer_link *l)
{
    peers *p = arg;
    bool was_open = l->end != LINK_NEVER_MADE;

    ask_lost(p, &l->id);
    if (!was_open) {
        if (p->failed != NULL)
            p->failed(p->failed_arg, &l->id);
        return;
    }
    serve_lost(p, &l->id);
    for (peers_watch *w = p->watches, *next; w != NULL; w = next) {
        next = w->next;
        if (w->lost != NULL)
            w->lost(w->arg, &l->id, l->end == LINK_LEFT ? PEERS_LEFT : PEERS_LOST);
    }
}

static void on_tick(void *arg)
{
    peers *p = arg;

    ask_tick(p);
    serve_tick(p);
}

/* ---- life ---- */

peers *peers_new(broker_ctx *ctx, const links_options *o)
{
    peers *p = must_alloc(sizeof *p);
    links_calls told = {.arg = p,
                        .opened = on_opened,
                        .frame = on_frame,
                        .closed = on_closed,
                        .summon = route_summon};

    p->ctx = ctx;
    p->net = BROKER_SERVICE(ctx, broker_net);
    p->bus = BROKER_SERVICE(ctx, broker_bus);
    p->work = BROKER_SERVICE(ctx, broker_work);
    p->self = o->id;
    p->seen = dedup_new(DEDUP_IDS);
    p->calls = calls_new();
    p->links = links_new(ctx, o, &told);
    if (p->links == NULL) {
        peers_free(p);
        return NULL;
    }
    links_on_tick(p->links, on_tick, p);
    return p;
}

void peers_free(peers *p)
{
    if (p == NULL)
        return;
    while (p->timers != NULL)
        peers_timer_end(p->timers);
    if (p->soon != NULL)
        p->work->timer_stop(p->soon);
    links_free(p->links);
    ask_free_all(p);
    route_free_all(p);
    serve_free_all(p);
    calls_free(p->calls);
    dedup_free(p->seen);
    envelope_fan_done(&p->fan);
    sb_done(&p->frame);
    sb_done(&p->body);
    free(p);
}

links *peers_links(peers *p)
{
    return p->links;
}

uint64_t peers_counted(const peers *p, rpc_count which)
{
    return p->counts[which];
}

void peers_set_descriptor(peers *p, pb_bytes descriptor, bool serves)
{
    links_set_descriptor(p->links, descriptor, serves);
}

const node_id *peers_self(const peers *p)
{
    return &p->self;
}

pb_bytes peers_descriptor(const peers *p)
{
    return links_descriptor(p->links);
}

int64_t peers_now_ms(const peers *p)
{
    return (int64_t)links_now(p->links);
}

void peers_keep(peers *p, broker_buf *buf)
{
    p->bus->buf_retain(buf);
}

void peers_let_go(peers *p, broker_buf *buf)
{
    p->bus->buf_release(buf);
}

void peers_pause(peers *p, bool on)
{
    links_pause(p->links, on);
}

/* ---- connections ---- */

bool peers_connect(peers *p, pb_bytes descriptor)
{
    return links_to(p->links, descriptor) != NULL;
}

void peers_on_failed(peers *p, void (*failed)(void *arg, const node_id *id), void *arg)
{
    p->failed = failed;
    p->failed_arg = arg;
}

static peer_link *open_link(const peers *p, const node_id *id)
{
    peer_link *l = links_find(p->links, id);

    return l != NULL && l->state == LINK_OPEN ? l : NULL;
}

void peers_watch_add(peers *p, peers_watch *w)
{
    w->next = p->watches;
    p->watches = w;
}

void peers_watch_remove(peers *p, peers_watch *w)
{
    peers_watch **at = &p->watches;

    while (*at != NULL && *at != w)
        at = &(*at)->next;
    if (*at != NULL)
        *at = w->next;
}

bool peers_connected(const peers *p, const node_id *id)
{
    return open_link(p, id) != NULL;
}

pb_bytes peers_descriptor_of(const peers *p, const node_id *id)
{
    const peer_link *l = open_link(p, id);

    return l != NULL ? l->descriptor : (pb_bytes){NULL, 0};
}

typedef struct listing {
    node_id *out;
    size_t n, max;
} listing;

static bool list_one(void *arg, peer_link *l)
{
    listing *to = arg;

    if (!l->is_private && to->n < to->max)
        to->out[to->n++] = l->id;
    return to->n < to->max;
}

size_t peers_list(const peers *p, node_id *out, size_t max)
{
    listing to = {out, 0, max};

    links_each(p->links, list_one, &to);
    return to.n;
}

/* A lock counts for a connection that is still being made too. */
void peers_lock(peers *p, const node_id *id)
{
    peer_link *l = links_find(p->links, id);

    if (l != NULL)
        l->locks++;
}

void peers_unlock(peers *p, const node_id *id)
{
    peer_link *l = links_find(p->links, id);

    if (l != NULL && l->locks != 0)
        l->locks--;
}

void peers_disconnect(peers *p, const node_id *id, dht_disconnect how)
{
    peer_link *l = links_find(p->links, id);
    dht_disconnect_notice notice = {.mode = (int32_t)how};
    peers_message m = {.service = "system/connection-manager",
                       .method = "gracefulDisconnect",
                       .table = &dht_disconnect_notice_table,
                       .msg = &notice};

    if (l == NULL)
        return;
    m.to = l->descriptor;
    if (l->state == LINK_OPEN)
        peers_tell(p, &m);
    links_close(l, LINK_LOST);
}

/* ---- timers ---- */

static void on_time(void *arg)
{
    peers_timer *t = arg;

    t->fn(t->arg);
}

peers_timer *peers_timer_start(peers *p, uint32_t first_ms, uint32_t period_ms,
                               void (*fn)(void *arg), void *arg)
{
    peers_timer *t = must_alloc(sizeof *t);

    t->p = p;
    t->fn = fn;
    t->arg = arg;
    t->next = p->timers;
    t->at = &p->timers;
    if (t->next != NULL)
        t->next->at = &t->next;
    p->timers = t;
    p->work->timer(p->ctx, first_ms, period_ms, on_time, t, &t->timer);
    return t;
}

void peers_timer_end(peers_timer *t)
{
    if (t == NULL)
        return;
    if (t->timer != NULL)
        t->p->work->timer_stop(t->timer);
    *t->at = t->next;
    if (t->next != NULL)
        t->next->at = t->at;
    free(t);
}
