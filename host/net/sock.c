/* sock -- one connection of a plugin, from its wire's first byte to its last.
 *
 * What happens is noted, and sock_step() makes the best of it before the loop waits again: so
 * small messages leave together, and no callback comes from inside a plugin's call. */
#include "net/parts.h"

static bool can_hear(const broker_conn *c)
{
    return c->owner != NULL && !c->parked;
}

/* Its plugin takes nothing now. */
static bool is_paused(const broker_conn *c)
{
    return c->paused || c->held;
}

bool sock_is_ws(const broker_conn *c)
{
    return c->kind == BROKER_NET_WS || c->kind == BROKER_NET_WSS;
}

static size_t queued(const broker_conn *c)
{
    return c->out.bytes + c->batch.bytes;
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

/* What the plugin is told of a Close: nothing when that is how things end. */
static void peer_closed(broker_conn *c)
{
    int code = ws_code(c->ws);
    bool orderly = code == 1000 || code == WS_AWAY || code == WS_NONE;

    if (ws_is_closed(c->ws))
        sock_close(c, CLOSE_PEER, code,
                   orderly                    ? NULL
                   : ws_why(c->ws)[0] != '\0' ? ws_why(c->ws)
                                              : "the peer closed it and gave no reason");
    else
        sock_close(c, CLOSE_RULES, code, ws_why(c->ws));
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

/* ---- out ---- */

static void on_written(void *arg, bool ok)
{
    broker_conn *c = arg;

    c->writing = false;
    if (ok)
        metric_add(c->net->out, (int64_t)c->batch.bytes);
    outq_done(&c->batch);
    if (c->state == SOCK_GONE)
        return;
    if (!ok) {
        sock_cut(c, CLOSE_LOST, sock_is_ws(c) ? WS_LOST : 0, "what was sent did not arrive");
        return;
    }
    if (c->state == SOCK_CLOSING)
        c->deadline_ms = net_now(c->net) + (c->net->closing ? STOP_MS : LINGER_MS);
    if (queued(c) == 0 && c->ws != NULL)
        ws_sent(c->ws);
    sock_later(c);
}

static void flush(broker_conn *c)
{
    uv_buf_t bufs[OUTQ_BUFS];
    unsigned n;

    if (c->writing || c->out.bytes == 0 || c->wire == NULL || !wire_is_up(c->wire))
        return;
    n = outq_take(&c->out, BATCH_BYTES, bufs, &c->batch);
    c->writing = true;
    if (!wire_writev(c->wire, bufs, n, on_written, c)) {
        c->writing = false;
        outq_done(&c->batch);
        sock_cut(c, CLOSE_LOST, sock_is_ws(c) ? WS_LOST : 0, "it cannot be written to");
    }
}

static void out_put(void *owner, const uint8_t *bytes, size_t len, broker_buf *buf)
{
    broker_conn *c = owner;

    if (c->state == SOCK_GONE)
        return;
    if (buf != NULL && len >= OUTQ_KEEP)
        outq_keep(&c->out, buf, bytes, len);
    else if (!outq_copy(&c->out, bytes, len))
        sock_cut(c, CLOSE_LOST, sock_is_ws(c) ? WS_LOST : 0, "no memory for what is to be sent");
    sock_later(c);
}

broker_rc net_send_buf(broker_conn *c, broker_buf *buf, broker_bytes data, int32_t text)
{
    size_t most = 4 * c->high > QUEUE_MIN ? 4 * c->high : QUEUE_MIN;

    if (c->state < SOCK_OPEN)
        return BROKER_EINVAL;
    if (c->state != SOCK_OPEN)
        return BROKER_EGONE;
    if (queued(c) >= most) {
        char why[96];

        snprintf(why, sizeof why, "it does not read what it is sent; %zu bytes wait for it",
                 queued(c));
        net_slow(c->net, c->name, c->address.data, why);
        sock_cut(c, CLOSE_SLOW, sock_is_ws(c) ? WS_LOST : 0, why);
        return BROKER_EGONE;
    }
    if (c->ws != NULL)
        ws_send(c->ws, buf, data, text != 0);
    else
        out_put(c, data.ptr, data.len, buf);
    if (c->state != SOCK_OPEN)
        return BROKER_EGONE;
    if (queued(c) < c->high)
        return BROKER_OK;
    c->drain_due = true;
    return BROKER_AGAIN;
}

broker_rc net_send(broker_conn *c, broker_bytes data, int32_t text)
{
    return net_send_buf(c, NULL, data, text);
}

/* ---- in ---- */

static bool on_message(void *owner, broker_buf *buf, broker_bytes data, bool text)
{
    broker_conn *c = owner;

    must(can_hear(c));
    if (c->calls.on_data != NULL)
        CROSS(c->owner, "on_data", c->calls.on_data(c->calls.self, c, buf, data, text ? 1 : 0));
    c->stalled = c->state != SOCK_OPEN || is_paused(c) || !can_hear(c);
    return !c->stalled;
}

ws *sock_ws(broker_conn *c)
{
    static const ws_calls calls = {.out = out_put, .message = on_message};

    return ws_new(c->server, c->max_message, &c->net->slab, &calls, c);
}

static void keep_rest(broker_conn *c, const uint8_t *bytes, size_t len)
{
    if (c->state == SOCK_OPEN)
        sb_append(&c->rest, bytes, len);
}

static void feed_ws(broker_conn *c, const uint8_t *bytes, size_t len)
{
    size_t used;

    c->stalled = false;
    used = ws_feed(c->ws, bytes, len);
    if (ws_is_over(c->ws))
        peer_closed(c); /* or what it answers to our Close */
    else if (used < len)
        keep_rest(c, bytes + used, len - used);
}

static void feed_plugin(broker_conn *c, broker_buf *buf, broker_bytes data)
{
    if (c->calls.on_data != NULL)
        CROSS(c->owner, "on_data", c->calls.on_data(c->calls.self, c, buf, data, 0));
}

void sock_feed(broker_conn *c, const uint8_t *bytes, size_t len)
{
    size_t room;
    uint8_t *to;

    if (!can_hear(c) || is_paused(c) || !c->opened || c->rest.len != 0) {
        keep_rest(c, bytes, len);
    } else if (c->ws != NULL) {
        feed_ws(c, bytes, len);
    } else {
        must(len <= SLAB_BLOCK);
        to = slab_room(&c->net->slab, len, &room);
        if (to == NULL) {
            sock_cut(c, CLOSE_LOST, 0, "no memory to read into");
            return;
        }
        memcpy(to, bytes, len);
        feed_plugin(c, slab_use(&c->net->slab, len), (broker_bytes){to, len});
    }
}

/* What was read while nobody wanted it. */
static void feed_rest(broker_conn *c)
{
    sb rest = c->rest;

    c->rest = (sb)SB_INIT;
    if (c->ws != NULL)
        feed_ws(c, (const uint8_t *)rest.data, rest.len);
    else
        for (size_t at = 0; at < rest.len;) {
            size_t n = rest.len - at < SLAB_BLOCK ? rest.len - at : SLAB_BLOCK;

            sock_feed(c, (const uint8_t *)rest.data + at, n);
            at += n;
        }
    sb_done(&rest);
}

static uint8_t *on_room(void *owner, size_t *len)
{
    broker_conn *c = owner;

    if (c->state == SOCK_OPEN && c->ws == NULL)
        return slab_room(&c->net->slab, SLAB_BLOCK / 8, len);
    *len = SCRATCH;
    return c->net->scratch;
}

static void end_of_input(broker_conn *c)
{
    const char *cut = wire_why(c->wire);

    c->eof = true;
    if (c->state == SOCK_CLOSING)
        sock_later(c);
    else if (c->state == SOCK_OPEN && c->ws == NULL)
        sock_close(c, cut != NULL ? CLOSE_LOST : CLOSE_PEER, 0, cut);
    else if (c->state == SOCK_OPEN)
        sock_cut(c, CLOSE_LOST, WS_LOST, "the peer left without a Close");
    else
        sock_cut(c, CLOSE_LOST, c->code, "the peer left during the handshake");
}

static void thrown_away(broker_conn *c, const uint8_t *bytes, size_t len)
{
    c->lingered += len;
    if (c->lingered > LINGER_BYTES)
        gone(c);
    else if (c->ws != NULL && !ws_is_over(c->ws)) {
        ws_feed(c->ws, bytes, len); /* its Close is in there somewhere */
        sock_later(c);
    }
}

static void on_got(void *owner, ssize_t n)
{
    broker_conn *c = owner;
    net *all = c->net;

    if (n > 0) {
        metric_add(all->in, n);
        if (c->state == SOCK_OPEN)
            c->heard_ms = net_now(all);
        c->pinged_ms = 0;
    }
    if (n == 0)
        end_of_input(c);
    else if (n < 0 && c->state == SOCK_WAIT && dial_next(c, wire_why(c->wire)))
        return;
    else if (n < 0)
        sock_cut(c, CLOSE_LOST, c->code, wire_why(c->wire));
    else if (c->state == SOCK_SHAKE)
        open_feed(c, all->scratch, (size_t)n);
    else if (c->state == SOCK_CLOSING)
        thrown_away(c, all->scratch, (size_t)n);
    else if (c->state == SOCK_OPEN && c->ws != NULL)
        sock_feed(c, all->scratch, (size_t)n);
    else if (c->state == SOCK_OPEN) {
        broker_buf *buf = slab_use(&all->slab, (size_t)n);
        broker_bytes data = {buf->bytes + all->slab.used - (size_t)n, (size_t)n};

        if (can_hear(c) && !is_paused(c) && c->opened && c->rest.len == 0)
            feed_plugin(c, buf, data);
        else
            keep_rest(c, data.ptr, data.len);
    }
    if (c->state != SOCK_GONE)
        sock_read_set(c);
}

static void on_up(void *owner)
{
    open_begin(owner);
}

static void on_closed(void *owner)
{
    broker_conn *c = owner;

    c->wire = NULL;
    c->ended = true;
    sock_end(c);
}

wire *sock_wire(broker_conn *c, tls *with)
{
    return wire_new(c->net->loop, with, sock_wire_calls(), c);
}

const wire_calls *sock_wire_calls(void)
{
    static const wire_calls calls = {
        .room = on_room, .got = on_got, .up = on_up, .closed = on_closed};

    return &calls;
}

void sock_read_set(broker_conn *c)
{
    bool on = false;

    if (c->wire == NULL || c->state == SOCK_GONE)
        return;
    if (c->state == SOCK_CLOSING)
        on = true;
    else if (c->state == SOCK_OPEN)
        on = !c->parked && !is_paused(c) && c->opened && c->rest.len == 0 && !c->stalled;
    else
        on = !c->parked;
    wire_read(c->wire, on && !c->eof);
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
    if (can_hear(c))
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
    if (c->state == SOCK_OPEN && can_hear(c) && !c->opened)
        open_tell(c);
    if (c->state == SOCK_OPEN && can_hear(c) && c->drain_due && queued(c) < c->low) {
        c->drain_due = false;
        if (c->calls.on_drain != NULL)
            CROSS(c->owner, "on_drain", c->calls.on_drain(c->calls.self, c));
    }
    if (c->state == SOCK_OPEN && can_hear(c) && !is_paused(c) && (c->rest.len != 0 || c->stalled))
        feed_rest(c);
    flush(c);
    if (c->state == SOCK_CLOSING && queued(c) == 0 && !c->writing)
        farewell(c);
    sock_read_set(c);
}

static void quiet_check(broker_conn *c, uint64_t now)
{
    char why[64];

    if (c->ws == NULL || is_paused(c) || c->parked || c->ping_ms == 0)
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
    sock_read_set(c);
}

void net_resume(broker_conn *c)
{
    if (!is_paused(c))
        return;
    c->paused = false;
    c->heard_ms = net_now(c->net);
    c->pinged_ms = 0;
    sock_later(c);
}

size_t net_queued(broker_conn *c)
{
    return queued(c);
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

uint64_t net_id(broker_conn *c)
{
    return c->id;
}
