/* sock -- one connection of a plugin, from its wire's first byte to its last.
 *
 * What happens is noted, and sock_step() makes the best of it before the loop waits again: so
 * small messages leave together, and no callback comes from inside a plugin's call. */
#include "net/parts.h"

bool sock_is_ws(const broker_conn *c)
{
    return c->kind == BROKER_NET_WS || c->kind == BROKER_NET_WSS;
}

/* ---- life ---- */

static char *copy_of(const char *s)
{
    return s != NULL ? must_strdup(s) : NULL;
}

broker_conn *sock_new(net *n, ledger *owner, const broker_net_options *opt)
{
    broker_conn *c = must_alloc(sizeof *c);

    c->net = n;
    c->owner = owner;
    if (owner != NULL)
        snprintf(c->name, sizeof c->name, "%s", owner->name);
    c->id = ++n->last_id;
    c->kind = opt->kind;
    c->high = opt->high_water != 0 ? opt->high_water : HIGH_WATER;
    c->low = opt->low_water != 0 && opt->low_water <= c->high ? opt->low_water : (c->high + 1) / 2;
    c->max_message = opt->max_message != 0 ? opt->max_message : MESSAGE_MAX;
    c->ping_ms = opt->ping_ms;
    c->silence_ms = opt->silence_ms;
    c->host = copy_of(opt->host);
    c->port = opt->port;
    c->path = copy_of(opt->path);
    c->protocol = copy_of(opt->protocol);
    c->tls_name = copy_of(opt->tls_name);
    c->code = sock_is_ws(c) ? WS_LOST : 0;
    c->reason = CLOSE_LOST;
    c->next = n->conns;
    c->link = &n->conns;
    if (c->next != NULL)
        c->next->link = &c->next;
    n->conns = c;
    net_conn_come(n);
    return c;
}

static void clean(broker_conn *c)
{
    if (!c->dirty)
        return;
    c->dirty = false;
    *c->dirty_link = c->dirty_next;
    if (c->dirty_next != NULL)
        c->dirty_next->dirty_link = c->dirty_link;
}

void sock_free(broker_conn *c)
{
    net *n = c->net;

    must(c->wire == NULL);
    dial_drop(c);
    clean(c);
    *c->link = c->next;
    if (c->next != NULL)
        c->next->link = c->link;
    ws_free(c->ws);
    outq_done(&c->out);
    outq_done(&c->batch);
    sb_done(&c->head);
    sb_done(&c->rest);
    sb_done(&c->address);
    free(c->host);
    free(c->path);
    free(c->protocol);
    free(c->tls_name);
    free(c->why);
    free(c);
    net_conn_gone(n);
}

void sock_end(broker_conn *c)
{
    ledger *owner = c->owner;

    if (owner != NULL && c->parked)
        return; /* whoever has it when it is unparked hears of it */
    if (owner != NULL && c->calls.on_close != NULL)
        CROSS(owner, "on_close", c->calls.on_close(c->calls.self, c, c->code, c->why));
    c->owner = NULL;
    if (!c->waits_for_wire)
        sock_free(c);
}

/* ---- closing ---- */

static void gone(broker_conn *c)
{
    if (c->state == SOCK_GONE)
        return;
    if (c->heard_ms != 0)
        metric_add(c->net->ended[c->reason], 1);
    c->state = SOCK_GONE;
    c->deadline_ms = 0;
    if (c->listener != NULL) {
        c->listener->n_conns--;
        c->listener = NULL;
    }
    dial_drop(c);
    outq_done(&c->out);
    if (c->wire != NULL) {
        wire_close(c->wire);
        return;
    }
    c->ended = true;
    sock_later(c);
}

static void reason_set(broker_conn *c, close_reason reason, int32_t code, const char *why)
{
    if (c->state >= SOCK_CLOSING)
        return; /* the first one counts */
    c->reason = reason;
    c->code = code;
    c->why = why != NULL && why[0] != '\0' ? must_strdup(why) : NULL;
}

void sock_cut(broker_conn *c, close_reason reason, int32_t code, const char *why)
{
    reason_set(c, reason, code, why);
    gone(c);
}

void sock_close(broker_conn *c, close_reason reason, int32_t code, const char *why)
{
    if (c->state >= SOCK_CLOSING)
        return;
    if (c->state != SOCK_OPEN) {
        sock_cut(c, reason, code, why);
        return;
    }
    reason_set(c, reason, code, reason == CLOSE_LOCAL ? NULL : why);
    if (c->ws != NULL)
        ws_close(c->ws, code != 0 ? code : 1000, why);
    c->state = SOCK_CLOSING;
    c->deadline_ms = net_now(c->net) + LINGER_MS;
    sb_clear(&c->rest);
    sock_later(c);
}

/* Everything is with the kernel: say so, and wait for the peer to say the same. */
static void farewell(broker_conn *c)
{
    if (c->eof)
        gone(c);
    else if (!c->fin_said && (c->ws == NULL || ws_is_over(c->ws))) {
        c->fin_said = true;
        wire_end(c->wire);
    }
}

/* ---- step by step ---- */

void sock_later(broker_conn *c)
{
    net *n = c->net;

    if (c->dirty)
        return;
    c->dirty = true;
    c->dirty_next = n->dirty;
    c->dirty_link = &n->dirty;
    if (c->dirty_next != NULL)
        c->dirty_next->dirty_link = &c->dirty_next;
    n->dirty = c;
}

static void open_tell(broker_conn *c)
{
    c->opened = true;
    if (c->calls.on_open != NULL)
        CROSS(c->owner, "on_open", c->calls.on_open(c->calls.self, c));
}

void sock_open(broker_conn *c)
{
    c->state = SOCK_OPEN;
    c->deadline_ms = 0;
    c->heard_ms = net_now(c->net);
    wire_peer(c->wire, &c->address);
    if (c->ws != NULL && c->server && c->ping_ms != 0) { /* at once too, as the Streamr node */
        ws_ping(c->ws);
        c->pinged_ms = c->heard_ms;
    }
    if (sock_can_hear(c))
        open_tell(c);
    sock_later(c);
}

void sock_step(broker_conn *c)
{
    clean(c);
    if (c->ended) {
        sock_end(c);
        return;
    }
    if (c->state == SOCK_OPEN && sock_can_hear(c) && !c->opened)
        open_tell(c);
    if (c->state == SOCK_OPEN && sock_can_hear(c) && c->drain_due && sock_queued(c) < c->low) {
        c->drain_due = false;
        if (c->calls.on_drain != NULL)
            CROSS(c->owner, "on_drain", c->calls.on_drain(c->calls.self, c));
    }
    if (c->state == SOCK_OPEN && sock_can_hear(c) && !sock_is_paused(c) &&
        (c->rest.len != 0 || c->stalled))
        flow_rest(c);
    flow_flush(c);
    if (c->state == SOCK_CLOSING && sock_queued(c) == 0 && !c->writing)
        farewell(c);
    flow_read_set(c);
}

static void quiet_check(broker_conn *c, uint64_t now)
{
    char why[64];

    if (c->ws == NULL || sock_is_paused(c) || c->parked || c->ping_ms == 0)
        return;
    if (c->pinged_ms == 0 && now - c->heard_ms >= c->ping_ms) {
        ws_ping(c->ws);
        c->pinged_ms = now;
    } else if (c->pinged_ms != 0 && c->silence_ms != 0 && now - c->pinged_ms >= c->silence_ms) {
        snprintf(why, sizeof why, "no answer to a ping within %u ms", c->silence_ms);
        sock_cut(c, CLOSE_TIMEOUT, WS_LOST, why);
    }
}

void sock_tick(broker_conn *c, uint64_t now)
{
    if (c->state == SOCK_OPEN) {
        quiet_check(c, now);
        return;
    }
    if (c->deadline_ms == 0 || now < c->deadline_ms || c->parked)
        return;
    if (c->state != SOCK_CLOSING && c->server)
        net_refused(c->net, c->name, REFUSE_TIMEOUT, c->address.data,
                    "the handshake did not come in time");
    sock_cut(c, CLOSE_TIMEOUT, c->code,
             c->wire != NULL && wire_is_up(c->wire) ? "the handshake took too long"
                                                    : "connecting took too long");
}

/* ---- what plugins ask ---- */

void net_pause(broker_conn *c)
{
    c->paused = true;
    flow_read_set(c);
}

void net_resume(broker_conn *c)
{
    if (!c->paused)
        return;
    c->paused = false;
    c->heard_ms = net_now(c->net);
    c->pinged_ms = 0;
    sock_later(c);
}

size_t net_queued(broker_conn *c)
{
    return sock_queued(c);
}

broker_str net_address(broker_conn *c)
{
    if (c->address.len == 0 && c->wire != NULL)
        wire_peer(c->wire, &c->address);
    return (broker_str){c->address.data, c->address.len};
}

void net_hang_up(broker_conn *c, int32_t code, const char *why)
{
    sock_close(c, CLOSE_LOCAL, code, why);
}

broker_str net_header(broker_conn *c, const char *name)
{
    return c->request != NULL ? head_get(c->request, name) : (broker_str){NULL, 0};
}

uint64_t net_id(broker_conn *c)
{
    return c->id;
}
