/* Any sequence of messages on a few chains, against a model that looks at every gap in turn
 * and at none of the bounds. */
#include "wire/dedup.h"
#include "wire/gaps.h"

#include <stdlib.h>

#define CHAINS 4u
#define MOST   300u /* messages of one run */

typedef struct gap {
    int lower, upper;
} gap;

typedef struct model {
    gap gaps[MOST + 1];
    unsigned n;
} model;

#define END 1000000

static void drop(model *m, unsigned at)
{
    for (m->n--; at < m->n; at++)
        m->gaps[at] = m->gaps[at + 1];
}

static void add(model *m, unsigned at, gap new)
{
    for (unsigned i = m->n++; i > at; i--)
        m->gaps[i] = m->gaps[i - 1];
    m->gaps[at] = new;
}

/* previous below 0: none. As the specification says it, gap by gap from the newest. */
static gaps_verdict model_check(model *m, int number, int previous)
{
    if (previous >= number)
        return GAPS_INVALID;
    if (m->n == 0) {
        add(m, 0, (gap){number, END});
        return GAPS_NEW;
    }
    if (previous < 0) {
        if (number <= m->gaps[m->n - 1].lower)
            return GAPS_DUPLICATE;
        m->gaps[m->n - 1].lower = number;
        return GAPS_NEW;
    }
    for (unsigned i = m->n; i-- > 0;) {
        gap g = m->gaps[i];

        if (previous >= g.upper)
            return GAPS_DUPLICATE;
        if (previous >= g.lower) {
            if (number > g.upper)
                return GAPS_MISMATCH;
            drop(m, i);
            if (number < g.upper)
                add(m, i, (gap){number, g.upper});
            if (previous > g.lower)
                add(m, i, (gap){g.lower, previous});
            return GAPS_NEW;
        }
        if (number > g.lower)
            return GAPS_MISMATCH;
    }
    return GAPS_DUPLICATE;
}

/* The ids of the last `size`, looked through one by one. */
static void check_dedup(const uint8_t *data, size_t len, uint32_t size)
{
    dedup *d = dedup_new(size);
    uint8_t last[MOST];
    size_t n = 0;

    for (size_t i = 0; i < len && n < MOST; i++) {
        bool there = false;

        for (size_t k = n > size ? n - size : 0; k < n; k++)
            there = there || last[k] == data[i];
        must(dedup_seen(d, &data[i], 1) == there);
        if (!there)
            last[n++] = data[i];
    }
    dedup_free(d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static model models[CHAINS];
    static const char names[CHAINS] = "abcd";
    gaps *g = gaps_new();
    uint32_t beyond = 0;

    for (unsigned i = 0; i < CHAINS; i++)
        models[i].n = 0;
    for (size_t i = 0; i + 3 <= size && i < 3u * MOST; i += 3) {
        unsigned which = data[i] % CHAINS;
        /* Two digits: 0 to 255 as (timestamp, sequence) in the same order. */
        gaps_number number = {data[i + 1] >> 2, data[i + 1] & 3};
        gaps_number previous = {data[i + 2] >> 2, data[i + 2] & 3};
        bool has = data[i] < 224;
        gaps_verdict want = model_check(&models[which], data[i + 1], has ? data[i + 2] : -1);

        must(gaps_check(g, pb_bytes_from("p", 1), pb_bytes_from(&names[which], 1), number,
                        has ? &previous : NULL) == want);
    }
    for (unsigned i = 0; i < CHAINS; i++)
        beyond += models[i].n != 0 ? models[i].n - 1 : 0;
    must(gaps_beyond(g) == beyond);
    gaps_free(g);
    if (size > 1)
        check_dedup(data + 1, size - 1, 1 + data[0] % 32u);
    return 0;
}
