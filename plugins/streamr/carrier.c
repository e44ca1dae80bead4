/* carrier -- between the bus and stream parts. */
#include "streamr.h"

broker_rc carrier_start(streamr *s)
{
    (void)s;
    return BROKER_OK;
}

void carrier_end(streamr *s)
{
    (void)s;
}

void carrier_parts(void *arg, pb_list *out, pb_arena *arena)
{
    (void)arg, (void)out, (void)arena;
}
