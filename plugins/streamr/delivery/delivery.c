/* delivery -- see delivery.h: the table of parts. */
#include "delivery/delivery.h"

#include "delivery/part.h"
#include "delivery/proxies.h"
#include "delivery/relay.h"

#include <stdlib.h>

#define PART_NAME_MAX 1200u

/* ---- Making it ---- */

static unsigned or_default(unsigned given, unsigned fallback, unsigned most)
{
    given = given != 0 ? given : fallback;
    return given < most ? given : most;
}

static delivery_settings settings_of(const delivery_settings *given)
{
    delivery_settings s = given != NULL ? *given : (delivery_settings){0};

    /* A part can have some more than wanted for a while. */
    s.neighbors = or_default(s.neighbors, 4, NEIGHBORS_MAX - 4);
    s.view = or_default(s.view, 20, 200);
    s.min_targets = or_default(s.min_targets, RECENT_TARGETS, RECENT_TARGETS_MAX);
    s.buffer = or_default(s.buffer, RECENT_MESSAGES, 10000);
    s.max_parts = or_default(s.max_parts, 10000, 1000000);
    s.max_clients = or_default(s.max_clients, 1000, 100000);
    return s;
}

static void lost(void *arg, const node_id *id, peers_loss how)
{
    delivery *d = arg;

    for (unsigned b = 0; b < PART_BUCKETS; b++)
        for (part *p = d->buckets[b]; p != NULL; p = p->next_same)
            part_lost(p, id, how);
}

delivery *delivery_new(peers *p, const delivery_settings *settings, const delivery_source *source,
                       const delivery_calls *calls)
{
    delivery *d = must_alloc(sizeof *d);
    size_t most;

    d->peers = p;
    d->settings = settings_of(settings);
    if (source != NULL)
        d->source = *source;
    d->calls = *calls;
    d->memory = must_alloc(PART_ARENA);
    most = NEIGHBORS_MAX + INSPECT_TEMPORARY + d->settings.max_clients;
    d->to = must_alloc(most * sizeof *d->to);
    d->sent = must_alloc(most * sizeof *d->sent);
    d->watch = (peers_watch){.arg = d, .lost = lost};
    peers_watch_add(p, &d->watch);
    return d;
}

/* ---- Parts ---- */

static part **bucket_of(const delivery *d, pb_bytes name)
{
    return (part **)&d->buckets[hash_bytes(name.ptr, name.len) % PART_BUCKETS];
}

static part *find(const delivery *d, pb_bytes name)
{
    part *p = *bucket_of(d, name);

    while (p != NULL && (p->name.len != name.len || memcmp(p->name.ptr, name.ptr, name.len) != 0))
        p = p->next_same;
    return p;
}

static bool is_as_before(const part *p, const delivery_proxied *proxied)
{
    return proxied == NULL ? p->proxies == NULL
                           : p->proxies != NULL && proxies_same(p->proxies, proxied);
}

static const char *check_name(pb_bytes name)
{
    pb_bytes stream;
    uint32_t partition;

    if (name.len > PART_NAME_MAX || !utf8_ok(name.ptr, name.len) ||
        memchr(name.ptr, 0, name.len) != NULL)
        return "a stream part's name is too long or no text";
    return stream_part_read(name, &stream, &partition) ? NULL : "no stream part: 'stream#0' is one";
}

static void start(part *p)
{
    if (p->proxies != NULL)
        proxies_start(p);
    else
        seek_start(p);
}

const char *delivery_join(delivery *d, pb_bytes name, const delivery_proxied *proxied)
{
    const char *why = check_name(name);
    part *p = why == NULL ? find(d, name) : NULL, **at;

    if (why != NULL)
        return why;
    if (proxied != NULL && proxied->n == 0)
        return "no proxy is named";
    if (p != NULL && is_as_before(p, proxied))
        return NULL;
    if (p != NULL)
        delivery_leave(d, name);
    if (d->n_parts >= d->settings.max_parts)
        return "too many stream parts are joined";
    p = part_new(d, name);
    if (p == NULL)
        return "its service's name is taken";
    at = bucket_of(d, name);
    p->next_same = *at;
    *at = p;
    d->n_parts++;
    if (proxied != NULL) {
        p->proxies = proxies_new(p, proxied);
        d->n_proxied++;
    }
    proxies_privacy(d);
    start(p);
    return NULL;
}

static void say_leaving(const part *p, const node_id *id)
{
    network_leave msg = {.stream_part = p->name, .is_entry_point = p->seek.is_listed};
    peers_message m = {peers_descriptor_of(p->d->peers, id), p->service, "leaveStreamPartNotice",
                       &network_leave_table, &msg};

    if (m.to.ptr != NULL)
        peers_tell(p->d->peers, &m);
}

static void say_goodbye(part *p)
{
    for (unsigned i = 0; i < p->neighbors.n; i++)
        say_leaving(p, &p->neighbors.items[i].id);
    for (unsigned i = 0; i < p->clients.n; i++)
        say_leaving(p, &p->clients.items[i].id);
    if (p->proxies != NULL)
        proxies_say_goodbye(p);
}

static void leave(delivery *d, part *p)
{
    part **at = bucket_of(d, p->name);

    while (*at != p)
        at = &(*at)->next_same;
    *at = p->next_same;
    d->n_parts--;
    d->n_proxied -= p->proxies != NULL;
    say_goodbye(p);
    part_free(p);
}

void delivery_leave(delivery *d, pb_bytes name)
{
    part *p = find(d, name);

    if (p == NULL)
        return;
    leave(d, p);
    proxies_privacy(d);
}

void delivery_free(delivery *d)
{
    if (d == NULL)
        return;
    for (unsigned b = 0; b < PART_BUCKETS; b++)
        while (d->buckets[b] != NULL)
            leave(d, d->buckets[b]);
    peers_watch_remove(d->peers, &d->watch);
    free(d->memory);
    free(d->to);
    free(d->sent);
    free(d);
}

bool delivery_joined(const delivery *d, pb_bytes name)
{
    return find(d, name) != NULL;
}

size_t delivery_reach(const delivery *d, pb_bytes name)
{
    const part *p = find(d, name);

    return p != NULL ? p->neighbors.n : 0;
}

void delivery_suggest(delivery *d, pb_bytes name, const pb_bytes *descriptors, size_t n)
{
    part *p = find(d, name);
    bool news = false;

    for (size_t i = 0; p != NULL && i < n; i++)
        news = view_add(&p->view, descriptors[i]) || news;
    if (news)
        finder_start(p);
}

/* ---- Messages ---- */

delivery_fate delivery_publish(delivery *d, pb_bytes name, const delivery_bytes *message,
                               const char **why)
{
    part *p = find(d, name);
    const char *unused;

    why = why != NULL ? why : &unused;
    if (p != NULL)
        return relay_publish(p, message, why);
    *why = "the stream part is not joined";
    return DELIVERY_REFUSED;
}

bool delivery_inspect(delivery *d, pb_bytes name, pb_bytes descriptor,
                      void (*done)(void *arg, bool connected, uint64_t both, uint64_t others),
                      void *arg)
{
    part *p = find(d, name);

    return p != NULL && p->proxies == NULL && inspect_start(p, descriptor, done, arg);
}

/* ---- Showing ---- */

const delivery_counters *delivery_counted(const delivery *d)
{
    return &d->count;
}

static delivery_part_info info_of(const part *p)
{
    return (delivery_part_info){.part = p->name,
                                .is_proxied = p->proxies != NULL,
                                .neighbors = p->neighbors.items,
                                .n_neighbors = p->neighbors.n,
                                .n_clients = p->clients.n,
                                .n_temporary = p->inspect.n_temporary,
                                .n_candidates = view_count(&p->view),
                                .n_waiting = p->outbox.n,
                                .holes = gaps_beyond(p->gaps)};
}

void delivery_each(const delivery *d, void (*each)(void *ctx, const delivery_part_info *info),
                   void *ctx)
{
    for (unsigned b = 0; b < PART_BUCKETS; b++)
        for (const part *p = d->buckets[b]; p != NULL; p = p->next_same) {
            delivery_part_info info = info_of(p);

            each(ctx, &info);
        }
}

size_t delivery_parts(const delivery *d)
{
    return d->n_parts;
}
