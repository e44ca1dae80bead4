/* apart -- a plugin that uses what a plugin in a process of its own has, for tests of that.
 *
 * Its messages are settled on a worker; one whose content is "crash" makes it crash, and
 * with "wait" the worker waits until quiesce() has been called, which does not wait for it.
 *   GET  /apart/say/{word}?q=  one line: word, q, the header X-Test, the user, shared "mode"
 *   GET  /apart/count/{n}      n bytes, streamed in parts of 100,000
 *   GET  /apart/publish/{text} publishes the text; answers with the outcome
 *   GET  /apart/admit          admits "one" and "two"; answers with the outcomes
 *   GET  /apart/hang           never returns
 *   GET  /apart/fill           publishes until there is no room; answers when there is some again
 *   GET  /apart/sign           whether the node has a key, and what checking "secret" says
 *   POST /apart/echo           answers with the body, which it reads part by part, paused between
 */
#include <broker/plugin.h>

#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STREAM     "0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a/apart"
#define SETTLE_MAX 64

typedef struct apart {
    broker_ctx *ctx;
    const broker_config *config;
    const broker_bus *bus;
    const broker_http *http;
    const broker_access *access;
    const broker_work *work;
    const broker_metrics *metrics;
    const broker_sign *sign;
    const broker_node *node;
    broker_sub *sub;
    const broker_msg *taken[SETTLE_MAX];
    size_t n_taken;
    int waits;
    sem_t quiet;
    broker_metric *seen, *level, *sizes;
    uint32_t messages;
} apart;

/* ---- messages ---- */

static void settle_run(void *arg)
{
    apart *a = arg;
    broker_outcome outcomes[SETTLE_MAX];

    while (a->waits && sem_wait(&a->quiet) != 0)
        ;
    for (size_t i = 0; i < a->n_taken; i++)
        outcomes[i] = (broker_outcome){BROKER_STORED, 0, "kept"};
    a->bus->settle(a->sub, a->taken, outcomes, a->n_taken);
}

static void settle_done(void *arg)
{
    apart *a = arg;

    a->n_taken = 0;
    a->bus->resume(a->sub);
}

static size_t on_msgs(void *self, const broker_msg *const *msgs, size_t n)
{
    apart *a = self;

    if (a->n_taken != 0)
        return 0;
    n = n < SETTLE_MAX ? n : SETTLE_MAX;
    for (size_t i = 0; i < n; i++) {
        if (msgs[i]->content.len == 5 && memcmp(msgs[i]->content.ptr, "crash", 5) == 0)
            raise(SIGSEGV); /* a sanitizer would stop a bad pointer first */
        a->waits =
            a->waits || (msgs[i]->content.len == 4 && memcmp(msgs[i]->content.ptr, "wait", 4) == 0);
        a->metrics->observe(a->sizes, (double)msgs[i]->content.len);
    }
    memcpy(a->taken, msgs, n * sizeof(broker_msg *));
    a->n_taken = n;
    a->messages += (uint32_t)n;
    a->metrics->add(a->seen, (int64_t)n);
    a->metrics->set(a->level, a->messages);
    if (a->work->submit(a->ctx, 1, settle_run, settle_done, a) != BROKER_OK)
        abort();
    return n;
}

/* ---- requests ---- */

static void answer(apart *a, broker_req *req, uint32_t status, const char *text)
{
    broker_header header = {"X-Apart", {"yes", 3}};
    broker_response r = {.size = sizeof r,
                         .status = status,
                         .type = "text/plain",
                         .headers = &header,
                         .n_headers = 1,
                         .body = {(const uint8_t *)text, strlen(text)}};

    a->http->reply(req, &r);
}

static void on_say(void *self, broker_req *req)
{
    apart *a = self;
    broker_str word = a->http->param(req, "word"), q = a->http->query(req, "q"),
               header = a->http->header(req, "x-test"), user = a->http->user(req),
               mode = a->config->shared(a->ctx, "mode");
    char text[512];

    snprintf(text, sizeof text, "%.*s|%.*s|%.*s|%.*s|%.*s", (int)word.len, word.ptr, (int)q.len,
             q.ptr, (int)header.len, header.ptr, (int)user.len, user.ptr, (int)mode.len, mode.ptr);
    answer(a, req, 200, text);
}

typedef struct count {
    size_t left;
} count;

static broker_rc pull(void *self, broker_writer *out)
{
    count *c = self;
    size_t n = c->left < 100000 ? c->left : 100000;
    uint8_t *to = out->reserve(out, n);

    if (to == NULL)
        return BROKER_AGAIN;
    memset(to, 'x', n);
    out->commit(out, n);
    c->left -= n;
    return c->left == 0 ? BROKER_END : BROKER_OK;
}

static void on_count(void *self, broker_req *req)
{
    apart *a = self;
    broker_response r = {.size = sizeof r, .status = 200};
    broker_body body = {.size = sizeof body, .pull = pull, .close = free};
    broker_str n = a->http->param(req, "n");
    count *c = calloc(1, sizeof *c);
    char text[32];

    if (c == NULL)
        abort();
    snprintf(text, sizeof text, "%.*s", (int)n.len, n.ptr);
    c->left = strtoul(text, NULL, 10);
    body.self = c;
    a->http->stream(req, &r, &body);
}

/* A request that waits for the bus. */
typedef struct wait {
    apart *a;
    broker_req *req;
    unsigned left;
} wait;

static void on_published(void *arg, const broker_msg *msg, const broker_outcome *outcome)
{
    wait *w = arg;
    char text[128];

    snprintf(text, sizeof text, "%d %.*s", outcome->code, msg != NULL ? (int)msg->content.len : 4,
             msg != NULL ? (const char *)msg->content.ptr : "none");
    answer(w->a, w->req, 200, text);
    free(w);
}

static wait *wait_new(apart *a, broker_req *req)
{
    wait *w = calloc(1, sizeof *w);

    if (w == NULL)
        abort();
    *w = (wait){a, req, 0};
    return w;
}

static void on_publish(void *self, broker_req *req)
{
    apart *a = self;
    broker_str text = a->http->param(req, "text");
    broker_publication p = {.size = sizeof p,
                            .stream = {STREAM, sizeof STREAM - 1},
                            .content_type = BROKER_CONTENT_BINARY,
                            .content = {(const uint8_t *)text.ptr, text.len},
                            .done = on_published};

    p.arg = wait_new(a, req);
    if (a->bus->publish(a->ctx, &p) == BROKER_OK)
        return;
    free(p.arg);
    answer(a, req, 503, "not published");
}

static void on_admitted(void *arg, const broker_outcome *outcomes, size_t n)
{
    wait *w = arg;
    char text[128];

    snprintf(text, sizeof text, "%zu: %d, %d %s", n, outcomes[0].code, outcomes[1].code,
             outcomes[1].reason);
    answer(w->a, w->req, 200, text);
    free(w);
}

static void on_admit(void *self, broker_req *req)
{
    apart *a = self;
    broker_frame frames[] = {{{(const uint8_t *)"one", 3}, NULL},
                             {{(const uint8_t *)"two", 3}, NULL}};
    broker_admission what = {.size = sizeof what,
                             .flags = BROKER_ADMIT_CARRY,
                             .frames = frames,
                             .n = 2,
                             .only_stream = {STREAM, sizeof STREAM - 1},
                             .only_partition = BROKER_ALL_PARTITIONS,
                             .done = on_admitted,
                             .arg = wait_new(a, req)};

    if (a->bus->admit(a->ctx, &what) != BROKER_OK)
        abort();
}

static void on_hang(void *self, broker_req *req)
{
    (void)self, (void)req;
    for (;;)
        pause();
}

static void on_room(void *arg)
{
    wait *w = arg;
    char text[64];

    snprintf(text, sizeof text, "room after %u", w->left);
    answer(w->a, w->req, 200, text);
    free(w);
}

static void on_fill(void *self, broker_req *req)
{
    static const uint8_t zeros[100000];
    apart *a = self;
    wait *w = wait_new(a, req);
    broker_publication p = {.size = sizeof p,
                            .stream = {STREAM, sizeof STREAM - 1},
                            .content_type = BROKER_CONTENT_BINARY,
                            .content = {zeros, sizeof zeros}};

    while (a->bus->publish(a->ctx, &p) == BROKER_OK)
        w->left++;
    a->bus->on_room(a->ctx, on_room, w);
}

static void on_sign(void *self, broker_req *req)
{
    apart *a = self;
    uint8_t address[20], signature[65];
    broker_bytes text = {(const uint8_t *)"text", 4};
    char line[64];
    int owner = a->sign->address(a->ctx, address),
        signs = a->sign->message(a->ctx, text, signature),
        key = a->access->check(a->ctx, (broker_str){"secret", 6});

    snprintf(line, sizeof line, "%d %02x %d %02x %d", owner, address[0], signs, signature[64], key);
    a->node->state(a->ctx, BROKER_STATE_DEGRADED, "signed");
    answer(a, req, 200, line);
}

/* ---- a body ---- */

typedef struct echo {
    apart *a;
    char *text;
    size_t len;
    unsigned parts;
} echo;

static void go_on_run(void *arg)
{
    apart *a = ((void **)arg)[0];

    a->http->resume(((void **)arg)[1]);
}

static void go_on_done(void *arg)
{
    free(arg);
}

static void echo_free(echo *e)
{
    free(e->text);
    free(e);
}

static void on_body(void *self, broker_req *req, broker_buf *buf, broker_bytes part, int32_t last)
{
    echo *e = self;
    void **both;

    (void)buf;
    e->text = realloc(e->text, e->len + part.len + 1);
    if (part.len != 0)
        memcpy(e->text + e->len, part.ptr, part.len);
    e->len += part.len;
    e->text[e->len] = '\0';
    if (last) {
        answer(e->a, req, 200, e->text);
        echo_free(e);
        return;
    }
    both = malloc(2 * sizeof *both);
    both[0] = e->a;
    both[1] = req;
    e->a->http->pause(req);
    if (e->a->work->submit(e->a->ctx, 0, go_on_run, go_on_done, both) != BROKER_OK)
        abort();
}

static void on_abort(void *self, broker_req *req)
{
    echo *e = self;

    answer(e->a, req, 400, "aborted");
    echo_free(e);
}

static broker_rc on_save(void *self, broker_req *req, broker_writer *out)
{
    echo *e = self;
    broker_rc rc = out->write(out, e->text != NULL ? e->text : "", e->len);

    (void)req;
    if (rc == BROKER_OK)
        echo_free(e);
    return rc;
}

static void receive(apart *a, broker_req *req, broker_bytes saved)
{
    echo *e = calloc(1, sizeof *e);
    broker_intake intake = {.size = sizeof intake,
                            .self = e,
                            .on_body = on_body,
                            .on_abort = on_abort,
                            .save = on_save};

    if (e == NULL)
        abort();
    e->a = a;
    if (saved.len != 0) {
        e->text = malloc(saved.len + 1);
        memcpy(e->text, saved.ptr, saved.len);
        e->len = saved.len;
    }
    if (a->http->receive(req, &intake) != BROKER_OK)
        abort();
}

static void on_echo(void *self, broker_req *req)
{
    receive(self, req, (broker_bytes){NULL, 0});
}

static void on_echo_again(void *self, broker_req *req, broker_bytes saved)
{
    receive(self, req, saved);
}

/* ---- life ---- */

static broker_rc create(broker_ctx *ctx, void **self)
{
    apart *a = calloc(1, sizeof *a);

    if (a == NULL)
        return BROKER_ENOMEM;
    *self = a;
    a->ctx = ctx;
    sem_init(&a->quiet, 0, 0);
    a->config = BROKER_SERVICE(ctx, broker_config);
    a->bus = BROKER_SERVICE(ctx, broker_bus);
    a->http = BROKER_SERVICE(ctx, broker_http);
    a->access = BROKER_SERVICE(ctx, broker_access);
    a->work = BROKER_SERVICE(ctx, broker_work);
    a->metrics = BROKER_SERVICE(ctx, broker_metrics);
    a->sign = BROKER_SERVICE(ctx, broker_sign);
    a->node = BROKER_SERVICE(ctx, broker_node);
    if (BROKER_SERVICE(ctx, broker_registry) != NULL)
        return ctx->host->fail(ctx, BROKER_EINVAL, "it is not in a process of its own");
    if (a->config->boolean(ctx, "fails"))
        return ctx->host->fail(ctx, BROKER_ECONFIG, "it shall fail");
    return BROKER_OK;
}

static broker_rc start(void *self, broker_bytes state)
{
    static const struct {
        const char *method, *path;
        void (*on_req)(void *self, broker_req *req);
        void (*resume_req)(void *self, broker_req *req, broker_bytes saved);
    } routes[] = {
        {"GET", "/apart/say/{word}", on_say, NULL},
        {"GET", "/apart/count/{n}", on_count, NULL},
        {"GET", "/apart/publish/{text}", on_publish, NULL},
        {"GET", "/apart/admit", on_admit, NULL},
        {"GET", "/apart/hang", on_hang, NULL},
        {"GET", "/apart/fill", on_fill, NULL},
        {"GET", "/apart/sign", on_sign, NULL},
        {"POST", "/apart/echo", on_echo, on_echo_again},
    };
    static const double bounds[] = {10, 100};
    apart *a = self;
    broker_subscription want = {.size = sizeof want,
                                .flags = BROKER_SUB_DURABLE,
                                .stream = {"*", 1},
                                .partition = BROKER_ALL_PARTITIONS,
                                .on_msgs = on_msgs,
                                .self = a};
    broker_rc rc = a->metrics->counter(a->ctx, "seen_total", NULL, "Messages.", &a->seen);

    if (rc == BROKER_OK)
        rc = a->metrics->gauge(a->ctx, "level", "of=\"it\"", "Messages.", &a->level);
    if (rc == BROKER_OK)
        rc = a->metrics->histogram(a->ctx, "sizes", NULL, "Sizes.", bounds, 2, &a->sizes);
    for (size_t i = 0; i < sizeof routes / sizeof *routes && rc == BROKER_OK; i++)
        rc = a->http->route(a->ctx, &(broker_route){.size = sizeof(broker_route),
                                                    .method = routes[i].method,
                                                    .path = routes[i].path,
                                                    .max_body = 1u << 20,
                                                    .self = a,
                                                    .on_req = routes[i].on_req,
                                                    .resume_req = routes[i].resume_req});
    if (rc == BROKER_OK)
        rc = a->bus->subscribe(a->ctx, &want, &a->sub);
    if (rc == BROKER_OK && state.len == sizeof a->messages)
        memcpy(&a->messages, state.ptr, state.len);
    return rc;
}

static broker_rc quiesce(void *self, broker_writer *state)
{
    apart *a = self;

    if (a->n_taken != 0 && !a->waits)
        return BROKER_AGAIN;
    sem_post(&a->quiet);
    return state->write(state, &a->messages, sizeof a->messages);
}

static const char schema[] = "{\"type\":\"object\",\"properties\":{\"fails\":{\"type\":\"boolean\","
                             "\"default\":false}}}";

BROKER_PLUGIN("apart", "1.0.0", BROKER_PLUGIN_HOTSWAP, schema, create, start, NULL, quiesce, free);
