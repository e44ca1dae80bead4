/* intake -- see intake.h.
 *
 * A message waits in a ring until the loop comes round, so that those which were read together are
 * verified together. While the bus is full they stay there. */
#include "intake.h"

#include <stdlib.h>

typedef struct waiting {
    broker_buf *buf; /* one reference of ours */
    pb_bytes raw;
} waiting;

struct intake {
    broker_ctx *ctx;
    const broker_bus *bus;
    const broker_work *work;
    peers *p;
    uint64_t origin;
    waiting queue[INTAKE_WAITING];
    size_t head, n;
    bool full;           /* the bus is; on_room() will call */
    broker_timer *timer; /* when the loop comes round */
    intake_counts counts;
};

static void drop_first(intake *in, size_t n)
{
    for (; n > 0; n--) {
        in->bus->buf_release(in->queue[in->head].buf);
        in->head = (in->head + 1) % INTAKE_WAITING;
        in->n--;
    }
}

/* The first n, n at most INTAKE_BATCH. */
static broker_rc admit(intake *in, size_t n)
{
    broker_frame frames[INTAKE_BATCH];
    broker_admission what = {.size = sizeof what,
                             .frames = frames,
                             .n = n,
                             .origin = in->origin,
                             .only_partition = BROKER_ALL_PARTITIONS};

    for (size_t i = 0; i < n; i++) {
        const waiting *w = &in->queue[(in->head + i) % INTAKE_WAITING];

        frames[i] = (broker_frame){.raw = {w->raw.ptr, w->raw.len}, .buf = w->buf};
    }
    return in->bus->admit(in->ctx, &what);
}

static void flush(intake *in);

static void on_room(void *arg)
{
    intake *in = arg;

    in->full = false;
    flush(in);
    if (!in->full)
        peers_pause(in->p, false);
}

static void flush(intake *in)
{
    while (in->n != 0 && !in->full) {
        size_t n = in->n < INTAKE_BATCH ? in->n : INTAKE_BATCH;
        broker_rc rc = admit(in, n);

        if (rc == BROKER_AGAIN) {
            in->counts.waited++;
            in->full = in->bus->on_room(in->ctx, on_room, in) == BROKER_OK;
            if (in->full)
                peers_pause(in->p, true);
            return;
        }
        if (rc == BROKER_OK)
            in->counts.taken += n;
        else
            in->counts.dropped += n;
        drop_first(in, n);
    }
}

static void on_turn(void *arg)
{
    intake *in = arg;

    in->work->timer_stop(in->timer);
    in->timer = NULL;
    flush(in);
}

/* One reference to what raw lies in; NULL: no memory. */
static broker_buf *keep(intake *in, broker_buf *buf, pb_bytes *raw)
{
    if (buf != NULL) {
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

bool intake_take(intake *in, broker_buf *buf, pb_bytes raw)
{
    if (in->n == INTAKE_WAITING)
        flush(in);
    if (in->n == INTAKE_WAITING || raw.len == 0 || (buf = keep(in, buf, &raw)) == NULL) {
        in->counts.dropped++;
        return false;
    }
    in->queue[(in->head + in->n++) % INTAKE_WAITING] = (waiting){buf, raw};
    if (in->n >= INTAKE_BATCH)
        flush(in);
    else if (in->timer == NULL &&
             in->work->timer(in->ctx, 0, 0, on_turn, in, &in->timer) != BROKER_OK)
        flush(in);
    return true;
}

intake *intake_new(broker_ctx *ctx, peers *p, uint64_t origin)
{
    intake *in = must_alloc(sizeof *in);

    in->ctx = ctx;
    in->bus = BROKER_SERVICE(ctx, broker_bus);
    in->work = BROKER_SERVICE(ctx, broker_work);
    in->p = p;
    in->origin = origin;
    return in;
}

void intake_free(intake *in)
{
    if (in == NULL)
        return;
    flush(in);
    drop_first(in, in->n);
    if (in->timer != NULL)
        in->work->timer_stop(in->timer);
    free(in);
}

const intake_counts *intake_counted(const intake *in)
{
    return &in->counts;
}
