/* seek -- see seek.h. */
#include "delivery/seek.h"

#include "delivery/part.h"

#define LISTED_FEW   8u
#define LIST_MS      60000u
#define STEADY_MS    30000u
#define APART_MIN_MS 1000 /* between two questions */

static void ask(part *p);

static void alarm_comes(void *arg)
{
    ask(arg);
}

static void set_alarm(part *p, uint32_t ms)
{
    peers_timer_end(p->seek.alarm);
    p->seek.alarm = peers_timer_start(p->d->peers, ms, 0, alarm_comes, p);
}

/* Many parts joined at once do not ask at once for ever. */
static uint32_t with_jitter(uint32_t ms)
{
    uint32_t r;

    random_bytes(&r, sizeof r);
    return ms - ms / 8 + r % (ms / 4 + 1);
}

static void again_later(part *p)
{
    /* After the first; an answer that took long does not move the next. */
    static const uint32_t times_s[] = {1, 3, 7, 15, 31};
    seek *s = &p->seek;
    int64_t passed_ms = peers_now_ms(p->d->peers) - s->began_ms;

    while (s->tries < COUNT_OF(times_s) && times_s[s->tries] * 1000 < passed_ms)
        s->tries++;
    if (s->tries < COUNT_OF(times_s))
        set_alarm(p, (uint32_t)(times_s[s->tries++] * 1000 - passed_ms));
    else
        set_alarm(p, with_jitter(STEADY_MS));
}

static void list(part *p, size_t others, bool ours)
{
    seek *s = &p->seek;

    s->list_due = false;
    s->is_listed = others < LISTED_FEW || ours;
    if (s->is_listed)
        p->d->source.announce(p->d->source.arg, &p->key);
}

static void found(void *ctx, bool ok, const pb_bytes *descriptors, size_t n)
{
    part *p = ctx;
    size_t others = 0;
    bool news = false, ours = false;
    node_id id;

    p->seek.asking = false;
    for (size_t i = 0; i < n; i++) {
        if (!peer_node_id(descriptors[i], &id))
            continue;
        if (node_id_same(&id, peers_self(p->d->peers))) {
            ours = true;
            continue;
        }
        others++;
        news = view_add(&p->view, descriptors[i]) || news;
    }
    if (ok && p->seek.list_due)
        list(p, others, ours);
    if (p->neighbors.n < p->d->settings.neighbors || p->seek.list_due)
        again_later(p);
    if (news || p->neighbors.n == 0)
        finder_start(p);
}

static void ask(part *p)
{
    seek *s = &p->seek;

    if (s->asking)
        return;
    s->has_asked = true;
    s->asked_ms = peers_now_ms(p->d->peers);
    s->asking = p->d->source.find(p->d->source.arg, &p->key, found, p);
    if (!s->asking)
        again_later(p);
}

static void list_comes(void *arg)
{
    part *p = arg;

    p->seek.list_due = true;
    ask(p);
}

void seek_start(part *p)
{
    if (p->d->source.find == NULL)
        return;
    p->seek.list_due = true;
    p->seek.began_ms = peers_now_ms(p->d->peers);
    p->seek.list_alarm = peers_timer_start(p->d->peers, with_jitter(LIST_MS) / 8 * 7,
                                           LIST_MS / 8 * 7, list_comes, p);
    ask(p);
}

void seek_lost(part *p)
{
    seek *s = &p->seek;
    int64_t since_ms = peers_now_ms(p->d->peers) - s->asked_ms;

    if (!s->has_asked || s->asking)
        return;
    if (p->neighbors.n == 0) {
        s->tries = 0;
        s->began_ms = peers_now_ms(p->d->peers);
        set_alarm(p, since_ms < APART_MIN_MS ? (uint32_t)(APART_MIN_MS - since_ms) : 0);
    } else if (p->neighbors.n + 1 == p->d->settings.neighbors)
        again_later(p);
}

void seek_end(part *p)
{
    peers_timer_end(p->seek.alarm);
    peers_timer_end(p->seek.list_alarm);
    if (p->seek.asking)
        p->d->source.cancel(p->d->source.arg, p);
    p->seek = (seek){.is_listed = p->seek.is_listed};
}
