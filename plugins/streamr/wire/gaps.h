/* gaps -- which messages of a stream part are new, by publisher and chain.
 *
 * A chain's messages are numbered (timestamp, sequence), and most name the one before. What
 * is still missing is a list of gaps (lower, upper], ascending, the last without an end: a
 * message that fills a gap is new, one in no gap has been here. Reordering is thus told from
 * repetition without keeping messages.
 *
 * Bounds: a chain keeps its highest GAPS_A_CHAIN gaps; a stream part its GAPS_CHAINS chains
 * used last and GAPS_IN_ALL gaps beyond one a chain. Where more would be needed the chain
 * that was longest without a message is forgotten: its next message starts it anew, so a
 * repetition of it passes once. Chains are told apart by a keyed 64-bit hash. */
#ifndef STREAMR_WIRE_GAPS_H
#define STREAMR_WIRE_GAPS_H

#include "wire/table.h"

#define GAPS_A_CHAIN 10000u
#define GAPS_CHAINS  10000u
#define GAPS_IN_ALL  50000u

typedef struct gaps gaps;

typedef struct gaps_number {
    int64_t timestamp_ms;
    int32_t sequence;
} gaps_number;

typedef enum gaps_verdict {
    GAPS_NEW,
    GAPS_DUPLICATE,
    GAPS_INVALID,  /* the message before it is not before it       */
    GAPS_MISMATCH, /* the chain contradicts what it said earlier    */
} gaps_verdict;

gaps *gaps_new(void);
void gaps_free(gaps *g);
/* previous: NULL when the message names none. Only GAPS_NEW changes anything but the order in
 * which chains are forgotten. */
gaps_verdict gaps_check(gaps *g, pb_bytes publisher, pb_bytes chain, gaps_number number,
                        const gaps_number *previous);

/* How many gaps were open at the last call of this, too, and are counted for the first time: called
 * every minute it tells what is missing for good, more or less. */
uint64_t gaps_missing(gaps *g);

/* For showing and tests. */
uint32_t gaps_chains(const gaps *g);
uint32_t gaps_beyond(const gaps *g); /* gaps beyond one a chain */

#endif
