/* build -- one loaded build of a plugin, as the loader and the host's services see it.
 *
 * A plugin's context is the head of its build; build_of() gets back. */
#ifndef PLUGIN_BUILD_H
#define PLUGIN_BUILD_H

#include "bus/bus.h"
#include "conf/conf.h"
#include "fetch/fetch.h"
#include "http/http.h"
#include "isolate/standin.h"
#include "net/net.h"
#include "run/ledger.h"
#include "run/loop.h"
#include "run/pool.h"

#include <broker/plugin.h>

#include <sys/types.h>

#define BUILD_MAGIC 0x6b1d0a3eu
#define BUILD_LANES 32

/* What the services work with; set up before the first plugin is loaded. */
typedef struct host_parts {
    conf *_Atomic conf; /* a reload puts another one here */
    loop *loop;
    pool *pool;
    bus *bus;
    http_server *http;
    net *net;
    fetcher *fetcher;
    const uint8_t *key;       /* 32 bytes, or NULL */
    const char *data_dir;     /* plugins' private directories are made in it */
    unsigned swap_prepare_ms; /* a build may take so long to prepare and settle its input */
    unsigned swap_pause_ms;   /* its traffic may be parked so long                        */
    unsigned warn_ms;         /* a callback that keeps a loop so long is named; 0: never  */
} host_parts;

typedef struct loader loader;

/* What a plugin finds under an id. A list of them ends with NULL, NULL. */
typedef struct service_entry {
    const char *id;
    const void *table;
} service_entry;

/* Which file a build was made from, to see that another one lies there now. */
typedef struct file_id {
    dev_t dev;
    ino_t inode;
    off_t len;
    int64_t changed_ns;
} file_id;

typedef struct build {
    broker_ctx ctx; /* first: the plugin's view of this */
    uint32_t magic;
    loader *loader; /* NULL: it is alone in a process of its own */
    const host_parts *parts;
    const service_entry *services;
    broker_manifest manifest;
    char *file;   /* the operator's */
    bool by_hand; /* not the configured one: given to `swap` */
    file_id file_id;
    char id[41]; /* the linker's hash of the code, in hex; "" when there is none */
    void *dl;
    bool isolated;    /* to run in a process of its own */
    standin *standin; /* in the place of dl, when it is loaded so */
    broker_plugin_table isolated_table;
    bool keep_mapped;
    const broker_plugin_table *table;
    void *self;
    json_t *section; /* its configuration, without the host's keys */
    json_t *keys;    /* API keys of its own listeners, or NULL */
    ledger ledger;
    lane *lanes[BUILD_LANES]; /* made on first use; under lock */
    broker_timer *timers;     /* [loop] */
    struct build *next;       /* of those that leave */

    uv_mutex_t lock;
    struct shared *shared; /* what it read of the rest of the configuration; under lock */
    char **texts;          /* what configuration look-ups returned; under lock */
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

/* An empty build, to be loaded. */
build *build_new(loader *l);
/* One without a loader, which has these services and whose code stays mapped. */
build *build_new_alone(const host_parts *parts, const service_entry *services);
/* Read and check the manifest of the file, load it and check its table. False: what is wrong, as
 * below. [any], one thread */
bool build_open(build *b, const char *path, sb *why);
/* Copy the file, read and check its manifest, load the copy. False: what is wrong with it, as
 * the end of a sentence about the file, in *why. [any], one thread */
bool build_load(build *b, const char *file, sb *why);
/* Call destroy() when create() was called, and unload. Nothing of it may run. NULL is fine. */
void build_free(build *b);
/* What the build itself said of its failure, else what rc means. */
void build_why(build *b, broker_rc rc, sb *why);
/* Whether another file lies where this build came from. */
bool build_file_changed(const build *b);
/* Whether what it read of the rest of the configuration is as it was (service_config.c). */
bool config_shared_is_same(build *b, conf *now);
void config_free(build *b);
/* Take out all that the build registered: for good, or so that the next build of its name
 * takes it over from keeper (bus_vacate() and its kin). Its timers stop. */
void build_forget(build *b);
void build_vacate(build *b, build *keeper);

/* build_open(), in a process of its own (isolated.c). */
bool build_open_isolated(build *b, const char *path, sb *why);

/* A writer into a byte string. */
typedef struct blob {
    broker_writer w;
    sb *to;
} blob;
blob blob_of(sb *to);

/* ---- The loader, as builds see it ---- */
typedef struct registry registry;
registry *loader_registry(loader *l);
const host_parts *loader_parts(const loader *l);
bool loader_keeps_mapped(const loader *l);

/* ---- What plugins offer each other (service_registry.c) ---- */
registry *registry_new(void);
void registry_free(registry *r);
void registry_forget(registry *r, const build *b);
/* Whether what the build offers is to be had. */
void registry_park(registry *r, const build *b, bool parked);

/* ---- The service tables, one file each ---- */
extern const broker_config service_config;
extern const broker_bus service_bus;
extern const broker_transport service_transport;
extern const broker_verify service_verify;
extern const broker_http service_http;
extern const broker_access service_access;
extern const broker_net service_net;
extern const broker_fetch service_fetch;
extern const broker_work service_work;
extern const broker_metrics service_metrics;
extern const broker_registry service_registry;
extern const broker_sign service_sign;
extern const broker_node service_node;

/* Stop the timers of a build; free the lanes of one that holds nothing. [loop] */
void work_stop(build *b);
void work_free(build *b);

#endif
