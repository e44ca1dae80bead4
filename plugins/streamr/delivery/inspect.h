/* inspect -- watching whether a node passes messages on: others watch us, we watch others.
 *
 * Who inspects becomes a temporary receiver of the inspected node and compares what comes from it
 * with what comes from everybody else. */
#ifndef STREAMR_DELIVERY_INSPECT_H
#define STREAMR_DELIVERY_INSPECT_H

#include "delivery/delivery.h"
#include "delivery/glance.h"

#define INSPECT_TEMPORARY 10u /* receivers, as the network has it */
#define INSPECT_AT_ONCE   4u  /* that we inspect, a part */
#define INSPECT_MS        60000u

typedef struct part part;
typedef struct watching watching;

typedef struct inspect {
    node_id temporary[INSPECT_TEMPORARY];
    unsigned n_temporary;
    watching *watches;
    unsigned watching; /* how many */
} inspect;

/* ---- Being inspected ---- */

void inspect_serve_open(part *p, const peers_from *from, const void *msg, peers_call *call);
/* True: it was one. */
bool inspect_remove(part *p, const node_id *id);
size_t inspect_targets(const inspect *i, const node_id **to);

/* ---- Inspecting ---- */

bool inspect_start(part *p, pb_bytes descriptor,
                   void (*done)(void *arg, bool connected, uint64_t both, uint64_t others),
                   void *arg);
/* A copy of a message came, new or not. */
void inspect_saw(part *p, const glance *g, const node_id *from);
/* Both roles; done() is not called. */
void inspect_done(part *p);

#endif
