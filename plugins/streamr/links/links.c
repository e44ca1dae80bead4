/* links -- see links.h. Here: which links there are, and what time does to them. */
#include "links/parts.h"

#include <inttypes.h>

/* ---- the table ---- */

static peer_link **bucket_of(const links *ls, const node_id *id)
{
    return (peer_link **)&ls->buckets[hash_bytes(id->bytes, sizeof id->bytes) % BUCKETS];
}

peer_link *links_find(const links *ls, const node_id *id)
{
    peer_link *l = *bucket_of(ls, id);

    while (l != NULL && !node_id_same(&l->id, id))
        l = l->next;
    return l;
}

void link_describe(peer_link *l, pb_bytes descriptor)
{
    uint8_t *copy = must_alloc(descriptor.len + 1);

    memcpy(copy, descriptor.ptr, descriptor.len);
    free((void *)l->descriptor.ptr);
    l->descriptor = pb_bytes_from(copy, descriptor.len);
}

peer_link *link_new(links *ls, const node_id *id, pb_bytes descriptor)
{
    peer_link *l = must_alloc(sizeof *l), **at = bucket_of(ls, id);

    l->links = ls;
    l->id = *id;
    l->state = LINK_DIALLING;
    l->since_ms = l->used_ms = links_now(ls);
    link_describe(l, descriptor);
    l->next = *at;
    *at = l;
    ls->n_making++;
    return l;
}

static void link_free(peer_link *l)
{
    free((void *)l->descriptor.ptr);
    sb_done(&l->waiting);
    free(l);
}

static void on_soon(void *arg)
{
    links *ls = arg;

    ls->work->timer_stop(ls->soon);
    ls->soon = NULL;
    links_tell_ended(ls);
}

static void tell_soon(links *ls)
{
    if (ls->soon == NULL && !ls->leaving)
        ls->work->timer(ls->ctx, 0, 0, on_soon, ls, &ls->soon);
}

void link_end_now(peer_link *l, link_end end)
{
    links *ls = l->links;
    peer_link **at = bucket_of(ls, &l->id);
    bool was_open = l->state == LINK_OPEN;

    if (l->state == LINK_ENDED)
        return;
    while (*at != l)
        at = &(*at)->next;
    *at = l->next;
    if (was_open)
        ls->n_open--;
    else
        ls->n_making--;
    links_add(ls, was_open ? LINKS_COUNT_LOST : LINKS_COUNT_FAILED, 1);
    l->state = LINK_ENDED;
    l->end = was_open ? (end == LINK_NEVER_MADE ? LINK_LOST : end) : LINK_NEVER_MADE;
    l->next = NULL;
    *ls->ended_last = l;
    ls->ended_last = &l->next;
    tell_soon(ls);
}

void links_tell_ended(links *ls)
{
    while (ls->ended != NULL) {
        peer_link *l = ls->ended;

        ls->ended = l->next;
        if (ls->ended == NULL)
            ls->ended_last = &ls->ended;
        ls->calls.closed(ls->calls.arg, l);
        link_free(l);
    }
}

/* ---- making one ---- */

bool peer_server(pb_bytes descriptor, char *host, size_t room, dht_method *out)
{
    uint64_t memory[512];
    pb_arena arena = {(uint8_t *)memory, sizeof memory, 0};
    dht_peer peer;

    if (pb_decode(&dht_peer_table, &peer, descriptor.ptr, descriptor.len, &arena) != NULL ||
        peer.websocket == NULL)
        return false;
    *out = *peer.websocket;
    if (out->port == 0 || out->port > 65535 || out->host.len == 0 || out->host.len >= room ||
        memchr(out->host.ptr, 0, out->host.len) != NULL)
        return false;
    memcpy(host, out->host.ptr, out->host.len);
    host[out->host.len] = '\0';
    out->host = pb_bytes_from(host, out->host.len);
    return true;
}

static void dial(peer_link *l, const dht_method *where)
{
    l->state = LINK_DIALLING;
    l->sock = sock_dial(l->links, SOCK_PEER, where, "/", LINKS_CONNECT_MS);
    if (l->sock != NULL)
        l->sock->link = l;
    else
        link_end_now(l, LINK_NEVER_MADE);
}

peer_link *links_to(links *ls, pb_bytes descriptor)
{
    char host[HOST_ROOM];
    dht_method where;
    node_id id;
    peer_link *l;

    if (ls->leaving || descriptor.len > DESCRIPTOR_MAX || !peer_node_id(descriptor, &id) ||
        node_id_same(&id, &ls->o.id))
        return NULL;
    l = links_find(ls, &id);
    if (l != NULL)
        return l;
    if (ls->n_making >= MAKING_MAX)
        return NULL;
    if (peer_server(descriptor, host, sizeof host, &where)) {
        l = link_new(ls, &id, descriptor);
        dial(l, &where);
        return l->state == LINK_ENDED ? NULL : l;
    }
    if (!ls->o.serves)
        return NULL;
    l = link_new(ls, &id, descriptor);
    l->state = LINK_AWAITED;
    if (!ls->calls.summon(ls->calls.arg, l)) {
        link_end_now(l, LINK_NEVER_MADE);
        return NULL;
    }
    return l;
}

uint32_t links_patience_ms(const peer_link *l)
{
    return l->state == LINK_AWAITED ? 7500 : 5000;
}

static void send_waiting(peer_link *l)
{
    view in = view_of(l->waiting.data, l->waiting.len);
    const uint8_t *at;
    uint32_t len;

    while (view_u32be(&in, &len) && view_skip(&in, len, &at) && l->sock != NULL)
        sock_send(l->sock, pb_bytes_from(at, len));
    sb_done(&l->waiting);
    l->n_waiting = 0;
}

void link_open(peer_link *l, sock *s)
{
    links *ls = l->links;
    bool was_open = l->state == LINK_OPEN;

    l->sock = s;
    s->link = l;
    s->deadline_ms = 0;
    if (was_open)
        return; /* another socket of the same link */
    links_tell_ended(ls);
    l->state = LINK_OPEN;
    l->used_ms = links_now(ls);
    ls->n_making--;
    ls->n_open++;
    links_add(ls, LINKS_COUNT_OPENED, 1);
    send_waiting(l);
    ls->calls.opened(ls->calls.arg, l);
}

/* ---- using one ---- */

static broker_rc wait_for_it(peer_link *l, pb_bytes frame)
{
    uint8_t len[4];

    if (l->n_waiting == LINKS_WAIT_N || l->waiting.len + frame.len > LINKS_WAIT_MAX)
        return BROKER_AGAIN;
    put_u32be(len, (uint32_t)frame.len);
    sb_append(&l->waiting, len, sizeof len);
    sb_append(&l->waiting, frame.ptr, frame.len);
    l->n_waiting++;
    return BROKER_OK;
}

static broker_rc check_send(peer_link *l, pb_bytes frame)
{
    if (l->state == LINK_ENDED)
        return BROKER_EGONE;
    if (frame.len > l->links->o.max_message || frame.len > ENVELOPE_MAX)
        return BROKER_EINVAL;
    if (links_is_full(l)) {
        links_add(l->links, LINKS_COUNT_FULL, 1);
        return BROKER_AGAIN;
    }
    return BROKER_OK;
}

broker_rc links_send(peer_link *l, pb_bytes frame)
{
    broker_rc rc = check_send(l, frame);

    if (rc != BROKER_OK)
        return rc;
    return l->state == LINK_OPEN ? sock_send(l->sock, frame) : wait_for_it(l, frame);
}

broker_rc links_send_buf(peer_link *l, broker_buf *buf, pb_bytes frame)
{
    broker_rc rc = check_send(l, frame);

    if (rc != BROKER_OK)
        return rc;
    return l->state == LINK_OPEN ? sock_send_buf(l->sock, buf, frame) : BROKER_EGONE;
}

bool links_is_full(const peer_link *l)
{
    return l->sock != NULL && l->sock->full;
}

void links_close(peer_link *l, link_end end)
{
    sock *s = l->sock;

    if (l->state == LINK_ENDED)
        return;
    if (s != NULL) {
        l->sock = NULL;
        s->link = NULL;
        sock_close(s, CODE_NORMAL, NULL);
    }
    link_end_now(l, end);
}

bool links_lock(peer_link *l, pb_bytes lock_id, bool on)
{
    uint64_t hash = hash_bytes(lock_id.ptr, lock_id.len);
    unsigned i = 0;

    while (i < l->n_remote_locks && l->remote_locks[i] != hash)
        i++;
    if (!on && i < l->n_remote_locks)
        l->remote_locks[i] = l->remote_locks[--l->n_remote_locks];
    if (!on || i < l->n_remote_locks)
        return true;
    if (l->n_remote_locks == LINKS_LOCKS)
        return false;
    l->remote_locks[l->n_remote_locks++] = hash;
    return true;
}

void links_each(const links *ls, links_visit visit, void *arg)
{
    for (size_t i = 0; i < BUCKETS; i++)
        for (peer_link *l = ls->buckets[i], *next; l != NULL; l = next) {
            next = l->next;
            if (l->state == LINK_OPEN && !visit(arg, l))
                return;
        }
}

/* ---- time ---- */

typedef struct sweep {
    const links *ls;
    uint64_t now_ms;
    peer_link *furthest;
} sweep;

static bool sweep_one(void *arg, peer_link *l)
{
    sweep *w = arg;

    if (l->locks == 0 && l->n_remote_locks == 0 && !l->is_private &&
        w->now_ms - l->used_ms > LINKS_IDLE_MS &&
        (w->furthest == NULL || node_id_nearer(&w->ls->o.id, &l->id, &w->furthest->id) > 0))
        w->furthest = l;
    return true;
}

static void send_notice(peer_link *l)
{
    static const char service[] = "system/connection-manager";
    char ids[2][UUID_LEN];
    links *ls = l->links;
    envelope e = {.kind = ENVELOPE_NOTIFICATION,
                  .service = pb_bytes_of(service),
                  .source = ls->o.descriptor,
                  .target = l->descriptor,
                  .method = pb_bytes_of("gracefulDisconnect"),
                  .type = pb_bytes_of(dht_disconnect_notice_table.name)}; /* NORMAL is 0 */

    for (size_t i = 0; i < COUNT_OF(ids); i++)
        uuid_make(&ls->ids, ids[i]);
    e.message_id = pb_bytes_from(ids[0], UUID_LEN);
    e.request_id = pb_bytes_from(ids[1], UUID_LEN);
    sb_clear(&ls->scratch);
    envelope_append(&e, &ls->scratch);
    links_send(l, pb_bytes_from(ls->scratch.data, ls->scratch.len));
}

/* Too many: the furthest of those that nobody needs go. */
static void sweep_links(links *ls, uint64_t now_ms)
{
    while (ls->n_open > ls->o.max_links) {
        sweep w = {ls, now_ms, NULL};

        links_each(ls, sweep_one, &w);
        if (w.furthest == NULL)
            return;
        links_add(ls, LINKS_COUNT_SWEPT, 1);
        send_notice(w.furthest);
        links_close(w.furthest, LINK_LOST);
    }
}

static void expire_making(links *ls, uint64_t now_ms)
{
    for (size_t i = 0; i < BUCKETS && ls->n_making != 0; i++)
        for (peer_link *l = ls->buckets[i], *next; l != NULL; l = next) {
            next = l->next;
            if (l->state != LINK_OPEN && now_ms - l->since_ms >= LINKS_SETUP_MS)
                links_close(l, LINK_NEVER_MADE);
        }
}

static void on_tick(void *arg)
{
    links *ls = arg;
    uint64_t now_ms = links_now(ls);

    for (sock *s = ls->socks, *next; s != NULL; s = next) {
        next = s->next;
        sock_tick(s, now_ms);
    }
    expire_making(ls, now_ms);
    if (now_ms - ls->swept_ms >= LINKS_SWEEP_MS) {
        ls->swept_ms = now_ms;
        sweep_links(ls, now_ms);
    }
    check_tick(ls, now_ms);
    links_tell_ended(ls);
    if (ls->tick != NULL)
        ls->tick(ls->tick_arg);
}

void links_on_tick(links *ls, void (*tick)(void *arg), void *arg)
{
    ls->tick = tick;
    ls->tick_arg = arg;
}

/* ---- life ---- */

static void own_descriptor(links *ls, pb_bytes descriptor)
{
    uint8_t *copy = must_alloc(descriptor.len + 1);

    memcpy(copy, descriptor.ptr, descriptor.len);
    ls->o.descriptor = pb_bytes_from(copy, descriptor.len);
}

links *links_new(broker_ctx *ctx, const links_options *o, const links_calls *calls)
{
    links *ls = must_alloc(sizeof *ls);

    ls->ctx = ctx;
    ls->net = BROKER_SERVICE(ctx, broker_net);
    ls->work = BROKER_SERVICE(ctx, broker_work);
    ls->bus = BROKER_SERVICE(ctx, broker_bus);
    ls->o = *o;
    ls->calls = *calls;
    ls->ended_last = &ls->ended;
    own_descriptor(ls, o->descriptor);
    if (ls->o.max_sockets == 0)
        ls->o.max_sockets = 4 * o->max_links + 64;
    if (ls->work->timer(ctx, TICK_MS, TICK_MS, on_tick, ls, &ls->timer) != BROKER_OK) {
        links_free(ls);
        return NULL;
    }
    return ls;
}

void links_leave(links *ls)
{
    ls->leaving = true;
    /* The listener stays: the next build, if there is one, takes it over. */
    for (sock *s = ls->socks; s != NULL; s = s->next)
        if (!s->closing) {
            s->closing = true;
            ls->net->close(s->conn, s->dialled ? CODE_LEAVING_OUT : CODE_LEAVING, NULL);
        }
}

void links_free(links *ls)
{
    if (ls == NULL)
        return;
    if (ls->timer != NULL)
        ls->work->timer_stop(ls->timer);
    if (ls->soon != NULL)
        ls->work->timer_stop(ls->soon);
    check_free(ls);
    while (ls->socks != NULL) {
        sock *s = ls->socks;

        ls->socks = s->next;
        free(s);
    }
    for (size_t i = 0; i < BUCKETS; i++)
        while (ls->buckets[i] != NULL) {
            peer_link *l = ls->buckets[i];

            ls->buckets[i] = l->next;
            link_free(l);
        }
    while (ls->ended != NULL) {
        peer_link *l = ls->ended;

        ls->ended = l->next;
        link_free(l);
    }
    free((void *)ls->o.descriptor.ptr);
    sb_done(&ls->scratch);
    free(ls);
}

broker_rc links_listen(links *ls, const broker_net_options *where)
{
    broker_net_options o = *where;

    o.size = sizeof o;
    o.max_message = ls->o.max_message;
    o.high_water = LINKS_HIGH;
    o.max_connections = ls->o.max_sockets;
    o.ping_ms = o.silence_ms = LINKS_STUCK_MS;
    return ls->net->listen(ls->ctx, &o, sock_accepted, ls, &ls->listener);
}

uint32_t links_port(const links *ls)
{
    return ls->listener != NULL ? ls->net->port(ls->listener) : 0;
}

void links_set_descriptor(links *ls, pb_bytes descriptor, bool serves)
{
    free((void *)ls->o.descriptor.ptr);
    own_descriptor(ls, descriptor);
    ls->o.serves = serves;
}

pb_bytes links_descriptor(const links *ls)
{
    return ls->o.descriptor;
}

uint64_t links_now(const links *ls)
{
    return ls->work->now_ms(ls->ctx);
}

bool links_serves(const links *ls)
{
    return ls->o.serves;
}

unsigned links_open(const links *ls)
{
    return ls->n_open;
}

uint64_t links_counted(const links *ls, links_count which)
{
    return ls->counts[which];
}

void links_pause(links *ls, bool on)
{
    ls->paused = on;
    for (sock *s = ls->socks; s != NULL; s = s->next)
        sock_flow(s);
}
