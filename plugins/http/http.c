/* http -- publish over HTTP: POST /streams/{id}, signed by the node's key.
 *
 * Spec "Streamr node", plugin `http` (1.4). The answer comes when the message is durable,
 * where something stores the stream. */
#include "base/base.h"

#include <broker/plugin.h>
#include <broker/plugin_log.h>
#include <jansson.h>
#include <time.h>

#define BODY_MAX (1024u * 1024u)

extern const char http_schema[];

typedef struct http {
    broker_ctx *ctx;
    const broker_bus *bus;
    const broker_http *server;
} http;

/* One publication, from its request to its answer. */
typedef struct post {
    http *h;
    broker_req *req;
    sb body;
} post;

static void reply(post *p, uint32_t status, const char *type, const char *text,
                  const broker_header *headers, size_t n)
{
    broker_response r = {.size = sizeof r,
                         .status = status,
                         .type = type,
                         .headers = headers,
                         .n_headers = n,
                         .body = {(const uint8_t *)text, strlen(text)}};

    p->h->server->reply(p->req, &r);
    sb_done(&p->body);
    free(p);
}

static void refuse(post *p, uint32_t status, const char *why)
{
    sb body = SB_INIT;

    sb_puts(&body, "{\"error\":");
    sb_json_string(&body, why, strlen(why));
    sb_putc(&body, '}');
    reply(p, status, "application/json; charset=utf-8", body.data, NULL, 0);
    sb_done(&body);
}

/* Milliseconds, or an ISO 8601 date. */
static bool timestamp_read(broker_str text, int64_t *out)
{
    struct tm tm = {0};
    char copy[40];
    const char *rest;
    int64_t ms = 0;

    if (parse_i64(text.ptr, text.len, out))
        return *out > 0;
    if (text.len >= sizeof copy)
        return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    rest = strptime(copy, "%Y-%m-%dT%H:%M:%S", &tm);
    if (rest == NULL)
        rest = strptime(copy, "%Y-%m-%d", &tm);
    if (rest == NULL)
        return false;
    if (*rest == '.') {
        char *end;

        ms = (int64_t)(strtod(rest, &end) * 1000 + 0.5);
        rest = end;
    }
    if (strcmp(rest, "Z") != 0 && *rest != '\0')
        return false;
    *out = (int64_t)timegm(&tm) * 1000 + ms;
    return *out > 0;
}

static void on_published(void *arg, const broker_msg *m, const broker_outcome *outcome)
{
    post *p = arg;
    sb id = SB_INIT;
    broker_header header = {"X-Message-Id", {NULL, 0}};
    char publisher[41] = "";

    switch (outcome->code) {
    case BROKER_STORED:
    case BROKER_NO_STORE:
    case BROKER_DUPLICATE:
        break;
    case BROKER_REJECTED:
        refuse(p, strstr(outcome->reason, "validation.") != NULL ? 403 : 400, outcome->reason);
        return;
    default:
        refuse(p, outcome->reason != NULL && strstr(outcome->reason, "disk") != NULL ? 507 : 503,
               outcome->reason != NULL ? outcome->reason : "the message could not be stored");
        return;
    }
    if (m != NULL && m->publisher.len == 20) {
        hex_encode(publisher, m->publisher.ptr, 20);
        sb_putc(&id, '[');
        sb_json_string(&id, m->stream.ptr, m->stream.len);
        sb_printf(&id, ",%u,%lld,%d,\"0x%s\",", m->partition, (long long)m->timestamp_ms,
                  m->sequence, publisher);
        sb_json_string(&id, m->chain.ptr, m->chain.len);
        sb_putc(&id, ']');
        header.value = (broker_str){id.data, id.len};
    }
    reply(p, 200, "text/plain; charset=utf-8", "OK", &header, m != NULL ? 1 : 0);
    sb_done(&id);
}

/* NULL, or why the parameters are not fit; *status with it. */
static bool parameters(post *p, broker_publication *what)
{
    const broker_http *server = p->h->server;
    broker_str partition = server->query(p->req, "partition");
    broker_str key = server->query(p->req, "partitionKey");
    broker_str timestamp = server->query(p->req, "timestamp");
    char text[128];
    int64_t x;

    what->partition = BROKER_ALL_PARTITIONS;
    if (partition.ptr != NULL && key.ptr != NULL) {
        refuse(p, 422, "Invalid combination of \"partition\" and \"partitionKey\"");
        return false;
    }
    if (partition.ptr != NULL) {
        if (!parse_i64(partition.ptr, partition.len, &x) || x < 0 || x > 99) {
            snprintf(text, sizeof text, "%.40s is not a valid positive integer", partition.ptr);
            refuse(p, 400, text);
            return false;
        }
        what->partition = (uint32_t)x;
    }
    what->key = key;
    if (timestamp.ptr != NULL && !timestamp_read(timestamp, &what->timestamp_ms)) {
        snprintf(text, sizeof text, "Invalid timestamp: %.60s", timestamp.ptr);
        refuse(p, 400, text);
        return false;
    }
    return true;
}

static bool content_check(post *p)
{
    json_error_t error;
    json_t *value =
        json_loadb(p->body.data != NULL ? p->body.data : "", p->body.len, JSON_DECODE_ANY, &error);
    bool object = json_is_object(value), null = json_is_null(value);
    char text[256];

    if (value == NULL) {
        snprintf(text, sizeof text, "Payload is not a JSON string: %s", error.text);
        refuse(p, 400, text);
        return false;
    }
    json_decref(value);
    if (!object)
        refuse(p, 400, null ? "Content missing" : "Content is not an object");
    return object;
}

static void publish(post *p)
{
    broker_publication what = {.size = sizeof what,
                               .stream = p->h->server->param(p->req, "id"),
                               .content_type = BROKER_CONTENT_JSON,
                               .done = on_published,
                               .arg = p};
    broker_header retry = {"Retry-After", {"1", 1}};

    if (!content_check(p) || !parameters(p, &what))
        return;
    what.content = (broker_bytes){(const uint8_t *)p->body.data, p->body.len};
    switch (p->h->bus->publish(p->h->ctx, &what)) {
    case BROKER_OK:
        return;
    case BROKER_AGAIN:
        reply(p, 503, "application/json", "{\"error\":\"the node is busy; try again\"}", &retry, 1);
        return;
    case BROKER_EDENIED:
        refuse(p, 503, "this node has no key to sign with; set client.auth.privateKeyFile");
        return;
    default:
        refuse(p, 400, "the message cannot be published");
    }
}

static void on_body(void *self, broker_req *req, broker_buf *buf, broker_bytes part, int32_t last)
{
    post *p = self;

    (void)req;
    (void)buf;
    sb_append(&p->body, part.ptr, part.len);
    if (last)
        publish(p);
}

static void on_abort(void *self, broker_req *req)
{
    (void)req;
    refuse(self, 400, "the client left");
}

static void on_post(void *self, broker_req *req)
{
    post *p = must_alloc(sizeof *p);
    broker_intake intake = {
        .size = sizeof intake, .self = p, .on_body = on_body, .on_abort = on_abort};

    p->h = self;
    p->req = req;
    p->h->server->receive(req, &intake);
}

static broker_rc create(broker_ctx *ctx, void **self)
{
    http *h = must_alloc(sizeof *h);

    h->ctx = ctx;
    h->bus = BROKER_SERVICE(ctx, broker_bus);
    h->server = BROKER_SERVICE(ctx, broker_http);
    if (h->bus == NULL || h->server == NULL) {
        free(h);
        broker_failf(ctx, BROKER_ENOSYS, "this host lacks broker.bus or broker.http");
    }
    *self = h;
    return BROKER_OK;
}

static broker_rc start(void *self, broker_bytes state)
{
    http *h = self;
    broker_route r = {.size = sizeof r,
                      .method = "POST",
                      .path = "/streams/{id+}",
                      .max_body = BODY_MAX,
                      .self = h,
                      .on_req = on_post};

    (void)state;
    return h->server->route(h->ctx, &r);
}

static broker_rc quiesce(void *self, broker_writer *state)
{
    (void)self; /* the host waits for open requests */
    (void)state;
    return BROKER_OK;
}

static void destroy(void *self)
{
    free(self);
}

BROKER_PLUGIN("http", LOGSTORE_VERSION, BROKER_PLUGIN_HOTSWAP, http_schema, create, start, NULL,
              quiesce, destroy);
