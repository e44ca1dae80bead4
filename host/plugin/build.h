/* build -- one loaded build of a plugin, as the host's services see it.
 *
 * A plugin's context is the head of its build; build_of() gets back. */
#ifndef PLUGIN_BUILD_H
#define PLUGIN_BUILD_H

#include "bus/bus.h"
#include "conf/conf.h"
#include "fetch/fetch.h"
#include "http/http.h"
#include "net/net.h"
#include "run/ledger.h"
#include "run/loop.h"
#include "run/pool.h"

#include <broker/plugin.h>

#define BUILD_MAGIC 0x6b1d0a3eu
#define BUILD_LANES 32

/* What the services work with; set up before the first plugin is loaded. */
typedef struct host_parts {
    conf *conf;
    loop *loop;
    pool *pool;
    bus *bus;
    http_server *http;
    net *net;
    fetcher *fetcher;
    const uint8_t *key;   /* 32 bytes, or NULL */
    const char *data_dir; /* plugins' private directories are made in it */
} host_parts;

typedef struct loader loader;

typedef struct build {
    broker_ctx ctx; /* first: the plugin's view of this */
    uint32_t magic;
    loader *loader;
    const host_parts *parts;
    broker_manifest manifest;
    void *dl;
    const broker_plugin_table *table;
    void *self;
    json_t *section; /* its configuration, without the host's keys */
    json_t *keys;    /* API keys of its own listeners, or NULL */
    ledger ledger;
    lane *lanes[BUILD_LANES]; /* made on first use; under lock */
    broker_timer *timers;     /* [loop] */

    uv_mutex_t lock;
    char **texts; /* what configuration look-ups returned; under lock */
    size_t n_texts;
    char *data_dir;  /* under lock */
    char *why;       /* reason of the last failure; under lock */
    uint32_t state;  /* BROKER_STATE_*; under lock */
    char *state_why; /* under lock */
} build;

static inline build *build_of(broker_ctx *ctx)
{
    build *b = (build *)(void *)ctx;

    must(b != NULL && b->magic == BUILD_MAGIC); /* a plugin passed a stale context */
    return b;
}

/* ---- Registry: what plugins offer each other (registry.c) ---- */
typedef struct registry registry;
registry *registry_new(void);
void registry_free(registry *r);
void registry_forget(registry *r, const build *b);
registry *loader_registry(loader *l);

/* ---- The service tables, one file each ---- */
extern const broker_config service_config;
extern const broker_bus service_bus;
extern const broker_transport service_transport;
extern const broker_http service_http;
extern const broker_access service_access;
extern const broker_net service_net;
extern const broker_fetch service_fetch;
extern const broker_work service_work;
extern const broker_metrics service_metrics;
extern const broker_registry service_registry;
extern const broker_sign service_sign;
extern const broker_node service_node;

/* Stop the timers and free the lanes of a build that is quiet. [loop] */
void work_forget(build *b);

#endif
