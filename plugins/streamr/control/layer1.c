/* layer1 -- the DHT of each stream part, as a node that is not in it answers: pings, and the nodes
 * that have asked before, so that those who find only us find each other.
 *
 * What is asked here came routed: nothing of it proves who asks. What is kept is bounded. */
#include "control/parts.h"

#define PREFIX     "layer1::"
#define PREFIX_LEN (sizeof PREFIX - 1)

/* ---- parts ---- */

static layer1_part *part_find(control *c, pb_bytes name)
{
    uint64_t hash = hash_bytes(name.ptr, name.len);
    layer1_part *p = c->parts[hash % PART_SETS];

    while (p != NULL &&
           (p->hash != hash || p->len != name.len || memcmp(p->name, name.ptr, name.len) != 0))
        p = p->next;
    return p;
}

bool control_join(control *c, pb_bytes part)
{
    layer1_part *p;

    if (part_find(c, part) != NULL)
        return true;
    if (c->n_parts >= CONTROL_PARTS)
        return false;
    p = must_alloc(sizeof *p + part.len);
    p->hash = hash_bytes(part.ptr, part.len);
    p->len = part.len;
    memcpy(p->name, part.ptr, part.len);
    p->next = c->parts[p->hash % PART_SETS];
    c->parts[p->hash % PART_SETS] = p;
    c->n_parts++;
    return true;
}

static void part_free(layer1_part *p)
{
    for (unsigned i = 0; i < p->n_contacts; i++)
        free((void *)p->contacts[i].descriptor.ptr);
    free(p);
}

void control_leave(control *c, pb_bytes part)
{
    layer1_part *p = part_find(c, part), **at;

    if (p == NULL)
        return;
    at = &c->parts[p->hash % PART_SETS];
    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    c->n_parts--;
    part_free(p);
}

void layer1_free(control *c)
{
    for (size_t i = 0; i < PART_SETS; i++)
        while (c->parts[i] != NULL) {
            layer1_part *p = c->parts[i];

            c->parts[i] = p->next;
            part_free(p);
        }
}

/* ---- contacts ---- */

static void contact_add(control *c, layer1_part *p, const peers_from *from)
{
    unsigned i = 0;
    uint8_t *copy;

    if (c->o.contact != NULL)
        c->o.contact(c->o.arg, pb_bytes_from(p->name, p->len), from->descriptor);

    while (i < p->n_contacts && !node_id_same(&p->contacts[i].id, &from->id))
        i++;
    if (i == CONTROL_CONTACTS) {
        i = p->oldest;
        p->oldest = (p->oldest + 1) % CONTROL_CONTACTS;
    }
    copy = must_alloc(from->descriptor.len + 1);
    memcpy(copy, from->descriptor.ptr, from->descriptor.len);
    if (i == p->n_contacts)
        p->n_contacts++;
    else
        free((void *)p->contacts[i].descriptor.ptr);
    p->contacts[i].id = from->id;
    p->contacts[i].descriptor = pb_bytes_from(copy, from->descriptor.len);
}

static void contact_remove(layer1_part *p, const node_id *id)
{
    for (unsigned i = 0; i < p->n_contacts; i++) {
        if (!node_id_same(&p->contacts[i].id, id))
            continue;
        free((void *)p->contacts[i].descriptor.ptr);
        p->contacts[i] = p->contacts[--p->n_contacts];
        p->oldest = 0;
        return;
    }
}

/* Up to CLOSEST, nearest to the target first. */
static void contacts_list(const layer1_part *p, const node_id *target, const node_id *asker,
                          pb_list *out, pb_arena *arena)
{
    bool taken[CONTROL_CONTACTS] = {false};

    for (unsigned n = 0; n < CLOSEST; n++) {
        unsigned best = CONTROL_CONTACTS;
        dht_peer **slot, *peer;

        for (unsigned i = 0; i < p->n_contacts; i++)
            if (!taken[i] && !node_id_same(&p->contacts[i].id, asker) &&
                (best == CONTROL_CONTACTS ||
                 node_id_nearer(target, &p->contacts[i].id, &p->contacts[best].id) < 0))
                best = i;
        if (best == CONTROL_CONTACTS)
            return;
        taken[best] = true;
        peer = peer_of(p->contacts[best].descriptor, arena);
        if (peer == NULL || (slot = pb_push(arena, out, sizeof *slot)) == NULL)
            return;
        *slot = peer;
    }
}

/* ---- methods ---- */

static layer1_part *part_of(control *c, const envelope *e)
{
    return part_find(c, pb_bytes_from(e->service.ptr + PREFIX_LEN, e->service.len - PREFIX_LEN));
}

static void ping(control *c, const peers_from *from, const envelope *e, const void *msg,
                 peers_call *call)
{
    const dht_ping *q = msg;
    dht_ping answer = {.request_id = q->request_id};

    contact_add(c, part_of(c, e), from);
    if (call != NULL)
        peers_reply(call, &dht_ping_response_table, &answer);
}

static void closest_peers(control *c, const peers_from *from, const envelope *e, const void *msg,
                          peers_call *call)
{
    const dht_closest_request *q = msg;
    dht_closest_response answer = {.request_id = q->request_id};
    layer1_part *p = part_of(c, e);
    node_id target;

    if (node_id_of(q->node_id, &target))
        contacts_list(p, &target, &from->id, &answer.peers, &c->arena);
    if (call != NULL)
        peers_reply(call, &dht_closest_response_table, &answer);
    contact_add(c, p, from); /* not before: it may take the place of one that is named */
}

static void ring_peers(control *c, const peers_from *from, const envelope *e, const void *msg,
                       peers_call *call)
{
    const dht_ring_request *q = msg;
    dht_ring_response answer = {.request_id = q->request_id};
    layer1_part *p = part_of(c, e);

    contacts_list(p, &from->id, &from->id, &answer.left, &c->arena);
    answer.right = answer.left;
    if (call != NULL)
        peers_reply(call, &dht_ring_response_table, &answer);
    contact_add(c, p, from);
}

static void leave(control *c, const peers_from *from, const envelope *e, const void *msg,
                  peers_call *call)
{
    (void)msg;
    contact_remove(part_of(c, e), &from->id);
    if (call != NULL)
        peers_fail(call, RPC_SERVER_ERROR, "this is a notification");
}

static const method methods[] = {
    {"ping", &dht_ping_request_table, ping},
    {"getClosestPeers", &dht_closest_request_table, closest_peers},
    {"getClosestRingPeers", &dht_ring_request_table, ring_peers},
    {"leaveNotice", &dht_leave_notice_table, leave},
};

static void serve(void *arg, const peers_from *from, const envelope *e, peers_call *call)
{
    control *c = arg;

    if (part_of(c, e) != NULL)
        methods_serve(c, methods, COUNT_OF(methods), from, e, call);
    else if (call != NULL)
        peers_fail(call, RPC_SERVER_ERROR, "this node is not in that stream part");
}

void layer1_serve(control *c)
{
    must(peers_serve_routed(c->p, PREFIX "*", serve, c));
}
