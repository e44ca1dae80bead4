/* taken -- the parts of assigned streams that are this node's: subscribed to, counted, listed.
 *
 * Which are this node's cluster.h says; what mode.trackedStreams subscribes to anyway is not
 * subscribed to again. [loop] */
#ifndef LOGSTORE_TAKEN_H
#define LOGSTORE_TAKEN_H

#include "assigned.h"
#include "logstore.h"

#define TAKEN_PARTS_MAX 10000u

typedef struct taken {
    logstore *l;
    size_t n;
    bool full; /* more is assigned than is taken */
} taken;

/* So many partitions of the stream are to be taken, as far as they are this node's. */
void taken_set(taken *t, assigned *s, uint32_t n);
uint32_t taken_count(const assigned *s);
/* Somebody was told of all that are taken. */
bool taken_are_told(const assigned *s);
/* GET /assignments */
void taken_reply(const taken *t, assigned_set *set, broker_req *req);

#endif
