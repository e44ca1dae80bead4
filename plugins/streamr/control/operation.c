/* operation -- finding, fetching and deleting data (spec 4.8.3), where the way ends: at a node that
 * routes nothing on. */
#include "control/parts.h"

#define SESSION_MAX 64u

typedef struct nearest {
    const node_id *target, *self;
    peer_link *links[CLOSEST];
    size_t n, nearer_than_us;
} nearest;

static bool look(void *arg, peer_link *l)
{
    nearest *w = arg;
    size_t at = w->n;

    if (l->is_private)
        return true;
    w->nearer_than_us += node_id_nearer(w->target, &l->id, w->self) < 0;
    while (at > 0 && node_id_nearer(w->target, &l->id, &w->links[at - 1]->id) < 0)
        at--;
    if (at == CLOSEST)
        return true;
    if (w->n < CLOSEST)
        w->n++;
    memmove(&w->links[at + 1], &w->links[at], (w->n - at - 1) * sizeof w->links[0]);
    w->links[at] = l;
    return true;
}

static void list(const nearest *w, pb_list *out, pb_arena *arena)
{
    for (size_t i = 0; i < w->n; i++) {
        dht_peer *peer = peer_of(w->links[i]->descriptor, arena), **slot;

        if (peer == NULL || (slot = pb_push(arena, out, sizeof *slot)) == NULL)
            return;
        *slot = peer;
    }
}

static void send(control *c, const node_id *via, const dht_route *r, pb_bytes session,
                 const dht_recursive_response *answer)
{
    uuid_source *ids = &c->ids;
    char message_id[UUID_LEN], request_id[UUID_LEN];
    envelope e = {.kind = ENVELOPE_NOTIFICATION,
                  .service = session,
                  .source = peers_descriptor(c->p),
                  .method = pb_bytes_of("sendResponse")};
    sb target = SB_INIT, body = SB_INIT, frame = SB_INIT;

    uuid_make(ids, message_id);
    uuid_make(ids, request_id);
    e.message_id = pb_bytes_from(message_id, UUID_LEN);
    e.request_id = pb_bytes_from(request_id, UUID_LEN);
    if (pb_encode(&dht_peer_table, r->source, &target) && target.len <= DESCRIPTOR_MAX &&
        envelope_seal(&e, &dht_recursive_response_table, answer, &body)) {
        e.target = pb_bytes_from(target.data, target.len);
        envelope_append(&e, &frame);
        peers_route(c->p, e.target, &frame, via);
    }
    sb_done(&target), sb_done(&body), sb_done(&frame);
}

void operation_answer(control *c, const node_id *via, const dht_route *r)
{
    dht_recursive_response answer = {.no_closer = true, .routing_path = r->routing_path};
    dht_recursive_request q;
    node_id target, creator;
    nearest w = {.target = &target, .self = peers_self(c->p)};
    envelope inner;

    if (envelope_read(r->message.ptr, r->message.len, &inner) != NULL ||
        inner.kind != ENVELOPE_RECURSIVE_REQUEST || r->source == NULL ||
        envelope_open(&inner, &dht_recursive_request_table, &q, &c->arena) != NULL ||
        q.session_id.len == 0 || q.session_id.len > SESSION_MAX ||
        !node_id_of(r->target, &target) || !node_id_of(r->source->node_id, &creator) ||
        node_id_same(&creator, w.self))
        return;
    links_each(peers_links(c->p), look, &w);
    list(&w, &answer.closest, &c->arena);
    if (q.operation == DHT_FETCH_DATA)
        store_get(c->store, &target, w.nearer_than_us >= CLOSEST, &answer.entries, &c->arena,
                  clock_wall_ms());
    else if (q.operation == DHT_DELETE_DATA)
        store_delete(c->store, &target, &creator);
    send(c, via, r, q.session_id, &answer);
}
