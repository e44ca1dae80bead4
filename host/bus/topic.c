/* topic -- see topic.h. */
#include "bus/topic.h"

#include "streamr/streamr.h"

#define SLOTS 1024 /* answers kept; a power of two */

typedef struct answer {
    char *stream; /* NULL: empty slot */
    size_t stream_len;
    uint32_t partition;
    topic_entry **entries;
    size_t n;
} answer;

struct topic {
    topic_entry *first, **last;
    answer answers[SLOTS];
};

static void answers_clear(topic *t)
{
    for (size_t i = 0; i < SLOTS; i++) {
        free(t->answers[i].stream);
        free(t->answers[i].entries);
        t->answers[i] = (answer){0};
    }
}

topic *topic_new(void)
{
    topic *t = must_alloc(sizeof *t);

    t->last = &t->first;
    return t;
}

void topic_free(topic *t)
{
    if (t == NULL)
        return;
    answers_clear(t);
    free(t);
}

void topic_add(topic *t, topic_entry *e, broker_str pattern, uint32_t partition)
{
    sb id = SB_INIT;

    streamr_stream_id_normalise(pattern.ptr, pattern.len, &id);
    e->pattern_len = id.len;
    e->pattern = must_strndup(id.data, id.len);
    e->exact = memchr(id.data, '*', id.len) == NULL;
    e->partition = partition;
    e->next = NULL;
    sb_done(&id);
    *t->last = e;
    t->last = &e->next;
    answers_clear(t);
}

void topic_remove(topic *t, topic_entry *e)
{
    topic_entry **at = &t->first;

    while (*at != e) {
        must(*at != NULL);
        at = &(*at)->next;
    }
    *at = e->next;
    if (t->last == &e->next)
        t->last = at;
    free(e->pattern);
    e->pattern = NULL;
    answers_clear(t);
}

static bool wants(const topic_entry *e, broker_str stream, uint32_t partition)
{
    if (e->partition != BROKER_ALL_PARTITIONS && e->partition != partition)
        return false;
    if (e->exact)
        return e->pattern_len == stream.len && memcmp(e->pattern, stream.ptr, stream.len) == 0;
    return streamr_stream_matches(e->pattern, e->pattern_len, stream.ptr, stream.len);
}

topic_entry *const *topic_find(topic *t, broker_str stream, uint32_t partition, size_t *n)
{
    answer *a = &t->answers[(hash_bytes(stream.ptr, stream.len) + partition) & (SLOTS - 1)];
    size_t found = 0, total = 0;

    if (a->stream != NULL && a->partition == partition && a->stream_len == stream.len &&
        memcmp(a->stream, stream.ptr, stream.len) == 0) {
        *n = a->n;
        return a->entries;
    }
    free(a->stream);
    free(a->entries);
    for (const topic_entry *e = t->first; e != NULL; e = e->next)
        total++;
    a->stream = must_strndup(stream.ptr, stream.len);
    a->stream_len = stream.len;
    a->partition = partition;
    a->entries = must_alloc(total * sizeof(topic_entry *));
    for (topic_entry *e = t->first; e != NULL; e = e->next)
        if (wants(e, stream, partition))
            a->entries[found++] = e;
    a->n = found;
    *n = found;
    return a->entries;
}

topic_entry *topic_entries(topic *t)
{
    return t->first;
}
