/* rude -- plugins that load and then break one promise each: RUDE is which. RUDE=nothing
 * keeps them all.
 *
 * The conformance kit must find each; see tests/system/test_sdk.py. */
#include <broker/plugin.h>
#include <broker/plugin_log.h>

#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    nothing,
    exports_more,
    registers_in_create,
    opens_in_create,
    fails_silently,
    leaks_thread,
    leaks_file,
    leaks_memory,
    settles_twice,
    never_settles,
    takes_too_many,
    takes_none,
    retains,
    releases_twice,
    looks_later,
    crashes_on_message,
    never_answers,
    never_answers_after_abort,
    answers_twice,
    pulls_nothing,
    loop_call_on_worker,
    calls_from_own_thread,
    stops_timer_twice,
    never_leaves,
    never_quiesces,
    hangs,
    works_after_quiesce,
    drops_at_quiesce,
    never_waits,
    crashes_on_bad_state,
    refuses_its_state,
    needs_missing,
    ignores_failure,
    never_checks,
    exits,
    forgets_resumed,
    trusts_saved,
};
#ifndef RUDE
#define RUDE nothing
#endif
#define IS(what) (RUDE == (what))

#define TAKEN_MAX 64

typedef struct rude {
    broker_ctx *ctx;
    const broker_bus *bus;
    const broker_http *http;
    const broker_work *work;
    const broker_metrics *metrics;
    const broker_registry *registry;
    const broker_verify *verify;
    const broker_fetch *fetch;
    broker_sub *sub, *once;
    broker_fetch_job *job;
    broker_timer *timer;
    broker_metric *seen;
    broker_peer *peer;
    const broker_msg *taken[TAKEN_MAX]; /* settled by a job */
    size_t n_taken;
    int settling;
    const broker_msg *kept;
    uint32_t state[2]; /* version, messages */
} rude;

#ifdef RUDE_EXPORTS
__attribute__((visibility("default"))) int rude_export = 1;
#endif

/* ---- messages ---- */

static void settle_run(void *arg)
{
    rude *r = arg;

    for (size_t i = 0; i < r->n_taken; i++) {
        broker_outcome stored = {BROKER_STORED, 0, NULL};

        if (!IS(never_settles))
            r->bus->settle(r->sub, &r->taken[i], &stored, 1);
        if (IS(settles_twice))
            r->bus->settle(r->sub, &r->taken[i], &stored, 1);
    }
    if (IS(loop_call_on_worker))
        r->registry->follow(r->ctx, "rude.table/1", &r->peer);
}

static void settle_done(void *arg)
{
    rude *r = arg;

    r->settling = 0;
    r->n_taken = 0;
    r->bus->resume(r->sub);
}

static size_t on_msgs(void *self, const broker_msg *const *msgs, size_t n)
{
    rude *r = self;

    if (IS(takes_none) || r->settling)
        return 0;
    if (IS(crashes_on_message))
        *(volatile char *)NULL = 0;
    if (IS(retains))
        r->bus->retain(msgs[0]);
    if (IS(releases_twice))
        r->bus->release(msgs[0]);
    if (IS(looks_later) && r->kept != NULL && memchr(r->kept->raw.ptr, 1, r->kept->raw.len) == NULL)
        abort();
    r->kept = msgs[0];
    memcpy(r->taken, msgs, n * sizeof *msgs);
    r->n_taken = n;
    r->state[1] += (uint32_t)n;
    if (r->work->submit(r->ctx, 1, settle_run, settle_done, r) != BROKER_OK) {
        r->n_taken = 0;
        for (size_t i = 0; i < n; i++) {
            broker_outcome failed = {BROKER_FAILED, 0, "no worker"};

            r->bus->settle(r->sub, &msgs[i], &failed, 1);
        }
        return n;
    }
    r->settling = 1;
    r->metrics->add(r->seen, (int64_t)n);
    return IS(takes_too_many) ? n + 1 : n;
}

/* ---- requests ---- */

static void answer(rude *r, broker_req *req, uint32_t status)
{
    broker_response a = {.size = sizeof a, .status = status};

    if (!IS(never_answers))
        r->http->reply(req, &a);
    if (IS(answers_twice))
        r->http->reply(req, &a);
}

/* An answer of so many parts. */
typedef struct count {
    uint32_t left;
} count;

static broker_rc pull(void *self, broker_writer *out)
{
    count *c = self;

    if (IS(pulls_nothing))
        return BROKER_OK;
    out->write(out, "part\n", 5);
    return --c->left == 0 ? BROKER_END : BROKER_OK;
}

static broker_rc save(void *self, broker_writer *out)
{
    return out->write(out, self, sizeof(count));
}

static void body_init(broker_body *body, count *c)
{
    *body =
        (broker_body){.size = sizeof *body, .self = c, .pull = pull, .close = free, .save = save};
}

static void on_get(void *self, broker_req *req)
{
    rude *r = self;
    broker_response a = {.size = sizeof a, .status = 200};
    broker_body body;
    count *c = malloc(sizeof *c);

    if (c == NULL)
        abort();
    c->left = 5;
    body_init(&body, c);
    r->http->stream(req, &a, &body);
}

static broker_rc resume_body(void *self, broker_req *req, broker_bytes saved, broker_body *out)
{
    count *c = malloc(sizeof *c);

    (void)self, (void)req;
    if (c == NULL)
        return BROKER_ENOMEM;
    c->left = 0;
    if (saved.len == sizeof *c)
        memcpy(c, saved.ptr, sizeof *c);
    if (c->left == 0 && IS(trusts_saved))
        abort();
    if (c->left == 0) {
        free(c);
        return BROKER_ESTATE;
    }
    body_init(out, c);
    return BROKER_OK;
}

static void on_body(void *self, broker_req *req, broker_buf *buf, broker_bytes part, int32_t last)
{
    (void)buf, (void)part;
    if (last)
        answer(self, req, 200);
}

static void on_abort(void *self, broker_req *req)
{
    if (!IS(never_answers_after_abort))
        answer(self, req, 400);
}

static broker_rc save_post(void *self, broker_req *req, broker_writer *out)
{
    (void)self, (void)req;
    return out->write(out, "half", 4);
}

static void on_post(void *self, broker_req *req)
{
    rude *r = self;
    broker_intake intake = {.size = sizeof intake,
                            .self = r,
                            .on_body = on_body,
                            .on_abort = on_abort,
                            .save = save_post};

    if (r->http->receive(req, &intake) != BROKER_OK)
        answer(r, req, 503);
}

static void resume_post(void *self, broker_req *req, broker_bytes saved)
{
    if (IS(forgets_resumed))
        return;
    if (saved.len != 4)
        answer(self, req, 503);
    else
        on_post(self, req);
}

/* ---- checks ---- */

static void on_check(void *self, uint32_t kind, const broker_msg *const *msgs, size_t n,
                     broker_check *check)
{
    rude *r = self;
    int8_t ok[TAKEN_MAX] = {0};

    (void)kind, (void)msgs;
    if (!IS(never_checks))
        r->verify->answer(check, ok, n);
}

/* ---- what may be ended from inside ---- */

static size_t on_first(void *self, const broker_msg *const *msgs, size_t n)
{
    rude *r = self;

    r->bus->unsubscribe(r->once);
    r->once = NULL;
    return msgs[n - 1]->raw.len != 0 ? n : 0; /* they are ours until we return */
}

static void on_part(void *self, broker_bytes part)
{
    rude *r = self;

    (void)part;
    r->fetch->cancel(r->job);
    r->job = NULL;
}

static void on_done(void *self, broker_rc rc, uint32_t status, broker_bytes body, const char *why)
{
    rude *r = self;

    (void)rc, (void)status, (void)body, (void)why;
    if (r->job == NULL)
        abort(); /* it had been cancelled */
    r->job = NULL;
}

/* ---- life ---- */

static broker_rc start(void *self, broker_bytes state);

static sem_t inside;

static void *own_thread(void *arg)
{
    rude *r = arg;

    if (IS(leaks_thread)) {
        sem_post(&inside); /* from here on r may be gone: a leaked thread outlives it */
        for (;;)
            pause();
    }
    r->work->now_ms(r->ctx);
    return NULL;
}

static broker_rc create(broker_ctx *ctx, void **self)
{
    rude *r = calloc(1, sizeof *r);

    if (r == NULL)
        return BROKER_ENOMEM;
    r->ctx = ctx;
    r->bus = BROKER_SERVICE(ctx, broker_bus);
    r->http = BROKER_SERVICE(ctx, broker_http);
    r->work = BROKER_SERVICE(ctx, broker_work);
    r->metrics = BROKER_SERVICE(ctx, broker_metrics);
    r->registry = BROKER_SERVICE(ctx, broker_registry);
    r->verify = BROKER_SERVICE(ctx, broker_verify);
    r->fetch = BROKER_SERVICE(ctx, broker_fetch);
    r->state[0] = 1;
    *self = r;
    if (IS(fails_silently))
        return BROKER_EIO;
    if (!IS(needs_missing) &&
        (r->bus == NULL || r->http == NULL || r->work == NULL || r->metrics == NULL ||
         r->registry == NULL || r->verify == NULL || r->fetch == NULL))
        broker_failf(ctx, BROKER_ENOSYS, "this host lacks a service");
    if (IS(registers_in_create))
        r->metrics->counter(ctx, "early_total", NULL, "Too early.", &r->seen);
    if (IS(opens_in_create) || IS(leaks_file))
        (void)!open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (IS(leaks_memory))
        (void)!strdup("forgotten");
    return BROKER_OK;
}

static void on_time(void *arg)
{
    rude *r = arg;
    broker_fetch_request get = {.size = sizeof get,
                                .url = "http://127.0.0.1/",
                                .method = "GET",
                                .timeout_ms = 1000,
                                .self = r,
                                .on_part = on_part,
                                .on_done = on_done};
    void *owner;

    if (r->job == NULL)
        r->fetch->start(r->ctx, &get, &r->job);
    if (IS(never_leaves))
        r->registry->enter(r->peer, &owner);
}

static broker_rc state_read(rude *r, broker_bytes state)
{
    if (IS(crashes_on_bad_state) && state.len != 0)
        return state.ptr[0] != 1 ? *(volatile int *)NULL : BROKER_OK;
    if (state.len != 0 && (state.len != sizeof r->state || IS(refuses_its_state)))
        broker_failf(r->ctx, BROKER_ESTATE, "this state is not of the right size");
    if (state.len != 0)
        memcpy(r->state, state.ptr, sizeof r->state);
    if (r->state[0] != 1)
        broker_failf(r->ctx, BROKER_ESTATE, "this state is of another version");
    return BROKER_OK;
}

static broker_rc start(void *self, broker_bytes state)
{
    rude *r = self;
    broker_route get = {.size = sizeof get,
                        .method = "GET",
                        .path = "/rude",
                        .self = r,
                        .on_req = on_get,
                        .resume_body = resume_body};
    broker_route post = {.size = sizeof post,
                         .method = "POST",
                         .path = "/rude/{id+}",
                         .max_body = 1000,
                         .self = r,
                         .on_req = on_post,
                         .resume_req = resume_post};
    broker_subscription want = {.size = sizeof want,
                                .flags = BROKER_SUB_DURABLE,
                                .stream = {"*", 1},
                                .partition = BROKER_ALL_PARTITIONS,
                                .on_msgs = on_msgs,
                                .self = r};
    broker_subscription first = {.size = sizeof first,
                                 .stream = {"*", 1},
                                 .partition = BROKER_ALL_PARTITIONS,
                                 .on_msgs = on_first,
                                 .self = r};
    broker_checker checker = {
        .size = sizeof checker, .kinds = BROKER_CHECK_ERC_1271, .self = r, .check = on_check};
    broker_rc rc = state_read(r, state);

    if (IS(exits))
        exit(0);
    while (IS(hangs))
        pause();
    if (rc == BROKER_OK)
        rc = r->metrics->counter(r->ctx, "seen_total", NULL, "Messages.", &r->seen);
    if (IS(ignores_failure))
        rc = BROKER_OK;
    if (rc == BROKER_OK)
        rc = r->http->route(r->ctx, &get);
    if (rc == BROKER_OK)
        rc = r->http->route(r->ctx, &post);
    if (rc == BROKER_OK)
        rc = r->work->timer(r->ctx, 10, 10000, on_time, r, &r->timer);
    if (rc == BROKER_OK)
        rc = r->registry->offer(r->ctx, "rude.table/1", &r->state, r);
    if (rc == BROKER_OK)
        rc = r->registry->follow(r->ctx, "rude.table/1", &r->peer);
    if (rc == BROKER_OK)
        rc = r->verify->offer(r->ctx, &checker);
    if (rc == BROKER_OK)
        rc = r->bus->subscribe(r->ctx, &want, &r->sub);
    if (rc == BROKER_OK)
        rc = r->bus->subscribe(r->ctx, &first, &r->once);
    if (rc == BROKER_OK && (IS(calls_from_own_thread) || IS(leaks_thread))) {
        pthread_t t;

        sem_init(&inside, 0, 0);
        pthread_create(&t, NULL, own_thread, r);
        if (IS(leaks_thread)) {
            pthread_detach(t);
            while (sem_wait(&inside) != 0)
                ;
        } else
            pthread_join(t, NULL);
    }
    return rc;
}

static void late_run(void *arg)
{
    (void)arg;
}

static void late_done(void *arg)
{
    rude *r = arg;

    r->work->submit(r->ctx, 0, late_run, NULL, r);
}

static broker_rc quiesce(void *self, broker_writer *state)
{
    rude *r = self;

    if (IS(drops_at_quiesce))
        r->n_taken = 0;
    else if ((r->settling && !IS(never_waits)) || IS(never_quiesces))
        return BROKER_AGAIN;
    if (IS(works_after_quiesce))
        r->work->submit(r->ctx, 0, late_run, late_done, r);
    r->work->timer_stop(r->timer);
    if (IS(stops_timer_twice))
        r->work->timer_stop(r->timer);
    r->bus->unsubscribe(r->sub);
    if (r->once != NULL)
        r->bus->unsubscribe(r->once);
    r->once = NULL;
    if (r->job != NULL)
        r->fetch->cancel(r->job);
    r->job = NULL;
    r->kept = NULL;
    return state->write(state, r->state, sizeof r->state);
}

BROKER_PLUGIN("rude", "1.0.0", BROKER_PLUGIN_HOTSWAP, NULL, create, start, NULL, quiesce, free);
