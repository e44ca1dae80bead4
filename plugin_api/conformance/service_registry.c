/* service_registry -- "broker.registry/1" of the kit: a plugin finds what it offers itself. */
#include "kit.h"

#define OFFER 0x6f666672u
#define PEER  0x70656572u

typedef struct offer {
    object o;
    char *id; /* NULL: taken back */
    const void *table;
    void *self;
} offer;

struct broker_peer {
    object o;
    char *id;
    atomic_int entered;
};

static void offer_free(object *o)
{
    free(CONTAINER_OF(o, offer, o)->id);
    free(CONTAINER_OF(o, offer, o));
}

static void peer_free(object *o)
{
    free(CONTAINER_OF(o, broker_peer, o)->id);
    free(CONTAINER_OF(o, broker_peer, o));
}

/* "<plugin>.<what>/<major>" */
static bool id_check(const char *id, const char *plugin, call which)
{
    size_t len = strlen(plugin);
    bool ok = id != NULL && strchr(id, '.') != NULL && strchr(id, '/') != NULL;

    if (ok && which == CALL_registry_offer)
        ok = strncmp(id, plugin, len) == 0 && id[len] == '.';
    if (!ok)
        finding("%s() was given the id '%s'; it is \"<plugin>.<what>/<major>\", for example "
                "\"%s.read/1\"",
                call_rules[which].name, id != NULL ? id : "NULL", plugin);
    return id != NULL;
}

static offer *offer_find(kit *k, const char *id)
{
    for (object *o = k->objects; o != NULL; o = o->next)
        if (o->magic == OFFER && CONTAINER_OF(o, offer, o)->id != NULL &&
            strcmp(CONTAINER_OF(o, offer, o)->id, id) == 0)
            return CONTAINER_OF(o, offer, o);
    return NULL;
}

static broker_rc registry_offer(broker_ctx *ctx, const char *id, const void *table, void *self)
{
    kit *k = kit_of(ctx);
    offer *o;
    bool taken;

    if (called(k, CALL_registry_offer))
        return refuse(k, CALL_registry_offer);
    if (!id_check(id, k->name, CALL_registry_offer))
        return BROKER_EINVAL;
    if (table == NULL)
        finding("registry.offer() was given no table");
    pthread_mutex_lock(&k->lock);
    taken = offer_find(k, id) != NULL;
    pthread_mutex_unlock(&k->lock);
    if (taken) {
        finding("registry.offer() was called twice with '%s'", id);
        return refuse(k, CALL_registry_offer);
    }
    o = must_alloc(sizeof *o);
    o->id = must_strdup(id);
    o->table = table;
    o->self = self;
    object_init(k, &o->o, OFFER, offer_free);
    return BROKER_OK;
}

static broker_rc registry_follow(broker_ctx *ctx, const char *id, broker_peer **out)
{
    kit *k = kit_of(ctx);
    broker_peer *p;

    if (called(k, CALL_registry_follow))
        return refuse(k, CALL_registry_follow);
    if (!id_check(id, k->name, CALL_registry_follow) || out == NULL)
        return BROKER_EINVAL;
    p = must_alloc(sizeof *p);
    p->id = must_strdup(id);
    object_init(k, &p->o, PEER, peer_free);
    *out = p;
    return BROKER_OK;
}

static const void *registry_enter(broker_peer *p, void **self)
{
    kit *k = called_on(p, PEER, CALL_registry_enter);
    const void *table = NULL;
    offer *o;

    if (k == NULL)
        return NULL;
    pthread_mutex_lock(&k->lock);
    o = offer_find(k, p->id);
    if (o != NULL) {
        table = o->table;
        *self = o->self;
        atomic_fetch_add(&p->entered, 1);
        atomic_fetch_add(&k->entered, 1);
    }
    pthread_mutex_unlock(&k->lock);
    return table;
}

static void registry_leave(broker_peer *p)
{
    kit *k = called_on(p, PEER, CALL_registry_leave);

    if (k == NULL)
        return;
    if (p->entered == 0) {
        finding("registry.leave() was called without an enter() that gave a table ('%s')", p->id);
        return;
    }
    atomic_fetch_sub(&p->entered, 1);
    atomic_fetch_sub(&k->entered, 1);
}

void kit_forget_registry(kit *k)
{
    pthread_mutex_lock(&k->lock);
    for (object *o = k->objects; o != NULL; o = o->next)
        if (o->magic == OFFER) {
            free(CONTAINER_OF(o, offer, o)->id);
            CONTAINER_OF(o, offer, o)->id = NULL;
        }
    pthread_mutex_unlock(&k->lock);
}

const broker_registry kit_registry = {
    sizeof kit_registry, 0, registry_offer, registry_follow, registry_enter, registry_leave,
};
