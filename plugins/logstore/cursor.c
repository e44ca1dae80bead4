/* cursor -- reading a stream part in order, on one snapshot. See store.h.
 *
 * The portions of the part that may have something of the range are grouped into runs: those
 * whose times overlap are merged, runs follow each other. Nearly always a run is one slab. */
#include "store_inner.h"

typedef struct source {
    slab *slab;
    int64_t low_ms, high_ms;
    size_t run;             /* counted from the oldest */
    rocksdb_iterator_t *it; /* NULL: not of the run that is read now */
} source;

struct cursor {
    store *s;
    const rocksdb_snapshot_t *snapshot;
    rocksdb_readoptions_t *reads;
    source *sources; /* by low_ms, so by run too */
    size_t n;
    size_t from, to; /* sources[from..to) are the run that is read now */
    source *at;      /* where the current message is; NULL: nowhere yet, or a run is over */
    uint32_t part;
    range r;
    uint8_t *publisher; /* copies */
    char *chain;
    uint32_t publisher_id;
    bool any_publisher, over;
    bool broken;    /* it could not be read where to begin: nothing is told, not too little */
    sb first, last; /* keys: from the first, below the last */
};

static void keys_make(cursor *c)
{
    broker_str none = {NULL, 0};

    sb_clear(&c->first);
    sb_clear(&c->last);
    key_make(&c->first, c->part, c->r.from_ms, c->r.from_sequence, 0, none);
    if (c->r.to_sequence < INT32_MAX)
        key_make(&c->last, c->part, c->r.to_ms, c->r.to_sequence + 1, 0, none);
    else
        key_make(&c->last, c->part, c->r.to_ms + 1, 0, 0, none);
}

/* Messages past their age are gone even while their slab is still there. */
static void begin_in_time(cursor *c, const rule *r)
{
    int64_t oldest = r->max_age_ms != 0 ? clock_wall_ms() - r->max_age_ms : 0;

    if (oldest > c->r.from_ms) {
        c->r.from_ms = oldest;
        c->r.from_sequence = 0;
    }
}

static int by_low(const void *a, const void *b)
{
    const source *x = a, *y = b;

    return (x->low_ms > y->low_ms) - (x->low_ms < y->low_ms);
}

static void sources_make(cursor *c, const entry *part)
{
    int64_t high = INT64_MIN;
    size_t run = 0;

    c->sources = must_alloc((part->n_portions + 1) * sizeof *c->sources);
    for (size_t i = 0; i < part->n_portions; i++) {
        const portion *p = part->portions[i];

        if (p->low_ms > c->r.to_ms || p->high_ms < c->r.from_ms)
            continue;
        atomic_fetch_add(&p->slab->users, 1);
        c->sources[c->n++] = (source){.slab = p->slab, .low_ms = p->low_ms, .high_ms = p->high_ms};
    }
    if (c->n != 0)
        qsort(c->sources, c->n, sizeof *c->sources, by_low);
    for (size_t i = 0; i < c->n; i++) {
        if (i != 0 && c->sources[i].low_ms > high)
            run++;
        c->sources[i].run = run;
        high = c->sources[i].high_ms > high ? c->sources[i].high_ms : high;
    }
}

static cursor *cursor_new(store *s, broker_str stream, uint32_t partition, const range *r)
{
    cursor *c = must_alloc(sizeof *c);
    sb name = SB_INIT;
    const entry *part, *publisher;

    c->s = s;
    c->r = *r;
    c->publisher = (uint8_t *)must_strndup((const char *)r->publisher.ptr, r->publisher.len);
    c->chain = must_strndup(r->chain.ptr, r->chain.len);
    c->r.publisher.ptr = c->publisher;
    c->r.chain.ptr = c->chain;
    c->any_publisher = r->publisher.len == 0;
    c->over = true;
    atomic_fetch_add(&s->cursors, 1);
    part_key_make(&name, stream, partition);
    pthread_rwlock_rdlock(&s->lock);
    part = entry_find(s, name.data, name.len);
    sb_clear(&name);
    sb_putc(&name, 'u');
    sb_append(&name, r->publisher.ptr, r->publisher.len);
    publisher = c->any_publisher ? NULL : entry_find(s, name.data, name.len);
    c->broken = part != NULL && s->db == NULL; /* closed, and not yet opened again */
    if (part != NULL && s->db != NULL && (c->any_publisher || publisher != NULL)) {
        c->over = false;
        c->part = part->id;
        c->publisher_id = publisher != NULL ? publisher->id : 0;
        begin_in_time(c, part->rule);
        sources_make(c, part);
        c->snapshot = rocksdb_create_snapshot(s->db);
        c->reads = rocksdb_readoptions_create();
        rocksdb_readoptions_set_snapshot(c->reads, c->snapshot);
        /* RocksDB reads ahead where it is read on, up to 256 KiB a file; asked to, it would in each
         * file that a cursor touches. */
        rocksdb_readoptions_set_fill_cache(c->reads, 0);
        keys_make(c);
    }
    pthread_rwlock_unlock(&s->lock);
    sb_done(&name);
    if (c->r.from_ms > c->r.to_ms)
        c->over = true;
    return c;
}

cursor *store_range(store *s, broker_str stream, uint32_t partition, const range *r)
{
    return cursor_new(s, stream, partition, r);
}

cursor *store_range_rest(store *s, broker_str stream, uint32_t partition, const range *r,
                         broker_bytes place, bool inclusive)
{
    range rest = *r;
    cursor *c;

    if (place.len < KEY_FIXED)
        return cursor_new(s, stream, partition, r);
    rest.from_ms = key_timestamp(place.ptr);
    rest.from_sequence = 0;
    c = cursor_new(s, stream, partition, &rest);
    /* What its age has forgotten meanwhile is not told, wherever it stood. */
    if (!c->over && memcmp(c->first.data, place.ptr,
                           c->first.len < place.len ? c->first.len : place.len) <= 0) {
        sb_clear(&c->first);
        sb_append(&c->first, place.ptr, place.len);
        if (!inclusive)
            sb_putc(&c->first, '\0'); /* the least key behind it */
    }
    return c;
}

/* ---- runs ---- */

static void run_end(cursor *c)
{
    for (size_t i = c->from; i < c->to; i++) {
        if (c->sources[i].it != NULL)
            rocksdb_iter_destroy(c->sources[i].it);
        c->sources[i].it = NULL;
    }
    c->at = NULL;
}

static void run_begin(cursor *c, size_t from, size_t to)
{
    c->from = from;
    c->to = to;
    for (size_t i = from; i < to; i++)
        c->sources[i].it = rocksdb_create_iterator_cf(c->s->db, c->reads, c->sources[i].slab->cf);
}

static int key_order(const source *x, const source *y)
{
    size_t a, b;
    const char *p = rocksdb_iter_key(x->it, &a), *q = rocksdb_iter_key(y->it, &b);
    int order = memcmp(p, q, a < b ? a : b);

    return order != 0 ? order : (a > b) - (a < b);
}

/* The one whose key comes first (sign 1) or last (-1), or NULL: the run is over. False: one cannot
 * be read. */
static bool run_next(cursor *c, int sign)
{
    source *best = NULL;

    for (size_t i = c->from; i < c->to; i++) {
        source *x = &c->sources[i];
        char *err = NULL;

        if (!rocksdb_iter_valid(x->it)) {
            rocksdb_iter_get_error(x->it, &err);
            if (err != NULL) {
                free(err);
                return false;
            }
        } else if (best == NULL || sign * key_order(x, best) < 0) {
            best = x;
        }
    }
    c->at = best;
    return true;
}

/* Walk back from the end over n messages, and start there. */
static void start_at_last(cursor *c, uint64_t n)
{
    rocksdb_readoptions_set_iterate_lower_bound(c->reads, c->first.data, c->first.len);
    for (size_t to = c->n, from; to > 0 && n > 0 && !c->broken; to = from) {
        for (from = to - 1; from > 0 && c->sources[from - 1].run == c->sources[to - 1].run; from--)
            ;
        run_begin(c, from, to);
        for (size_t i = from; i < to; i++)
            rocksdb_iter_seek_for_prev(c->sources[i].it, c->last.data, c->last.len);
        for (;;) {
            size_t len;
            const char *key;

            c->broken = !run_next(c, -1);
            if (c->broken || c->at == NULL)
                break;
            if (--n == 0) {
                key = rocksdb_iter_key(c->at->it, &len);
                sb_clear(&c->first);
                sb_append(&c->first, key, len);
                break;
            }
            rocksdb_iter_prev(c->at->it);
        }
        run_end(c);
        c->to = n == 0 ? from : 0; /* reading begins with this run */
    }
}

cursor *store_last(store *s, broker_str stream, uint32_t partition, uint64_t n)
{
    range all = {.to_ms = INT64_MAX - 1, .to_sequence = INT32_MAX};
    cursor *c = cursor_new(s, stream, partition, &all);

    if (n == 0)
        c->over = true;
    if (!c->over) {
        start_at_last(c, n);
        rocksdb_readoptions_set_iterate_lower_bound(c->reads, NULL, 0);
    }
    return c;
}

static bool wanted(const cursor *c, const uint8_t *key, size_t len)
{
    if (!c->any_publisher && key_publisher(key) != c->publisher_id)
        return false;
    return c->r.chain.len == 0 || (len - KEY_FIXED == c->r.chain.len &&
                                   memcmp(key + KEY_FIXED, c->chain, c->r.chain.len) == 0);
}

/* On to the next run; false: there is none. */
static bool run_step(cursor *c)
{
    size_t from = c->to, to = from;

    run_end(c);
    if (from == c->n)
        return false;
    while (to < c->n && c->sources[to].run == c->sources[from].run)
        to++;
    rocksdb_readoptions_set_iterate_upper_bound(c->reads, c->last.data, c->last.len);
    run_begin(c, from, to);
    for (size_t i = from; i < to; i++)
        rocksdb_iter_seek(c->sources[i].it, c->first.data, c->first.len);
    return true;
}

int cursor_next(cursor *c, broker_bytes *raw, int64_t *timestamp_ms, int32_t *sequence)
{
    if (c->broken)
        return -1;
    if (c->over)
        return 0;
    for (;;) {
        size_t key_len, len;
        const uint8_t *key, *value;
        uint8_t flags;

        if (c->at != NULL)
            rocksdb_iter_next(c->at->it);
        else if (!run_step(c))
            break;
        if (!run_next(c, 1))
            return -1;
        if (c->at == NULL)
            continue; /* the run is over */
        key = (const uint8_t *)rocksdb_iter_key(c->at->it, &key_len);
        if (!wanted(c, key, key_len))
            continue;
        value = (const uint8_t *)rocksdb_iter_value(c->at->it, &len);
        *timestamp_ms = key_timestamp(key);
        *sequence = key_sequence(key);
        return value_open(value, len, raw, &flags) ? 1 : -1;
    }
    c->over = true;
    return 0;
}

broker_bytes cursor_place(const cursor *c)
{
    broker_bytes place = {NULL, 0};

    if (c->at != NULL)
        place.ptr = (const uint8_t *)rocksdb_iter_key(c->at->it, &place.len);
    return place;
}

void cursor_close(cursor *c)
{
    if (c == NULL)
        return;
    run_end(c);
    if (c->reads != NULL)
        rocksdb_readoptions_destroy(c->reads);
    if (c->snapshot != NULL)
        rocksdb_release_snapshot(c->s->db, c->snapshot);
    for (size_t i = 0; i < c->n; i++)
        atomic_fetch_sub(&c->sources[i].slab->users, 1);
    sb_done(&c->first);
    sb_done(&c->last);
    free(c->sources);
    free(c->publisher);
    free(c->chain);
    atomic_fetch_sub(&c->s->cursors, 1);
    free(c);
}
