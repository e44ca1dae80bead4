/* target -- what a client asks for by the target of its request:
 * /streams/{id}/publish?... or /streams/{id}/subscribe?... [any] */
#ifndef WEBSOCKET_TARGET_H
#define WEBSOCKET_TARGET_H

#include "streamr/streamr.h"

/* What decides the partition of a published message. */
typedef enum target_route {
    ROUTE_DEFAULT,
    ROUTE_PARTITION, /* partition=           */
    ROUTE_KEY,       /* partitionKey=        */
    ROUTE_FIELD,     /* partitionKeyField=   */
} target_route;

typedef struct target {
    sb stream; /* domain in lower case */
    bool publish;
    bool ack; /* publish: tell what became of each message */
    target_route route;
    sb key; /* publish: the key, or the name of the field */
    /* The partitions to subscribe to, each once; or the one of ROUTE_PARTITION. */
    uint8_t partitions[STREAMR_PARTITIONS];
    size_t n_partitions;
} target;

/* *key, empty before, becomes the apiKey of the query; key->data stays NULL without one. False: a
 * sentence in *why, and *out is not to be used. */
bool target_read(broker_str text, target *out, sb *key, sb *why);
/* False: it is there already. */
bool target_add_partition(target *t, uint8_t partition);
/* The partitions it takes a stream to have at least, for the names in it. */
uint32_t target_least_partitions(const target *t);
void target_done(target *t);

#endif
