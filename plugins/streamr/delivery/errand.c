/* errand -- see errand.h. */
#include "delivery/errand.h"

#include "delivery/part.h"

#include <stdlib.h>

static void unlink_errand(errand *e)
{
    errand **at = &e->p->errands;

    while (*at != e)
        at = &(*at)->next;
    *at = e->next;
}

static void answered(void *arg, peers_result result, const envelope *answer)
{
    errand *e = arg;

    unlink_errand(e);
    e->done(e, result, answer);
    free(e);
}

errand *errand_start(part *p, errand_kind kind, const peers_message *m, errand_done done)
{
    errand *e;
    node_id to;

    if (!peer_node_id(m->to, &to) || m->to.len > DESCRIPTOR_MAX)
        return NULL;
    e = must_alloc(sizeof *e + m->to.len);
    memcpy(e + 1, m->to.ptr, m->to.len);
    *e = (errand){.p = p,
                  .kind = kind,
                  .to = to,
                  .descriptor = {(uint8_t *)(e + 1), m->to.len},
                  .since_ms = peers_now_ms(p->d->peers),
                  .done = done};
    if (!peers_ask(p->d->peers, m, 0, answered, e)) {
        free(e);
        return NULL;
    }
    e->next = p->errands;
    p->errands = e;
    return e;
}

errand *errand_find(const part *p, errand_kind kind, const node_id *to)
{
    for (errand *e = p->errands; e != NULL; e = e->next)
        if (e->kind == kind && node_id_same(&e->to, to))
            return e;
    return NULL;
}

unsigned errand_count(const part *p, errand_kind kind)
{
    unsigned n = 0;

    for (const errand *e = p->errands; e != NULL; e = e->next)
        n += e->kind == kind;
    return n;
}

static void end(errand *e)
{
    unlink_errand(e);
    peers_cancel(e->p->d->peers, e);
    if (e->call != NULL)
        peers_fail(e->call, RPC_SERVER_ERROR, "the stream part was left meanwhile");
    free(e);
}

void errand_end(part *p, errand_kind kind, const node_id *to)
{
    errand *e = errand_find(p, kind, to);

    if (e != NULL)
        end(e);
}

void errand_end_all(part *p)
{
    while (p->errands != NULL)
        end(p->errands);
}

bool errand_open(const errand *e, peers_result result, const envelope *answer,
                 const pb_table *table, void *msg, pb_arena *arena)
{
    *arena = part_arena(e->p);
    return result == PEERS_ANSWERED && envelope_open(answer, table, msg, arena) == NULL;
}
