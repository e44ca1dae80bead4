/* conn -- one connection of a plugin: its handshake, what it reads, what it writes, its end. See
 * net.h. */
#include "net/sockets.h"

#include "net/upgrade.h"
#include "run/log.h"

#define HEAD_MS  10000u
#define HEAD_MAX 16384u
#define LAST_MS  2000u /* for what is queued, and the peer's close */
#define BLOCK    65536u
#define LOG_MS   10000u

/* ---- ends ---- */

void conn_free_when_over(broker_conn *c)
{
    net *n = c->net;
    broker_listener *l = c->listener;

    if (!c->closed || c->parked || c->inside)
        return;
    if (c->opened && c->owner != NULL && c->calls.on_close != NULL)
        CROSS(c->owner, "on_close", c->calls.on_close(c->calls.self, c, c->code, c->why));
    *c->link = c->next;
    if (c->next != NULL)
        c->next->link = c->link;
    frames_free(c->frames);
    buf_release(c->in);
    for (size_t i = 0; i < c->n_backlog; i++)
        buf_release(c->backlog[i].buf);
    free(c->backlog);
    free(c->why);
    sb_done(&c->address);
    free(c);
    n->n_conns--;
    n->open--;
    if (l != NULL) {
        l->n_conns--;
        listener_free_when_over(l);
    }
    net_free_when_over(n);
}

static void on_closed(wire *w)
{
    broker_conn *c = CONTAINER_OF(w, broker_conn, wire);

    c->closed = true;
    conn_free_when_over(c);
}

static void say_end(broker_conn *c, int32_t code, const char *why)
{
    if (c->why != NULL || c->code != 0)
        return;
    c->code = code;
    c->why = why != NULL && why[0] != '\0' ? must_strdup(why) : NULL;
}

void conn_end(broker_conn *c, int32_t code, const char *why)
{
    if (c->closing)
        return;
    say_end(c, code, why);
    c->closing = true;
    if (why != NULL)
        metric_add(c->net->metrics.dropped, 1);
    wire_close(&c->wire);
}

/* What is queued goes out, then no more. */
static void last_stage(broker_conn *c)
{
    c->stage = STAGE_LAST;
    c->deadline_ms = net_now(c->net) + LAST_MS;
    wire_end(&c->wire);
}

/* ---- writing ---- */

typedef struct piece {
    broker_conn *c;
    broker_buf *buf;
    size_t len;
    uint8_t head[FRAMES_HEAD_MAX];
    uint8_t bytes[];
} piece;

static void drain(broker_conn *c)
{
    if (!c->above || c->queued >= c->low_water || c->closing || c->stage != STAGE_OPEN)
        return;
    if (c->parked || c->owner == NULL) {
        c->drained = true;
        return;
    }
    c->above = false;
    if (c->calls.on_drain != NULL)
        CROSS(c->owner, "on_drain", c->calls.on_drain(c->calls.self, c));
}

static void on_written(void *arg, bool ok)
{
    piece *p = arg;
    broker_conn *c = p->c;

    c->queued -= p->len;
    buf_release(p->buf);
    free(p);
    if (ok)
        drain(c);
    else
        conn_end(c, 1006, "the connection broke");
}

/* Takes p. */
static void piece_send(broker_conn *c, piece *p, size_t head_len, const void *bytes, size_t len)
{
    p->c = c;
    p->len = head_len + len;
    c->queued += p->len;
    metric_add(c->net->metrics.bytes_out, (int64_t)p->len);
    if (wire_write_two(&c->wire, p->head, head_len, bytes, len, on_written, p))
        return;
    c->queued -= p->len;
    buf_release(p->buf);
    free(p);
    conn_end(c, 1006, "the connection broke");
}

/* Bytes of ours: a handshake, a control frame. */
static void put(void *arg, const uint8_t *bytes, size_t len)
{
    broker_conn *c = arg;
    piece *p = must_alloc(sizeof *p + len);

    memcpy(p->bytes, bytes, len);
    piece_send(c, p, 0, p->bytes, len);
}

static broker_rc water(broker_conn *c)
{
    if (c->closing)
        return BROKER_EGONE;
    if (c->queued < c->high_water)
        return BROKER_OK;
    c->above = true;
    return BROKER_AGAIN;
}

broker_rc net_send(broker_conn *c, broker_bytes data, int32_t text)
{
    piece *p;

    if (c->closing || c->stage != STAGE_OPEN)
        return BROKER_EGONE;
    if (data.len > INT32_MAX)
        return BROKER_EINVAL;
    p = malloc(sizeof *p + data.len);
    if (p == NULL)
        return BROKER_ENOMEM;
    p->buf = NULL;
    if (data.len != 0)
        memcpy(p->bytes, data.ptr, data.len);
    piece_send(c, p, c->is_ws ? frames_head(p->head, data.len, text != 0) : 0, p->bytes, data.len);
    return water(c);
}

broker_rc net_send_buf(broker_conn *c, broker_buf *buf, broker_bytes data, int32_t text)
{
    piece *p;

    if (c->closing || c->stage != STAGE_OPEN)
        return BROKER_EGONE;
    if (data.len > INT32_MAX)
        return BROKER_EINVAL;
    p = must_alloc(sizeof *p);
    buf_retain(buf);
    p->buf = buf;
    piece_send(c, p, c->is_ws ? frames_head(p->head, data.len, text != 0) : 0, data.ptr, data.len);
    return water(c);
}

/* ---- reading ---- */

static bool may_read(const broker_conn *c)
{
    if (c->closing || c->parked || c->held)
        return false;
    return c->stage == STAGE_HEAD || c->stage == STAGE_LAST ||
           (c->stage == STAGE_OPEN && !c->paused);
}

static void block_drop(broker_conn *c)
{
    buf_release(c->in);
    c->in = NULL;
    c->start = c->len = 0;
}

static uint8_t *on_room(wire *w, size_t *len)
{
    broker_conn *c = CONTAINER_OF(w, broker_conn, wire);

    if (c->in != NULL && c->in->len - c->len < 2048 && c->start == c->len)
        block_drop(c);
    if (c->in == NULL)
        c->in = buf_new(c->stage == STAGE_HEAD ? HEAD_MAX + 2048 : BLOCK);
    if (c->in == NULL || c->in->len == c->len)
        return NULL;
    *len = c->in->len - c->len;
    return buf_bytes(c->in) + c->len;
}

static void tell(broker_conn *c, broker_buf *buf, broker_bytes data, bool text)
{
    if (c->calls.on_data != NULL)
        CROSS(c->owner, "on_data", c->calls.on_data(c->calls.self, c, buf, data, text ? 1 : 0));
}

/* From inside frames_feed(). */
static void on_message(void *arg, const uint8_t *bytes, size_t len, bool text)
{
    broker_conn *c = arg;
    broker_buf *buf;

    if (c->closing || c->stage != STAGE_OPEN)
        return;
    buf = buf_new(len != 0 ? len : 1);
    if (buf == NULL) {
        conn_end(c, 1011, "out of memory");
        return;
    }
    if (len != 0)
        memcpy(buf_bytes(buf), bytes, len);
    if (!c->paused && !c->held && !c->parked && c->n_backlog == 0) {
        tell(c, buf, (broker_bytes){buf->bytes, len}, text);
        buf_release(buf);
        return;
    }
    /* The plugin paused between two messages of one block: a block's worth at most. */
    c->backlog = must_realloc(c->backlog, (c->n_backlog + 1) * sizeof *c->backlog);
    c->backlog[c->n_backlog++] = (waiting){buf, text};
    buf->reserved = len == 0; /* an empty message needs a byte of room all the same */
}

static void backlog_tell(broker_conn *c)
{
    size_t i = 0;

    while (i < c->n_backlog && may_read(c) && c->stage == STAGE_OPEN) {
        waiting *m = &c->backlog[i++];
        size_t len = m->buf->reserved != 0 ? 0 : m->buf->len;

        tell(c, m->buf, (broker_bytes){m->buf->bytes, len}, m->text);
        buf_release(m->buf);
    }
    if (i == 0)
        return;
    c->n_backlog -= i;
    memmove(c->backlog, c->backlog + i, c->n_backlog * sizeof *c->backlog);
}

static void frames_take(broker_conn *c)
{
    bool ok = frames_feed(c->frames, c->in->bytes + c->start, c->len - c->start);

    c->start = c->len = 0; /* wslay has it; nobody else keeps this block */
    if (c->closing)
        return;
    if (frames_close_received(c->frames) || frames_close_sent(c->frames)) {
        say_end(c, frames_code(c->frames), frames_why(c->frames));
        if (c->stage == STAGE_OPEN)
            last_stage(c);
        else if (frames_close_received(c->frames))
            conn_end(c, c->code, NULL); /* both have said it */
    } else if (!ok) {
        conn_end(c, 1006, "the WebSocket broke the rules");
    }
}

static void plain_take(broker_conn *c)
{
    broker_bytes data = {c->in->bytes + c->start, c->len - c->start};

    c->start = c->len;
    tell(c, c->in, data, false);
}

/* ---- opening ---- */

static void open_now(broker_conn *c)
{
    c->stage = STAGE_OPEN;
    c->deadline_ms = 0;
    c->heard_ms = net_now(c->net);
    c->opened = true;
    metric_add(c->net->metrics.accepted, 1);
    if (c->calls.on_open != NULL)
        CROSS(c->owner, "on_open", c->calls.on_open(c->calls.self, c));
    if (c->frames != NULL && c->ping_ms != 0 && !c->closing && c->stage == STAGE_OPEN) {
        c->pinged_ms = c->heard_ms;
        frames_ping(c->frames);
    }
}

/* BROKER_OK: *calls are there. */
static broker_rc ask(broker_conn *c, broker_str target)
{
    broker_listener *l = c->listener;
    broker_peer_calls calls = {0};
    broker_rc rc;

    c->owner = l->owner;
    CROSS(l->owner, "accepted", rc = l->accepted(l->self, c, target, &calls));
    if (rc == BROKER_OK)
        memcpy(&c->calls, &calls,
               calls.size != 0 && calls.size < sizeof calls ? calls.size : sizeof calls);
    return rc;
}

static void refuse(broker_conn *c, unsigned status)
{
    sb line = SB_INIT;

    metric_add(c->net->metrics.refused, 1);
    upgrade_refuse(status, &line);
    put(c, (const uint8_t *)line.data, line.len);
    sb_done(&line);
    if (!c->closing)
        last_stage(c);
}

/* The head of a WebSocket's request. False: not complete, or refused. */
static bool head_take(broker_conn *c)
{
    const char *bytes = (const char *)c->in->bytes + c->start, *why;
    size_t have = c->len - c->start, len = head_length(bytes, have);
    char accept[UPGRADE_ACCEPT_LEN + 1];
    frames_calls calls = {c, on_message, put};
    unsigned status;
    sb answer = SB_INIT;
    broker_rc rc;
    head h;

    if (len == 0 && have <= HEAD_MAX)
        return false;
    status = len == 0 || len > HEAD_MAX || head_parse(bytes, len, &h, &why) != 0
                 ? 400
                 : upgrade_check(&h, accept);
    if (status != 0 || c->listener->closing) {
        refuse(c, status != 0 ? status : 503);
        return false;
    }
    if (c->listener->parked) {
        c->stage = STAGE_ASKED;
        return false;
    }
    rc = ask(c, h.target);
    if (c->closing)
        return false;
    if (rc != BROKER_OK) {
        refuse(c, rc >= 400 && rc < 600 ? (unsigned)rc : 500);
        return false;
    }
    upgrade_answer(accept, c->listener->protocol, &answer);
    put(c, (const uint8_t *)answer.data, answer.len);
    sb_done(&answer);
    c->start += len;
    c->frames =
        frames_new(c->listener->o.max_message != 0 ? c->listener->o.max_message : 1u << 20, &calls);
    open_now(c);
    return true;
}

void conn_take(broker_conn *c)
{
    c->inside = true;
    if (c->stage == STAGE_ASKED)
        c->stage = STAGE_HEAD;
    backlog_tell(c);
    while (may_read(c) && c->start < c->len) {
        if (c->stage == STAGE_HEAD) {
            if (!head_take(c))
                break;
        } else if (c->is_ws && c->frames != NULL) {
            frames_take(c);
        } else if (c->stage == STAGE_OPEN) {
            plain_take(c);
        } else {
            c->start = c->len; /* after the end nobody listens */
        }
    }
    if (c->start == c->len && c->in != NULL)
        block_drop(c);
    if (!c->closing)
        wire_read(&c->wire, may_read(c));
    c->inside = false;
    conn_free_when_over(c);
}

static void on_got(wire *w, ssize_t n)
{
    broker_conn *c = CONTAINER_OF(w, broker_conn, wire);

    if (n < 0) {
        conn_end(c, 1006, "the connection broke");
    } else if (n == 0) {
        /* An end with nothing left to send is orderly, but for a WebSocket that was open. */
        say_end(c, c->is_ws ? 1006 : 0,
                c->is_ws && c->stage == STAGE_OPEN ? "the peer left" : NULL);
        conn_end(c, c->code, NULL);
    } else {
        metric_add(c->net->metrics.bytes_in, n);
        c->heard_ms = net_now(c->net);
        c->len += (size_t)n;
        conn_take(c);
    }
}

/* A connection that is not a WebSocket is the plugin's from here. */
static void plain_open(broker_conn *c)
{
    if (ask(c, (broker_str){"", 0}) == BROKER_OK) {
        open_now(c);
    } else {
        metric_add(c->net->metrics.refused, 1);
        c->owner = NULL;
        conn_end(c, 0, NULL);
    }
}

static void on_up(wire *w)
{
    broker_conn *c = CONTAINER_OF(w, broker_conn, wire);

    if (!c->is_ws)
        plain_open(c);
}

static void too_many(broker_listener *l)
{
    uint64_t now = net_now(l->net);

    metric_add(l->net->metrics.refused, 1);
    if (l->said_ms != 0 && now < l->said_ms + LOG_MS)
        return;
    l->said_ms = now;
    log_warn("net", "'%s' has %u connections on port %u, its limit; more are refused",
             l->owner->name, l->n_conns - 1, l->bound);
}

void conn_begin(broker_listener *l)
{
    static const wire_calls calls = {
        .room = on_room, .got = on_got, .closed = on_closed, .up = on_up};
    unsigned limit = l->o.max_connections != 0 ? l->o.max_connections : 1000;
    net *n = l->net;
    broker_conn *c = must_alloc(sizeof *c);

    c->net = n;
    c->listener = l;
    c->id = ++n->last_id;
    c->is_ws = l->kind == BROKER_NET_WS || l->kind == BROKER_NET_WSS;
    c->low_water = l->o.low_water != 0 ? l->o.low_water : 256u << 10;
    c->high_water = l->o.high_water != 0 ? l->o.high_water : 1u << 20;
    c->ping_ms = l->o.ping_ms;
    c->silence_ms = l->o.silence_ms;
    c->deadline_ms = net_now(n) + HEAD_MS;
    c->next = n->conns;
    c->link = &n->conns;
    if (c->next != NULL)
        c->next->link = &c->next;
    n->conns = c;
    n->n_conns++;
    n->open++;
    l->n_conns++;
    c->inside = true;
    if (!wire_accept(&c->wire, n->loop, (uv_stream_t *)&l->tcp, l->tls, &calls)) {
        conn_end(c, 0, NULL);
    } else if (l->n_conns > limit) {
        too_many(l);
        conn_end(c, 0, NULL);
    } else if (!c->is_ws && l->tls == NULL) {
        plain_open(c);
    }
    if (!c->closing)
        wire_read(&c->wire, may_read(c));
    c->inside = false;
    conn_free_when_over(c);
}

/* ---- time ---- */

void conn_tick(broker_conn *c, uint64_t now)
{
    if (c->closing || c->parked)
        return;
    if (c->deadline_ms != 0 && now >= c->deadline_ms && c->stage != STAGE_ASKED) {
        if (c->stage == STAGE_HEAD && wire_is_up(&c->wire)) {
            refuse(c, 408);
            return;
        }
        conn_end(c, c->code, c->stage == STAGE_LAST ? NULL : "it did not begin in time");
        return;
    }
    if (c->stage != STAGE_OPEN || c->frames == NULL || c->ping_ms == 0 || c->paused || c->held)
        return;
    if (c->pinged_ms > c->heard_ms) { /* and nothing came since */
        if (c->silence_ms != 0 && now >= c->pinged_ms + c->silence_ms)
            conn_end(c, 1006, "no answer to a ping");
    } else if (now >= c->heard_ms + c->ping_ms) {
        c->pinged_ms = now;
        frames_ping(c->frames);
    }
}

/* ---- what plugins call ---- */

void net_pause(broker_conn *c)
{
    c->paused = true;
    if (!c->inside && !c->closing)
        wire_read(&c->wire, false);
}

static void take_later(broker_conn *c)
{
    if (!c->inside && !c->closing)
        conn_take(c);
}

void net_resume(broker_conn *c)
{
    c->paused = false;
    take_later(c);
}

size_t net_queued(broker_conn *c)
{
    return c->queued;
}

broker_str net_peer(broker_conn *c)
{
    if (c->address.len == 0)
        wire_peer(&c->wire, &c->address);
    return (broker_str){c->address.data, c->address.len};
}

uint64_t net_id(broker_conn *c)
{
    return c->id;
}

void net_close(broker_conn *c, int32_t code, const char *why)
{
    if (c->closing || c->stage == STAGE_LAST)
        return;
    if (c->parked) {
        c->vacant = true;
        return;
    }
    say_end(c, c->is_ws && code == 0 ? 1000 : code, why);
    if (c->frames != NULL)
        frames_close(c->frames, c->code, why);
    if (c->closing)
        return;
    if (c->frames != NULL) { /* the peer says it too, and closes */
        c->stage = STAGE_LAST;
        c->deadline_ms = net_now(c->net) + LAST_MS;
        take_later(c);
    } else {
        last_stage(c);
    }
}
