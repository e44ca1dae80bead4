/* hello -- the smallest plugin that does something: GET /hello answers the greeting of its
 * configuration. */
#include <broker/plugin.h>

#include <stdlib.h>

typedef struct hello {
    broker_ctx *ctx;
    const broker_http *http;
    broker_str greeting;
} hello;

static void on_hello(void *self, broker_req *req)
{
    hello *h = self;
    broker_response answer = {
        .size = sizeof answer,
        .status = 200,
        .type = "text/plain",
        .body = {(const uint8_t *)h->greeting.ptr, h->greeting.len},
    };

    h->http->reply(req, &answer);
}

static broker_rc create(broker_ctx *ctx, void **self)
{
    const broker_http *http = BROKER_SERVICE(ctx, broker_http);
    const broker_config *config = BROKER_SERVICE(ctx, broker_config);
    hello *h;

    if (http == NULL || config == NULL)
        return ctx->host->fail(ctx, BROKER_ENOSYS, "this host lacks broker.http or broker.config");
    h = calloc(1, sizeof *h);
    if (h == NULL)
        return ctx->host->fail(ctx, BROKER_ENOMEM, "out of memory");
    h->ctx = ctx;
    h->http = http;
    h->greeting = config->string(ctx, "greeting");
    *self = h;
    return BROKER_OK;
}

static broker_rc start(void *self, broker_bytes state)
{
    hello *h = self;
    broker_route route = {
        .size = sizeof route, .method = "GET", .path = "/hello", .self = h, .on_req = on_hello};

    (void)state;
    return h->http->route(h->ctx, &route);
}

static broker_rc quiesce(void *self, broker_writer *state)
{
    (void)self, (void)state;
    return BROKER_OK;
}

BROKER_PLUGIN(
    "hello", "1.0.0", 0,
    "{ \"type\": \"object\", \"additionalProperties\": false,"
    "  \"properties\": { \"greeting\": { \"type\": \"string\", \"default\": \"hello\" } } }",
    create, start, NULL, quiesce, free);
