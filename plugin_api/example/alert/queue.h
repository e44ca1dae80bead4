/* queue -- bodies that wait to be posted, oldest first, never more than its bound; and as
 * bytes, for the next build. */
#ifndef ALERT_QUEUE_H
#define ALERT_QUEUE_H

#include <broker/plugin.h>

typedef struct alarm {
    struct alarm *next;
    unsigned attempts;
    size_t len;
    char body[];
} alarm;

typedef struct queue {
    alarm *first, **last;
    size_t n, max;
} queue;

void queue_init(queue *q, size_t max);
void queue_clear(queue *q);
/* 0: full, or no memory. */
int queue_add(queue *q, const char *body, size_t len, unsigned attempts);
void queue_drop_first(queue *q);

broker_rc queue_save(const queue *q, broker_writer *to);
/* Into an empty queue; what is beyond its bound is left out. Nothing is a queue too. */
broker_rc queue_load(queue *q, broker_bytes from);

#endif
