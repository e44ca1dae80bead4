/* unwell -- a plugin that is ended, or hangs, when it is asked to: what else there is must not
 * notice. GET /unwell says the id of its process, GET /unwell/count how many messages of the stream
 * `stream` it has seen, GET /unwell/do/{how} does what `hows` says. To become quiet takes it
 * `quiesceMs`, all of it on the loop. */
#include <broker/plugin.h>

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct unwell {
    broker_ctx *ctx;
    const broker_http *http;
    const broker_config *config;
    const broker_bus *bus;
    unsigned messages;
} unwell;

static void by_signal(void)
{
    raise(SIGSEGV);
}

static void by_abort(void)
{
    abort();
}

static void by_exit(void)
{
    _exit(7);
}

static void hang(void)
{
    for (;;)
        pause();
}

static void nothing(void)
{
}

static const struct {
    const char *name;
    void (*how)(void);
} hows[] = {{"segv", by_signal}, {"abort", by_abort}, {"exit", by_exit}, {"hang", hang}};

static void reply(unwell *u, broker_req *req, long number)
{
    char text[32];
    broker_response answer = {.size = sizeof answer, .status = 200, .type = "text/plain"};

    answer.body =
        (broker_bytes){(const uint8_t *)text, (size_t)snprintf(text, sizeof text, "%ld", number)};
    u->http->reply(req, &answer);
}

static void on_pid(void *self, broker_req *req)
{
    reply(self, req, (long)getpid());
}

static void on_count(void *self, broker_req *req)
{
    unwell *u = self;

    reply(u, req, (long)u->messages);
}

/* ---- an answer that ends in the middle ---- */

/* [worker] */
static broker_rc half(void *self, broker_writer *out)
{
    uint8_t *to = out->reserve(out, 65536);

    (void)self;
    if (to == NULL)
        return BROKER_AGAIN;
    memset(to, 'x', 65536);
    out->commit(out, 65536);
    return BROKER_OK;
}

static void half_close(void *self)
{
    (void)self;
}

static void on_how(void *self, broker_req *req)
{
    unwell *u = self;
    broker_str how = u->http->param(req, "how");
    void (*act)(void) = nothing;

    if (how.len == 7 && memcmp(how.ptr, "endless", 7) == 0) {
        broker_response answer = {.size = sizeof answer, .status = 200, .type = "text/plain"};
        broker_body body = {sizeof body, 0, u, half, half_close, NULL};

        u->http->stream(req, &answer, &body);
        return;
    }
    for (size_t i = 0; i < sizeof hows / sizeof *hows; i++)
        if (strlen(hows[i].name) == how.len && memcmp(hows[i].name, how.ptr, how.len) == 0)
            act = hows[i].how;
    act();
    reply(u, req, 0);
}

static size_t on_msgs(void *self, const broker_msg *const *msgs, size_t n)
{
    unwell *u = self;

    (void)msgs;
    u->messages += (unsigned)n;
    return n;
}

static broker_rc create(broker_ctx *ctx, void **self)
{
    unwell *u = calloc(1, sizeof *u);

    u->ctx = ctx;
    u->http = BROKER_SERVICE(ctx, broker_http);
    u->config = BROKER_SERVICE(ctx, broker_config);
    u->bus = BROKER_SERVICE(ctx, broker_bus);
    *self = u;
    return BROKER_OK;
}

static broker_rc start(void *self, broker_bytes state)
{
    unwell *u = self;
    broker_route routes[] = {
        {.size = sizeof *routes, .method = "GET", .path = "/unwell", .on_req = on_pid},
        {.size = sizeof *routes, .method = "GET", .path = "/unwell/count", .on_req = on_count},
        {.size = sizeof *routes, .method = "GET", .path = "/unwell/do/{how}", .on_req = on_how},
    };
    broker_subscription want = {.size = sizeof want,
                                .stream = u->config->string(u->ctx, "stream"),
                                .partition = BROKER_ALL_PARTITIONS,
                                .on_msgs = on_msgs,
                                .self = u};
    broker_rc rc = BROKER_OK;
    broker_sub *sub;

    (void)state;
    for (size_t i = 0; i < sizeof routes / sizeof *routes && rc == BROKER_OK; i++) {
        routes[i].self = u;
        rc = u->http->route(u->ctx, &routes[i]);
    }
    if (rc == BROKER_OK && want.stream.len != 0)
        rc = u->bus->subscribe(u->ctx, &want, &sub);
    return rc;
}

static broker_rc quiesce(void *self, broker_writer *state)
{
    unwell *u = self;

    (void)state;
    poll(NULL, 0, (int)u->config->integer(u->ctx, "quiesceMs"));
    return BROKER_OK;
}

BROKER_PLUGIN("unwell", "1.0.0", 0,
              "{ \"additionalProperties\": false, \"properties\": { \"stream\": { \"type\": "
              "\"string\", \"default\": \"\" }, "
              "\"quiesceMs\": { \"type\": \"integer\", \"default\": 0 } } }",
              create, start, NULL, quiesce, free);
