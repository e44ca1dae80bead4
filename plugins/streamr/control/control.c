/* control -- see control.h. Here: life, and how a method finds its function. */
#include "control/parts.h"

void methods_serve(control *c, const method *methods, size_t n, const peers_from *from,
                   const envelope *e, peers_call *call)
{
    uint64_t msg[64];
    const char *why;

    for (size_t i = 0; i < n; i++) {
        const method *m = &methods[i];

        if (!pb_bytes_are(e->method, m->name))
            continue;
        must(m->request->size <= sizeof msg);
        c->arena.used = 0;
        why = envelope_is(e, m->request) ? envelope_open(e, m->request, msg, &c->arena)
                                         : "the body is of another type";
        if (why == NULL)
            m->serve(c, from, e, msg, call);
        else if (call != NULL)
            peers_fail(call, RPC_SERVER_ERROR, why);
        return;
    }
    if (call != NULL)
        peers_fail(call, RPC_UNKNOWN_METHOD, NULL);
}

dht_peer *peer_of(pb_bytes descriptor, pb_arena *arena)
{
    dht_peer *peer = pb_alloc(arena, sizeof *peer);

    if (peer == NULL ||
        pb_decode(&dht_peer_table, peer, descriptor.ptr, descriptor.len, arena) != NULL)
        return NULL;
    return peer;
}

/* A proxy client is no node that others may route by. */
static void on_connected(void *arg, const node_id *id, pb_bytes descriptor)
{
    control *c = arg;
    dht_set_private set = {.is_private = true};
    peers_message m = {.to = descriptor,
                       .service = "system/connection-manager",
                       .method = "setPrivate",
                       .table = &dht_set_private_table,
                       .msg = &set};

    (void)id;
    if (c->o.is_private)
        peers_tell(c->p, &m);
}

control *control_new(peers *p, const control_options *o)
{
    control *c = must_alloc(sizeof *c);

    c->p = p;
    c->o = *o;
    c->arena = (pb_arena){must_alloc(ARENA), ARENA, 0};
    c->routed = dedup_new(DEDUP_IDS);
    c->store = store_new();
    c->watch = (peers_watch){.arg = c, .connected = on_connected};
    peers_watch_add(p, &c->watch);
    layer0_serve(c);
    layer1_serve(c);
    manager_serve(c);
    info_serve(c);
    connector_serve(c);
    return c;
}

void control_free(control *c)
{
    if (c == NULL)
        return;
    peers_watch_remove(c->p, &c->watch);
    layer1_free(c);
    dedup_free(c->routed);
    store_free(c->store);
    free(c->arena.base);
    free(c);
}

static bool say_goodbye(void *arg, peer_link *l)
{
    control *c = arg;
    static const dht_disconnect_notice leaving = {.mode = DHT_DISCONNECT_LEAVING};
    peers_message m = {.to = l->descriptor,
                       .service = "system/connection-manager",
                       .method = "gracefulDisconnect",
                       .table = &dht_disconnect_notice_table,
                       .msg = &leaving};

    peers_tell(c->p, &m);
    return true;
}

void control_goodbye(control *c)
{
    links_each(peers_links(c->p), say_goodbye, c);
}
