/* layer0 -- the control layer's service, as a node outside of the DHT answers it. */
#include "control/parts.h"

/* ---- pings and contacts ---- */

static void ping(control *c, const peers_from *from, const envelope *e, const void *msg,
                 peers_call *call)
{
    const dht_ping *q = msg;
    dht_ping answer = {.request_id = q->request_id};

    (void)c, (void)from, (void)e;
    if (call != NULL)
        peers_reply(call, &dht_ping_response_table, &answer);
}

static void closest_peers(control *c, const peers_from *from, const envelope *e, const void *msg,
                          peers_call *call)
{
    const dht_closest_request *q = msg;
    dht_closest_response answer = {.request_id = q->request_id};

    (void)c, (void)from, (void)e;
    if (call != NULL)
        peers_reply(call, &dht_closest_response_table, &answer);
}

static void ring_peers(control *c, const peers_from *from, const envelope *e, const void *msg,
                       peers_call *call)
{
    const dht_ring_request *q = msg;
    dht_ring_response answer = {.request_id = q->request_id};

    (void)c, (void)from, (void)e;
    if (call != NULL)
        peers_reply(call, &dht_ring_response_table, &answer);
}

/* ---- routing ---- */

static void ack(peers_call *call, const dht_route *route, int error)
{
    dht_route_ack answer = {.request_id = route->request_id};

    if (call == NULL)
        return;
    if (error >= 0) {
        answer.error = error;
        pb_set(&dht_route_ack_table, &answer, 2);
    }
    peers_reply(call, &dht_route_ack_table, &answer);
}

/* Ours is unwrapped; for others we have no way. */
static void route(control *c, const peers_from *from, const envelope *e, const void *msg,
                  peers_call *call)
{
    const dht_route *r = msg;
    const node_id *self = peers_self(c->p);
    envelope inner;
    node_id target;

    (void)e;
    if (!node_id_of(r->target, &target) || !node_id_same(&target, self)) {
        ack(call, r, DHT_ROUTE_NO_TARGETS);
        return;
    }
    if (dedup_seen(c->routed, r->request_id.ptr, r->request_id.len)) {
        ack(call, r, DHT_ROUTE_DUPLICATE);
        return;
    }
    if (envelope_read(r->message.ptr, r->message.len, &inner) != NULL) {
        if (call != NULL)
            peers_fail(call, RPC_SERVER_ERROR, "the message inside is malformed");
        return;
    }
    ack(call, r, -1);
    if (inner.kind <= ENVELOPE_ERROR)
        peers_take_routed(c->p, &from->id, &inner);
}

/* A message that is forwarded by way of us goes on to somebody else: there is no way. */
static void forward(control *c, const peers_from *from, const envelope *e, const void *msg,
                    peers_call *call)
{
    const dht_route *r = msg;
    envelope inner;
    node_id target;

    if (envelope_read(r->message.ptr, r->message.len, &inner) == NULL &&
        peer_node_id(inner.target, &target) && node_id_same(&target, peers_self(c->p)))
        route(c, from, e, msg, call);
    else
        ack(call, r, DHT_ROUTE_NO_TARGETS);
}

/* An operation on data goes no further from here, but what is here is told. */
static void route_request(control *c, const peers_from *from, const envelope *e, const void *msg,
                          peers_call *call)
{
    const dht_route *r = msg;

    (void)e;
    if (dedup_seen(c->routed, r->request_id.ptr, r->request_id.len)) {
        ack(call, r, DHT_ROUTE_DUPLICATE);
        return;
    }
    ack(call, r, DHT_ROUTE_NO_TARGETS);
    operation_answer(c, &from->id, r);
}

/* ---- data ---- */

static void store_data(control *c, const peers_from *from, const envelope *e, const void *msg,
                       peers_call *call)
{
    static const wire_empty done;
    bool kept = store_put(c->store, &from->id, msg, clock_wall_ms());

    (void)e;
    if (call == NULL)
        return;
    if (kept)
        peers_reply(call, &dht_store_response_table, &done);
    else
        peers_fail(call, RPC_SERVER_ERROR, "this node has no room for it");
}

static void replicate(control *c, const peers_from *from, const envelope *e, const void *msg,
                      peers_call *call)
{
    const dht_entry *entry = ((const dht_replicate_request *)msg)->entry;

    (void)e;
    if (entry != NULL && !entry->deleted) {
        dht_store_request q = {.key = entry->key,
                               .data = entry->data,
                               .creator = entry->creator,
                               .created = entry->created,
                               .ttl_ms = entry->ttl_ms};

        store_put(c->store, &from->id, &q, clock_wall_ms());
    }
    if (call != NULL)
        peers_fail(call, RPC_SERVER_ERROR, "this is a notification");
}

static void nothing(control *c, const peers_from *from, const envelope *e, const void *msg,
                    peers_call *call)
{
    (void)c, (void)from, (void)e, (void)msg;
    if (call != NULL)
        peers_fail(call, RPC_SERVER_ERROR, "this is a notification");
}

static const method methods[] = {
    {"ping", &dht_ping_request_table, ping},
    {"getClosestPeers", &dht_closest_request_table, closest_peers},
    {"getClosestRingPeers", &dht_ring_request_table, ring_peers},
    {"routeMessage", &dht_route_table, route},
    {"forwardMessage", &dht_route_table, forward},
    {"routeRequest", &dht_route_table, route_request},
    {"storeData", &dht_store_request_table, store_data},
    {"replicateData", &dht_replicate_request_table, replicate},
    {"leaveNotice", &dht_leave_notice_table, nothing},
};

static void serve(void *arg, const peers_from *from, const envelope *e, peers_call *call)
{
    methods_serve(arg, methods, COUNT_OF(methods), from, e, call);
}

void layer0_serve(control *c)
{
    must(peers_serve(c->p, "layer0", 1000, serve, c));
}
