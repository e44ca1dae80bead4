/* conn -- one connection: bytes in, requests one after another, bytes out.
 *
 * Bytes are read into a counted block; what a plugin retains of it stays, and the
 * next bytes go behind it or into another block. An idle connection holds none. */
#include "http/parts.h"

#define LINGER_MS    2000u
#define LINGER_BYTES (8u << 20)

typedef struct write_req {
    conn *conn;
    void (*written)(conn *c);
    void *owned;
} write_req;

static uint64_t now_ms(const http_server *s)
{
    return uv_now(loop_uv(s->loop));
}

void conn_touch(conn *c, unsigned timeout_ms)
{
    c->deadline_ms = now_ms(c->server) + timeout_ms;
}

static void write_touch(conn *c)
{
    c->write_deadline_ms = now_ms(c->server) + c->server->idle_timeout_ms;
}

static void block_drop(conn *c)
{
    buf_release(c->in);
    c->in = NULL;
    c->start = c->len = 0;
}

/* Room behind what is there; unread bytes move to a new block when there is none. */
static uint8_t *on_room(void *owner, size_t *len)
{
    conn *c = owner;
    size_t want = c->state == CONN_BODY ? BODY_BLOCK : IDLE_BLOCK, left = c->len - c->start;

    if (c->in == NULL || c->in->len - c->len < 2048) {
        broker_buf *fresh = buf_new(want > 2 * left ? want : 2 * left);

        if (fresh == NULL)
            return NULL;
        if (left != 0)
            memcpy(buf_bytes(fresh), c->in->bytes + c->start, left);
        buf_release(c->in);
        c->in = fresh;
        c->start = 0;
        c->len = left;
    }
    *len = c->in->len - c->len;
    return buf_bytes(c->in) + c->len;
}

static void on_closed(void *owner)
{
    conn *c = owner;
    http_server *s = c->server;

    block_drop(c);
    *c->link = c->next;
    if (c->next != NULL)
        c->next->link = c->link;
    free(c);
    server_conn_gone(s);
}

void conn_give(conn *c)
{
    broker_req *r = c->req;
    wire *w = c->wire;
    broker_buf *in = c->in;

    wire_read(w, false);
    r->take(r->take_arg, w, in != NULL ? in->bytes + c->start : NULL, c->len - c->start);
    c->req = NULL;
    r->conn = NULL;
    req_free(r);
    c->closing = true;
    on_closed(c);
}

void conn_close(conn *c)
{
    if (c->closing)
        return;
    c->closing = true;
    if (c->req != NULL) {
        broker_req *r = c->req;

        c->req = NULL;
        req_left(r);
    }
    wire_close(c->wire);
}

static void on_written(void *arg, bool ok)
{
    write_req *w = arg;
    conn *c = w->conn;

    if (ok) {
        write_touch(c);
        if (w->written != NULL)
            w->written(c);
    } else {
        conn_close(c);
    }
    free(w->owned);
    free(w);
}

void conn_write(conn *c, void *bytes, size_t len, void (*written)(conn *c), void *owned)
{
    write_req *w = must_alloc(sizeof *w);

    w->conn = c;
    w->written = written;
    w->owned = owned;
    write_touch(c);
    if (!wire_write(c->wire, bytes, len, on_written, w)) {
        free(owned);
        free(w);
        conn_close(c);
    }
}

static void reading_set(conn *c, bool on)
{
    wire_read(c->wire, on && !c->eof);
}

void conn_next(conn *c)
{
    broker_req *r = c->req;
    bool body_over = body_is_over(&r->body);
    bool keep = r->keep && body_over && !c->server->draining && !c->ending;

    c->req = NULL;
    r->conn = NULL;
    req_free(r);
    if (!keep && (!body_over || c->ending) && !c->eof && !c->closing) {
        /* Closing now would reset the connection, and the client might never see the
         * answer it is too busy sending to read. */
        c->state = CONN_LINGER;
        c->start = c->len;
        conn_touch(c, LINGER_MS);
        wire_end(c->wire);
        reading_set(c, true);
        return;
    }
    if (!keep) {
        conn_close(c);
        return;
    }
    c->state = CONN_HEAD;
    c->began = c->start < c->len;
    conn_touch(c, c->began ? c->server->head_timeout_ms : c->server->idle_timeout_ms);
    conn_run(c);
}

/* A request that cannot be understood is answered, and the connection ends. */
static void refuse(conn *c, unsigned status, const char *why)
{
    c->req = req_new(c, "", 0);
    c->ending = true;
    c->state = CONN_ANSWER;
    req_refuse(c->req, status, why);
}

static bool head_step(conn *c)
{
    const char *bytes = (const char *)c->in->bytes + c->start;
    size_t have = c->len - c->start, len = head_length(bytes, have);
    const char *why;
    unsigned status;

    /* Empty lines before a request are allowed (RFC 9112 2.2). */
    if (have >= 2 && memcmp(bytes, "\r\n", 2) == 0) {
        c->start += 2;
        return true;
    }
    if (len > c->server->max_head || (len == 0 && have > c->server->max_head)) {
        if (memchr(bytes, '\n', c->server->max_head) == NULL)
            refuse(c, 414, "the request line is larger than 16 KiB");
        else
            refuse(c, 431, "the request head is larger than 16 KiB");
        return false;
    }
    if (len == 0)
        return false;
    c->req = req_new(c, bytes, len);
    status = head_parse(c->req->text, len, &c->req->head, &why);
    c->start += len;
    if (status != 0) {
        c->ending = true;
        c->state = CONN_ANSWER;
        req_refuse(c->req, status, why);
        return false;
    }
    c->req->keep = c->req->head.keep_alive;
    if (c->req->head.chunked)
        body_chunks(&c->req->body);
    else
        body_sized(&c->req->body, c->req->head.has_length ? c->req->head.length : 0);
    c->state = CONN_BODY;
    conn_touch(c, c->server->body_timeout_ms);
    req_dispatch(c->req);
    return true;
}

static void body_tell(broker_req *r, broker_bytes piece, bool last)
{
    if (last)
        r->body_told = true;
    if (req_wants_body(r) && (piece.len != 0 || last))
        CROSS(r->owner, "on_body",
              r->intake.on_body(r->intake.self, r, r->conn->in, piece, last ? 1 : 0));
}

static bool too_large(const broker_req *r)
{
    return !r->endless && r->body_bytes > r->max_body;
}

/* Its plugin wants no more of the body now, or there is none. */
static bool is_stopped(const broker_req *r)
{
    return r->waits != WAITS_NOT || r->held || (r->paused && req_wants_body(r));
}

static bool body_step(conn *c)
{
    broker_req *r = c->req;
    size_t used, n;
    broker_bytes piece;

    if (is_stopped(r))
        return false;
    if (body_is_over(&r->body)) {
        if (c->in == NULL)
            c->in = buf_new(IDLE_BLOCK); /* on_body() is always given one */
        if (!r->body_told)
            body_tell(r, (broker_bytes){NULL, 0}, true);
        if (c->closing)
            return false;
        c->state = CONN_ANSWER;
        return true;
    }
    if (c->start == c->len)
        return false;
    if (!body_read(&r->body, c->in->bytes + c->start, c->len - c->start, &used, &n)) {
        c->ending = true; /* where the next request would begin nobody can say */
        if (!req_wants_body(r)) {
            conn_close(c);
            return false;
        }
        body_none(&r->body);
        req_abort(r, 0);
        return !c->closing;
    }
    piece = (broker_bytes){c->in->bytes + c->start + used - n, n};
    c->start += used;
    r->body_bytes += n;
    conn_touch(c, c->server->body_timeout_ms);
    if (too_large(r) && req_wants_body(r)) {
        req_abort(r, 413);
        return !c->closing;
    }
    if (req_wants_body(r))
        body_tell(r, piece, body_is_over(&r->body));
    return !c->closing;
}

void conn_run(conn *c)
{
    bool more = true;

    if (c->running)
        return; /* a handler answered from inside; the loop below goes on */
    c->running = true;
    while (more && !c->closing) {
        switch (c->state) {
        case CONN_HEAD:
            more = c->start < c->len && head_step(c);
            break;
        case CONN_BODY:
            more = body_step(c);
            break;
        case CONN_ANSWER:
        case CONN_LINGER:
            more = false;
            break;
        }
    }
    c->running = false;
    if (c->closing)
        return;
    if (c->start == c->len && c->in != NULL && c->state != CONN_BODY)
        block_drop(c);
    /* Pipelined requests wait in the socket once the block is full. */
    reading_set(c, (c->state == CONN_BODY && !is_stopped(c->req)) || (c->state == CONN_HEAD) ||
                       (c->state == CONN_ANSWER && c->len - c->start < IDLE_BLOCK));
    if (c->eof && c->state != CONN_ANSWER)
        conn_close(c); /* nothing more can come, and something is missing */
}

static void on_got(void *owner, ssize_t n)
{
    conn *c = owner;

    if (n == 0 && c->state == CONN_ANSWER) {
        c->eof = true; /* it may have closed its side only, and waits for the answer */
        reading_set(c, false);
        return;
    }
    if (n <= 0) {
        conn_close(c);
        return;
    }
    if (c->state == CONN_LINGER) {
        c->lingered += (size_t)n;
        if (c->lingered > LINGER_BYTES)
            conn_close(c);
        return;
    }
    if (c->state == CONN_HEAD && !c->began) {
        c->began = true; /* empty lines do not begin the time anew */
        conn_touch(c, c->server->head_timeout_ms);
    }
    c->len += (size_t)n;
    conn_run(c);
}

static void late(conn *c)
{
    if (c->state == CONN_HEAD && c->start < c->len && wire_is_up(c->wire)) {
        refuse(c, 408, "the request head did not arrive in time");
    } else if (c->state == CONN_BODY && req_wants_body(c->req)) {
        conn_touch(c, c->server->idle_timeout_ms);
        req_abort(c->req, 408);
    } else {
        conn_close(c);
    }
}

void conn_check(conn *c, uint64_t now)
{
    const broker_req *r = c->req;
    /* The node's own work has no deadline; its client's silence has, in both directions. */
    bool reads = c->state != CONN_ANSWER && !(c->state == CONN_BODY && is_stopped(r));
    bool writes = r != NULL && r->answered && (r->writing || !r->streaming);

    if (writes && now >= c->write_deadline_ms)
        conn_close(c);
    else if (reads && now >= c->deadline_ms)
        late(c);
}

void conn_accept(http_server *s)
{
    static const wire_calls calls = {.room = on_room, .got = on_got, .closed = on_closed};
    conn *c = must_alloc(sizeof *c);

    c->server = s;
    c->next = s->conns;
    c->link = &s->conns;
    if (c->next != NULL)
        c->next->link = &c->next;
    s->conns = c;
    s->n_conns++;
    conn_touch(c, s->head_timeout_ms);
    c->wire = wire_new(s->loop, s->tls, &calls, c);
    if (!wire_accept(c->wire, (uv_stream_t *)&s->listener)) {
        conn_close(c);
    } else if (s->n_conns <= s->max_connections) {
        reading_set(c, true);
    } else if (wire_is_up(c->wire)) {
        refuse(c, 503, "too many connections; try again later");
    } else {
        conn_close(c); /* not worth a handshake */
    }
}
