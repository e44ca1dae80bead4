/* slab -- column families by time: dropping one forgets a span of time at once.
 *
 * A slab belongs to a retention class (the maximum age, 0 for good) and covers one span.
 * What is older than the oldest dated slab of class 0 goes into its "ancient" slab, so
 * that odd old timestamps cannot make slabs without end. Used under the store's lock. */
#ifndef LOGSTORE_SLAB_H
#define LOGSTORE_SLAB_H

#include "base/base.h"

#include <rocksdb/c.h>
#include <stdatomic.h>

typedef struct slab {
    int64_t max_age_ms; /* class */
    int64_t start_ms;   /* INT64_MIN: ancient */
    int64_t end_ms;     /* first timestamp after it */
    rocksdb_column_family_handle_t *cf;
    bool dropped;      /* RocksDB keeps its files until the handle is destroyed */
    atomic_uint users; /* cursors over it; goes up under the store's lock */
} slab;

typedef struct slabs {
    slab **items; /* by class, then time */
    size_t n;
    int64_t ancient_ms; /* timestamps of class 0 below are ancient */
} slabs;

#define SLAB_SPAN_MS (int64_t)(30ll * 24 * 3600 * 1000)

int64_t slab_span(int64_t max_age_ms);
void slab_name(const slab *s, char name[64]);
/* Read a name; false: not a slab's. */
bool slab_of_name(const char *name, slab *out);
/* The slab a timestamp belongs to, filled in but not opened. */
slab slab_for(const slabs *all, int64_t max_age_ms, int64_t timestamp_ms);
/* An open one, or NULL. */
slab *slab_find(const slabs *all, int64_t max_age_ms, int64_t start_ms);
void slab_insert(slabs *all, slab *s);
/* Take out a dropped slab that no cursor uses, or NULL; the caller frees it. */
slab *slab_take_unused(slabs *all);

#endif
