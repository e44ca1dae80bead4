/* slab -- see slab.h. */
#include "slab.h"

#include <inttypes.h>

#define HOUR_MS 3600000ll

void rule_init(rule *r)
{
    sb group = SB_INIT;
    int64_t hours = 1;

    while (hours <= r->max_age_ms / SLAB_PARTS / HOUR_MS / 2)
        hours *= 2;
    r->span_ms = r->max_age_ms != 0 ? hours * HOUR_MS : SLAB_SPAN_MS;
    if (r->max_bytes != 0)
        sb_printf(&group, "b%s", r->pattern);
    else if (r->max_age_ms != 0)
        sb_printf(&group, "a%" PRId64, hours);
    else
        sb_puts(&group, "");
    r->group = group.data;
}

slab *slab_find(const slabs *all, const char *group, int64_t ms)
{
    for (size_t i = all->n; i-- > 0;) { /* the newest is wanted most */
        slab *s = all->items[i];

        if (!s->dropped && s->start_ms <= ms && ms < s->end_ms && strcmp(s->group, group) == 0)
            return s;
    }
    return NULL;
}

slab *slab_of_id(const slabs *all, uint32_t id)
{
    for (size_t i = 0; i < all->n; i++)
        if (all->items[i]->id == id)
            return all->items[i];
    return NULL;
}

void slab_place(const slabs *all, const rule *r, int64_t ms, int64_t *start_ms, int64_t *end_ms)
{
    if (r->max_age_ms == 0 && ms < all->ancient_ms) {
        *start_ms = 0;
        *end_ms = all->ancient_ms;
    } else {
        *start_ms = ms / r->span_ms * r->span_ms;
        *end_ms = *start_ms <= INT64_MAX - r->span_ms ? *start_ms + r->span_ms : INT64_MAX;
    }
}

static int64_t distance(const slab *s, int64_t ms)
{
    return ms < s->start_ms ? s->start_ms - ms : ms >= s->end_ms ? ms - s->end_ms + 1 : 0;
}

slab *slab_nearest(const slabs *all, const char *group, int64_t ms)
{
    slab *best = NULL;
    bool best_is_own = false;

    for (size_t i = 0; i < all->n; i++) {
        slab *s = all->items[i];
        bool own = strcmp(s->group, group) == 0;

        if (s->dropped || (best_is_own && !own))
            continue;
        if (best == NULL || own != best_is_own || distance(s, ms) < distance(best, ms)) {
            best = s;
            best_is_own = own;
        }
    }
    return best;
}

void slab_insert(slabs *all, slab *s)
{
    size_t at = all->n;

    all->items = must_realloc(all->items, (all->n + 1) * sizeof(slab *));
    for (; at > 0 && all->items[at - 1]->start_ms > s->start_ms; at--)
        all->items[at] = all->items[at - 1];
    all->items[at] = s;
    all->n++;
    if (s->id >= all->next_id)
        all->next_id = s->id + 1;
}

slab *slab_take_unused(slabs *all)
{
    for (size_t i = 0; i < all->n; i++) {
        slab *s = all->items[i];

        if (!s->dropped || atomic_load(&s->users) != 0)
            continue;
        all->n--;
        memmove(all->items + i, all->items + i + 1, (all->n - i) * sizeof(slab *));
        return s;
    }
    return NULL;
}

void slab_free(slab *s)
{
    if (s == NULL)
        return;
    if (s->cf != NULL)
        rocksdb_column_family_handle_destroy(s->cf); /* of a dropped one: now the files go */
    sb_done(&s->stale_from);
    sb_done(&s->stale_to);
    free(s->group);
    free(s);
}
