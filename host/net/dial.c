/* dial -- looking up a name and connecting to one of its addresses. */
#include "net/parts.h"

struct dial {
    uv_getaddrinfo_t req;
    broker_conn *conn; /* NULL: it does not wait any more */
    bool looking;
    struct addrinfo *found, *next;
    struct sockaddr_storage numeric;
};

static void dial_free(dial *d)
{
    uv_freeaddrinfo(d->found);
    free(d);
}

void dial_drop(broker_conn *c)
{
    dial *d;

    if (c->dial == NULL)
        return;
    TAKE(d, c->dial);
    d->conn = NULL;
    if (d->looking)
        uv_cancel((uv_req_t *)&d->req); /* if it has begun, on_found() frees */
    else
        dial_free(d);
}

static void failed(broker_conn *c, const char *why)
{
    sb text = SB_INIT;

    sb_printf(&text, "cannot connect to '%s' port %u (%s)", c->host, c->port, why);
    sock_cut(c, CLOSE_LOST, c->code, text.data);
    sb_done(&text);
}

static bool try(broker_conn *c, const struct sockaddr *to)
{
    net *n = c->net;
    bool secure = c->kind == BROKER_NET_TLS || c->kind == BROKER_NET_WSS;

    c->wire = flow_wire(c, secure ? n->client_tls[sock_is_ws(c)] : NULL);
    flow_read_set(c);
    return wire_connect(c->wire, to, c->tls_name != NULL ? c->tls_name : c->host);
}

bool dial_next(broker_conn *c, const char *why)
{
    static const wire_calls silent = {0};
    dial *d = c->dial;
    char said[128];

    snprintf(said, sizeof said, "%s", why != NULL ? why : "no reason given");
    for (;;) {
        struct addrinfo *to = d->next;

        if (to == NULL) {
            failed(c, said);
            return true;
        }
        d->next = to->ai_next;
        if (c->wire != NULL) {
            wire *old;

            TAKE(old, c->wire);
            wire_give(old, &silent, NULL);
            wire_close(old);
        }
        if (try(c, to->ai_addr))
            return true;
        snprintf(said, sizeof said, "%s", wire_why(c->wire));
    }
}

static void on_found(uv_getaddrinfo_t *req, int status, struct addrinfo *found)
{
    dial *d = CONTAINER_OF(req, dial, req);

    d->looking = false;
    d->found = d->next = found;
    if (d->conn == NULL)
        dial_free(d);
    else if (status != 0)
        failed(d->conn, uv_strerror(status));
    else
        dial_next(d->conn, "the name has no address");
}

void dial_start(broker_conn *c)
{
    static const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    char service[8];
    dial *d = must_alloc(sizeof *d);
    int rc;

    c->dial = d;
    d->conn = c;
    if (wire_address_of(c->host, c->port, &d->numeric)) {
        if (!try(c, (const struct sockaddr *)&d->numeric))
            failed(c, wire_why(c->wire));
        return;
    }
    snprintf(service, sizeof service, "%u", c->port);
    d->looking = true;
    rc = uv_getaddrinfo(loop_uv(c->net->loop), &d->req, on_found, c->host, service, &hints);
    if (rc != 0) {
        d->looking = false;
        failed(c, uv_strerror(rc));
    }
}
