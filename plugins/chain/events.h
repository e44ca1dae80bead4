/* events -- storage nodes put to streams and taken from them, as the chain's logs say, in order;
 * and which streams changed otherwise, so that what is known of them can be forgotten.
 *
 * Blocks are read in ranges up to where they are confirmed; of the last ranges the hash of the last
 * block is remembered. When one is another later, the chain was reorganised: what was said of those
 * ranges is taken back and they are read again. [loop] */
#ifndef CHAIN_EVENTS_H
#define CHAIN_EVENTS_H

#include "chain_streams.h"
#include "rpc.h"

typedef struct events events;

typedef struct events_options {
    uint8_t stream_registry[20], storage_registry[20];
    bool has_from_block;
    /* From there on, for the first who follows; otherwise from where the chain is when it is first
     * asked. */
    uint64_t from_block;
    uint64_t confirmations, poll_ms, max_blocks;
    /* [loop] Each event, before the followers hear of it. An empty stream: anything may have. */
    void (*changed)(void *arg, broker_str stream);
    void *arg;
} events_options;

events *events_new(const events_options *o, const rpc_services *s, rpc *r);
broker_rc events_open(events *e);
/* rpc_give_up() first. */
void events_close(events *e);
void events_free(events *e); /* accepts NULL */

/* node NULL: all. */
chain_follower *events_follow(events *e, const uint8_t node[20], chain_on_storage on_storage,
                              void *arg);
void events_unfollow(events *e, chain_follower *f);

/* The block to be read next, 0: not known yet. */
uint64_t events_position(const events *e);
/* As chain_streams.go_back(). */
void events_go_back(events *e, uint64_t block);

/* Where it stands, for the next build. */
void events_save(const events *e, sb *out);
bool events_load(events *e, const void *bytes, size_t len);

#endif
