/* outbox -- published messages that no node has yet, in their order, for a while. */
#ifndef STREAMR_DELIVERY_OUTBOX_H
#define STREAMR_DELIVERY_OUTBOX_H

#include "delivery/delivery.h"

#define OUTBOX_BYTES (8u * 1024u * 1024u)

typedef struct part part;

/* A message and what keeps it, or its own copy. */
typedef struct parcel {
    struct parcel *next;
    pb_bytes bytes;
    void *owner;
    void (*release)(void *owner); /* NULL: the bytes lie behind the parcel, or in buf */
    peers *buf_of;
    struct broker_buf *buf;
    int64_t since_ms;
    bool is_checked; /* its chain knows it already */
} parcel;

parcel *parcel_of(const delivery_bytes *message);
parcel *parcel_of_received(peers *p, pb_bytes bytes, struct broker_buf *buf);
void parcel_free(void *parcel);

typedef struct outbox {
    parcel *first, **end;
    unsigned n;
    size_t bytes;
    peers_timer *alarm;
} outbox;

void outbox_add(part *p, const delivery_bytes *message, bool is_checked);
/* Send what can be sent. A message that is for nobody here (a key request for no client of ours)
 * holds up no other. False: queues are full, what comes now must wait behind the rest. */
bool outbox_flush(part *p);
/* on_unsent() for all. */
void outbox_end(part *p);

#endif
