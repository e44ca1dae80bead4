/* views -- what the registries say, from what is known or by asking; many who ask the same wait for
 * one answer.
 *
 * How long something may be believed depends on what it says: a right for as long as the Streamr
 * SDK does, its absence for a minute. What could not be found out is not remembered. [loop] */
#ifndef CHAIN_VIEWS_H
#define CHAIN_VIEWS_H

#include "facts.h"
#include "rpc.h"

typedef struct views views;

typedef struct views_options {
    uint8_t stream_registry[20], storage_registry[20];
    size_t max_facts;
    uint64_t max_age_ms;    /* of what is granted       */
    uint64_t denied_ms;     /* of what is not           */
    uint64_t signer_age_ms; /* of a contract's signer   */
} views_options;

typedef enum view_kind {
    VIEW_MAY_PUBLISH,   /* stream, user                           */
    VIEW_MAY_SUBSCRIBE, /* stream, user                           */
    VIEW_PARTITIONS,    /* stream; 0: there is no such stream     */
    VIEW_STORED_BY,     /* stream, user: the storage node         */
    VIEW_SIGNER,        /* user: the contract; signer, digest, signature */
    VIEW_KINDS,
} view_kind;

typedef struct view_question {
    view_kind kind;
    broker_str stream;
    broker_bytes user;
    uint32_t partition;    /* PARTITIONS: a stream without it is asked about sooner again */
    const uint8_t *signer; /* 20 bytes */
    const uint8_t *digest; /* 32 bytes */
    broker_bytes signature;
    bool anew; /* whatever is known */
} view_question;

/* Who waits for an answer; lies in the asker's memory. */
typedef struct view_wait view_wait;
struct view_wait {
    view_wait *next, **at, ***last; /* of views, as is kind */
    view_kind kind;
    /* Once. found: value is the answer; otherwise why says what kept it from being found. In the
     * order in which they asked, those who asked the same. May ask again. */
    void (*done)(view_wait *w, bool found, int64_t value, const char *why);
};

views *views_new(const views_options *o, const rpc_services *s, rpc *r);
broker_rc views_open(views *v); /* the metrics */
void views_free(views *v);      /* accepts NULL; nobody waits any more */

/* BROKER_OK: *value. BROKER_AGAIN: w->done() comes, after rpc_flush() of the caller. BROKER_EBUSY:
 * too much is being asked. */
broker_rc views_ask(views *v, const view_question *q, view_wait *w, int64_t *value);
/* done() does not come. */
void views_forget(view_wait *w);
/* Something is known to have changed on the chain about a stream; without one, about any. */
void views_changed(views *v, broker_str stream);
/* How many distinct questions are being asked. */
size_t views_asking(const views *v);

/* For the next build. */
void views_save(const views *v, sb *out);
bool views_load(views *v, const void *bytes, size_t len);

#endif
