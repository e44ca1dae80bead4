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

/* Operations on data: this node is not among those that can answer. */
static void route_request(control *c, const peers_from *from, const envelope *e, const void *msg,
                          peers_call *call)
{
    (void)c, (void)from, (void)e;
    ack(call, msg, DHT_ROUTE_NO_TARGETS);
}

/* ---- data ---- */

static void store_data(control *c, const peers_from *from, const envelope *e, const void *msg,
                       peers_call *call)
{
    (void)c, (void)from, (void)e, (void)msg;
    if (call != NULL)
        peers_fail(call, RPC_SERVER_ERROR, "this node keeps no data of others");
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
    {"replicateData", &dht_replicate_request_table, nothing},
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
