/* relay -- messages in, messages out: the hot path.
 *
 * A copy of a message comes in; is it new? Then it goes to every neighbour, proxy client and
 * inspector but the one it came from, encoded once for all, and to on_message(). Only when too few
 * have it is it kept for those who come in the next ten seconds. */
#ifndef STREAMR_DELIVERY_RELAY_H
#define STREAMR_DELIVERY_RELAY_H

#include "delivery/outbox.h"

/* The last thing done for a call: on_message() may leave the part. */
void relay_in(part *p, const peers_from *from, pb_bytes message);
delivery_fate relay_publish(part *p, const delivery_bytes *message, const char **why);
/* A published message that waited; its parcel is taken when DONE. */
typedef enum relay_result { RELAY_DONE, RELAY_NOBODY, RELAY_FULL } relay_result;
relay_result relay_send(part *p, parcel *c);
/* Give the last messages to one that is new. */
void relay_feed(part *p, const node_id *to);

#endif
