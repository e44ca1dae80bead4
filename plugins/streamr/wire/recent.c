/* recent -- see recent.h. A ring, oldest first; what was given twice leaves a hole in it. */
#include "wire/recent.h"

#include <stdlib.h>

typedef struct entry {
    void *item; /* NULL: a hole */
    size_t bytes;
    int64_t until_ms;
    bool has_source;
    node_id source, given; /* given: the first target, when n_given is 1 */
    unsigned n_given;
} entry;

struct recent {
    void (*release)(void *item);
    entry entries[RECENT_MESSAGES];
    uint32_t first, n; /* holes included */
    size_t bytes, held;
};

static entry *entry_at(recent *r, uint32_t i)
{
    return &r->entries[(r->first + i) % RECENT_MESSAGES];
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
    r->first = (r->first + 1) % RECENT_MESSAGES;
    r->n--;
}

recent *recent_new(void (*release)(void *item))
{
    recent *r = must_alloc(sizeof *r);

    r->release = release;
    return r;
}

void recent_free(recent *r)
{
    while (r != NULL && r->n > 0)
        drop_first(r);
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
    if (n >= RECENT_TARGETS || bytes > RECENT_BYTES) {
        r->release(item);
        return;
    }
    while (r->n == RECENT_MESSAGES || r->bytes + bytes > RECENT_BYTES)
        drop_first(r);
    e = entry_at(r, r->n++);
    *e = (entry){.item = item, .bytes = bytes, .until_ms = now_ms + RECENT_MS};
    r->bytes += bytes;
    r->held++;
    if (source != NULL) {
        e->has_source = true;
        e->source = *source;
    }
    if (n > 0) {
        e->given = given[0];
        e->n_given = 1;
    }
}

void recent_feed(recent *r, const node_id *to, int64_t now_ms, bool (*send)(void *ctx, void *item),
                 void *ctx)
{
    recent_expire(r, now_ms);
    for (uint32_t i = 0; i < r->n; i++) {
        entry *e = entry_at(r, i);

        if (e->item == NULL || (e->has_source && node_id_same(&e->source, to)) ||
            (e->n_given == 1 && node_id_same(&e->given, to)) || !send(ctx, e->item))
            continue;
        e->given = *to;
        if (++e->n_given >= RECENT_TARGETS)
            let_go(r, e);
    }
    recent_expire(r, now_ms);
}

size_t recent_count(const recent *r)
{
    return r->held;
}
