/* part -- see part.h: life of a part, and what comes for it. */
#include "delivery/part.h"

#include "delivery/handshake.h"
#include "delivery/proxies.h"
#include "delivery/relay.h"
#include "delivery/update.h"

#include <stdarg.h>
#include <stdlib.h>

#define MISSING_TICKS  6u     /* a minute */
#define SERVE_LIMIT_MS 10000u /* interleaveRequest's; all else is answered at once */

/* ---- Bodies ---- */

pb_arena part_arena(const part *p)
{
    return (pb_arena){p->d->memory, PART_ARENA, 0};
}

dht_peer *part_descriptor(pb_bytes encoded, pb_arena *arena)
{
    dht_peer *peer = pb_alloc(arena, sizeof *peer);

    if (peer == NULL || pb_decode(&dht_peer_table, peer, encoded.ptr, encoded.len, arena) != NULL)
        return NULL;
    return peer;
}

pb_bytes part_encoded(const dht_peer *peer, pb_arena *arena)
{
    sb out = SB_INIT;
    uint8_t *copy = NULL;
    size_t len = 0;

    if (pb_encode(&dht_peer_table, peer, &out) && out.len <= DESCRIPTOR_MAX && out.len > 0)
        copy = pb_alloc(arena, out.len);
    if (copy != NULL) {
        len = out.len;
        memcpy(copy, out.data, len);
    }
    sb_done(&out);
    return (pb_bytes){copy, len};
}

/* ---- Neighbours ---- */

static const char *name_of(const part *p)
{
    return p->service + sizeof DELIVERY_SERVICE - 1;
}

bool part_add_neighbor(part *p, const node_id *id, pb_bytes descriptor)
{
    if (neighbors_find(&p->neighbors, id) != NULL)
        return true;
    if (!peers_connected(p->d->peers, id) || node_id_same(id, peers_self(p->d->peers)) ||
        descriptor.len > DESCRIPTOR_MAX || !neighbors_add(&p->neighbors, id, descriptor))
        return false;
    peers_lock(p->d->peers, id);
    if (p->neighbors.n == 1)
        delivery_log(p->d, DELIVERY_DEBUG, "in touch with stream part '%s'", name_of(p));
    finder_found(p);
    view_add(&p->view, descriptor);
    relay_feed(p, id);
    return true;
}

bool part_drop_neighbor(part *p, const node_id *gone)
{
    node_id id = *gone; /* it may lie in what is about to go */

    if (!neighbors_remove(&p->neighbors, &id))
        return false;
    peers_unlock(p->d->peers, &id);
    errand_end(p, ERRAND_UPDATE, &id);
    p->d->count.neighbors_lost++;
    if (p->neighbors.n == 0)
        delivery_log(p->d, DELIVERY_DEBUG, "lost touch with stream part '%s', looking for others",
                     name_of(p));
    if (p->proxies != NULL)
        proxies_lost(p, &id);
    else {
        seek_lost(p);
        finder_start(p);
    }
    return true;
}

/* A node left the part, or its connection ended. */
static void forget(part *p, const node_id *id)
{
    clients_remove(p, id);
    inspect_remove(p, id);
    part_drop_neighbor(p, id);
}

void part_lost(part *p, const node_id *id, peers_loss how)
{
    if (how == PEERS_LEFT)
        view_remove(&p->view, id);
    forget(p, id);
}

/* ---- What comes ---- */

static void serve_leave(part *p, const peers_from *from, const void *msg, peers_call *call)
{
    const network_leave *l = msg;

    (void)call;
    if (l->stream_part.len != p->name.len ||
        memcmp(l->stream_part.ptr, p->name.ptr, p->name.len) != 0)
        return;
    view_remove(&p->view, &from->id);
    forget(p, &from->id);
}

static void serve_close(part *p, const peers_from *from, const void *msg, peers_call *call)
{
    (void)msg, (void)call;
    inspect_remove(p, &from->id);
}

typedef struct method {
    const char *name;
    const pb_table *table;
    void (*serve)(part *p, const peers_from *from, const void *msg, peers_call *call);
    bool is_request, for_clients; /* for_clients: a part of which we are no member has it too */
} method;

/* What Plumtree would say (pauseNeighbor, resumeNeighbor, sendMetadata) is not among them: unknown
 * notifications are dropped, and a node that gets no answer to them sends everything. */
static const method methods[] = {
    {"handshake", &network_handshake_request_table, handshake_serve, true, false},
    {"neighborUpdate", &network_neighbor_update_table, update_serve, true, false},
    {"interleaveRequest", &network_interleave_request_table, handshake_serve_interleave, true,
     false},
    {"leaveStreamPartNotice", &network_leave_table, serve_leave, false, true},
    {"requestConnection", &network_proxy_request_table, clients_serve, true, false},
    {"openConnection", &network_temporary_request_table, inspect_serve_open, true, false},
    {"closeConnection", &network_temporary_close_table, serve_close, false, false},
};

static const method *method_of(const part *p, const envelope *e)
{
    for (size_t i = 0; i < COUNT_OF(methods); i++) {
        const method *m = &methods[i];

        if (!pb_bytes_are(e->method, m->name) || m->is_request != (e->kind == ENVELOPE_REQUEST) ||
            (p->proxies != NULL && !m->for_clients) ||
            (m->serve == clients_serve && !p->d->settings.accept_proxies))
            continue;
        return m;
    }
    return NULL;
}

static void fail(peers_call *call, rpc_error error, const char *text)
{
    if (call != NULL)
        peers_fail(call, error, text);
}

static void serve(void *arg, const peers_from *from, const envelope *e, peers_call *call)
{
    part *p = arg;
    union {
        network_handshake_request handshake;
        network_neighbor_update update;
        network_interleave_request interleave;
        network_leave leave;
        network_proxy_request proxy;
        wire_empty nothing;
    } msg;
    pb_arena arena = part_arena(p);
    const method *m;

    if (call == NULL && pb_bytes_are(e->method, "sendStreamMessage")) {
        if (pb_bytes_are(e->type, NETWORK_STREAM_MESSAGE))
            relay_in(p, from, e->body);
        return;
    }
    m = method_of(p, e);
    if (m == NULL || m->is_request != (call != NULL))
        fail(call, RPC_UNKNOWN_METHOD, "a stream part has no such method");
    else if (!envelope_is(e, m->table) || envelope_open(e, m->table, &msg, &arena) != NULL)
        fail(call, RPC_SERVER_ERROR, "the request cannot be read");
    else
        m->serve(p, from, &msg, call);
}

/* ---- Life ---- */

static void tick(void *arg)
{
    part *p = arg;

    recent_expire(p->recent, peers_now_ms(p->d->peers));
    if (++p->ticks % MISSING_TICKS == 0)
        p->d->count.missing += gaps_missing(p->gaps);
    if (p->proxies == NULL)
        update_ask(p);
}

static uint32_t first_tick_ms(void)
{
    uint32_t r;

    random_bytes(&r, sizeof r);
    return UPDATE_EVERY_MS / 2 + r % (UPDATE_EVERY_MS / 2);
}

part *part_new(delivery *d, pb_bytes name)
{
    const size_t front = sizeof DELIVERY_SERVICE - 1;
    part *p = must_alloc(sizeof *p);

    p->d = d;
    p->service = must_alloc(front + name.len + 1);
    memcpy(p->service, DELIVERY_SERVICE, front);
    memcpy(p->service + front, name.ptr, name.len);
    p->name = (pb_bytes){(uint8_t *)p->service + front, name.len};
    must(stream_part_read(p->name, &p->stream, &p->partition));
    if (!peers_serve(d->peers, p->service, SERVE_LIMIT_MS, serve, p)) {
        free(p->service);
        free(p);
        return NULL;
    }
    p->key = stream_part_key(p->name);
    p->gaps = gaps_new();
    p->recent = recent_new_sized(parcel_free, d->settings.buffer, d->settings.min_targets);
    view_init(&p->view, peers_descriptor(d->peers), d->settings.view);
    p->tick = peers_timer_start(d->peers, first_tick_ms(), UPDATE_EVERY_MS, tick, p);
    return p;
}

void part_free(part *p)
{
    peers_unserve(p->d->peers, p->service);
    peers_timer_end(p->tick);
    finder_end(p);
    seek_end(p);
    errand_end_all(p);
    outbox_end(p);
    clients_done(p);
    inspect_done(p);
    proxies_free(p->proxies);
    for (unsigned i = 0; i < p->neighbors.n; i++)
        peers_unlock(p->d->peers, &p->neighbors.items[i].id);
    neighbors_done(&p->neighbors);
    view_done(&p->view);
    recent_free(p->recent);
    gaps_free(p->gaps);
    free(p->service);
    free(p);
}

void delivery_log(const delivery *d, delivery_level level, const char *fmt, ...)
{
    sb line = SB_INIT;
    va_list args;

    if (d->calls.log == NULL)
        return;
    va_start(args, fmt);
    sb_vprintf(&line, fmt, args);
    va_end(args);
    d->calls.log(d->calls.arg, level, line.data);
    sb_done(&line);
}
