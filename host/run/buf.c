/* buf -- see buf.h. */
#include "run/buf.h"

#include <stdatomic.h>

typedef struct block {
    broker_buf view;
    atomic_uint refs;
    uint8_t bytes[];
} block;

broker_buf *buf_new(size_t len)
{
    block *b = len < SIZE_MAX - sizeof *b ? malloc(sizeof *b + len) : NULL;

    if (b == NULL)
        return NULL;
    b->view = (broker_buf){sizeof b->view, 0, b->bytes, len};
    atomic_init(&b->refs, 1);
    return &b->view;
}

uint8_t *buf_bytes(broker_buf *b)
{
    return ((block *)(void *)b)->bytes;
}

void buf_trim(broker_buf *b, size_t len)
{
    must(len <= b->len);
    b->len = len;
}

void buf_retain(broker_buf *b)
{
    unsigned before =
        atomic_fetch_add_explicit(&((block *)(void *)b)->refs, 1, memory_order_relaxed);

    must(before > 0);
}

void buf_release(broker_buf *b)
{
    block *k = (block *)(void *)b;

    if (b == NULL)
        return;
    if (atomic_fetch_sub_explicit(&k->refs, 1, memory_order_acq_rel) == 1)
        free(k);
}
