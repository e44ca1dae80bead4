/* server -- the listener and its life. See http.h. */
#include "http/parts.h"

#include <arpa/inet.h>

static char **copy_list(const char *const *list, size_t n)
{
    char **copy = must_alloc((n + 1) * sizeof *copy);

    for (size_t i = 0; i < n; i++)
        copy[i] = must_strdup(list[i]);
    return copy;
}

static void free_list(char **list)
{
    for (size_t i = 0; list != NULL && list[i] != NULL; i++)
        free(list[i]);
    free(list);
}

static void server_free_when_over(http_server *s)
{
    if (!s->closing || s->handles != 0 || s->n_conns != 0)
        return;
    if (s->closed != NULL) {
        void (*closed)(void *arg) = s->closed;

        s->closed = NULL;
        closed(s->closed_arg);
    }
    if (s->n_reqs != 0)
        return; /* somebody will still answer them */
    route_forget(&s->routes, NULL);
    tls_release(s->tls);
    free_list(s->keys);
    free_list(s->origins);
    free_list(s->hosts);
    free(s->host);
    free(s);
}

static void drained_when_over(http_server *s)
{
    if (s->draining && s->n_conns == 0 && s->drained != NULL) {
        void (*drained)(void *arg) = s->drained;

        s->drained = NULL;
        drained(s->drained_arg);
    }
}

void server_conn_gone(http_server *s)
{
    s->n_conns--;
    drained_when_over(s);
    server_free_when_over(s);
}

void server_req_gone(http_server *s)
{
    s->n_reqs--;
    server_free_when_over(s);
}

static void on_tick(uv_timer_t *t)
{
    http_server *s = CONTAINER_OF(t, http_server, tick);
    uint64_t now = uv_now(loop_uv(s->loop));

    metric_set(s->connections, s->n_conns);
    for (conn *c = s->conns, *next; c != NULL; c = next) {
        next = c->next;
        if (!c->closing)
            conn_check(c, now);
    }
}

static void on_connection(uv_stream_t *listener, int status)
{
    http_server *s = CONTAINER_OF((uv_tcp_t *)listener, http_server, listener);

    if (status != 0)
        return;
    if (s->open)
        conn_accept(s);
    else
        s->pending = true; /* libuv waits until it is accepted */
}

static void metrics_make(http_server *s)
{
    static const double seconds[] = {0.001, 0.004, 0.016, 0.064, 0.25, 1, 4, 16};

    for (unsigned i = 1; i < COUNT_OF(s->requests); i++) {
        char label[16];

        snprintf(label, sizeof label, "code=\"%uxx\"", i);
        s->requests[i] = metrics_counter("http_requests_total", label, "Requests answered.");
    }
    s->connections = metrics_gauge("http_connections", NULL, "Open connections.");
    s->seconds = metrics_histogram("http_request_seconds", NULL,
                                   "Time from the head of a request to its answer.", seconds,
                                   COUNT_OF(seconds));
}

static void on_handle_closed(uv_handle_t *h)
{
    http_server *s = h->data;

    s->handles--;
    server_free_when_over(s);
}

http_server *http_new(loop *l, pool *p, const http_options *o, sb *why)
{
    http_server *s = must_alloc(sizeof *s);
    struct sockaddr_storage addr, bound;
    int len = sizeof bound, rc;

    s->loop = l;
    s->pool = p;
    s->host = must_strdup(o->host);
    s->max_connections = o->max_connections;
    s->max_head = o->max_head;
    s->head_timeout_ms = o->head_timeout_ms;
    s->body_timeout_ms = o->body_timeout_ms;
    s->idle_timeout_ms = o->idle_timeout_ms;
    s->keys = copy_list(o->api_keys, s->n_keys = o->n_api_keys);
    s->origins = copy_list(o->allowed_origins, s->n_origins = o->n_allowed_origins);
    s->hosts = copy_list(o->allowed_hosts, s->n_hosts = o->n_allowed_hosts);
    must(uv_tcp_init(loop_uv(l), &s->listener) == 0 && uv_timer_init(loop_uv(l), &s->tick) == 0);
    s->listener.data = s->tick.data = s;
    s->handles = 2;
    memset(&addr, 0, sizeof addr);
    if (o->cert_file != NULL) {
        s->tls = tls_new_server(o->cert_file, o->key_file, "http/1.1", why);
        if (s->tls == NULL)
            goto fail;
    }
    if (!wire_address_of(o->host, o->port, &addr)) {
        sb_printf(why, "httpServer.host '%s' is not an IP address", o->host);
        goto fail;
    }
    rc = uv_tcp_bind(&s->listener, (const struct sockaddr *)&addr, 0);
    if (rc == 0)
        rc = uv_listen((uv_stream_t *)&s->listener, 256, on_connection);
    if (rc != 0) {
        sb_printf(why,
                  "cannot listen on %s port %u (%s); is another program there? Set "
                  "httpServer.port",
                  o->host, o->port, uv_strerror(rc));
        goto fail;
    }
    must(uv_tcp_getsockname(&s->listener, (struct sockaddr *)&bound, &len) == 0);
    s->port = ntohs(((struct sockaddr_in *)&bound)->sin_port);
    metrics_make(s);
    uv_timer_start(&s->tick, on_tick, 500, 500);
    return s;
fail:
    s->closing = true;
    uv_close((uv_handle_t *)&s->listener, on_handle_closed);
    uv_close((uv_handle_t *)&s->tick, on_handle_closed);
    return NULL;
}

void http_open(http_server *s)
{
    s->open = true;
    if (s->pending)
        conn_accept(s);
}

unsigned http_port(const http_server *s)
{
    return s->port;
}

void http_drain(http_server *s, void (*drained)(void *arg), void *arg)
{
    s->draining = true;
    s->drained = drained;
    s->drained_arg = arg;
    if (!uv_is_closing((uv_handle_t *)&s->listener))
        uv_close((uv_handle_t *)&s->listener, on_handle_closed);
    for (conn *c = s->conns, *next; c != NULL; c = next) {
        next = c->next;
        if (c->state == CONN_HEAD && c->req == NULL)
            conn_close(c);
    }
    drained_when_over(s);
}

void http_close(http_server *s, void (*closed)(void *arg), void *arg)
{
    s->closing = true;
    s->closed = closed;
    s->closed_arg = arg;
    s->drained = NULL;
    for (conn *c = s->conns, *next; c != NULL; c = next) {
        next = c->next;
        conn_close(c);
    }
    if (!uv_is_closing((uv_handle_t *)&s->listener))
        uv_close((uv_handle_t *)&s->listener, on_handle_closed);
    uv_close((uv_handle_t *)&s->tick, on_handle_closed);
}

const char *http_route(http_server *s, ledger *owner, const broker_route *r)
{
    return route_add(&s->routes, owner, r);
}

void http_unroute(http_server *s, const ledger *owner)
{
    route_forget(&s->routes, owner);
}
