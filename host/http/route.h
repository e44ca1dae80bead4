/* route -- which handler a request target means. Pure, apart from the list. */
#ifndef HTTP_ROUTE_H
#define HTTP_ROUTE_H

#include "run/ledger.h"

#include <broker/plugin.h>

#define ROUTE_PARAMS 8

typedef enum route_state {
    ROUTE_OPEN,
    ROUTE_HELD,   /* requests with a body wait                           */
    ROUTE_PARKED, /* all wait                                            */
    ROUTE_VACANT, /* all wait; its build is gone, the next one takes it  */
    ROUTE_CLOSED, /* as if it were not there                             */
} route_state;

typedef struct route {
    struct route *next;
    ledger *owner;
    route_state state;
    broker_route r; /* its strings are copies */
} route;

typedef struct route_match {
    const route *route;
    char *names[ROUTE_PARAMS], *values[ROUTE_PARAMS]; /* decoded; freed by route_match_done */
    size_t lengths[ROUTE_PARAMS];
    size_t n;
} route_match;

/* NULL, or why the pattern is malformed or taken. */
const char *route_add(route **list, ledger *owner, const broker_route *r);
void route_forget(route **list, const ledger *owner);
/* Open the routes of a plugin; remove its vacant ones. */
void route_open(route **list, const char *name);
/* 0 and *out; or the status to answer with. *allow: methods there are, for 405. */
unsigned route_find(const route *list, broker_str method, broker_str path, route_match *out,
                    sb *allow);
void route_match_done(route_match *m);

#endif
