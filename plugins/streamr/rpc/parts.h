/* parts -- what the files of rpc share. Not for others. [loop] */
#ifndef STREAMR_RPC_PARTS_H
#define STREAMR_RPC_PARTS_H

#include "rpc/rpc.h"
#include "wire/calls.h"
#include "wire/dedup.h"

#include <broker/plugin_log.h>

#include <stdlib.h>

#define SERVICE_BUCKETS 1024u
#define ROUTE_TRIES     3u
#define SMALL_FRAME     4096u /* below it the host copies anyway */
#define ROUTED_LIMIT_MS 1000u

typedef struct service {
    struct service *next;
    uint64_t hash;
    size_t len;
    char *name;
    uint32_t limit_ms;
    peers_serve_fn serve;
    void *arg;
} service;

/* One request of ours that waits. */
typedef struct ask {
    struct ask *next, **at; /* in p->asks, or p->doomed */
    node_id to;
    char request_id[UUID_LEN];
    peers_answer answer;
    void *arg;
    peers_result result; /* when doomed */
} ask;

struct peers_call {
    peers *p;
    peers_call *next, **at; /* in p->calls_served */
    node_id from;           /* the link it came by */
    bool routed;
    bool dead;      /* answered SERVER_TIMEOUT, or its node has gone */
    bool uncounted; /* the link that counted it has ended */
    int64_t deadline_ms;
    pb_bytes service, method, request_id; /* in text */
    pb_bytes source;                      /* routed: whom to answer */
    uint8_t text[];
};

typedef struct parcel parcel; /* route.c */

struct peers_timer {
    peers *p;
    peers_timer *next, **at;
    broker_timer *timer;
    void (*fn)(void *arg);
    void *arg;
};

struct peers {
    broker_ctx *ctx;
    const broker_net *net;
    const broker_bus *bus;
    const broker_work *work;
    links *links;
    node_id self;
    uuid_source ids;
    dedup *seen;
    calls *calls;
    ask *asks, *doomed;
    parcel *parcels;
    size_t n_asks;
    service *services[SERVICE_BUCKETS];
    service *routed; /* few */
    peers_call *served;
    unsigned n_served;
    peers_watch *watches;
    peers_timer *timers;
    broker_timer *soon;
    void (*failed)(void *arg, const node_id *id);
    void *failed_arg;
    broker_buf *buffer; /* of the frame being served */
    envelope_fan fan;
    sb frame, body; /* scratch: what is being sent */
    uint64_t counts[RPC_COUNTS];
};

static inline void peers_add(peers *p, rpc_count which, uint64_t n)
{
    p->counts[which] += n;
}

/* ---- ask.c ---- */
void ask_answered(peers *p, peer_link *l, const envelope *e);
void ask_lost(peers *p, const node_id *id); /* all that was asked of it */
void ask_tick(peers *p);
void ask_free_all(peers *p);

/* ---- serve.c ---- */
void serve_frame(peers *p, peer_link *l, const envelope *e);
void serve_lost(peers *p, const node_id *id);
void serve_tick(peers *p);
void serve_free_all(peers *p);
/* Fills e's ids and addresses, and puts the frame into p->frame. */
void put_frame(peers *p, envelope *e, pb_bytes target, char message_id[UUID_LEN]);

/* ---- route.c ---- */
bool route_summon(void *arg, peer_link *l);
void route_free_all(peers *p);

#endif
