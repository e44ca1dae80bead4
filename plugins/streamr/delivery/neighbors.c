/* neighbors -- see neighbors.h. */
#include "delivery/neighbors.h"

#include <stdlib.h>

bool neighbors_add(neighbors *list, const node_id *id, pb_bytes descriptor)
{
    uint8_t *copy;

    if (list->n == NEIGHBORS_MAX)
        return false;
    copy = must_alloc(descriptor.len + 1);
    if (descriptor.len != 0)
        memcpy(copy, descriptor.ptr, descriptor.len);
    list->items[list->n++] =
        (delivery_neighbor){.id = *id, .descriptor = {copy, descriptor.len}, .rtt_ms = -1};
    return true;
}

static void release(delivery_neighbor *n)
{
    free((void *)(uintptr_t)n->descriptor.ptr);
}

bool neighbors_remove(neighbors *list, const node_id *id)
{
    delivery_neighbor *n = neighbors_find(list, id);

    if (n == NULL)
        return false;
    release(n);
    list->n--;
    memmove(n, n + 1, (size_t)(list->items + list->n - n) * sizeof *n);
    return true;
}

delivery_neighbor *neighbors_find(neighbors *list, const node_id *id)
{
    for (unsigned i = 0; i < list->n; i++)
        if (node_id_same(&list->items[i].id, id))
            return &list->items[i];
    return NULL;
}

void neighbors_done(neighbors *list)
{
    while (list->n > 0)
        release(&list->items[--list->n]);
}
