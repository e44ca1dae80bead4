/* store -- messages in RocksDB: written in durable batches, read in order.
 *
 * Opening and closing: one thread, nothing else running. store_write(): one thread at a
 * time (a lane). Everything else is [any]. The only user of RocksDB. */
#ifndef LOGSTORE_STORE_H
#define LOGSTORE_STORE_H

#include "base/base.h"
#include "keys.h"

#include <broker/plugin.h>

typedef struct store store;
typedef struct cursor cursor;

/* What is kept of the streams that match a pattern; for a stream the first that matches counts.
 * max_bytes is of all its stream parts together. */
typedef struct retention {
    char *pattern;      /* stream id, '*' is any text */
    int64_t max_age_ms; /* 0: any */
    uint64_t max_bytes; /* 0: any */
} retention;

typedef struct store_options {
    const char *path; /* made when it is not there */
    uint64_t cache_bytes, write_buffer_bytes, min_free_bytes;
    const retention *retention; /* stays valid as long as the store */
    size_t n_retention;
    /* One line for the operator, level BROKER_LOG_*; may be NULL. [thread of the call] */
    void (*say)(void *arg, uint32_t level, const char *line);
    void *say_arg;
} store_options;

/* NULL: a sentence in *why. It forgets nothing yet. */
store *store_open(const store_options *options, sb *why);
void store_close(store *s); /* no cursor may be open */
/* Write memtables out, so that closing and opening are quick. */
void store_flush(store *s);

/* Write what is new of n messages in one batch and sync it; outcomes[i] says what became of
 * msgs[i]. Reasons are constants or valid until the next call. */
void store_write(store *s, const broker_msg *const *msgs, broker_outcome *outcomes, size_t n);
/* What a store needs while nobody writes: old slabs dropped, and after a failed write another
 * try, so that a node that is shunned for being degraded gets well again. As store_write(). */
void store_tend(store *s);
/* Give back the disk space of what was forgotten in one of the slabs that stay. It takes long where
 * that is much; store_flush() ends it. One thread at a time, beside all others; counts as a cursor.
 */
void store_compact(store *s);
/* Bytes that the disk has free, or -1. */
int64_t store_disk_free(const store *s);
/* For metrics. As store_write(). */
typedef struct store_stats {
    size_t slabs;
    uint64_t forgotten_by_age, forgotten_by_size; /* messages, since it was opened */
} store_stats;
store_stats store_count(store *s);
/* Bytes kept under retention[i]. */
uint64_t store_retained(store *s, size_t i);
/* Whether the last write went well; else a sentence in *why (NULL: none wanted). */
bool store_is_well(store *s, sb *why);

/* What is stored of a stream part; false: nothing ever was. */
bool store_part(store *s, broker_str stream, uint32_t partition, counts *out);
/* Each part; stop by returning false. */
void store_parts(store *s,
                 bool (*each)(void *arg, broker_str stream, uint32_t partition, const counts *c),
                 void *arg);

/* ---- reading ---- */

typedef struct range {
    int64_t from_ms, to_ms; /* both included */
    int32_t from_sequence, to_sequence;
    broker_bytes publisher; /* empty: any; copied */
    broker_str chain;       /* empty: any; copied */
} range;

/* A cursor over a range, in order, on a snapshot of now. Never NULL; over nothing it ends at
 * once. The caller closes it. */
cursor *store_range(store *s, broker_str stream, uint32_t partition, const range *r);
/* The rest of a range, from where another cursor stood (cursor_place); the message there is
 * told again when inclusive. */
cursor *store_range_rest(store *s, broker_str stream, uint32_t partition, const range *r,
                         broker_bytes place, bool inclusive);
/* The newest n, in ascending order. */
cursor *store_last(store *s, broker_str stream, uint32_t partition, uint64_t n);
/* The next message: 1, and it is valid until the next call; 0: the end; -1: it is damaged or
 * cannot be read. */
int cursor_next(cursor *c, broker_bytes *raw, int64_t *timestamp_ms, int32_t *sequence);
/* Where the cursor stands, at the message that cursor_next() gave; valid until the next call.
 * Empty: nowhere. It outlives the store being closed and opened. */
broker_bytes cursor_place(const cursor *c);
void cursor_close(cursor *c);
unsigned store_cursors(const store *s);

#endif
