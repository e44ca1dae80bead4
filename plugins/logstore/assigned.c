/* assigned -- see assigned.h. */
#include "assigned.h"

#include "streamr/streamr.h"

#define BUCKETS 4096u
#define VERSION 1u

#define FLAG_STORED (1u << 0)
#define FLAG_TOLD   (1u << 1)

struct assigned_set {
    assigned *buckets[BUCKETS];
    size_t n;
};

assigned_set *assigned_set_new(void)
{
    return must_alloc(sizeof(assigned_set));
}

static void entry_free(assigned *a)
{
    free(a->parts);
    free(a->stream);
    free(a);
}

void assigned_set_free(assigned_set *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < BUCKETS; i++)
        for (assigned *a = s->buckets[i], *next; a != NULL; a = next) {
            next = a->next;
            entry_free(a);
        }
    free(s);
}

size_t assigned_count(const assigned_set *s)
{
    return s->n;
}

static size_t bucket_of(broker_str stream)
{
    return hash_bytes(stream.ptr, stream.len) % BUCKETS;
}

assigned *assigned_find(const assigned_set *s, broker_str stream)
{
    assigned *a = s->buckets[bucket_of(stream)];

    while (a != NULL && (a->len != stream.len || memcmp(a->stream, stream.ptr, stream.len) != 0))
        a = a->next;
    return a;
}

assigned *assigned_add(assigned_set *s, broker_str stream)
{
    assigned *a = assigned_find(s, stream), **at;

    if (a != NULL || s->n == ASSIGNED_STREAMS_MAX)
        return a;
    at = &s->buckets[bucket_of(stream)];
    a = must_alloc(sizeof *a);
    a->stream = must_strndup(stream.ptr, stream.len);
    a->len = stream.len;
    a->next = *at;
    a->at = at;
    if (a->next != NULL)
        a->next->at = &a->next;
    *at = a;
    s->n++;
    return a;
}

void assigned_drop(assigned_set *s, assigned *a)
{
    *a->at = a->next;
    if (a->next != NULL)
        a->next->at = a->at;
    s->n--;
    entry_free(a);
}

void assigned_each(assigned_set *s, void (*each)(void *arg, assigned *a), void *arg)
{
    for (size_t i = 0; i < BUCKETS; i++)
        for (assigned *a = s->buckets[i], *next; a != NULL; a = next) {
            next = a->next;
            each(arg, a);
        }
}

/* ---- bytes ---- */

static void put_u32(sb *out, uint32_t x)
{
    uint8_t bytes[4];

    put_u32be(bytes, x);
    sb_append(out, bytes, sizeof bytes);
}

static void entry_save(const assigned *a, sb *out)
{
    uint8_t head[3] = {(uint8_t)((a->stored ? FLAG_STORED : 0) | (a->told ? FLAG_TOLD : 0)),
                       (uint8_t)a->said, (uint8_t)a->partitions};

    sb_append(out, head, sizeof head);
    put_u32(out, (uint32_t)a->len);
    sb_append(out, a->stream, a->len);
}

void assigned_save(const assigned_set *s, const uint8_t cluster[20], uint64_t position, sb *out)
{
    uint8_t at[8];

    sb_putc(out, VERSION);
    sb_append(out, cluster, 20);
    put_u64be(at, position);
    sb_append(out, at, sizeof at);
    put_u32(out, (uint32_t)s->n);
    for (size_t i = 0; i < BUCKETS; i++)
        for (const assigned *a = s->buckets[i]; a != NULL; a = a->next)
            entry_save(a, out);
}

bool assigned_is_stream(broker_str stream)
{
    sb normal = SB_INIT;
    bool same = streamr_stream_id_check(stream.ptr, stream.len) == NULL &&
                memchr(stream.ptr, '*', stream.len) == NULL;

    if (same) {
        streamr_stream_id_normalise(stream.ptr, stream.len, &normal);
        same = normal.len == stream.len && memcmp(normal.data, stream.ptr, stream.len) == 0;
    }
    sb_done(&normal);
    return same;
}

static bool entry_load(assigned_set *s, view *in)
{
    uint8_t flags, said, partitions;
    const uint8_t *id;
    uint32_t len;
    assigned *a;
    size_t before = s->n;

    if (!view_u8(in, &flags) || flags > (FLAG_STORED | FLAG_TOLD) || !view_u8(in, &said) ||
        said > SAID_ADDED || !view_u8(in, &partitions) || partitions > STREAMR_PARTITIONS ||
        !view_u32be(in, &len) || !view_skip(in, len, &id) ||
        !assigned_is_stream((broker_str){(const char *)id, len}))
        return false;
    a = assigned_add(s, (broker_str){(const char *)id, len});
    if (a == NULL || s->n == before)
        return false;
    a->stored = (flags & FLAG_STORED) != 0;
    a->told = (flags & FLAG_TOLD) != 0;
    a->said = (assigned_said)said;
    a->partitions = partitions;
    return true;
}

bool assigned_load(assigned_set *s, const void *bytes, size_t len, const uint8_t cluster[20],
                   uint64_t *position)
{
    view in = view_of(bytes, len);
    uint8_t version, of[20];
    uint32_t n;

    if (!view_u8(&in, &version) || version != VERSION || !view_read(&in, of, sizeof of) ||
        memcmp(of, cluster, sizeof of) != 0 || !view_u64be(&in, position) || !view_u32be(&in, &n))
        return false;
    for (uint32_t i = 0; i < n; i++)
        if (!entry_load(s, &in))
            return false;
    return view_left(&in) == 0;
}
