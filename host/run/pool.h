/* pool -- worker threads, and lanes that keep jobs in order. */
#ifndef RUN_POOL_H
#define RUN_POOL_H

#include "run/loop.h"

typedef struct pool pool;
typedef struct lane lane;

/* A piece of work; embedded in what it is about. run() on a worker, then done()
 * on the loop (NULL: none; the job may be freed inside run()). */
typedef struct job {
    void (*run)(struct job *j);
    void (*done)(struct job *j);
    loop_call call; /* pool's own, as the rest */
    struct job *next;
    lane *lane;
    pool *pool;
} job;

pool *pool_new(loop *l, unsigned workers);
void pool_free(pool *p); /* waits for running jobs; queued ones must be gone [loop] */
unsigned pool_workers(const pool *p);
/* Any worker, any order. [any] */
void pool_submit(pool *p, job *j);
/* Ahead of all that wait: for what others wait for. [any] */
void pool_submit_first(pool *p, job *j);
/* Take back a job of no lane that has not begun; it is as if it had never been submitted. False: it
 * runs, or has run. [loop] */
bool pool_cancel(pool *p, job *j);

/* Jobs of one lane run one after another, in order of submission. [any] */
lane *lane_new(pool *p);
void lane_free(lane *ln); /* empty */
void lane_submit(lane *ln, job *j);

#endif
