/* neighbors -- a few nodes, in the order in which they came. */
#ifndef STREAMR_DELIVERY_NEIGHBORS_H
#define STREAMR_DELIVERY_NEIGHBORS_H

#include "delivery/delivery.h"

#define NEIGHBORS_MAX 16u

typedef struct neighbors {
    delivery_neighbor items[NEIGHBORS_MAX]; /* the last added is last */
    unsigned n;
} neighbors;

/* Copies the descriptor. False: full. */
bool neighbors_add(neighbors *list, const node_id *id, pb_bytes descriptor);
bool neighbors_remove(neighbors *list, const node_id *id);
delivery_neighbor *neighbors_find(neighbors *list, const node_id *id);
void neighbors_done(neighbors *list);

#endif
