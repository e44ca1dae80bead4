/* store_inner -- what the files of the store share. Not for others. */
#ifndef LOGSTORE_STORE_INNER_H
#define LOGSTORE_STORE_INNER_H

#include "slab.h"
#include "store.h"

#include <pthread.h>
#include <stdatomic.h>

#define MAP_SLOTS 4096u

struct entry;

/* What one slab has of one stream part. */
typedef struct portion {
    slab *slab;
    struct entry *part;
    struct portion *in_slab; /* the next */
    counts now;              /* as on disk */
    /* Where its messages may be: set before they are written, so that a reader whose snapshot
     * has a message looks for it here. low_ms > high_ms: nowhere yet. */
    int64_t low_ms, high_ms;

    /* the writer's own */
    counts pending; /* with what the batch adds */
    uint64_t batch; /* the last it was touched in */
    bool goes;      /* marked to be forgotten, or to lose its oldest */
} portion;

/* An interned stream part or publisher. */
typedef struct entry {
    struct entry *next;
    uint8_t *name; /* as in the database key */
    size_t name_len;
    uint32_t id;
    bool written;   /* its id is in the database; the writer's */
    uint64_t batch; /* the last batch it was put into; the writer's */

    /* of parts */
    bool is_part;
    rule *rule; /* that keeps it, today */
    portion **portions;
    size_t n_portions;
    counts all; /* of the portions together */
} entry;

struct store {
    store_options options; /* path is a copy */
    rule *rules;           /* as configured, and one more for what none of them matches */
    size_t n_rules;
    rocksdb_options_t *rocks;
    rocksdb_cache_t *cache;
    rocksdb_t *db;
    rocksdb_column_family_handle_t *meta;
    rocksdb_writeoptions_t *sync;
    rocksdb_readoptions_t *reads;
    atomic_uint cursors;

    pthread_rwlock_t lock; /* over what follows, where nothing else is said */
    slabs slabs;
    entry *entries[MAP_SLOTS];
    uint32_t next_part, next_publisher;
    sb sick; /* why the last write failed; empty: it did not */

    /* the writer's own */
    uint64_t batch;
    sb reason;
    bool stuck;   /* RocksDB refuses writes until it is opened again */
    bool crowded; /* SLABS_MAX was reached, and that was said */
    bool fresh;   /* opened, maybe under new rules, and nothing forgotten since */
    uint64_t swept_ns;
    uint64_t unread_ns; /* when what maxBytes does not keep could not be read; 0: never */
    uint64_t forgotten_by_age, forgotten_by_size;
};

/* store.c */
bool db_open(store *s, sb *why);
void db_close(store *s);
void say(store *s, uint32_t level, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* catalog.c -- what there is; under the lock */
entry *entry_find(const store *s, const void *name, size_t len);
entry *entry_add(store *s, const void *name, size_t len, bool is_part, uint32_t id);
rule *rule_of(const store *s, broker_str stream);
/* The portion of a part in a slab, or NULL. */
portion *portion_find(const entry *part, const slab *in);
portion *portion_add(entry *part, slab *in);
/* Sets what it has, and all sums of it. */
void portion_set(portion *p, const counts *now);
/* Those of a slab that are marked. */
void portions_free(slab *sl);
void counts_add(counts *to, const counts *c);
void catalog_done(store *s);
/* All portions and slabs are gone, their handles too; the names stay. */
void catalog_close(store *s);
/* Names, slabs and portions from an open database. Slabs come with an id and a handle only, and
 * those that have no record are dropped. False: *why. */
bool catalog_read(store *s, sb *why);

/* forget.c -- writer */
/* What is past its age, at most once a minute unless at_once. Not while opening: that may be a
 * build that does not come up, and the one before has other rules. */
void forget_old(store *s, bool at_once);
/* What is over maxBytes; when it takes longer than most_ms, the rest of it another time. */
void forget_surplus(store *s, uint32_t most_ms);
/* Close what was dropped and is not read any more. */
void forget_dropped(store *s);

#endif
