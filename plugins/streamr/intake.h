/* intake -- what other nodes send, on its way into the bus: without a copy, and no faster than the
 * bus takes it. [loop] */
#ifndef STREAMR_INTAKE_H
#define STREAMR_INTAKE_H

#include "rpc/rpc.h"

/* Messages that wait while the bus is full: nothing more is read then, so these are the few that
 * were on their way. */
#define INTAKE_WAITING 256u
/* Handed to the bus at once at most; what comes in one turn of the loop goes together. */
#define INTAKE_BATCH 64u

typedef struct intake intake;

/* origin: of our carrier. Stops reading from all nodes while the bus is full. */
intake *intake_new(broker_ctx *ctx, peers *p, uint64_t origin);
/* NULL: nothing. What waits and the bus does not take is dropped. */
void intake_free(intake *in);

/* A StreamMessage as it came. It lies in buf, which is kept; NULL: the bytes are copied. False: the
 * bus has been full for too long, it is dropped. */
bool intake_take(intake *in, broker_buf *buf, pb_bytes raw);

typedef struct intake_counts {
    uint64_t taken;  /* by the bus                        */
    uint64_t copied; /* of these, not kept where they lay */
    uint64_t waited; /* times the bus was full            */
    uint64_t dropped;
} intake_counts;
const intake_counts *intake_counted(const intake *in);

#endif
