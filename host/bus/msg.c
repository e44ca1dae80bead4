/* msg -- see msg.h. */
#include "bus/msg.h"

msg_batch *batch_new(uint32_t n)
{
    msg_batch *b;

    must(n > 0 && n <= BATCH_MAX);
    b = calloc(1, sizeof *b + n * sizeof *b->msgs);
    if (b == NULL)
        return NULL;
    b->n = n;
    atomic_init(&b->refs, n + 1);
    for (uint32_t i = 0; i < n; i++)
        b->msgs[i].batch = b;
    return b;
}

void batch_hold(msg_batch *b, broker_buf *buf)
{
    if (b->n_bufs != 0 && b->bufs[b->n_bufs - 1] == buf)
        return;
    must(b->n_bufs < COUNT_OF(b->bufs));
    buf_retain(buf);
    b->bufs[b->n_bufs++] = buf;
}

void msg_retain(const broker_msg *m)
{
    unsigned before = atomic_fetch_add_explicit(&msg_of(m)->batch->refs, 1, memory_order_relaxed);

    must(before > 0);
}

void batch_release(msg_batch *b)
{
    if (atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (b->on_free != NULL)
        b->on_free(b);
    for (uint32_t i = 0; i < b->n_bufs; i++)
        buf_release(b->bufs[i]);
    free(b->arena);
    free(b);
}

void msg_release(const broker_msg *m)
{
    batch_release(msg_of(m)->batch);
}
