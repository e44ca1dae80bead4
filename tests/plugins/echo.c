/* echo -- a plugin with sockets of its own: what comes over TCP and WebSocket goes back. Ports are
 * at GET /echo. A WebSocket's target decides: /refuse/401 is refused, /slow is paused until GET
 * /echo/resume, /close is closed with 4000 after the first message. Connections cross a swap. */
#include <broker/plugin.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONNS 64

typedef struct echo echo;

typedef struct peer {
    echo *e;
    broker_conn *conn; /* NULL: free */
    char kind;         /* 'e' echo, 's' slow, 'c' close */
} peer;

struct echo {
    broker_ctx *ctx;
    const broker_net *net;
    const broker_http *http;
    broker_listener *tcp, *ws;
    peer peers[CONNS];
    unsigned long long drains, closes;
    int32_t last_code;
};

static void on_data(void *self, broker_conn *conn, broker_buf *buf, broker_bytes data, int32_t text)
{
    peer *p = self;
    broker_rc rc = p->e->net->send_buf(conn, buf, data, text);

    if (p->kind == 'c')
        p->e->net->close(conn, 4000, "enough");
    else if (p->kind == 's' || rc == BROKER_AGAIN)
        p->e->net->pause(conn);
}

static void on_drain(void *self, broker_conn *conn)
{
    peer *p = self;

    p->e->drains++;
    p->e->net->resume(conn);
}

static void on_close(void *self, broker_conn *conn, int32_t code, const char *why)
{
    peer *p = self;

    (void)conn, (void)why;
    p->e->closes++;
    p->e->last_code = code;
    p->conn = NULL;
}

static broker_peer_calls calls_of(peer *p)
{
    return (broker_peer_calls){.size = sizeof(broker_peer_calls),
                               .self = p,
                               .on_data = on_data,
                               .on_drain = on_drain,
                               .on_close = on_close};
}

static broker_rc accepted(void *self, broker_conn *conn, broker_str target,
                          broker_peer_calls *calls)
{
    echo *e = self;
    int status;

    if (target.len > 8 && memcmp(target.ptr, "/refuse/", 8) == 0) {
        char text[8] = "";

        memcpy(text, target.ptr + 8, target.len - 8 < 7 ? target.len - 8 : 7);
        return sscanf(text, "%d", &status) == 1 ? status : 400;
    }
    for (size_t i = 0; i < CONNS; i++)
        if (e->peers[i].conn == NULL) {
            e->peers[i] = (peer){e, conn,
                                 target.len > 1 && target.ptr[1] == 's'   ? 's'
                                 : target.len > 1 && target.ptr[1] == 'c' ? 'c'
                                                                          : 'e'};
            *calls = calls_of(&e->peers[i]);
            return BROKER_OK;
        }
    return 503;
}

static void on_echo(void *self, broker_req *req)
{
    echo *e = self;
    char text[128];
    broker_response r = {.size = sizeof r, .status = 200, .type = "application/json"};

    r.body.ptr = (uint8_t *)text;
    r.body.len = (size_t)snprintf(
        text, sizeof text, "{\"tcp\":%u,\"ws\":%u,\"drains\":%llu,\"closes\":%llu,\"code\":%d}",
        e->net->port(e->tcp), e->net->port(e->ws), e->drains, e->closes, (int)e->last_code);
    e->http->reply(req, &r);
}

static void on_resume(void *self, broker_req *req)
{
    echo *e = self;

    for (size_t i = 0; i < CONNS; i++)
        if (e->peers[i].conn != NULL && e->peers[i].kind == 's')
            e->net->resume(e->peers[i].conn);
    on_echo(self, req);
}

static broker_rc create(broker_ctx *ctx, void **self)
{
    echo *e = calloc(1, sizeof *e);

    if (e == NULL)
        return BROKER_ENOMEM;
    e->ctx = ctx;
    e->net = BROKER_SERVICE(ctx, broker_net);
    e->http = BROKER_SERVICE(ctx, broker_http);
    *self = e;
    return e->net != NULL && e->http != NULL ? BROKER_OK : BROKER_ENOSYS;
}

/* Of each connection that the build before left: its number and kind. */
static void adopt_all(echo *e, broker_bytes state)
{
    for (size_t i = 0; i < CONNS && 9 * (i + 1) <= state.len; i++) {
        uint64_t id;
        broker_peer_calls calls = calls_of(&e->peers[i]);

        memcpy(&id, state.ptr + 9 * i, sizeof id);
        e->peers[i] = (peer){e, NULL, (char)state.ptr[9 * i + 8]};
        if (e->net->adopt(e->ctx, id, &calls, &e->peers[i].conn) != BROKER_OK)
            e->peers[i].conn = NULL;
    }
}

static broker_rc start(void *self, broker_bytes state)
{
    echo *e = self;
    const broker_config *config = BROKER_SERVICE(e->ctx, broker_config);
    broker_str cert = config->string(e->ctx, "cert"), key = config->string(e->ctx, "key");
    char cert_file[512], key_file[512];
    broker_net_options o = {.size = sizeof o,
                            .kind = cert.len != 0 ? BROKER_NET_TLS : BROKER_NET_TCP,
                            .host = "127.0.0.1",
                            .max_message = 1u << 20,
                            .low_water = 64u << 10,
                            .high_water = 256u << 10,
                            .max_connections = 20,
                            .ping_ms = (uint32_t)config->integer(e->ctx, "ping"),
                            .silence_ms = (uint32_t)config->integer(e->ctx, "silence"),
                            .tls_cert_file = cert_file,
                            .tls_key_file = key_file};
    broker_route routes[] = {
        {.size = sizeof *routes, .method = "GET", .path = "/echo", .self = e, .on_req = on_echo},
        {.size = sizeof *routes,
         .method = "GET",
         .path = "/echo/resume",
         .self = e,
         .on_req = on_resume}};
    broker_rc rc;

    snprintf(cert_file, sizeof cert_file, "%.*s", (int)cert.len, cert.ptr);
    snprintf(key_file, sizeof key_file, "%.*s", (int)key.len, key.ptr);
    adopt_all(e, state);
    rc = e->net->listen(e->ctx, &o, accepted, e, &e->tcp);
    o.kind = cert.len != 0 ? BROKER_NET_WSS : BROKER_NET_WS;
    if (rc == BROKER_OK)
        rc = e->net->listen(e->ctx, &o, accepted, e, &e->ws);
    for (size_t i = 0; i < 2 && rc == BROKER_OK; i++)
        rc = e->http->route(e->ctx, &routes[i]);
    return rc;
}

static broker_rc quiesce(void *self, broker_writer *state)
{
    echo *e = self;

    for (size_t i = 0; i < CONNS; i++)
        if (e->peers[i].conn != NULL) {
            uint64_t id = e->net->id(e->peers[i].conn);

            state->write(state, &id, sizeof id);
            state->write(state, &e->peers[i].kind, 1);
        }
    return BROKER_OK;
}

BROKER_PLUGIN("echo", "1.0.0", BROKER_PLUGIN_HOTSWAP,
              "{\"type\":\"object\",\"properties\":{\"cert\":{\"type\":\"string\"},\"key\":{"
              "\"type\":\"string\"},\"ping\":{\"type\":\"integer\",\"default\":0},\"silence\":{"
              "\"type\":\"integer\",\"default\":0}}}",
              create, start, NULL, quiesce, free);
