/* parts -- what the files of the bus share. Not for others. */
#ifndef BUS_PARTS_H
#define BUS_PARTS_H

#include "bus/bus.h"
#include "bus/topic.h"
#include "run/metrics.h"

#define OUTCOMES (BROKER_FULL + 1)

/* Whom to tell what became of the messages of one admission or publication. */
struct ticket {
    ledger *owner;
    void (*done)(void *arg, const broker_outcome *outcomes, size_t n);
    void (*published)(void *arg, const broker_msg *msg, const broker_outcome *outcome);
    void *arg;
    char *only_stream; /* NULL: any */
    size_t only_stream_len;
    uint32_t only_partition;
    size_t n, left;
    char **owned; /* reasons that had to be copied */
    size_t n_owned;
    broker_outcome outcomes[];
};

struct broker_sub {
    topic_entry topic; /* first */
    bus *bus;
    struct broker_sub *next, **at;
    struct broker_sub *next_dirty; /* in the line of those that were given something */
    ledger *owner;
    uint32_t flags;
    broker_on_msgs on_msgs;
    void *self;
    const broker_msg **queue; /* queue[head..len): waiting to be taken */
    size_t head, len, cap;
    uint32_t interests; /* partitions that were asked for; the stream may have others by now */
    size_t unsettled;   /* taken and not settled */
    bool paused, dirty, busy, dead;
    bool parked; /* a swap is on: nobody is called */
    bool vacant; /* parked, and its build is gone; the next one takes it over */
    loop_call resume;
    atomic_bool resume_posted;
};

typedef struct carrier {
    struct carrier *next;
    ledger *owner;
    const broker_carrier *calls;
    uint64_t origin;
    bool parked, vacant;     /* as of a subscription */
    const broker_msg **kept; /* what a parked one shall carry, retained */
    size_t n_kept;
} carrier;

/* What a carrier keeps while it is parked; more is dropped, as on a network. */
#define CARRIER_KEPT_MAX 16384u

/* A stream part somebody here wants, for the transports. */
#define INTEREST_SLOTS 4096u
typedef struct interest {
    struct interest *next;
    char *stream;
    size_t stream_len;
    uint32_t partition;
    unsigned count;
} interest;

typedef struct room_call {
    struct room_call *next;
    ledger *owner;
    void (*room)(void *arg);
    void *arg;
} room_call;

typedef struct chain chain;
typedef struct checks checks;
typedef struct publication publication;

struct bus {
    loop *loop;
    pool *pool;
    bus_options options;
    uint8_t address[20]; /* of options.key */

    atomic_size_t bytes, messages; /* in flight */
    size_t unanswered;             /* messages without an outcome */
    room_call *rooms;
    loop_call room;
    atomic_bool room_wanted, room_posted;

    msg_batch *head, *tail; /* admitted and not dispatched, in order */
    msg **slots;            /* bytes in flight, by hash */
    topic *topic;
    broker_sub *subs;
    broker_sub *dirty, **last_dirty;

    carrier *carriers;
    interest **interests; /* by hash */
    uint64_t next_origin;
    checks *checks;

    uv_mutex_t publish_lock;
    publication *publish_head, **publish_tail; /* under publish_lock */
    loop_call publish_call;
    chain **chains, *oldest_chain, *newest_chain;
    size_t n_chains;

    metric *outcomes[OUTCOMES], *refusals[REFUSAL_KINDS];
    metric *verify_seconds, *in_flight_messages, *in_flight_bytes;
};

/* bus.c */
ticket *ticket_new(ledger *owner, size_t n);
void bus_append(bus *b, msg_batch *batch, void (*run)(job *j));
/* The message has its outcome. reason may be borrowed. Gives up the bus's reference. */
void msg_finish(bus *b, msg *m, int32_t outcome, const char *reason);
/* Count what a batch holds until it is freed. */
void bus_account(bus *b, msg_batch *batch, size_t bytes);
void rooms_forget(bus *b, const ledger *owner);
/* Call the ticket's owner and free it, when nothing is left. */
void ticket_end(ticket *t, const broker_msg *published);

/* deliver.c */
void deliver(bus *b, msg *m); /* to the queues; finishes it when nobody stores it */
void deliver_flush(bus *b);   /* call the subscribers */

/* carry.c */
/* To all transports but where each came from. */
void carry(bus *b, const broker_msg *const *msgs, size_t n);
void carry_interest(bus *b, broker_sub *s, bool on);
void carry_park(bus *b, const ledger *owner);
void carry_vacate(bus *b, const ledger *owner, ledger *keeper);
void carry_go_on(bus *b, const char *name);

/* check.c */
void checks_init(bus *b);
void checks_done(bus *b);
/* What others have to decide of it: its signature, if somebody offers to; its publisher's right,
 * if the policy asks for it. BROKER_CHECK_*. [any] */
uint32_t check_needs_signature(const bus *b, const broker_msg *m);
uint32_t check_needs_right(const bus *b, const broker_msg *m);
void check_add(bus *b, msg *m); /* m->needs is not 0 */
void check_flush(bus *b);       /* ask about those added */
void check_forget(bus *b, const ledger *owner);
void check_park(bus *b, const ledger *owner);
void check_vacate(bus *b, const ledger *owner, ledger *keeper);
void check_go_on(bus *b, const char *name);

/* publish.c */
void publish_init(bus *b);
void publish_done(bus *b);

#endif
