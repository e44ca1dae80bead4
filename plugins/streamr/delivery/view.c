/* view -- see view.h. A few dozen candidates: looked through one by one. */
#include "delivery/view.h"

#include <stdlib.h>

#define DESCRIPTOR_MAX 1024u

static bool read_candidate(pb_bytes descriptor, candidate *out)
{
    _Alignas(16) uint8_t memory[4096];
    pb_arena arena = {memory, sizeof memory, 0};
    dht_peer peer;

    if (descriptor.len > DESCRIPTOR_MAX ||
        pb_decode(&dht_peer_table, &peer, descriptor.ptr, descriptor.len, &arena) != NULL ||
        !node_id_of(peer.node_id, &out->id) || !ring_id_of_peer(&peer, &out->ring))
        return false;
    out->has_server = peer.websocket != NULL;
    out->descriptor = descriptor;
    return true;
}

void view_init(view_set *v, pb_bytes self, unsigned size)
{
    candidate me = {0};

    must(size > 0);
    must(read_candidate(self, &me));
    *v = (view_set){.self = me.id, .self_ring = me.ring, .size = size};
    v->near = must_alloc(size * sizeof *v->near);
    v->others = must_alloc(size * sizeof *v->others);
}

static void release(candidate *c)
{
    free((void *)(uintptr_t)c->descriptor.ptr);
}

void view_done(view_set *v)
{
    for (unsigned i = 0; i < v->n_near; i++)
        release(&v->near[i]);
    for (unsigned i = 0; i < v->n_others; i++)
        release(&v->others[i]);
    free(v->near);
    free(v->others);
}

static candidate *find(const view_set *v, const node_id *id)
{
    for (unsigned i = 0; i < v->n_near; i++)
        if (node_id_same(&v->near[i].id, id))
            return &v->near[i];
    for (unsigned i = 0; i < v->n_others; i++)
        if (node_id_same(&v->others[i].id, id))
            return &v->others[i];
    return NULL;
}

static void keep(candidate *c)
{
    uint8_t *copy = must_alloc(c->descriptor.len + 1);

    memcpy(copy, c->descriptor.ptr, c->descriptor.len);
    c->descriptor.ptr = copy;
}

static unsigned random_below(unsigned n)
{
    uint32_t r;

    random_bytes(&r, sizeof r);
    return r % n;
}

static void add_other(view_set *v, candidate c)
{
    unsigned at;

    if (v->n_others < v->size) {
        v->others[v->n_others++] = c;
        return;
    }
    at = random_below(v->size);
    release(&v->others[at]);
    v->others[at] = c;
}

static void add_near(view_set *v, candidate c)
{
    unsigned at = v->n_near;

    while (at > 0 && node_id_nearer(&v->self, &c.id, &v->near[at - 1].id) < 0)
        at--;
    if (at == v->size) {
        add_other(v, c);
        return;
    }
    if (v->n_near == v->size)
        add_other(v, v->near[--v->n_near]);
    memmove(v->near + at + 1, v->near + at, (v->n_near - at) * sizeof c);
    v->near[at] = c;
    v->n_near++;
}

bool view_add(view_set *v, pb_bytes descriptor)
{
    candidate c, *known;

    if (!read_candidate(descriptor, &c) || node_id_same(&c.id, &v->self))
        return false;
    known = find(v, &c.id);
    if (known != NULL && known->descriptor.len == descriptor.len &&
        memcmp(known->descriptor.ptr, descriptor.ptr, descriptor.len) == 0)
        return false;
    keep(&c);
    if (known != NULL) { /* it has moved */
        release(known);
        *known = c;
        return false;
    }
    add_near(v, c);
    return true;
}

static void take_out(candidate *from, unsigned *n, candidate *c)
{
    release(c);
    --*n;
    memmove(c, c + 1, (size_t)(from + *n - c) * sizeof *c);
}

void view_remove(view_set *v, const node_id *id)
{
    candidate *c = find(v, id);

    if (c == NULL)
        return;
    if (c >= v->near && c < v->near + v->n_near)
        take_out(v->near, &v->n_near, c);
    else
        take_out(v->others, &v->n_others, c);
}

unsigned view_count(const view_set *v)
{
    return v->n_near + v->n_others;
}

static const candidate *nth(const view_set *v, unsigned i)
{
    return i < v->n_near ? &v->near[i] : &v->others[i - v->n_near];
}

/* Nearest first, then the others as they lie: the first that fits. */
static const candidate *pick_first(const view_set *v, bool server,
                                   bool (*refused)(void *ctx, const node_id *id), void *ctx)
{
    for (unsigned i = 0; i < view_count(v); i++) {
        const candidate *c = nth(v, i);

        if ((!server || c->has_server) && !refused(ctx, &c->id))
            return c;
    }
    return NULL;
}

static const candidate *pick_ring(const view_set *v, bool left,
                                  bool (*refused)(void *ctx, const node_id *id), void *ctx)
{
    const candidate *best = NULL;
    ring_distance least = 0;

    for (unsigned i = 0; i < view_count(v); i++) {
        const candidate *c = nth(v, i);
        ring_distance far =
            left ? ring_left(&v->self_ring, &c->ring) : ring_right(&v->self_ring, &c->ring);

        if ((best != NULL && far >= least) || refused(ctx, &c->id))
            continue;
        best = c;
        least = far;
    }
    return best;
}

static const candidate *pick_random(const view_set *v,
                                    bool (*refused)(void *ctx, const node_id *id), void *ctx)
{
    unsigned n = view_count(v), from = n != 0 ? random_below(n) : 0;

    for (unsigned i = 0; i < n; i++) {
        const candidate *c = nth(v, (from + i) % n);

        if (!refused(ctx, &c->id))
            return c;
    }
    return NULL;
}

const candidate *view_pick(const view_set *v, view_order order,
                           bool (*refused)(void *ctx, const node_id *id), void *ctx)
{
    switch (order) {
    case VIEW_SERVER:
        return pick_first(v, true, refused, ctx);
    case VIEW_LEFT:
    case VIEW_RIGHT:
        return pick_ring(v, order == VIEW_LEFT, refused, ctx);
    case VIEW_NEAREST:
        return pick_first(v, false, refused, ctx);
    default:
        return pick_random(v, refused, ctx);
    }
}
