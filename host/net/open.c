/* open -- how a connection comes to be open: the listener's plugin is asked, and WebSockets
 * shake hands. */
#include "net/parts.h"

/* The plugin's yes or no to a connection of its listener. On OK its callbacks are set. */
static broker_rc ask(broker_conn *c, broker_str target)
{
    broker_listener *l = c->listener;
    broker_peer_calls calls = {.size = sizeof calls};
    broker_rc rc = BROKER_EINVAL;
    ledger *owner = l->owner; /* accepted() may unlisten */

    CROSS(owner, "accepted", rc = l->accepted(l->self, c, target, &calls));
    if (c->state == SOCK_GONE)
        return BROKER_EGONE; /* it closed it at once */
    if (rc == BROKER_OK) {
        c->asked = true;
        c->owner = owner;
        c->calls = calls;
        metric_add(c->net->accepted, 1);
    }
    return rc;
}

static void refuse(broker_conn *c, unsigned status, refuse_reason reason, const char *why)
{
    sb answer = SB_INIT;

    net_refused(c->net, c->name, reason, c->address.data, why);
    shake_refuse(status, &answer);
    outq_copy(&c->out, answer.data, answer.len);
    sb_done(&answer);
    c->state = SOCK_CLOSING;
    c->deadline_ms = net_now(c->net) + LINGER_MS;
    sock_later(c);
}

/* A client asks for a WebSocket. */
static void request_send(broker_conn *c)
{
    sb host = SB_INIT, request = SB_INIT;

    sb_printf(&host, strchr(c->host, ':') != NULL ? "[%s]" : "%s", c->host);
    if (c->port != (c->kind == BROKER_NET_WSS ? 443u : 80u))
        sb_printf(&host, ":%u", c->port);
    shake_key(c->key);
    shake_ask(host.data, c->path != NULL ? c->path : "/", c->protocol, c->key, &request);
    outq_copy(&c->out, request.data, request.len);
    sb_done(&host);
    sb_done(&request);
}

void open_begin(broker_conn *c)
{
    broker_rc rc;

    dial_drop(c);
    net_address(c);
    if (sock_is_ws(c)) {
        c->state = SOCK_SHAKE;
        if (!c->server)
            request_send(c);
        sock_later(c);
        return;
    }
    if (c->server) {
        rc = ask(c, (broker_str){"", 0});
        if (rc != BROKER_OK) {
            net_refused(c->net, c->name, REFUSE_PLUGIN, c->address.data, "the plugin refused it");
            sock_cut(c, CLOSE_LOCAL, 0, NULL);
            return;
        }
    }
    sock_open(c);
}

static void request_read(broker_conn *c, const head *h)
{
    sb answer = SB_INIT;
    const char *why;
    unsigned status = shake_check(h, &why);
    broker_rc rc;

    if (status != 0) {
        refuse(c, status, REFUSE_HANDSHAKE, why);
        return;
    }
    c->request = h;
    rc = ask(c, h->target);
    c->request = NULL;
    if (c->state == SOCK_GONE)
        return;
    if (rc != BROKER_OK) {
        refuse(c, rc >= 400 && rc <= 599 ? (unsigned)rc : 500, REFUSE_PLUGIN,
               "the plugin refused it");
        return;
    }
    shake_agree(h, c->protocol, &answer);
    outq_copy(&c->out, answer.data, answer.len);
    sb_done(&answer);
    c->ws = flow_ws(c);
    sock_open(c);
}

static void answer_read(broker_conn *c, const head *h, unsigned status)
{
    const char *why = shake_verify(h, status, c->key, c->protocol);
    char text[160];

    if (why != NULL) {
        snprintf(text, sizeof text, status == 101 ? "%s" : "%s (HTTP status %u)", why, status);
        sock_cut(c, CLOSE_RULES, c->code, text);
        return;
    }
    c->ws = flow_ws(c);
    sock_open(c);
}

void open_feed(broker_conn *c, const uint8_t *bytes, size_t len)
{
    static head h;
    const char *why = "the head is larger than 16 KiB";
    unsigned status = 431;
    size_t before = c->head.len, head_len;

    sb_append(&c->head, bytes, len);
    head_len = head_length(c->head.data, c->head.len);
    if (head_len == 0 && c->head.len <= SHAKE_HEAD_MAX)
        return;
    if (head_len != 0 && head_len <= SHAKE_HEAD_MAX) {
        if (c->server) {
            status = head_parse(c->head.data, head_len, &h, &why);
        } else {
            why = head_parse_answer(c->head.data, head_len, &h, &status);
            if (why == NULL) {
                answer_read(c, &h, status);
                status = 0;
            }
        }
        if (c->server && status == 0)
            request_read(c, &h);
    }
    if (status != 0 && c->server)
        refuse(c, status, REFUSE_HANDSHAKE, why);
    else if (status != 0)
        sock_cut(c, CLOSE_RULES, c->code, why);
    if (c->state == SOCK_OPEN && head_len < c->head.len) /* the first frames came with it */
        flow_feed(c, bytes + (head_len - before), len - (head_len - before));
    sb_done(&c->head);
}
