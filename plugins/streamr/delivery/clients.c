/* clients -- see clients.h. */
#include "delivery/clients.h"

#include "delivery/part.h"
#include "delivery/relay.h"

#include <stdlib.h>

static client *find(const clients *list, const node_id *id)
{
    for (unsigned i = 0; i < list->n; i++)
        if (node_id_same(&list->items[i].id, id))
            return &list->items[i];
    return NULL;
}

static client *add(part *p, const node_id *id)
{
    clients *list = &p->clients;
    client *c = find(list, id);

    if (c != NULL || list->n >= p->d->settings.max_clients)
        return c;
    if (list->n == list->cap) {
        list->cap = list->cap != 0 ? list->cap * 2 : 4;
        list->items = must_realloc(list->items, list->cap * sizeof *list->items);
    }
    c = &list->items[list->n++];
    *c = (client){.id = *id};
    peers_lock(p->d->peers, id);
    return c;
}

static void set_user(client *c, pb_bytes user)
{
    uint8_t *copy = must_alloc(user.len + 1);

    if (user.len != 0)
        memcpy(copy, user.ptr, user.len);
    free((void *)(uintptr_t)c->user.ptr);
    c->user = (pb_bytes){copy, user.len};
}

void clients_serve(part *p, const peers_from *from, const void *msg, peers_call *call)
{
    const network_proxy_request *r = msg;
    network_accepted reply = {.accepted = false};
    bool one_way = pb_has(&network_proxy_request_table, r, 1);
    client *c = NULL;

    if (r->user_id.len <= CLIENTS_USER_MAX && peers_connected(p->d->peers, &from->id))
        c = add(p, &from->id);
    if (c != NULL) {
        c->subscribes = !one_way || r->direction == NETWORK_SUBSCRIBE;
        set_user(c, r->user_id);
        reply.accepted = true;
    }
    /* First the answer: no message is to come before it. */
    peers_reply(call, &network_proxy_response_table, &reply);
    if (c != NULL)
        relay_feed(p, &from->id);
}

bool clients_remove(part *p, const node_id *id)
{
    client *c = find(&p->clients, id);

    if (c == NULL)
        return false;
    peers_unlock(p->d->peers, &c->id);
    free((void *)(uintptr_t)c->user.ptr);
    *c = p->clients.items[--p->clients.n];
    return true;
}

void clients_done(part *p)
{
    while (p->clients.n > 0)
        clients_remove(p, &p->clients.items[p->clients.n - 1].id);
    free(p->clients.items);
    p->clients = (clients){0};
}

static bool wants(const client *c, const glance *g)
{
    if (g->body != GLANCE_KEY_REQUEST)
        return c->subscribes;
    return c->user.len == g->recipient.len && c->user.len != 0 &&
           memcmp(c->user.ptr, g->recipient.ptr, c->user.len) == 0;
}

size_t clients_targets(const clients *list, const glance *g, const node_id *from,
                       const node_id **to)
{
    size_t n = 0;

    for (unsigned i = 0; i < list->n; i++) {
        const client *c = &list->items[i];

        if (wants(c, g) && (from == NULL || !node_id_same(&c->id, from)))
            to[n++] = &c->id;
    }
    return n;
}

bool clients_wants(const clients *list, const node_id *id, const glance *g)
{
    const client *c = find(list, id);

    return c != NULL && wants(c, g);
}
