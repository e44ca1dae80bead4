/* echo -- a plugin that sends back what it gets, over TCP, TLS and WebSockets, in both roles.
 *
 * Its four listeners are on free ports, which GET /echo/ports tells. What a WebSocket's path
 * says makes it do other things, see `roles`. GET /echo/ws becomes a WebSocket; GET /echo/dial
 * connects out, sends, and answers with what came of it. */
#include <broker/plugin.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct echo {
    broker_ctx *ctx;
    const broker_config *config;
    const broker_net *net;
    const broker_http *http;
    const broker_bus *bus;
    const broker_work *work;
    broker_listener *listeners[4];
    struct talk *talks;
} echo;

typedef enum role { ECHO, SWALLOW, FLOOD, CLOSE, SLOW, HOLD, DIAL } role;

/* One connection. */
typedef struct talk {
    struct talk *next, **link;
    echo *e;
    role role;
    broker_conn *conn;
    broker_timer *timer;
    uint64_t in, out, limit; /* bytes */
    uint32_t messages;
    int32_t code;
    /* of a DIAL */
    broker_req *req;
    uint32_t count, size, wanted;
    int opened, wrong, text;
} talk;

static const struct {
    const char *path;
    role role;
} roles[] = {
    {"/swallow", SWALLOW}, /* reads and sends nothing           */
    {"/flood/", FLOOD},    /* sends so many bytes at once        */
    {"/close/", CLOSE},    /* closes with that code at once      */
    {"/slow", SLOW},       /* echoes, and rests after a message  */
    {"/hold", HOLD},       /* never reads                        */
};

static const char *const kinds[] = {"tcp", "tls", "ws", "wss"};

static uint32_t number(const echo *e, const char *path)
{
    return (uint32_t)e->config->integer(e->ctx, path);
}

static talk *talk_new(echo *e, role r)
{
    talk *t = calloc(1, sizeof *t);

    t->e = e;
    t->role = r;
    t->next = e->talks;
    t->link = &e->talks;
    if (t->next != NULL)
        t->next->link = &t->next;
    e->talks = t;
    return t;
}

static void talk_free(talk *t)
{
    *t->link = t->next;
    if (t->next != NULL)
        t->next->link = t->link;
    free(t);
}

/* ---- what happens on a connection ---- */

static void flood(talk *t)
{
    static uint8_t block[65536];

    while (t->out < t->limit) {
        broker_rc rc = t->e->net->send(t->conn, (broker_bytes){block, sizeof block}, 0);

        t->out += sizeof block;
        if (rc != BROKER_OK)
            return;
    }
    t->e->net->close(t->conn, 1000, "that was all");
}

static void dial_send(talk *t)
{
    char *bytes = malloc(t->size + 1);

    for (; t->count > 0; t->count--) {
        memset(bytes, 'a' + (int)(t->count % 26), t->size);
        if (t->e->net->send(t->conn, (broker_bytes){(const uint8_t *)bytes, t->size}, t->text) !=
            BROKER_OK) {
            t->count--;
            break; /* on_drain() goes on */
        }
    }
    free(bytes);
}

static void on_open(void *self, broker_conn *conn)
{
    talk *t = self;

    t->conn = conn;
    t->opened = 1;
    if (t->role == FLOOD)
        flood(t);
    else if (t->role == CLOSE)
        t->e->net->close(conn, t->code, "as you asked");
    else if (t->role == HOLD)
        t->e->net->pause(conn);
    else if (t->role == DIAL && t->size != 0)
        dial_send(t);
}

static void rested(void *arg)
{
    talk *t = arg;

    t->e->work->timer_stop(t->timer);
    t->timer = NULL;
    t->e->net->resume(t->conn);
}

static void on_data(void *self, broker_conn *conn, broker_buf *buf, broker_bytes data, int32_t text)
{
    talk *t = self;

    t->in += data.len;
    t->messages++;
    if (data.ptr < buf->bytes || data.ptr + data.len > buf->bytes + buf->len)
        abort(); /* data lies in buf, always */
    if (t->role == DIAL) {
        for (size_t i = 1; i < data.len; i++)
            t->wrong |= data.ptr[i] != data.ptr[0];
        if (t->in >= t->wanted)
            t->e->net->close(conn, 1000, "enough");
        return;
    }
    if (t->role == SWALLOW)
        return;
    if (t->e->net->send_buf(conn, buf, data, text) == BROKER_AGAIN)
        t->e->net->pause(conn);
    if (t->role == SLOW && t->timer == NULL) {
        t->e->net->pause(conn);
        t->e->work->timer(t->e->ctx, 2, 0, rested, t, &t->timer);
    }
}

static void on_drain(void *self, broker_conn *conn)
{
    talk *t = self;

    if (t->role == FLOOD)
        flood(t);
    else if (t->role == DIAL)
        dial_send(t);
    else if (t->timer == NULL && t->role != HOLD)
        t->e->net->resume(conn);
}

static void on_close(void *self, broker_conn *conn, int32_t code, const char *why)
{
    talk *t = self;
    char text[512];

    (void)conn;
    if (t->timer != NULL)
        t->e->work->timer_stop(t->timer);
    snprintf(text, sizeof text,
             "{\"role\":%d,\"opened\":%d,\"messages\":%u,\"bytes\":%llu,\"wrong\":%d,\"code\":%d,"
             "\"why\":\"%s\"}",
             (int)t->role, t->opened, t->messages, (unsigned long long)t->in, t->wrong, code,
             why != NULL ? why : "");
    if (t->req != NULL) {
        broker_response r = {.size = sizeof r,
                             .status = 200,
                             .type = "application/json",
                             .body = {(const uint8_t *)text, strlen(text)}};

        t->e->http->reply(t->req, &r);
    } else {
        t->e->ctx->host->log(t->e->ctx, BROKER_LOG_INFO, text);
    }
    talk_free(t);
}

static broker_peer_calls calls_of(talk *t)
{
    return (broker_peer_calls){
        sizeof(broker_peer_calls), 0, t, on_open, on_data, on_drain, on_close};
}

static broker_rc accepted(void *self, broker_conn *conn, broker_str target,
                          broker_peer_calls *calls)
{
    echo *e = self;
    char path[256];
    talk *t;

    (void)conn;
    snprintf(path, sizeof path, "%.*s", (int)target.len, target.ptr);
    if (strncmp(path, "/refuse/", 8) == 0)
        return (broker_rc)strtol(path + 8, NULL, 10);
    t = talk_new(e, ECHO);
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
        if (strncmp(path, roles[i].path, strlen(roles[i].path)) == 0) {
            t->role = roles[i].role;
            t->code = (int32_t)strtol(path + strlen(roles[i].path), NULL, 10);
            t->limit = (uint64_t)t->code;
        }
    *calls = calls_of(t);
    return BROKER_OK;
}

/* ---- what HTTP asks for ---- */

static void answer(echo *e, broker_req *req, uint32_t status, const char *text)
{
    broker_response r = {.size = sizeof r,
                         .status = status,
                         .type = "application/json",
                         .body = {(const uint8_t *)text, strlen(text)}};

    e->http->reply(req, &r);
}

static broker_net_options options(const echo *e, uint32_t kind)
{
    return (broker_net_options){
        .size = sizeof(broker_net_options),
        .kind = kind,
        .host = "127.0.0.1",
        .max_message = number(e, "maxMessage"),
        .low_water = number(e, "lowWater"),
        .high_water = number(e, "highWater"),
        .connect_timeout_ms = 3000,
        .ping_ms = number(e, "pingMs"),
        .silence_ms = number(e, "silenceMs"),
        .max_connections = number(e, "maxConnections"),
        .protocol = "echo.v1",
    };
}

static void on_ports(void *self, broker_req *req)
{
    echo *e = self;
    char text[128];

    snprintf(
        text, sizeof text, "{\"tcp\":%u,\"tls\":%u,\"ws\":%u,\"wss\":%u}",
        e->net->port(e->listeners[0]), e->listeners[1] != NULL ? e->net->port(e->listeners[1]) : 0,
        e->net->port(e->listeners[2]), e->listeners[3] != NULL ? e->net->port(e->listeners[3]) : 0);
    answer(e, req, 200, text);
}

static void on_ws(void *self, broker_req *req)
{
    echo *e = self;
    broker_net_options o = options(e, BROKER_NET_WS);
    talk *t = talk_new(e, ECHO);
    broker_peer_calls calls = calls_of(t);

    if (e->net->upgrade(req, &o, &calls, &t->conn) != BROKER_OK) {
        talk_free(t);
        answer(e, req, 400, "{\"error\":\"not a WebSocket\"}");
    }
}

static const char *query(const echo *e, broker_req *req, const char *name, char *out, size_t cap)
{
    broker_str s = e->http->query(req, name);

    if (s.ptr == NULL)
        return NULL;
    snprintf(out, cap, "%.*s", (int)s.len, s.ptr);
    return out;
}

static uint32_t query_number(const echo *e, broker_req *req, const char *name)
{
    char text[16];

    return query(e, req, name, text, sizeof text) != NULL ? (uint32_t)strtoul(text, NULL, 10) : 0;
}

static void on_dial(void *self, broker_req *req)
{
    echo *e = self;
    char kind[8] = "", host[300], path[256], name[256], protocol[64];
    broker_net_options o = options(e, 9);
    talk *t = talk_new(e, DIAL);
    broker_peer_calls calls = calls_of(t);

    query(e, req, "kind", kind, sizeof kind);
    for (uint32_t i = 0; i < 4; i++)
        if (strcmp(kinds[i], kind) == 0)
            o.kind = i;
    o.host = query(e, req, "host", host, sizeof host);
    o.port = query_number(e, req, "port");
    o.path = query(e, req, "path", path, sizeof path);
    o.tls_name = query(e, req, "name", name, sizeof name);
    o.protocol = query(e, req, "protocol", protocol, sizeof protocol);
    o.connect_timeout_ms = query_number(e, req, "timeout");
    t->count = query_number(e, req, "count");
    t->size = query_number(e, req, "size");
    t->text = (int)query_number(e, req, "text");
    t->wanted = t->count * t->size;
    t->req = req;
    if (e->net->connect(e->ctx, &o, &calls, &t->conn) != BROKER_OK) {
        talk_free(t);
        answer(e, req, 400, "{\"error\":\"connect() refused\"}");
    }
}

/* ---- life ---- */

static broker_rc create(broker_ctx *ctx, void **self)
{
    echo *e = calloc(1, sizeof *e);

    e->ctx = ctx;
    e->config = BROKER_SERVICE(ctx, broker_config);
    e->net = BROKER_SERVICE(ctx, broker_net);
    e->http = BROKER_SERVICE(ctx, broker_http);
    e->bus = BROKER_SERVICE(ctx, broker_bus);
    e->work = BROKER_SERVICE(ctx, broker_work);
    *self = e;
    return e->net != NULL ? BROKER_OK : ctx->host->fail(ctx, BROKER_ENOSYS, "no broker.net/1");
}

static broker_rc start(void *self, broker_bytes state)
{
    echo *e = self;
    broker_str cert = e->config->string(e->ctx, "cert"), key = e->config->string(e->ctx, "key");
    static const struct {
        const char *path;
        void (*on_req)(void *self, broker_req *req);
    } routes[] = {{"/echo/ports", on_ports}, {"/echo/ws", on_ws}, {"/echo/dial", on_dial}};

    (void)state;
    for (uint32_t i = 0; i < 4; i++) {
        broker_net_options o = options(e, i);

        o.tls_cert_file = cert.ptr;
        o.tls_key_file = key.ptr;
        if ((i == BROKER_NET_TLS || i == BROKER_NET_WSS) && cert.len == 0)
            continue;
        broker_rc rc = e->net->listen(e->ctx, &o, accepted, e, &e->listeners[i]);
        if (rc != BROKER_OK)
            return rc;
    }
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        broker_route r = {.size = sizeof r,
                          .method = "GET",
                          .path = routes[i].path,
                          .self = e,
                          .on_req = routes[i].on_req};
        broker_rc rc = e->http->route(e->ctx, &r);

        if (rc != BROKER_OK)
            return rc;
    }
    return BROKER_OK;
}

static broker_rc quiesce(void *self, broker_writer *state)
{
    (void)self, (void)state;
    return BROKER_OK;
}

static void destroy(void *self)
{
    echo *e = self;

    while (e->talks != NULL) /* of connections that the host closes now */
        talk_free(e->talks);
    free(e);
}

#define INTEGER(name, value) "\"" name "\":{\"type\":\"integer\",\"default\":" value "}"
BROKER_PLUGIN(
    "echo", "1.0.0", 0,
    "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{"
    "\"cert\":{\"type\":\"string\",\"default\":\"\"},"
    "\"key\":{\"type\":\"string\",\"default\":\"\"}," INTEGER("maxMessage", "2097152") "," INTEGER(
        "lowWater",
        "0") "," INTEGER("highWater",
                         "0") "," INTEGER("pingMs",
                                          "0") "," INTEGER("silenceMs",
                                                           "0") "," INTEGER("maxConnections",
                                                                            "0") "}}",
    create, start, NULL, quiesce, destroy);
