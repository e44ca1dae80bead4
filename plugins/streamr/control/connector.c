/* connector -- system/websocket-connector: nodes with a server ask us, who have none, to dial
 * them (spec 4.4).
 *
 * Who asks is not proven, so strangers could have us dial anybody: only few a second. */
#include "control/parts.h"

static void request_connection(control *c, const peers_from *from, const envelope *e,
                               const void *msg, peers_call *call)
{
    int64_t now_ms = peers_now_ms(c->p);

    (void)e, (void)msg;
    if (call != NULL)
        peers_fail(call, RPC_SERVER_ERROR, "this is a notification");
    if (now_ms - c->dials_since_ms >= 1000) {
        c->dials_since_ms = now_ms;
        c->dials = 0;
    }
    if (c->dials < CONTROL_DIALS_A_SECOND) {
        c->dials++;
        peers_connect(c->p, from->descriptor);
    }
}

static const method methods[] = {
    {"requestConnection", &dht_websocket_connection_table, request_connection},
};

static void serve(void *arg, const peers_from *from, const envelope *e, peers_call *call)
{
    methods_serve(arg, methods, COUNT_OF(methods), from, e, call);
}

void connector_serve(control *c)
{
    must(peers_serve_routed(c->p, "system/websocket-connector", serve, c));
}
