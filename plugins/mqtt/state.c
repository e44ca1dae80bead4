/* state -- see state.h. */
#include "state.h"

#include "client.h"
#include "part.h"
#include "publish.h"

#include <msgpack.h>

#define NAME    "mqtt"
#define VERSION 1u

/* ---- writing ---- */

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
    put_bytes(&w, NAME, strlen(NAME));
    put_uint(&w, VERSION);
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

/* ---- reading ----
 *
 * By hand over a view: libmsgpack's reader builds a tree, and allocates what a length claims. */

typedef struct reader {
    view v;
    mqtt *m; /* NULL: only look whether it can be read */
    parcel **parcels;
    size_t n_parcels;
    uint64_t now;
} reader;

static bool take_be(view *v, unsigned bytes, uint64_t *out)
{
    uint64_t x = 0;
    uint8_t b;

    for (unsigned i = 0; i < bytes; i++) {
        if (!view_u8(v, &b))
            return false;
        x = x << 8 | b;
    }
    *out = x;
    return true;
}

static bool take_uint(reader *r, uint64_t max, uint64_t *out)
{
    uint8_t tag;

    if (!view_u8(&r->v, &tag))
        return false;
    if (tag < 0x80)
        *out = tag;
    else if (tag < 0xcc || tag > 0xcf || !take_be(&r->v, 1u << (tag - 0xcc), out))
        return false;
    return *out <= max;
}

static bool take_bool(reader *r, bool *out)
{
    uint8_t tag;

    if (!view_u8(&r->v, &tag) || (tag != 0xc2 && tag != 0xc3))
        return false;
    *out = tag == 0xc3;
    return true;
}

static bool take_nil(reader *r)
{
    if (view_left(&r->v) == 0 || *r->v.p != 0xc0)
        return false;
    r->v.p++;
    return true;
}

/* Each element takes a byte at least. */
static bool take_array(reader *r, size_t *n)
{
    uint64_t x;
    uint8_t tag;

    if (!view_u8(&r->v, &tag))
        return false;
    if (tag >= 0x90 && tag <= 0x9f)
        x = tag & 0x0f;
    else if ((tag != 0xdc && tag != 0xdd) || !take_be(&r->v, tag == 0xdc ? 2 : 4, &x))
        return false;
    *n = (size_t)x;
    return x <= view_left(&r->v);
}

static bool take_tuple(reader *r, size_t n)
{
    size_t x;

    return take_array(r, &x) && x == n;
}

static bool take_bytes(reader *r, size_t max, broker_bytes *out)
{
    const uint8_t *at;
    uint64_t len;
    uint8_t tag;

    if (!view_u8(&r->v, &tag) || tag < 0xc4 || tag > 0xc6 ||
        !take_be(&r->v, 1u << (tag - 0xc4), &len) || len > max ||
        !view_skip(&r->v, (size_t)len, &at))
        return false;
    *out = (broker_bytes){at, (size_t)len};
    return true;
}

static broker_str str_of(broker_bytes b)
{
    return (broker_str){(const char *)b.ptr, b.len};
}

/* Looking: any parcel of the blob will do. */
static bool take_parcel(reader *r, parcel **out)
{
    uint64_t i;

    if (r->n_parcels == 0 || !take_uint(r, r->n_parcels - 1, &i))
        return false;
    *out = r->m != NULL ? r->parcels[i] : NULL;
    return true;
}

static bool read_parcels(reader *r)
{
    broker_bytes b;
    size_t n;

    if (!take_array(r, &n))
        return false;
    r->n_parcels = n;
    if (r->m != NULL)
        r->parcels = must_alloc((n + 1) * sizeof(parcel *));
    for (size_t i = 0; i < n; i++) {
        if (!take_bytes(r, UINT32_MAX, &b))
            return false;
        if (r->m != NULL)
            r->parcels[i] = parcel_new(b.ptr, b.len);
    }
    return true;
}

static void subscribe(reader *r, session *s, const parcel *text, uint8_t qos)
{
    sb why = SB_INIT;

    if (!part_subscribe(r->m, s, (broker_str){text->bytes, text->len}, qos, &why))
        mqtt_say(r->m, SAY_CLIENT, "a subscription to '%s' ends: %s",
                 mqtt_show((broker_str){text->bytes, text->len}).text, why.data);
    sb_done(&why);
}

static bool read_subscriptions(reader *r, session *s)
{
    parcel *text;
    uint64_t qos;
    size_t n;

    if (!take_array(r, &n))
        return false;
    for (size_t i = 0; i < n; i++) {
        if (!take_tuple(r, 2) || !take_parcel(r, &text) || !take_uint(r, 1, &qos))
            return false;
        if (s != NULL)
            subscribe(r, s, text, (uint8_t)qos);
    }
    return true;
}

static bool read_letters(reader *r, session *s, bool window)
{
    size_t n;

    if (!take_array(r, &n))
        return false;
    for (size_t i = 0; i < n; i++) {
        letter one = {.id = 0};
        uint64_t id = 0;

        if (!take_tuple(r, window ? 5 : 2) || (window && !take_uint(r, UINT16_MAX, &id)) ||
            (window && (id == 0 || !take_bool(r, &one.sent) || !take_bool(r, &one.again))) ||
            !take_parcel(r, &one.topic) || !take_parcel(r, &one.payload))
            return false;
        one.id = (uint16_t)id;
        if (s != NULL && !letters_restore(&s->letters, &one))
            mqtt_count_add(r->m, COUNT_DROPPED_QUEUE, 1);
    }
    return true;
}

static bool read_received(reader *r, session *s)
{
    uint64_t id;
    size_t n;

    if (!take_array(r, &n))
        return false;
    for (size_t i = 0; i < n; i++) {
        if (!take_uint(r, UINT16_MAX, &id) || id == 0)
            return false;
        if (s != NULL)
            session_receive(s, (uint16_t)id);
    }
    return true;
}

static bool key_holds(const mqtt *m, broker_bytes key)
{
    return m->access->required(m->ctx) == 0 || m->access->check(m->ctx, str_of(key)) == BROKER_OK;
}

/* *out stays NULL when its key is no longer valid, or its id is there twice. */
static bool read_session(reader *r, session **out)
{
    broker_bytes id, key;
    uint64_t last_id;
    bool clean;

    *out = NULL;
    if (!take_tuple(r, 8) || !take_bytes(r, CLIENT_ID_MAX, &id) || !take_bool(r, &clean) ||
        !take_bytes(r, UINT16_MAX, &key) || !take_uint(r, UINT16_MAX, &last_id))
        return false;
    if (r->m != NULL && key_holds(r->m, key) && session_find(&r->m->sessions, str_of(id)) == NULL) {
        *out = session_add(&r->m->sessions, str_of(id), clean);
        sb_append(&(*out)->key, key.ptr, key.len);
        (*out)->letters.last_id = (uint16_t)last_id;
    }
    return read_subscriptions(r, *out) && read_letters(r, *out, true) &&
           read_letters(r, *out, false) && read_received(r, *out);
}

static bool read_away(reader *r)
{
    session *s;
    uint64_t away;
    size_t n;

    if (!take_array(r, &n))
        return false;
    for (size_t i = 0; i < n; i++) {
        if (!take_tuple(r, 2) || !take_uint(r, INT64_MAX, &away) || !read_session(r, &s))
            return false;
        if (s != NULL)
            session_leave(&r->m->sessions, s, away < r->now ? r->now - away : 0);
    }
    return true;
}

typedef struct record {
    uint64_t conn, silence_ms, open_ms;
    bool has_session, has_will;
    session *session;
    broker_bytes topic, payload, in;
} record;

static will *will_of(const record *rec)
{
    will *w = must_alloc(sizeof *w);

    sb_append(&w->topic, rec->topic.ptr, rec->topic.len);
    sb_append(&w->payload, rec->payload.ptr, rec->payload.len);
    w->client_id = parcel_retain(rec->session->client_id);
    return w;
}

/* The connection has ended while nobody was looking. */
static void lose(mqtt *m, const record *rec)
{
    mqtt_count_add(m, COUNT_LOST, 1);
    if (rec->session == NULL)
        return;
    if (rec->has_will)
        publish_will(will_of(rec), m);
    if (rec->session->clean)
        session_drop(&m->sessions, rec->session);
    else
        session_leave(&m->sessions, rec->session, mqtt_now(m));
}

static void take_over(reader *r, const record *rec)
{
    mqtt *m = r->m;
    client *c;

    if (rec->has_session && rec->session == NULL)
        return; /* what is not adopted is closed by the host */
    c = client_adopt(m, rec->conn);
    if (c == NULL) {
        lose(m, rec);
        return;
    }
    c->silence_ms = rec->silence_ms;
    c->opened_ms = rec->open_ms < r->now ? r->now - rec->open_ms : 0;
    sb_append(&c->in, rec->in.ptr, rec->in.len);
    c->session = rec->session;
    if (c->session == NULL)
        return;
    c->session->client = c;
    if (rec->has_will)
        c->will = will_of(rec);
}

static bool read_client(reader *r)
{
    record rec = {.conn = 0};

    if (!take_tuple(r, 6) || !take_uint(r, UINT64_MAX, &rec.conn))
        return false;
    rec.has_session = !take_nil(r);
    if (rec.has_session && !read_session(r, &rec.session))
        return false;
    if (!take_uint(r, INT64_MAX, &rec.silence_ms) || !take_uint(r, INT64_MAX, &rec.open_ms))
        return false;
    rec.has_will = !take_nil(r);
    if (rec.has_will &&
        (!rec.has_session || !take_tuple(r, 2) || !take_bytes(r, CONNECT_MAX, &rec.topic) ||
         !take_bytes(r, CONNECT_MAX, &rec.payload)))
        return false;
    if (!take_bytes(r, UINT32_MAX, &rec.in))
        return false;
    if (r->m != NULL)
        take_over(r, &rec);
    return true;
}

static bool read_blob(reader *r)
{
    broker_bytes name;
    uint64_t version;
    size_t n;

    if (!take_tuple(r, 5) || !take_bytes(r, 16, &name) || name.len != strlen(NAME) ||
        memcmp(name.ptr, NAME, name.len) != 0 || !take_uint(r, UINT32_MAX, &version) ||
        version != VERSION || !read_parcels(r) || !read_away(r) || !take_array(r, &n))
        return false;
    for (size_t i = 0; i < n; i++)
        if (!read_client(r))
            return false;
    return view_left(&r->v) == 0;
}

bool state_read(mqtt *m, broker_bytes blob)
{
    reader look = {.v = view_of(blob.ptr, blob.len)}, take = look;

    if (!read_blob(&look))
        return false;
    take.m = m;
    take.now = mqtt_now(m);
    must(read_blob(&take));
    for (size_t i = 0; i < take.n_parcels; i++)
        parcel_release(take.parcels[i]);
    free(take.parcels);
    m->metrics->set(m->sessions_kept, (double)m->sessions.n);
    return true;
}
