/* service_registry -- "broker.registry/1": what plugins offer each other.
 *
 * Entering counts against the provider, so it cannot be taken out while somebody
 * uses its table. */
#include "plugin/build.h"

typedef struct offer {
    struct offer *next;
    char *id;
    const void *table;
    void *self;
    build *by;
    bool parked; /* its build is being swapped */
} offer;

struct broker_peer {
    broker_peer *next;
    registry *registry;
    char *id;
    build *user;
    build *entered; /* whose table was handed out last; under lock */
};

struct registry {
    uv_mutex_t lock;
    offer *offers;      /* under lock */
    broker_peer *peers; /* [loop] */
};

registry *registry_new(void)
{
    registry *r = must_alloc(sizeof *r);

    must(uv_mutex_init(&r->lock) == 0);
    return r;
}

void registry_free(registry *r)
{
    if (r == NULL)
        return;
    must(r->offers == NULL && r->peers == NULL);
    uv_mutex_destroy(&r->lock);
    free(r);
}

void registry_forget(registry *r, const build *b)
{
    uv_mutex_lock(&r->lock);
    for (offer **at = &r->offers; *at != NULL;) {
        offer *o = *at;

        if (o->by != b) {
            at = &o->next;
            continue;
        }
        *at = o->next;
        free(o->id);
        free(o);
    }
    uv_mutex_unlock(&r->lock);
    for (broker_peer **at = &r->peers; *at != NULL;) {
        broker_peer *p = *at;

        if (p->user != b) {
            at = &p->next;
            continue;
        }
        *at = p->next;
        free(p->id);
        free(p);
    }
}

void registry_park(registry *r, const build *b, bool parked)
{
    uv_mutex_lock(&r->lock);
    for (offer *o = r->offers; o != NULL; o = o->next)
        if (o->by == b)
            o->parked = parked;
    uv_mutex_unlock(&r->lock);
}

static broker_rc registry_offer(broker_ctx *ctx, const char *id, const void *table, void *self)
{
    build *b = build_of(ctx);
    registry *r = loader_registry(b->loader);
    broker_rc rc = BROKER_OK;
    offer *o;

    uv_mutex_lock(&r->lock);
    for (o = r->offers; o != NULL; o = o->next)
        if (strcmp(o->id, id) == 0)
            rc = BROKER_EBUSY;
    if (rc == BROKER_OK) {
        o = must_alloc(sizeof *o);
        *o = (offer){r->offers, must_strdup(id), table, self, b, false};
        r->offers = o;
    }
    uv_mutex_unlock(&r->lock);
    return rc == BROKER_OK ? rc : ctx->host->fail(ctx, rc, "another plugin offers this already");
}

static broker_rc registry_follow(broker_ctx *ctx, const char *id, broker_peer **out)
{
    build *b = build_of(ctx);
    registry *r = loader_registry(b->loader);
    broker_peer *p = must_alloc(sizeof *p);

    *p = (broker_peer){r->peers, r, must_strdup(id), b, NULL};
    r->peers = p;
    *out = p;
    return BROKER_OK;
}

static const void *registry_enter(broker_peer *p, void **self)
{
    const void *table = NULL;

    uv_mutex_lock(&p->registry->lock);
    for (const offer *o = p->registry->offers; o != NULL; o = o->next) {
        if (o->parked || strcmp(o->id, p->id) != 0)
            continue;
        table = o->table;
        *self = o->self;
        p->entered = o->by;
        atomic_fetch_add(&o->by->ledger.peers, 1);
    }
    uv_mutex_unlock(&p->registry->lock);
    return table;
}

static void registry_leave(broker_peer *p)
{
    /* The provider stays the same between enter() and leave(): it cannot go. */
    uv_mutex_lock(&p->registry->lock);
    must(p->entered != NULL);
    atomic_fetch_sub(&p->entered->ledger.peers, 1);
    uv_mutex_unlock(&p->registry->lock);
}

const broker_registry service_registry = {
    sizeof service_registry, 0, registry_offer, registry_follow, registry_enter, registry_leave,
};
