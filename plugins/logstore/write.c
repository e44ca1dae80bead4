/* write -- one durable batch: what is new goes into one WriteBatch and one fsync, with
 * the counts of its stream parts. See store.h. */
#include "store_inner.h"

#include "streamr/streamr.h"

#include <errno.h>
#include <sys/statvfs.h>

#define SWEEP_NS 60000000000ull

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
    fresh *fresh, **slots;
    size_t n_fresh, n_slots;
    entry **touched;
    size_t n_touched;
    sb why;
} write_run;

static void touch(write_run *w, entry *e)
{
    if (e->batch == w->s->batch)
        return;
    e->batch = w->s->batch;
    e->pending = e->record;
    w->touched[w->n_touched++] = e;
}

/* The entry of a name, made when it is new; it counts as known only once written. */
static entry *intern(write_run *w, const sb *name, bool is_part, broker_str stream)
{
    store *s = w->s;
    entry *e = entry_find(s, name->data, name->len); /* only this thread adds */

    if (e == NULL) {
        pthread_rwlock_wrlock(&s->lock);
        e = entry_add(s, name->data, name->len, is_part,
                      is_part ? s->next_part : s->next_publisher);
        if (is_part)
            e->record.max_age_ms = retention_of(s, stream);
        pthread_rwlock_unlock(&s->lock);
    }
    touch(w, e);
    return e;
}

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

/* What became of one message, or code 0: it is in the batch now. */
static broker_outcome message_add(write_run *w, const broker_msg *m)
{
    store *s = w->s;
    sb name = SB_INIT;
    entry *part, *publisher;
    slab *sl;
    size_t key = w->keys.len, len;
    uint8_t head[VALUE_HEAD], flags;
    broker_bytes raw;
    fresh **same;
    char *err = NULL, *stored;
    broker_outcome out = {0, 0, NULL};

    part_key_make(&name, m->stream, m->partition);
    part = intern(w, &name, true, m->stream);
    sb_clear(&name);
    sb_putc(&name, 'u');
    sb_append(&name, m->publisher.ptr, m->publisher.len);
    publisher = intern(w, &name, false, m->stream);
    sb_done(&name);

    if (part->record.max_age_ms != 0 && m->timestamp_ms < clock_wall_ms() - part->record.max_age_ms)
        return (broker_outcome){BROKER_REJECTED, 0, "older than the stream's retention"};
    key_make(&w->keys, part->id, m->timestamp_ms, m->sequence, publisher->id, m->chain);
    len = w->keys.len - key;
    same = fresh_slot(w, w->keys.data + key, len);
    if (*same != NULL) {
        w->keys.len = key;
        return compare(m, (*same)->msg->raw);
    }
    sl = slab_get(s, part->record.max_age_ms, m->timestamp_ms, &w->why);
    if (sl == NULL)
        return (broker_outcome){BROKER_FAILED, 0, NULL};
    stored = rocksdb_get_cf(s->db, s->reads, sl->cf, w->keys.data + key, len, &len, &err);
    if (err != NULL) {
        sb_printf(&w->why, "cannot read the store: %s", err);
        free(err);
        return (broker_outcome){BROKER_FAILED, 0, NULL};
    }
    if (stored != NULL) {
        w->keys.len = key;
        if (value_open((const uint8_t *)stored, len, &raw, &flags)) {
            out = compare(m, raw);
            free(stored);
            return out;
        }
        free(stored); /* damaged on disk: this copy mends it; it is counted already */
        w->keys.len = key;
        key_make(&w->keys, part->id, m->timestamp_ms, m->sequence, publisher->id, m->chain);
        part->pending.messages--;
    }
    len = w->keys.len - key;
    *same = &w->fresh[w->n_fresh++];
    **same = (fresh){key, len, m, NULL};
    flags = (m->flags & BROKER_MSG_UNVERIFIABLE) != 0 ? VALUE_UNVERIFIABLE : 0;
    value_head_make(head, flags, m->raw);
    {
        const char *keys[1] = {w->keys.data + key};
        const char *values[2] = {(const char *)head, (const char *)m->raw.ptr};
        const size_t sizes[2] = {VALUE_HEAD, m->raw.len};

        rocksdb_writebatch_putv_cf(w->wb, sl->cf, 1, keys, &len, 2, values, sizes);
    }
    part->pending.messages++;
    part->pending.bytes += m->raw.len;
    if (part->pending.first_ms > part->pending.last_ms) {
        part->pending.first_ms = part->pending.last_ms = m->timestamp_ms;
    } else {
        if (m->timestamp_ms < part->pending.first_ms)
            part->pending.first_ms = m->timestamp_ms;
        if (m->timestamp_ms > part->pending.last_ms)
            part->pending.last_ms = m->timestamp_ms;
    }
    return out;
}

static void entries_put(write_run *w)
{
    for (size_t i = 0; i < w->n_touched; i++) {
        const entry *e = w->touched[i];
        sb value = SB_INIT;
        uint8_t id[4];

        if (e->is_part) {
            part_record_make(&value, &e->pending);
        } else if (!e->written) {
            put_u32be(id, e->id);
            sb_append(&value, id, sizeof id);
        }
        if (value.len != 0)
            rocksdb_writebatch_put_cf(w->wb, w->s->meta, (const char *)e->name, e->name_len,
                                      value.data, value.len);
        sb_done(&value);
    }
}

int64_t store_disk_free(const store *s)
{
    struct statvfs fs;

    return statvfs(s->path, &fs) == 0 ? (int64_t)(fs.f_bavail * fs.f_frsize) : -1;
}

static bool disk_has_room(store *s, sb *why)
{
    int64_t found = store_disk_free(s);
    uint64_t free_bytes = (uint64_t)found;

    if (s->min_free_bytes == 0 || found < 0 || free_bytes >= s->min_free_bytes)
        return true;
    sb_printf(why, "the disk is full: %llu MiB free, db.minFreeBytes is %llu MiB",
              (unsigned long long)(free_bytes >> 20),
              (unsigned long long)(s->min_free_bytes >> 20));
    return false;
}

/* After a failed write RocksDB may refuse all others until it is opened again. */
static bool unstick(store *s, sb *why)
{
    bool ok;

    if (!s->stuck)
        return true;
    if (atomic_load(&s->cursors) != 0) {
        sb_puts(why, "the store waits for running queries to end before it is opened again");
        return false;
    }
    pthread_rwlock_wrlock(&s->lock);
    ok = atomic_load(&s->cursors) == 0;
    if (ok) {
        db_close(s);
        ok = db_open(s, why);
    }
    pthread_rwlock_unlock(&s->lock);
    s->stuck = !ok;
    return ok;
}

static void slabs_sweep(store *s)
{
    int64_t now = clock_wall_ms();

    if (clock_mono_ns() < s->swept_ns + SWEEP_NS)
        return;
    s->swept_ns = clock_mono_ns();
    for (size_t i = 0; i < s->slabs.n; i++) {
        slab *sl = s->slabs.items[i];
        char *err = NULL;

        if (sl->dropped || sl->max_age_ms == 0 || sl->end_ms > now - sl->max_age_ms)
            continue;
        rocksdb_drop_column_family(s->db, sl->cf, &err);
        pthread_rwlock_wrlock(&s->lock);
        sl->dropped = err == NULL;
        pthread_rwlock_unlock(&s->lock);
        free(err);
    }
    for (;;) {
        slab *sl;

        pthread_rwlock_wrlock(&s->lock);
        sl = slab_take_unused(&s->slabs);
        pthread_rwlock_unlock(&s->lock);
        if (sl == NULL)
            break;
        rocksdb_column_family_handle_destroy(sl->cf); /* now the files go */
        free(sl);
    }
}

static bool run(write_run *w, const broker_msg *const *msgs, broker_outcome *outcomes, size_t n)
{
    store *s = w->s;
    char *err = NULL;

    if (s->db == NULL)
        s->stuck = true;
    slabs_sweep(s); /* first: on a full disk this is what makes room */
    if (!disk_has_room(s, &w->why) || !unstick(s, &w->why))
        return false;
    for (size_t i = 0; i < n; i++) {
        outcomes[i] = message_add(w, msgs[i]);
        if (outcomes[i].code == BROKER_FAILED)
            return false;
    }
    if (w->n_fresh == 0)
        return true;
    entries_put(w);
    rocksdb_write(s->db, s->sync, w->wb, &err);
    if (err != NULL) {
        sb_printf(&w->why, "cannot write: %s", err);
        free(err);
        s->stuck = true;
        return false;
    }
    pthread_rwlock_wrlock(&s->lock);
    for (size_t i = 0; i < w->n_touched; i++) {
        w->touched[i]->written = true;
        w->touched[i]->record = w->touched[i]->pending;
    }
    pthread_rwlock_unlock(&s->lock);
    return true;
}

/* RocksDB says it in words only; and not just "disk" or "space": they may be in a path. */
static bool is_full(const char *why)
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
    w.touched = must_alloc(2 * n * sizeof(entry *));
    s->batch++;
    sb_clear(&s->reason);
    ok = run(&w, msgs, outcomes, n);
    if (!ok)
        sb_append(&s->reason, w.why.data, w.why.len);
    failure = !ok && is_full(s->reason.data) ? BROKER_FULL : BROKER_FAILED;
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
    sb_done(&w.why);
    free(w.fresh);
    free(w.slots);
    free(w.touched);
}

void store_tend(store *s)
{
    sb why = SB_INIT;
    bool ok;

    slabs_sweep(s);
    if (store_is_well(s, NULL))
        return;
    ok = disk_has_room(s, &why) && unstick(s, &why);
    pthread_rwlock_wrlock(&s->lock);
    sb_clear(&s->sick);
    if (!ok)
        sb_append(&s->sick, why.data, why.len);
    pthread_rwlock_unlock(&s->lock);
    sb_done(&why);
}
