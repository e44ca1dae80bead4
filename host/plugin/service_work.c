/* service_work -- "broker.work/1": jobs on workers, timers on the loop. */
#include "plugin/build.h"

typedef struct plugin_job {
    job job;
    build *build;
    void (*run)(void *arg);
    void (*done)(void *arg);
    void *arg;
} plugin_job;

static void job_run(job *j)
{
    plugin_job *pj = CONTAINER_OF(j, plugin_job, job);

    CROSS(&pj->build->ledger, "run", pj->run(pj->arg));
}

static void job_done(job *j)
{
    plugin_job *pj = CONTAINER_OF(j, plugin_job, job);
    build *b = pj->build;

    if (pj->done != NULL)
        CROSS(&b->ledger, "done", pj->done(pj->arg));
    free(pj);
    atomic_fetch_sub(&b->ledger.jobs, 1); /* last: the build may go now */
}

static lane *lane_of(build *b, uint32_t number)
{
    lane *ln;

    uv_mutex_lock(&b->lock);
    if (b->lanes[number] == NULL)
        b->lanes[number] = lane_new(b->parts->pool);
    ln = b->lanes[number];
    uv_mutex_unlock(&b->lock);
    return ln;
}

static broker_rc submit(broker_ctx *ctx, uint32_t number, void (*run)(void *arg),
                        void (*done)(void *arg), void *arg)
{
    build *b = build_of(ctx);
    plugin_job *pj;

    if (number >= BUILD_LANES || run == NULL)
        return BROKER_EINVAL;
    pj = must_alloc(sizeof *pj);
    pj->job.run = job_run;
    pj->job.done = job_done;
    pj->build = b;
    pj->run = run;
    pj->done = done;
    pj->arg = arg;
    atomic_fetch_add(&b->ledger.jobs, 1);
    if (number == 0)
        pool_submit(b->parts->pool, &pj->job);
    else
        lane_submit(lane_of(b, number), &pj->job);
    return BROKER_OK;
}

/* A timer that the host has stopped stays until its build is gone: the plugin may still say
 * that it stops it. */
struct broker_timer {
    uv_timer_t uv;
    build *build;
    broker_timer *next;
    void (*on_time)(void *arg);
    void *arg;
    bool stopped, forgotten, closed;
};

static void timer_fired(uv_timer_t *uv)
{
    broker_timer *t = CONTAINER_OF(uv, broker_timer, uv);

    CROSS(&t->build->ledger, "on_time", t->on_time(t->arg));
}

static broker_rc timer(broker_ctx *ctx, uint64_t first_ms, uint64_t every_ms,
                       void (*on_time)(void *arg), void *arg, broker_timer **out)
{
    build *b = build_of(ctx);
    broker_timer *t = must_alloc(sizeof *t);

    t->build = b;
    t->on_time = on_time;
    t->arg = arg;
    t->next = b->timers;
    b->timers = t;
    must(uv_timer_init(loop_uv(b->parts->loop), &t->uv) == 0);
    must(uv_timer_start(&t->uv, timer_fired, first_ms, every_ms) == 0);
    atomic_fetch_add(&b->ledger.timers, 1);
    *out = t;
    return BROKER_OK;
}

static void timer_free_when_over(broker_timer *t)
{
    if (t->forgotten && t->closed)
        free(t);
}

static void timer_closed(uv_handle_t *uv)
{
    broker_timer *t = CONTAINER_OF((uv_timer_t *)uv, broker_timer, uv);

    t->closed = true;
    timer_free_when_over(t);
}

static void timer_halt(broker_timer *t)
{
    if (t->stopped)
        return;
    t->stopped = true;
    atomic_fetch_sub(&t->build->ledger.timers, 1);
    uv_close((uv_handle_t *)&t->uv, timer_closed);
}

static void timer_stop(broker_timer *t)
{
    broker_timer **at = &t->build->timers;

    while (*at != t) {
        must(*at != NULL);
        at = &(*at)->next;
    }
    *at = t->next;
    timer_halt(t);
    t->forgotten = true;
    timer_free_when_over(t);
}

void work_stop(build *b)
{
    for (broker_timer *t = b->timers; t != NULL; t = t->next)
        timer_halt(t);
}

void work_free(build *b)
{
    while (b->timers != NULL)
        timer_stop(b->timers);
    for (size_t i = 0; i < BUILD_LANES; i++) {
        lane_free(b->lanes[i]);
        b->lanes[i] = NULL;
    }
}

static uint64_t now_ms(broker_ctx *ctx)
{
    (void)ctx;
    return clock_mono_ns() / 1000000;
}

static int64_t clock_ms(broker_ctx *ctx)
{
    (void)ctx;
    return clock_wall_ms();
}

const broker_work service_work = {
    sizeof service_work, 0, submit, timer, timer_stop, now_ms, clock_ms,
};
