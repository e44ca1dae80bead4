/* msg -- messages in flight: allocated a batch at a time, counted, immutable
 * once verified.
 *
 * A batch is one allocation for up to BATCH_MAX messages and keeps the buffers
 * they were cut from. It lives until its last message is released. */
#ifndef BUS_MSG_H
#define BUS_MSG_H

#include "base/base.h"
#include "run/buf.h"
#include "run/pool.h"

#include <broker/plugin.h>

#include <stdatomic.h>

#define BATCH_MAX 64 /* small enough to keep all workers busy with one upload */

typedef struct msg_batch msg_batch;
typedef struct ticket ticket;

/* What the host knows of one message beside the message. All [loop] but where said. */
typedef struct msg {
    broker_msg m; /* first; what plugins see */
    msg_batch *batch;
    ticket *ticket;         /* whom to tell, or NULL                              */
    uint32_t index;         /* in the ticket                                      */
    uint32_t waiting_for;   /* durable subscriptions that have not settled        */
    uint32_t needs;         /* BROKER_CHECK_* that have to be answered first      */
    int32_t outcome;        /* 0 until known; BROKER_*                            */
    bool in_flight;         /* in the table of bytes in flight                    */
    bool joined;            /* waits for an identical message                     */
    bool carry;             /* goes to the transports                             */
    broker_bytes raw;       /* m.raw, which the worker that decodes writes too    */
    uint64_t hash;          /* of the raw bytes                                   */
    struct msg *same_slot;  /* next in the table                                 */
    struct msg *next_check; /* that waits to be asked about */
    struct msg *follower;   /* identical ones that joined this one               */
    const char *reason;     /* constant, or owned by the ticket                  */
} msg;

struct msg_batch {
    atomic_uint refs;
    uint32_t n;
    size_t bytes;                  /* counted against the bus's bound */
    void (*on_free)(msg_batch *b); /* [any] */
    void *owner;                   /* the bus */
    job job;                       /* verification or signing */
    bool ready;                    /* the job has run */
    struct msg_batch *next;        /* in order of admission */
    broker_buf *bufs[BATCH_MAX];
    uint32_t n_bufs;
    uint8_t *arena; /* bytes that were not in a buffer */
    msg msgs[];
};

static inline msg *msg_of(const broker_msg *m)
{
    return (msg *)(void *)(uintptr_t)m;
}

/* One reference for each message, and one for the batch itself. NULL: no memory. */
msg_batch *batch_new(uint32_t n);
void batch_release(msg_batch *b); /* [any] */
/* Keep buf alive as long as the batch. */
void batch_hold(msg_batch *b, broker_buf *buf);
void msg_retain(const broker_msg *m);  /* [any] */
void msg_release(const broker_msg *m); /* [any] */

#endif
