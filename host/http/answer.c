/* answer -- responses, whole and streamed.
 *
 * A streamed body has two parts: while one is written to the socket, the next is
 * made by pull() on a worker. Answers come from any thread; everything but pull()
 * and close() then happens on the loop. */
#include "http/parts.h"

#include <time.h>

/* ---- streaming ---- */

static void stream_step(broker_req *r);

static void close_run(job *j)
{
    broker_req *r = CONTAINER_OF(j, broker_req, job);

    if (r->owner != NULL) /* else it was saved, and closed by the build that had it */
        CROSS(r->owner, "close", r->stream.close(r->stream.self));
}

static void close_done(job *j)
{
    broker_req *r = CONTAINER_OF(j, broker_req, job);

    r->streaming = false;
    if (r->conn != NULL)
        conn_next(r->conn);
    else
        req_free(r);
}

static void stream_close(broker_req *r)
{
    if (r->closing)
        return;
    r->closing = true;
    r->job.run = close_run;
    r->job.done = close_done;
    pool_submit(r->server->pool, &r->job);
}

static void pull_run(job *j)
{
    broker_req *r = CONTAINER_OF(j, broker_req, job);
    part *p = &r->parts[r->making];

    if (!part_begin(p)) {
        r->rc = BROKER_ENOMEM;
        return;
    }
    CROSS(r->owner, "pull", r->rc = r->stream.pull(r->stream.self, &p->w));
}

static void pull_done(job *j)
{
    broker_req *r = CONTAINER_OF(j, broker_req, job);

    r->pulling = false;
    if (r->rc < 0)
        r->cut = true;
    if (r->rc == BROKER_END)
        r->over = true;
    if (r->parts[r->making].len != 0 || r->over)
        r->ready = r->making;
    else if (r->rc == BROKER_AGAIN && !atomic_exchange(&r->woken, false))
        r->waiting = true;
    if ((r->over || r->cut) && r->has_intake && !r->body_told)
        req_abort(r, 0); /* what is left of the body nobody wants any more */
    stream_step(r);
    if (r->over && r->conn != NULL)
        conn_run(r->conn);
}

static void part_written(conn *c)
{
    broker_req *r = c->req;

    r->writing = false;
    stream_step(r);
}

/* Chunk framing goes around the part, in the room left for it. */
static void part_send(broker_req *r)
{
    part *p = &r->parts[r->ready];
    uint8_t *from = p->bytes + CHUNK_HEAD;
    size_t len = p->len;

    if (r->head.minor == 1) {
        if (p->len != 0) {
            char size[CHUNK_HEAD + 1];
            int n = snprintf(size, sizeof size, "%zx\r\n", p->len);

            from -= n;
            memcpy(from, size, (size_t)n);
            memcpy(p->bytes + CHUNK_HEAD + p->len, "\r\n", 2);
            len += (size_t)n + 2;
        }
        if (r->over) {
            memcpy(from + len, "0\r\n\r\n", 5);
            len += 5;
        }
    }
    r->making = 1 - r->ready;
    r->ready = -1;
    r->writing = true;
    conn_write(r->conn, from, len, part_written, NULL);
}

static void stream_step(broker_req *r)
{
    if (!r->answered || r->pulling || r->closing || r->saving)
        return;
    if (r->conn == NULL || r->cut) {
        if (r->conn != NULL) {
            conn *c = r->conn;

            c->req = NULL;
            r->conn = NULL;
            conn_close(c); /* without the last chunk: nobody takes the part for the whole */
        }
        stream_close(r);
        return;
    }
    if (!r->writing && r->ready >= 0)
        part_send(r);
    if (r->conn == NULL || r->closing)
        return; /* the write failed at once */
    if (r->over) {
        if (!r->writing && r->ready < 0)
            stream_close(r);
        return;
    }
    if (r->ready < 0 && !r->waiting && !r->held) {
        r->pulling = true;
        r->job.run = pull_run;
        r->job.done = pull_done;
        pool_submit(r->server->pool, &r->job);
    }
}

void answer_go_on(broker_req *r)
{
    stream_step(r);
}

void answer_left(broker_req *r)
{
    if (r->streaming) {
        r->writing = false;
        stream_step(r);
    } else {
        req_free(r);
    }
}

/* ---- heads ---- */

static void date_put(sb *out)
{
    time_t now = time(NULL);
    char text[32];
    struct tm tm;

    if (gmtime_r(&now, &tm) != NULL &&
        strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &tm) != 0)
        sb_printf(out, "Date: %s\r\n", text);
}

static void head_make(broker_req *r, const broker_response *response, sb *out)
{
    broker_str origin = head_get(&r->head, "Origin");
    bool allowed = false;

    sb_printf(out, "HTTP/1.1 %u %s\r\n", response->status, status_text(response->status));
    date_put(out);
    if (response->type != NULL)
        sb_printf(out, "Content-Type: %s\r\n", response->type);
    for (size_t i = 0; origin.ptr != NULL && i < r->server->n_origins; i++)
        allowed |= strlen(r->server->origins[i]) == origin.len &&
                   memcmp(r->server->origins[i], origin.ptr, origin.len) == 0;
    if (allowed)
        sb_printf(out, "Access-Control-Allow-Origin: %.*s\r\nVary: Origin\r\n", (int)origin.len,
                  origin.ptr);
    else
        sb_puts(out, "Access-Control-Allow-Origin: *\r\n");
    for (size_t i = 0; i < response->n_headers; i++)
        sb_printf(out, "%s: %.*s\r\n", response->headers[i].name,
                  (int)response->headers[i].value.len, response->headers[i].value.ptr);
}

static void answered(broker_req *r)
{
    unsigned class = r->status / 100;

    r->answered = true;
    if (r->begun)
        return; /* counted before */
    if (class < COUNT_OF(r->server->requests))
        metric_add(r->server->requests[class], 1);
    metric_observe(r->server->seconds, (double)(clock_mono_ns() - r->started_ns) / 1e9);
}

static void reply_written(conn *c)
{
    conn_next(c);
}

static void reply_send(broker_req *r)
{
    conn *c = r->conn;
    size_t len = r->answer.len;
    char *bytes;

    TAKE(bytes, r->answer.data);
    r->answer = (sb)SB_INIT;
    c->state = CONN_ANSWER;
    conn_write(c, bytes, len, reply_written, bytes);
}

/* Behind the status line of a head that is made already. */
static void close_say(sb *out)
{
    static const char line[] = "Connection: close\r\n";
    size_t len = sizeof line - 1,
           at = (size_t)((char *)memchr(out->data, '\n', out->len) - out->data) + 1;

    sb_append(out, line, len);
    memmove(out->data + at + len, out->data + at, out->len - at - len);
    memcpy(out->data + at, line, len);
}

/* [loop] The answer that was made on any thread. */
static void answer_on_loop(loop_call *call)
{
    broker_req *r = CONTAINER_OF(call, broker_req, call_answer);
    conn *c = r->conn;
    bool beside; /* the body is read on beside the answer */

    answered(r);
    beside = req_wants_body(r) && !r->body_told;
    if (!r->streaming && r->owner != NULL)
        req_disown(r); /* what is left to do is ours */
    if (c == NULL) {
        if (r->streaming)
            stream_step(r);
        else
            req_free(r);
        return;
    }
    if (r->begun && !r->streaming) {
        /* Nothing but the rest of what was begun can follow: it is cut. */
        c->req = NULL;
        r->conn = NULL;
        conn_close(c);
        req_free(r);
        return;
    }
    if (!body_is_over(&r->body) && r->keep && !beside) {
        r->keep = false; /* what is left of the body is not worth reading */
        if (!r->begun)
            close_say(&r->answer);
    }
    if (!r->streaming) {
        reply_send(r);
        return;
    }
    if (!beside)
        c->state = CONN_ANSWER;
    if (!r->begun) {
        size_t len = r->answer.len;
        char *bytes;

        TAKE(bytes, r->answer.data);
        r->answer = (sb)SB_INIT;
        r->writing = true;
        conn_write(c, bytes, len, part_written, bytes);
    }
    stream_step(r);
}

void http_reply(broker_req *r, const broker_response *response)
{
    static const char too_large[] = "{\"error\":\"the body is larger than this path takes\"}";
    broker_response instead = {0};

    if (r->answered)
        return;
    memcpy(&instead, response, response->size < sizeof instead ? response->size : sizeof instead);
    if (r->verdict != 0)
        instead.status = r->verdict;
    if (r->verdict == 413) {
        instead.type = "application/json";
        instead.body = (broker_bytes){(const uint8_t *)too_large, sizeof too_large - 1};
    }
    response = &instead;
    head_make(r, response, &r->answer);
    if (!r->keep)
        sb_puts(&r->answer, "Connection: close\r\n");
    if (response->status != 204)
        sb_printf(&r->answer, "Content-Length: %zu\r\n", response->body.len);
    sb_puts(&r->answer, "\r\n");
    if (!r->head_only)
        sb_append(&r->answer, response->body.ptr, response->body.len);
    r->status = response->status;
    loop_post(r->server->loop, &r->call_answer);
}

static void stream_head_make(broker_req *r, const broker_response *response)
{
    head_make(r, response, &r->answer);
    if (r->head.minor == 0)
        r->keep = false;
    else
        sb_puts(&r->answer, "Transfer-Encoding: chunked\r\n");
    if (!r->keep)
        sb_puts(&r->answer, "Connection: close\r\n");
    sb_puts(&r->answer, "\r\n");
    r->status = response->status;
}

void http_stream(broker_req *r, const broker_response *response, const broker_body *body)
{
    if (!r->begun)
        stream_head_make(r, response);
    memset(&r->stream, 0, sizeof r->stream);
    memcpy(&r->stream, body, body->size < sizeof r->stream ? body->size : sizeof r->stream);
    r->streaming = true;
    r->over = r->head_only;
    loop_post(r->server->loop, &r->call_answer);
}

/* ---- from other threads ---- */

static void wake_on_loop(loop_call *call)
{
    broker_req *r = CONTAINER_OF(call, broker_req, call_wake);

    if (!r->waiting)
        return;
    r->waiting = false;
    atomic_store(&r->woken, false);
    stream_step(r);
}

void http_wake(broker_req *r)
{
    if (!atomic_exchange(&r->woken, true))
        loop_post(r->server->loop, &r->call_wake);
}

static void resume_on_loop(loop_call *call)
{
    broker_req *r = CONTAINER_OF(call, broker_req, call_resume);

    atomic_store(&r->resumed, false);
    r->paused = false;
    if (r->conn != NULL) {
        conn_touch(r->conn, r->server->body_timeout_ms);
        conn_run(r->conn);
    }
}

void http_resume(broker_req *r)
{
    if (!atomic_exchange(&r->resumed, true))
        loop_post(r->server->loop, &r->call_resume);
}

/* ---- neither reply nor stream ---- */

static void give_on_loop(loop_call *call)
{
    broker_req *r = CONTAINER_OF(call, broker_req, call_answer);
    conn *c = r->conn;

    answered(r);
    if (c != NULL && !c->eof) {
        conn_give(c);
        return;
    }
    if (c != NULL) {
        c->req = NULL;
        r->conn = NULL;
        conn_close(c);
    }
    r->take(r->take_arg, NULL, NULL, 0);
    req_free(r);
}

ledger *http_owner(const broker_req *r)
{
    return r->owner;
}

const head *http_head(const broker_req *r)
{
    return &r->head;
}

bool http_is_givable(const broker_req *r)
{
    return !r->answered && !r->has_intake && body_is_over(&r->body);
}

void http_give(broker_req *r, void (*take)(void *arg, wire *w, const uint8_t *bytes, size_t len),
               void *arg)
{
    r->take = take;
    r->take_arg = arg;
    r->status = 101;
    r->call_answer.fn = give_on_loop;
    loop_post(r->server->loop, &r->call_answer);
}

void answer_init(broker_req *r)
{
    r->call_answer.fn = answer_on_loop;
    r->call_wake.fn = wake_on_loop;
    r->call_resume.fn = resume_on_loop;
}
