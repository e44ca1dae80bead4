/* dedup -- see dedup.h.
 *
 * A ring of hashes in order of arrival, and an open-addressed table of places in the ring,
 * at most half full; the one that leaves the ring is taken out by shifting back. */
#include "wire/dedup.h"

#include <stdlib.h>

struct dedup {
    uint64_t *ring;
    uint32_t *slots; /* place in the ring + 1; 0: free */
    uint32_t capacity, used, next, mask;
};

dedup *dedup_new(uint32_t capacity)
{
    dedup *d = must_alloc(sizeof *d);
    uint32_t slots = 2;

    must(capacity > 0 && capacity <= UINT32_MAX / 8);
    while (slots < 2 * capacity)
        slots *= 2;
    d->ring = must_alloc(capacity * sizeof *d->ring);
    d->slots = must_alloc(slots * sizeof *d->slots);
    d->capacity = capacity;
    d->mask = slots - 1;
    return d;
}

void dedup_free(dedup *d)
{
    if (d == NULL)
        return;
    free(d->ring);
    free(d->slots);
    free(d);
}

/* Where the hash is, or the free slot where it would be. */
static uint32_t find(const dedup *d, uint64_t hash)
{
    uint32_t at = (uint32_t)hash & d->mask;

    while (d->slots[at] != 0 && d->ring[d->slots[at] - 1] != hash)
        at = (at + 1) & d->mask;
    return at;
}

static void take_out(dedup *d, uint64_t hash)
{
    uint32_t hole = find(d, hash), at = hole;

    for (;;) {
        uint32_t home;

        at = (at + 1) & d->mask;
        if (d->slots[at] == 0)
            break;
        home = (uint32_t)d->ring[d->slots[at] - 1] & d->mask;
        /* Not past its home: it may fill the hole. */
        if (((at - home) & d->mask) >= ((at - hole) & d->mask)) {
            d->slots[hole] = d->slots[at];
            hole = at;
        }
    }
    d->slots[hole] = 0;
}

bool dedup_seen(dedup *d, const void *id, size_t len)
{
    uint64_t hash = hash_bytes(id, len);

    if (d->slots[find(d, hash)] != 0)
        return true;
    if (d->used == d->capacity)
        take_out(d, d->ring[d->next]);
    else
        d->used++;
    d->ring[d->next] = hash;
    d->slots[find(d, hash)] = d->next + 1;
    d->next = d->next + 1 < d->capacity ? d->next + 1 : 0;
    return false;
}
