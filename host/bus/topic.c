/* topic -- see topic.h. */
#include "bus/topic.h"

#include "streamr/streamr.h"

#include <stdlib.h>

#define SLOTS 4096u /* answers kept, and lists of entries; a power of two */

typedef struct answer {
    char *stream; /* NULL: empty slot */
    size_t stream_len;
    uint32_t partition;
    topic_entry **entries;
    size_t n;
} answer;

struct topic {
    topic_entry *exact[SLOTS]; /* by hash of the stream id */
    topic_entry *patterns;
    uint64_t next_number;
    answer answers[SLOTS];
};

static void answer_clear(answer *a)
{
    free(a->stream);
    free(a->entries);
    *a = (answer){0};
}

/* By stream id and partition; a power of two of slots. */
static answer *answer_of(topic *t, broker_str stream, uint32_t partition)
{
    return &t->answers[(hash_bytes(stream.ptr, stream.len) + partition) & (SLOTS - 1)];
}

/* What the entry may be in. */
static void answers_clear(topic *t, const topic_entry *e)
{
    if (e != NULL && e->exact && e->partition != BROKER_ALL_PARTITIONS) {
        answer_clear(answer_of(t, (broker_str){e->pattern, e->pattern_len}, e->partition));
        return;
    }
    for (size_t i = 0; i < SLOTS; i++)
        answer_clear(&t->answers[i]);
}

topic *topic_new(void)
{
    return must_alloc(sizeof(topic));
}

void topic_free(topic *t)
{
    if (t == NULL)
        return;
    answers_clear(t, NULL);
    free(t);
}

/* Where entries with this pattern begin. */
static topic_entry **list_of(topic *t, broker_str pattern)
{
    if (memchr(pattern.ptr, '*', pattern.len) != NULL)
        return &t->patterns;
    return &t->exact[hash_bytes(pattern.ptr, pattern.len) & (SLOTS - 1)];
}

void topic_add(topic *t, topic_entry *e, broker_str pattern, uint32_t partition)
{
    sb id = SB_INIT;
    topic_entry **list;

    streamr_stream_id_normalise(pattern.ptr, pattern.len, &id);
    list = list_of(t, (broker_str){id.data, id.len});
    e->pattern_len = id.len;
    e->pattern = must_strndup(id.data, id.len);
    e->exact = list != &t->patterns;
    e->partition = partition;
    e->number = t->next_number++;
    e->next = *list;
    e->at = list;
    if (e->next != NULL)
        e->next->at = &e->next;
    *list = e;
    sb_done(&id);
    answers_clear(t, e);
}

void topic_remove(topic *t, topic_entry *e)
{
    *e->at = e->next;
    if (e->next != NULL)
        e->next->at = e->at;
    answers_clear(t, e);
    free(e->pattern);
    e->pattern = NULL;
}

static bool wants(const topic_entry *e, broker_str stream, uint32_t partition)
{
    if (e->partition != BROKER_ALL_PARTITIONS && e->partition != partition)
        return false;
    if (e->exact)
        return e->pattern_len == stream.len && memcmp(e->pattern, stream.ptr, stream.len) == 0;
    return streamr_stream_matches(e->pattern, e->pattern_len, stream.ptr, stream.len);
}

/* Those of a list that want the part go behind the n that are there, or are counted (to NULL). */
static size_t gather(topic_entry *list, broker_str stream, uint32_t partition, topic_entry **to,
                     size_t n)
{
    for (topic_entry *e = list; e != NULL; e = e->next) {
        if (!wants(e, stream, partition))
            continue;
        if (to != NULL)
            to[n] = e;
        n++;
    }
    return n;
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = (*(topic_entry *const *)a)->number, y = (*(topic_entry *const *)b)->number;

    return (x > y) - (x < y);
}

topic_entry *const *topic_find(topic *t, broker_str stream, uint32_t partition, size_t *n)
{
    answer *a = answer_of(t, stream, partition);
    topic_entry *exact;
    size_t total;

    if (a->stream != NULL && a->partition == partition && a->stream_len == stream.len &&
        memcmp(a->stream, stream.ptr, stream.len) == 0) {
        *n = a->n;
        return a->entries;
    }
    answer_clear(a);
    exact = t->exact[hash_bytes(stream.ptr, stream.len) & (SLOTS - 1)];
    total = gather(t->patterns, stream, partition, NULL, gather(exact, stream, partition, NULL, 0));
    a->stream = must_strndup(stream.ptr, stream.len);
    a->stream_len = stream.len;
    a->partition = partition;
    a->entries = must_alloc((total + 1) * sizeof(topic_entry *));
    a->n = gather(t->patterns, stream, partition, a->entries,
                  gather(exact, stream, partition, a->entries, 0));
    qsort(a->entries, a->n, sizeof(topic_entry *), by_number);
    *n = a->n;
    return a->entries;
}

topic_entry *topic_same(topic *t, broker_str pattern, uint32_t partition, topic_entry *after)
{
    sb id = SB_INIT;
    topic_entry *e;

    streamr_stream_id_normalise(pattern.ptr, pattern.len, &id);
    e = after != NULL ? after->next : *list_of(t, (broker_str){id.data, id.len});
    while (e != NULL && (e->partition != partition || e->pattern_len != id.len ||
                         memcmp(e->pattern, id.data, id.len) != 0))
        e = e->next;
    sb_done(&id);
    return e;
}
