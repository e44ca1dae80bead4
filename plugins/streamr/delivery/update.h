/* update -- every ten seconds neighbours ask each other whether they still are, and tell of theirs.
 */
#ifndef STREAMR_DELIVERY_UPDATE_H
#define STREAMR_DELIVERY_UPDATE_H

#include "delivery/errand.h"

/* Ask every neighbour. */
void update_ask(part *p);
void update_serve(part *p, const peers_from *from, const void *msg, peers_call *call);

#endif
