/* manager -- system/connection-manager: how others have their connection to us kept or ended. */
#include "control/parts.h"

static peer_link *link_of(control *c, const peers_from *from)
{
    return links_find(peers_links(c->p), &from->id);
}

static void lock(control *c, const peers_from *from, const envelope *e, const void *msg,
                 peers_call *call)
{
    const dht_lock *q = msg;
    peer_link *l = link_of(c, from);
    dht_lock_response answer = {.accepted = l != NULL && links_lock(l, q->lock_id, true)};

    (void)e;
    if (call != NULL)
        peers_reply(call, &dht_lock_response_table, &answer);
}

static void unlock(control *c, const peers_from *from, const envelope *e, const void *msg,
                   peers_call *call)
{
    const dht_lock *q = msg;
    peer_link *l = link_of(c, from);

    (void)e;
    if (l != NULL)
        links_lock(l, q->lock_id, false);
    if (call != NULL)
        peers_fail(call, RPC_SERVER_ERROR, "this is a notification");
}

static void disconnect(control *c, const peers_from *from, const envelope *e, const void *msg,
                       peers_call *call)
{
    const dht_disconnect_notice *q = msg;
    peer_link *l = link_of(c, from);

    (void)e;
    if (call != NULL)
        peers_fail(call, RPC_SERVER_ERROR, "this is a notification");
    if (l != NULL)
        links_close(l, q->mode == DHT_DISCONNECT_LEAVING ? LINK_LEFT : LINK_LOST);
}

static void set_private(control *c, const peers_from *from, const envelope *e, const void *msg,
                        peers_call *call)
{
    const dht_set_private *q = msg;
    peer_link *l = link_of(c, from);

    (void)e;
    if (l != NULL && c->o.accepts_proxies)
        l->is_private = q->is_private;
    if (call != NULL)
        peers_fail(call, RPC_SERVER_ERROR, "this is a notification");
}

static const method methods[] = {
    {"lockRequest", &dht_lock_request_table, lock},
    {"unlockRequest", &dht_unlock_request_table, unlock},
    {"gracefulDisconnect", &dht_disconnect_notice_table, disconnect},
    {"setPrivate", &dht_set_private_table, set_private},
};

static void serve(void *arg, const peers_from *from, const envelope *e, peers_call *call)
{
    methods_serve(arg, methods, COUNT_OF(methods), from, e, call);
}

void manager_serve(control *c)
{
    must(peers_serve(c->p, "system/connection-manager", 1000, serve, c));
}
