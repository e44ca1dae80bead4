/* request -- one HTTP request, as the two files that serve it see it. Not for others. */
#ifndef GUEST_REQUEST_H
#define GUEST_REQUEST_H

#include "guest/parts.h"

/* Which of reply() and stream() has ended it. */
enum { NOT_ENDED, REPLIED, STREAMED };

/* A part of its body that came and waits. */
typedef struct piece {
    struct piece *next;
    broker_buf *buf;
    broker_bytes bytes;
    bool last;
} piece;

/* All [loop] but where said. */
struct broker_req {
    broker_req *next; /* of its slot */
    guest *g;
    uint64_t id;
    char *text; /* what it says; said points into it */
    unpacked *said;
    const unpacked_map *map;
    query query;
    bool has_query;

    broker_intake intake;
    bool has_intake, told, paused, left; /* told: the last part was; left: the client has */
    piece *first, **last;                /* of the body */
    loop_call call_resume;
    atomic_bool resume_posted;

    atomic_int ended;
    loop_call call_ended;
    broker_body stream;
    bool streaming, pulling, waiting, over, closed, closing; /* closed: by the node */
    broker_rc rc;                                            /* of the last pull */
    job job;                                                 /* pull, then close */
    part part;
    size_t sent;      /* of the part    */
    size_t under_way; /* of its answer  */
    loop_call call_wake;
    atomic_bool woken;
};

/* requests.c */
broker_req *guest_req_of(guest *g, uint64_t id);
bool guest_req_reads(const broker_req *r);
/* on_abort(), if its body is still read. */
void guest_req_abort(broker_req *r);
/* The plugin has nothing to do with it any more. */
void guest_req_leave(broker_req *r);
void guest_req_free(broker_req *r);

/* answers.c */
void guest_answer_init(broker_req *r);
void guest_answer_step(broker_req *r);
void guest_reply(broker_req *r, const broker_response *response);
void guest_stream(broker_req *r, const broker_response *response, const broker_body *body);
void guest_wake(broker_req *r);

#endif
