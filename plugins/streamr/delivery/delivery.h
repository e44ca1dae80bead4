/* delivery -- the stream parts this node takes part in: messages in, messages out.
 *
 * Of each part we are a member (some neighbours, to whom every message is passed on) or a client
 * of proxies. A message reaches on_message() once, whichever way and however often it came; its
 * bytes are never encoded anew. All [loop]. No callback comes from inside the call that caused
 * it, unless it says so. Strings are copied where they are kept. */
#ifndef STREAMR_DELIVERY_H
#define STREAMR_DELIVERY_H

#include "rpc/peers.h"
#include "wire/network.h"

#define DELIVERY_SERVICE "stream-part-delivery-" /* and the part */

typedef struct delivery delivery;

/* ---- Making it ---- */

typedef struct delivery_settings {
    unsigned neighbors;   /* wanted a part; 0: 4 (the network's)                       */
    unsigned view;        /* candidates remembered a part; 0: 20                       */
    unsigned min_targets; /* nodes a message is to reach before it is forgotten; 0: 2  */
    unsigned buffer;      /* messages kept a part until then; 0: 150                   */
    unsigned max_parts;   /* 0: 10000                                                  */
    unsigned max_clients; /* proxy clients a part, the rest is refused; 0: 1000        */
    bool accept_proxies;  /* be a proxy for others                                     */
} delivery_settings;

/* Who is in a part is found out by somebody else: entry points today, the DHT some day. */
typedef struct delivery_source {
    void *arg;
    /* Ask who is listed under the key; found(ctx, ...) follows once, later, unless cancelled. ok:
     * somebody was asked and answered, maybe with nobody; false: nobody could be asked. The
     * descriptors may have our own among them. False: not now; found() does not come. */
    bool (*find)(void *arg, const node_id *key,
                 void (*found)(void *ctx, bool ok, const pb_bytes *descriptors, size_t n),
                 void *ctx);
    void (*cancel)(void *arg, const void *ctx);
    /* List ourselves under the key: entries live 60 s, so this comes every 60 s while needed. */
    void (*announce)(void *arg, const node_id *key);
} delivery_source;

typedef enum delivery_level { DELIVERY_WARN, DELIVERY_INFO, DELIVERY_DEBUG } delivery_level;

typedef struct delivery_calls {
    void *arg;
    /* A message of a joined part that was not here before, in the order of arrival. It lies in
     * from->buf when that is not NULL: peers_keep() keeps it without a copy. Its signature is
     * not checked. The callee may publish, join and leave (this part, too). */
    void (*on_message)(void *arg, pb_bytes part, pb_bytes message, const peers_from *from);
    /* A published message that nobody had within DELIVERY_WAIT_MS, or that had to make room for a
     * later one: then it comes from inside delivery_publish(). The callee must not call back into
     * here. May be NULL. */
    void (*on_unsent)(void *arg, pb_bytes part, pb_bytes message);
    /* A line for the operator. May be NULL. */
    void (*log)(void *arg, delivery_level level, const char *line);
} delivery_calls;

/* settings NULL: the network's. source NULL: only who comes to us is found. */
delivery *delivery_new(peers *p, const delivery_settings *settings, const delivery_source *source,
                       const delivery_calls *calls);
/* Leaves all parts; on_unsent() may come from inside. */
void delivery_free(delivery *d);

/* ---- Parts ---- */

typedef struct delivery_proxied {
    const pb_bytes *proxies; /* descriptors; more than 64 are not looked at                     */
    size_t n;
    unsigned connections; /* this many of them at a time; 0: all                               */
    bool one_way;         /* only direction; else both                                         */
    network_direction direction;
    pb_bytes user_id; /* for whom: 20 bytes of an address; key requests come by it         */
} delivery_proxied;

/* part: "stream#7". proxied NULL: be a member. Joining again as before changes nothing, otherwise
 * it leaves first. NULL, or why not: a constant sentence. */
const char *delivery_join(delivery *d, pb_bytes part, const delivery_proxied *proxied);
/* Tells the neighbours. What still waits to be sent comes back by on_unsent(), from inside. */
void delivery_leave(delivery *d, pb_bytes part);
bool delivery_joined(const delivery *d, pb_bytes part);
/* Its neighbours, or proxies, that are connected; 0 when it is not joined. */
size_t delivery_reach(const delivery *d, pb_bytes part);
/* Nodes somebody knows to be in the part (the layer below finds them): candidates for neighbours.
 */
void delivery_suggest(delivery *d, pb_bytes part, const pb_bytes *descriptors, size_t n);

/* ---- Publishing ---- */

#define DELIVERY_WAIT_MS 60000

/* Bytes and what keeps them. With owner NULL they are copied where they must be kept. */
typedef struct delivery_bytes {
    pb_bytes bytes; /* a StreamMessage */
    void *owner;
    void (*retain)(void *owner);
    void (*release)(void *owner);
} delivery_bytes;

typedef enum delivery_fate {
    DELIVERY_SENT,      /* on its way to one node at least                                    */
    DELIVERY_WAITS,     /* no node yet: sent when there is one, or on_unsent()                */
    DELIVERY_DUPLICATE, /* has been here already; goes nowhere                                */
    DELIVERY_REFUSED,   /* *why: not joined, subscribed only, no message, a broken chain, no room */
} delivery_fate;

/* on_message() does not come for it, nor for its echo. why may be NULL. */
delivery_fate delivery_publish(delivery *d, pb_bytes part, const delivery_bytes *message,
                               const char **why);

/* ---- Inspecting ---- */

/* Become a temporary receiver of a node that is in the part, for up to 60 s: answer() says how many
 * of the messages that came meanwhile from others came from it too. False: too many, or not
 * joined. */
bool delivery_inspect(delivery *d, pb_bytes part, pb_bytes descriptor,
                      void (*done)(void *arg, bool connected, uint64_t both, uint64_t others),
                      void *arg);

/* ---- Showing ---- */

typedef struct delivery_counters {
    uint64_t received, received_bytes;   /* messages that came in, all of them   */
    uint64_t accepted;                   /* of these, new: given to on_message() */
    uint64_t duplicates;                 /* were here before                     */
    uint64_t invalid_chain;              /* contradict their chain; dropped      */
    uint64_t malformed;                  /* no message, or of another part       */
    uint64_t published;                  /* by us                                */
    uint64_t unsent;                     /* of these, nobody has them            */
    uint64_t sent;                       /* copies put into a node's queue       */
    uint64_t full;                       /* copies a node's queue had no room for */
    uint64_t handshakes_out, accepts_in; /* asked; of these, accepted            */
    uint64_t handshakes_in, accepts_out; /* were asked; of these, accepted       */
    uint64_t interleaved;                /* neighbours handed over to another    */
    uint64_t neighbors_lost;
    uint64_t missing; /* holes in chains that stayed open for a minute */
} delivery_counters;
const delivery_counters *delivery_counted(const delivery *d);

typedef struct delivery_neighbor {
    node_id id;
    pb_bytes descriptor;
    int32_t rtt_ms; /* below 0: not known yet */
} delivery_neighbor;
typedef struct delivery_part_info {
    pb_bytes part;
    bool is_proxied;
    const delivery_neighbor *neighbors; /* of a proxied part: its proxies, connected */
    size_t n_neighbors;
    size_t n_clients, n_temporary; /* proxy clients and inspectors that we serve     */
    size_t n_candidates;
    size_t n_waiting; /* messages that wait for a first node                         */
    uint32_t holes;   /* in chains, now                                              */
} delivery_part_info;
/* each() must not join or leave. */
void delivery_each(const delivery *d, void (*each)(void *ctx, const delivery_part_info *info),
                   void *ctx);
size_t delivery_parts(const delivery *d);

#endif
