/* peers_fake -- see peers_fake.h. Everything that happens is an event on one list, by time. */
#include "peers_fake.h"

#include <broker/plugin.h>
#include <stdlib.h>

typedef struct event {
    struct event *next;
    int64_t at_ms;
    void (*run)(void *obj); /* NULL: nothing any more */
    void *obj;
} event;

struct fake_net {
    int64_t now_ms;
    event *first;
    peers *nodes;
    fake_weather weather;
    void *weather_arg;
    size_t buffers;
    uuid_source ids;
};

typedef struct link {
    struct link *next;
    peers *other;
    bool full, is_private;
    unsigned locks;
    int64_t busy_until_ms;
} link_end;

typedef struct service {
    struct service *next;
    char *name;
    peers_serve_fn serve;
    void *arg;
} service;

typedef struct ask {
    struct ask *next;
    peers *p;
    node_id to;
    char id[UUID_LEN];
    peers_answer answer;
    void *arg;
} ask;

struct peers_call {
    peers_call *next;
    peers *p;
    node_id to;
    sb service, method, id;
    bool over;
};

struct peers {
    fake_net *net;
    peers *next;
    node_id id;
    sb descriptor;
    bool has_server, down;
    link_end *links;
    service *services;
    ask *asks;
    peers_call *calls;
    peers_watch *watches;
};

struct peers_timer {
    peers *p;
    event *e;
    uint32_t period_ms;
    void (*fn)(void *arg);
    void *arg;
};

typedef struct frame {
    peers *from, *to;
    struct fake_buf *buf;
} frame;

struct fake_buf {
    broker_buf b;
    fake_net *net;
    unsigned refs;
};

/* ---- Time ---- */

static event *event_at(fake_net *n, int64_t ms, void (*run)(void *obj), void *obj)
{
    event *e = must_alloc(sizeof *e), **at = &n->first;

    *e = (event){.at_ms = n->now_ms + ms, .run = run, .obj = obj};
    while (*at != NULL && (*at)->at_ms <= e->at_ms)
        at = &(*at)->next;
    e->next = *at;
    *at = e;
    return e;
}

static void run_first(fake_net *n)
{
    event *e = n->first;

    n->first = e->next;
    n->now_ms = e->at_ms;
    if (e->run != NULL)
        e->run(e->obj);
    free(e);
}

void fake_run(fake_net *n, int64_t ms)
{
    int64_t until_ms = n->now_ms + ms;

    while (n->first != NULL && n->first->at_ms <= until_ms)
        run_first(n);
    n->now_ms = until_ms;
}

bool fake_until(fake_net *n, int64_t ms, bool (*holds)(void *arg), void *arg)
{
    int64_t until_ms = n->now_ms + ms;

    while (!holds(arg)) {
        if (n->first == NULL || n->first->at_ms > until_ms) {
            n->now_ms = until_ms;
            return holds(arg);
        }
        run_first(n);
    }
    return true;
}

int64_t fake_now_ms(const fake_net *n)
{
    return n->now_ms;
}

int64_t peers_now_ms(const peers *p)
{
    return p->net->now_ms;
}

static void timer_comes(void *obj)
{
    peers_timer *t = obj;

    t->e = t->period_ms != 0 ? event_at(t->p->net, t->period_ms, timer_comes, t) : NULL;
    t->fn(t->arg);
}

peers_timer *peers_timer_start(peers *p, uint32_t first_ms, uint32_t period_ms,
                               void (*fn)(void *arg), void *arg)
{
    peers_timer *t = must_alloc(sizeof *t);

    *t = (peers_timer){.p = p, .period_ms = period_ms, .fn = fn, .arg = arg};
    t->e = event_at(p->net, first_ms, timer_comes, t);
    return t;
}

void peers_timer_end(peers_timer *t)
{
    if (t == NULL)
        return;
    if (t->e != NULL)
        t->e->run = NULL;
    free(t);
}

/* ---- Nodes ---- */

fake_net *fake_net_new(void)
{
    fake_net *n = must_alloc(sizeof *n);

    n->now_ms = 1000000;
    return n;
}

peers *fake_node(fake_net *n, char id, bool has_server)
{
    peers *p = must_alloc(sizeof *p);
    peer_self self = {.host = has_server ? "127.0.0.1" : NULL, .port = 40000 + (uint8_t)id};

    memset(&self.id, id, sizeof self.id);
    p->net = n;
    p->id = self.id;
    p->has_server = has_server;
    peer_encode(&self, &p->descriptor);
    p->next = n->nodes;
    n->nodes = p;
    return p;
}

const node_id *peers_self(const peers *p)
{
    return &p->id;
}

pb_bytes peers_descriptor(const peers *p)
{
    return pb_bytes_from(p->descriptor.data, p->descriptor.len);
}

static peers *node_find(const fake_net *n, const node_id *id)
{
    peers *p = n->nodes;

    while (p != NULL && !node_id_same(&p->id, id))
        p = p->next;
    return p;
}

/* ---- Connections ---- */

static link_end *link_find(const peers *p, const node_id *id)
{
    link_end *l = p->links;

    while (l != NULL && !node_id_same(&l->other->id, id))
        l = l->next;
    return l;
}

static void link_add(peers *p, peers *other)
{
    link_end *l = must_alloc(sizeof *l);

    *l = (link_end){.next = p->links, .other = other};
    p->links = l;
    for (peers_watch *w = p->watches; w != NULL; w = w->next)
        if (w->connected != NULL)
            w->connected(w->arg, &other->id, peers_descriptor(other));
}

void fake_connect(peers *a, peers *b)
{
    if (link_find(a, &b->id) != NULL || a == b)
        return;
    link_add(a, b);
    link_add(b, a);
}

static void link_remove(peers *p, const peers *other)
{
    link_end **at = &p->links, *l;

    while (*at != NULL && (*at)->other != other)
        at = &(*at)->next;
    l = *at;
    if (l == NULL)
        return;
    *at = l->next;
    free(l);
}

typedef struct lost_ask {
    ask *a;
    peers_result result;
} lost_ask;

static void ask_ends(ask *a, peers_result result, const envelope *answer)
{
    ask **at = &a->p->asks;

    while (*at != a)
        at = &(*at)->next;
    *at = a->next;
    if (a->answer != NULL)
        a->answer(a->arg, result, answer);
    free(a);
}

static void side_lost(peers *p, const node_id *id, peers_loss how)
{
    for (ask *a = p->asks, *next; a != NULL; a = next) {
        next = a->next;
        if (!node_id_same(&a->to, id))
            continue;
        ask_ends(a, PEERS_UNREACHABLE, NULL);
        next = p->asks; /* the callee may have changed it */
    }
    for (peers_watch *w = p->watches, *next; w != NULL; w = next) {
        next = w->next;
        if (w->lost != NULL)
            w->lost(w->arg, id, how);
    }
}

void fake_cut(peers *a, peers *b, peers_loss how)
{
    if (link_find(a, &b->id) == NULL)
        return;
    link_remove(a, b);
    link_remove(b, a);
    side_lost(a, &b->id, how);
    side_lost(b, &a->id, how);
}

void fake_set_down(peers *p, bool down)
{
    p->down = down;
    while (down && p->links != NULL)
        fake_cut(p, p->links->other, PEERS_LOST);
}

void fake_set_full(peers *from, const peers *to, bool full)
{
    link_end *l = link_find(from, &to->id);

    must(l != NULL);
    l->full = full;
}

void fake_set_private(peers *p, const peers *other, bool is_private)
{
    link_end *l = link_find(p, &other->id);

    must(l != NULL);
    l->is_private = is_private;
}

void peers_watch_add(peers *p, peers_watch *w)
{
    w->next = p->watches;
    p->watches = w;
}

void peers_watch_remove(peers *p, peers_watch *w)
{
    peers_watch **at = &p->watches;

    while (*at != w)
        at = &(*at)->next;
    *at = w->next;
}

bool peers_connected(const peers *p, const node_id *id)
{
    return link_find(p, id) != NULL;
}

pb_bytes peers_descriptor_of(const peers *p, const node_id *id)
{
    const link_end *l = link_find(p, id);

    return l != NULL ? peers_descriptor(l->other) : (pb_bytes){NULL, 0};
}

size_t peers_list(const peers *p, node_id *out, size_t max)
{
    size_t n = 0;

    for (const link_end *l = p->links; l != NULL && n < max; l = l->next)
        if (!l->is_private)
            out[n++] = l->other->id;
    return n;
}

void peers_lock(peers *p, const node_id *id)
{
    link_end *l = link_find(p, id);

    if (l != NULL)
        l->locks++;
}

void peers_unlock(peers *p, const node_id *id)
{
    link_end *l = link_find(p, id);

    if (l == NULL)
        return; /* its locks went with it */
    must(l->locks > 0);
    l->locks--;
}

unsigned fake_locks(const peers *p)
{
    unsigned n = 0;

    for (const link_end *l = p->links; l != NULL; l = l->next)
        n += l->locks;
    return n;
}

void peers_disconnect(peers *p, const node_id *id, dht_disconnect how)
{
    link_end *l = link_find(p, id);
    peers *other = l != NULL ? l->other : NULL;

    if (other == NULL)
        return;
    link_remove(p, other);
    link_remove(other, p);
    side_lost(other, &p->id, how == DHT_DISCONNECT_LEAVING ? PEERS_LEFT : PEERS_LOST);
}

/* ---- Buffers ---- */

static struct fake_buf *buf_new(fake_net *n, size_t len)
{
    struct fake_buf *buf = must_alloc(sizeof *buf);
    uint8_t *bytes = must_alloc(len + (len == 0));

    *buf = (struct fake_buf){
        .b = {.size = sizeof buf->b, .bytes = bytes, .len = len}, .net = n, .refs = 1};
    n->buffers++;
    return buf;
}

void peers_keep(peers *p, struct broker_buf *buf)
{
    (void)p;
    ((struct fake_buf *)buf)->refs++;
}

void peers_let_go(peers *p, struct broker_buf *b)
{
    struct fake_buf *buf = (struct fake_buf *)b;

    (void)p;
    must(buf->refs > 0);
    if (--buf->refs > 0)
        return;
    buf->net->buffers--;
    free((void *)(uintptr_t)buf->b.bytes);
    free(buf);
}

size_t fake_buffers(const fake_net *n)
{
    return n->buffers;
}

/* ---- Frames ---- */

static void serve(peers *p, peers *from, const envelope *e, struct fake_buf *buf)
{
    const link_end *l = link_find(p, &from->id);
    peers_from who = {.id = from->id,
                      .descriptor = peers_descriptor(from),
                      .is_private = l != NULL && l->is_private,
                      .buf = &buf->b};
    service *s = p->services;
    peers_call *call = NULL;

    while (s != NULL && !pb_bytes_are(e->service, s->name))
        s = s->next;
    if (s == NULL)
        return;
    if (e->kind == ENVELOPE_REQUEST) {
        call = must_alloc(sizeof *call);
        call->p = p;
        call->to = from->id;
        sb_append(&call->service, e->service.ptr, e->service.len);
        sb_append(&call->method, e->method.ptr, e->method.len);
        sb_append(&call->id, e->request_id.ptr, e->request_id.len);
        call->next = p->calls;
        p->calls = call;
    }
    s->serve(s->arg, &who, e, call);
}

static void response(peers *p, const peers *from, const envelope *e)
{
    ask *a = p->asks;

    while (a != NULL &&
           (e->request_id.len != UUID_LEN || memcmp(a->id, e->request_id.ptr, UUID_LEN) != 0))
        a = a->next;
    if (a != NULL && node_id_same(&a->to, &from->id))
        ask_ends(a, e->kind == ENVELOPE_ERROR ? PEERS_REFUSED : PEERS_ANSWERED, e);
}

static void frame_arrives(void *obj)
{
    frame *f = obj;
    envelope e;

    if (link_find(f->from, &f->to->id) != NULL &&
        envelope_read(f->buf->b.bytes, f->buf->b.len, &e) == NULL) {
        if (e.kind == ENVELOPE_REQUEST || e.kind == ENVELOPE_NOTIFICATION)
            serve(f->to, f->from, &e, f->buf);
        else if (e.kind == ENVELOPE_RESPONSE || e.kind == ENVELOPE_ERROR)
            response(f->to, f->from, &e);
    }
    peers_let_go(f->to, &f->buf->b);
    free(f);
}

/* There is a link. */
static void travel(peers *from, peers *to, struct fake_buf *buf)
{
    fake_net *n = from->net;
    link_end *l = link_find(from, &to->id);
    int64_t delay_ms = 5;
    envelope e;
    bool readable = envelope_read(buf->b.bytes, buf->b.len, &e) == NULL;
    frame *f;

    if (n->weather != NULL &&
        !n->weather(n->weather_arg, from, to, readable ? &e : NULL, &delay_ms)) {
        peers_let_go(from, &buf->b);
        return;
    }
    f = must_alloc(sizeof *f);
    *f = (frame){from, to, buf};
    if (n->now_ms + delay_ms < l->busy_until_ms)
        delay_ms = l->busy_until_ms - n->now_ms;
    l->busy_until_ms = n->now_ms + delay_ms;
    event_at(n, delay_ms, frame_arrives, f);
}

static struct fake_buf *encoded(peers *from, peers *to, const envelope *what)
{
    envelope e = *what;
    char id[UUID_LEN];
    struct fake_buf *buf;

    uuid_make(&from->net->ids, id);
    e.message_id = pb_bytes_from(id, sizeof id);
    e.source = peers_descriptor(from);
    e.target = peers_descriptor(to);
    buf = buf_new(from->net, envelope_size(&e));
    envelope_put(&e, (uint8_t *)(uintptr_t)buf->b.bytes);
    return buf;
}

void fake_set_weather(fake_net *n, fake_weather weather, void *arg)
{
    n->weather = weather;
    n->weather_arg = arg;
}

void fake_send(peers *from, peers *to, const envelope *e)
{
    fake_connect(from, to);
    travel(from, to, encoded(from, to, e));
}

/* ---- Asking ---- */

typedef struct departure {
    peers *from, *to;
    struct fake_buf *buf;
    ask *a; /* NULL: a notification */
} departure;

static bool ask_waits(const peers *p, const ask *a)
{
    const ask *x = p->asks;

    while (x != NULL && x != a)
        x = x->next;
    return x != NULL;
}

static bool reaches(const peers *from, const peers *to)
{
    return link_find(from, &to->id) != NULL ||
           (!to->down && !from->down && from != to && (to->has_server || from->has_server));
}

static void departs(void *obj)
{
    departure *d = obj;

    if (d->to != NULL && reaches(d->from, d->to)) {
        fake_connect(d->from, d->to);
        travel(d->from, d->to, d->buf);
        d->buf = NULL;
    } else if (d->a != NULL && ask_waits(d->from, d->a))
        ask_ends(d->a, PEERS_UNREACHABLE, NULL);
    if (d->buf != NULL)
        peers_let_go(d->from, &d->buf->b);
    free(d);
}

static void depart(peers *p, const peers_message *m, envelope *e, ask *a)
{
    departure *d = must_alloc(sizeof *d);
    sb body = SB_INIT;
    node_id to;

    must(peer_node_id(m->to, &to));
    must(envelope_seal(e, m->table, m->msg, &body));
    d->from = p;
    d->to = node_find(p->net, &to);
    d->a = a;
    d->buf = encoded(p, d->to != NULL ? d->to : p, e);
    sb_done(&body);
    if (d->to != NULL && link_find(p, &to) != NULL) {
        travel(p, d->to, d->buf); /* in order with all else on the connection */
        free(d);
        return;
    }
    event_at(p->net, 5, departs, d);
}

typedef struct deadline {
    peers *p;
    char id[UUID_LEN];
} deadline;

static void deadline_comes(void *obj)
{
    deadline *d = obj;
    ask *a = d->p->asks;

    while (a != NULL && memcmp(a->id, d->id, UUID_LEN) != 0)
        a = a->next;
    if (a != NULL)
        ask_ends(a, PEERS_TIMEOUT, NULL);
    free(d);
}

bool peers_ask(peers *p, const peers_message *m, uint32_t timeout_ms, peers_answer answer,
               void *arg)
{
    envelope e = {.kind = ENVELOPE_REQUEST,
                  .service = pb_bytes_of(m->service),
                  .method = pb_bytes_of(m->method)};
    ask *a = must_alloc(sizeof *a);
    deadline *d = must_alloc(sizeof *d);

    a->p = p;
    must(peer_node_id(m->to, &a->to));
    uuid_make(&p->net->ids, a->id);
    a->answer = answer;
    a->arg = arg;
    a->next = p->asks;
    p->asks = a;
    e.request_id = pb_bytes_from(a->id, UUID_LEN);
    depart(p, m, &e, a);
    d->p = p;
    memcpy(d->id, a->id, UUID_LEN);
    event_at(p->net, timeout_ms != 0 ? timeout_ms : 5000, deadline_comes, d);
    return true;
}

void peers_cancel(peers *p, const void *arg)
{
    for (ask *a = p->asks; a != NULL; a = a->next)
        if (a->arg == arg)
            a->answer = NULL;
}

bool peers_tell(peers *p, const peers_message *m)
{
    envelope e = {.kind = ENVELOPE_NOTIFICATION,
                  .service = pb_bytes_of(m->service),
                  .method = pb_bytes_of(m->method)};
    char id[UUID_LEN];
    node_id to;
    const link_end *l;

    must(peer_node_id(m->to, &to));
    l = link_find(p, &to);
    if (l != NULL && l->full)
        return false;
    uuid_make(&p->net->ids, id);
    e.request_id = pb_bytes_from(id, UUID_LEN);
    depart(p, m, &e, NULL);
    return true;
}

size_t peers_spread(peers *p, const envelope *common, const node_id *const *to, size_t n,
                    bool *sent)
{
    size_t have = 0;

    for (size_t i = 0; i < n; i++) {
        const link_end *l = link_find(p, to[i]);
        envelope e = *common;
        char id[UUID_LEN];

        sent[i] = l != NULL && !l->full;
        if (!sent[i])
            continue;
        uuid_make(&p->net->ids, id);
        e.request_id = pb_bytes_from(id, UUID_LEN);
        travel(p, l->other, encoded(p, l->other, &e));
        have++;
    }
    return have;
}

/* ---- Serving ---- */

bool peers_serve(peers *p, const char *name, uint32_t limit_ms, peers_serve_fn serve_fn, void *arg)
{
    service *s;

    (void)limit_ms; /* the asker's own time-out is what tests see */
    for (s = p->services; s != NULL; s = s->next)
        if (strcmp(s->name, name) == 0)
            return false;
    s = must_alloc(sizeof *s);
    *s = (service){.next = p->services, .name = must_strdup(name), .serve = serve_fn, .arg = arg};
    p->services = s;
    return true;
}

void peers_unserve(peers *p, const char *name)
{
    service **at = &p->services, *s;

    while (*at != NULL && strcmp((*at)->name, name) != 0)
        at = &(*at)->next;
    s = *at;
    if (s == NULL)
        return;
    *at = s->next;
    free(s->name);
    free(s);
}

static void call_free(peers_call *c)
{
    sb_done(&c->service);
    sb_done(&c->method);
    sb_done(&c->id);
    free(c);
}

static void call_ends(peers_call *c, envelope *e)
{
    peers_call **at = &c->p->calls;
    const link_end *l = link_find(c->p, &c->to);

    while (*at != c) {
        must(*at != NULL); /* answered twice */
        at = &(*at)->next;
    }
    *at = c->next;
    e->service = pb_bytes_from(c->service.data, c->service.len);
    e->method = pb_bytes_from(c->method.data, c->method.len);
    e->request_id = pb_bytes_from(c->id.data, c->id.len);
    if (l != NULL)
        travel(c->p, l->other, encoded(c->p, l->other, e));
    call_free(c);
}

void peers_reply(peers_call *call, const pb_table *table, const void *msg)
{
    envelope e = {.kind = ENVELOPE_RESPONSE};
    sb body = SB_INIT;

    must(envelope_seal(&e, table, msg, &body));
    call_ends(call, &e);
    sb_done(&body);
}

void peers_fail(peers_call *call, rpc_error error, const char *text)
{
    envelope e = {
        .kind = ENVELOPE_ERROR, .error_type = (int32_t)error, .error_text = pb_bytes_of(text)};

    call_ends(call, &e);
}

/* ---- The end ---- */

static void node_free(peers *p)
{
    while (p->links != NULL)
        link_remove(p, p->links->other);
    while (p->services != NULL)
        peers_unserve(p, p->services->name);
    while (p->asks != NULL) {
        ask *a = p->asks;

        p->asks = a->next;
        free(a);
    }
    while (p->calls != NULL) {
        peers_call *c = p->calls;

        p->calls = c->next;
        call_free(c);
    }
    sb_done(&p->descriptor);
    free(p);
}

/* Frames and departures free themselves when they come and find nothing. */
void fake_net_free(fake_net *n)
{
    for (peers *p = n->nodes; p != NULL; p = p->next) {
        p->down = true;
        while (p->links != NULL)
            link_remove(p, p->links->other);
    }
    for (event *e = n->first; e != NULL; e = e->next)
        must(e->run != timer_comes); /* somebody has not ended his timer */
    while (n->first != NULL)
        run_first(n);
    while (n->nodes != NULL) {
        peers *p = n->nodes;

        n->nodes = p->next;
        node_free(p);
    }
    must(n->buffers == 0);
    free(n);
}
