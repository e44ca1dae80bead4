/* gaps -- see gaps.h.
 *
 * Most chains arrive in order and have one gap: its lower end is in the chain itself, an
 * array is there only for those with more. The deciding gap is found by halving: it is the
 * highest whose lower end is below the message. */
#include "wire/gaps.h"

#include <stdlib.h>

typedef struct gap {
    gaps_number lower, upper; /* what is missing is above lower, up to upper */
    uint8_t age;              /* 1: seen by gaps_missing(), 2: counted */
} gap;

typedef struct chain {
    uint64_t hash;
    struct chain *next_same; /* in its bucket */
    struct chain *older, *newer;
    gap *gaps; /* all but the last, ascending */
    uint32_t n, cap;
    gaps_number newest; /* lower end of the last gap, which has no upper */
} chain;

#define BUCKETS 2048u

struct gaps {
    chain *buckets[BUCKETS];
    chain *oldest, *newest;
    uint32_t chains, beyond;
};

static int compare(gaps_number a, gaps_number b)
{
    if (a.timestamp_ms != b.timestamp_ms)
        return a.timestamp_ms < b.timestamp_ms ? -1 : 1;
    return a.sequence < b.sequence ? -1 : a.sequence > b.sequence;
}

/* ---- Chains ---- */

static void list_remove(gaps *g, chain *c)
{
    *(c->older != NULL ? &c->older->newer : &g->oldest) = c->newer;
    *(c->newer != NULL ? &c->newer->older : &g->newest) = c->older;
}

static void list_add(gaps *g, chain *c)
{
    c->older = g->newest;
    c->newer = NULL;
    *(g->newest != NULL ? &g->newest->newer : &g->oldest) = c;
    g->newest = c;
}

static void chain_forget(gaps *g, chain *c)
{
    chain **at = &g->buckets[c->hash % BUCKETS];

    while (*at != c)
        at = &(*at)->next_same;
    *at = c->next_same;
    list_remove(g, c);
    g->chains--;
    g->beyond -= c->n;
    free(c->gaps);
    free(c);
}

static chain *chain_find(gaps *g, uint64_t hash)
{
    chain *c = g->buckets[hash % BUCKETS];

    while (c != NULL && c->hash != hash)
        c = c->next_same;
    return c;
}

static void chain_add(gaps *g, uint64_t hash, gaps_number number)
{
    chain *c = must_alloc(sizeof *c);

    if (g->chains == GAPS_CHAINS)
        chain_forget(g, g->oldest);
    c->hash = hash;
    c->newest = number;
    c->next_same = g->buckets[hash % BUCKETS];
    g->buckets[hash % BUCKETS] = c;
    list_add(g, c);
    g->chains++;
}

/* Of the two hashes, so that no publisher can spell another's chain. */
static uint64_t chain_hash(pb_bytes publisher, pb_bytes name)
{
    uint64_t both[2] = {hash_bytes(publisher.ptr, publisher.len), hash_bytes(name.ptr, name.len)};

    return hash_bytes(both, sizeof both);
}

/* ---- The list ---- */

static void gap_delete(gaps *g, chain *c, uint32_t at)
{
    memmove(c->gaps + at, c->gaps + at + 1, (c->n - at - 1) * sizeof *c->gaps);
    c->n--;
    g->beyond--;
    if (c->n >= c->cap / 4)
        return;
    /* What a chain once needed is not kept: gaps are counted, room is not. */
    c->cap /= 2;
    c->gaps = must_realloc(c->gaps, c->cap * sizeof *c->gaps);
}

static void gap_insert(gaps *g, chain *c, uint32_t at, gap new)
{
    if (c->n == c->cap) {
        c->cap = c->cap != 0 ? c->cap * 2 : 4;
        c->gaps = must_realloc(c->gaps, c->cap * sizeof *c->gaps);
    }
    memmove(c->gaps + at + 1, c->gaps + at, (c->n - at) * sizeof *c->gaps);
    c->gaps[at] = new;
    c->n++;
    g->beyond++;
}

/* After a gap was added to c, which is the newest chain. */
static void keep_bounds(gaps *g, chain *c)
{
    if (c->n + 1 > GAPS_A_CHAIN)
        gap_delete(g, c, 0);
    while (g->beyond > GAPS_IN_ALL && g->oldest != c)
        chain_forget(g, g->oldest);
}

/* In the gap without an end. */
static gaps_verdict fill_last(gaps *g, chain *c, gaps_number number, const gaps_number *previous)
{
    int side = previous != NULL ? compare(*previous, c->newest) : 0;

    if (side < 0)
        return GAPS_MISMATCH;
    if (side > 0)
        gap_insert(g, c, c->n, (gap){c->newest, *previous, 0});
    c->newest = number;
    if (side > 0)
        keep_bounds(g, c);
    return GAPS_NEW;
}

static gaps_verdict fill(gaps *g, chain *c, uint32_t at, gaps_number number, gaps_number previous)
{
    gap whole = c->gaps[at];
    bool below = compare(previous, whole.lower) > 0, above = compare(number, whole.upper) < 0;

    if (compare(previous, whole.upper) >= 0)
        return GAPS_DUPLICATE;
    if (compare(previous, whole.lower) < 0 || compare(number, whole.upper) > 0)
        return GAPS_MISMATCH;
    if (below && above) {
        c->gaps[at].upper = previous;
        gap_insert(g, c, at + 1, (gap){number, whole.upper, whole.age});
        keep_bounds(g, c);
    } else if (below)
        c->gaps[at].upper = previous;
    else if (above)
        c->gaps[at].lower = number;
    else
        gap_delete(g, c, at);
    return GAPS_NEW;
}

/* How many gaps have their lower end below number. */
static uint32_t count_below(const chain *c, gaps_number number)
{
    uint32_t low = 0, high = c->n;

    while (low < high) {
        uint32_t mid = low + (high - low) / 2;

        if (compare(c->gaps[mid].lower, number) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

gaps_verdict gaps_check(gaps *g, pb_bytes publisher, pb_bytes name, gaps_number number,
                        const gaps_number *previous)
{
    uint64_t hash = chain_hash(publisher, name);
    chain *c = chain_find(g, hash);
    uint32_t below;

    if (previous != NULL && compare(*previous, number) >= 0)
        return GAPS_INVALID;
    if (c == NULL) {
        chain_add(g, hash, number);
        return GAPS_NEW;
    }
    list_remove(g, c);
    list_add(g, c);
    if (compare(number, c->newest) > 0)
        return fill_last(g, c, number, previous);
    below = previous != NULL ? count_below(c, number) : 0;
    return below != 0 ? fill(g, c, below - 1, number, *previous) : GAPS_DUPLICATE;
}

uint64_t gaps_missing(gaps *g)
{
    uint64_t n = 0;

    if (g->beyond == 0)
        return 0;
    for (chain *c = g->oldest; c != NULL; c = c->newer)
        for (uint32_t i = 0; i < c->n; i++)
            if (c->gaps[i].age < 2)
                n += c->gaps[i].age++;
    return n;
}

gaps *gaps_new(void)
{
    return must_alloc(sizeof(gaps));
}

void gaps_free(gaps *g)
{
    while (g != NULL && g->oldest != NULL)
        chain_forget(g, g->oldest);
    free(g);
}

uint32_t gaps_chains(const gaps *g)
{
    return g->chains;
}

uint32_t gaps_beyond(const gaps *g)
{
    return g->beyond;
}
