/* request -- one HTTP request of the kit, from its route to its end. */
#ifndef CONFORMANCE_REQUEST_H
#define CONFORMANCE_REQUEST_H

#include "kit.h"

#define REQUEST 0x72657173u
#define ROUTE   0x726f7574u

typedef struct route {
    object o;
    char *method, *path;
    broker_route r; /* method and path are the copies */
    bool ended;
} route;

/* What a client does. */
typedef struct request_plan {
    const char *method;  /* NULL: the route's */
    const char *value;   /* of parameters of one segment; of more, it is a stream id */
    const char *last;    /* of the last one, or NULL: the same */
    const char *content; /* the body, or NULL */
    size_t part;         /* bytes of the body that come at a time; 0: all */
    bool leaves;         /* in the middle of the body, or of the answer */
} request_plan;

/* The request becomes a WebSocket; false: it had been ended. (net.upgrade) */
bool request_upgrade(broker_req *q);
/* Send it; it goes on in kit_run(). */
void request_send(route *r, const request_plan *plan);
/* Findings about those that nobody answered; what streams on is cut. */
void requests_check(kit *k);

#endif
