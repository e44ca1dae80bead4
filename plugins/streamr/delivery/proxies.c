/* proxies -- see proxies.h. */
#include "delivery/proxies.h"

#include "delivery/part.h"

#include <stdlib.h>

#define AGAIN_MS  10000u
#define MANAGER   "system/connection-manager"
#define LOCK_ID   "system/proxy-client"
#define NEVER_MS  INT64_MAX
#define STEADY_MS 10000 /* a proxy that was lost sooner is not asked again at once */

typedef struct proxy {
    node_id id;
    pb_bytes descriptor;
    int64_t next_ms;  /* not to be asked before */
    int64_t since_ms; /* accepted */
} proxy;

struct proxies {
    proxy items[PROXIES_MAX];
    unsigned n, wanted;
    bool one_way;
    network_direction direction;
    pb_bytes user;
    peers_timer *alarm;
};

static pb_bytes copy_of(pb_bytes bytes)
{
    uint8_t *copy = must_alloc(bytes.len + 1);

    if (bytes.len != 0)
        memcpy(copy, bytes.ptr, bytes.len);
    return (pb_bytes){copy, bytes.len};
}

static void release(pb_bytes bytes)
{
    free((void *)(uintptr_t)bytes.ptr);
}

static proxy *find(proxies *list, const node_id *id)
{
    for (unsigned i = 0; i < list->n; i++)
        if (node_id_same(&list->items[i].id, id))
            return &list->items[i];
    return NULL;
}

static unsigned wanted_of(const delivery_proxied *how, size_t n)
{
    size_t wanted = how->connections == 0 || how->connections > n ? n : how->connections;

    return wanted < NEIGHBORS_MAX ? (unsigned)wanted : NEIGHBORS_MAX;
}

proxies *proxies_new(part *p, const delivery_proxied *how)
{
    proxies *list = must_alloc(sizeof *list);
    node_id id;

    for (size_t i = 0; i < how->n && list->n < PROXIES_MAX; i++)
        if (how->proxies[i].len <= DESCRIPTOR_MAX && peer_node_id(how->proxies[i], &id) &&
            find(list, &id) == NULL && !node_id_same(&id, peers_self(p->d->peers)))
            list->items[list->n++] = (proxy){.id = id, .descriptor = copy_of(how->proxies[i])};
    list->wanted = wanted_of(how, list->n);
    list->one_way = how->one_way;
    list->direction = how->direction;
    list->user = copy_of(how->user_id);
    return list;
}

void proxies_free(proxies *list)
{
    if (list == NULL)
        return;
    peers_timer_end(list->alarm);
    for (unsigned i = 0; i < list->n; i++)
        release(list->items[i].descriptor);
    release(list->user);
    free(list);
}

static bool same_bytes(pb_bytes a, pb_bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool proxies_same(const proxies *list, const delivery_proxied *how)
{
    if (list->n != how->n || list->wanted != wanted_of(how, list->n) ||
        list->one_way != how->one_way || (how->one_way && list->direction != how->direction) ||
        !same_bytes(list->user, how->user_id))
        return false;
    for (size_t i = 0; i < how->n; i++)
        if (!same_bytes(list->items[i].descriptor, how->proxies[i]))
            return false;
    return true;
}

bool proxies_may(const proxies *list, network_direction direction)
{
    return !list->one_way || list->direction == direction;
}

/* ---- Telling the connection managers ---- */

static void tell(const part *p, pb_bytes to, const char *method, const pb_table *table,
                 const void *msg)
{
    peers_message m = {to, MANAGER, method, table, msg};

    peers_tell(p->d->peers, &m);
}

static void tell_private(const part *p, pb_bytes to, bool is_private)
{
    dht_set_private msg = {.is_private = is_private};

    tell(p, to, "setPrivate", &dht_set_private_table, &msg);
}

void proxies_privacy(delivery *d)
{
    bool is_private = d->n_parts > 0 && d->n_proxied == d->n_parts;

    if (is_private == d->is_private)
        return;
    d->is_private = is_private;
    for (unsigned b = 0; d->n_proxied > 0 && b < PART_BUCKETS; b++)
        for (const part *p = d->buckets[b]; p != NULL; p = p->next_same)
            for (unsigned i = 0; p->proxies != NULL && i < p->neighbors.n; i++)
                tell_private(p, p->neighbors.items[i].descriptor, is_private);
}

static void lock_answered(errand *e, peers_result result, const envelope *answer)
{
    /* It is a wish: what the proxy makes of it is its affair. */
    (void)e, (void)result, (void)answer;
}

static void ask_lock(part *p, pb_bytes to)
{
    dht_lock msg = {.lock_id = pb_bytes_of(LOCK_ID)};
    peers_message m = {to, MANAGER, "lockRequest", &dht_lock_request_table, &msg};

    errand_start(p, ERRAND_LOCK, &m, lock_answered);
}

void proxies_say_goodbye(part *p)
{
    dht_lock msg = {.lock_id = pb_bytes_of(LOCK_ID)};

    for (unsigned i = 0; i < p->neighbors.n; i++)
        tell(p, p->neighbors.items[i].descriptor, "unlockRequest", &dht_unlock_request_table, &msg);
}

/* ---- Getting and keeping them ---- */

static void look(part *p);

static void alarm_comes(void *arg)
{
    look(arg);
}

static bool is_busy(part *p, const proxy *x)
{
    return neighbors_find(&p->neighbors, &x->id) != NULL ||
           errand_find(p, ERRAND_PROXY, &x->id) != NULL;
}

/* When it may be asked: around ten seconds from now, so that clients do not come all at once. */
static int64_t later_ms(const part *p)
{
    uint32_t r;

    random_bytes(&r, sizeof r);
    return peers_now_ms(p->d->peers) + AGAIN_MS - AGAIN_MS / 8 + r % (AGAIN_MS / 4);
}

static void proxy_answered(errand *e, peers_result result, const envelope *answer)
{
    part *p = e->p;
    proxy *x = find(p->proxies, &e->to);
    network_accepted r;
    pb_arena arena;
    bool accepted = errand_open(e, result, answer, &network_proxy_response_table, &r, &arena) &&
                    r.accepted && part_add_neighbor(p, &e->to, e->descriptor);

    if (accepted) {
        x->since_ms = peers_now_ms(p->d->peers);
        ask_lock(p, e->descriptor);
        if (p->d->is_private)
            tell_private(p, e->descriptor, true);
    } else
        x->next_ms = later_ms(p);
    look(p);
}

static bool ask_proxy(part *p, proxy *x)
{
    network_proxy_request r = {.direction = (int32_t)p->proxies->direction,
                               .user_id = p->proxies->user};
    peers_message m = {x->descriptor, p->service, "requestConnection", &network_proxy_request_table,
                       &r};

    if (p->proxies->one_way)
        pb_set(&network_proxy_request_table, &r, 1);
    return errand_start(p, ERRAND_PROXY, &m, proxy_answered) != NULL;
}

/* Any that is due, a random one. */
static proxy *due(part *p, int64_t now_ms)
{
    proxies *list = p->proxies;
    uint32_t r;

    random_bytes(&r, sizeof r);
    for (unsigned i = 0; i < list->n; i++) {
        proxy *x = &list->items[(r % list->n + i) % list->n];

        if (x->next_ms <= now_ms && !is_busy(p, x))
            return x;
    }
    return NULL;
}

static int64_t next_due_ms(part *p)
{
    int64_t next_ms = NEVER_MS;

    for (unsigned i = 0; i < p->proxies->n; i++) {
        const proxy *x = &p->proxies->items[i];

        if (!is_busy(p, x) && x->next_ms < next_ms)
            next_ms = x->next_ms;
    }
    return next_ms;
}

static void look(part *p)
{
    proxies *list = p->proxies;
    int64_t now_ms = peers_now_ms(p->d->peers), next_ms;
    unsigned have = p->neighbors.n + errand_count(p, ERRAND_PROXY);
    proxy *x;

    peers_timer_end(list->alarm);
    list->alarm = NULL;
    for (; have < list->wanted && (x = due(p, now_ms)) != NULL; have++)
        if (!ask_proxy(p, x))
            x->next_ms = later_ms(p), have--;
    next_ms = have < list->wanted ? next_due_ms(p) : NEVER_MS;
    if (next_ms != NEVER_MS)
        list->alarm =
            peers_timer_start(p->d->peers, (uint32_t)(next_ms - now_ms), 0, alarm_comes, p);
}

void proxies_start(part *p)
{
    look(p);
}

void proxies_lost(part *p, const node_id *id)
{
    proxy *x = find(p->proxies, id);
    int64_t now_ms = peers_now_ms(p->d->peers);

    x->next_ms = now_ms - x->since_ms >= STEADY_MS ? now_ms : later_ms(p);
    delivery_log(p->d, DELIVERY_INFO, "lost a proxy of '%.*s', %u left", (int)p->name.len,
                 (const char *)p->name.ptr, p->neighbors.n);
    look(p);
}
