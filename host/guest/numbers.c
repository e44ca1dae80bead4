/* numbers -- numbers of subscriptions and routes, and what each stands for.
 *
 * A frame about one that has ended may still be on its way, so a number rests for as long as there
 * are others. */
#include "guest/parts.h"

void *numbers_get(const numbers *t, uint32_t number)
{
    return number < t->cap ? t->items[number] : NULL;
}

static void grow(numbers *t, uint32_t number)
{
    uint32_t cap = t->cap != 0 ? t->cap : 16;

    while (cap <= number)
        cap *= 2;
    if (cap == t->cap)
        return;
    t->items = must_realloc(t->items, cap * sizeof *t->items);
    memset(t->items + t->cap, 0, (cap - t->cap) * sizeof *t->items);
    t->cap = cap;
}

uint32_t numbers_take(numbers *t, void *what)
{
    for (uint32_t i = 1; i < IDS_MAX; i++) {
        uint32_t number = t->last + 1 < IDS_MAX ? t->last + 1 : 1;

        t->last = number;
        if (numbers_get(t, number) != NULL)
            continue;
        grow(t, number);
        t->items[number] = what;
        return number;
    }
    return 0;
}

void numbers_drop(numbers *t, uint32_t number)
{
    must(numbers_get(t, number) != NULL);
    t->items[number] = NULL;
}

void numbers_done(numbers *t)
{
    free((void *)t->items);
    *t = (numbers){0};
}
