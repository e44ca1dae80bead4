/* part -- see part.h. */
#include "http/part.h"

#include <stdlib.h>
#include <string.h>

static bool part_room(part *p, size_t len)
{
    uint8_t *grown;

    if (len <= p->cap - p->len)
        return true;
    if (p->len != 0)
        return false; /* full: what there is goes out first */
    grown = realloc(p->bytes, CHUNK_HEAD + len + CHUNK_TAIL);
    if (grown == NULL)
        return false;
    p->bytes = grown;
    p->cap = len;
    return true;
}

static uint8_t *part_reserve(broker_writer *w, size_t len)
{
    part *p = (part *)(void *)w;

    return part_room(p, len) ? p->bytes + CHUNK_HEAD + p->len : NULL;
}

static void part_commit(broker_writer *w, size_t used)
{
    part *p = (part *)(void *)w;

    must(used <= p->cap - p->len);
    p->len += used;
}

static broker_rc part_write(broker_writer *w, const void *bytes, size_t len)
{
    uint8_t *to = part_reserve(w, len);

    if (to == NULL)
        return BROKER_AGAIN;
    if (len != 0)
        memcpy(to, bytes, len);
    part_commit(w, len);
    return BROKER_OK;
}

bool part_begin(part *p)
{
    p->w = (broker_writer){sizeof p->w, 0, part_write, part_reserve, part_commit};
    p->len = 0;
    if (p->bytes != NULL)
        return true;
    p->bytes = malloc(CHUNK_HEAD + PART_LEN + CHUNK_TAIL);
    p->cap = p->bytes != NULL ? PART_LEN : 0;
    return p->bytes != NULL;
}
