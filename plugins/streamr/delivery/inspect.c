/* inspect -- see inspect.h. */
#include "delivery/inspect.h"

#include "delivery/part.h"

#include <stdlib.h>

/* ---- Being inspected ---- */

static unsigned place_of(const inspect *i, const node_id *id)
{
    unsigned at = 0;

    while (at < i->n_temporary && !node_id_same(&i->temporary[at], id))
        at++;
    return at;
}

void inspect_serve_open(part *p, const peers_from *from, const void *msg, peers_call *call)
{
    inspect *i = &p->inspect;
    unsigned at = place_of(i, &from->id);
    network_accepted reply = {.accepted = false};

    (void)msg;
    if (at == i->n_temporary && at < INSPECT_TEMPORARY && peers_connected(p->d->peers, &from->id)) {
        i->temporary[i->n_temporary++] = from->id;
        peers_lock(p->d->peers, &from->id);
    }
    reply.accepted = at < i->n_temporary;
    peers_reply(call, &network_temporary_response_table, &reply);
}

bool inspect_remove(part *p, const node_id *id)
{
    inspect *i = &p->inspect;
    unsigned at = place_of(i, id);

    if (at == i->n_temporary)
        return false;
    peers_unlock(p->d->peers, &i->temporary[at]);
    i->temporary[at] = i->temporary[--i->n_temporary];
    return true;
}

size_t inspect_targets(const inspect *i, const node_id **to)
{
    for (unsigned at = 0; at < i->n_temporary; at++)
        to[at] = &i->temporary[at];
    return i->n_temporary;
}

/* ---- Inspecting ---- */

#define SLOTS     1024u /* a power of two */
#define SLOTS_MAX (SLOTS / 4 * 3)

enum { FROM_IT = 1, FROM_OTHERS = 2 };

typedef struct slot {
    uint64_t hash; /* of the message's identity; 0: empty */
    unsigned from;
} slot;

struct watching {
    part *p;
    watching *next;
    node_id id;
    pb_bytes descriptor; /* behind the struct */
    void (*done)(void *arg, bool connected, uint64_t both, uint64_t others);
    void *arg;
    peers_timer *timer;
    bool is_open;
    unsigned used;
    slot slots[SLOTS];
};

static uint64_t identity_of(const glance *g)
{
    uint64_t parts[4] = {hash_bytes(g->publisher.ptr, g->publisher.len),
                         hash_bytes(g->chain.ptr, g->chain.len), (uint64_t)g->number.timestamp_ms,
                         (uint64_t)(uint32_t)g->number.sequence};

    return hash_bytes(parts, sizeof parts) | 1;
}

static void saw(watching *w, uint64_t hash, unsigned from)
{
    unsigned at = (unsigned)(hash >> 32) % SLOTS;

    while (w->slots[at].hash != 0 && w->slots[at].hash != hash)
        at = (at + 1) % SLOTS;
    if (w->slots[at].hash == 0) {
        if (w->used == SLOTS_MAX) /* enough to judge by */
            return;
        w->used++;
        w->slots[at].hash = hash;
    }
    w->slots[at].from |= from;
}

void inspect_saw(part *p, const glance *g, const node_id *from)
{
    uint64_t hash = identity_of(g);

    for (watching *w = p->inspect.watches; w != NULL; w = w->next)
        if (w->is_open)
            saw(w, hash, node_id_same(&w->id, from) ? FROM_IT : FROM_OTHERS);
}

static void take_out(watching *w)
{
    watching **at = &w->p->inspect.watches;

    while (*at != w)
        at = &(*at)->next;
    *at = w->next;
    w->p->inspect.watching--;
    peers_timer_end(w->timer);
}

static void tell_close(const watching *w)
{
    wire_empty nothing = {.head = {.has = 0}};
    peers_message m = {w->descriptor, w->p->service, "closeConnection",
                       &network_temporary_close_table, &nothing};

    if (w->is_open && peers_connected(w->p->d->peers, &w->id))
        peers_tell(w->p->d->peers, &m);
}

static void ends(watching *w)
{
    uint64_t both = 0, others = 0;

    for (unsigned i = 0; i < SLOTS; i++) {
        both += w->slots[i].from == (FROM_IT | FROM_OTHERS);
        others += (w->slots[i].from & FROM_OTHERS) != 0;
    }
    tell_close(w);
    take_out(w);
    w->done(w->arg, w->is_open, both, others);
    free(w);
}

static void time_is_up(void *arg)
{
    ends(arg);
}

static watching *find(const part *p, const node_id *id)
{
    watching *w = p->inspect.watches;

    while (w != NULL && !node_id_same(&w->id, id))
        w = w->next;
    return w;
}

static void open_answered(errand *e, peers_result result, const envelope *answer)
{
    watching *w = find(e->p, &e->to);
    network_accepted r;
    pb_arena arena;

    if (w == NULL)
        return;
    w->is_open =
        errand_open(e, result, answer, &network_temporary_response_table, &r, &arena) && r.accepted;
    if (w->is_open)
        w->timer = peers_timer_start(e->p->d->peers, INSPECT_MS, 0, time_is_up, w);
    else
        ends(w);
}

bool inspect_start(part *p, pb_bytes descriptor,
                   void (*done)(void *arg, bool connected, uint64_t both, uint64_t others),
                   void *arg)
{
    wire_empty nothing = {.head = {.has = 0}};
    peers_message m = {descriptor, p->service, "openConnection", &network_temporary_request_table,
                       &nothing};
    watching *w;
    errand *e;

    if (p->inspect.watching == INSPECT_AT_ONCE)
        return false;
    e = errand_start(p, ERRAND_INSPECT, &m, open_answered);
    if (e == NULL)
        return false;
    if (find(p, &e->to) != NULL) {
        errand_end(p, ERRAND_INSPECT, &e->to);
        return false;
    }
    w = must_alloc(sizeof *w + descriptor.len);
    memcpy(w + 1, descriptor.ptr, descriptor.len);
    w->descriptor = (pb_bytes){(uint8_t *)(w + 1), descriptor.len};
    w->p = p;
    w->id = e->to;
    w->done = done;
    w->arg = arg;
    w->next = p->inspect.watches;
    p->inspect.watches = w;
    p->inspect.watching++;
    return true;
}

void inspect_done(part *p)
{
    while (p->inspect.n_temporary > 0)
        inspect_remove(p, &p->inspect.temporary[0]);
    while (p->inspect.watches != NULL) {
        watching *w = p->inspect.watches;

        tell_close(w);
        take_out(w);
        free(w);
    }
}
