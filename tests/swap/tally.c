/* tally -- a plugin that is swapped: GET /tally counts, GET /tally/slow streams the numbers from
 * 1 to a million, POST /tally answers with the length of its body, GET /tally/block keeps the
 * event loop, GET /tally/crash crashes. The count crosses a swap, answers and bodies do too.
 * Each bad build (TALLY_BAD) is wrong in one way. */
#include <broker/plugin.h>

#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define START_FAILS         1
#define BAD_STATE           2
#define CREATE_CRASHES      3
#define CREATE_HANGS        4
#define CONSTRUCTOR_CRASHES 5
#define NEVER_PREPARED      6
#define NEVER_QUIET         7
#define QUIESCE_FAILS       8
#define KEEPS_A_JOB         9
#define START_CRASHES       10

#ifndef TALLY_BAD
#define TALLY_BAD 0
#endif
#ifdef TALLY_NEW_SETTING
#define TALLY_SCHEMA                                                                               \
    "{\"additionalProperties\":false,\"properties\":{\"step\":{\"type\":\"integer\",\"default\":"  \
    "1}}}"
#else
#define TALLY_SCHEMA NULL
#endif
#ifndef TALLY_NAME
#define TALLY_NAME "tally"
#endif
#ifndef TALLY_VERSION
#define TALLY_VERSION "6.6.6"
#endif

#define NUMBERS 1000000u

typedef struct tally {
    broker_ctx *ctx;
    const broker_http *http;
    const broker_work *work;
    uint64_t count;
    broker_timer *timer;
} tally;

static void crash(void)
{
    raise(SIGSEGV);
}

#if TALLY_BAD == CONSTRUCTOR_CRASHES
__attribute__((constructor)) static void on_load(void)
{
    crash();
}
#endif

static void say(tally *t, broker_req *req, const char *text)
{
    broker_response r = {.size = sizeof r,
                         .status = 200,
                         .type = "text/plain",
                         .body = {(const uint8_t *)text, strlen(text)}};

    t->http->reply(req, &r);
}

static void on_tally(void *self, broker_req *req)
{
    tally *t = self;
    char text[64];

    snprintf(text, sizeof text, "%llu " TALLY_VERSION, (unsigned long long)++t->count);
    say(t, req, text);
}

static void on_crash(void *self, broker_req *req)
{
    (void)self, (void)req;
    crash();
}

static void on_block(void *self, broker_req *req)
{
    poll(NULL, 0, 700);
    say(self, req, "blocked");
}

/* ---- numbers ---- */

static broker_rc numbers_pull(void *self, broker_writer *out)
{
    unsigned *n = self;

    while (*n < NUMBERS) {
        char line[16];
        int len = snprintf(line, sizeof line, "%u\n", *n + 1);

        if (out->write(out, line, (size_t)len) != BROKER_OK)
            return BROKER_AGAIN;
        (*n)++;
    }
    return BROKER_END;
}

static broker_rc numbers_save(void *self, broker_writer *out)
{
    return out->write(out, self, sizeof(unsigned));
}

static broker_body numbers_from(unsigned n)
{
    unsigned *self = malloc(sizeof *self);

    if (self == NULL)
        abort();
    *self = n;
    return (broker_body){.size = sizeof(broker_body),
                         .self = self,
                         .pull = numbers_pull,
                         .close = free,
                         .save = numbers_save};
}

static void on_numbers(void *self, broker_req *req)
{
    tally *t = self;
    broker_body body = numbers_from(0);
    broker_response r = {.size = sizeof r, .status = 200, .type = "text/plain"};

    t->http->stream(req, &r, &body);
}

static broker_rc numbers_resume(void *self, broker_req *req, broker_bytes saved, broker_body *out)
{
    unsigned n;

    (void)self, (void)req;
    if (saved.len != sizeof n)
        return BROKER_ESTATE;
    memcpy(&n, saved.ptr, sizeof n);
    *out = numbers_from(n);
    return BROKER_OK;
}

/* ---- bodies ---- */

typedef struct post {
    tally *t;
    uint64_t len;
} post;

static void on_body(void *self, broker_req *req, broker_buf *buf, broker_bytes part, int32_t last)
{
    post *p = self;
    char text[32];

    (void)buf;
    p->len += part.len;
    if (!last)
        return;
    snprintf(text, sizeof text, "%llu", (unsigned long long)p->len);
    say(p->t, req, text);
    free(p);
}

static void on_abort(void *self, broker_req *req)
{
    post *p = self;

    say(p->t, req, "");
    free(p);
}

static broker_rc post_save(void *self, broker_req *req, broker_writer *out)
{
    post *p = self;
    broker_rc rc = out->write(out, &p->len, sizeof p->len);

    (void)req;
    free(p);
    return rc;
}

static void post_go(tally *t, broker_req *req, uint64_t len)
{
    post *p = malloc(sizeof *p);
    broker_intake intake = {.size = sizeof intake,
                            .self = p,
                            .on_body = on_body,
                            .on_abort = on_abort,
                            .save = post_save};

    if (p == NULL)
        abort();
    *p = (post){t, len};
    t->http->receive(req, &intake);
}

static void on_post(void *self, broker_req *req)
{
    post_go(self, req, 0);
}

static void post_resume(void *self, broker_req *req, broker_bytes saved)
{
    uint64_t len = 0;

    memcpy(&len, saved.ptr, saved.len < sizeof len ? saved.len : sizeof len);
    post_go(self, req, len);
}

/* ---- life ---- */

static broker_rc create(broker_ctx *ctx, void **self)
{
    tally *t = calloc(1, sizeof *t);

    if (t == NULL)
        return BROKER_ENOMEM;
    if (TALLY_BAD == CREATE_CRASHES)
        crash();
    while (TALLY_BAD == CREATE_HANGS)
        poll(NULL, 0, 1000);
    t->ctx = ctx;
    t->http = BROKER_SERVICE(ctx, broker_http);
    t->work = BROKER_SERVICE(ctx, broker_work);
    *self = t;
    return BROKER_OK;
}

static void on_time(void *arg)
{
    (void)arg;
}

static broker_rc start(void *self, broker_bytes state)
{
    tally *t = self;
    const broker_route routes[] = {
        {.size = sizeof *routes, .method = "GET", .path = "/tally", .self = t, .on_req = on_tally},
        {.size = sizeof *routes,
         .method = "GET",
         .path = "/tally/slow",
         .self = t,
         .on_req = on_numbers,
         .resume_body = numbers_resume},
        {.size = sizeof *routes,
         .method = "POST",
         .path = "/tally",
         .self = t,
         .on_req = on_post,
         .flags = BROKER_ROUTE_STREAM,
         .resume_req = post_resume},
        {.size = sizeof *routes,
         .method = "GET",
         .path = "/tally/block",
         .self = t,
         .on_req = on_block},
        {.size = sizeof *routes,
         .method = "GET",
         .path = "/tally/crash",
         .self = t,
         .on_req = on_crash},
    };

    if (TALLY_BAD == START_CRASHES)
        crash();
    if (state.len == sizeof t->count)
        memcpy(&t->count, state.ptr, sizeof t->count);
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++)
        if (t->http->route(t->ctx, &routes[i]) != BROKER_OK)
            return BROKER_EBUSY;
    if (t->work->timer(t->ctx, 10, 10, on_time, t, &t->timer) != BROKER_OK)
        return BROKER_ENOMEM;
    if (TALLY_BAD == START_FAILS)
        return t->ctx->host->fail(t->ctx, BROKER_EIO, "the abacus is broken");
    if (TALLY_BAD == BAD_STATE && state.len != 0)
        return t->ctx->host->fail(t->ctx, BROKER_ESTATE, "the count is in roman numerals");
    return BROKER_OK;
}

static broker_rc prepare(void *self)
{
    (void)self;
    return TALLY_BAD == NEVER_PREPARED ? BROKER_AGAIN : BROKER_OK;
}

/* Longer than a swap waits, shorter than a test. */
static void linger(void *arg)
{
    (void)arg;
    poll(NULL, 0, 1500);
}

static broker_rc quiesce(void *self, broker_writer *state)
{
    tally *t = self;

    if (TALLY_BAD == NEVER_QUIET)
        return BROKER_AGAIN;
    if (TALLY_BAD == QUIESCE_FAILS)
        return t->ctx->host->fail(t->ctx, BROKER_EIO, "the beads are stuck");
    if (TALLY_BAD == KEEPS_A_JOB)
        t->work->submit(t->ctx, 0, linger, NULL, NULL);
    return state->write(state, &t->count, sizeof t->count);
}

BROKER_PLUGIN(TALLY_NAME, TALLY_VERSION, BROKER_PLUGIN_HOTSWAP, TALLY_SCHEMA, create, start,
              prepare, quiesce, free);
