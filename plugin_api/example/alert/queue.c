/* queue -- see queue.h. As bytes: a version, then for each its attempts, its length, its body. */
#include "queue.h"

#include <stdlib.h>
#include <string.h>

#define VERSION 1u

void queue_init(queue *q, size_t max)
{
    *q = (queue){NULL, &q->first, 0, max};
}

void queue_clear(queue *q)
{
    while (q->first != NULL)
        queue_drop_first(q);
}

int queue_add(queue *q, const char *body, size_t len, unsigned attempts)
{
    alarm *a = q->n < q->max ? malloc(sizeof *a + len) : NULL;

    if (a == NULL)
        return 0;
    a->next = NULL;
    a->attempts = attempts;
    a->len = len;
    memcpy(a->body, body, len);
    *q->last = a;
    q->last = &a->next;
    q->n++;
    return 1;
}

void queue_drop_first(queue *q)
{
    alarm *a = q->first;

    q->first = a->next;
    if (q->first == NULL)
        q->last = &q->first;
    q->n--;
    free(a);
}

broker_rc queue_save(const queue *q, broker_writer *to)
{
    uint32_t version = VERSION;
    broker_rc rc = to->write(to, &version, sizeof version);

    for (const alarm *a = q->first; rc == BROKER_OK && a != NULL; a = a->next) {
        uint32_t head[2] = {a->attempts, (uint32_t)a->len};

        rc = to->write(to, head, sizeof head);
        if (rc == BROKER_OK)
            rc = to->write(to, a->body, a->len);
    }
    return rc;
}

broker_rc queue_load(queue *q, broker_bytes from)
{
    uint32_t version, head[2];
    size_t at = sizeof version;

    if (from.len == 0)
        return BROKER_OK;
    if (from.len < sizeof version)
        return BROKER_ESTATE;
    memcpy(&version, from.ptr, sizeof version);
    if (version != VERSION)
        return BROKER_ESTATE;
    while (at < from.len) {
        if (from.len - at < sizeof head)
            return BROKER_ESTATE;
        memcpy(head, from.ptr + at, sizeof head);
        at += sizeof head;
        if (head[1] > from.len - at)
            return BROKER_ESTATE;
        queue_add(q, (const char *)from.ptr + at, head[1], head[0]);
        at += head[1];
    }
    return BROKER_OK;
}
