/* proxies -- the nodes through which we take part in a stream part without being a member.
 *
 * A proxy is asked, and once it has accepted it counts as a neighbour. One that is lost is asked
 * again at once and then every ten seconds, or another in its place. */
#ifndef STREAMR_DELIVERY_PROXIES_H
#define STREAMR_DELIVERY_PROXIES_H

#include "delivery/delivery.h"

#define PROXIES_MAX 64u

typedef struct part part;
typedef struct proxies proxies;

proxies *proxies_new(part *p, const delivery_proxied *how);
void proxies_free(proxies *list); /* says nothing to anybody */
void proxies_start(part *p);
bool proxies_same(const proxies *list, const delivery_proxied *how);
/* Whether this is one of the ways the messages may go. */
bool proxies_may(const proxies *list, network_direction direction);
/* It is no neighbour any more. */
void proxies_lost(part *p, const node_id *id);
/* To those that are connected: the locks are given back. */
void proxies_say_goodbye(part *p);

/* A node all of whose parts are proxied hides from its proxies' routing; tell them when that
 * changes. */
void proxies_privacy(delivery *d);

#endif
