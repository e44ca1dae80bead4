/* listen -- listeners: their socket, and what they accept. */
#include "net/parts.h"

#include <arpa/inet.h>

static void on_closed(uv_handle_t *h)
{
    broker_listener *l = CONTAINER_OF((uv_tcp_t *)h, broker_listener, tcp);
    net *n = l->net;

    tls_release(l->tls);
    free(l->host);
    free(l->protocol);
    free(l);
    net_handle_gone(n);
}

void listener_close(broker_listener *l)
{
    l->owner = NULL;
    *l->link = l->next;
    if (l->next != NULL)
        l->next->link = l->link;
    for (broker_conn *c = l->net->conns, *next; c != NULL; c = next) {
        next = c->next;
        if (c->listener != l)
            continue;
        if (!c->asked)
            sock_cut(c, CLOSE_LOCAL, 0, NULL);
        c->listener = NULL;
    }
    uv_close((uv_handle_t *)&l->tcp, on_closed);
}

void listener_accept(broker_listener *l)
{
    net *n = l->net;
    broker_conn *c = sock_new(n, NULL, &l->opt);

    l->pending = false;
    snprintf(c->name, sizeof c->name, "%s", l->name);
    c->server = true;
    c->protocol = l->protocol != NULL ? must_strdup(l->protocol) : NULL;
    c->listener = l;
    c->state = SOCK_SECURE;
    c->deadline_ms = net_now(n) + SHAKE_MS;
    l->n_conns++;
    c->wire = flow_wire(c, l->tls);
    if (!wire_accept(c->wire, (uv_stream_t *)&l->tcp)) {
        sock_cut(c, CLOSE_LOST, 0, NULL);
        return;
    }
    net_address(c);
    if (l->n_conns > l->max_conns) {
        net_refused(n, l->name, REFUSE_LIMIT, c->address.data,
                    "as many connections as the listener takes are open");
        sock_cut(c, CLOSE_LOCAL, 0, NULL);
    } else if (wire_is_up(c->wire) && l->tls == NULL) {
        open_begin(c);
    }
    if (c->state != SOCK_GONE)
        flow_read_set(c);
}

static void on_connection(uv_stream_t *s, int status)
{
    broker_listener *l = CONTAINER_OF((uv_tcp_t *)s, broker_listener, tcp);

    if (status != 0)
        net_refused(l->net, l->name, REFUSE_LIMIT, NULL, uv_strerror(status));
    else if (l->parked || l->held)
        l->pending = true; /* libuv waits until it is accepted */
    else
        listener_accept(l);
}

static bool kind_is_secure(uint32_t kind)
{
    return kind == BROKER_NET_TLS || kind == BROKER_NET_WSS;
}

static broker_listener *find_parked(net *n, const char *name, const char *host, uint32_t port)
{
    for (broker_listener *l = n->listeners; l != NULL; l = l->next)
        if (l->parked && !l->taken && strcmp(l->name, name) == 0 && strcmp(l->host, host) == 0 &&
            (l->wanted_port == port || l->port == port))
            return l;
    return NULL;
}

static broker_listener *listener_open(net *n, const char *host, uint32_t port, sb *why)
{
    broker_listener *l;
    struct sockaddr_storage addr, bound;
    int len = sizeof bound, rc;

    memset(&addr, 0, sizeof addr);
    if (!wire_address_of(host, port, &addr)) {
        sb_printf(why, "cannot listen on '%s': it is not an IP address", host);
        return NULL;
    }
    l = must_alloc(sizeof *l);
    l->net = n;
    l->host = must_strdup(host);
    l->wanted_port = port;
    must(uv_tcp_init(loop_uv(n->loop), &l->tcp) == 0);
    n->handles++;
    l->next = n->listeners;
    l->link = &n->listeners;
    if (l->next != NULL)
        l->next->link = &l->next;
    n->listeners = l;
    rc = uv_tcp_bind(&l->tcp, (const struct sockaddr *)&addr, 0);
    if (rc == 0)
        rc = uv_listen((uv_stream_t *)&l->tcp, 256, on_connection);
    if (rc != 0) {
        sb_printf(why, "cannot listen on %s port %u (%s)", host, port, uv_strerror(rc));
        listener_close(l);
        return NULL;
    }
    must(uv_tcp_getsockname(&l->tcp, (struct sockaddr *)&bound, &len) == 0);
    l->port = ntohs(((struct sockaddr_in *)&bound)->sin_port);
    return l;
}

broker_rc net_listen(net *n, ledger *owner, const broker_net_options *o, net_accepted accepted,
                     void *self, broker_listener **out, sb *why)
{
    bool secure = kind_is_secure(o->kind);
    broker_listener *l;
    tls *with = NULL;

    if (o->kind > BROKER_NET_WSS || o->host == NULL || o->port > 65535 || accepted == NULL) {
        sb_puts(why, "listen() wants a kind, a host, a port below 65536 and accepted()");
        return BROKER_EINVAL;
    }
    if (secure && (o->tls_cert_file == NULL || o->tls_key_file == NULL)) {
        sb_puts(why, "a TLS listener needs a certificate file and a key file");
        return BROKER_ECONFIG;
    }
    if (secure) {
        with = tls_new_server(o->tls_cert_file, o->tls_key_file,
                              o->kind == BROKER_NET_WSS ? "http/1.1" : NULL, why);
        if (with == NULL)
            return BROKER_ECONFIG;
    }
    l = find_parked(n, owner->name, o->host, o->port);
    if (l != NULL) {
        l->taken = true;
    } else {
        l = listener_open(n, o->host, o->port, why);
        if (l == NULL) {
            tls_release(with);
            return BROKER_EBUSY;
        }
    }
    l->owner = owner;
    snprintf(l->name, sizeof l->name, "%s", owner->name);
    tls_release(l->tls);
    l->tls = with;
    l->kind = o->kind;
    l->opt = *o;
    free(l->protocol);
    l->protocol = o->protocol != NULL ? must_strdup(o->protocol) : NULL;
    l->opt.host = l->opt.path = l->opt.protocol = l->opt.tls_cert_file = l->opt.tls_key_file =
        l->opt.tls_name = NULL;
    l->accepted = accepted;
    l->self = self;
    l->max_conns = o->max_connections != 0 ? o->max_connections : CONNECTIONS;
    *out = l;
    return BROKER_OK;
}

uint32_t net_port(broker_listener *l)
{
    return l->port;
}

void net_unlisten(broker_listener *l)
{
    listener_close(l);
}
