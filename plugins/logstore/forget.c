/* forget -- what retention no longer keeps goes: whole slabs, or portions of them.
 *
 * The counts go first, in one synced batch with the records of what they count, so a crash
 * in between leaves messages that nobody counts, finds or keeps: the slab has no record and is
 * dropped when the store is opened. [writer] */
#include "store_inner.h"

#include <inttypes.h>

#define SWEEP_NS 60000000000ull

static void batch_of_slab(store *s, const slab *sl, rocksdb_writebatch_t *wb)
{
    sb from = SB_INIT, to = SB_INIT;

    slab_key_make(&from, sl->id);
    rocksdb_writebatch_delete_cf(wb, s->meta, from.data, from.len);
    sb_clear(&from);
    counts_key_make(&from, sl->id, 0);
    counts_key_make(&to, sl->id, UINT32_MAX);
    sb_putc(&to, '\0'); /* the end is not included */
    rocksdb_writebatch_delete_range_cf(wb, s->meta, from.data, from.len, to.data, to.len);
    sb_done(&from);
    sb_done(&to);
}

static void batch_of_portion(store *s, const portion *p, rocksdb_writebatch_t *wb)
{
    const broker_str none = {NULL, 0};
    sb key = SB_INIT, end = SB_INIT;

    counts_key_make(&key, p->slab->id, p->part->id);
    rocksdb_writebatch_delete_cf(wb, s->meta, key.data, key.len);
    sb_clear(&key);
    key_make(&key, p->part->id, 0, 0, 0, none);
    key_make(&end, p->part->id + 1, 0, 0, 0, none);
    rocksdb_writebatch_delete_range_cf(wb, p->slab->cf, key.data, key.len, end.data, end.len);
    sb_done(&key);
    sb_done(&end);
}

/* The space of a deleted range comes back when it is compacted; RocksDB does that some day. */
static void compact(store *s, const portion *p)
{
    const broker_str none = {NULL, 0};
    sb key = SB_INIT, end = SB_INIT;
    char *err = NULL;

    key_make(&key, p->part->id, 0, 0, 0, none);
    key_make(&end, p->part->id + 1, 0, 0, 0, none);
    rocksdb_suggest_compact_range_cf(s->db, p->slab->cf, key.data, key.len, end.data, end.len,
                                     &err);
    free(err);
    sb_done(&key);
    sb_done(&end);
}

static void tell(store *s, const counts *gone, size_t n_parts, const rule *r, const char *why)
{
    say(s, BROKER_LOG_INFO,
        "forgot %" PRIu64 " messages (%" PRIu64 " KiB) of %zu stream parts, as retention of '%s' "
        "says (%s)",
        gone->messages, gone->bytes >> 10, n_parts, r->pattern, why);
}

/* Forget the portions of a slab that are marked. False: the database did not take it. */
static bool portions_forget(store *s, slab *sl, const char *why, uint64_t *forgotten)
{
    rocksdb_writebatch_t *wb = rocksdb_writebatch_create();
    counts gone = {0};
    size_t n = 0;
    const rule *r = NULL;
    bool all = true;
    char *err = NULL;

    for (const portion *p = sl->portions; p != NULL; p = p->in_slab) {
        if (!p->goes) {
            all = false;
            continue;
        }
        counts_add(&gone, &p->now);
        r = p->part->rule;
        n++;
    }
    if (all)
        batch_of_slab(s, sl, wb);
    else
        for (const portion *p = sl->portions; p != NULL; p = p->in_slab)
            if (p->goes)
                batch_of_portion(s, p, wb);
    rocksdb_write(s->db, s->sync, wb, &err);
    rocksdb_writebatch_destroy(wb);
    if (err != NULL) {
        say(s, BROKER_LOG_WARN, "cannot forget what retention no longer keeps (%s); trying again",
            err);
        free(err);
        s->stuck = true;
        return false;
    }
    pthread_rwlock_wrlock(&s->lock);
    for (portion *p = sl->portions, *next; p != NULL; p = next) {
        next = p->in_slab;
        if (!p->goes)
            continue;
        if (!all)
            compact(s, p);
        portion_free(p);
    }
    sl->dropped = all;
    pthread_rwlock_unlock(&s->lock);
    if (all) {
        rocksdb_drop_column_family(s->db, sl->cf, &err);
        free(err); /* it has no record: the next opening drops it */
    }
    *forgotten += gone.messages;
    if (r != NULL)
        tell(s, &gone, n, r, why);
    return true;
}

/* ---- age ---- */

static bool is_old(const portion *p, int64_t now)
{
    int64_t max_age = p->part->rule->max_age_ms,
            end = p->high_ms < p->slab->end_ms ? p->slab->end_ms - 1 : p->high_ms;

    return max_age != 0 && end < now - max_age;
}

void forget_old(store *s, bool at_once)
{
    int64_t now = clock_wall_ms();

    if (s->db == NULL || s->stuck || (!at_once && clock_mono_ns() < s->swept_ns + SWEEP_NS))
        return;
    s->swept_ns = clock_mono_ns();
    for (size_t i = 0; i < s->slabs.n; i++) {
        slab *sl = s->slabs.items[i];
        bool any = sl->portions == NULL; /* made for a batch that failed */

        for (portion *p = sl->portions; p != NULL; p = p->in_slab)
            any |= p->goes = is_old(p, now);
        if (any && !sl->dropped && !portions_forget(s, sl, "maxAgeMs", &s->forgotten_by_age))
            return;
    }
}

/* ---- size ---- */

/* The newest that a slab has under a rule; -1: nothing. */
static int64_t newest_under(const slab *sl, const rule *r)
{
    int64_t newest = -1;

    for (const portion *p = sl->portions; p != NULL; p = p->in_slab)
        if (p->part->rule == r && p->now.messages != 0 && p->now.last_ms > newest)
            newest = p->now.last_ms;
    return newest;
}

/* Mark what the oldest slab has under a rule; *is_last: no other has anything. */
static slab *oldest_mark(store *s, const rule *r, bool *is_last)
{
    slab *oldest = NULL;
    int64_t oldest_ms = INT64_MAX;
    size_t n = 0;

    for (size_t i = 0; i < s->slabs.n; i++) {
        int64_t newest_ms = newest_under(s->slabs.items[i], r);

        n += newest_ms >= 0;
        if (newest_ms >= 0 && newest_ms < oldest_ms) {
            oldest = s->slabs.items[i];
            oldest_ms = newest_ms;
        }
    }
    *is_last = n < 2;
    for (portion *p = oldest != NULL ? oldest->portions : NULL; p != NULL; p = p->in_slab)
        p->goes = p->part->rule == r;
    return oldest;
}

void forget_surplus(store *s)
{
    for (size_t i = 0; s->db != NULL && !s->stuck && i < s->n_rules; i++) {
        const rule *r = &s->rules[i];
        bool is_last = false;

        while (r->max_bytes != 0 && r->bytes > r->max_bytes && !is_last) {
            slab *sl = oldest_mark(s, r, &is_last);

            if (sl == NULL || !portions_forget(s, sl, "maxBytes", &s->forgotten_by_size))
                return;
        }
    }
}

void forget_dropped(store *s)
{
    for (;;) {
        slab *sl;

        pthread_rwlock_wrlock(&s->lock);
        sl = slab_take_unused(&s->slabs);
        pthread_rwlock_unlock(&s->lock);
        if (sl == NULL)
            return;
        slab_free(sl);
    }
}
