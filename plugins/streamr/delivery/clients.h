/* clients -- the nodes for whom we are a proxy in a part.
 *
 * A client that subscribes gets what neighbours get; a key request goes to those alone whose user
 * it is for. Nobody checks who a user is. */
#ifndef STREAMR_DELIVERY_CLIENTS_H
#define STREAMR_DELIVERY_CLIENTS_H

#include "delivery/delivery.h"
#include "delivery/glance.h"

#define CLIENTS_USER_MAX 2592u /* bytes of a user id: a public key at most */

typedef struct part part;

typedef struct client {
    node_id id;
    bool subscribes;
    pb_bytes user;
} client;

typedef struct clients {
    client *items;
    unsigned n, cap;
} clients;

void clients_serve(part *p, const peers_from *from, const void *msg, peers_call *call);
/* True: it was one. */
bool clients_remove(part *p, const node_id *id);
void clients_done(part *p);

/* Whom of them the message is for, but for the one it came from (or NULL); returns how many. */
size_t clients_targets(const clients *list, const glance *g, const node_id *from,
                       const node_id **to);
bool clients_wants(const clients *list, const node_id *id, const glance *g);

#endif
