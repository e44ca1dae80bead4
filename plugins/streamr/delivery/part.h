/* part -- one stream part, as the files of this folder share it. Not for anybody else.
 *
 * A part has neighbours (as a member) or proxies (as a client), and it makes no difference to what
 * passes messages on: both are its neighbours. Who is to become one is found by view, finder and
 * seek, and agreed on by handshake; update keeps the agreement alive. Everything that a part asks
 * other nodes is an errand, so that leaving ends it. */
#ifndef STREAMR_DELIVERY_PART_H
#define STREAMR_DELIVERY_PART_H

#include "delivery/clients.h"
#include "delivery/delivery.h"
#include "delivery/errand.h"
#include "delivery/finder.h"
#include "delivery/inspect.h"
#include "delivery/neighbors.h"
#include "delivery/outbox.h"
#include "delivery/seek.h"
#include "delivery/view.h"
#include "wire/gaps.h"
#include "wire/recent.h"

#define PART_BUCKETS    1024u
#define PART_ARENA      (256u * 1024u)
#define DESCRIPTOR_MAX  1024u /* longer ones are not remembered */
#define UPDATE_EVERY_MS 10000u

typedef struct proxies proxies;

struct delivery {
    peers *peers;
    delivery_settings settings;
    delivery_source source; /* find NULL: none */
    delivery_calls calls;
    delivery_counters count;
    peers_watch watch;
    part *buckets[PART_BUCKETS];
    size_t n_parts, n_proxied;
    size_t kept; /* bytes in parcels */
    int64_t dials_since_ms;
    unsigned dials;  /* candidates without a connection that were asked in this second */
    bool is_private; /* as our proxies were told */
    uint8_t *memory; /* PART_ARENA, for opening one body or making one */
    const node_id *
        *to; /* whom a message goes to, and who has it: room for all that a part can have */
    bool *sent;
};

struct part {
    delivery *d;
    part *next_same; /* in its bucket */
    char *service;   /* DELIVERY_SERVICE and the name, NUL */
    pb_bytes name;   /* "stream#7", in service */
    pb_bytes stream; /* in name */
    uint32_t partition;
    node_id key;
    proxies *proxies; /* NULL: we are a member */
    neighbors neighbors;
    view_set view;
    finder finder;
    seek seek;
    errand *errands;
    clients clients;
    inspect inspect;
    gaps *gaps;
    recent *recent;
    outbox outbox;
    peers_timer *tick; /* UPDATE_EVERY_MS */
    unsigned ticks;
};

/* service() is called with what comes for the part. NULL: somebody serves that name already. */
part *part_new(delivery *d, pb_bytes name);
void part_free(part *p); /* silently */

/* The neighbour is new: it gets what waits for it, and the search takes note. False: it is not
 * connected, is ourselves, or there are too many. */
bool part_add_neighbor(part *p, const node_id *id, pb_bytes descriptor);
/* True: it was one. */
bool part_drop_neighbor(part *p, const node_id *id);
/* A connection has ended. */
void part_lost(part *p, const node_id *id, peers_loss how);

/* ---- For making and reading bodies ---- */

/* The arena, empty; what was in it before is gone. */
pb_arena part_arena(const part *p);
/* The descriptor decoded into the arena; NULL: it is none. */
dht_peer *part_descriptor(pb_bytes encoded, pb_arena *arena);
/* A descriptor as bytes again, in the arena; ptr NULL: no room, or too long to be remembered. */
pb_bytes part_encoded(const dht_peer *peer, pb_arena *arena);

void delivery_log(const delivery *d, delivery_level level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
