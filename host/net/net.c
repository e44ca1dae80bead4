/* net -- see net.h. What all sockets share: the step before the loop waits, the clock, limits
 * said in the log, the end. */
#include "net/parts.h"

#include "run/log.h"

#define SAY_MS 5000u /* a line of a kind at most so often */

uint64_t net_now(const net *n)
{
    return uv_now(loop_uv(n->loop));
}

/* ---- what is said ---- */

/* Whether a line may be said now; *left_out: how many could not since the last. */
static bool quota_take(quota *q, uint64_t now, uint64_t *left_out)
{
    if (now < q->next_ms) {
        q->left_out++;
        return false;
    }
    *left_out = q->left_out;
    q->left_out = 0;
    q->next_ms = now + SAY_MS;
    return true;
}

static void say(net *n, quota *q, const char *plugin, const char *what, const char *who,
                const char *why)
{
    uint64_t left_out;

    if (quota_take(q, net_now(n), &left_out))
        log_warn("net", "%s: %s %s: %s (%llu more since the last line like this)", plugin, what,
                 who != NULL ? who : "somebody", why, (unsigned long long)left_out);
}

void net_refused(net *n, const char *plugin, refuse_reason reason, const char *who, const char *why)
{
    metric_add(n->refused[reason], 1);
    say(n, &n->refused_said, plugin, "refused", who, why);
}

void net_slow(net *n, const char *plugin, const char *who, const char *why)
{
    say(n, &n->slow_said, plugin, "cut off", who, why);
}

static void metrics_make(net *n)
{
    static const char *const refused[REFUSE_REASONS] = {"limit", "plugin", "handshake", "timeout"};
    static const char *const ended[CLOSE_REASONS] = {"peer",  "local",   "lost",
                                                     "rules", "timeout", "slow"};
    char label[32];

    n->connections =
        metrics_gauge("net_connections", NULL, "Open connections of plugins, both directions.");
    n->accepted = metrics_counter("net_accepted_total", NULL, "Connections accepted.");
    n->dialled = metrics_counter("net_dialled_total", NULL, "Connections begun.");
    for (unsigned i = 0; i < REFUSE_REASONS; i++) {
        snprintf(label, sizeof label, "reason=\"%s\"", refused[i]);
        n->refused[i] = metrics_counter("net_refused_total", label, "Connections refused.");
    }
    for (unsigned i = 0; i < CLOSE_REASONS; i++) {
        snprintf(label, sizeof label, "reason=\"%s\"", ended[i]);
        n->ended[i] = metrics_counter("net_closed_total", label, "Connections that have ended.");
    }
    n->in = metrics_counter("net_received_bytes_total", NULL, "Bytes received.");
    n->out = metrics_counter("net_sent_bytes_total", NULL, "Bytes sent.");
}

/* ---- life ---- */

static void on_prepare(uv_prepare_t *p)
{
    net *n = CONTAINER_OF(p, net, prepare);

    while (n->dirty != NULL)
        sock_step(n->dirty);
}

static void on_tick(uv_timer_t *t)
{
    net *n = CONTAINER_OF(t, net, tick);
    uint64_t now = net_now(n);

    metric_set(n->connections, n->n_conns);
    for (broker_conn *c = n->conns; c != NULL; c = c->next)
        sock_tick(c, now);
    if (n->n_conns == 0) {
        uv_timer_stop(t);
        n->ticking = false;
    }
}

net *net_new(loop *l)
{
    net *n = must_alloc(sizeof *n);

    n->loop = l;
    must(uv_prepare_init(loop_uv(l), &n->prepare) == 0 && uv_timer_init(loop_uv(l), &n->tick) == 0);
    must(uv_prepare_start(&n->prepare, on_prepare) == 0);
    n->handles = 2;
    metrics_make(n);
    return n;
}

static void on_handle_closed(uv_handle_t *h)
{
    net_handle_gone(h->data);
}

static void end_when_over(net *n)
{
    if (!n->closing || n->n_conns != 0)
        return;
    if (!uv_is_closing((uv_handle_t *)&n->prepare)) {
        n->prepare.data = n->tick.data = n;
        uv_close((uv_handle_t *)&n->prepare, on_handle_closed);
        uv_close((uv_handle_t *)&n->tick, on_handle_closed);
    }
    if (n->handles != 0)
        return;
    slab_done(&n->slab);
    tls_release(n->client_tls[0]);
    tls_release(n->client_tls[1]);
    n->closed(n->closed_arg);
    free(n);
}

void net_handle_gone(net *n)
{
    n->handles--;
    end_when_over(n);
}

void net_conn_come(net *n)
{
    n->n_conns++;
    metric_set(n->connections, n->n_conns);
    if (!n->ticking) {
        n->ticking = true;
        uv_timer_start(&n->tick, on_tick, TICK_MS, TICK_MS);
    }
}

void net_conn_gone(net *n)
{
    n->n_conns--;
    metric_set(n->connections, n->n_conns);
    end_when_over(n);
}

void net_close(net *n, void (*closed)(void *arg), void *arg)
{
    uint64_t by = net_now(n) + STOP_MS;

    n->closing = true;
    n->closed = closed;
    n->closed_arg = arg;
    while (n->listeners != NULL)
        listener_close(n->listeners);
    for (broker_conn *c = n->conns; c != NULL; c = c->next) {
        c->owner = NULL;
        c->parked = false;
        sock_close(c, CLOSE_LOCAL, WS_AWAY, "going away");
        if (c->ended)
            sock_later(c);
        if (c->state == SOCK_CLOSING && c->deadline_ms > by)
            c->deadline_ms = by;
    }
    end_when_over(n);
}

/* ---- connections that begin here ---- */

static bool target_is_right(const char *path)
{
    for (const char *p = path; p != NULL && *p != '\0'; p++)
        if ((unsigned char)*p <= 32 || *p == 127)
            return false;
    return path == NULL || path[0] == '/';
}

static void calls_set(broker_conn *c, const broker_peer_calls *calls)
{
    memcpy(&c->calls, calls, calls->size < sizeof c->calls ? calls->size : sizeof c->calls);
}

broker_rc net_connect(net *n, ledger *owner, const broker_net_options *o,
                      const broker_peer_calls *calls, broker_conn **out, sb *why)
{
    bool secure = o->kind == BROKER_NET_TLS || o->kind == BROKER_NET_WSS;
    unsigned web = o->kind == BROKER_NET_WSS || o->kind == BROKER_NET_WS;
    broker_conn *c;

    if (o->kind > BROKER_NET_WSS || o->host == NULL || strlen(o->host) > 255 || o->port == 0 ||
        o->port > 65535 || !target_is_right(o->path)) {
        sb_puts(why, "connect() wants a kind, a host, a port from 1 to 65535, and a path that "
                     "begins with '/' and has no spaces");
        return BROKER_EINVAL;
    }
    if (secure && n->client_tls[web] == NULL) {
        n->client_tls[web] = tls_new_client(web != 0 ? "http/1.1" : NULL, why);
        if (n->client_tls[web] == NULL)
            return BROKER_EIO;
    }
    c = sock_new(n, owner, o);
    c->asked = true;
    calls_set(c, calls);
    c->deadline_ms = net_now(n) + (o->connect_timeout_ms != 0 ? o->connect_timeout_ms : CONNECT_MS);
    metric_add(n->dialled, 1);
    *out = c;
    dial_start(c);
    return BROKER_OK;
}

broker_rc net_upgrade(net *n, ledger *owner, const head *request, const broker_net_options *o,
                      const broker_peer_calls *calls, broker_conn **out, sb *why)
{
    broker_net_options opt = *o;
    broker_conn *c;
    const char *wrong;

    if (shake_check(request, &wrong) != 0) {
        sb_puts(why, wrong);
        return BROKER_EINVAL;
    }
    opt.kind = BROKER_NET_WS;
    c = sock_new(n, owner, &opt);
    c->asked = c->server = c->waits_for_wire = true;
    calls_set(c, calls);
    shake_agree(request, o->protocol, &c->head);
    *out = c;
    return BROKER_OK;
}

void net_upgrade_wire(void *conn, wire *w, const uint8_t *bytes, size_t len)
{
    broker_conn *c = conn;

    c->waits_for_wire = false;
    if (c->state == SOCK_GONE || w == NULL) {
        static const wire_calls silent = {0};

        if (w != NULL) {
            wire_give(w, &silent, NULL);
            wire_close(w);
        }
        sock_cut(c, CLOSE_LOST, WS_LOST, "the client left before it was a WebSocket");
        c->ended = true;
        sock_later(c);
        return;
    }
    c->wire = w;
    wire_give(w, flow_wire_calls(), c);
    metric_add(c->net->accepted, 1);
    outq_copy(&c->out, c->head.data, c->head.len);
    sb_done(&c->head);
    c->ws = flow_ws(c);
    sock_open(c);
    if (c->state == SOCK_OPEN && len != 0)
        flow_feed(c, bytes, len);
}
