/* net -- the sockets of plugins: listeners and connections, TCP, TLS and WebSocket.
 *
 * What plugins call has the meaning that broker/plugin.h gives it (`broker_net`); host/plugin
 * puts it into the service table. Callbacks go through CROSS(owner, ...), never from inside a
 * call of the plugin. Nothing here counts in the ledger: see "across a swap" below. [loop] */
#ifndef NET_NET_H
#define NET_NET_H

#include "net/head.h"
#include "net/wire.h"
#include "run/buf.h"
#include "run/ledger.h"
#include "run/loop.h"

#include <broker/plugin.h>

typedef struct net net;

typedef broker_rc (*net_accepted)(void *self, broker_conn *conn, broker_str target,
                                  broker_peer_calls *calls);

net *net_new(loop *l);
/* Cut what is left, without callbacks, and free; closed() when all is closed. */
void net_close(net *n, void (*closed)(void *arg), void *arg);

/* ---- as in `broker_net`; a failure puts a sentence into *why ---- */
broker_rc net_listen(net *n, ledger *owner, const broker_net_options *opt, net_accepted accepted,
                     void *self, broker_listener **out, sb *why);
uint32_t net_port(broker_listener *l);
void net_unlisten(broker_listener *l);
broker_rc net_connect(net *n, ledger *owner, const broker_net_options *opt,
                      const broker_peer_calls *calls, broker_conn **out, sb *why);
broker_rc net_send(broker_conn *c, broker_bytes data, int32_t text);
broker_rc net_send_buf(broker_conn *c, broker_buf *buf, broker_bytes data, int32_t text);
void net_pause(broker_conn *c);
void net_resume(broker_conn *c);
size_t net_queued(broker_conn *c);
broker_str net_address(broker_conn *c);
void net_hang_up(broker_conn *c, int32_t code, const char *why);
uint64_t net_id(broker_conn *c);
broker_str net_header(broker_conn *c, const char *name);
broker_rc net_adopt(net *n, ledger *owner, uint64_t id, const broker_peer_calls *calls,
                    broker_conn **out);

/* ---- a request that becomes a WebSocket ---- */
/* The connection that `request` asks for, in wait for its wire. BROKER_EINVAL: it asks for none
 * (*why); answer it. */
broker_rc net_upgrade(net *n, ledger *owner, const head *request, const broker_net_options *opt,
                      const broker_peer_calls *calls, broker_conn **out, sb *why);
/* The wire, and what came behind the request; NULL: the client has left. */
void net_upgrade_wire(void *conn, wire *w, const uint8_t *bytes, size_t len);

/* ---- across a swap ----
 *
 * A listener or connection belongs to the build that made or adopted it (its ledger). The
 * loader calls, always from outside any callback:
 *
 *   net_hold(old)     nothing more is read or accepted; all else goes on. Not needed.
 *   net_park(old)     before the first quiesce(). Nothing of `old` is called any more, nothing is
 *                     read or accepted. What is sent still goes out, close() still closes. What
 *                     happens meanwhile (opened, drained, ended) is remembered.
 *   net_leave(old)    quiesce() has returned BROKER_OK: what is parked belongs to nobody now, and
 *                     waits for a build of the same plugin name. `old` is not referred to again
 *                     and may be unmapped.
 *   start() of the next build takes listeners (net_listen() with the host and port of a parked
 *                     one) and connections (net_adopt()). They stay parked.
 *   net_unpark(build) its start() has returned BROKER_OK, or the swap was given up before
 *                     net_leave(): what belongs to `build` goes on (what was remembered is told
 *                     first), what is parked under its name and belongs to anybody else or
 *                     nobody is closed (WebSocket code 1012).
 *   net_forget(build) its start() failed, or it is leaving for good: what it took from the parked
 *                     is parked again and belongs to nobody; all else of it is closed (1001), and
 *                     no callback comes any more.
 *
 * A swap:           park(old) quiesce(old) leave(old) start(new) unpark(new); old is gone already.
 * Quiesce gives up: park(old) quiesce(old)... unpark(old).
 * New fails:        ... leave(old) start(new) forget(new) start(old, state) unpark(old); when that
 *                   start() fails too: forget(old) unpark(old), which closes what nobody has.
 * Stop, plain:      quiesce(b) forget(b). */
void net_hold(net *n, const ledger *owner);
void net_park(net *n, const ledger *owner);
void net_leave(net *n, const ledger *owner);
void net_unpark(net *n, const ledger *owner);
void net_forget(net *n, const ledger *owner);

#endif
