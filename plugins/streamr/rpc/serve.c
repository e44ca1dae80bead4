/* serve -- requests and notifications of others: given to who serves them, answered. */
#include "rpc/parts.h"

/* ---- services ---- */

static service **bucket_of(peers *p, uint64_t hash)
{
    return &p->services[hash % SERVICE_BUCKETS];
}

static service *service_find(peers *p, pb_bytes name)
{
    uint64_t hash = hash_bytes(name.ptr, name.len);
    service *s = *bucket_of(p, hash);

    while (s != NULL &&
           (s->hash != hash || s->len != name.len || memcmp(s->name, name.ptr, name.len) != 0))
        s = s->next;
    return s;
}

static service *service_new(const char *name, uint32_t limit_ms, peers_serve_fn serve, void *arg)
{
    service *s = must_alloc(sizeof *s);

    s->len = strlen(name);
    s->name = must_strdup(name);
    s->hash = hash_bytes(name, s->len);
    s->limit_ms = limit_ms;
    s->serve = serve;
    s->arg = arg;
    return s;
}

bool peers_serve(peers *p, const char *name, uint32_t limit_ms, peers_serve_fn serve, void *arg)
{
    service *s, **at;

    if (service_find(p, pb_bytes_of(name)) != NULL)
        return false;
    s = service_new(name, limit_ms, serve, arg);
    at = bucket_of(p, s->hash);
    s->next = *at;
    *at = s;
    return true;
}

void peers_unserve(peers *p, const char *name)
{
    service *s = service_find(p, pb_bytes_of(name)), **at;

    if (s == NULL)
        return;
    at = bucket_of(p, s->hash);
    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    free(s->name);
    free(s);
}

bool peers_serve_routed(peers *p, const char *name, peers_serve_fn serve, void *arg)
{
    service *s = service_new(name, ROUTED_LIMIT_MS, serve, arg);

    s->next = p->routed;
    p->routed = s;
    return true;
}

static service *routed_find(const peers *p, pb_bytes name)
{
    for (service *s = p->routed; s != NULL; s = s->next) {
        bool many = s->name[s->len - 1] == '*';
        size_t len = many ? s->len - 1 : s->len;

        if ((many ? name.len >= len : name.len == len) && memcmp(s->name, name.ptr, len) == 0)
            return s;
    }
    return NULL;
}

/* ---- calls ---- */

static pb_bytes keep(uint8_t **at, pb_bytes b)
{
    uint8_t *start = *at;

    if (b.len != 0)
        memcpy(start, b.ptr, b.len);
    *at += b.len;
    return (pb_bytes){start, b.len};
}

static peers_call *call_new(peers *p, const node_id *from, const envelope *e, uint32_t limit_ms,
                            bool routed)
{
    pb_bytes source = routed ? e->source : (pb_bytes){NULL, 0};
    peers_call *c =
        must_alloc(sizeof *c + e->service.len + e->method.len + e->request_id.len + source.len);
    uint8_t *at = c->text;

    c->p = p;
    c->from = *from;
    c->routed = routed;
    c->deadline_ms = peers_now_ms(p) + limit_ms;
    c->service = keep(&at, e->service);
    c->method = keep(&at, e->method);
    c->request_id = keep(&at, e->request_id);
    c->source = keep(&at, source);
    c->next = p->served;
    c->at = &p->served;
    if (c->next != NULL)
        c->next->at = &c->next;
    p->served = c;
    p->n_served++;
    return c;
}

static void call_free(peers_call *c)
{
    peer_link *l = links_find(c->p->links, &c->from);

    if (l != NULL && !c->uncounted)
        l->n_served--;
    *c->at = c->next;
    if (c->next != NULL)
        c->next->at = c->at;
    c->p->n_served--;
    free(c);
}

static void call_send(peers_call *c, envelope *e)
{
    peers *p = c->p;
    char message_id[UUID_LEN];
    peer_link *l;

    e->service = c->service;
    e->method = c->method;
    e->request_id = c->request_id;
    if (c->routed) {
        sb inner = SB_INIT;

        put_frame(p, e, c->source, message_id);
        sb_append(&inner, p->frame.data, p->frame.len);
        peers_route(p, c->source, &inner, &c->from);
        sb_done(&inner);
        return;
    }
    l = links_find(p->links, &c->from); /* answers open no connections */
    if (l == NULL || l->state != LINK_OPEN)
        return;
    put_frame(p, e, l->descriptor, message_id);
    links_send(l, pb_bytes_from(p->frame.data, p->frame.len));
}

void peers_reply(peers_call *call, const pb_table *table, const void *msg)
{
    envelope e = {.kind = ENVELOPE_RESPONSE};

    if (!call->dead) {
        sb_clear(&call->p->body);
        if (envelope_seal(&e, table, msg, &call->p->body))
            call_send(call, &e);
    }
    call_free(call);
}

static void say_error(peers_call *c, rpc_error error, const char *text)
{
    envelope e = {.kind = ENVELOPE_ERROR, .error_type = (int32_t)error};

    if (text != NULL)
        e.error_text = pb_bytes_of(text);
    call_send(c, &e);
}

void peers_fail(peers_call *call, rpc_error error, const char *text)
{
    if (!call->dead)
        say_error(call, error, text);
    call_free(call);
}

/* ---- frames ---- */

static void serve(peers *p, const service *s, peer_link *l, const peers_from *from,
                  const envelope *e, bool routed)
{
    peers_call *c = NULL;

    if (e->kind == ENVELOPE_REQUEST) {
        if (p->n_served >= RPC_SERVED_MAX || l->n_served >= RPC_SERVED_PER_PEER) {
            peers_add(p, RPC_COUNT_OVERLOAD, 1);
            return;
        }
        peers_add(p, RPC_COUNT_REQUESTS, 1);
        l->n_served++;
        c = call_new(p, &l->id, e, s->limit_ms, routed);
    }
    s->serve(s->arg, from, e, c);
}

void serve_frame(peers *p, peer_link *l, const envelope *e)
{
    const service *s = service_find(p, e->service);
    peers_from from = {l->id, l->descriptor, l->is_private, p->buffer};

    if (s == NULL) {
        peers_add(p, RPC_COUNT_UNSERVED, 1);
        return;
    }
    serve(p, s, l, &from, e, false);
}

void peers_take_routed(peers *p, const node_id *via, const envelope *inner)
{
    const service *s = routed_find(p, inner->service);
    peer_link *l = links_find(p->links, via);
    peers_from from = {.descriptor = inner->source};

    if (inner->kind > ENVELOPE_NOTIFICATION || l == NULL || l->state != LINK_OPEN)
        return; /* nothing of ours is asked by routed requests */
    if (dedup_seen(p->seen, inner->message_id.ptr, inner->message_id.len)) {
        peers_add(p, RPC_COUNT_DUPLICATE, 1);
        return;
    }
    if (s == NULL || inner->source.len > DESCRIPTOR_MAX || !peer_node_id(inner->source, &from.id)) {
        peers_add(p, RPC_COUNT_UNSERVED, 1);
        return;
    }
    serve(p, s, l, &from, inner, true);
}

/* ---- time ---- */

void serve_lost(peers *p, const node_id *id)
{
    for (peers_call *c = p->served; c != NULL; c = c->next)
        if (node_id_same(&c->from, id)) {
            c->uncounted = true;
            c->dead |= !c->routed;
        }
}

void serve_tick(peers *p)
{
    int64_t now_ms = p->served != NULL ? peers_now_ms(p) : 0;

    for (peers_call *c = p->served; c != NULL; c = c->next) {
        if (c->dead || now_ms < c->deadline_ms)
            continue;
        c->dead = true;
        peers_add(p, RPC_COUNT_SLOW, 1);
        say_error(c, RPC_SERVER_TIMEOUT, NULL);
    }
}

void serve_free_all(peers *p)
{
    while (p->served != NULL) {
        peers_call *c = p->served;

        p->served = c->next;
        free(c);
    }
    for (size_t i = 0; i <= SERVICE_BUCKETS; i++) {
        service **at = i < SERVICE_BUCKETS ? &p->services[i] : &p->routed;

        while (*at != NULL) {
            service *s = *at;

            *at = s->next;
            free(s->name);
            free(s);
        }
    }
}
