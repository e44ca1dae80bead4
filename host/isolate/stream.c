/* stream -- see stream.h. */
#include "isolate/stream.h"

#include "http/http.h"

struct stream {
    const broker_http *http;
    broker_req *req;
    uint64_t number;
    void (*on_closed)(void *arg);
    void *arg;
    uv_mutex_t lock;
    channel *frames; /* under lock, as the rest; NULL: the process is gone */
    pieces pieces;
    size_t waiting; /* bytes */
    bool closed;    /* the request may not be woken any more */
    bool ended;
    broker_rc rc; /* when it has */
};

/* ---- pieces ---- */

void pieces_put(pieces *list, broker_buf *buf, broker_bytes bytes, bool is_last)
{
    piece *p = must_alloc(sizeof *p);

    *p = (piece){NULL, buf, bytes, is_last};
    buf_retain(buf);
    if (list->first == NULL)
        list->last = &list->first;
    *list->last = p;
    list->last = &p->next;
}

void pieces_drop(pieces *list)
{
    piece *p = list->first;

    list->first = p->next;
    buf_release(p->buf);
    free(p);
}

/* ---- the server's side ---- */

/* [worker] */
static broker_rc pull(void *self, broker_writer *out)
{
    stream *t = self;
    uint32_t gone = 0;
    broker_rc rc;

    uv_mutex_lock(&t->lock);
    while (t->pieces.first != NULL) {
        broker_bytes bytes = t->pieces.first->bytes;

        if (out->write(out, bytes.ptr, bytes.len) != BROKER_OK)
            break;
        gone += (uint32_t)bytes.len;
        pieces_drop(&t->pieces);
    }
    t->waiting -= gone;
    if (gone != 0 && t->frames != NULL) {
        uint8_t body[12];

        put_u64be(body, t->number);
        put_u32be(body + 8, gone);
        channel_send(t->frames, WORD_TAKEN, (broker_bytes){body, sizeof body}, no_bytes);
    }
    rc = t->pieces.first == NULL && t->ended ? t->rc : gone != 0 ? BROKER_OK : BROKER_AGAIN;
    uv_mutex_unlock(&t->lock);
    return rc;
}

/* [worker] */
static void on_close(void *self)
{
    stream *t = self;
    void (*on_closed)(void *arg) = t->on_closed;
    void *arg = t->arg;
    uint8_t body[8];

    uv_mutex_lock(&t->lock);
    put_u64be(body, t->number);
    if (t->frames != NULL)
        channel_send(t->frames, WORD_CLOSE, (broker_bytes){body, sizeof body}, no_bytes);
    t->frames = NULL;
    t->closed = true;
    uv_mutex_unlock(&t->lock);
    on_closed(arg);
}

stream *stream_begin(standin *s, broker_req *req, uint64_t number, const broker_response *r,
                     void (*closed)(void *arg), void *arg)
{
    stream *t = must_alloc(sizeof *t);
    broker_body body = {sizeof body, 0, t, pull, on_close, NULL};

    *t = (stream){.http = s->http,
                  .req = req,
                  .number = number,
                  .on_closed = closed,
                  .arg = arg,
                  .frames = s->frames};
    must(uv_mutex_init(&t->lock) == 0);
    s->http->stream(req, r, &body);
    return t;
}

void stream_free(stream *t)
{
    if (t == NULL)
        return;
    while (t->pieces.first != NULL)
        pieces_drop(&t->pieces);
    uv_mutex_destroy(&t->lock);
    free(t);
}

/* ---- the process's side ---- */

/* Under its lock: close() may be running, and behind it there is no request. */
static void wake(const stream *t)
{
    if (!t->closed)
        t->http->wake(t->req);
}

fault stream_chunk(stream *t, broker_buf *buf, broker_bytes bytes)
{
    fault wrong = NULL;

    if (bytes.len == 0)
        return NULL;
    uv_mutex_lock(&t->lock);
    if (t->ended) {
        wrong = "a part comes of an answer that has ended";
    } else if (t->waiting != 0 && t->waiting + bytes.len > WINDOW_STREAM) {
        wrong = "more of an answer comes than there is a window for";
    } else {
        pieces_put(&t->pieces, buf, bytes, false);
        t->waiting += bytes.len;
        wake(t);
    }
    uv_mutex_unlock(&t->lock);
    return wrong;
}

bool stream_end(stream *t, broker_rc rc)
{
    bool first;

    uv_mutex_lock(&t->lock);
    first = !t->ended;
    if (first) {
        t->ended = true;
        t->rc = rc;
    }
    wake(t);
    uv_mutex_unlock(&t->lock);
    return first;
}

void stream_hush(stream *t)
{
    uv_mutex_lock(&t->lock);
    t->frames = NULL;
    uv_mutex_unlock(&t->lock);
}

void stream_lose(stream *t)
{
    stream_hush(t);
    stream_end(t, BROKER_EIO);
}
