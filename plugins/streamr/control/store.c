/* store -- see store.h. */
#include "control/store.h"

#include <stdlib.h>

#define BUCKETS   256u
#define SENDERS   1024u
#define EXPIRE_MS 1000 /* all are looked through so often at most */

typedef struct item {
    struct item *next;
    node_id key, creator, sender;
    int64_t created_ms, stored_ms, until_ms;
    uint32_t ttl_ms;
    bool deleted;
    size_t url_len, len;
    uint8_t bytes[]; /* type URL, data */
} item;

struct store {
    item *buckets[BUCKETS];
    size_t n;
    /* By a keyed hash: two senders may share a count, nobody knows which. */
    uint16_t of_sender[SENDERS];
    int64_t expired_ms;
};

static uint16_t *count_of(store *s, const node_id *sender)
{
    return &s->of_sender[hash_bytes(sender->bytes, sizeof sender->bytes) % SENDERS];
}

static item **bucket_of(store *s, const node_id *key)
{
    return &s->buckets[hash_bytes(key->bytes, sizeof key->bytes) % BUCKETS];
}

static void drop(store *s, item **at)
{
    item *i = *at;

    *at = i->next;
    s->n--;
    --*count_of(s, &i->sender);
    free(i);
}

static void expire(store *s, item **at, int64_t now_ms)
{
    while (*at != NULL)
        if (now_ms >= (*at)->until_ms)
            drop(s, at);
        else
            at = &(*at)->next;
}

static void expire_all(store *s, int64_t now_ms)
{
    s->expired_ms = now_ms;
    for (size_t i = 0; i < BUCKETS; i++)
        expire(s, &s->buckets[i], now_ms);
}

static bool has_room(store *s, const node_id *sender, const node_id *key, int64_t now_ms)
{
    size_t of_key = 0;

    if (now_ms - s->expired_ms >= EXPIRE_MS)
        expire_all(s, now_ms);
    for (const item *e = *bucket_of(s, key); e != NULL; e = e->next)
        of_key += node_id_same(&e->key, key);
    return s->n < STORE_MAX && of_key < STORE_PER_KEY && *count_of(s, sender) < STORE_PER_SENDER;
}

bool store_put(store *s, const node_id *sender, const dht_store_request *q, int64_t now_ms)
{
    int64_t created_ms = q->created != NULL ? rpc_timestamp_ms(q->created) : 0;
    node_id key, creator;
    item **at, *e;

    if (!node_id_of(q->key, &key) || !node_id_of(q->creator, &creator) || q->data == NULL ||
        q->data->type_url.len + q->data->value.len > STORE_DATA_MAX)
        return false;
    at = bucket_of(s, &key);
    while (*at != NULL &&
           !(node_id_same(&(*at)->key, &key) && node_id_same(&(*at)->creator, &creator)))
        at = &(*at)->next;
    if (*at != NULL && now_ms < (*at)->until_ms && (*at)->created_ms >= created_ms)
        return true;
    if (*at != NULL)
        drop(s, at);
    if (!has_room(s, sender, &key, now_ms))
        return false;
    e = must_alloc(sizeof *e + q->data->type_url.len + q->data->value.len);
    *e = (item){.key = key,
                .creator = creator,
                .sender = *sender,
                .created_ms = created_ms,
                .stored_ms = now_ms,
                .ttl_ms = q->ttl_ms < STORE_TTL_MS ? q->ttl_ms : STORE_TTL_MS,
                .url_len = q->data->type_url.len,
                .len = q->data->value.len};
    e->until_ms = now_ms + e->ttl_ms;
    if (e->url_len != 0)
        memcpy(e->bytes, q->data->type_url.ptr, e->url_len);
    if (e->len != 0)
        memcpy(e->bytes + e->url_len, q->data->value.ptr, e->len);
    at = bucket_of(s, &key);
    e->next = *at;
    *at = e;
    s->n++;
    ++*count_of(s, sender);
    return true;
}

static bool show(const item *e, bool stale, pb_list *out, pb_arena *arena)
{
    dht_entry *entry = pb_alloc(arena, sizeof *entry), **slot;
    rpc_any *data = pb_alloc(arena, sizeof *data);
    rpc_timestamp *created = pb_alloc(arena, sizeof *created),
                  *stored = pb_alloc(arena, sizeof *stored);

    if (entry == NULL || data == NULL || created == NULL || stored == NULL ||
        (slot = pb_push(arena, out, sizeof *slot)) == NULL)
        return false;
    data->type_url = pb_bytes_from(e->bytes, e->url_len);
    data->value = pb_bytes_from(e->bytes + e->url_len, e->len);
    *created = rpc_timestamp_of_ms(e->created_ms);
    *stored = rpc_timestamp_of_ms(e->stored_ms);
    entry->key = node_id_bytes(&e->key);
    entry->data = data;
    entry->creator = node_id_bytes(&e->creator);
    entry->created = created;
    entry->stored = stored;
    entry->ttl_ms = e->ttl_ms;
    entry->stale = stale;
    entry->deleted = e->deleted;
    *slot = entry;
    return true;
}

void store_get(store *s, const node_id *key, bool stale, pb_list *out, pb_arena *arena,
               int64_t now_ms)
{
    item **at = bucket_of(s, key);

    expire(s, at, now_ms);
    for (const item *e = *at; e != NULL; e = e->next)
        if (node_id_same(&e->key, key) && !show(e, stale, out, arena))
            return;
}

void store_delete(store *s, const node_id *key, const node_id *creator)
{
    for (item *e = *bucket_of(s, key); e != NULL; e = e->next)
        if (node_id_same(&e->key, key) && node_id_same(&e->creator, creator))
            e->deleted = true;
}

store *store_new(void)
{
    return must_alloc(sizeof(store));
}

void store_free(store *s)
{
    if (s == NULL)
        return;
    expire_all(s, INT64_MAX);
    free(s);
}
