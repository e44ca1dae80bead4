/* operation -- recursive operations on the network's data (spec 4.8.3), as a node takes part that
 * keeps none: it has nothing and knows nobody nearer.
 *
 * Who began the operation waits for a report of each node on the way, up to ten seconds: saying
 * nothing would hold up those who have nothing to do with us. */
#include "control/parts.h"

#define SESSION_MAX 64u  /* a uuid has 36 */
#define LOOKED_AT   256u /* connections */

/* The session's id as a service: text, so that it can be one. */
static bool session_of(control *c, const dht_route *r, char out[SESSION_MAX + 1])
{
    dht_message m;
    pb_bytes id;

    if (pb_decode(&dht_message_table, &m, r->message.ptr, r->message.len, &c->arena) != NULL ||
        m.recursive_request == NULL)
        return false;
    id = m.recursive_request->session_id;
    if (id.len == 0 || id.len > SESSION_MAX || memchr(id.ptr, '\0', id.len) != NULL)
        return false;
    memcpy(out, id.ptr, id.len);
    out[id.len] = '\0';
    return true;
}

/* Connected nodes, nearest to the target first. */
static void closest(control *c, const node_id *target, pb_list *out)
{
    node_id ids[LOOKED_AT];
    size_t n = peers_list(c->p, ids, LOOKED_AT);

    for (unsigned found = 0; found < CLOSEST && n > 0; found++) {
        size_t best = 0;
        dht_peer *peer, **slot;

        for (size_t i = 1; i < n; i++)
            if (node_id_nearer(target, &ids[i], &ids[best]) < 0)
                best = i;
        peer = peer_of(peers_descriptor_of(c->p, &ids[best]), &c->arena);
        if (peer == NULL || (slot = pb_push(&c->arena, out, sizeof *slot)) == NULL)
            return;
        *slot = peer;
        ids[best] = ids[--n];
    }
}

void operation_report(control *c, const peers_from *from, const dht_route *r)
{
    char session[SESSION_MAX + 1];
    dht_recursive_response report = {.no_closer = true, .routing_path = r->routing_path};
    peers_message m = {.service = session,
                       .method = "sendResponse",
                       .table = &dht_recursive_response_table,
                       .msg = &report};
    node_id target, source;
    sb to = SB_INIT;

    if (r->source == NULL || !node_id_of(r->source->node_id, &source) ||
        node_id_same(&source, peers_self(c->p)) || !node_id_of(r->target, &target) ||
        !session_of(c, r, session))
        return;
    closest(c, &target, &report.closest);
    if (pb_encode(&dht_peer_table, r->source, &to)) {
        m.to = pb_bytes_from(to.data, to.len);
        peers_tell_routed(c->p, &m, &from->id);
    }
    sb_done(&to);
}
