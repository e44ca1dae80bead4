/* cursor -- reading a stream part in order, slab after slab, on one snapshot. See
 * store.h. */
#include "store_inner.h"

struct cursor {
    store *s;
    const rocksdb_snapshot_t *snapshot;
    rocksdb_readoptions_t *reads;
    rocksdb_iterator_t *it; /* NULL: between slabs */
    slab **slabs;           /* those in the range, in order */
    size_t n, at;
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
static void forget_old(cursor *c, const part_record *p)
{
    int64_t oldest = p->max_age_ms != 0 ? clock_wall_ms() - p->max_age_ms : 0;

    if (oldest > c->r.from_ms) {
        c->r.from_ms = oldest;
        c->r.from_sequence = 0;
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
        forget_old(c, &part->record);
        c->slabs = must_alloc((s->slabs.n + 1) * sizeof(slab *));
        for (size_t i = 0; i < s->slabs.n; i++) {
            slab *sl = s->slabs.items[i];

            if (!sl->dropped && sl->max_age_ms == part->record.max_age_ms &&
                sl->start_ms <= c->r.to_ms && sl->end_ms > c->r.from_ms) {
                atomic_fetch_add(&sl->users, 1);
                c->slabs[c->n++] = sl;
            }
        }
        c->snapshot = rocksdb_create_snapshot(s->db);
        c->reads = rocksdb_readoptions_create();
        rocksdb_readoptions_set_snapshot(c->reads, c->snapshot);
        rocksdb_readoptions_set_fill_cache(c->reads, 0);
        rocksdb_readoptions_set_readahead_size(c->reads, 1u << 20);
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

/* Walk back from the end over n messages, and start there. */
static void start_at_last(cursor *c, uint64_t n)
{
    bool found = false;

    rocksdb_readoptions_set_iterate_lower_bound(c->reads, c->first.data, c->first.len);
    for (size_t i = c->n; i-- > 0 && !found && !c->broken;) {
        char *err = NULL;
        rocksdb_iterator_t *it = rocksdb_create_iterator_cf(c->s->db, c->reads, c->slabs[i]->cf);

        for (rocksdb_iter_seek_for_prev(it, c->last.data, c->last.len);
             rocksdb_iter_valid(it) && n != 0; rocksdb_iter_prev(it)) {
            if (--n == 0) {
                size_t len;
                const char *key = rocksdb_iter_key(it, &len);

                sb_clear(&c->first);
                sb_append(&c->first, key, len);
                c->at = i;
                found = true;
                break;
            }
        }
        rocksdb_iter_get_error(it, &err);
        c->broken = err != NULL;
        free(err);
        rocksdb_iter_destroy(it);
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

/* The next slab that has something; false: there is none. */
static bool slab_step(cursor *c)
{
    if (c->at == c->n)
        return false;
    rocksdb_readoptions_set_iterate_upper_bound(c->reads, c->last.data, c->last.len);
    c->it = rocksdb_create_iterator_cf(c->s->db, c->reads, c->slabs[c->at++]->cf);
    rocksdb_iter_seek(c->it, c->first.data, c->first.len);
    return true;
}

int cursor_next(cursor *c, broker_bytes *raw, int64_t *timestamp_ms, int32_t *sequence)
{
    if (c->broken)
        return -1;
    if (c->over)
        return 0;
    if (c->it != NULL)
        rocksdb_iter_next(c->it);
    for (;;) {
        size_t key_len, len;
        const uint8_t *key, *value;
        char *err = NULL;
        uint8_t flags;

        if (c->it == NULL && !slab_step(c)) {
            c->over = true;
            return 0;
        }
        if (!rocksdb_iter_valid(c->it)) {
            rocksdb_iter_get_error(c->it, &err);
            rocksdb_iter_destroy(c->it);
            c->it = NULL;
            if (err == NULL)
                continue;
            free(err);
            return -1;
        }
        key = (const uint8_t *)rocksdb_iter_key(c->it, &key_len);
        if (!wanted(c, key, key_len)) {
            rocksdb_iter_next(c->it);
            continue;
        }
        value = (const uint8_t *)rocksdb_iter_value(c->it, &len);
        *timestamp_ms = key_timestamp(key);
        *sequence = key_sequence(key);
        return value_open(value, len, raw, &flags) ? 1 : -1;
    }
}

broker_bytes cursor_place(const cursor *c)
{
    broker_bytes place = {NULL, 0};

    if (c->it != NULL && rocksdb_iter_valid(c->it))
        place.ptr = (const uint8_t *)rocksdb_iter_key(c->it, &place.len);
    return place;
}

void cursor_close(cursor *c)
{
    if (c == NULL)
        return;
    if (c->it != NULL)
        rocksdb_iter_destroy(c->it);
    if (c->reads != NULL)
        rocksdb_readoptions_destroy(c->reads);
    if (c->snapshot != NULL)
        rocksdb_release_snapshot(c->s->db, c->snapshot);
    for (size_t i = 0; i < c->n; i++)
        atomic_fetch_sub(&c->slabs[i]->users, 1);
    sb_done(&c->first);
    sb_done(&c->last);
    free(c->slabs);
    free(c->publisher);
    free(c->chain);
    atomic_fetch_sub(&c->s->cursors, 1);
    free(c);
}
