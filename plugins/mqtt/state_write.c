/* state_write -- see state.h. */
#include "state.h"

#include "client.h"

#include <msgpack.h>

typedef struct writer {
    msgpack_packer pk;
    parcel **parcels;
    size_t n, cap;
} writer;

static int append(void *data, const char *bytes, size_t len)
{
    sb_append(data, bytes, len);
    return 0;
}

static void put_array(writer *w, size_t n)
{
    msgpack_pack_array(&w->pk, n);
}

static void put_uint(writer *w, uint64_t x)
{
    msgpack_pack_uint64(&w->pk, x);
}

static void put_bool(writer *w, bool x)
{
    (void)(x ? msgpack_pack_true(&w->pk) : msgpack_pack_false(&w->pk));
}

static void put_bytes(writer *w, const void *bytes, size_t len)
{
    msgpack_pack_bin(&w->pk, len);
    msgpack_pack_bin_body(&w->pk, len != 0 ? bytes : "", len);
}

static void collect(writer *w, parcel *p)
{
    if (p->mark != 0)
        return;
    if (w->n == w->cap) {
        w->cap = w->cap != 0 ? w->cap * 2 : 64;
        w->parcels = must_realloc(w->parcels, w->cap * sizeof(parcel *));
    }
    w->parcels[w->n++] = p;
    p->mark = (uint32_t)w->n;
}

static void put_parcel(writer *w, const parcel *p)
{
    put_uint(w, p->mark - 1);
}

static const letter *queued(const letters *l, uint32_t i)
{
    return &l->queue[(l->head + i) % l->cap];
}

static void collect_session(writer *w, const session *s)
{
    const letters *l = &s->letters;

    for (const subscription *sub = s->subscriptions; sub != NULL; sub = sub->next)
        collect(w, sub->topic);
    for (uint32_t i = 0; i < l->n_window; i++) {
        collect(w, l->window[i].topic);
        collect(w, l->window[i].payload);
    }
    for (uint32_t i = 0; i < l->n_queue; i++) {
        collect(w, queued(l, i)->topic);
        collect(w, queued(l, i)->payload);
    }
}

static void put_letters(writer *w, const letters *l)
{
    put_array(w, l->n_window);
    for (uint32_t i = 0; i < l->n_window; i++) {
        const letter *one = &l->window[i];

        put_array(w, 5);
        put_uint(w, one->id);
        put_bool(w, one->sent);
        put_bool(w, one->again);
        put_parcel(w, one->topic);
        put_parcel(w, one->payload);
    }
    put_array(w, l->n_queue);
    for (uint32_t i = 0; i < l->n_queue; i++) {
        put_array(w, 2);
        put_parcel(w, queued(l, i)->topic);
        put_parcel(w, queued(l, i)->payload);
    }
}

static void put_received(writer *w, const session *s)
{
    size_t n = 0;

    for (uint32_t id = 1; id <= UINT16_MAX; id++)
        n += session_has_received(s, (uint16_t)id);
    put_array(w, n);
    for (uint32_t id = 1; n != 0 && id <= UINT16_MAX; id++)
        if (session_has_received(s, (uint16_t)id))
            put_uint(w, id);
}

static void put_session(writer *w, const session *s)
{
    put_array(w, 8);
    put_bytes(w, s->client_id->bytes, s->client_id->len);
    put_bool(w, s->clean);
    put_bytes(w, s->key.data, s->key.len);
    put_uint(w, s->letters.last_id);
    put_array(w, s->n_subscriptions);
    for (const subscription *sub = s->subscriptions; sub != NULL; sub = sub->next) {
        put_array(w, 2);
        put_parcel(w, sub->topic);
        put_uint(w, sub->qos);
    }
    put_letters(w, &s->letters);
    put_received(w, s);
}

static void put_client(writer *w, const client *c, uint64_t now)
{
    put_array(w, 6);
    put_uint(w, c->m->net->id(c->conn));
    if (c->session != NULL)
        put_session(w, c->session);
    else
        msgpack_pack_nil(&w->pk);
    put_uint(w, c->silence_ms);
    put_uint(w, now - c->opened_ms);
    if (c->will != NULL) {
        put_array(w, 2);
        put_bytes(w, c->will->topic.data, c->will->topic.len);
        put_bytes(w, c->will->payload.data, c->will->payload.len);
    } else {
        msgpack_pack_nil(&w->pk);
    }
    put_bytes(w, c->in.data, c->in.len);
}

void state_write(mqtt *m, sb *out)
{
    uint64_t now = mqtt_now(m);
    writer w = {.n = 0};
    size_t n_clients = 0;

    msgpack_packer_init(&w.pk, out, append);
    for (const session *s = m->sessions.oldest; s != NULL; s = s->newer)
        collect_session(&w, s);
    for (const client *c = m->clients; c != NULL; c = c->next) {
        if (c->closing)
            continue;
        n_clients++;
        if (c->session != NULL)
            collect_session(&w, c->session);
    }
    put_array(&w, 5);
    put_bytes(&w, STATE_NAME, strlen(STATE_NAME));
    put_uint(&w, STATE_VERSION);
    put_array(&w, w.n);
    for (size_t i = 0; i < w.n; i++) {
        put_bytes(&w, w.parcels[i]->bytes, w.parcels[i]->len);
        w.parcels[i]->mark = (uint32_t)i + 1;
    }
    put_array(&w, m->sessions.n_away);
    for (const session *s = m->sessions.oldest; s != NULL; s = s->newer) {
        put_array(&w, 2);
        put_uint(&w, now - s->away_since_ms);
        put_session(&w, s);
    }
    put_array(&w, n_clients);
    for (const client *c = m->clients; c != NULL; c = c->next)
        if (!c->closing)
            put_client(&w, c, now);
    for (size_t i = 0; i < w.n; i++)
        w.parcels[i]->mark = 0;
    free(w.parcels);
}
