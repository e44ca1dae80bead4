/* outbox -- published messages that no node has yet, in their order, for a while. */
#ifndef STREAMR_DELIVERY_OUTBOX_H
#define STREAMR_DELIVERY_OUTBOX_H

#include "delivery/delivery.h"

#define OUTBOX_BYTES (8u * 1024u * 1024u)

typedef struct part part;

/* Of all parts together; what would be more is not kept. */
#define OUTBOX_KEPT (64u * 1024u * 1024u)

/* A message and what keeps it: its owner, the buffer it came in, or a copy. */
typedef struct parcel {
    struct parcel *next;
    delivery *d; /* counts what is kept */
    pb_bytes bytes;
    void *owner;
    void (*release)(void *owner); /* NULL: no owner */
    struct broker_buf *buf;       /* NULL: not in one */
    int64_t since_ms;
    bool is_checked; /* its chain knows it already */
} parcel;

parcel *parcel_of(delivery *d, const delivery_bytes *message);
/* buf NULL, or so large that keeping it for the message would be a waste: a copy. */
parcel *parcel_of_received(delivery *d, pb_bytes bytes, struct broker_buf *buf);
void parcel_free(void *parcel);

typedef struct outbox {
    parcel *first, **end;
    unsigned n;
    size_t bytes;
    peers_timer *alarm;
} outbox;

/* Older ones make room, with on_unsent(). False: other parts keep too much. */
bool outbox_add(part *p, const delivery_bytes *message, bool is_checked);
/* Send what can be sent. A message that is for nobody here (a key request for no client of ours)
 * holds up no other. False: queues are full, what comes now must wait behind the rest. */
bool outbox_flush(part *p);
/* on_unsent() for all. */
void outbox_end(part *p);

#endif
