/* store_inner -- what the files of the store share. Not for others. */
#ifndef LOGSTORE_STORE_INNER_H
#define LOGSTORE_STORE_INNER_H

#include "slab.h"
#include "store.h"

#include <pthread.h>
#include <stdatomic.h>

#define MAP_SLOTS 4096u

/* An interned stream part or publisher. */
typedef struct entry {
    struct entry *next;
    uint8_t *name; /* as in the database key */
    size_t name_len;
    uint32_t id;
    bool written;                /* its id is in the database */
    uint64_t batch;              /* the last batch it was touched in; writer only */
    part_record record, pending; /* of parts; pending is the writer's */
    bool is_part;
} entry;

struct store {
    char *path;
    uint64_t min_free_bytes;
    const retention *retention;
    size_t n_retention;
    rocksdb_options_t *options;
    rocksdb_cache_t *cache;
    rocksdb_t *db;
    rocksdb_column_family_handle_t *meta;
    rocksdb_writeoptions_t *sync;
    rocksdb_readoptions_t *reads;
    atomic_uint cursors;

    pthread_rwlock_t lock; /* over what follows */
    slabs slabs;
    entry *entries[MAP_SLOTS];
    uint32_t next_part, next_publisher;
    sb sick; /* why the last write failed; empty: it did not */

    /* the writer's own */
    uint64_t batch;
    sb reason;
    bool stuck; /* RocksDB refuses writes until it is opened again */
    uint64_t swept_ns;
};

/* The entry of a name, or NULL; under the lock. */
entry *entry_find(const store *s, const void *name, size_t len);
entry *entry_add(store *s, const void *name, size_t len, bool is_part, uint32_t id);
int64_t retention_of(const store *s, broker_str stream);

bool db_open(store *s, sb *why);
void db_close(store *s);
/* An open slab for the timestamp, made when it is not there. NULL: RocksDB failed, *why. */
slab *slab_get(store *s, int64_t max_age_ms, int64_t timestamp_ms, sb *why);

#endif
