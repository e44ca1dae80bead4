/* slab -- see slab.h. */
#include "net/slab.h"

void slab_done(slab *s)
{
    buf_release(s->block);
    s->block = NULL;
}

uint8_t *slab_room(slab *s, size_t want, size_t *len)
{
    if (s->block == NULL || s->block->len - s->used < want) {
        broker_buf *fresh = buf_new(SLAB_BLOCK);

        if (fresh == NULL)
            return NULL;
        buf_release(s->block);
        s->block = fresh;
        s->used = 0;
    }
    *len = s->block->len - s->used;
    return buf_bytes(s->block) + s->used;
}

broker_buf *slab_use(slab *s, size_t n)
{
    must(n <= s->block->len - s->used);
    s->used += n;
    return s->block;
}
