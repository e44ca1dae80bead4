/* handshake -- see handshake.h. The rules are those of the network (spec 4.9.2): both sides must
 * come to the same end, so nothing here is to be improved. */
#include "delivery/handshake.h"

#include "delivery/part.h"

static unsigned target_of(const part *p)
{
    return p->d->settings.neighbors;
}

/* ---- Asking ---- */

static void reply_interleaved(peers_call *call, bool accepted)
{
    network_accepted reply = {.accepted = accepted};

    peers_reply(call, &network_interleave_response_table, &reply);
}

/* We were sent to another node: whatever it said, the one who sent us has given us up. But not when
 * it could not be asked: then he keeps us, and we him. */
static void answer_interleave(errand *e, peers_result result)
{
    bool asked = result == PEERS_ANSWERED || result == PEERS_REFUSED;

    if (e->call == NULL)
        return;
    if (asked && part_drop_neighbor(e->p, &e->between))
        e->p->d->count.interleaved++;
    reply_interleaved(e->call, asked);
    e->call = NULL;
}

/* The one who took us has let another go for us: that one we may have, too. */
static void follow(part *p, const node_id *to, pb_bytes descriptor)
{
    node_id third;

    if (!peer_node_id(descriptor, &third) || node_id_same(&third, peers_self(p->d->peers)) ||
        neighbors_find(&p->neighbors, &third) != NULL ||
        errand_find(p, ERRAND_HANDSHAKE, &third) != NULL)
        return;
    /* One more than wanted at most: nobody can send us on and on. */
    if (p->neighbors.n + errand_count(p, ERRAND_HANDSHAKE) <= target_of(p))
        handshake_ask(p, descriptor, to, NULL);
}

static void handshake_answered(errand *e, peers_result result, const envelope *answer)
{
    part *p = e->p;
    network_handshake_response r;
    pb_arena arena;
    bool accepted = errand_open(e, result, answer, &network_handshake_response_table, &r, &arena) &&
                    r.accepted && part_add_neighbor(p, &e->to, e->descriptor);

    p->d->count.accepts_in += accepted;
    if (result == PEERS_UNREACHABLE || result == PEERS_TIMEOUT)
        view_remove(&p->view, &e->to);
    if (accepted && r.interleave_target != NULL)
        follow(p, &e->to, part_encoded(r.interleave_target, &arena));
    answer_interleave(e, result);
    if (!accepted)
        finder_start(p);
}

static void put_ids(part *p, pb_list *list, pb_arena *arena)
{
    for (unsigned i = 0; i < p->neighbors.n; i++) {
        pb_bytes *id = pb_push(arena, list, sizeof *id);

        if (id != NULL)
            *id = node_id_bytes(&p->neighbors.items[i].id);
    }
}

void handshake_ask(part *p, pb_bytes descriptor, const node_id *between, peers_call *call)
{
    char uuid[UUID_LEN];
    uuid_source ids = {.left = 0};
    _Alignas(16) uint8_t memory[2048]; /* the descriptor may lie in the part's arena */
    pb_arena arena = {memory, sizeof memory, 0};
    network_handshake_request r = {.stream_part = p->name,
                                   .request_id = {(uint8_t *)uuid, UUID_LEN}};
    peers_message m = {descriptor, p->service, "handshake", &network_handshake_request_table, &r};
    errand *e;

    uuid_make(&ids, uuid);
    put_ids(p, &r.neighbors, &arena);
    if (between != NULL) {
        r.interleave_node = node_id_bytes(between);
        pb_set(&network_handshake_request_table, &r, 5);
    }
    e = errand_start(p, ERRAND_HANDSHAKE, &m, handshake_answered);
    if (e == NULL) {
        if (call != NULL)
            reply_interleaved(call, false);
        return;
    }
    p->d->count.handshakes_out++;
    e->call = call;
    e->has_between = between != NULL;
    if (between != NULL)
        e->between = *between;
}

/* ---- Being asked ---- */

static bool names(const pb_list *list, const node_id *id)
{
    const pb_bytes *items = list->items;

    for (uint32_t i = 0; i < list->n; i++)
        if (items[i].len == NODE_ID_LEN && memcmp(items[i].ptr, id, NODE_ID_LEN) == 0)
            return true;
    return false;
}

/* The neighbour to be let go for the requester: the last that may be; NULL: none. */
static const delivery_neighbor *one_to_give(const part *p, const node_id *requester,
                                            const network_handshake_request *r)
{
    for (unsigned i = p->neighbors.n; i-- > 0;) {
        const delivery_neighbor *n = &p->neighbors.items[i];

        if (!node_id_same(&n->id, requester) && !names(&r->neighbors, &n->id) &&
            errand_find(p, ERRAND_INTERLEAVE, &n->id) == NULL &&
            !(r->interleave_node.len == NODE_ID_LEN &&
              memcmp(r->interleave_node.ptr, &n->id, NODE_ID_LEN) == 0))
            return n;
    }
    return NULL;
}

static void interleave_answered(errand *e, peers_result result, const envelope *answer)
{
    network_accepted r;
    pb_arena arena;

    if (errand_open(e, result, answer, &network_interleave_response_table, &r, &arena) &&
        r.accepted && part_drop_neighbor(e->p, &e->to))
        e->p->d->count.interleaved++;
}

static void interleave_ask(part *p, pb_bytes neighbor, pb_bytes requester)
{
    pb_arena arena = part_arena(p);
    network_interleave_request r = {.interleave_target = part_descriptor(requester, &arena)};
    peers_message m = {neighbor, p->service, "interleaveRequest", &network_interleave_request_table,
                       &r};

    if (r.interleave_target != NULL)
        errand_start(p, ERRAND_INTERLEAVE, &m, interleave_answered);
}

typedef enum decision { REFUSE, ACCEPT, ACCEPT_INTERLEAVED } decision;

static decision decide(part *p, const node_id *who, const network_handshake_request *r)
{
    unsigned ongoing = errand_count(p, ERRAND_HANDSHAKE), n = p->neighbors.n, counted = n;
    node_id between;

    if (errand_find(p, ERRAND_INTERLEAVE, who) != NULL)
        return REFUSE;
    if (neighbors_find(&p->neighbors, who) != NULL || errand_find(p, ERRAND_HANDSHAKE, who) != NULL)
        return ACCEPT;
    if (n + ongoing < target_of(p))
        return ACCEPT;
    if (node_id_of(r->interleave_node, &between) && neighbors_find(&p->neighbors, &between) != NULL)
        counted--;
    return counted >= errand_count(p, ERRAND_INTERLEAVE) + 2 && n <= target_of(p)
               ? ACCEPT_INTERLEAVED
               : REFUSE;
}

void handshake_serve(part *p, const peers_from *from, const void *msg, peers_call *call)
{
    const network_handshake_request *r = msg;
    network_handshake_response reply = {.request_id = r->request_id};
    decision d = decide(p, &from->id, r);
    const delivery_neighbor *given = d == ACCEPT_INTERLEAVED ? one_to_give(p, &from->id, r) : NULL;
    uint8_t given_bytes[DESCRIPTOR_MAX];
    pb_bytes given_descriptor = {given_bytes, given != NULL ? given->descriptor.len : 0};
    _Alignas(16) uint8_t memory[8192]; /* the part's arena holds the request */
    pb_arena arena = {memory, sizeof memory, 0};

    p->d->count.handshakes_in++;
    if (given != NULL) {
        memcpy(given_bytes, given->descriptor.ptr, given_descriptor.len);
        reply.interleave_target = part_descriptor(given_descriptor, &arena);
    }
    reply.accepted = d != REFUSE && peers_connected(p->d->peers, &from->id) &&
                     !node_id_same(&from->id, peers_self(p->d->peers)) &&
                     p->neighbors.n < NEIGHBORS_MAX && from->descriptor.len <= DESCRIPTOR_MAX;
    if (!reply.accepted)
        reply.interleave_target = NULL;
    /* First the answer: messages for a new neighbour come after it. */
    peers_reply(call, &network_handshake_response_table, &reply);
    view_add(&p->view, from->descriptor);
    if (!reply.accepted)
        return;
    p->d->count.accepts_out++;
    part_add_neighbor(p, &from->id, from->descriptor);
    if (given != NULL)
        interleave_ask(p, given_descriptor, from->descriptor);
}

void handshake_serve_interleave(part *p, const peers_from *from, const void *msg, peers_call *call)
{
    const network_interleave_request *r = msg;
    _Alignas(16) uint8_t memory[4096];
    pb_arena arena = {memory, sizeof memory, 0};
    pb_bytes descriptor = {NULL, 0};
    node_id third;

    if (r->interleave_target != NULL)
        descriptor = part_encoded(r->interleave_target, &arena);
    /* Only a neighbour sends us elsewhere, one place at a time: we dial nobody for strangers. */
    if (neighbors_find(&p->neighbors, &from->id) == NULL || !peer_node_id(descriptor, &third) ||
        node_id_same(&third, peers_self(p->d->peers)) || node_id_same(&third, &from->id)) {
        reply_interleaved(call, false);
        return;
    }
    for (const errand *e = p->errands; e != NULL; e = e->next) {
        if (e->call == NULL || !node_id_same(&e->between, &from->id))
            continue;
        reply_interleaved(call, false);
        return;
    }
    view_add(&p->view, descriptor);
    if (neighbors_find(&p->neighbors, &third) != NULL) {
        p->d->count.interleaved += part_drop_neighbor(p, &from->id);
        reply_interleaved(call, true);
        return;
    }
    handshake_ask(p, descriptor, &from->id, call);
}
