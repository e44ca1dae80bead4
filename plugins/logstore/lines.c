/* lines -- see lines.h. */
#include "lines.h"

#include <pthread.h>
#include <stdatomic.h>

#define FULL_BYTES (64u * 1024u)
#define PIECE      (16u * 1024u)

struct lines {
    const broker_http *http;
    broker_req *req; /* valid until closed */
    atomic_uint owners;
    pthread_mutex_t lock; /* over what follows */
    sb text;              /* text.data[told..] was not told yet */
    size_t told;
    bool ended, closed, full;
};

lines *lines_new(const broker_http *http, broker_req *req)
{
    lines *l = must_alloc(sizeof *l);

    l->http = http;
    l->req = req;
    atomic_store(&l->owners, 1);
    must(pthread_mutex_init(&l->lock, NULL) == 0);
    return l;
}

void lines_release(lines *l)
{
    if (l == NULL || atomic_fetch_sub(&l->owners, 1) != 1)
        return;
    pthread_mutex_destroy(&l->lock);
    sb_done(&l->text);
    free(l);
}

void lines_add(lines *l, const sb *line)
{
    pthread_mutex_lock(&l->lock);
    if (!l->closed) {
        sb_append(&l->text, line->data, line->len);
        sb_putc(&l->text, '\n');
        l->http->wake(l->req); /* under the lock: close() may be next */
    }
    pthread_mutex_unlock(&l->lock);
}

void lines_end(lines *l)
{
    pthread_mutex_lock(&l->lock);
    l->ended = true;
    if (!l->closed)
        l->http->wake(l->req);
    pthread_mutex_unlock(&l->lock);
}

bool lines_are_full(lines *l)
{
    bool full;

    pthread_mutex_lock(&l->lock);
    full = l->full = !l->closed && l->text.len - l->told > FULL_BYTES;
    pthread_mutex_unlock(&l->lock);
    return full;
}

void lines_take(lines *l, sb *out)
{
    pthread_mutex_lock(&l->lock);
    sb_append(out, l->text.data + l->told, l->text.len - l->told);
    l->told = l->text.len;
    l->closed = true;
    pthread_mutex_unlock(&l->lock);
}

/* [worker] */
static broker_rc pull(void *self, broker_writer *out)
{
    lines *l = self;
    broker_rc rc = BROKER_OK;

    pthread_mutex_lock(&l->lock);
    while (rc == BROKER_OK && l->told < l->text.len) {
        size_t left = l->text.len - l->told, n = left < PIECE ? left : PIECE;

        rc = out->write(out, l->text.data + l->told, n);
        if (rc == BROKER_OK)
            l->told += n;
    }
    if (rc == BROKER_OK) {
        sb_clear(&l->text);
        l->told = 0;
        rc = l->ended ? BROKER_END : BROKER_AGAIN;
        if (l->full && !l->closed)
            l->http->resume(l->req);
        l->full = false;
    } else if (rc == BROKER_AGAIN) {
        rc = BROKER_OK; /* there is more */
    }
    pthread_mutex_unlock(&l->lock);
    return rc;
}

/* [worker] */
static void close_body(void *self)
{
    lines *l = self;

    pthread_mutex_lock(&l->lock);
    l->closed = true;
    pthread_mutex_unlock(&l->lock);
    lines_release(l);
}

broker_body lines_body(lines *l)
{
    atomic_fetch_add(&l->owners, 1);
    return (broker_body){.size = sizeof(broker_body), .self = l, .pull = pull, .close = close_body};
}
