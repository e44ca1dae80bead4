/* slots -- see slots.h. */
#include "isolate/slots.h"

#include "isolate/words.h"

uint64_t slots_add(slots *s, void *what)
{
    uint32_t at;

    if (s->first_free == 0) {
        if (s->n == s->cap) {
            s->cap = s->cap != 0 ? s->cap * 2 : 64;
            s->items = must_realloc(s->items, s->cap * sizeof *s->items);
        }
        s->items[s->n] = (struct slot){0, 0, NULL};
        s->first_free = ++s->n;
    }
    at = s->first_free - 1;
    s->first_free = s->items[at].next_free;
    s->items[at].what = what;
    s->used++;
    return (uint64_t)s->items[at].generation << 32 | (at + 1);
}

static struct slot *slot_of(const slots *s, uint64_t number)
{
    uint32_t at = (uint32_t)number;

    return at != 0 && at <= s->n ? &s->items[at - 1] : NULL;
}

void *slots_get(const slots *s, uint64_t number)
{
    const struct slot *slot = slot_of(s, number);

    return slot != NULL && slot->generation == number >> 32 ? slot->what : NULL;
}

void *slots_take(slots *s, uint64_t number)
{
    struct slot *slot = slot_of(s, number);
    void *what = slots_get(s, number);

    if (what == NULL)
        return NULL;
    slot->what = NULL;
    slot->generation++;
    slot->next_free = s->first_free;
    s->first_free = (uint32_t)number;
    s->used--;
    return what;
}

bool slots_gave(const slots *s, uint64_t number)
{
    const struct slot *slot = slot_of(s, number);
    uint32_t generation = (uint32_t)(number >> 32);

    return slot != NULL && (generation < slot->generation ||
                            (generation == slot->generation && slot->what != NULL));
}

void slots_done(slots *s)
{
    free(s->items);
    *s = (slots){0};
}

void *ids_get(const ids *i, uint32_t id)
{
    return id < i->n ? i->items[id] : NULL;
}

bool ids_set(ids *i, uint32_t id, void *what)
{
    if (id == 0 || id >= IDS_MAX)
        return false;
    if (id >= i->n) {
        uint32_t n = id < 32 ? 64 : id * 2;

        i->items = must_realloc(i->items, n * sizeof *i->items);
        memset(i->items + i->n, 0, (n - i->n) * sizeof *i->items);
        i->n = n;
    }
    i->items[id] = what;
    return true;
}

void ids_done(ids *i)
{
    free(i->items);
    *i = (ids){0};
}
