/* loop -- the event loop, and how other threads reach it. */
#ifndef RUN_LOOP_H
#define RUN_LOOP_H

#include "base/base.h"

#include <uv.h>

typedef struct loop loop;

/* A call to make on the loop; embedded in what it is about. Posted once at a time. */
typedef struct loop_call {
    void (*fn)(struct loop_call *call);
    struct loop_call *next;
} loop_call;

loop *loop_new(void);
void loop_free(loop *l); /* after loop_run() has returned */
uv_loop_t *loop_uv(loop *l);
/* Run until loop_stop(). [loop] */
void loop_run(loop *l);
void loop_stop(loop *l);
/* Make call->fn(call) run on the loop, in order of posting. [any] */
void loop_post(loop *l, loop_call *call);
/* Whether this thread is the loop's. [any] */
bool loop_is_here(const loop *l);

#endif
