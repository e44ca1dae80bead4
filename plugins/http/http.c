/* http -- publish over HTTP: POST /streams/{id}, signed by the node's key.
 *
 * Plugin `http` of the Streamr node. The answer comes when the message is durable, where
 * something stores the stream. [loop] throughout; a request's state is a `post`, freed with
 * its answer. */
#include "base/base.h"
#include "payload/payload.h"
#include "payload/verdict.h"
#include "streamr/streamr.h"

#include <broker/plugin.h>
#include <broker/plugin_log.h>

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

/* ---- answers: each ends the post ---- */

static void reply(post *p, broker_response *r, const char *body)
{
    r->size = sizeof *r;
    r->body = (broker_bytes){(const uint8_t *)body, strlen(body)};
    p->h->server->reply(p->req, r);
    sb_done(&p->body);
    free(p);
}

static void refuse(post *p, uint32_t status, const char *why)
{
    static const broker_header retry = {"Retry-After", {"1", 1}};
    broker_response r = {.status = status,
                         .type = "application/json; charset=utf-8",
                         .headers = &retry,
                         .n_headers = status == 503 ? 1 : 0};
    sb body = SB_INIT;

    sb_puts(&body, "{\"error\":");
    sb_json_string(&body, why, strlen(why));
    sb_putc(&body, '}');
    reply(p, &r, body.data);
    sb_done(&body);
}

/* `before`, what the client sent, `after`. */
static void refuse_quoting(post *p, const char *before, broker_str sent, const char *after)
{
    sb why = SB_INIT;

    sb_puts(&why, before);
    sb_append(&why, sent.ptr, sent.len < 100 ? sent.len : 100);
    sb_puts(&why, after);
    refuse(p, 400, why.data);
    sb_done(&why);
}

static void accept_message(post *p, const broker_msg *m)
{
    sb id = SB_INIT;
    broker_header header = {"X-Message-Id", {NULL, 0}};
    broker_response r = {.status = 200,
                         .type = "text/plain; charset=utf-8",
                         .headers = &header,
                         .n_headers = m != NULL ? 1 : 0};

    if (m != NULL) {
        payload_message_id(m, &id);
        header.value = (broker_str){id.data, id.len};
    }
    reply(p, &r, "OK");
    sb_done(&id);
}

static void on_published(void *arg, const broker_msg *m, const broker_outcome *outcome)
{
    post *p = arg;
    const char *why = outcome->reason;

    switch (outcome->code) {
    case BROKER_STORED:
    case BROKER_NO_STORE:
    case BROKER_DUPLICATE:
    case BROKER_VARIANT: /* what we signed is there, in another encoding */
        accept_message(p, m);
        return;
    case BROKER_EQUIVOCATION:
        refuse(p, 409, why != NULL ? why : "another message with this id is stored already");
        return;
    case BROKER_DENIED:
        refuse(p, 403, why != NULL ? why : "the node's policy does not allow it");
        return;
    case BROKER_REJECTED:
        refuse(p, 400, why != NULL ? why : "the message was refused");
        return;
    default:
        refuse(p, outcome->code == BROKER_FULL ? 507 : 503,
               why != NULL ? why : "the message could not be stored");
    }
}

/* ---- requests ---- */

/* The number at the start of the text, as JavaScript's parseInt() finds it. */
static bool leading_number(broker_str text, uint64_t *out)
{
    size_t at = 0, digits;

    while (at < text.len && (text.ptr[at] == ' ' || text.ptr[at] == '\t'))
        at++;
    if (at < text.len && text.ptr[at] == '+')
        at++;
    *out = 0;
    for (digits = at; digits < text.len && text.ptr[digits] >= '0' && text.ptr[digits] <= '9';
         digits++)
        if (*out < UINT32_MAX)
            *out = *out * 10 + (uint64_t)(text.ptr[digits] - '0');
    return digits != at;
}

static bool partition_read(post *p, broker_str text, broker_publication *what)
{
    sb id = SB_INIT;
    char why[100];
    uint64_t x;
    uint32_t known;

    if (!leading_number(text, &x)) {
        refuse_quoting(p, "", text, " is not a valid positive integer");
        return false;
    }
    streamr_stream_id_normalise(what->stream.ptr, what->stream.len, &id);
    known = p->h->bus->partitions(p->h->ctx, (broker_str){id.data, id.len});
    sb_done(&id);
    if (known == 0 || known > STREAMR_PARTITIONS)
        known = STREAMR_PARTITIONS;
    if (x >= known) {
        snprintf(why, sizeof why, " is out of range: the last partition of the stream is %u",
                 known - 1);
        refuse_quoting(p, "partition ", text, why);
        return false;
    }
    what->partition = (uint32_t)x;
    return true;
}

/* False: refused. */
static bool parameters_read(post *p, broker_publication *what)
{
    const broker_http *server = p->h->server;
    broker_str partition = server->query(p->req, "partition");
    broker_str timestamp = server->query(p->req, "timestamp");

    what->key = server->query(p->req, "partitionKey");
    what->partition = BROKER_ALL_PARTITIONS;
    if (partition.ptr != NULL && what->key.ptr != NULL) {
        refuse(p, 422, "Invalid combination of \"partition\" and \"partitionKey\"");
        return false;
    }
    if (partition.ptr != NULL && !partition_read(p, partition, what))
        return false;
    if (timestamp.ptr != NULL && (!moment_read(timestamp.ptr, timestamp.len, &what->timestamp_ms) ||
                                  what->timestamp_ms == 0)) {
        refuse_quoting(p, "Invalid timestamp: ", timestamp, "");
        return false;
    }
    return true;
}

/* False: refused. */
static bool content_read(post *p, broker_publication *what)
{
    sb why = SB_INIT;
    payload sent;
    bool ok = payload_read((broker_str){p->body.data, p->body.len}, false, &sent, &why);

    if (ok)
        what->content = (broker_bytes){(const uint8_t *)sent.content.ptr, sent.content.len};
    else
        refuse(p, 400, why.data);
    sb_done(&why);
    return ok;
}

static void publish(post *p)
{
    broker_publication what = {.size = sizeof what,
                               .stream = p->h->server->param(p->req, "id"),
                               .content_type = BROKER_CONTENT_JSON,
                               .done = on_published,
                               .arg = p};
    broker_rc rc;

    if (!content_read(p, &what) || !parameters_read(p, &what))
        return;
    rc = p->h->bus->publish(p->h->ctx, &what);
    if (rc == BROKER_AGAIN)
        refuse(p, 503, "the node is busy; try again");
    else if (rc != BROKER_OK)
        refuse(p, rc == BROKER_EINVAL ? 413 : 503, verdict_of_publish(rc));
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

/* For the next build: what has arrived of the body. */
static broker_rc save(void *self, broker_req *req, broker_writer *out)
{
    post *p = self;
    broker_rc rc = out->write(out, p->body.data, p->body.len);

    (void)req;
    if (rc == BROKER_OK) {
        sb_done(&p->body);
        free(p);
    }
    return rc;
}

static void receive(http *h, broker_req *req, broker_bytes begun)
{
    post *p = must_alloc(sizeof *p);
    broker_intake intake = {
        .size = sizeof intake, .self = p, .on_body = on_body, .on_abort = on_abort, .save = save};

    p->h = h;
    p->req = req;
    sb_append(&p->body, begun.ptr, begun.len);
    if (p->h->server->receive(req, &intake) != BROKER_OK)
        refuse(p, 503, "the body cannot be read now");
}

static void on_post(void *self, broker_req *req)
{
    receive(self, req, (broker_bytes){NULL, 0});
}

static void resume(void *self, broker_req *req, broker_bytes saved)
{
    receive(self, req, saved);
}

/* ---- life ---- */

static broker_rc create(broker_ctx *ctx, void **self)
{
    const broker_bus *bus = BROKER_SERVICE(ctx, broker_bus);
    const broker_http *server = BROKER_SERVICE(ctx, broker_http);
    http *h;

    if (bus == NULL || server == NULL)
        broker_failf(ctx, BROKER_ENOSYS, "this host lacks %s",
                     bus == NULL ? BROKER_ID_broker_bus : BROKER_ID_broker_http);
    h = must_alloc(sizeof *h);
    *h = (http){ctx, bus, server};
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
                      .on_req = on_post,
                      .resume_req = resume};

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
