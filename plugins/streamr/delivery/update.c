/* update -- see update.h. */
#include "delivery/update.h"

#include "delivery/part.h"

#define LIST_MAX 32u /* of what a neighbour tells so many are looked at */

/* Our neighbours as a message, in the arena. */
static network_neighbor_update make(part *p, pb_arena *arena)
{
    network_neighbor_update u = {.stream_part = p->name};

    for (unsigned i = 0; i < p->neighbors.n; i++) {
        dht_peer *peer = part_descriptor(p->neighbors.items[i].descriptor, arena);
        dht_peer **at = peer != NULL ? pb_push(arena, &u.neighbors, sizeof *at) : NULL;

        if (at != NULL)
            *at = peer;
    }
    return u;
}

/* What a neighbour says about its neighbours. */
static void learn(part *p, const network_neighbor_update *u, pb_arena *arena)
{
    dht_peer **told = u->neighbors.items;

    for (uint32_t i = 0; i < u->neighbors.n && i < LIST_MAX; i++) {
        pb_bytes descriptor = part_encoded(told[i], arena);

        if (descriptor.ptr != NULL)
            view_add(&p->view, descriptor);
    }
}

static bool too_many(const part *p, const network_neighbor_update *u)
{
    return p->neighbors.n > p->d->settings.neighbors && u->neighbors.n > p->d->settings.neighbors;
}

static void update_answered(errand *e, peers_result result, const envelope *answer)
{
    part *p = e->p;
    network_neighbor_update u;
    delivery_neighbor *n = neighbors_find(&p->neighbors, &e->to);
    pb_arena arena;

    if (n == NULL)
        return;
    if (!errand_open(e, result, answer, &network_neighbor_update_table, &u, &arena) ||
        u.remove_me) {
        part_drop_neighbor(p, &e->to);
        return;
    }
    n->rtt_ms = (int32_t)(peers_now_ms(p->d->peers) - e->since_ms);
    learn(p, &u, &arena);
    finder_start(p);
}

void update_ask(part *p)
{
    pb_arena arena = part_arena(p);
    network_neighbor_update u = make(p, &arena);

    /* A neighbour that has not answered the last one is dropped when that ends. */
    for (unsigned i = 0; i < p->neighbors.n; i++) {
        peers_message m = {p->neighbors.items[i].descriptor, p->service, "neighborUpdate",
                           &network_neighbor_update_table, &u};

        if (errand_find(p, ERRAND_UPDATE, &p->neighbors.items[i].id) == NULL)
            errand_start(p, ERRAND_UPDATE, &m, update_answered);
    }
}

void update_serve(part *p, const peers_from *from, const void *msg, peers_call *call)
{
    const network_neighbor_update *u = msg;
    bool ours = neighbors_find(&p->neighbors, &from->id) != NULL, drop = ours && too_many(p, u);
    bool known = ours || errand_find(p, ERRAND_HANDSHAKE, &from->id) != NULL;
    _Alignas(16) uint8_t memory[16384];
    pb_arena arena = {memory, sizeof memory, 0};
    network_neighbor_update reply;

    if (ours)
        learn(p, u, &arena);
    if (drop)
        part_drop_neighbor(p, &from->id);
    arena.used = 0;
    reply = make(p, &arena);
    reply.remove_me = !known || drop;
    peers_reply(call, &network_neighbor_update_table, &reply);
    if (known && !drop)
        finder_start(p);
}
