/* info -- system/node-info-rpc: what a node tells of itself to anybody. */
#include "control/parts.h"

#define CONNECTIONS_MAX 200u /* that are named */

typedef struct naming {
    pb_list *out;
    pb_arena *arena;
} naming;

static bool name_one(void *arg, peer_link *l)
{
    naming *n = arg;
    dht_peer *peer, **slot;

    if (l->is_private)
        return true;
    peer = peer_of(l->descriptor, n->arena);
    if (peer == NULL || n->out->n == CONNECTIONS_MAX ||
        (slot = pb_push(n->arena, n->out, sizeof *slot)) == NULL)
        return false;
    *slot = peer;
    return true;
}

static void get_info(control *c, const peers_from *from, const envelope *e, const void *msg,
                     peers_call *call)
{
    network_control_info about = {.neighbors = {0}};
    naming n = {&about.connections, &c->arena};
    network_node_info info = {.peer = peer_of(peers_descriptor(c->p), &c->arena),
                              .control = &about,
                              .application_version = pb_bytes_of(c->o.application)};

    (void)from, (void)e, (void)msg;
    if (call == NULL)
        return;
    links_each(peers_links(c->p), name_one, &n);
    if (c->o.parts != NULL)
        c->o.parts(c->o.arg, &info.parts, &c->arena);
    peers_reply(call, &network_node_info_table, &info);
}

static const method methods[] = {
    {"getInfo", &network_node_info_request_table, get_info},
};

static void serve(void *arg, const peers_from *from, const envelope *e, peers_call *call)
{
    methods_serve(arg, methods, COUNT_OF(methods), from, e, call);
}

void info_serve(control *c)
{
    must(peers_serve(c->p, "system/node-info-rpc", 1000, serve, c));
}
