/* chain_fake -- a host for the parts of the chain plugin: a clock that is set, endpoints that
 * answer when the test says so, verdicts that are kept. */
#ifndef TESTS_CHAIN_FAKE_H
#define TESTS_CHAIN_FAKE_H

#include "checker.h"
#include "rpc.h"
#include "views.h"

#include <broker/plugin.h>

#define FAKE_POSTS    256
#define FAKE_VERDICTS 64

struct broker_fetch_job {
    sb url, body;
    bool over, cancelled;
    void *self;
    void (*on_done)(void *self, broker_rc rc, uint32_t status, broker_bytes body, const char *why);
};

struct broker_check {
    int name; /* of the test's */
};

struct broker_metric {
    int nothing;
};

static struct {
    struct broker_ctx ctx;
    uint64_t now_ms;
    int64_t clock_ms;
    void (*on_time)(void *arg);
    void *timer_arg;
    struct broker_fetch_job posts[FAKE_POSTS];
    size_t n_posts;
    const char *retry_after;
    broker_checker checker;
    struct {
        int check;
        int8_t ok[64];
        size_t n;
    } verdicts[FAKE_VERDICTS];
    size_t n_verdicts;
    uint32_t state;
    struct broker_metric metric;
} fake;

static void fake_log(broker_ctx *ctx, uint32_t level, const char *line)
{
    (void)ctx, (void)level, (void)line;
}

static broker_rc fake_fail(broker_ctx *ctx, broker_rc rc, const char *why)
{
    (void)ctx, (void)why;
    return rc;
}

static broker_rc fake_fetch_start(broker_ctx *ctx, const broker_fetch_request *what,
                                  broker_fetch_job **out)
{
    struct broker_fetch_job *job = &fake.posts[fake.n_posts++];

    (void)ctx;
    must(fake.n_posts <= FAKE_POSTS);
    *job = (struct broker_fetch_job){.self = what->self, .on_done = what->on_done};
    sb_puts(&job->url, what->url);
    sb_append(&job->body, what->body.ptr, what->body.len);
    *out = job;
    return BROKER_OK;
}

static void fake_fetch_cancel(broker_fetch_job *job)
{
    must(!job->over);
    job->over = job->cancelled = true;
}

static broker_str fake_fetch_header(broker_fetch_job *job, const char *name)
{
    (void)job, (void)name;
    return (broker_str){fake.retry_after, fake.retry_after != NULL ? strlen(fake.retry_after) : 0};
}

static broker_rc fake_timer(broker_ctx *ctx, uint64_t first_ms, uint64_t every_ms,
                            void (*on_time)(void *arg), void *arg, broker_timer **out)
{
    (void)ctx, (void)first_ms, (void)every_ms;
    fake.on_time = on_time;
    fake.timer_arg = arg;
    *out = (broker_timer *)&fake;
    return BROKER_OK;
}

static void fake_timer_stop(broker_timer *t)
{
    (void)t;
    fake.on_time = NULL;
}

static uint64_t fake_now(broker_ctx *ctx)
{
    (void)ctx;
    return fake.now_ms;
}

static int64_t fake_clock(broker_ctx *ctx)
{
    (void)ctx;
    return fake.clock_ms;
}

static broker_rc fake_metric(broker_ctx *ctx, const char *name, const char *labels,
                             const char *help, broker_metric **out)
{
    (void)ctx, (void)name, (void)labels, (void)help;
    *out = &fake.metric;
    return BROKER_OK;
}

static void fake_add(broker_metric *m, int64_t n)
{
    (void)m, (void)n;
}

static void fake_set(broker_metric *m, double value)
{
    (void)m, (void)value;
}

static void fake_state(broker_ctx *ctx, uint32_t state, const char *why)
{
    (void)ctx, (void)why;
    fake.state = state;
}

static broker_rc fake_offer(broker_ctx *ctx, const broker_checker *checker)
{
    (void)ctx;
    fake.checker = *checker;
    return BROKER_OK;
}

static void fake_answer(broker_check *check, const int8_t *ok, size_t n)
{
    must(fake.n_verdicts < FAKE_VERDICTS && n <= 64);
    fake.verdicts[fake.n_verdicts].check = check->name;
    fake.verdicts[fake.n_verdicts].n = n;
    memcpy(fake.verdicts[fake.n_verdicts++].ok, ok, n);
}

static const broker_host fake_host = {.size = sizeof fake_host, .log = fake_log, .fail = fake_fail};
static const broker_fetch fake_fetch = {sizeof fake_fetch, 0, fake_fetch_start, fake_fetch_cancel,
                                        fake_fetch_header};
static const broker_work fake_work = {.size = sizeof fake_work,
                                      .timer = fake_timer,
                                      .timer_stop = fake_timer_stop,
                                      .now_ms = fake_now,
                                      .clock_ms = fake_clock};
static const broker_metrics fake_metrics = {.size = sizeof fake_metrics,
                                            .counter = fake_metric,
                                            .gauge = fake_metric,
                                            .add = fake_add,
                                            .set = fake_set};
static const broker_node fake_node = {.size = sizeof fake_node, .state = fake_state};
static const broker_verify fake_verify = {sizeof fake_verify, 0, fake_offer, fake_answer};

/* ---- what a test does ---- */

static rpc_services fake_services(void)
{
    fake.ctx.host = &fake_host;
    return (rpc_services){&fake.ctx, &fake_fetch, &fake_work, &fake_metrics, &fake_node};
}

static void fake_tick(uint64_t later_ms)
{
    fake.now_ms += later_ms;
    fake.clock_ms += (int64_t)later_ms;
    fake.on_time(fake.timer_arg);
}

static void fake_done(size_t i, broker_rc rc, uint32_t status, const char *body)
{
    struct broker_fetch_job *job = &fake.posts[i];

    must(!job->over);
    job->over = true;
    job->on_done(job->self, rc, status,
                 (broker_bytes){(const uint8_t *)body, body != NULL ? strlen(body) : 0},
                 rc != BROKER_OK ? "refused" : NULL);
}

/* The first request that is not answered; FAKE_POSTS: none. */
static size_t fake_open(void)
{
    for (size_t i = 0; i < fake.n_posts; i++)
        if (!fake.posts[i].over)
            return i;
    return FAKE_POSTS;
}

static size_t fake_count_open(void)
{
    size_t n = 0;

    for (size_t i = 0; i < fake.n_posts; i++)
        n += !fake.posts[i].over;
    return n;
}

/* Answer all calls of a request with one result, or error, JSON as it is. */
static void fake_result(size_t i, const char *member)
{
    sb answer = SB_INIT;
    const char *at = fake.posts[i].body.data;
    bool list = at[0] == '[', first = true;

    if (list)
        sb_putc(&answer, '[');
    while ((at = strstr(at, "\"id\":")) != NULL) {
        at += 5;
        sb_printf(&answer, "%s{\"jsonrpc\":\"2.0\",\"id\":%lu,%s}", first ? "" : ",",
                  strtoul(at, NULL, 10), member);
        first = false;
    }
    if (list)
        sb_putc(&answer, ']');
    fake_done(i, BROKER_OK, 200, answer.data);
    sb_done(&answer);
}

static void fake_clear(void)
{
    for (size_t i = 0; i < fake.n_posts; i++) {
        sb_done(&fake.posts[i].url);
        sb_done(&fake.posts[i].body);
    }
}

#endif
