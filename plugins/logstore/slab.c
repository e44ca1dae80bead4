/* slab -- see slab.h. */
#include "slab.h"

#include <inttypes.h>

#define HOUR_MS 3600000ll

int64_t slab_span(int64_t max_age_ms)
{
    if (max_age_ms == 0)
        return SLAB_SPAN_MS;
    return max_age_ms / 8 > HOUR_MS ? max_age_ms / 8 : HOUR_MS;
}

void slab_name(const slab *s, char name[64])
{
    if (s->start_ms == INT64_MIN)
        snprintf(name, 64, "slab-%" PRId64 "-ancient", s->max_age_ms);
    else
        snprintf(name, 64, "slab-%" PRId64 "-%" PRId64, s->max_age_ms, s->start_ms);
}

bool slab_of_name(const char *name, slab *out)
{
    const char *dash;

    *out = (slab){0};
    if (strncmp(name, "slab-", 5) != 0 || (dash = strchr(name + 5, '-')) == NULL ||
        !parse_i64(name + 5, (size_t)(dash - name - 5), &out->max_age_ms))
        return false;
    if (strcmp(dash + 1, "ancient") == 0) {
        out->start_ms = INT64_MIN;
        return true;
    }
    if (!parse_i64(dash + 1, strlen(dash + 1), &out->start_ms))
        return false;
    out->end_ms = out->start_ms + slab_span(out->max_age_ms);
    return true;
}

slab slab_for(const slabs *all, int64_t max_age_ms, int64_t timestamp_ms)
{
    int64_t span = slab_span(max_age_ms);
    slab s = {.max_age_ms = max_age_ms};

    if (max_age_ms == 0 && timestamp_ms < all->ancient_ms) {
        s.start_ms = INT64_MIN;
        s.end_ms = all->ancient_ms;
        return s;
    }
    s.start_ms = timestamp_ms / span * span;
    s.end_ms = s.start_ms + span;
    return s;
}

slab *slab_find(const slabs *all, int64_t max_age_ms, int64_t start_ms)
{
    for (size_t i = 0; i < all->n; i++)
        if (!all->items[i]->dropped && all->items[i]->max_age_ms == max_age_ms &&
            all->items[i]->start_ms == start_ms)
            return all->items[i];
    return NULL;
}

void slab_insert(slabs *all, slab *s)
{
    size_t at = all->n;

    all->items = must_realloc(all->items, (all->n + 1) * sizeof(slab *));
    for (; at > 0 && (all->items[at - 1]->max_age_ms > s->max_age_ms ||
                      (all->items[at - 1]->max_age_ms == s->max_age_ms &&
                       all->items[at - 1]->start_ms > s->start_ms));
         at--)
        all->items[at] = all->items[at - 1];
    all->items[at] = s;
    all->n++;
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
