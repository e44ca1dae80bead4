/* intake -- see intake.h. */
#include "intake.h"

#include <stdlib.h>

typedef struct waiting {
    broker_buf *buf; /* one reference of ours */
    pb_bytes raw;
    char *stream;
    uint32_t partition;
} waiting;

struct intake {
    broker_ctx *ctx;
    const broker_bus *bus;
    peers *p;
    uint64_t origin;
    waiting queue[INTAKE_WAITING];
    size_t head, n;
    bool asked; /* on_room() will call */
    intake_counts counts;
};

static broker_rc admit(intake *in, broker_str stream, uint32_t partition, broker_buf *buf,
                       pb_bytes raw)
{
    broker_frame frame = {.raw = {raw.ptr, raw.len}, .buf = buf};
    broker_admission what = {.size = sizeof what,
                             .frames = &frame,
                             .n = 1,
                             .origin = in->origin,
                             .only_stream = stream,
                             .only_partition = partition};

    return in->bus->admit(in->ctx, &what);
}

static void on_room(void *arg);

static void wait_for_room(intake *in)
{
    if (!in->asked)
        in->asked = in->bus->on_room(in->ctx, on_room, in) == BROKER_OK;
    peers_pause(in->p, in->asked);
}

static void drop_first(intake *in)
{
    waiting *w = &in->queue[in->head];

    in->bus->buf_release(w->buf);
    free(w->stream);
    in->head = (in->head + 1) % INTAKE_WAITING;
    in->n--;
}

static void on_room(void *arg)
{
    intake *in = arg;

    in->asked = false;
    while (in->n != 0) {
        const waiting *w = &in->queue[in->head];

        if (admit(in, (broker_str){w->stream, strlen(w->stream)}, w->partition, w->buf, w->raw) ==
            BROKER_AGAIN) {
            wait_for_room(in);
            return;
        }
        drop_first(in);
    }
    peers_pause(in->p, false);
}

/* The frame's buffer when raw lies in it, retained; else a copy. NULL: no memory. */
static broker_buf *keep(intake *in, pb_bytes *raw)
{
    broker_buf *buf = peers_buffer(in->p);

    if (buf != NULL && raw->ptr >= buf->bytes && raw->ptr + raw->len <= buf->bytes + buf->len) {
        in->bus->buf_retain(buf);
        return buf;
    }
    buf = in->bus->buf_new(in->ctx, raw->len);
    if (buf == NULL)
        return NULL;
    in->counts.copied++;
    memcpy((uint8_t *)(uintptr_t)buf->bytes, raw->ptr, raw->len);
    raw->ptr = buf->bytes;
    return buf;
}

static bool queue(intake *in, pb_bytes stream, uint32_t partition, broker_buf *buf, pb_bytes raw)
{
    waiting *w = &in->queue[(in->head + in->n) % INTAKE_WAITING];

    if (in->n == INTAKE_WAITING) {
        in->bus->buf_release(buf);
        in->counts.dropped++;
        return false;
    }
    *w = (waiting){buf, raw, must_strndup((const char *)stream.ptr, stream.len), partition};
    in->n++;
    in->counts.waited++;
    wait_for_room(in);
    return true;
}

bool intake_take(intake *in, pb_bytes stream, uint32_t partition, pb_bytes raw)
{
    broker_buf *buf = raw.len != 0 ? keep(in, &raw) : NULL;
    broker_rc rc = BROKER_AGAIN;

    if (buf == NULL) {
        in->counts.dropped++;
        return false;
    }
    /* Behind what waits, so that order is kept. */
    if (in->n == 0)
        rc = admit(in, (broker_str){(const char *)stream.ptr, stream.len}, partition, buf, raw);
    if (rc == BROKER_AGAIN)
        return queue(in, stream, partition, buf, raw);
    in->bus->buf_release(buf);
    if (rc == BROKER_OK)
        in->counts.taken++;
    else
        in->counts.dropped++;
    return rc == BROKER_OK;
}

intake *intake_new(broker_ctx *ctx, const broker_bus *bus, peers *p, uint64_t origin)
{
    intake *in = must_alloc(sizeof *in);

    in->ctx = ctx;
    in->bus = bus;
    in->p = p;
    in->origin = origin;
    return in;
}

void intake_free(intake *in)
{
    if (in == NULL)
        return;
    while (in->n != 0)
        drop_first(in);
    free(in);
}

const intake_counts *intake_counted(const intake *in)
{
    return &in->counts;
}
