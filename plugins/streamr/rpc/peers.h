/* peers -- the other nodes, as everything above connections sees them: asked, told, served.
 *
 * [loop] throughout. A node is meant by its descriptor, encoded as it came (PeerDescriptor,
 * spec 4.1); its bytes are copied where they are kept. No callback comes from inside the call that
 * caused it. Nothing here trusts a node id: anybody may claim one. */
#ifndef STREAMR_RPC_PEERS_H
#define STREAMR_RPC_PEERS_H

#include "wire/envelope.h"
#include "wire/identity.h"

typedef struct peers peers;
struct broker_buf;

/* ---- Who we are ---- */

const node_id *peers_self(const peers *p);
/* Own descriptor, encoded; valid until the peers end. */
pb_bytes peers_descriptor(const peers *p);
/* The loop's clock. */
int64_t peers_now_ms(const peers *p);

/* ---- Asking and telling ---- */

typedef enum peers_result {
    PEERS_ANSWERED,
    PEERS_REFUSED,     /* the node answered with an error: answer->error_* */
    PEERS_TIMEOUT,     /* no answer in time                                */
    PEERS_UNREACHABLE, /* no connection, and none could be made; or lost   */
} peers_result;

/* Once, unless cancelled. answer (its body still encoded: envelope_open()) is valid until it
 * returns; NULL unless ANSWERED or REFUSED. */
typedef void (*peers_answer)(void *arg, peers_result result, const envelope *answer);

typedef struct peers_message {
    pb_bytes to;         /* descriptor */
    const char *service; /* "layer0", "stream-part-delivery-<part>", ... */
    const char *method;
    const pb_table *table;
    const void *msg; /* of that table */
} peers_message;

/* Connects when there is no connection yet and the node can be dialled (spec 4.4). timeout_ms 0:
 * what spec 4.6 says for this way to connect. False: too much is being asked, answer() does not
 * come. */
bool peers_ask(peers *p, const peers_message *m, uint32_t timeout_ms, peers_answer answer,
               void *arg);
/* Nobody waits any more for what was asked with arg. */
void peers_cancel(peers *p, const void *arg);
/* A notification; connects likewise. False: the node cannot be reached, or its queue is full. */
bool peers_tell(peers *p, const peers_message *m);

/* The hot path: one notification, encoded once (method, service, type and body of common; kind
 * ENVELOPE_NOTIFICATION), to n connected nodes; sent[i] tells who has it. A node whose queue is
 * full gets nothing: it costs nobody but itself. Returns how many have it. */
size_t peers_spread(peers *p, const envelope *common, const node_id *const *to, size_t n,
                    bool *sent);

/* ---- Being asked and told ---- */

typedef struct peers_call peers_call; /* one request being served */

/* A request or notification for a service; call is NULL for a notification. from is who sent it, as
 * the connection's handshake said: id and descriptor, both valid until it returns, as e is. Answer
 * once, now or later: peers_reply() or peers_fail(). What takes longer than limit_ms is answered
 * SERVER_TIMEOUT, and a reply after that goes nowhere. */
typedef struct peers_from {
    node_id id;
    pb_bytes descriptor;
    bool is_private; /* a proxy client's connection (setPrivate) */
    /* The host's buffer in which e's bytes lie: peers_keep() keeps them without a copy. NULL: they
     * lie elsewhere, copy them. */
    struct broker_buf *buf;
} peers_from;
typedef void (*peers_serve_fn)(void *arg, const peers_from *from, const envelope *e,
                               peers_call *call);

/* One reference more, one less; as the host's buf_retain() and buf_release(). */
void peers_keep(peers *p, struct broker_buf *buf);
void peers_let_go(peers *p, struct broker_buf *buf);

/* Serve a service until peers_unserve(); one each. Requests for services that nobody serves are
 * dropped, as the network does. False: somebody serves it already. */
bool peers_serve(peers *p, const char *service, uint32_t limit_ms, peers_serve_fn serve, void *arg);
void peers_unserve(peers *p, const char *service);
void peers_reply(peers_call *call, const pb_table *table, const void *msg);
/* error: rpc_error; text: one sentence. UNKNOWN_METHOD for a method that the service has not. */
void peers_fail(peers_call *call, rpc_error error, const char *text);

/* ---- Connections ---- */

/* How a connection of ours ended, for who watches. LEFT: the node said that it leaves. */
typedef enum peers_loss { PEERS_LOST, PEERS_LEFT } peers_loss;
typedef struct peers_watch {
    void *arg;
    void (*connected)(void *arg, const node_id *id, pb_bytes descriptor); /* may be NULL */
    void (*lost)(void *arg, const node_id *id, peers_loss how);           /* may be NULL */
    struct peers_watch *next;                                             /* peers' own */
} peers_watch;
void peers_watch_add(peers *p, peers_watch *w);
void peers_watch_remove(peers *p, peers_watch *w);

bool peers_connected(const peers *p, const node_id *id);
/* Its descriptor, encoded; ptr NULL: not connected. Valid until the loop goes on. */
pb_bytes peers_descriptor_of(const peers *p, const node_id *id);
/* Connected nodes, private ones left out, up to max; returns how many. */
size_t peers_list(const peers *p, node_id *out, size_t max);
/* Its connection is kept when there are too many; counted, so as many unlocks as locks. Local: the
 * other side does not hear of it. */
void peers_lock(peers *p, const node_id *id);
void peers_unlock(peers *p, const node_id *id);
/* Orderly, with a notice to the other side (gracefulDisconnect). */
void peers_disconnect(peers *p, const node_id *id, dht_disconnect how);

/* ---- Time ---- */

typedef struct peers_timer peers_timer;
/* Calls fn(arg) every period_ms (first after first_ms; period 0: once) until peers_timer_end(). */
peers_timer *peers_timer_start(peers *p, uint32_t first_ms, uint32_t period_ms,
                               void (*fn)(void *arg), void *arg);
void peers_timer_end(peers_timer *t); /* NULL: nothing; also needed after a timer that ran once */

#endif
