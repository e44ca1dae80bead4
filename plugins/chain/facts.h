/* facts -- what the chain said, and when: a bounded table, the longest unused goes first.
 *
 * A fact is two numbers under a key; what they mean, and how old they may be, its user knows.
 * Facts about a stream carry its mark, so that they can be made old together. Times are the host's
 * monotonic milliseconds. [loop] */
#ifndef CHAIN_FACTS_H
#define CHAIN_FACTS_H

#include "base/base.h"

typedef struct facts facts;

typedef struct fact_key {
    uint8_t bytes[32]; /* a hash of what was asked */
    uint8_t mark[8];   /* of the stream; zero: of none */
} fact_key;

typedef struct fact {
    int64_t a, b;
    uint64_t asked_ms;
} fact;

facts *facts_new(size_t max);
void facts_free(facts *f); /* accepts NULL */
size_t facts_count(const facts *f);

/* Borrowed until the table is changed; NULL when it is not there. */
const fact *facts_get(facts *f, const fact_key *key);
void facts_put(facts *f, const fact_key *key, const fact *value);
void facts_drop(facts *f, const fact_key *key);
/* Forget what is known under the mark (NULL: all) since before a time. */
void facts_drop_older(facts *f, const uint8_t *mark, uint64_t before_ms);

/* All of them, the longest unused first, for the next build; those asked before a time are left
 * out. */
void facts_save(const facts *f, uint64_t since_ms, sb *out);
/* False: damaged; what came before the damage is there. Nothing is from after now_ms. */
bool facts_load(facts *f, const void *bytes, size_t len, uint64_t now_ms);

#endif
