/* chain_streams -- what the plugin `chain` offers other plugins, by "broker.registry/1".
 *
 *      broker_peer *peer;
 *      registry->follow(ctx, CHAIN_STREAMS_ID, &peer);            in start()
 *      ...
 *      const chain_streams *chain = registry->enter(peer, &self);  NULL: nobody asks the chain now
 *      rc = chain->ask(self, &question, &value, on_answer, me);
 *      registry->leave(peer);
 *
 * [loop] throughout. Do not stay entered until the answer comes: leave() at once. Whoever asked
 * gets its answer, BROKER_EGONE when the build that was asked leaves first, and takes back what it
 * has asked (cancel) before it leaves itself. The table grows at the end only; see its size. */
#ifndef CHAIN_STREAMS_H
#define CHAIN_STREAMS_H

#include <broker/plugin.h>

#define CHAIN_STREAMS_ID "chain.streams/1"

#define CHAIN_PARTITIONS    1u /* stream: how many; 0: there is no such stream      */
#define CHAIN_MAY_PUBLISH   2u /* stream, user: 0 or 1                              */
#define CHAIN_MAY_SUBSCRIBE 3u /* stream, user: 0 or 1                              */
#define CHAIN_STORED_BY     4u /* stream, user (20 bytes): a storage node; 0 or 1   */

typedef struct chain_question {
    uint32_t size;
    uint32_t what;     /* CHAIN_*                                         */
    broker_str stream; /* domain in lower case                           */
    broker_bytes user; /* 20 bytes EVM, 33 P-256, 2592 ML-DSA-87         */
    uint32_t flags;    /* CHAIN_ANEW; a question may end before it       */
    uint32_t reserved;
} chain_question;

#define CHAIN_ANEW (1u << 0) /* the chain is asked, whatever is remembered */

/* Once, never from inside ask(). BROKER_OK: value. BROKER_EIO: it could not be found out; why is a
 * sentence. BROKER_EGONE: ask the next build. May ask again. */
typedef void (*chain_answer)(void *arg, broker_rc rc, int64_t value, const char *why);

/* A storage node was put to a stream, or taken from it. A reorganisation of the chain takes back
 * what was said: then it is said the other way round, with CHAIN_TAKEN_BACK. */
#define CHAIN_ADDED      (1u << 0)
#define CHAIN_TAKEN_BACK (1u << 1)
typedef void (*chain_on_storage)(void *arg, broker_str stream, const uint8_t node[20],
                                 uint32_t flags, uint64_t block);
typedef struct chain_follower chain_follower;

typedef struct chain_streams {
    uint32_t size;
    uint32_t reserved;
    /* BROKER_OK: *value, answer() does not come. BROKER_AGAIN: answer() comes. BROKER_EBUSY: too
     * much is asked already. BROKER_EINVAL: not a question. */
    broker_rc (*ask)(void *self, const chain_question *q, int64_t *value, chain_answer answer,
                     void *arg);
    /* answer() does not come for anything asked with arg. */
    void (*cancel)(void *self, void *arg);
    /* Events of one node (NULL: of all) in blocks that are confirmed, later than this call. With
     * `events.fromBlock` in the settings reading begins there when the first follows; else with the
     * block the chain is at when the node starts. Not across builds of `chain`: when enter() gives
     * another self, follow again; until somebody does, nothing is read that was followed before.
     * BROKER_ENOSYS: the settings say no. */
    broker_rc (*follow)(void *self, const uint8_t node[20], chain_on_storage on_storage, void *arg,
                        chain_follower **out);
    void (*unfollow)(void *self, chain_follower *f);
    /* A number no other build has: what self was may be the address of another later. */
    uint64_t (*build)(void *self);
    /* The block whose events are told next: those of all before it have been told. 0: not known. */
    uint64_t (*position)(void *self);
    /* Go on from a position of an earlier life: events from that block on are told (again, and to
     * all that follow); `events.fromBlock` does not count then. To be called before follow(). */
    void (*go_back)(void *self, uint64_t block);
} chain_streams;

#endif
