/* recent -- see recent.h. A ring, oldest first; what was given twice leaves a hole in it. */
#include "wire/recent.h"

#include <stdlib.h>

typedef struct entry {
    void *item; /* NULL: a hole */
    size_t bytes;
    int64_t until_ms;
    bool has_source;
    unsigned n_given;
    node_id source, given[RECENT_TARGETS_MAX];
} entry;

struct recent {
    void (*release)(void *item);
    uint32_t messages;
    unsigned targets;
    entry *entries;    /* NULL until the first: most parts keep nothing */
    uint32_t first, n; /* holes included */
    size_t bytes, held;
};

static entry *entry_at(recent *r, uint32_t i)
{
    return &r->entries[(r->first + i) % r->messages];
}

static void let_go(recent *r, entry *e)
{
    if (e->item == NULL)
        return;
    r->release(e->item);
    r->bytes -= e->bytes;
    r->held--;
    e->item = NULL;
}

static void drop_first(recent *r)
{
    let_go(r, entry_at(r, 0));
    r->first = (r->first + 1) % r->messages;
    r->n--;
}

recent *recent_new_sized(void (*release)(void *item), uint32_t messages, unsigned targets)
{
    recent *r = must_alloc(sizeof *r);

    must(messages > 0 && targets > 0 && targets <= RECENT_TARGETS_MAX);
    r->release = release;
    r->messages = messages;
    r->targets = targets;
    return r;
}

recent *recent_new(void (*release)(void *item))
{
    return recent_new_sized(release, RECENT_MESSAGES, RECENT_TARGETS);
}

void recent_free(recent *r)
{
    while (r != NULL && r->n > 0)
        drop_first(r);
    if (r != NULL)
        free(r->entries);
    free(r);
}

void recent_expire(recent *r, int64_t now_ms)
{
    while (r->n > 0 && (entry_at(r, 0)->item == NULL || entry_at(r, 0)->until_ms <= now_ms))
        drop_first(r);
}

void recent_add(recent *r, void *item, size_t bytes, const node_id *source, const node_id *given,
                size_t n, int64_t now_ms)
{
    entry *e;

    recent_expire(r, now_ms);
    if (n >= r->targets || bytes > RECENT_BYTES) {
        r->release(item);
        return;
    }
    if (r->entries == NULL)
        r->entries = must_alloc(r->messages * sizeof *r->entries);
    while (r->n == r->messages || r->bytes + bytes > RECENT_BYTES)
        drop_first(r);
    e = entry_at(r, r->n++);
    *e = (entry){.item = item, .bytes = bytes, .until_ms = now_ms + RECENT_MS};
    r->bytes += bytes;
    r->held++;
    if (source != NULL) {
        e->has_source = true;
        e->source = *source;
    }
    for (; e->n_given < n; e->n_given++)
        e->given[e->n_given] = given[e->n_given];
}

static bool has_it(const entry *e, const node_id *id)
{
    if (e->has_source && node_id_same(&e->source, id))
        return true;
    for (unsigned i = 0; i < e->n_given; i++)
        if (node_id_same(&e->given[i], id))
            return true;
    return false;
}

void recent_feed(recent *r, const node_id *to, int64_t now_ms, bool (*send)(void *ctx, void *item),
                 void *ctx)
{
    recent_expire(r, now_ms);
    for (uint32_t i = 0; i < r->n; i++) {
        entry *e = entry_at(r, i);

        if (e->item == NULL || has_it(e, to) || !send(ctx, e->item))
            continue;
        e->given[e->n_given++] = *to;
        if (e->n_given >= r->targets)
            let_go(r, e);
    }
    recent_expire(r, now_ms);
}

size_t recent_count(const recent *r)
{
    return r->held;
}
