/* service_work -- "broker.work/1" of the kit. */
#include "kit.h"

#define MAGIC 0x74696d65u
#define LANES 32u

typedef struct job {
    kit *k;
    void (*run)(void *arg);
    void (*done)(void *arg);
    void *arg;
} job;

struct broker_timer {
    object o;
    kit_timer *timer; /* NULL: stopped */
    void (*on_time)(void *arg);
    void *arg;
};

static void job_done(void *arg)
{
    job *j = arg;

    if (j->done != NULL)
        CROSS("done", j->done(j->arg));
    atomic_fetch_sub(&j->k->jobs, 1);
    free(j);
}

static void job_run(void *arg)
{
    job *j = arg;

    CROSS("run", j->run(j->arg));
    kit_post_late(job_done, j);
}

static broker_rc submit(broker_ctx *ctx, uint32_t lane, void (*run)(void *arg),
                        void (*done)(void *arg), void *arg)
{
    kit *k = kit_of(ctx);
    job *j;

    if (called(k, CALL_work_submit))
        return refuse(k, CALL_work_submit);
    if (lane >= LANES || run == NULL) {
        finding("work.submit() was given %s", run == NULL ? "nothing to run" : "a lane above 31");
        return BROKER_EINVAL;
    }
    j = must_alloc(sizeof *j);
    *j = (job){k, run, done, arg};
    atomic_fetch_add(&k->jobs, 1);
    kit_submit(k, lane, job_run, j);
    return BROKER_OK;
}

static void timer_end(broker_timer *t)
{
    if (t->timer != NULL)
        kit_timer_free(t->timer);
    t->timer = NULL;
}

static void timer_free(object *o)
{
    timer_end(CONTAINER_OF(o, broker_timer, o));
    free(CONTAINER_OF(o, broker_timer, o));
}

static void timer_fired(void *arg)
{
    broker_timer *t = arg;

    CROSS("on_time", t->on_time(t->arg));
}

static broker_rc timer(broker_ctx *ctx, uint64_t first_ms, uint64_t every_ms,
                       void (*on_time)(void *arg), void *arg, broker_timer **out)
{
    kit *k = kit_of(ctx);
    broker_timer *t;

    if (called(k, CALL_work_timer))
        return refuse(k, CALL_work_timer);
    if (on_time == NULL || out == NULL) {
        finding("work.timer() was given NULL for %s", on_time == NULL ? "on_time" : "the result");
        return BROKER_EINVAL;
    }
    t = must_alloc(sizeof *t);
    object_init(k, &t->o, MAGIC, timer_free);
    t->on_time = on_time;
    t->arg = arg;
    t->timer = kit_timer_new(first_ms, every_ms, timer_fired, t);
    *out = t;
    return BROKER_OK;
}

static void timer_stop(broker_timer *t)
{
    if (called_on(t, MAGIC, CALL_work_timer_stop) == NULL)
        return;
    if (t->timer == NULL)
        finding("work.timer_stop() was called twice on one timer, or after quiesce(), when the "
                "host had stopped it");
    timer_end(t);
}

void kit_forget_work(kit *k)
{
    pthread_mutex_lock(&k->lock);
    for (object *o = k->objects; o != NULL; o = o->next)
        if (o->magic == MAGIC)
            timer_end(CONTAINER_OF(o, broker_timer, o));
    pthread_mutex_unlock(&k->lock);
}

static uint64_t now_ms(broker_ctx *ctx)
{
    called(kit_of(ctx), CALL_work_now_ms);
    return kit_now_ms();
}

static int64_t clock_ms(broker_ctx *ctx)
{
    called(kit_of(ctx), CALL_work_clock_ms);
    return kit_clock_ms();
}

const broker_work kit_work = {
    sizeof kit_work, 0, submit, timer, timer_stop, now_ms, clock_ms,
};
