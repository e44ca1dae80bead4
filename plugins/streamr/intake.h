/* intake -- what other nodes send, on its way into the bus: without a copy, and no faster than the bus
 * takes it. [loop] */
#ifndef STREAMR_INTAKE_H
#define STREAMR_INTAKE_H

#include "rpc/rpc.h"

/* Messages that wait while the bus is full: nothing more is read then, so these are the few that
 * were on their way. */
#define INTAKE_WAITING 256u

typedef struct intake intake;

/* origin: of our carrier. Stops reading from all nodes while the bus is full. */
intake *intake_new(broker_ctx *ctx, const broker_bus *bus, peers *p, uint64_t origin);
/* NULL: nothing. What waits is dropped. */
void intake_free(intake *in);

/* A StreamMessage as it came, of this stream part. Where it lies in the frame being served its
 * buffer is kept; else the bytes are copied. False: the bus has been full for too long, it is
 * dropped. */
bool intake_take(intake *in, pb_bytes stream, uint32_t partition, pb_bytes raw);

typedef struct intake_counts {
    uint64_t taken, copied, waited, dropped;
} intake_counts;
const intake_counts *intake_counted(const intake *in);

#endif
