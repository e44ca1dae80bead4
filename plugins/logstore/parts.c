/* parts -- what is stored: readiness, metadata, storage, the list. */
#include "logstore.h"
#include "streamr/streamr.h"

void reply_json(logstore *l, broker_req *req, uint32_t status, const sb *body)
{
    broker_response r = {.size = sizeof r,
                         .status = status,
                         .type = "application/json; charset=utf-8",
                         .body = {(const uint8_t *)body->data, body->len}};

    l->http->reply(req, &r);
}

void reply_error(logstore *l, broker_req *req, uint32_t status, const char *text)
{
    sb body = SB_INIT;

    sb_puts(&body, "{\"error\":");
    sb_json_string(&body, text, strlen(text));
    sb_putc(&body, '}');
    reply_json(l, req, status, &body);
    sb_done(&body);
}

bool accepts(const logstore *l, broker_req *req, const char *type)
{
    broker_str accept = l->http->header(req, "Accept");

    return accept.ptr != NULL && memmem(accept.ptr, accept.len, type, strlen(type)) != NULL;
}

static bool partition_read(broker_str text, uint32_t *out)
{
    int64_t x;

    if (!parse_i64(text.ptr, text.len, &x) || x < 0 || x >= (int64_t)STREAMR_PARTITIONS)
        return false;
    *out = (uint32_t)x;
    return true;
}

bool path_part(logstore *l, broker_req *req, sb *stream, uint32_t *partition)
{
    broker_str id = l->http->param(req, "id"), text = l->http->param(req, "partition");
    const char *why = streamr_stream_id_check(id.ptr, id.len);
    sb message = SB_INIT;
    int64_t x;

    if (!parse_i64(text.ptr, text.len, &x))
        sb_printf(&message, "Path parameter \"partition\" not a number: %.*s", (int)text.len,
                  text.ptr);
    else if (!partition_read(text, partition))
        sb_printf(&message, "Path parameter \"partition\" is not 0 to 99: %.*s", (int)text.len,
                  text.ptr);
    else if (why != NULL)
        sb_puts(&message, why);
    else
        streamr_stream_id_normalise(id.ptr, id.len, stream);
    if (message.len != 0)
        reply_error(l, req, 400, message.data);
    sb_done(&message);
    return stream->len != 0;
}

/* Spec "Log Store node" 1.3. Without a network a part is ready when it is tracked. */
static void on_ready(void *self, broker_req *req)
{
    logstore *l = self;
    broker_str timeout = l->http->query(req, "timeout");
    sb stream = SB_INIT, body = SB_INIT;
    uint32_t partition;
    int64_t ms;

    if (timeout.ptr != NULL && !parse_i64(timeout.ptr, timeout.len, &ms)) {
        sb_printf(&body, "Query parameter \"timeout\" not a number: %.*s", (int)timeout.len,
                  timeout.ptr);
        reply_error(l, req, 400, body.data);
    } else if (path_part(l, req, &stream, &partition)) {
        bool ready = logstore_takes(l, (broker_str){stream.data, stream.len}, partition) &&
                     store_is_well(l->store, NULL);

        sb_printf(&body, "{\"ready\":%s}", ready ? "true" : "false");
        reply_json(l, req, 200, &body);
    }
    sb_done(&stream);
    sb_done(&body);
}

/* Spec "Streamr storage API" 1.8. */
static void on_metadata(void *self, broker_req *req)
{
    logstore *l = self;
    sb stream = SB_INIT, body = SB_INIT;
    counts p = {0};
    uint32_t partition;

    if (path_part(l, req, &stream, &partition)) {
        if (!store_part(l->store, (broker_str){stream.data, stream.len}, partition, &p))
            p = (counts){0};
        sb_printf(&body,
                  "{\"totalBytes\":%llu,\"totalMessages\":%llu,\"firstMessage\":%lld,"
                  "\"lastMessage\":%lld}",
                  (unsigned long long)p.bytes, (unsigned long long)p.messages,
                  (long long)p.first_ms, (long long)p.last_ms);
        reply_json(l, req, 200, &body);
    }
    sb_done(&stream);
    sb_done(&body);
}

static void on_storage(void *self, broker_req *req)
{
    logstore *l = self;
    broker_str id = l->http->param(req, "id"), text = l->http->param(req, "partition");
    broker_response r = {.size = sizeof r, .status = 404};
    sb stream = SB_INIT, body = SB_INIT;
    uint32_t partition;

    if (!partition_read(text, &partition)) {
        sb_printf(&body, "Partition is not a number: %.*s", (int)text.len, text.ptr);
        r.status = 400;
        r.type = "text/plain; charset=utf-8";
    } else {
        streamr_stream_id_normalise(id.ptr, id.len, &stream);
        if (logstore_takes(l, (broker_str){stream.data, stream.len}, partition)) {
            sb_puts(&body, "{}");
            r.status = 200;
            r.type = "application/json; charset=utf-8";
        }
    }
    r.body = (broker_bytes){(const uint8_t *)body.data, body.len};
    l->http->reply(req, &r);
    sb_done(&stream);
    sb_done(&body);
}

static bool part_list(void *arg, broker_str stream, uint32_t partition, const counts *p)
{
    sb *body = arg;

    sb_puts(body, body->len == 1 ? "{\"streamId\":" : ",{\"streamId\":");
    sb_json_string(body, stream.ptr, stream.len);
    sb_printf(body,
              ",\"partition\":%u,\"messages\":%llu,\"bytes\":%llu,\"firstTimestamp\":%lld,"
              "\"lastTimestamp\":%lld}",
              partition, (unsigned long long)p->messages, (unsigned long long)p->bytes,
              (long long)p->first_ms, (long long)p->last_ms);
    return true;
}

static void on_list(void *self, broker_req *req)
{
    logstore *l = self;
    sb body = SB_INIT;

    sb_putc(&body, '[');
    store_parts(l->store, part_list, &body);
    sb_putc(&body, ']');
    reply_json(l, req, 200, &body);
    sb_done(&body);
}

broker_rc parts_routes(logstore *l)
{
    static const struct {
        const char *path;
        void (*on_req)(void *self, broker_req *req);
    } routes[] = {
        {"/stores", on_list},
        {"/stores/{id+}/partitions/{partition}/ready", on_ready},
        {"/streams/{id+}/metadata/partitions/{partition}", on_metadata},
        {"/streams/{id+}/storage/partitions/{partition}", on_storage},
    };
    broker_rc rc = BROKER_OK;

    for (size_t i = 0; rc == BROKER_OK && i < COUNT_OF(routes); i++) {
        broker_route r = {.size = sizeof r,
                          .method = "GET",
                          .self = l,
                          .path = routes[i].path,
                          .on_req = routes[i].on_req};

        rc = l->http->route(l->ctx, &r);
    }
    return rc;
}
