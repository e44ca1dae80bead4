/* announce -- telling the Streamr network which stream parts this node has taken.
 *
 * For each a message {"streamPart":"<id>#<n>"} in the stream "<cluster>/assignments": the SDK's
 * addToStorageNode() waits for one of every partition. Nothing is said before the chain has that
 * stream and lets this node publish to it, nor of a part before a message of it would come here: a
 * neighbour is connected, or was waited for long enough. What was not published is tried again.
 * [loop] */
#ifndef LOGSTORE_ANNOUNCE_H
#define LOGSTORE_ANNOUNCE_H

#include "assigned.h"
#include "logstore.h"

typedef struct announce announce;

/* NULL: the host refuses the metrics. */
announce *announce_new(logstore *l, assigned_set *set);
void announce_free(announce *a); /* accepts NULL */
/* The stream has parts nobody was told of. */
void announce_stream(announce *a, assigned *s);
/* It will be dropped. */
void announce_forget(announce *a, assigned *s);
void announce_tick(announce *a, uint64_t now_ms);
/* Nothing that was published is still on its way. */
bool announce_is_idle(const announce *a);
/* What keeps it from telling, a sentence; NULL: nothing. */
const char *announce_trouble(const announce *a);

#endif
