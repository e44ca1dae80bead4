/* recent -- a stream part's last messages, for neighbours that come a little later.
 *
 * A message that fewer than two others have got is kept for ten seconds and given to each
 * neighbour that joins, but not to the one it came from, until two have it. At most
 * RECENT_MESSAGES and RECENT_BYTES are kept, the oldest go first. Items are the caller's:
 * recent holds them and lets them go with the function it was given. */
#ifndef STREAMR_WIRE_RECENT_H
#define STREAMR_WIRE_RECENT_H

#include "wire/identity.h"

#define RECENT_MS       10000
#define RECENT_MESSAGES 150u
#define RECENT_BYTES    (8u * 1024u * 1024u)
#define RECENT_TARGETS  2u

#define RECENT_TARGETS_MAX 8u

typedef struct recent recent;

recent *recent_new(void (*release)(void *item));
/* With another number of messages, and of nodes (up to RECENT_TARGETS_MAX) that are to have each.
 */
recent *recent_new_sized(void (*release)(void *item), uint32_t messages, unsigned targets);
void recent_free(recent *r);

/* A message that came from `source` (NULL: from here) and went to the n nodes of `given`.
 * Takes the item; lets it go at once when enough have it. Times must not run backwards. */
void recent_add(recent *r, void *item, size_t bytes, const node_id *source, const node_id *given,
                size_t n, int64_t now_ms);

/* For one that has just become a neighbour: send() is called with each message it should get,
 * oldest first; where it says true the message counts as given. send() must not call recent. */
void recent_feed(recent *r, const node_id *to, int64_t now_ms, bool (*send)(void *ctx, void *item),
                 void *ctx);

/* Let go of what is too old; the two above do so too. */
void recent_expire(recent *r, int64_t now_ms);
size_t recent_count(const recent *r);

#endif
