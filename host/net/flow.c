/* flow -- the bytes of a connection: out through its queue, in through its WebSocket or as they
 * are, and nothing in while nobody wants it. */
#include "net/parts.h"

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
    if (c->state == SOCK_CLOSING && !c->net->closing)
        c->deadline_ms = net_now(c->net) + LINGER_MS;
    if (sock_queued(c) == 0 && c->ws != NULL)
        ws_sent(c->ws);
    sock_later(c);
}

void flow_flush(broker_conn *c)
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
    if (sock_queued(c) >= most) {
        char why[96];

        snprintf(why, sizeof why, "it does not read what it is sent; %zu bytes wait for it",
                 sock_queued(c));
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
    if (sock_queued(c) < c->high)
        return BROKER_OK;
    c->drain_due = true;
    return BROKER_AGAIN;
}

broker_rc net_send(broker_conn *c, broker_bytes data, int32_t text)
{
    return net_send_buf(c, NULL, data, text);
}

/* ---- in ---- */

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

static bool on_message(void *owner, broker_buf *buf, broker_bytes data, bool text)
{
    broker_conn *c = owner;

    must(sock_can_hear(c));
    if (c->calls.on_data != NULL)
        CROSS(c->owner, "on_data", c->calls.on_data(c->calls.self, c, buf, data, text ? 1 : 0));
    c->stalled = c->state != SOCK_OPEN || sock_is_paused(c) || !sock_can_hear(c);
    return !c->stalled;
}

ws *flow_ws(broker_conn *c)
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

void flow_feed(broker_conn *c, const uint8_t *bytes, size_t len)
{
    size_t room;
    uint8_t *to;

    if (!sock_can_hear(c) || sock_is_paused(c) || !c->opened || c->rest.len != 0) {
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
void flow_rest(broker_conn *c)
{
    sb rest = c->rest;

    c->rest = (sb)SB_INIT;
    if (c->ws != NULL)
        feed_ws(c, (const uint8_t *)rest.data, rest.len);
    else
        for (size_t at = 0; at < rest.len;) {
            size_t n = rest.len - at < SLAB_BLOCK ? rest.len - at : SLAB_BLOCK;

            flow_feed(c, (const uint8_t *)rest.data + at, n);
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
        sock_cut(c, CLOSE_LOST, c->code, NULL);
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
        flow_feed(c, all->scratch, (size_t)n);
    else if (c->state == SOCK_OPEN) {
        broker_buf *buf = slab_use(&all->slab, (size_t)n);
        broker_bytes data = {buf->bytes + all->slab.used - (size_t)n, (size_t)n};

        if (sock_can_hear(c) && !sock_is_paused(c) && c->opened && c->rest.len == 0)
            feed_plugin(c, buf, data);
        else
            keep_rest(c, data.ptr, data.len);
    }
    if (c->state != SOCK_GONE)
        flow_read_set(c);
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

wire *flow_wire(broker_conn *c, tls *with)
{
    return wire_new(c->net->loop, with, flow_wire_calls(), c);
}

const wire_calls *flow_wire_calls(void)
{
    static const wire_calls calls = {
        .room = on_room, .got = on_got, .up = on_up, .closed = on_closed};

    return &calls;
}

void flow_read_set(broker_conn *c)
{
    bool on = false;

    if (c->wire == NULL || c->state == SOCK_GONE)
        return;
    if (c->state == SOCK_CLOSING)
        on = true;
    else if (c->state == SOCK_OPEN)
        on = !c->parked && !sock_is_paused(c) && c->opened && c->rest.len == 0 && !c->stalled;
    else
        on = !c->parked;
    wire_read(c->wire, on && !c->eof);
}
