/* finder -- see finder.h. */
#include "delivery/finder.h"

#include "delivery/handshake.h"
#include "delivery/part.h"

#define FIRST_MS       100u
#define ROUND_MS       250u
#define AGAIN_FIRST_MS 250u
#define AGAIN_MAX_MS   16000u
#define DIALS_A_SECOND 100u /* of all parts: nobody has us dial the world by naming candidates */

static void round_comes(void *arg);

static void set_alarm(part *p, uint32_t ms)
{
    peers_timer_end(p->finder.alarm);
    p->finder.alarm = peers_timer_start(p->d->peers, ms, 0, round_comes, p);
}

static bool is_tried(const finder *f, const node_id *id)
{
    for (unsigned i = 0; i < f->n_tried; i++)
        if (node_id_same(&f->tried[i], id))
            return true;
    return false;
}

static bool refused(void *ctx, const node_id *id)
{
    part *p = ctx;

    return is_tried(&p->finder, id) || neighbors_find(&p->neighbors, id) != NULL ||
           errand_find(p, ERRAND_HANDSHAKE, id) != NULL ||
           errand_find(p, ERRAND_INTERLEAVE, id) != NULL;
}

static bool may_dial(delivery *d)
{
    int64_t now_ms = peers_now_ms(d->peers);

    if (now_ms - d->dials_since_ms >= 1000) {
        d->dials_since_ms = now_ms;
        d->dials = 0;
    }
    return d->dials < DIALS_A_SECOND;
}

static bool try_one(part *p, view_order order)
{
    const candidate *c = view_pick(&p->view, order, refused, p);

    if (c == NULL || p->finder.n_tried == FINDER_TRIED)
        return false;
    p->finder.tried[p->finder.n_tried++] = c->id;
    p->d->dials += !peers_connected(p->d->peers, &c->id);
    handshake_ask(p, c->descriptor, NULL, NULL);
    return true;
}

/* Up to n handshakes, in that order of preference: as the specification has it. */
static unsigned try_some(part *p, const view_order *orders, size_t n_orders, unsigned n)
{
    unsigned done = 0;

    for (size_t i = 0; i < n_orders && done < n; i++)
        done += try_one(p, orders[i]);
    return done;
}

static unsigned round_of(part *p, unsigned have, unsigned target)
{
    static const view_order orders[] = {VIEW_SERVER, VIEW_LEFT, VIEW_RIGHT, VIEW_NEAREST,
                                        VIEW_RANDOM};
    bool first = p->neighbors.n == 0;

    if (have + 2 < target)
        return try_some(p, orders + !first, COUNT_OF(orders) - !first, 2);
    return have < target ? try_some(p, orders + 1, COUNT_OF(orders) - 1, 1) : 0;
}

static void run_ends(part *p)
{
    finder *f = &p->finder;

    f->running = false;
    if (p->neighbors.n > 0 || view_count(&p->view) == 0)
        return;
    f->again_ms = f->again_ms == 0             ? AGAIN_FIRST_MS
                  : f->again_ms < AGAIN_MAX_MS ? f->again_ms * 2
                                               : AGAIN_MAX_MS;
    set_alarm(p, f->again_ms);
}

static void round_comes(void *arg)
{
    part *p = arg;
    finder *f = &p->finder;
    unsigned ongoing = errand_count(p, ERRAND_HANDSHAKE);
    unsigned target = p->d->settings.neighbors;

    peers_timer_end(f->alarm);
    f->alarm = NULL;
    if (!may_dial(p->d)) {
        set_alarm(p, ROUND_MS);
        return;
    }
    if (!f->running) {
        f->running = true;
        f->n_tried = 0;
    }
    if (p->neighbors.n >= target)
        f->running = false;
    else if (round_of(p, p->neighbors.n + ongoing, target) > 0 || ongoing > 0)
        set_alarm(p, ROUND_MS);
    else
        run_ends(p);
}

void finder_start(part *p)
{
    /* Between two runs the news are tried at once; what failed is in no hurry. */
    bool waits = p->finder.running || (p->finder.alarm != NULL && p->finder.again_ms == 0);

    if (p->proxies == NULL && !waits && p->neighbors.n < p->d->settings.neighbors)
        set_alarm(p, FIRST_MS);
}

void finder_found(part *p)
{
    p->finder.again_ms = 0;
}

void finder_end(part *p)
{
    peers_timer_end(p->finder.alarm);
    p->finder.alarm = NULL;
    p->finder.running = false;
}
