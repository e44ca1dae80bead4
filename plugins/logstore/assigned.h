/* assigned -- the streams that the chain has assigned to this node's cluster, or may have.
 *
 * A table by stream id, saved to disk and from build to build. It knows nothing of the chain or the
 * bus; assignments.c and announce.c keep in an entry what they need. [loop] */
#ifndef LOGSTORE_ASSIGNED_H
#define LOGSTORE_ASSIGNED_H

#include "base/base.h"

#include <broker/plugin.h>

#define ASSIGNED_STREAMS_MAX 20000u

typedef struct subscription subscription;
typedef struct assigned assigned;
typedef struct assigned_set assigned_set;

/* What the last event said. */
typedef enum assigned_said { SAID_NOTHING, SAID_REMOVED, SAID_ADDED } assigned_said;

typedef enum assigned_step {
    STEP_RESTS,  /* asked again at due_ms                        */
    STEP_DUE,    /* in the line of those to be asked about       */
    STEP_STORED, /* whether it is assigned is being asked        */
    STEP_COUNT,  /* how many partitions it has is being asked    */
} assigned_step;

typedef struct assigned_part {
    bool taken; /* it is this node's */
    bool told, telling;
    uint64_t since_ms; /* taken */
    subscription *sub; /* NULL: not taken, or subscribed to by mode.trackedStreams */
} assigned_part;

struct assigned {
    assigned *next, **at; /* in the table */
    char *stream;
    size_t len;
    bool stored; /* what the chain last answered, and then: */
    uint32_t partitions;
    assigned_said said;
    bool told;            /* of all parts; by an earlier build: nobody is told again */
    assigned_part *parts; /* partitions of them, when they are taken */
    uint32_t n_parts;

    /* assignments.c */
    void *owner;
    assigned *next_due;
    assigned_step step;
    bool again;    /* something was said while it was asked about */
    bool answered; /* by the chain, in this build's life          */
    uint64_t due_ms, delay_ms, version;

    /* announce.c */
    assigned *next_untold;
    bool in_line;
};

static inline broker_str assigned_id(const assigned *a)
{
    return (broker_str){a->stream, a->len};
}

assigned_set *assigned_set_new(void);
void assigned_set_free(assigned_set *s); /* accepts NULL; parts must be gone */
size_t assigned_count(const assigned_set *s);

assigned *assigned_find(const assigned_set *s, broker_str stream);
/* As found, or new; NULL: the table is full. The id is normalised. */
assigned *assigned_add(assigned_set *s, broker_str stream);
void assigned_drop(assigned_set *s, assigned *a);
/* Whether an id can be a stream's that is assigned: normalised, and no pattern. */
bool assigned_is_stream(broker_str stream);
/* All of them; drop may be called for the one that each() is given. */
void assigned_each(assigned_set *s, void (*each)(void *arg, assigned *a), void *arg);

/* Big-endian, after a version: the cluster, the position in the chain's events, the streams. */
void assigned_save(const assigned_set *s, const uint8_t cluster[20], uint64_t position, sb *out);
/* Into an empty set. False: damaged, of another version or another cluster; it may have something
 * in it then. */
bool assigned_load(assigned_set *s, const void *bytes, size_t len, const uint8_t cluster[20],
                   uint64_t *position);

#endif
