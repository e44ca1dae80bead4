/* finder -- the search for neighbours: whom of the view to shake hands with next.
 *
 * A run tries candidates every 250 ms until there are enough neighbours or all were tried; who
 * failed or refused is left alone for the rest of it. With no neighbour at all it begins again,
 * ever more slowly. */
#ifndef STREAMR_DELIVERY_FINDER_H
#define STREAMR_DELIVERY_FINDER_H

#include "rpc/peers.h"

typedef struct part part;

#define FINDER_TRIED 64u /* a run; with more candidates than that it ends */

typedef struct finder {
    peers_timer *alarm; /* NULL: no run, none to come */
    bool running;
    unsigned n_tried;
    node_id tried[FINDER_TRIED];
    uint32_t again_ms; /* until the next run when there is no neighbour */
} finder;

/* Begin a run, unless there is one or it is not needed. */
void finder_start(part *p);
/* A neighbour came: what failed before may be tried soon when it is needed again. */
void finder_found(part *p);
void finder_end(part *p);

#endif
