/* rpc -- questions to a chain, asked of several endpoints until enough of them agree.
 *
 * A call goes to as many endpoints as must say the same (the quorum), in the order they are
 * configured; those that fail are left alone for a while, which doubles, and others are asked.
 * What waits at one time goes to an endpoint as one request (a JSON-RPC batch). Everything is
 * bounded: calls, requests under way, the length of an answer, the time for an answer.
 * An endpoint is believed after it has said that it serves the chain. [loop] throughout. */
#ifndef CHAIN_RPC_H
#define CHAIN_RPC_H

#include "base/base.h"

#include <broker/plugin.h>

#define RPC_ENDPOINTS 16u

typedef struct rpc rpc;
typedef struct rpc_call rpc_call;

typedef enum rpc_end {
    RPC_RESULT,   /* text is JSON                            */
    RPC_REVERTED, /* the contract refused                    */
    RPC_FAILED,   /* text says why it could not be found out */
} rpc_end;

typedef void (*rpc_done)(void *arg, rpc_end end, const char *text);

typedef struct rpc_options {
    char *urls[RPC_ENDPOINTS]; /* copied */
    size_t n_urls, quorum;
    uint64_t chain_id;
    uint32_t timeout_ms;  /* of one request                          */
    uint32_t patience_ms; /* of one call, whatever endpoints it asks */
    size_t max_requests;  /* under way at one endpoint               */
    size_t max_calls;
} rpc_options;

/* How a call is asked; NULL stands for zeros. */
typedef struct rpc_how {
    size_t quorum; /* 0: the one of the options */
    /* What counts of a result, written in one way: endpoints say the same with other trimmings.
     * Freed by the caller with free(). NULL: it is no answer to this. */
    char *(*reduce)(const char *text);
} rpc_how;

/* What it uses of the host. */
typedef struct rpc_services {
    broker_ctx *ctx;
    const broker_fetch *fetch;
    const broker_work *work;
    const broker_metrics *metrics;
    const broker_node *node;
} rpc_services;

rpc *rpc_new(const rpc_options *o, const rpc_services *s);
/* The metrics and the timer; again after rpc_close(). */
broker_rc rpc_open(rpc *r);
/* Nothing is under way: rpc_give_up() first. */
void rpc_close(rpc *r);
void rpc_free(rpc *r); /* accepts NULL; nobody is told */

/* params is JSON. done() comes once, later or inside rpc_flush(), never from in here. NULL: too
 * many calls wait. */
rpc_call *rpc_ask(rpc *r, const char *method, const char *params, const rpc_how *how, rpc_done done,
                  void *arg);
/* Send what waits. Whoever asks does this when all is asked that there is to ask. */
void rpc_flush(rpc *r);
/* The same, and no done() comes from inside. */
void rpc_push(rpc *r);
/* done() does not come. */
void rpc_forget(rpc_call *c);
/* All that waits fails. */
void rpc_give_up(rpc *r);
size_t rpc_waiting(const rpc *r);

#endif
