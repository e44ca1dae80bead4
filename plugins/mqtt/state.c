/* state -- see state.h. */
#include "state.h"

#include "client.h"
#include "part.h"
#include "publish.h"

#include "pack/pack.h"

#define VERSION 1u

/* ---- writing ---- */

typedef struct parcels {
    parcel **items;
    size_t n, cap;
} parcels;

static void collect(parcels *all, parcel *p)
{
    if (p->mark != 0)
        return;
    if (all->n == all->cap) {
        all->cap = all->cap != 0 ? all->cap * 2 : 64;
        all->items = must_realloc(all->items, all->cap * sizeof(parcel *));
    }
    all->items[all->n++] = p;
    p->mark = (uint32_t)all->n;
}

static const letter *queued(const letters *l, uint32_t i)
{
    return &l->queue[(l->head + i) % l->cap];
}

static void collect_session(parcels *all, const session *s)
{
    const letters *l = &s->letters;

    for (const subscription *sub = s->subscriptions; sub != NULL; sub = sub->next)
        collect(all, sub->topic);
    for (uint32_t i = 0; i < l->n_window; i++) {
        collect(all, l->window[i].topic);
        collect(all, l->window[i].payload);
    }
    for (uint32_t i = 0; i < l->n_queue; i++) {
        collect(all, queued(l, i)->topic);
        collect(all, queued(l, i)->payload);
    }
}

static void put_parcel(sb *out, const char *key, const parcel *p)
{
    pack_uint(out, key, p->mark - 1);
}

static void put_letters(sb *out, const letters *l)
{
    pack_list(out, "window", l->n_window);
    for (uint32_t i = 0; i < l->n_window; i++) {
        const letter *one = &l->window[i];

        pack_map(out, 5);
        pack_uint(out, "id", one->id);
        pack_bool(out, "sent", one->sent);
        pack_bool(out, "again", one->again);
        put_parcel(out, "topic", one->topic);
        put_parcel(out, "payload", one->payload);
    }
    pack_list(out, "queue", l->n_queue);
    for (uint32_t i = 0; i < l->n_queue; i++) {
        pack_map(out, 2);
        put_parcel(out, "topic", queued(l, i)->topic);
        put_parcel(out, "payload", queued(l, i)->payload);
    }
}

#define SESSION_KEYS 8u /* put_session() */

/* SESSION_KEYS pairs of the map that was begun. */
static void put_session(sb *out, const session *s)
{
    pack_bytes(out, "id", s->client_id->bytes, s->client_id->len);
    pack_bool(out, "clean", s->clean);
    pack_bytes(out, "key", s->key.data, s->key.len);
    pack_uint(out, "last-id", s->letters.last_id);
    pack_bytes(out, "received", s->received, s->received != NULL ? RECEIVED_BYTES : 0);
    pack_list(out, "subscriptions", s->n_subscriptions);
    for (const subscription *sub = s->subscriptions; sub != NULL; sub = sub->next) {
        pack_map(out, 2);
        put_parcel(out, "topic", sub->topic);
        pack_uint(out, "qos", sub->qos);
    }
    put_letters(out, &s->letters);
}

static void put_client(sb *out, const client *c, uint64_t now)
{
    pack_map(out, 4u + (c->will != NULL ? 2u : 0) + (c->session != NULL ? 1 + SESSION_KEYS : 0));
    pack_uint(out, "conn", c->m->net->id(c->conn));
    pack_uint(out, "silence", c->silence_ms);
    pack_uint(out, "open", now - c->opened_ms);
    pack_bytes(out, "in", c->in.data, c->in.len);
    if (c->will != NULL) {
        pack_bytes(out, "will-topic", c->will->topic.data, c->will->topic.len);
        pack_bytes(out, "will-payload", c->will->payload.data, c->will->payload.len);
    }
    if (c->session == NULL)
        return;
    pack_bytes(out, "chain", c->chain.data, c->chain.len);
    put_session(out, c->session);
}

static void put_parcels(sb *out, const parcels *all)
{
    pack_list(out, "parcels", (uint32_t)all->n);
    for (size_t i = 0; i < all->n; i++) {
        pack_map(out, 1);
        pack_bytes(out, "bytes", all->items[i]->bytes, all->items[i]->len);
    }
}

static void put_away(sb *out, const session_table *t, uint64_t now)
{
    pack_list(out, "away", (uint32_t)t->n_away);
    for (const session *s = t->oldest; s != NULL; s = s->newer) {
        pack_map(out, 1 + SESSION_KEYS);
        pack_uint(out, "ms", now - s->away_since_ms);
        put_session(out, s);
    }
}

void state_write(mqtt *m, sb *out)
{
    uint64_t now = mqtt_now(m);
    parcels all = {NULL, 0, 0};
    uint32_t n_clients = 0;

    for (const session *s = m->sessions.oldest; s != NULL; s = s->newer)
        collect_session(&all, s);
    for (const client *c = m->clients; c != NULL; c = c->next) {
        n_clients += !c->closing;
        if (c->session != NULL)
            collect_session(&all, c->session);
    }
    pack_map(out, 4);
    pack_uint(out, "version", VERSION);
    put_parcels(out, &all);
    put_away(out, &m->sessions, now);
    pack_list(out, "clients", n_clients);
    for (const client *c = m->clients; c != NULL; c = c->next)
        if (!c->closing)
            put_client(out, c, now);
    for (size_t i = 0; i < all.n; i++)
        all.items[i]->mark = 0;
    free(all.items);
}

/* ---- reading ---- */

static broker_str take_bytes(const unpacked_map *from, const char *key)
{
    broker_str s = {NULL, 0};

    s.ptr = unpack_bytes(from, key, &s.len);
    if (s.ptr == NULL)
        s.len = 0;
    return s;
}

static void take_parcels(const unpacked_map *root, parcels *all)
{
    all->n = unpack_list(root, "parcels");
    all->items = must_alloc((all->n + 1) * sizeof(parcel *));
    for (uint32_t i = 0; i < all->n; i++) {
        const unpacked_map *one = unpack_element(root, "parcels", i);
        broker_str bytes = {NULL, 0};

        if (one != NULL)
            bytes = take_bytes(one, "bytes");
        all->items[i] = parcel_new(bytes.ptr, bytes.len);
    }
}

/* NULL: there is none of this number. */
static parcel *take_parcel(const parcels *all, const unpacked_map *from, const char *key)
{
    uint64_t i = unpack_uint(from, key, UINT64_MAX);

    return i < all->n ? all->items[i] : NULL;
}

static void take_subscriptions(mqtt *m, const parcels *all, const unpacked_map *from, session *s)
{
    sb why = SB_INIT;

    for (uint32_t i = 0; i < unpack_list(from, "subscriptions"); i++) {
        const unpacked_map *one = unpack_element(from, "subscriptions", i);
        const parcel *text = one != NULL ? take_parcel(all, one, "topic") : NULL;
        broker_str filter;

        if (text == NULL)
            continue;
        filter = (broker_str){text->bytes, text->len};
        sb_clear(&why);
        if (!part_subscribe(m, s, filter, unpack_uint(one, "qos", 0) != 0, &why))
            mqtt_say(m, SAY_CLIENT, "a subscription to '%s' ends: %s", mqtt_show(filter).text,
                     why.data);
    }
    sb_done(&why);
}

static void take_letters(mqtt *m, const parcels *all, const unpacked_map *from, const char *list,
                         session *s)
{
    bool window = strcmp(list, "window") == 0;

    for (uint32_t i = 0; i < unpack_list(from, list); i++) {
        const unpacked_map *e = unpack_element(from, list, i);
        letter one = {.id = 0};

        if (e == NULL)
            continue;
        one.topic = take_parcel(all, e, "topic");
        one.payload = take_parcel(all, e, "payload");
        if (window) {
            one.id = (uint16_t)unpack_uint(e, "id", 0);
            one.sent = unpack_bool(e, "sent", false);
            one.again = unpack_bool(e, "again", false);
        }
        if (one.topic == NULL || one.payload == NULL || window != (one.id != 0))
            continue;
        if (!letters_restore(&s->letters, &one))
            mqtt_count_add(m, COUNT_DROPPED_QUEUE, 1);
    }
}

static bool key_holds(const mqtt *m, broker_str key)
{
    return m->access->required(m->ctx) == 0 || m->access->check(m->ctx, key) == BROKER_OK;
}

/* Its key went from the configuration: the session ends here, and nobody publishes its will. */
static void key_lost(mqtt *m, broker_str id, const unpacked_map *from)
{
    bool had_will = take_bytes(from, "will-topic").len != 0;

    mqtt_count_add(m, COUNT_SESSIONS_DROPPED, 1);
    if (had_will)
        mqtt_count_add(m, COUNT_WILLS_LOST, 1);
    mqtt_say(m, SAY_CLIENT, "the session of client '%s' ends%s: its API key is no longer valid",
             mqtt_show(id).text, had_will ? ", and its will is not published" : "");
}

/* NULL: its key is no longer valid, or there is one with its id. */
static session *take_session(mqtt *m, const parcels *all, const unpacked_map *from)
{
    broker_str id = take_bytes(from, "id"), key = take_bytes(from, "key"),
               received = take_bytes(from, "received");
    session *s;

    if (id.len == 0 || id.len > CLIENT_ID_MAX || session_find(&m->sessions, id) != NULL)
        return NULL;
    if (!key_holds(m, key)) {
        key_lost(m, id, from);
        return NULL;
    }
    s = session_add(&m->sessions, id, unpack_bool(from, "clean", false));
    sb_append(&s->key, key.ptr, key.len);
    s->letters.last_id = (uint16_t)unpack_uint(from, "last-id", 0);
    if (received.len == RECEIVED_BYTES) {
        s->received = must_alloc(RECEIVED_BYTES);
        memcpy(s->received, received.ptr, RECEIVED_BYTES);
    }
    take_subscriptions(m, all, from, s);
    take_letters(m, all, from, "window", s);
    take_letters(m, all, from, "queue", s);
    return s;
}

/* When it began, by a clock that may have started later. */
static uint64_t since(uint64_t now, const unpacked_map *from, const char *key)
{
    uint64_t ms = unpack_uint(from, key, 0);

    return ms < now ? now - ms : 0;
}

static void take_away(mqtt *m, const parcels *all, const unpacked_map *root)
{
    for (uint32_t i = 0; i < unpack_list(root, "away"); i++) {
        const unpacked_map *from = unpack_element(root, "away", i);
        session *s = from != NULL ? take_session(m, all, from) : NULL;

        if (s != NULL)
            session_leave(&m->sessions, s, since(mqtt_now(m), from, "ms"));
    }
}

/* NULL: none was left. */
static will *take_will(const unpacked_map *from, const session *s)
{
    broker_str to = take_bytes(from, "will-topic"), text = take_bytes(from, "will-payload");
    will *w;

    if (to.len == 0)
        return NULL;
    w = must_alloc(sizeof *w);
    sb_append(&w->topic, to.ptr, to.len);
    sb_append(&w->payload, text.ptr, text.len);
    w->client_id = parcel_retain(s->client_id);
    return w;
}

/* Its connection has ended while nobody was looking. */
static void lose(mqtt *m, const unpacked_map *from, session *s)
{
    will *w;

    mqtt_count_add(m, COUNT_LOST, 1);
    if (s == NULL)
        return;
    w = take_will(from, s);
    if (s->clean)
        session_drop(&m->sessions, s);
    else
        session_leave(&m->sessions, s, mqtt_now(m));
    if (w != NULL)
        publish_will(w, m);
}

/* A build that knew no chains of connections has written none. */
static void take_chain(const unpacked_map *from, client *c)
{
    broker_str chain = take_bytes(from, "chain");

    if (chain.len != 0 && chain.len <= CHAIN_MAX)
        sb_append(&c->chain, chain.ptr, chain.len);
    else
        publish_chain(c->session->client_id, &c->chain);
}

static void take_client(mqtt *m, const parcels *all, const unpacked_map *from)
{
    broker_str in = take_bytes(from, "in");
    session *s = take_session(m, all, from);
    client *c;

    if (s == NULL && take_bytes(from, "id").len != 0)
        return; /* what is not adopted is closed by the host */
    c = client_adopt(m, unpack_uint(from, "conn", 0));
    if (c == NULL) {
        lose(m, from, s);
        return;
    }
    c->silence_ms = unpack_uint(from, "silence", 0);
    c->opened_ms = since(mqtt_now(m), from, "open");
    sb_append(&c->in, in.ptr, in.len);
    c->session = s;
    if (s == NULL)
        return;
    s->client = c;
    take_chain(from, c);
    c->will = take_will(from, s);
}

bool state_read(mqtt *m, broker_bytes blob)
{
    parcels all = {NULL, 0, 0};
    const unpacked_map *root;
    unpacked *u;

    if (unpack(blob.ptr, blob.len, &u) != 1)
        return false;
    root = unpacked_root(u);
    if (unpack_uint(root, "version", 0) != VERSION) {
        unpacked_free(u);
        return false;
    }
    take_parcels(root, &all);
    take_away(m, &all, root);
    for (uint32_t i = 0; i < unpack_list(root, "clients"); i++) {
        const unpacked_map *from = unpack_element(root, "clients", i);

        if (from != NULL)
            take_client(m, &all, from);
    }
    for (size_t i = 0; i < all.n; i++)
        parcel_release(all.items[i]);
    free(all.items);
    unpacked_free(u);
    m->metrics->set(m->sessions_kept, (double)m->sessions.n);
    return true;
}
