/* fetch -- a plugin that makes HTTP requests as it is asked to:
 * GET /fetch?url=&method=&header=Name:value&body=&max=&timeout=&parts=1&cancel=N&times=N&wants=Name
 * answers with what came of them. cancel=0: at once; N: at the Nth part. */
#include <broker/plugin.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct plugin {
    broker_ctx *ctx;
    const broker_fetch *fetch;
    const broker_http *http;
} plugin;

typedef struct ask {
    plugin *p;
    broker_req *req;
    broker_fetch_job *job;
    int parts, cancel_at, inside;
    unsigned left, ok, failed;
    unsigned long long bytes;
    unsigned sum;
    char last[600];
    char wants[64]; /* a header of the answer */
} ask;

static const char *query(plugin *p, broker_req *req, const char *name, char *out, size_t cap)
{
    broker_str s = p->http->query(req, name);

    if (s.ptr == NULL)
        return NULL;
    snprintf(out, cap, "%.*s", (int)s.len, s.ptr);
    return out;
}

static int64_t number(plugin *p, broker_req *req, const char *name, int64_t otherwise)
{
    char text[24];

    return query(p, req, name, text, sizeof text) != NULL ? strtoll(text, NULL, 10) : otherwise;
}

static void answer(ask *a, uint32_t status)
{
    broker_response r = {.size = sizeof r, .status = status, .type = "application/json"};
    char text[800];

    snprintf(text, sizeof text,
             "{\"ok\":%u,\"failed\":%u,\"parts\":%d,\"bytes\":%llu,\"sum\":%u,%s}", a->ok,
             a->failed, a->parts, a->bytes, a->sum, a->last);
    r.body = (broker_bytes){(const uint8_t *)text, strlen(text)};
    a->p->http->reply(a->req, &r);
    free(a);
}

static void count(ask *a, broker_bytes bytes)
{
    a->bytes += bytes.len;
    for (size_t i = 0; i < bytes.len; i++)
        a->sum += bytes.ptr[i];
}

static void on_part(void *self, broker_bytes part)
{
    ask *a = self;

    a->parts++;
    count(a, part);
    if (a->parts == a->cancel_at) {
        a->p->fetch->cancel(a->job);
        snprintf(a->last, sizeof a->last, "\"cancelled\":true");
        answer(a, 200);
    }
}

static void on_done(void *self, broker_rc rc, uint32_t status, broker_bytes body, const char *why)
{
    ask *a = self;
    char said[400];

    if (a->inside)
        abort(); /* never from inside start() */
    count(a, body);
    a->ok += rc == BROKER_OK;
    a->failed += rc != BROKER_OK;
    snprintf(said, sizeof said, "%s", why != NULL ? why : "");
    for (char *c = said; *c != '\0'; c++)
        if (*c == '"')
            *c = '\'';
    if (a->wants[0] != '\0' && a->job != NULL) {
        broker_str value = a->p->fetch->header(a->job, a->wants);

        snprintf(said, sizeof said, "%.*s", value.ptr != NULL ? (int)value.len : 6,
                 value.ptr != NULL ? value.ptr : "absent");
    }
    snprintf(a->last, sizeof a->last, "\"rc\":%d,\"status\":%u,\"why\":\"%s\"", rc, status, said);
    if (--a->left == 0)
        answer(a, 200);
}

static void on_req(void *self, broker_req *req)
{
    plugin *p = self;
    ask *a = calloc(1, sizeof *a);
    char url[1000] = "", method[16], name[300], body[1000];
    broker_header header = {name, {"", 0}};
    broker_fetch_request r = {.size = sizeof r, .self = a, .on_done = on_done};
    unsigned times = (unsigned)number(p, req, "times", 1);
    broker_rc rc = BROKER_OK;

    a->p = p;
    a->req = req;
    a->cancel_at = (int)number(p, req, "cancel", -1);
    query(p, req, "url", url, sizeof url);
    query(p, req, "wants", a->wants, sizeof a->wants);
    r.url = url;
    r.method = query(p, req, "method", method, sizeof method);
    if (r.method == NULL)
        r.method = "GET";
    if (query(p, req, "header", name, sizeof name) != NULL && strchr(name, ':') != NULL) {
        char *value = strchr(name, ':');

        *value++ = '\0';
        header.value = (broker_str){value, strlen(value)};
        r.headers = &header;
        r.n_headers = 1;
    }
    if (query(p, req, "body", body, sizeof body) != NULL)
        r.body = (broker_bytes){(const uint8_t *)body, strlen(body)};
    r.max_answer = (uint64_t)number(p, req, "max", 0);
    r.timeout_ms = (uint32_t)number(p, req, "timeout", 0);
    if (number(p, req, "parts", 0) != 0)
        r.on_part = on_part;
    a->inside = 1;
    for (unsigned i = 0; i < times && rc == BROKER_OK; i++) {
        rc = p->fetch->start(p->ctx, &r, &a->job);
        a->left += rc == BROKER_OK;
    }
    a->inside = 0;
    if (rc != BROKER_OK)
        snprintf(a->last, sizeof a->last, "\"start\":%d", rc);
    if (a->left == 0) {
        answer(a, 400);
    } else if (a->cancel_at == 0) {
        p->fetch->cancel(a->job);
        snprintf(a->last, sizeof a->last, "\"cancelled\":true");
        answer(a, 200);
    }
}

static broker_rc create(broker_ctx *ctx, void **self)
{
    plugin *p = calloc(1, sizeof *p);

    p->ctx = ctx;
    p->fetch = BROKER_SERVICE(ctx, broker_fetch);
    p->http = BROKER_SERVICE(ctx, broker_http);
    *self = p;
    return p->fetch != NULL ? BROKER_OK : ctx->host->fail(ctx, BROKER_ENOSYS, "no broker.fetch/1");
}

static broker_rc start(void *self, broker_bytes state)
{
    plugin *p = self;
    broker_route r = {
        .size = sizeof r, .method = "GET", .path = "/fetch", .self = p, .on_req = on_req};

    (void)state;
    return p->http->route(p->ctx, &r);
}

static broker_rc quiesce(void *self, broker_writer *state)
{
    (void)self, (void)state;
    return BROKER_OK;
}

static void destroy(void *self)
{
    free(self);
}

BROKER_PLUGIN("fetcher", "1.0.0", 0, NULL, create, start, NULL, quiesce, destroy);
