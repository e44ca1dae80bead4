/* listen -- listeners, and all of net at once: time, hand-over, the end. See net.h. */
#include "net/sockets.h"

#include "run/log.h"

#include <arpa/inet.h>

#define TICK_MS 500u

uint64_t net_now(const net *n)
{
    return uv_now(loop_uv(n->loop));
}

/* ---- listeners ---- */

void listener_free_when_over(broker_listener *l)
{
    net *n = l->net;
    broker_listener **at = &n->listeners;

    if (!l->closed || l->n_conns != 0)
        return;
    while (*at != l)
        at = &(*at)->next;
    *at = l->next;
    tls_release(l->tls);
    free(l->host);
    free(l->protocol);
    free(l);
    n->open--;
    net_free_when_over(n);
}

static void on_listener_closed(uv_handle_t *h)
{
    broker_listener *l = CONTAINER_OF((uv_tcp_t *)h, broker_listener, tcp);

    l->closed = true;
    listener_free_when_over(l);
}

static void listener_close(broker_listener *l)
{
    if (l->closing)
        return;
    l->closing = true;
    uv_close((uv_handle_t *)&l->tcp, on_listener_closed);
}

static void on_connection(uv_stream_t *s, int status)
{
    broker_listener *l = CONTAINER_OF((uv_tcp_t *)s, broker_listener, tcp);

    if (status != 0)
        return;
    if (l->parked)
        l->pending = true; /* libuv waits until it is accepted */
    else
        conn_begin(l);
}

/* What may change from one build to the next. */
static bool options_set(broker_listener *l, const broker_net_options *o, sb *why)
{
    tls *fresh = NULL;

    if (l->kind == BROKER_NET_TLS || l->kind == BROKER_NET_WSS) {
        if (o->tls_cert_file == NULL || o->tls_key_file == NULL) {
            sb_puts(why, "a TLS listener needs a certificate and its key");
            return false;
        }
        fresh = tls_new_server(o->tls_cert_file, o->tls_key_file,
                               l->kind == BROKER_NET_WSS ? "http/1.1" : NULL, why);
        if (fresh == NULL)
            return false;
    }
    tls_release(l->tls); /* connections have their own reference */
    l->tls = fresh;
    memset(&l->o, 0, sizeof l->o);
    memcpy(&l->o, o, o->size < sizeof l->o ? o->size : sizeof l->o);
    free(l->protocol);
    l->protocol = l->o.protocol != NULL ? must_strdup(l->o.protocol) : NULL;
    return true;
}

static broker_listener *vacant_of(const net *n, const ledger *owner, const broker_net_options *o)
{
    for (broker_listener *l = n->listeners; l != NULL; l = l->next)
        if (l->vacant && !l->closing && l->kind == o->kind && l->port == o->port &&
            strcmp(l->host, o->host) == 0 && strcmp(l->owner->name, owner->name) == 0)
            return l;
    return NULL;
}

static bool bind_to(broker_listener *l, sb *why)
{
    struct sockaddr_storage addr, bound;
    int len = sizeof bound, rc;

    if (!wire_address(l->host, l->port, &addr)) {
        sb_printf(why, "'%s' is not an IP address to listen on", l->host);
        return false;
    }
    rc = uv_tcp_bind(&l->tcp, (const struct sockaddr *)&addr, 0);
    if (rc == 0)
        rc = uv_listen((uv_stream_t *)&l->tcp, 256, on_connection);
    if (rc == 0)
        rc = uv_tcp_getsockname(&l->tcp, (struct sockaddr *)&bound, &len);
    if (rc != 0) {
        sb_printf(why, "cannot listen on %s port %u (%s); is another program there?", l->host,
                  l->port, uv_strerror(rc));
        return false;
    }
    l->bound = ntohs(((struct sockaddr_in *)&bound)->sin_port); /* it lies there in IPv6 too */
    return true;
}

broker_listener *net_listen(net *n, ledger *owner, const broker_net_options *o,
                            net_accepted accepted, void *self, sb *why)
{
    broker_listener *l = vacant_of(n, owner, o);
    bool fresh = l == NULL;

    if (o->kind > BROKER_NET_WSS || o->host == NULL || o->port > 65535 || accepted == NULL) {
        sb_puts(why, "a listener needs a kind, a host, a port and somebody to ask");
        return NULL;
    }
    if (fresh) {
        l = must_alloc(sizeof *l);
        l->net = n;
        l->kind = o->kind;
        l->host = must_strdup(o->host);
        l->port = o->port;
        must(uv_tcp_init(loop_uv(n->loop), &l->tcp) == 0);
        l->next = n->listeners;
        n->listeners = l;
        n->open++;
    }
    l->owner = owner;
    if (!options_set(l, o, why) || (fresh && !bind_to(l, why))) {
        if (fresh)
            listener_close(l);
        return NULL;
    }
    l->accepted = accepted;
    l->self = self;
    l->vacant = false;
    return l;
}

uint32_t net_port(broker_listener *l)
{
    return l->bound;
}

void net_unlisten(broker_listener *l)
{
    if (l->parked)
        l->vacant = true;
    else
        listener_close(l);
}

/* ---- life ---- */

static void on_tick(uv_timer_t *t)
{
    net *n = CONTAINER_OF(t, net, tick);
    uint64_t now = net_now(n);

    metric_set(n->metrics.open, n->n_conns);
    for (broker_conn *c = n->conns, *next; c != NULL; c = next) {
        next = c->next;
        conn_tick(c, now);
    }
}

net *net_new(loop *l)
{
    net *n = must_alloc(sizeof *n);

    n->loop = l;
    n->open = 1;
    must(uv_timer_init(loop_uv(l), &n->tick) == 0);
    must(uv_timer_start(&n->tick, on_tick, TICK_MS, TICK_MS) == 0);
    n->metrics.open = metrics_gauge("net_connections", NULL, "Open connections of plugins.");
    n->metrics.accepted =
        metrics_counter("net_connections_total", "result=\"accepted\"", "Connections of plugins.");
    n->metrics.refused =
        metrics_counter("net_connections_total", "result=\"refused\"", "Connections of plugins.");
    n->metrics.dropped =
        metrics_counter("net_connections_total", "result=\"broken\"", "Connections of plugins.");
    n->metrics.bytes_in =
        metrics_counter("net_bytes_total", "direction=\"in\"", "Bytes of plugins' connections.");
    n->metrics.bytes_out =
        metrics_counter("net_bytes_total", "direction=\"out\"", "Bytes of plugins' connections.");
    return n;
}

void net_free_when_over(net *n)
{
    if (n->closing && n->open == 0)
        free(n);
}

static void on_tick_closed(uv_handle_t *h)
{
    net *n = CONTAINER_OF((uv_timer_t *)h, net, tick);

    n->open--;
    net_free_when_over(n);
}

/* Close a connection whose plugin is not to hear of it. */
static void abandon(broker_conn *c, const char *why)
{
    c->owner = NULL;
    c->parked = false;
    if (c->closed) {
        conn_free_when_over(c);
        return;
    }
    if (c->frames != NULL && c->stage == STAGE_OPEN && why != NULL)
        frames_close(c->frames, 1012, why);
    conn_end(c, 1012, NULL);
}

void net_forget(net *n, const ledger *owner)
{
    for (broker_conn *c = n->conns, *next; c != NULL; c = next) {
        next = c->next;
        if (c->owner == owner)
            abandon(c, "the service ends");
    }
    for (broker_listener *l = n->listeners, *next; l != NULL; l = next) {
        next = l->next;
        if (l->owner == owner)
            listener_close(l);
    }
}

void net_free(net *n)
{
    if (n == NULL)
        return;
    n->closing = true;
    for (broker_conn *c = n->conns, *next; c != NULL; c = next) {
        next = c->next;
        abandon(c, NULL);
    }
    for (broker_listener *l = n->listeners, *next; l != NULL; l = next) {
        next = l->next;
        listener_close(l);
    }
    uv_close((uv_handle_t *)&n->tick, on_tick_closed);
}

/* ---- across a swap ---- */

void net_hold(net *n, const ledger *owner)
{
    for (broker_conn *c = n->conns; c != NULL; c = c->next)
        if (c->owner == owner && !c->held) {
            c->held = true;
            if (!c->closing)
                wire_read(&c->wire, false);
        }
    for (broker_listener *l = n->listeners; l != NULL; l = l->next)
        l->parked |= l->owner == owner; /* who comes now waits */
}

void net_park(net *n, const ledger *owner)
{
    net_hold(n, owner);
    for (broker_conn *c = n->conns; c != NULL; c = c->next)
        c->parked |= c->owner == owner;
}

void net_vacate(net *n, const ledger *owner, ledger *keeper)
{
    for (broker_conn *c = n->conns; c != NULL; c = c->next)
        if (c->owner == owner) {
            c->parked = c->vacant = true;
            c->owner = keeper;
        }
    for (broker_listener *l = n->listeners; l != NULL; l = l->next)
        if (l->owner == owner) {
            l->parked = l->vacant = true;
            l->owner = keeper;
        }
}

broker_conn *net_adopt(net *n, ledger *owner, uint64_t id, const broker_peer_calls *calls)
{
    broker_conn *c = n->conns;

    while (c != NULL && (c->id != id || !c->vacant))
        c = c->next;
    if (c == NULL || c->closing || c->stage != STAGE_OPEN ||
        strcmp(c->owner->name, owner->name) != 0)
        return NULL;
    c->owner = owner;
    memset(&c->calls, 0, sizeof c->calls);
    memcpy(&c->calls, calls, calls->size < sizeof c->calls ? calls->size : sizeof c->calls);
    c->vacant = c->paused = false;
    return c;
}

static void conn_go_on(broker_conn *c)
{
    c->parked = c->held = false;
    if (c->closed) {
        conn_free_when_over(c);
        return;
    }
    if (c->drained && !c->closing && c->stage == STAGE_OPEN) {
        c->drained = c->above = false;
        if (c->calls.on_drain != NULL)
            CROSS(c->owner, "on_drain", c->calls.on_drain(c->calls.self, c));
    }
    if (!c->closing)
        conn_take(c);
}

void net_go_on(net *n, const char *name)
{
    for (broker_listener *l = n->listeners, *next; l != NULL; l = next) {
        next = l->next;
        if (strcmp(l->owner->name, name) != 0)
            continue;
        l->parked = false;
        if (l->vacant)
            listener_close(l);
    }
    for (broker_conn *c = n->conns, *next; c != NULL; c = next) {
        next = c->next;
        if (c->owner != NULL && strcmp(c->owner->name, name) == 0) {
            if (c->vacant)
                abandon(c, "the service restarts");
            else if (c->parked || c->held)
                conn_go_on(c);
        } else if (c->stage == STAGE_ASKED && !c->closing) {
            conn_take(c); /* its listener may be asked now */
        }
    }
    for (broker_listener *l = n->listeners; l != NULL; l = l->next)
        if (l->pending && !l->parked && !l->closing) {
            l->pending = false;
            conn_begin(l);
        }
}
