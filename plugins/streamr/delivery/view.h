/* view -- nodes that are said to be in a stream part: candidates for neighbours.
 *
 * As many as asked for of the nearest, and as many of the rest, in which a new one takes a random
 * place: nobody fills the view by making up node ids near ours. Who is left or right on the ring is
 * looked for among both. Fed from three sides: who is listed (seek), what neighbours tell (update,
 * handshake), and delivery_suggest(), which is where the views of a DHT's layer 1 go. */
#ifndef STREAMR_DELIVERY_VIEW_H
#define STREAMR_DELIVERY_VIEW_H

#include "wire/identity.h"

typedef struct candidate {
    node_id id;
    ring_id ring;
    bool has_server; /* can be dialled */
    pb_bytes descriptor;
} candidate;

typedef struct view_set {
    node_id self;
    ring_id self_ring;
    candidate *near, *others; /* near: nearest first */
    unsigned n_near, n_others, size;
} view_set;

typedef enum view_order {
    VIEW_SERVER,
    VIEW_LEFT,
    VIEW_RIGHT,
    VIEW_NEAREST,
    VIEW_RANDOM
} view_order;

void view_init(view_set *v, pb_bytes self, unsigned size);
void view_done(view_set *v);
/* True: it was not there. False too for ourselves and for what is no descriptor. Copies. */
bool view_add(view_set *v, pb_bytes descriptor);
void view_remove(view_set *v, const node_id *id);
unsigned view_count(const view_set *v);
/* The first in that order that is not refused; NULL: none. Valid until the view changes. */
const candidate *view_pick(const view_set *v, view_order order,
                           bool (*refused)(void *ctx, const node_id *id), void *ctx);

#endif
