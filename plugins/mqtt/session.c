/* session -- see session.h. */
#include "session.h"

#define SLOTS          4096u
#define RECEIVED_BYTES (65536u / 8)

void session_table_init(session_table *t, const letters_limits *limits,
                        void (*leave)(void *arg, session *s), void *arg)
{
    *t = (session_table){.limits = *limits, .leave = leave, .leave_arg = arg};
    t->slots = must_alloc(SLOTS * sizeof(session *));
}

void session_table_done(session_table *t)
{
    if (t->slots == NULL)
        return;
    for (size_t i = 0; i < SLOTS; i++)
        while (t->slots[i] != NULL)
            session_drop(t, t->slots[i]);
    free(t->slots);
    t->slots = NULL;
}

static session **slot_of(const session_table *t, broker_str client_id)
{
    return &t->slots[hash_bytes(client_id.ptr, client_id.len) % SLOTS];
}

static bool parcel_is(const parcel *p, broker_str text)
{
    return p->len == text.len && (text.len == 0 || memcmp(p->bytes, text.ptr, text.len) == 0);
}

session *session_find(const session_table *t, broker_str client_id)
{
    session *s = *slot_of(t, client_id);

    while (s != NULL && !parcel_is(s->client_id, client_id))
        s = s->next;
    return s;
}

session *session_add(session_table *t, broker_str client_id, bool clean)
{
    session *s = must_alloc(sizeof *s), **slot = slot_of(t, client_id);

    s->client_id = parcel_new(client_id.ptr, client_id.len);
    s->clean = clean;
    letters_init(&s->letters, &t->limits);
    s->posts_end = &s->posts;
    s->next = *slot;
    *slot = s;
    t->n++;
    return s;
}

void session_drop(session_table *t, session *s)
{
    session **at = slot_of(t, (broker_str){s->client_id->bytes, s->client_id->len});

    session_return(t, s);
    t->leave(t->leave_arg, s);
    must(s->subscriptions == NULL && s->posts == NULL && s->client == NULL);
    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    t->n--;
    letters_done(&s->letters);
    parcel_release(s->client_id);
    sb_done(&s->key);
    free(s->received);
    free(s);
}

void session_leave(session_table *t, session *s, uint64_t now_ms)
{
    must(!s->away && s->client == NULL);
    s->away = true;
    s->away_since_ms = now_ms;
    s->older = t->newest;
    s->newer = NULL;
    *(s->older != NULL ? &s->older->newer : &t->oldest) = s;
    t->newest = s;
    t->n_away++;
    letters_unsend(&s->letters);
}

void session_return(session_table *t, session *s)
{
    if (!s->away)
        return;
    *(s->older != NULL ? &s->older->newer : &t->oldest) = s->newer;
    *(s->newer != NULL ? &s->newer->older : &t->newest) = s->older;
    s->away = false;
    t->n_away--;
}

size_t session_expire(session_table *t, uint64_t before_ms, size_t max)
{
    size_t n = 0;

    while (t->oldest != NULL && (t->n_away > max || t->oldest->away_since_ms <= before_ms)) {
        session_drop(t, t->oldest);
        n++;
    }
    return n;
}

subscription *session_subscription(const session *s, broker_str topic)
{
    subscription *sub = s->subscriptions;

    while (sub != NULL && !parcel_is(sub->topic, topic))
        sub = sub->next;
    return sub;
}

bool session_receive(session *s, uint16_t id)
{
    if (session_has_received(s, id))
        return false;
    if (s->received == NULL)
        s->received = must_alloc(RECEIVED_BYTES);
    s->received[id / 8] |= (uint8_t)(1u << id % 8);
    return true;
}

void session_release(session *s, uint16_t id)
{
    if (s->received != NULL)
        s->received[id / 8] &= (uint8_t) ~(1u << id % 8);
}

bool session_has_received(const session *s, uint16_t id)
{
    return s->received != NULL && (s->received[id / 8] >> id % 8 & 1) != 0;
}
