/* slab -- column families by time: dropping one forgets all that is in it at once.
 *
 * Messages go into a slab by their group and time. A group is kept by one kind of rule, so that
 * what is in a slab mostly goes at the same time:
 *      ""        for good; 30 days a slab, one for all that is older than a year ("a" in keys.h)
 *      "a" n     maxAgeMs of 8 to 16 times n hours; n hours a slab, n a power of two
 *      "b" text  maxBytes, of the entry with that pattern; as the two above, and a slab that has
 *                an eighth of the bytes ends: what is newer than all in it begins another
 * It only mostly does: rules change, and stream parts change over to others. So what counts for
 * retention is a portion, the messages of one stream part in one slab, under the rule its part
 * has today. A slab is dropped when all its portions go; before, a portion goes by a range
 * deletion. Messages may lie in any slab: reading merges, and goes by the portions.
 *
 * There are at most SLABS_MAX slabs. Beyond, messages go into the nearest, where they are kept
 * and found as well; what is coarser is only how much is forgotten at a time.
 *
 * Used under the store's lock. */
#ifndef LOGSTORE_SLAB_H
#define LOGSTORE_SLAB_H

#include "keys.h"

#include <rocksdb/c.h>
#include <stdatomic.h>

#define SLABS_MAX    256u /* some 70 KiB of memory each */
#define SLAB_PARTS   8    /* of maxAgeMs and maxBytes, at least */
#define SLAB_SPAN_MS (int64_t)(30ll * 24 * 3600 * 1000)

struct portion;

typedef struct slab {
    uint32_t id;
    char *group;
    int64_t start_ms, end_ms; /* end_ms is the first timestamp after it */
    rocksdb_column_family_handle_t *cf;
    struct portion *portions; /* by in_slab */
    bool dropped;             /* RocksDB keeps its files until the handle is destroyed */
    atomic_uint users;        /* cursors over it; goes up under the store's lock */
    sb stale_from, stale_to;  /* keys forgotten in it since it was compacted; empty: none */

    /* the writer's own */
    bool written;                  /* its record is on disk as it is here */
    uint64_t bytes, pending_bytes; /* pending: with what the batch adds */
    int64_t newest_ms;             /* nothing in it is newer; -1: nothing is in it */
    uint64_t batch;
} slab;

typedef struct slabs {
    slab **items; /* by start */
    size_t n;
    uint32_t next_id;
    int64_t ancient_ms;
} slabs;

/* What is kept of the stream parts that match a pattern. */
typedef struct rule {
    const char *pattern; /* stream id, '*' is any text */
    int64_t max_age_ms;  /* 0: any */
    uint64_t max_bytes;  /* 0: any */
    char *group;
    int64_t span_ms;
    uint64_t bytes; /* what there is; under the store's lock */

    /* the writer's own */
    uint64_t batch;    /* that oldest_ms was found in */
    int64_t oldest_ms; /* message */
} rule;

/* Fill in group and span from the rest. */
void rule_init(rule *r);
/* The one a message belongs to, or NULL. */
slab *slab_find(const slabs *all, const char *group, int64_t ms);
slab *slab_of_id(const slabs *all, uint32_t id);
/* The times of a new one for a message that has none. */
void slab_place(const slabs *all, const rule *r, int64_t ms, int64_t *start_ms, int64_t *end_ms);
/* The one next to a time, of the group if it has any; NULL: there is none at all. */
slab *slab_nearest(const slabs *all, const char *group, int64_t ms);
void slab_insert(slabs *all, slab *s);
/* Take out a dropped slab that no cursor uses, or NULL; the caller frees it. */
slab *slab_take_unused(slabs *all);
void slab_free(slab *s);

#endif
