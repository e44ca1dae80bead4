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
    bool held;           /* stops in the middle of either, until there is a swap */
} request_plan;

typedef enum request_end { OPEN, REPLIED, STREAMED } request_end;

struct broker_req {
    object o;
    route *route;
    request_plan plan;
    sb params; /* values, each behind its name and a NUL */
    sb target, content;
    size_t sent; /* bytes of the content that have come. [loop] */
    bool received, posted, over;
    broker_intake intake;
    bool paused;                                /* under the kit's lock */
    request_end end;                            /* under the kit's lock */
    broker_body body;                           /* of an answer that streams */
    bool waiting, woken, pulling, closed, left; /* under the kit's lock */
    size_t n_parts, n_bytes;
};

/* The request becomes a WebSocket; false: it had been ended. (net.upgrade) */
bool request_upgrade(broker_req *q);
/* A request that has not been told of yet. */
broker_req *request_new(route *r, const request_plan *plan);
/* Send it; it goes on in kit_run(). */
void request_send(route *r, const request_plan *plan);
/* The next part of its body. */
void request_go_on(broker_req *q);
/* Findings about those that nobody answered; what streams on is cut. */
void requests_check(kit *k);

/* ---- Answers that stream (answer.c) ---- */

/* Pull the next part, never two at once. [any] */
void answer_pull(broker_req *q);
/* close() it, once. [any] */
void answer_close(broker_req *q);
void answer_wake(broker_req *q);

/* ---- Across a swap (crossing.c) ---- */

/* What was under way in one build, for the next one. */
typedef struct crossing {
    struct crossing *next;
    char *method, *path; /* of the route */
    bool is_body;        /* an answer; else a request whose body was being read */
    size_t sent;
    request_plan plan;
    sb saved;
} crossing;

/* Save what is held and can be saved; the rest goes on. [loop] */
crossing *crossing_save(kit *k);
/* Take it over; it goes on. cut: only so many bytes of what was saved. [loop] */
void crossing_resume(kit *k, const crossing *c, size_t cut);
void crossing_free(crossing *c);

#endif
