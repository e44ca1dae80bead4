/* streams -- "chain.streams/1", as chain_streams.h promises it. [loop] */
#ifndef CHAIN_STREAMS_SERVICE_H
#define CHAIN_STREAMS_SERVICE_H

#include "chain_streams.h"
#include "events.h"
#include "views.h"

typedef struct streams streams;

/* e may be NULL: the settings say no. */
streams *streams_new(views *v, rpc *r, events *e);
broker_rc streams_offer(streams *s, broker_ctx *ctx, const broker_registry *registry);
/* The build leaves: what fails from now on fails with BROKER_EGONE. */
void streams_leave(streams *s);
void streams_free(streams *s); /* accepts NULL */

#endif
