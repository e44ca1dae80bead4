/* rpc_parts -- what the files of rpc share: calls and their votes in rpc.c, requests in post.c.
 * Not for others. */
#ifndef CHAIN_RPC_PARTS_H
#define CHAIN_RPC_PARTS_H

#include "endpoint.h"
#include "rpc.h"

#define RPC_BATCH      20u        /* calls of one request          */
#define RPC_TRIES      3u         /* of one call at one endpoint   */
#define RPC_ANSWER_MAX (4u << 20) /* bytes                         */
#define RPC_FAILURES   3u         /* in a row: nobody waits for it */
#define RPC_TICK_MS    250u

typedef enum vote_state {
    VOTE_NONE,  /* may be asked                     */
    VOTE_ASKED, /* in a request                     */
    VOTE_GIVEN, /* it said end and text             */
    VOTE_ERROR, /* it will not answer this question */
} vote_state;

typedef struct vote {
    vote_state state;
    rpc_end end;
    unsigned tries;
    char *text;
} vote;

struct rpc_call {
    rpc *r;
    rpc_call *next, **at;
    uint64_t id, deadline_ms;
    char *method, *params;
    rpc_how how;
    rpc_done done;
    void *arg;
    bool over;       /* done() was called, or is not wanted */
    size_t requests; /* that have it in them                */
    char *why;       /* what went wrong last                */
    vote votes[];    /* of each endpoint                    */
};

typedef struct post {
    struct post *next, **at;
    rpc *r;
    endpoint *to;
    broker_fetch_job *job;
    uint64_t check_id; /* it asks for the chain; 0: calls */
    uint32_t retry_s;
    size_t n, answered;
    rpc_call *calls[RPC_BATCH];
} post;

struct rpc {
    rpc_services s;
    rpc_options o; /* without the urls */
    endpoint endpoints[RPC_ENDPOINTS];
    post *filling[RPC_ENDPOINTS];
    rpc_call *calls, **last;
    size_t n_waiting;
    uint64_t next_id;
    post *posts;
    bool flushing, again, degraded;
    broker_timer *timer;
    broker_metric *ends[3], *requests[2], *waiting, *answering;
};

uint64_t rpc_now(const rpc *r);

/* post.c. A call is put into the request being filled for an endpoint; false: no room there now. */
bool post_put(rpc *r, size_t who, rpc_call *c);
void posts_send(rpc *r);
/* Ask an endpoint for its chain, unless it is being asked. */
void post_check(rpc *r, endpoint *e);
/* Forget all; cancel: they are still under way. */
void posts_drop(rpc *r, bool cancel);

/* rpc.c */
void call_answered(rpc_call *c, size_t who, rpc_end end, const char *text);
/* The endpoint did not answer it: another try, or none. */
void call_unanswered(rpc_call *c, size_t who, const char *why, bool again, bool counts);
void call_left(rpc_call *c); /* a request is through with it */
void rpc_health(rpc *r);

#endif
