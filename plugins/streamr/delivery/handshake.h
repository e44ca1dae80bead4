/* handshake -- becoming neighbours: asking, deciding, and stepping between two others. */
#ifndef STREAMR_DELIVERY_HANDSHAKE_H
#define STREAMR_DELIVERY_HANDSHAKE_H

#include "delivery/errand.h"

/* Ask to be a neighbour. between: the one who sent us there, or NULL; call: his request, which is
 * answered with what comes of it, or NULL. */
void handshake_ask(part *p, pb_bytes descriptor, const node_id *between, peers_call *call);

/* What others ask of us; msg is opened, in the part's arena. */
void handshake_serve(part *p, const peers_from *from, const void *msg, peers_call *call);
void handshake_serve_interleave(part *p, const peers_from *from, const void *msg, peers_call *call);

#endif
