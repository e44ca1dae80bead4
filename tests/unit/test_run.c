/* run: the loop, workers and lanes, the ledger, metrics. */
#include "run/buf.h"
#include "run/ledger.h"
#include "run/loop.h"
#include "run/metrics.h"
#include "run/pool.h"

#include <criterion/criterion.h>

#define JOBS 200

typedef struct step {
    job job;
    unsigned number;
    struct log *log;
} step;

typedef struct log {
    loop *loop;
    unsigned ran[JOBS], n_ran; /* by one lane only */
    unsigned done;
    atomic_uint inside, most_inside;
} log;

static void step_run(job *j)
{
    step *s = CONTAINER_OF(j, step, job);
    unsigned inside = atomic_fetch_add(&s->log->inside, 1) + 1;

    if (inside > atomic_load(&s->log->most_inside))
        atomic_store(&s->log->most_inside, inside);
    s->log->ran[s->log->n_ran++] = s->number;
    atomic_fetch_sub(&s->log->inside, 1);
}

static void step_done(job *j)
{
    step *s = CONTAINER_OF(j, step, job);

    cr_assert(loop_is_here(s->log->loop));
    if (++s->log->done == JOBS)
        loop_stop(s->log->loop);
}

Test(pool, jobs_of_a_lane_run_one_by_one_in_order)
{
    static step steps[JOBS];
    static log l;
    pool *p;
    lane *ln;

    l.loop = loop_new();
    p = pool_new(l.loop, 4);
    ln = lane_new(p);
    for (unsigned i = 0; i < JOBS; i++) {
        steps[i] = (step){.job = {.run = step_run, .done = step_done}, .number = i, .log = &l};
        lane_submit(ln, &steps[i].job);
    }
    loop_run(l.loop);
    for (unsigned i = 0; i < JOBS; i++)
        cr_assert_eq(l.ran[i], i, "job %u ran at place %u", l.ran[i], i);
    cr_assert_eq(l.most_inside, 1);
    lane_free(ln);
    pool_free(p);
    loop_free(l.loop);
}

typedef struct posted {
    loop_call call;
    loop *loop;
    unsigned *order, *n, number;
} posted;

static void posted_run(loop_call *call)
{
    posted *p = CONTAINER_OF(call, posted, call);

    p->order[(*p->n)++] = p->number;
    if (p->number == 2)
        loop_stop(p->loop);
}

Test(loop, calls_run_in_order_of_posting)
{
    unsigned order[3], n = 0;
    loop *l = loop_new();
    posted calls[3];

    for (unsigned i = 0; i < 3; i++) {
        calls[i] = (posted){{posted_run, NULL}, l, order, &n, i};
        loop_post(l, &calls[i].call);
    }
    loop_run(l);
    for (unsigned i = 0; i < 3; i++)
        cr_assert_eq(order[i], i);
    loop_free(l);
}

Test(ledger, says_what_is_held)
{
    ledger l = {.name = "x"};
    sb text = SB_INIT;

    cr_assert(ledger_is_clear(&l));
    atomic_store(&l.jobs, 2);
    atomic_store(&l.requests, 1);
    cr_assert_not(ledger_is_clear(&l));
    ledger_say(&l, &text);
    cr_assert_str_eq(text.data, "2 running jobs, 1 open request");
    sb_done(&text);
}

Test(ledger, cross_names_the_plugin_while_inside_it)
{
    ledger l = {.name = "x"};
    const ledger *seen = NULL;

    CROSS(&l, "test", seen = ledger_current);
    cr_assert_eq(seen, &l);
    cr_assert_null(ledger_current);
    cr_assert(ledger_is_clear(&l));
}

Test(metrics, render_as_prometheus_text)
{
    static const double bounds[] = {0.5, 1};
    sb text = SB_INIT;
    metric *h = metrics_histogram("t_seconds", NULL, "Time.", bounds, 2);

    metric_add(metrics_counter("t_total", "kind=\"a\"", "Things."), 3);
    metric_add(metrics_counter("t_total", "kind=\"b\"", "Things."), 1);
    metric_observe(h, 0.25);
    metric_observe(h, 0.75);
    metric_observe(h, 2);
    metrics_render(&text);
    cr_assert_str_eq(text.data, "# HELP t_seconds Time.\n# TYPE t_seconds histogram\n"
                                "t_seconds_bucket{le=\"0.5\"} 1\nt_seconds_bucket{le=\"1\"} 2\n"
                                "t_seconds_bucket{le=\"+Inf\"} 3\nt_seconds_sum 3\n"
                                "t_seconds_count 3\n"
                                "# HELP t_total Things.\n# TYPE t_total counter\n"
                                "t_total{kind=\"a\"} 3\nt_total{kind=\"b\"} 1\n");
    cr_assert_null(metrics_gauge("t_total", NULL, "another kind"));
    cr_assert_null(metrics_gauge("bad name", NULL, ""));
    sb_done(&text);
    metrics_free_all();
}

Test(buf, lives_as_long_as_somebody_holds_it)
{
    broker_buf *b = buf_new(10);

    buf_retain(b);
    buf_release(b);
    buf_bytes(b)[9] = 1; /* a sanitizer would object */
    buf_trim(b, 4);
    cr_assert_eq(b->len, 4);
    buf_release(b);
}
