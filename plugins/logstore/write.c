/* write -- one durable batch: what is new goes into one WriteBatch and one fsync, with the
 * counts of its portions. See store.h. */
#include "store_inner.h"

#include "streamr/streamr.h"

#include <errno.h>
#include <sys/statvfs.h>

#define BUSY_MS 100  /* for what is over maxBytes, before a batch is acknowledged */
#define TEND_MS 1000 /* and while nobody writes */

/* A message of this batch that will be written, to find another with its key. */
typedef struct fresh {
    size_t key, key_len; /* in the batch's keys */
    const broker_msg *msg;
    struct fresh *next;
} fresh;

typedef struct write_run {
    store *s;
    rocksdb_writebatch_t *wb;
    sb keys;
    sb part_name, publisher_name; /* of the message that is added */
    fresh *fresh, **slots;
    size_t n_fresh, n_slots;
    entry **names; /* new ones */
    size_t n_names;
    portion **touched;
    size_t n_touched;
    sb why;
} write_run;

/* ---- names ---- */

/* NULL: nothing of it was ever taken; its name is in w->part_name then. */
static entry *part_find(write_run *w, const broker_msg *m)
{
    sb_clear(&w->part_name);
    part_key_make(&w->part_name, m->stream, m->partition);
    return entry_find(w->s, w->part_name.data, w->part_name.len); /* only this thread adds */
}

/* As part_find(). */
static entry *publisher_find(write_run *w, const broker_msg *m)
{
    sb_clear(&w->publisher_name);
    sb_putc(&w->publisher_name, 'u');
    sb_append(&w->publisher_name, m->publisher.ptr, m->publisher.len);
    return entry_find(w->s, w->publisher_name.data, w->publisher_name.len);
}

static entry *entry_new(store *s, const sb *name, bool is_part)
{
    entry *e;

    pthread_rwlock_wrlock(&s->lock);
    e = entry_add(s, name->data, name->len, is_part, is_part ? s->next_part : s->next_publisher);
    pthread_rwlock_unlock(&s->lock);
    return e;
}

/* It counts as known only once its id is written. */
static void name_put(write_run *w, entry *e)
{
    uint8_t id[4];

    if (e->written || e->batch == w->s->batch)
        return;
    e->batch = w->s->batch;
    w->names[w->n_names++] = e;
    put_u32be(id, e->id);
    rocksdb_writebatch_put_cf(w->wb, w->s->meta, (const char *)e->name, e->name_len,
                              (const char *)id, sizeof id);
}

/* ---- slabs ---- */

static void slab_touch(store *s, slab *sl)
{
    if (sl->batch == s->batch)
        return;
    sl->batch = s->batch;
    sl->pending_bytes = sl->bytes;
}

static void slab_put(write_run *w, slab *sl)
{
    slab_record record = {sl->start_ms, sl->end_ms, {sl->group, strlen(sl->group)}};
    sb key = SB_INIT, value = SB_INIT;

    slab_key_make(&key, sl->id);
    slab_record_make(&value, &record);
    rocksdb_writebatch_put_cf(w->wb, w->s->meta, key.data, key.len, value.data, value.len);
    sb_done(&key);
    sb_done(&value);
}

static slab *slab_new(write_run *w, const char *group, int64_t start_ms, int64_t end_ms)
{
    store *s = w->s;
    slab *sl = must_alloc(sizeof *sl);
    char name[24], *err = NULL;

    *sl = (slab){.id = s->slabs.next_id,
                 .group = must_strdup(group),
                 .start_ms = start_ms,
                 .end_ms = end_ms,
                 .newest_ms = -1};
    slab_name_make(name, sl->id);
    sl->cf = rocksdb_create_column_family(s->db, s->rocks, name, &err);
    if (err != NULL) {
        sb_printf(&w->why, "cannot make the slab '%s': %s", name, err);
        free(err);
        s->stuck = true;
        slab_free(sl);
        return NULL;
    }
    pthread_rwlock_wrlock(&s->lock);
    slab_insert(&s->slabs, sl);
    pthread_rwlock_unlock(&s->lock);
    return sl;
}

/* One that has its share ends with its newest message, for what is newer than that. (Not when it
 * has only what is older than itself, for want of more slabs: nothing would be left of its time.)
 */
static slab *slab_split(write_run *w, slab *full)
{
    slab *next = slab_new(w, full->group, full->newest_ms + 1, full->end_ms);

    if (next == NULL)
        return NULL;
    pthread_rwlock_wrlock(&w->s->lock);
    full->end_ms = full->newest_ms + 1;
    full->written = false;
    pthread_rwlock_unlock(&w->s->lock);
    return next;
}

static bool is_full(const rule *r, const slab *sl, int64_t ms)
{
    return r->max_bytes != 0 && sl->pending_bytes >= r->max_bytes / SLAB_PARTS &&
           sl->newest_ms >= sl->start_ms && ms > sl->newest_ms;
}

/* The oldest message under a rule, before this batch. */
static int64_t oldest_of(store *s, rule *r)
{
    if (r->batch == s->batch)
        return r->oldest_ms;
    r->batch = s->batch;
    r->oldest_ms = INT64_MAX;
    for (size_t i = 0; i < s->slabs.n; i++)
        for (const portion *p = s->slabs.items[i]->portions; p != NULL; p = p->in_slab)
            if (p->part->rule == r && p->now.messages != 0 && p->now.first_ms < r->oldest_ms)
                r->oldest_ms = p->now.first_ms;
    return r->oldest_ms;
}

/* What would be the next to go does not come in any more. */
static bool is_surplus(store *s, rule *r, int64_t ms)
{
    return r->max_bytes != 0 && r->bytes > r->max_bytes - r->max_bytes / SLAB_PARTS &&
           ms < oldest_of(s, r) && slab_find(&s->slabs, r->group, ms) == NULL;
}

/* The slab for a message. NULL: RocksDB failed. */
static slab *slab_get(write_run *w, rule *r, int64_t ms)
{
    store *s = w->s;
    slab *sl = slab_find(&s->slabs, r->group, ms);
    bool room = s->slabs.n < SLABS_MAX;
    int64_t start_ms, end_ms;

    if (sl != NULL) {
        slab_touch(s, sl);
        return room && is_full(r, sl, ms) ? slab_split(w, sl) : sl;
    }
    if (!room) {
        if (!s->crowded)
            say(s, BROKER_LOG_WARN,
                "there are %u slabs, no more are made; retention forgets in larger pieces. Use "
                "fewer entries in plugins.logStore.retention",
                SLABS_MAX);
        s->crowded = true;
        return slab_nearest(&s->slabs, r->group, ms);
    }
    s->crowded = false;
    slab_place(&s->slabs, r, ms, &start_ms, &end_ms);
    return slab_new(w, r->group, start_ms, end_ms);
}

static portion *portion_get(write_run *w, entry *part, slab *sl)
{
    store *s = w->s;
    portion *p = portion_find(part, sl);

    if (p == NULL) {
        pthread_rwlock_wrlock(&s->lock);
        p = portion_add(part, sl);
        pthread_rwlock_unlock(&s->lock);
    }
    if (p->batch != s->batch) {
        p->batch = s->batch;
        p->pending = p->now;
        w->touched[w->n_touched++] = p;
    }
    return p;
}

/* ---- messages ---- */

static fresh **fresh_slot(write_run *w, const char *key, size_t len)
{
    fresh **at = &w->slots[hash_bytes(key, len) & (w->n_slots - 1)];

    while (*at != NULL &&
           ((*at)->key_len != len || memcmp(w->keys.data + (*at)->key, key, len) != 0))
        at = &(*at)->next;
    return at;
}

static broker_outcome compare(const broker_msg *m, broker_bytes stored)
{
    broker_msg other;

    if (stored.len == m->raw.len && memcmp(stored.ptr, m->raw.ptr, stored.len) == 0)
        return (broker_outcome){BROKER_DUPLICATE, 0, NULL};
    if (streamr_decode(stored.ptr, stored.len, &other) == NULL && streamr_same_payload(m, &other))
        return (broker_outcome){BROKER_VARIANT, 0,
                                "a message with this id and signed payload is stored already"};
    return (broker_outcome){BROKER_EQUIVOCATION, 0,
                            "the publisher signed another content under this id before; the first "
                            "one is kept"};
}

/* Look for the key where the part has messages around its time. 1: *raw, and *bytes to free; it
 * is in *in. 0: it is not there. -1: it is, and damaged. -2: RocksDB failed. */
static int stored_find(write_run *w, const entry *part, int64_t ms, const char *key, size_t len,
                       slab **in, char **bytes, broker_bytes *raw)
{
    for (size_t i = part->n_portions; i-- > 0;) {
        const portion *p = part->portions[i];
        char *err = NULL;
        uint8_t flags;
        size_t n;

        if (ms < p->low_ms || ms > p->high_ms)
            continue;
        *bytes = rocksdb_get_cf(w->s->db, w->s->reads, p->slab->cf, key, len, &n, &err);
        if (err != NULL) {
            sb_printf(&w->why, "cannot read the store: %s", err);
            free(err);
            return -2;
        }
        if (*bytes == NULL)
            continue;
        *in = p->slab;
        if (value_open((const uint8_t *)*bytes, n, raw, &flags))
            return 1;
        free(*bytes);
        return -1;
    }
    return 0;
}

static void message_put(write_run *w, slab *sl, const broker_msg *m, size_t key, size_t len)
{
    uint8_t head[VALUE_HEAD];
    const char *keys[1] = {w->keys.data + key};
    const char *values[2] = {(const char *)head, (const char *)m->raw.ptr};
    const size_t sizes[2] = {VALUE_HEAD, m->raw.len};

    value_head_make(head, (m->flags & BROKER_MSG_UNVERIFIABLE) != 0 ? VALUE_UNVERIFIABLE : 0,
                    m->raw);
    rocksdb_writebatch_putv_cf(w->wb, sl->cf, 1, keys, &len, 2, values, sizes);
}

/* What became of one message, or code 0: it is in the batch now. */
static broker_outcome message_add(write_run *w, const broker_msg *m)
{
    static const broker_outcome surplus = {
        BROKER_REJECTED, 0,
        "older than all that is kept of the stream, and maxBytes "
        "of its retention is nearly reached"};
    entry *part = part_find(w, m), *publisher = publisher_find(w, m);
    rule *r = part != NULL ? part->rule : rule_of(w->s, m->stream);
    counts one = {1, m->raw.len, m->timestamp_ms, m->timestamp_ms};
    slab *sl = NULL;
    portion *p;
    size_t key = w->keys.len, len;
    broker_bytes raw;
    fresh **same;
    char *bytes;
    broker_outcome out;
    int found;

    if (r->max_age_ms != 0 && m->timestamp_ms < clock_wall_ms() - r->max_age_ms)
        return (broker_outcome){BROKER_REJECTED, 0, "older than the stream's retention"};
    /* Here too: ids are for good, and who is refused leaves none behind. */
    if ((part == NULL || publisher == NULL) && is_surplus(w->s, r, m->timestamp_ms))
        return surplus;
    if (part == NULL)
        part = entry_new(w->s, &w->part_name, true);
    if (publisher == NULL)
        publisher = entry_new(w->s, &w->publisher_name, false);
    key_make(&w->keys, part->id, m->timestamp_ms, m->sequence, publisher->id, m->chain);
    len = w->keys.len - key;
    same = fresh_slot(w, w->keys.data + key, len);
    if (*same != NULL) {
        w->keys.len = key;
        return compare(m, (*same)->msg->raw);
    }
    found = stored_find(w, part, m->timestamp_ms, w->keys.data + key, len, &sl, &bytes, &raw);
    if (found == 1) {
        w->keys.len = key;
        out = compare(m, raw);
        free(bytes);
        return out;
    }
    if (found == -2)
        return (broker_outcome){BROKER_FAILED, 0, NULL};
    if (found == 0) {
        if (is_surplus(w->s, r, m->timestamp_ms)) {
            w->keys.len = key;
            return surplus;
        }
        sl = slab_get(w, r, m->timestamp_ms);
        if (sl == NULL)
            return (broker_outcome){BROKER_FAILED, 0, NULL};
        p = portion_get(w, part, sl);
        counts_add(&p->pending, &one);
        slab_touch(w->s, sl);
        sl->pending_bytes += m->raw.len;
        sl->newest_ms = m->timestamp_ms > sl->newest_ms ? m->timestamp_ms : sl->newest_ms;
    } /* else it is counted, and damaged on disk: this copy mends it */
    *same = &w->fresh[w->n_fresh++];
    **same = (fresh){key, len, m, NULL};
    message_put(w, sl, m, key, len);
    name_put(w, part);
    name_put(w, publisher);
    return (broker_outcome){0, 0, NULL};
}

/* Counts and slabs into the batch; readers look for what it has from now on. */
static void portions_put(write_run *w)
{
    pthread_rwlock_wrlock(&w->s->lock);
    for (size_t i = 0; i < w->n_touched; i++) {
        portion *p = w->touched[i];

        p->low_ms = p->pending.first_ms < p->low_ms ? p->pending.first_ms : p->low_ms;
        p->high_ms = p->pending.last_ms > p->high_ms ? p->pending.last_ms : p->high_ms;
    }
    pthread_rwlock_unlock(&w->s->lock);
    for (size_t i = 0; i < w->n_touched; i++) {
        const portion *p = w->touched[i];
        sb key = SB_INIT, value = SB_INIT;

        counts_key_make(&key, p->slab->id, p->part->id);
        counts_make(&value, &p->pending);
        rocksdb_writebatch_put_cf(w->wb, w->s->meta, key.data, key.len, value.data, value.len);
        sb_done(&key);
        sb_done(&value);
    }
    for (size_t i = 0; i < w->s->slabs.n; i++)
        if (!w->s->slabs.items[i]->written && !w->s->slabs.items[i]->dropped)
            slab_put(w, w->s->slabs.items[i]);
}

static void written(write_run *w)
{
    store *s = w->s;

    pthread_rwlock_wrlock(&s->lock);
    for (size_t i = 0; i < w->n_names; i++)
        w->names[i]->written = true;
    for (size_t i = 0; i < w->n_touched; i++)
        portion_set(w->touched[i], &w->touched[i]->pending);
    for (size_t i = 0; i < s->slabs.n; i++)
        s->slabs.items[i]->written = true;
    pthread_rwlock_unlock(&s->lock);
}

int64_t store_disk_free(const store *s)
{
    struct statvfs fs;

    return statvfs(s->options.path, &fs) == 0 ? (int64_t)(fs.f_bavail * fs.f_frsize) : -1;
}

static bool disk_has(store *s, uint64_t bytes, sb *why)
{
    int64_t found = store_disk_free(s);

    if (found < 0 || (uint64_t)found >= bytes)
        return true;
    sb_printf(why, "the disk is full: %llu MiB free, db.minFreeBytes is %llu MiB",
              (unsigned long long)((uint64_t)found >> 20),
              (unsigned long long)(s->options.min_free_bytes >> 20));
    return false;
}

/* After a failed write RocksDB may refuse all others until it is opened again. It is before the
 * disk has room again, as forgetting may be what makes that; but opening writes the memtables out,
 * and where they do not fit it is better open as it is: it can be read. */
static bool unstick(store *s, sb *why)
{
    uint64_t wanted = 2 * s->options.write_buffer_bytes;
    bool ok;

    if (!s->stuck)
        return true;
    if (wanted > s->options.min_free_bytes)
        wanted = s->options.min_free_bytes;
    if (!disk_has(s, wanted, why))
        return false;
    pthread_rwlock_wrlock(&s->lock);
    ok = atomic_load(&s->cursors) == 0;
    if (ok) {
        db_close(s);
        ok = db_open(s, why);
    } else {
        sb_puts(why, "the store waits for running queries to end before it is opened again");
    }
    pthread_rwlock_unlock(&s->lock);
    s->stuck = !ok;
    return ok;
}

/* Forgetting writes too, and may have failed. */
static bool can_write(store *s, sb *why)
{
    if (s->stuck)
        sb_puts(why, "the store refuses writes after one that failed; it is opened again soon");
    return !s->stuck && disk_has(s, s->options.min_free_bytes, why);
}

static bool run(write_run *w, const broker_msg *const *msgs, broker_outcome *outcomes, size_t n)
{
    store *s = w->s;
    char *err = NULL;

    if (!unstick(s, &w->why))
        return false;
    forget_old(s, false); /* first: on a full disk this is what makes room */
    forget_dropped(s);
    if (!can_write(s, &w->why))
        return false;
    for (size_t i = 0; i < n; i++) {
        outcomes[i] = message_add(w, msgs[i]);
        if (outcomes[i].code == BROKER_FAILED)
            return false;
    }
    if (w->n_fresh == 0)
        return true;
    portions_put(w);
    rocksdb_write(s->db, s->sync, w->wb, &err);
    if (err != NULL) {
        sb_printf(&w->why, "cannot write: %s", err);
        free(err);
        s->stuck = true;
        return false;
    }
    written(w);
    forget_surplus(s, BUSY_MS);
    return true;
}

/* RocksDB says it in words only; and not just "disk" or "space": they may be in a path. */
static bool says_full(const char *why)
{
    return strstr(why, "the disk is full") != NULL || strstr(why, strerror(ENOSPC)) != NULL ||
           strstr(why, strerror(EDQUOT)) != NULL;
}

void store_write(store *s, const broker_msg *const *msgs, broker_outcome *outcomes, size_t n)
{
    int32_t failure;
    write_run w = {.s = s, .n_slots = 16};
    bool ok;

    while (w.n_slots < 2 * n)
        w.n_slots *= 2;
    w.wb = rocksdb_writebatch_create();
    w.fresh = must_alloc(n * sizeof *w.fresh);
    w.slots = must_alloc(w.n_slots * sizeof(fresh *));
    w.names = must_alloc(2 * n * sizeof(entry *));
    w.touched = must_alloc(n * sizeof(portion *));
    s->batch++;
    sb_clear(&s->reason);
    ok = run(&w, msgs, outcomes, n);
    if (!ok)
        sb_append(&s->reason, w.why.data, w.why.len);
    failure = !ok && says_full(s->reason.data) ? BROKER_FULL : BROKER_FAILED;
    for (size_t i = 0; i < n; i++) {
        if (!ok)
            outcomes[i] = (broker_outcome){failure, 0, s->reason.data};
        else if (outcomes[i].code == 0)
            outcomes[i].code = BROKER_STORED;
    }
    pthread_rwlock_wrlock(&s->lock);
    sb_clear(&s->sick);
    if (!ok)
        sb_append(&s->sick, s->reason.data, s->reason.len);
    pthread_rwlock_unlock(&s->lock);
    rocksdb_writebatch_destroy(w.wb);
    sb_done(&w.keys);
    sb_done(&w.part_name);
    sb_done(&w.publisher_name);
    sb_done(&w.why);
    free(w.fresh);
    free(w.slots);
    free(w.names);
    free(w.touched);
}

void store_tend(store *s)
{
    sb why = SB_INIT;
    bool ok;

    ok = unstick(s, &why);
    if (ok) {
        forget_old(s, false);
        forget_surplus(s, TEND_MS);
        forget_dropped(s);
        ok = can_write(s, &why);
    }
    pthread_rwlock_wrlock(&s->lock);
    sb_clear(&s->sick);
    if (!ok)
        sb_append(&s->sick, why.data, why.len);
    pthread_rwlock_unlock(&s->lock);
    sb_done(&why);
}
