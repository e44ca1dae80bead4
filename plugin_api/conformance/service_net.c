/* service_net -- "broker.net/1" of the kit: peers that connect, talk, stall and leave. */
#include "kit.h"
#include "request.h"

#define CONN     0x636f6e6eu
#define LISTENER 0x6c697374u

struct broker_listener {
    object o;
    char *host;
    uint32_t kind, port;
    broker_rc (*accepted)(void *self, broker_conn *conn, broker_str target,
                          broker_peer_calls *calls);
    void *self;
    bool ended;
};

struct broker_conn {
    object o;
    broker_peer_calls calls;
    uint32_t kind, high_water;
    size_t queued;
    bool open, closed, paused, draining;
    const char *why;
};

static void listener_free(object *o)
{
    free(CONTAINER_OF(o, broker_listener, o)->host);
    free(CONTAINER_OF(o, broker_listener, o));
}

static void conn_free(object *o)
{
    free(CONTAINER_OF(o, broker_conn, o));
}

/* ---- connections ---- */

static broker_conn *conn_new(kit *k, uint32_t kind, uint32_t high_water)
{
    broker_conn *c = must_alloc(sizeof *c);

    c->kind = kind;
    c->high_water = high_water != 0 ? high_water : 65536;
    object_init(k, &c->o, CONN, conn_free);
    return c;
}

static bool calls_take(broker_conn *c, const broker_peer_calls *calls)
{
    if (calls == NULL || !size_is_said(calls->size, sizeof *calls, "broker_peer_calls"))
        return false;
    if (calls->on_data == NULL || calls->on_close == NULL)
        finding("broker_peer_calls has no on_data or no on_close");
    c->calls = *calls;
    atomic_fetch_add(&c->o.kit->conns, 1);
    return calls->on_data != NULL && calls->on_close != NULL;
}

static void conn_opened(void *arg)
{
    broker_conn *c = arg;

    if (c->closed)
        return;
    c->open = true;
    if (c->calls.on_open != NULL)
        CROSS("on_open", c->calls.on_open(c->calls.self, c));
}

static void conn_ended(void *arg)
{
    broker_conn *c = arg;

    if (c->calls.on_close == NULL)
        return;
    atomic_fetch_sub(&c->o.kit->conns, 1);
    CROSS("on_close", c->calls.on_close(c->calls.self, c, 0, c->why));
    c->calls = (broker_peer_calls){0};
}

static void conn_end(broker_conn *c, const char *why)
{
    if (c->closed)
        return;
    c->closed = true;
    c->why = why;
    kit_post(conn_ended, c);
}

static void conn_said(broker_conn *c, const char *text, size_t len, int32_t is_text)
{
    broker_buf *buf;

    if (c->closed || c->paused || !c->open)
        return;
    buf = buffer_new(c->o.kit, text, len);
    CROSS("on_data",
          c->calls.on_data(c->calls.self, c, buf, (broker_bytes){buf->bytes, len}, is_text));
    buffer_drop(buf);
}

static void drained(void *arg)
{
    broker_conn *c = arg;

    c->queued = 0;
    c->draining = false;
    if (!c->closed && c->calls.on_drain != NULL)
        CROSS("on_drain", c->calls.on_drain(c->calls.self, c));
}

/* ---- the table ---- */

static bool options_are_whole(const broker_net_options *opt, call which)
{
    if (opt == NULL || !size_is_said(opt->size, sizeof *opt, "broker_net_options"))
        return false;
    if (opt->kind > BROKER_NET_WSS)
        finding("%s() was given the kind %u, which is none", call_rules[which].name, opt->kind);
    return true;
}

static broker_rc net_listen(broker_ctx *ctx, const broker_net_options *opt,
                            broker_rc (*accepted)(void *self, broker_conn *conn, broker_str target,
                                                  broker_peer_calls *calls),
                            void *self, broker_listener **out)
{
    kit *k = kit_of(ctx);
    broker_listener *l;

    if (called(k, CALL_net_listen))
        return refuse(k, CALL_net_listen);
    if (!options_are_whole(opt, CALL_net_listen) || accepted == NULL || out == NULL)
        return BROKER_EINVAL;
    l = must_alloc(sizeof *l);
    l->host = must_strdup(opt->host != NULL ? opt->host : "");
    l->kind = opt->kind;
    l->port = opt->port != 0 ? opt->port : 50001;
    l->accepted = accepted;
    l->self = self;
    object_init(k, &l->o, LISTENER, listener_free);
    *out = l;
    return BROKER_OK;
}

static uint32_t net_port(broker_listener *l)
{
    return called_on(l, LISTENER, CALL_net_port) != NULL ? l->port : 0;
}

static void net_unlisten(broker_listener *l)
{
    if (called_on(l, LISTENER, CALL_net_unlisten) == NULL)
        return;
    if (l->ended)
        finding("net.unlisten() was called twice on one listener, or after quiesce()");
    l->ended = true;
}

static broker_rc net_connect(broker_ctx *ctx, const broker_net_options *opt,
                             const broker_peer_calls *calls, broker_conn **out)
{
    kit *k = kit_of(ctx);
    broker_conn *c;

    if (called(k, CALL_net_connect))
        return refuse(k, CALL_net_connect);
    if (!options_are_whole(opt, CALL_net_connect) || out == NULL)
        return BROKER_EINVAL;
    if (opt->host == NULL || opt->port == 0)
        finding("net.connect() was given no host or no port");
    c = conn_new(k, opt->kind, opt->high_water);
    if (!calls_take(c, calls))
        return BROKER_EINVAL;
    *out = c;
    if (k->counts[CALL_net_connect] % 3 == 2) /* not everybody is at home */
        conn_end(c, "connection refused");
    else
        kit_post(conn_opened, c);
    return BROKER_OK;
}

static broker_rc net_upgrade(broker_req *req, const broker_net_options *opt,
                             const broker_peer_calls *calls, broker_conn **out)
{
    kit *k = ((object *)(void *)req)->kit;
    broker_conn *c;

    if (!options_are_whole(opt, CALL_net_upgrade) || out == NULL || !request_upgrade(req))
        return BROKER_EINVAL;
    c = conn_new(k, BROKER_NET_WS, opt->high_water);
    if (!calls_take(c, calls))
        return BROKER_EINVAL;
    *out = c;
    kit_post(conn_opened, c);
    return BROKER_OK;
}

static broker_rc sent(broker_conn *c, broker_bytes data, call which)
{
    kit *k = called_on(c, CONN, which);

    if (k == NULL)
        return BROKER_EINVAL;
    if (data.len != 0 && data.ptr == NULL)
        finding("%s() was given %zu bytes at NULL", call_rules[which].name, data.len);
    if (c->closed || call_failed(k, which))
        return BROKER_EGONE;
    c->queued += data.len;
    if (c->queued < c->high_water && k->counts[which] % 4 != 3) /* a slow peer now and then */
        return BROKER_OK;
    if (!c->draining)
        kit_post(drained, c);
    c->draining = true;
    return BROKER_AGAIN;
}

static broker_rc net_send(broker_conn *c, broker_bytes data, int32_t text)
{
    (void)text;
    return sent(c, data, CALL_net_send);
}

static broker_rc net_send_buf(broker_conn *c, broker_buf *buf, broker_bytes data, int32_t text)
{
    (void)text;
    if (buf == NULL || data.ptr < buf->bytes || data.ptr + data.len > buf->bytes + buf->len)
        finding("net.send_buf() was given bytes that do not lie in the buffer");
    return sent(c, data, CALL_net_send_buf);
}

static void net_pause(broker_conn *c)
{
    if (called_on(c, CONN, CALL_net_pause) != NULL)
        c->paused = true;
}

static void net_resume(broker_conn *c)
{
    if (called_on(c, CONN, CALL_net_resume) != NULL)
        c->paused = false;
}

static size_t net_queued(broker_conn *c)
{
    return called_on(c, CONN, CALL_net_queued) != NULL ? c->queued : 0;
}

static broker_str net_address(broker_conn *c)
{
    called_on(c, CONN, CALL_net_address);
    return (broker_str){"127.0.0.1:50002", 15};
}

static void net_close(broker_conn *c, int32_t code, const char *why)
{
    (void)code, (void)why;
    if (called_on(c, CONN, CALL_net_close) != NULL)
        conn_end(c, NULL);
}

static uint64_t net_id(broker_conn *c)
{
    return called_on(c, CONN, CALL_net_id) != NULL ? (uint64_t)(uintptr_t)c : 0;
}

/* All have ended meanwhile: no plugin may count on one. */
static broker_rc net_adopt(broker_ctx *ctx, uint64_t id, const broker_peer_calls *calls,
                           broker_conn **out)
{
    (void)id, (void)calls, (void)out;
    called(kit_of(ctx), CALL_net_adopt);
    return BROKER_EGONE;
}

static broker_str net_header(broker_conn *c, const char *name)
{
    (void)name;
    called_on(c, CONN, CALL_net_header);
    return (broker_str){NULL, 0};
}

const broker_net kit_net = {
    sizeof kit_net, 0,         net_listen,   net_port,  net_unlisten, net_connect,
    net_upgrade,    net_send,  net_send_buf, net_pause, net_resume,   net_queued,
    net_address,    net_close, net_id,       net_adopt, net_header,
};

/* ---- for checks ---- */

static void visit(kit *k, broker_listener *l, const char *target)
{
    broker_conn *c = conn_new(k, l->kind, 0);
    broker_peer_calls calls = {.size = sizeof calls};
    broker_rc rc = BROKER_EIO;

    CROSS("accepted", rc = l->accepted(l->self, c, (broker_str){target, strlen(target)}, &calls));
    if (rc == BROKER_OK) {
        if (calls_take(c, &calls))
            conn_opened(c);
        return;
    }
    if (rc > 0 && (l->kind == BROKER_NET_TCP || l->kind == BROKER_NET_TLS || rc < 400 || rc > 599))
        finding("accepted() refused a connection with %d; it is BROKER_OK, a failure, or an HTTP "
                "status 400 to 599 for a WebSocket",
                rc);
    c->closed = true;
}

/* What peers say to everybody who is connected. */
static void talk(kit *k)
{
    static const struct {
        const char *bytes;
        size_t len;
        int32_t text;
    } said[] = {
        {"{\"hello\":\"world\"}", 17, 1},
        {"", 0, 0},
        {"\x10\x0c\0\4MQTT\4\2\0<\0\0", 14, 0},
        {"\377\377\377\377\377", 5, 0},
        {"not json", 8, 1},
        {"\xc0\0", 2, 0},
    };

    for (size_t i = 0; i < COUNT_OF(said); i++) {
        for (object *o = k->objects; o != NULL; o = o->next)
            if (o->magic == CONN)
                conn_said(CONTAINER_OF(o, broker_conn, o), said[i].bytes, said[i].len,
                          said[i].text);
        kit_run(1000);
    }
}

void net_traffic(kit *k)
{
    for (object *o = k->objects; o != NULL; o = o->next) {
        broker_listener *l = CONTAINER_OF(o, broker_listener, o);

        if (o->magic != LISTENER || l->ended)
            continue;
        visit(k, l, "/");
        visit(k, l, "/streams/conformance.eth%2Fs/subscribe");
    }
    kit_run(1000);
    talk(k);
    for (object *o = k->objects; o != NULL; o = o->next)
        if (o->magic == CONN)
            conn_end(CONTAINER_OF(o, broker_conn, o), "connection reset");
    kit_run(60000);
}

/* What stays open at a swap is closed by the host when nobody adopts it; the build that left
 * hears nothing of that. */
void kit_forget_net(kit *k)
{
    for (object *o = k->objects; o != NULL; o = o->next) {
        if (o->magic == LISTENER)
            CONTAINER_OF(o, broker_listener, o)->ended = true;
        if (o->magic != CONN)
            continue;
        CONTAINER_OF(o, broker_conn, o)->closed = true;
        CONTAINER_OF(o, broker_conn, o)->calls = (broker_peer_calls){0};
    }
}
