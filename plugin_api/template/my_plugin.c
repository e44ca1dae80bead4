/* my_plugin -- GET /my_plugin answers a greeting and how often it was asked; the count
 * survives a hot swap. */
#include <broker/plugin.h>
#include <broker/plugin_log.h>
#include <stdlib.h>
#include <string.h>

extern const char plugin_schema[]; /* schema.json */

typedef struct plugin {
    broker_ctx *ctx;
    const broker_http *http;
    broker_str greeting;
    uint32_t state[2]; /* for the next build: version 1, requests so far. [loop] */
} plugin;

static void on_get(void *self, broker_req *req)
{
    plugin *p = self;
    char text[200];
    broker_response answer = {.size = sizeof answer, .status = 200, .type = "text/plain"};

    snprintf(text, sizeof text, "%.*s, request %u\n", (int)p->greeting.len, p->greeting.ptr,
             ++p->state[1]);
    answer.body = (broker_bytes){(const uint8_t *)text, strlen(text)};
    p->http->reply(req, &answer);
}

static broker_rc create(broker_ctx *ctx, void **self)
{
    const broker_config *config = BROKER_SERVICE(ctx, broker_config);
    const broker_http *http = BROKER_SERVICE(ctx, broker_http);
    plugin *p = config != NULL && http != NULL ? calloc(1, sizeof *p) : NULL;

    if (p == NULL)
        broker_failf(ctx, BROKER_ENOSYS, "this host lacks broker.config, broker.http or memory");
    *p = (plugin){ctx, http, config->string(ctx, "greeting"), {1, 0}};
    *self = p;
    return BROKER_OK;
}

static broker_rc start(void *self, broker_bytes state)
{
    plugin *p = self;
    broker_route route = {sizeof route, 0, "GET", "/my_plugin", 0, p, on_get, NULL, NULL};

    if (state.len == sizeof p->state)
        memcpy(p->state, state.ptr, sizeof p->state);
    if ((state.len != 0 && state.len != sizeof p->state) || p->state[0] != 1)
        return p->ctx->host->fail(p->ctx, BROKER_ESTATE, "the state is of another version");
    return p->http->route(p->ctx, &route);
}

static broker_rc quiesce(void *self, broker_writer *state)
{
    return state->write(state, ((plugin *)self)->state, sizeof(((plugin *)self)->state));
}

BROKER_PLUGIN("my_plugin", "1.0.0", BROKER_PLUGIN_HOTSWAP, plugin_schema, create, start, NULL,
              quiesce, free);
