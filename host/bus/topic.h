/* topic -- which subscriptions want a stream part. [loop]
 *
 * Subscriptions to one stream are found by its id; those with a pattern are looked through. The
 * answer for a stream part is worked out once and kept until a subscription to it comes or goes. */
#ifndef BUS_TOPIC_H
#define BUS_TOPIC_H

#include "base/base.h"

#include <broker/plugin.h>

typedef struct topic topic;

/* What is registered; embedded in the subscription. */
typedef struct topic_entry {
    struct topic_entry *next, **at; /* in its slot, or among the patterns */
    uint64_t number;                /* in order of registration           */
    char *pattern;                  /* stream id, '*' is any text         */
    size_t pattern_len;
    bool exact;         /* no '*' in it */
    uint32_t partition; /* or BROKER_ALL_PARTITIONS */
} topic_entry;

topic *topic_new(void);
void topic_free(topic *t);
void topic_add(topic *t, topic_entry *e, broker_str pattern, uint32_t partition);
void topic_remove(topic *t, topic_entry *e);
/* Entries that want the part, in order of registration; borrowed until the next add, remove or
 * find. */
topic_entry *const *topic_find(topic *t, broker_str stream, uint32_t partition, size_t *n);
/* The next entry with this very pattern and partition, after one of them, or the first. */
topic_entry *topic_same(topic *t, broker_str pattern, uint32_t partition, topic_entry *after);

#endif
