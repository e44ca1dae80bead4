/* pool -- see pool.h.
 *
 * A lane lets one job at a time into the pool's queue and keeps the others
 * waiting; the next one enters when that one has run. */
#include "run/pool.h"

#include <signal.h>
#include <sys/prctl.h>

struct pool {
    loop *loop;
    unsigned workers; /* set before the first thread starts */
    uv_thread_t *threads;
    uv_mutex_t lock;
    uv_cond_t work;
    job *head, *tail; /* under lock */
    bool stopping;    /* under lock */
};

struct lane {
    pool *pool;
    job *head, *tail; /* waiting; under pool->lock */
    bool busy;        /* one job is queued or running; under pool->lock */
};

static void queue_push(pool *p, job *j)
{
    j->next = NULL;
    if (p->head == NULL)
        p->head = j;
    else
        p->tail->next = j;
    p->tail = j;
    uv_cond_signal(&p->work);
}

static void job_done(loop_call *call)
{
    job *j = CONTAINER_OF(call, job, call);

    j->done(j);
}

/* The job that ran in ln is over: let the next one in. Under p->lock. */
static void lane_advance(pool *p, lane *ln)
{
    job *next = ln->head;

    if (next == NULL) {
        ln->busy = false;
        return;
    }
    ln->head = next->next;
    queue_push(p, next);
}

static void worker_main(void *arg)
{
    pool *p = arg;
    sigset_t all;

    sigfillset(&all); /* signals are the loop's */
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    prctl(PR_SET_NAME, "worker");
    uv_mutex_lock(&p->lock);
    for (;;) {
        job *j;
        lane *ln;
        bool has_done;

        while (p->head == NULL && !p->stopping)
            uv_cond_wait(&p->work, &p->lock);
        if (p->head == NULL)
            break;
        j = p->head;
        p->head = j->next;
        uv_mutex_unlock(&p->lock);

        ln = j->lane;
        has_done = j->done != NULL;
        /* A lane moves on only after run(); j may be gone by then when it has no done. */
        j->run(j);

        uv_mutex_lock(&p->lock);
        if (ln != NULL)
            lane_advance(p, ln);
        if (has_done)
            loop_post(p->loop, &j->call);
    }
    uv_mutex_unlock(&p->lock);
}

pool *pool_new(loop *l, unsigned workers)
{
    pool *p = must_alloc(sizeof *p);

    must(workers > 0);
    p->loop = l;
    p->workers = workers;
    p->threads = must_alloc(workers * sizeof *p->threads);
    must(uv_mutex_init(&p->lock) == 0 && uv_cond_init(&p->work) == 0);
    for (unsigned i = 0; i < workers; i++)
        must(uv_thread_create(&p->threads[i], worker_main, p) == 0);
    return p;
}

void pool_free(pool *p)
{
    if (p == NULL)
        return;
    uv_mutex_lock(&p->lock);
    p->stopping = true;
    uv_cond_broadcast(&p->work);
    uv_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < p->workers; i++)
        uv_thread_join(&p->threads[i]);
    must(p->head == NULL);
    uv_cond_destroy(&p->work);
    uv_mutex_destroy(&p->lock);
    free(p->threads);
    free(p);
}

unsigned pool_workers(const pool *p)
{
    return p->workers;
}

static void job_ready(pool *p, job *j, lane *ln)
{
    j->pool = p;
    j->lane = ln;
    j->call.fn = job_done;
    j->call.next = NULL;
}

void pool_submit(pool *p, job *j)
{
    job_ready(p, j, NULL);
    uv_mutex_lock(&p->lock);
    queue_push(p, j);
    uv_mutex_unlock(&p->lock);
}

void pool_submit_first(pool *p, job *j)
{
    job_ready(p, j, NULL);
    uv_mutex_lock(&p->lock);
    j->next = p->head;
    p->head = j;
    if (j->next == NULL)
        p->tail = j;
    uv_cond_signal(&p->work);
    uv_mutex_unlock(&p->lock);
}

bool pool_cancel(pool *p, job *j)
{
    job **at = &p->head, *before = NULL;
    bool found;

    uv_mutex_lock(&p->lock);
    while (*at != NULL && *at != j) {
        before = *at;
        at = &before->next;
    }
    found = *at == j;
    if (found) {
        *at = j->next;
        if (p->tail == j)
            p->tail = before;
    }
    uv_mutex_unlock(&p->lock);
    return found;
}

lane *lane_new(pool *p)
{
    lane *ln = must_alloc(sizeof *ln);

    ln->pool = p;
    return ln;
}

void lane_free(lane *ln)
{
    if (ln == NULL)
        return;
    must(!ln->busy);
    free(ln);
}

void lane_submit(lane *ln, job *j)
{
    pool *p = ln->pool;

    job_ready(p, j, ln);
    uv_mutex_lock(&p->lock);
    if (!ln->busy) {
        ln->busy = true;
        queue_push(p, j);
    } else {
        j->next = NULL;
        if (ln->head == NULL)
            ln->head = j;
        else
            ln->tail->next = j;
        ln->tail = j;
    }
    uv_mutex_unlock(&p->lock);
}
