/* rpc -- peers.h from below: made, fed by links, ended; and what only control may do.
 *
 * [loop] throughout. */
#ifndef STREAMR_RPC_RPC_H
#define STREAMR_RPC_RPC_H

#include "links/links.h"
#include "rpc/peers.h"

#define RPC_SERVED_MAX      4096u /* requests being served at once */
#define RPC_SERVED_PER_PEER 256u
#define RPC_ROUTE_MS        2000u

typedef enum rpc_count {
    RPC_COUNT_MALFORMED, /* frames that do not parse                  */
    RPC_COUNT_DUPLICATE, /* message ids seen before                   */
    RPC_COUNT_UNSERVED,  /* for services that nobody serves           */
    RPC_COUNT_REQUESTS,  /* served                                    */
    RPC_COUNT_OVERLOAD,  /* requests dropped: too many being served   */
    RPC_COUNT_ASKED,
    RPC_COUNT_TIMEOUTS, /* of what was asked                         */
    RPC_COUNT_SLOW,     /* served too slowly: SERVER_TIMEOUT was said */
    RPC_COUNT_DROPPED,  /* stream messages not sent: queue full      */
    RPC_COUNTS
} rpc_count;

/* The descriptor in o is what peers_descriptor() gives until rpc_set_descriptor(). */
peers *peers_new(broker_ctx *ctx, const links_options *o);
void peers_free(peers *p); /* NULL: nothing */
links *peers_links(peers *p);
void peers_set_descriptor(peers *p, pb_bytes descriptor, bool serves);
uint64_t peers_counted(const peers *p, rpc_count which);

/* A connection, if there is none and there is a way; opened or lost is heard by a watch, a dial
 * that fails by failed (one of those is called, not from inside). False: no way. */
bool peers_connect(peers *p, pb_bytes descriptor);
/* Called when a link could not be made. */
void peers_on_failed(peers *p, void (*failed)(void *arg, const node_id *id), void *arg);

/* Nothing more is read from anybody until it is taken back. */
void peers_pause(peers *p, bool on);

/* ---- routed ---- */

/* A service that is served only inside layer0.routeMessage: who asks is what the message says, so
 * it is never to be believed; answers go back routed. What is served with a name that ends in "*"
 * is asked for all services that begin so. The limit of others counts too. */
bool peers_serve_routed(peers *p, const char *service, peers_serve_fn serve, void *arg);
/* A message for this node that came inside a wrapper, by way of `via`. */
void peers_take_routed(peers *p, const node_id *via, const envelope *inner);
/* Send a message to a node that is not connected, by way of one that is: `via`, or when it is NULL
 * or gone, those nearest to the target, until one takes it. False: nobody is connected. */
bool peers_route(peers *p, pb_bytes target, const sb *inner, const node_id *via);

#endif
