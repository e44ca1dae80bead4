/* assignments -- a storage node of Streamr takes the streams that are assigned to it.
 *
 * The events of the chain say which streams to ask about, and so does the time (refreshInterval);
 * what counts is the chain's answer. So it does not matter whether an event is told twice, taken
 * back, or old. Between events and the answer of an endpoint that is behind there may be a
 * contradiction: then it is asked again soon. Of the partitions of a stream that is assigned those
 * are taken that cluster.h says are this node's; only then, and once that is on disk, the network
 * is told (announce.h). [loop] */
#ifndef LOGSTORE_ASSIGNMENTS_H
#define LOGSTORE_ASSIGNMENTS_H

#include "logstore.h"

/* Takes what was assigned before: by the build before (its state), or by the file. NULL: the host
 * refuses what it needs; why was said. */
assignments *assignments_new(logstore *l, broker_bytes state);
void assignments_free(assignments *a); /* accepts NULL */
/* Nothing is being written or published. Begins to write what is not on disk. */
bool assignments_are_idle(assignments *a);
/* For the next build. */
void assignments_save(assignments *a, sb *out);

bool assignments_have(const assignments *a, broker_str stream, uint32_t partition);
/* What keeps this node from being a storage node, a sentence; NULL: nothing. */
const char *assignments_trouble(assignments *a);

#endif
