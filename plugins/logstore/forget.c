/* forget -- what retention no longer keeps goes: whole slabs, or portions of them, or the oldest of
 * portions that are large.
 *
 * The counts go first, in one synced batch with the records of what they count, so a crash
 * in between leaves messages that nobody counts, finds or keeps: the slab has no record and is
 * dropped when the store is opened. [writer] */
#include "store_inner.h"

#include <inttypes.h>

#define SWEEP_NS  60000000000ull
#define CUT_BYTES (16u << 20) /* are read and cut off in one step */

/* What a portion loses: its oldest messages. */
typedef struct cut {
    portion *p;
    counts gone;
    int64_t first_ms; /* of what stays */
    sb from, to;      /* keys: the first that goes, the first that stays; empty: none stays */
} cut;

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

/* ---- space ---- */

static int key_order(const sb *x, const sb *y)
{
    int order = memcmp(x->data, y->data, x->len < y->len ? x->len : y->len);

    return order != 0 ? order : (x->len > y->len) - (x->len < y->len);
}

/* A slab that stays has lost a range of keys. Under the lock. */
static void stale_add(slab *sl, const sb *from, const sb *to)
{
    bool first = sl->stale_to.len == 0;

    if (first || key_order(from, &sl->stale_from) < 0) {
        sb_clear(&sl->stale_from);
        sb_append(&sl->stale_from, from->data, from->len);
    }
    if (first || key_order(to, &sl->stale_to) > 0) {
        sb_clear(&sl->stale_to);
        sb_append(&sl->stale_to, to->data, to->len);
    }
}

static void stale_add_portion(const portion *p)
{
    const broker_str none = {NULL, 0};
    sb from = SB_INIT, to = SB_INIT;

    key_make(&from, p->part->id, 0, 0, 0, none);
    key_make(&to, p->part->id + 1, 0, 0, 0, none);
    stale_add(p->slab, &from, &to);
    sb_done(&from);
    sb_done(&to);
}

/* A slab to compact, held as a reader does, or NULL. */
static slab *stale_take(store *s, sb *from, sb *to)
{
    slab *found = NULL;

    pthread_rwlock_wrlock(&s->lock);
    for (size_t i = 0; s->db != NULL && found == NULL && i < s->slabs.n; i++) {
        slab *sl = s->slabs.items[i];

        if (sl->dropped || sl->stale_to.len == 0)
            continue;
        found = sl;
        atomic_fetch_add(&sl->users, 1);
        atomic_fetch_add(&s->cursors, 1);
        *from = sl->stale_from;
        *to = sl->stale_to;
        sl->stale_from = sl->stale_to = (sb)SB_INIT;
    }
    pthread_rwlock_unlock(&s->lock);
    return found;
}

void store_compact(store *s)
{
    sb from = SB_INIT, to = SB_INIT;
    slab *sl = stale_take(s, &from, &to);
    rocksdb_compactoptions_t *how;

    if (sl == NULL)
        return;
    how = rocksdb_compactoptions_create();
    rocksdb_compactoptions_set_exclusive_manual_compaction(how, 0);
    /* It writes out first what lies in memory of the range, the deletion too. */
    rocksdb_compact_range_cf_opt(s->db, sl->cf, how, from.data, from.len, to.data, to.len);
    rocksdb_compactoptions_destroy(how);
    atomic_fetch_sub(&sl->users, 1);
    atomic_fetch_sub(&s->cursors, 1);
    sb_done(&from);
    sb_done(&to);
}

/* ---- portions ---- */

/* r is of one of the parts. */
static void tell(store *s, const counts *gone, size_t n_parts, const rule *r, bool of_others,
                 const char *why)
{
    say(s, BROKER_LOG_INFO,
        "forgot %" PRIu64 " messages (%" PRIu64 " KiB) of %zu stream parts, as retention of '%s'%s "
        "says (%s)",
        gone->messages, gone->bytes >> 10, n_parts, r->pattern, of_others ? " and of others" : "",
        why);
}

/* False: the database did not take it. The batch is gone. */
static bool batch_write(store *s, rocksdb_writebatch_t *wb)
{
    char *err = NULL;

    rocksdb_write(s->db, s->sync, wb, &err);
    rocksdb_writebatch_destroy(wb);
    if (err == NULL)
        return true;
    say(s, BROKER_LOG_WARN, "cannot forget what retention no longer keeps (%s); trying again", err);
    free(err);
    s->stuck = true;
    return false;
}

/* Forget the portions of a slab that are marked. False: the database did not take it. */
static bool portions_forget(store *s, slab *sl, const char *why, uint64_t *forgotten)
{
    rocksdb_writebatch_t *wb = rocksdb_writebatch_create();
    counts gone = {0};
    size_t n = 0;
    const rule *r = NULL;
    bool all = true, of_others = false;
    char *err = NULL;

    for (const portion *p = sl->portions; p != NULL; p = p->in_slab) {
        if (!p->goes) {
            all = false;
            continue;
        }
        counts_add(&gone, &p->now);
        of_others |= r != NULL && r != p->part->rule;
        r = p->part->rule;
        n++;
    }
    if (all)
        batch_of_slab(s, sl, wb);
    else
        for (const portion *p = sl->portions; p != NULL; p = p->in_slab)
            if (p->goes)
                batch_of_portion(s, p, wb);
    if (!batch_write(s, wb))
        return false;
    pthread_rwlock_wrlock(&s->lock);
    for (const portion *p = sl->portions; !all && p != NULL; p = p->in_slab)
        if (p->goes)
            stale_add_portion(p);
    portions_free(sl);
    sl->dropped = all;
    pthread_rwlock_unlock(&s->lock);
    if (all) {
        rocksdb_drop_column_family(s->db, sl->cf, &err);
        if (err != NULL) /* it has no record */
            say(s, BROKER_LOG_WARN,
                "cannot give back the disk space of a slab that was forgotten (%s); the next start "
                "does",
                err);
        free(err);
    }
    *forgotten += gone.messages;
    if (r != NULL)
        tell(s, &gone, n, r, of_others, why);
    return true;
}

/* ---- age ---- */

/* By the slab's end, so that it goes at once; but where the part came under another rule, a slab
 * may be of a time that is much longer than its age. */
static bool is_old(const portion *p, int64_t now)
{
    const rule *r = p->part->rule;
    int64_t end_ms = p->slab->end_ms - 1;

    if (p->high_ms > end_ms || (p->high_ms >= 0 && strcmp(p->slab->group, r->group) != 0))
        end_ms = p->high_ms;
    return r->max_age_ms != 0 && end_ms < now - r->max_age_ms;
}

void forget_old(store *s, bool at_once)
{
    int64_t now = clock_wall_ms();

    if (s->db == NULL || s->stuck ||
        (!at_once && !s->fresh && clock_mono_ns() < s->swept_ns + SWEEP_NS))
        return;
    s->fresh = false;
    s->swept_ns = clock_mono_ns();
    for (size_t i = 0; i < s->slabs.n; i++) {
        slab *sl = s->slabs.items[i];
        bool any = sl->portions == NULL; /* made for a batch that failed */

        for (portion *p = sl->portions; p != NULL; p = p->in_slab)
            any |= p->goes = is_old(p, now);
        if (any && !sl->dropped && !portions_forget(s, sl, "maxAgeMs", &s->forgotten_by_age)) {
            s->fresh = true; /* again as soon as it can be written to */
            return;
        }
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

/* Mark what the slab has under a rule whose newest message is the oldest; *bytes is of it. */
static slab *oldest_mark(store *s, const rule *r, uint64_t *bytes)
{
    slab *oldest = NULL;
    int64_t oldest_ms = INT64_MAX;

    for (size_t i = 0; i < s->slabs.n; i++) {
        int64_t newest_ms = newest_under(s->slabs.items[i], r);

        if (newest_ms >= 0 && newest_ms < oldest_ms) {
            oldest = s->slabs.items[i];
            oldest_ms = newest_ms;
        }
    }
    *bytes = 0;
    for (portion *p = oldest != NULL ? oldest->portions : NULL; p != NULL; p = p->in_slab) {
        p->goes = p->part->rule == r;
        *bytes += p->goes ? p->now.bytes : 0;
    }
    return oldest;
}

static counts all_marked(const slab *sl)
{
    counts all = {0};

    for (const portion *p = sl->portions; p != NULL; p = p->in_slab)
        if (p->goes)
            counts_add(&all, &p->now);
    return all;
}

/* Count what a portion has before a time, but no more than enough of bytes. */
static void cut_count(cut *c, rocksdb_iterator_t *it, int64_t before_ms, uint64_t enough)
{
    const broker_str none = {NULL, 0};
    uint32_t part = c->p->part->id;

    key_make(&c->from, part, c->p->now.first_ms, 0, 0, none);
    for (rocksdb_iter_seek(it, c->from.data, c->from.len); rocksdb_iter_valid(it);
         rocksdb_iter_next(it)) {
        size_t key_len, len;
        const char *key = rocksdb_iter_key(it, &key_len);
        int64_t ms = key_timestamp((const uint8_t *)key);

        if (key_part((const uint8_t *)key) != part)
            break;
        if (ms >= before_ms || c->gone.bytes >= enough) {
            c->first_ms = ms;
            sb_append(&c->to, key, key_len);
            break;
        }
        rocksdb_iter_value(it, &len);
        counts_add(&c->gone, &(counts){1, len > VALUE_HEAD ? len - VALUE_HEAD : 0, ms, ms});
    }
}

static void cuts_clear(cut *cuts, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        sb_done(&cuts[i].from);
        sb_done(&cuts[i].to);
    }
}

/* Count what the marked portions have before a time, until there is enough of it. *seen_all: no
 * portion was left out. False: it cannot be read. */
static bool cuts_count(store *s, const slab *sl, int64_t before_ms, uint64_t enough, cut *cuts,
                       size_t *n, bool *seen_all)
{
    rocksdb_readoptions_t *reads = rocksdb_readoptions_create();
    rocksdb_iterator_t *it;
    uint64_t bytes = 0;
    char *err = NULL;

    rocksdb_readoptions_set_fill_cache(reads, 0);
    it = rocksdb_create_iterator_cf(s->db, reads, sl->cf);
    *n = 0;
    *seen_all = true;
    for (portion *p = sl->portions; p != NULL; p = p->in_slab) {
        if (!p->goes || p->now.messages == 0 || p->now.first_ms >= before_ms)
            continue;
        if (bytes >= enough) {
            *seen_all = false;
            break;
        }
        cuts[*n] = (cut){.p = p, .from = SB_INIT, .to = SB_INIT};
        cut_count(&cuts[*n], it, before_ms, enough - bytes);
        bytes += cuts[(*n)++].gone.bytes;
    }
    rocksdb_iter_get_error(it, &err);
    rocksdb_iter_destroy(it);
    rocksdb_readoptions_destroy(reads);
    if (err == NULL)
        return true;
    say(s, BROKER_LOG_WARN,
        "cannot read the oldest messages, which maxBytes no longer keeps (%s); they stay, trying "
        "again in a minute",
        err);
    free(err);
    s->unread_ns = clock_mono_ns();
    return false;
}

static counts left_by(const cut *c)
{
    const counts *now = &c->p->now, *gone = &c->gone;

    if (c->to.len == 0)
        return (counts){0};
    /* A damaged message may have another length than was counted. */
    return (counts){now->messages > gone->messages ? now->messages - gone->messages : 1,
                    now->bytes > gone->bytes ? now->bytes - gone->bytes : 0, c->first_ms,
                    now->last_ms};
}

static void batch_of_cut(store *s, const cut *c, rocksdb_writebatch_t *wb)
{
    counts left = left_by(c);
    sb key = SB_INIT, value = SB_INIT;

    if (left.messages == 0) {
        batch_of_portion(s, c->p, wb);
        return;
    }
    counts_key_make(&key, c->p->slab->id, c->p->part->id);
    counts_make(&value, &left);
    rocksdb_writebatch_put_cf(wb, s->meta, key.data, key.len, value.data, value.len);
    rocksdb_writebatch_delete_range_cf(wb, c->p->slab->cf, c->from.data, c->from.len, c->to.data,
                                       c->to.len);
    sb_done(&key);
    sb_done(&value);
}

/* A reader looks for less from now on; one that has begun has its snapshot. */
static void cut_apply(cut *c)
{
    counts left = left_by(c);

    c->p->goes = left.messages == 0;
    if (c->p->goes) {
        stale_add_portion(c->p);
        return;
    }
    portion_set(c->p, &left);
    c->p->low_ms = left.first_ms;
    stale_add(c->p->slab, &c->from, &c->to);
}

/* Cut off the oldest of the marked portions: so many bytes, or fewer. False: it cannot be done. */
static bool slab_cut(store *s, slab *sl, uint64_t bytes, counts *gone)
{
    counts all = all_marked(sl);
    uint64_t enough = bytes < CUT_BYTES ? bytes : CUT_BYTES;
    /* As if messages came evenly. Where they do not, a shorter time: else what one portion has of
     * it would go, and what another has would stay. */
    int64_t span_ms = (all.last_ms - all.first_ms) / (int64_t)(all.bytes / enough + 1) + 1;
    rocksdb_writebatch_t *wb;
    cut *cuts;
    size_t n = 0;
    bool seen_all, ok;

    for (const portion *p = sl->portions; p != NULL; p = p->in_slab)
        n += p->goes;
    cuts = must_alloc(n * sizeof *cuts);
    ok = cuts_count(s, sl, all.first_ms + span_ms, enough, cuts, &n, &seen_all);
    while (ok && !seen_all && span_ms > 1) {
        cuts_clear(cuts, n);
        span_ms /= 2;
        ok = cuts_count(s, sl, all.first_ms + span_ms, enough, cuts, &n, &seen_all);
    }
    if (ok) {
        wb = rocksdb_writebatch_create();
        for (size_t i = 0; i < n; i++)
            batch_of_cut(s, &cuts[i], wb);
        ok = batch_write(s, wb);
    }
    if (ok) {
        pthread_rwlock_wrlock(&s->lock);
        for (portion *p = sl->portions; p != NULL; p = p->in_slab)
            p->goes = false;
        for (size_t i = 0; i < n; i++) {
            counts_add(gone, &cuts[i].gone);
            cut_apply(&cuts[i]);
        }
        portions_free(sl);
        pthread_rwlock_unlock(&s->lock);
    }
    cuts_clear(cuts, n);
    free(cuts);
    return ok;
}

/* False: no more can be done now. */
static bool surplus_forget(store *s, const rule *r, uint64_t until_ns)
{
    counts cut_off = {0};
    bool ok = true;

    while (ok && r->bytes > r->max_bytes) {
        uint64_t bytes;
        slab *sl = oldest_mark(s, r, &bytes);

        /* A slab that is large may have nearly all there is: then the oldest of it only. */
        if (r->bytes - bytes >= r->max_bytes - r->max_bytes / 4)
            ok = portions_forget(s, sl, "maxBytes", &s->forgotten_by_size);
        else
            ok = slab_cut(s, sl, r->bytes - (r->max_bytes - r->max_bytes / SLAB_PARTS), &cut_off);
        if (clock_mono_ns() >= until_ns)
            break;
    }
    s->forgotten_by_size += cut_off.messages;
    if (cut_off.messages != 0)
        say(s, BROKER_LOG_INFO,
            "forgot %" PRIu64 " messages (%" PRIu64
            " KiB), the oldest of a slab, as retention of '%s' says (maxBytes)",
            cut_off.messages, cut_off.bytes >> 10, r->pattern);
    return ok;
}

void forget_surplus(store *s, uint32_t most_ms)
{
    uint64_t until_ns = clock_mono_ns() + most_ms * 1000000ull;

    if (s->db == NULL || s->stuck ||
        (s->unread_ns != 0 && clock_mono_ns() < s->unread_ns + SWEEP_NS))
        return;
    for (size_t i = 0; i < s->n_rules; i++)
        if (s->rules[i].max_bytes != 0 && !surplus_forget(s, &s->rules[i], until_ns))
            return;
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
