/* net -- sockets for plugins: TCP, TLS and WebSocket. The host owns them, so that connections
 * outlive a build.
 *
 * Functions have the signatures of `broker_net` in broker/plugin.h, whose comments are their
 * documentation; `owner` is the caller's ledger. Everything is [loop]. */
#ifndef NET_NET_H
#define NET_NET_H

#include "run/buf.h"
#include "run/ledger.h"
#include "run/loop.h"

#include <broker/plugin.h>

typedef struct net net;

net *net_new(loop *l);
/* Its connections and listeners are closed as the loop runs on; nobody is called. */
void net_free(net *n);

typedef broker_rc (*net_accepted)(void *self, broker_conn *conn, broker_str target,
                                  broker_peer_calls *calls);

/* NULL: a sentence in *why. */
broker_listener *net_listen(net *n, ledger *owner, const broker_net_options *o,
                            net_accepted accepted, void *self, sb *why);
uint32_t net_port(broker_listener *l);
void net_unlisten(broker_listener *l);

broker_rc net_send(broker_conn *c, broker_bytes data, int32_t text);
broker_rc net_send_buf(broker_conn *c, broker_buf *buf, broker_bytes data, int32_t text);
void net_pause(broker_conn *c);
void net_resume(broker_conn *c);
size_t net_queued(broker_conn *c);
broker_str net_peer(broker_conn *c);
void net_close(broker_conn *c, int32_t code, const char *why);
uint64_t net_id(broker_conn *c);

/* Close all that is the owner's, calling nobody. */
void net_forget(net *n, const ledger *owner);

/* ---- Across a swap; the successor's ledger has the same name ----
 *
 * hold -> park -> (the old build lets go: vacate) -> the successor listens and adopts -> go_on.
 * A swap that is given up goes from hold or park to go_on. */

/* Read no more and accept nobody; all else goes on. */
void net_hold(net *n, const ledger *owner);
/* Read nothing, accept nobody, call nobody. */
void net_park(net *n, const ledger *owner);
/* Connections and listeners are kept, in the name of keeper, for the next build of the name; to
 * close or unlisten what is parked does the same. keeper stays until go_on. */
void net_vacate(net *n, const ledger *owner, ledger *keeper);
/* NULL: it has ended, or there never was one. */
broker_conn *net_adopt(net *n, ledger *owner, uint64_t id, const broker_peer_calls *calls);
/* Callbacks again; what nobody took over is closed (WebSocket: 1012). */
void net_go_on(net *n, const char *name);

#endif
