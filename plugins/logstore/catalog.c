/* catalog -- what there is: names, slabs, and the portions of stream parts in them.
 *
 * All of it is in memory, and written with the messages it tells of. Under the store's lock. */
#include "store_inner.h"

#include "streamr/streamr.h"

entry *entry_find(const store *s, const void *name, size_t len)
{
    entry *e = s->entries[hash_bytes(name, len) % MAP_SLOTS];

    while (e != NULL && (e->name_len != len || memcmp(e->name, name, len) != 0))
        e = e->next;
    return e;
}

rule *rule_of(const store *s, broker_str stream)
{
    for (size_t i = 0; i + 1 < s->n_rules; i++)
        if (streamr_stream_matches(s->rules[i].pattern, strlen(s->rules[i].pattern), stream.ptr,
                                   stream.len))
            return &s->rules[i];
    return &s->rules[s->n_rules - 1];
}

entry *entry_add(store *s, const void *name, size_t len, bool is_part, uint32_t id)
{
    entry **slot = &s->entries[hash_bytes(name, len) % MAP_SLOTS];
    entry *e = must_alloc(sizeof *e);
    broker_str stream;
    uint32_t partition;

    e->name = (uint8_t *)must_strndup(name, len);
    e->name_len = len;
    e->id = id;
    e->is_part = is_part;
    e->next = *slot;
    *slot = e;
    if (is_part && id >= s->next_part)
        s->next_part = id + 1;
    if (!is_part && id >= s->next_publisher)
        s->next_publisher = id + 1;
    if (is_part && part_key_open(e->name, len, &stream, &partition))
        e->rule = rule_of(s, stream);
    return e;
}

/* ---- portions ---- */

void counts_add(counts *to, const counts *c)
{
    if (c->messages == 0)
        return;
    if (to->messages == 0 || c->first_ms < to->first_ms)
        to->first_ms = c->first_ms;
    if (to->messages == 0 || c->last_ms > to->last_ms)
        to->last_ms = c->last_ms;
    to->messages += c->messages;
    to->bytes += c->bytes;
}

portion *portion_find(const entry *part, const slab *in)
{
    for (size_t i = part->n_portions; i-- > 0;)
        if (part->portions[i]->slab == in)
            return part->portions[i];
    return NULL;
}

portion *portion_add(entry *part, slab *in)
{
    portion *p = must_alloc(sizeof *p);

    *p = (portion){
        .slab = in, .part = part, .in_slab = in->portions, .low_ms = INT64_MAX, .high_ms = -1};
    in->portions = p;
    part->portions = must_realloc(part->portions, (part->n_portions + 1) * sizeof *part->portions);
    part->portions[part->n_portions++] = p;
    return p;
}

static void sum_up(entry *part)
{
    part->all = (counts){0};
    for (size_t i = 0; i < part->n_portions; i++)
        counts_add(&part->all, &part->portions[i]->now);
}

void portion_set(portion *p, const counts *now)
{
    p->slab->bytes += now->bytes - p->now.bytes;
    p->part->rule->bytes += now->bytes - p->now.bytes;
    p->now = *now;
    if (now->messages != 0) {
        p->low_ms = now->first_ms < p->low_ms ? now->first_ms : p->low_ms;
        p->high_ms = now->last_ms > p->high_ms ? now->last_ms : p->high_ms;
        if (now->last_ms > p->slab->newest_ms)
            p->slab->newest_ms = now->last_ms;
    }
    sum_up(p->part);
}

/* It is out of its slab's list. */
static void portion_free(portion *p)
{
    static const counts none = {0};
    entry *part = p->part;

    portion_set(p, &none);
    for (size_t i = 0; i < part->n_portions; i++)
        if (part->portions[i] == p)
            part->portions[i] = part->portions[--part->n_portions];
    free(p);
}

void portions_free(slab *sl)
{
    portion **link = &sl->portions;

    while (*link != NULL) {
        portion *p = *link;

        if (p->goes) {
            *link = p->in_slab;
            portion_free(p);
        } else {
            link = &p->in_slab;
        }
    }
}

void catalog_close(store *s)
{
    for (size_t i = 0; i < s->slabs.n; i++) {
        for (portion *p = s->slabs.items[i]->portions; p != NULL; p = p->in_slab)
            p->goes = true;
        portions_free(s->slabs.items[i]);
        slab_free(s->slabs.items[i]);
    }
    free(s->slabs.items);
    s->slabs = (slabs){.ancient_ms = s->slabs.ancient_ms};
}

void catalog_done(store *s)
{
    for (size_t i = 0; i < MAP_SLOTS; i++)
        while (s->entries[i] != NULL) {
            entry *e = s->entries[i];

            s->entries[i] = e->next;
            free(e->name);
            free(e->portions);
            free(e);
        }
}

/* ---- reading ---- */

typedef struct reading {
    store *s;
    entry **parts; /* by id */
    size_t n_parts;
    bool ok;
} reading;

static entry *known(store *s, const char *key, size_t len, bool is_part, uint32_t id)
{
    entry *e = entry_find(s, key, len); /* it is there when the store is opened again */

    if (e == NULL)
        e = entry_add(s, key, len, is_part, id);
    e->id = id;
    e->written = true;
    return e;
}

/* Keys come in order: 'n' before 'p' and 's', so what an 'n' is about may not be known yet. Two
 * rounds: names and slabs, then counts. */
static void name_read(reading *r, const char *key, size_t key_len, const uint8_t *value, size_t len)
{
    slab_record record;
    slab *sl;
    uint32_t id;

    switch (key[0]) {
    case 'p':
        r->ok &= len == 4;
        if (len == 4) {
            entry *e = known(r->s, key, key_len, true, id = get_u32be(value));

            if (id >= r->n_parts) {
                size_t n = (size_t)id + 1 > 2 * r->n_parts ? (size_t)id + 1 : 2 * r->n_parts;

                r->parts = must_realloc(r->parts, n * sizeof(entry *));
                memset(r->parts + r->n_parts, 0, (n - r->n_parts) * sizeof(entry *));
                r->n_parts = n;
            }
            r->parts[id] = e;
        }
        break;
    case 'u':
        r->ok &= len == 4;
        if (len == 4)
            known(r->s, key, key_len, false, get_u32be(value));
        break;
    case 's':
        r->ok &= slab_key_open((const uint8_t *)key, key_len, &id) &&
                 slab_record_open(value, len, &record);
        sl = r->ok ? slab_of_id(&r->s->slabs, id) : NULL;
        if (sl == NULL)
            break; /* dropped, and its record not yet deleted: not in our order of doing it */
        sl->start_ms = record.start_ms;
        sl->end_ms = record.end_ms;
        sl->group = must_strndup(record.group.ptr, record.group.len);
        sl->written = true;
        break;
    default:
        break;
    }
}

static void counts_read(reading *r, const char *key, size_t key_len, const uint8_t *value,
                        size_t len)
{
    uint32_t id, part;
    counts now;
    slab *sl;

    if (key[0] != 'n')
        return;
    if (!counts_key_open((const uint8_t *)key, key_len, &id, &part) ||
        !counts_open(value, len, &now) || part >= r->n_parts || r->parts[part] == NULL) {
        r->ok = false;
        return;
    }
    sl = slab_of_id(&r->s->slabs, id);
    if (sl != NULL)
        portion_set(portion_add(r->parts[part], sl), &now);
}

static bool each_record(reading *r,
                        void (*each)(reading *r, const char *key, size_t key_len,
                                     const uint8_t *value, size_t len),
                        sb *why)
{
    store *s = r->s;
    rocksdb_iterator_t *it = rocksdb_create_iterator_cf(s->db, s->reads, s->meta);
    char *err = NULL;

    for (rocksdb_iter_seek_to_first(it); rocksdb_iter_valid(it); rocksdb_iter_next(it)) {
        size_t key_len, len;
        const char *key = rocksdb_iter_key(it, &key_len);
        const uint8_t *value = (const uint8_t *)rocksdb_iter_value(it, &len);

        if (key_len != 0)
            each(r, key, key_len, value, len);
    }
    rocksdb_iter_get_error(it, &err);
    rocksdb_iter_destroy(it);
    if (err != NULL)
        sb_printf(why, "cannot read '%s': %s", s->options.path, err);
    else if (!r->ok)
        sb_printf(why,
                  "'%s' has a record that this build does not understand; it is damaged, or was "
                  "written by a build before the first release",
                  s->options.path);
    free(err);
    return why->len == 0;
}

/* Made for a batch that never was written, or emptied and not yet dropped. */
static void unrecorded_drop(store *s)
{
    size_t n = 0;

    for (size_t i = 0; i < s->slabs.n; i++) {
        slab *sl = s->slabs.items[i];
        char *err = NULL;

        if (sl->written) {
            s->slabs.items[n++] = sl;
            continue;
        }
        rocksdb_drop_column_family(s->db, sl->cf, &err);
        free(err); /* again at the next opening */
        slab_free(sl);
    }
    s->slabs.n = n;
}

static int by_start(const void *a, const void *b)
{
    const slab *x = *(slab *const *)a, *y = *(slab *const *)b;

    return (x->start_ms > y->start_ms) - (x->start_ms < y->start_ms);
}

bool catalog_read(store *s, sb *why)
{
    reading r = {.s = s, .ok = true};
    bool ok = each_record(&r, name_read, why);

    if (ok) {
        unrecorded_drop(s);
        if (s->slabs.n != 0)
            qsort(s->slabs.items, s->slabs.n, sizeof(slab *), by_start);
        ok = each_record(&r, counts_read, why);
    }
    free(r.parts);
    return ok;
}
