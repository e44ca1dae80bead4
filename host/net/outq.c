/* outq -- see outq.h. */
#include "net/outq.h"

#define PIECE_ROOM 4096u

struct out_piece {
    out_piece *next;
    broker_buf *buf; /* NULL: the bytes are in own */
    const uint8_t *bytes;
    size_t len, cap;
    uint8_t own[];
};

void outq_done(outq *q)
{
    for (out_piece *p = q->head, *next; p != NULL; p = next) {
        next = p->next;
        buf_release(p->buf);
        free(p);
    }
    *q = (outq){NULL, NULL, 0};
}

static void append(outq *q, out_piece *p)
{
    if (q->tail != NULL)
        q->tail->next = p;
    else
        q->head = p;
    q->tail = p;
    q->bytes += p->len;
}

bool outq_copy(outq *q, const void *bytes, size_t len)
{
    out_piece *p = q->tail;

    if (len == 0)
        return true;
    if (p == NULL || p->buf != NULL || p->cap - p->len < len) {
        size_t cap = len > PIECE_ROOM ? len : PIECE_ROOM;

        p = malloc(sizeof *p + cap);
        if (p == NULL)
            return false;
        *p = (out_piece){.cap = cap, .bytes = p->own};
        append(q, p);
    }
    memcpy(p->own + p->len, bytes, len);
    p->len += len;
    q->bytes += len;
    return true;
}

void outq_keep(outq *q, broker_buf *buf, const uint8_t *bytes, size_t len)
{
    out_piece *p = must_alloc(sizeof *p);

    buf_retain(buf);
    p->buf = buf;
    p->bytes = bytes;
    p->len = len;
    append(q, p);
}

unsigned outq_take(outq *q, size_t max_bytes, uv_buf_t bufs[OUTQ_BUFS], outq *batch)
{
    unsigned n = 0;

    while (q->head != NULL && n < OUTQ_BUFS && batch->bytes < max_bytes) {
        out_piece *p = q->head;

        q->head = p->next;
        if (q->head == NULL)
            q->tail = NULL;
        q->bytes -= p->len;
        p->next = NULL;
        append(batch, p);
        bufs[n++] = uv_buf_init((char *)(uintptr_t)p->bytes, (unsigned)p->len);
    }
    return n;
}
