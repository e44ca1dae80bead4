/* route -- messages to nodes that are not connected, by way of nodes that are. */
#include "rpc/parts.h"

struct parcel {
    peers *p;
    parcel *next, **at; /* in p->parcels */
    node_id target;
    sb inner;
    node_id tried[ROUTE_TRIES];
    size_t n_tried;
};

typedef struct nearest {
    const parcel *r;
    peer_link *best;
} nearest;

static bool look(void *arg, peer_link *l)
{
    nearest *n = arg;

    if (l->is_private)
        return true;
    for (size_t i = 0; i < n->r->n_tried; i++)
        if (node_id_same(&l->id, &n->r->tried[i]))
            return true;
    if (n->best == NULL || node_id_nearer(&n->r->target, &l->id, &n->best->id) < 0)
        n->best = l;
    return true;
}

static void parcel_free(parcel *r)
{
    *r->at = r->next;
    if (r->next != NULL)
        r->next->at = r->at;
    sb_done(&r->inner);
    free(r);
}

static bool go_on(parcel *r);

static void on_ack(void *arg, peers_result result, const envelope *answer)
{
    parcel *r = arg;
    dht_route_ack ack;
    pb_arena arena = {NULL, 0, 0};

    if (result == PEERS_ANSWERED &&
        (envelope_open(answer, &dht_route_ack_table, &ack, &arena) != NULL ||
         pb_has(&dht_route_ack_table, &ack, 2)))
        result = PEERS_REFUSED;
    if (result == PEERS_ANSWERED || !go_on(r))
        parcel_free(r);
}

static bool try_one(parcel *r, peer_link *l)
{
    peers *p = r->p;
    uint64_t memory[512];
    pb_arena arena = {(uint8_t *)memory, sizeof memory, 0};
    char id[UUID_LEN];
    pb_bytes own = links_descriptor(p->links);
    dht_peer self;
    dht_route route = {.target = node_id_bytes(&r->target),
                       .message = pb_bytes_from(r->inner.data, r->inner.len)};
    peers_message m = {.to = l->descriptor,
                       .service = "layer0",
                       .method = "routeMessage",
                       .table = &dht_route_table,
                       .msg = &route};

    r->tried[r->n_tried++] = l->id;
    if (pb_decode(&dht_peer_table, &self, own.ptr, own.len, &arena) != NULL)
        return false;
    uuid_make(&p->ids, id);
    route.request_id = pb_bytes_from(id, sizeof id);
    route.source = &self;
    pb_set(&dht_route_table, &route, 4);
    return peers_ask(p, &m, RPC_ROUTE_MS, on_ack, r);
}

/* By the nearest that was not tried yet. False: there is none. */
static bool go_on(parcel *r)
{
    while (r->n_tried < ROUTE_TRIES) {
        nearest n = {r, NULL};

        links_each(r->p->links, look, &n);
        if (n.best == NULL)
            return false;
        if (try_one(r, n.best))
            return true;
    }
    return false;
}

bool peers_route(peers *p, pb_bytes target, const sb *inner, const node_id *via)
{
    parcel *r = must_alloc(sizeof *r);
    peer_link *l = via != NULL ? links_find(p->links, via) : NULL;
    bool ok = false;

    r->p = p;
    r->at = &p->parcels;
    r->next = p->parcels;
    if (r->next != NULL)
        r->next->at = &r->next;
    p->parcels = r;
    sb_append(&r->inner, inner->data, inner->len);
    if (peer_node_id(target, &r->target))
        ok = (l != NULL && l->state == LINK_OPEN && try_one(r, l)) || go_on(r);
    if (!ok)
        parcel_free(r);
    return ok;
}

void route_free_all(peers *p)
{
    while (p->parcels != NULL)
        parcel_free(p->parcels);
}

/* The node has no server: it is asked to dial us. */
bool route_summon(void *arg, peer_link *l)
{
    peers *p = arg;
    char request_id[UUID_LEN], message_id[UUID_LEN];
    wire_empty nothing = {{0}};
    envelope e = {.kind = ENVELOPE_NOTIFICATION,
                  .service = pb_bytes_of("system/websocket-connector"),
                  .method = pb_bytes_of("requestConnection")};
    sb body = SB_INIT, inner = SB_INIT;
    bool ok;

    uuid_make(&p->ids, request_id);
    uuid_make(&p->ids, message_id);
    e.request_id = pb_bytes_from(request_id, UUID_LEN);
    e.message_id = pb_bytes_from(message_id, UUID_LEN);
    e.source = links_descriptor(p->links);
    e.target = l->descriptor;
    ok = envelope_seal(&e, &dht_websocket_connection_table, &nothing, &body);
    if (ok) {
        envelope_append(&e, &inner);
        ok = peers_route(p, l->descriptor, &inner, NULL);
    }
    sb_done(&body);
    sb_done(&inner);
    return ok;
}
