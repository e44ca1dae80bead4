/* seek -- who is in the part, asked of the source; and being listed there ourselves.
 *
 * With too few neighbours the source is asked after 0, 1, 3, 7, 15, 31 s and then every 30 s; we
 * are listed, again every 60 s, while fewer than eight others are. */
#ifndef STREAMR_DELIVERY_SEEK_H
#define STREAMR_DELIVERY_SEEK_H

#include "rpc/peers.h"

typedef struct part part;

typedef struct seek {
    peers_timer *alarm, *list_alarm;
    unsigned tries;
    int64_t began_ms; /* the times of the first questions count from here */
    bool asking, list_due, is_listed;
    bool has_asked;
    int64_t asked_ms;
} seek;

void seek_start(part *p);
/* A neighbour was lost: begin anew when it was the last. */
void seek_lost(part *p);
void seek_end(part *p);

#endif
