/* facts -- see facts.h. Chained hashing over the first bytes of the key, which is a hash itself. */
#include "facts.h"

#include <string.h>

typedef struct entry {
    struct entry *in_bucket;
    struct entry *newer, *older;
    fact_key key;
    fact value;
} entry;

struct facts {
    entry **buckets;
    size_t n_buckets; /* a power of two */
    entry *newest, *oldest;
    size_t n, max;
};

facts *facts_new(size_t max)
{
    facts *f = must_alloc(sizeof *f);

    must(max > 0);
    f->max = max;
    f->n_buckets = 64;
    while (f->n_buckets < max)
        f->n_buckets *= 2;
    f->buckets = must_alloc(f->n_buckets * sizeof *f->buckets);
    return f;
}

void facts_free(facts *f)
{
    if (f == NULL)
        return;
    for (entry *e = f->newest, *next; e != NULL; e = next) {
        next = e->older;
        free(e);
    }
    free(f->buckets);
    free(f);
}

size_t facts_count(const facts *f)
{
    return f->n;
}

static entry **place_of(facts *f, const fact_key *key)
{
    entry **at = &f->buckets[get_u64be(key->bytes) & (f->n_buckets - 1)];

    while (*at != NULL && memcmp((*at)->key.bytes, key->bytes, sizeof key->bytes) != 0)
        at = &(*at)->in_bucket;
    return at;
}

/* ---- by use ---- */

static void use_unlink(facts *f, entry *e)
{
    *(e->newer != NULL ? &e->newer->older : &f->newest) = e->older;
    *(e->older != NULL ? &e->older->newer : &f->oldest) = e->newer;
}

static void use_link(facts *f, entry *e)
{
    e->newer = NULL;
    e->older = f->newest;
    *(f->newest != NULL ? &f->newest->newer : &f->oldest) = e;
    f->newest = e;
}

static void entry_drop(facts *f, entry *e)
{
    *place_of(f, &e->key) = e->in_bucket;
    use_unlink(f, e);
    f->n--;
    free(e);
}

/* ---- the table ---- */

const fact *facts_get(facts *f, const fact_key *key)
{
    entry *e = *place_of(f, key);

    if (e == NULL)
        return NULL;
    use_unlink(f, e);
    use_link(f, e);
    return &e->value;
}

void facts_put(facts *f, const fact_key *key, const fact *value)
{
    entry **at = place_of(f, key), *e = *at;

    if (e == NULL) {
        e = must_alloc(sizeof *e);
        e->key = *key;
        *at = e;
        f->n++;
    } else {
        use_unlink(f, e);
    }
    e->value = *value;
    use_link(f, e);
    if (f->n > f->max)
        entry_drop(f, f->oldest);
}

void facts_drop(facts *f, const fact_key *key)
{
    entry *e = *place_of(f, key);

    if (e != NULL)
        entry_drop(f, e);
}

void facts_drop_older(facts *f, const uint8_t *mark, uint64_t before_ms)
{
    for (entry *e = f->newest, *next; e != NULL; e = next) {
        next = e->older;
        if (e->value.asked_ms < before_ms &&
            (mark == NULL || memcmp(e->key.mark, mark, sizeof e->key.mark) == 0))
            entry_drop(f, e);
    }
}

/* ---- from build to build: fields in their order, big-endian ---- */

void facts_save(const facts *f, uint64_t since_ms, sb *out)
{
    for (const entry *e = f->oldest; e != NULL; e = e->newer) {
        uint8_t numbers[24];

        if (e->value.asked_ms < since_ms)
            continue;
        put_u64be(numbers, (uint64_t)e->value.a);
        put_u64be(numbers + 8, (uint64_t)e->value.b);
        put_u64be(numbers + 16, e->value.asked_ms);
        sb_append(out, e->key.bytes, sizeof e->key.bytes);
        sb_append(out, e->key.mark, sizeof e->key.mark);
        sb_append(out, numbers, sizeof numbers);
    }
}

bool facts_load(facts *f, const void *bytes, size_t len, uint64_t now_ms)
{
    view in = view_of(bytes, len);

    while (view_left(&in) != 0) {
        fact_key key;
        uint64_t a, b;
        fact value;

        if (!view_read(&in, key.bytes, sizeof key.bytes) ||
            !view_read(&in, key.mark, sizeof key.mark) || !view_u64be(&in, &a) ||
            !view_u64be(&in, &b) || !view_u64be(&in, &value.asked_ms) || value.asked_ms > now_ms)
            return false;
        value.a = (int64_t)a;
        value.b = (int64_t)b;
        facts_put(f, &key, &value);
    }
    return true;
}
