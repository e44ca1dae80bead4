/* logstore -- the plugin's parts, as they know each other. */
#ifndef LOGSTORE_LOGSTORE_H
#define LOGSTORE_LOGSTORE_H

#include "cluster.h"
#include "store.h"
#include "v8.h"

#include <broker/plugin.h>
#include <broker/plugin_log.h>

#include <stdatomic.h>

typedef struct tracked {
    char *pattern; /* normalised stream id, '*' is any text */
    size_t len;
    uint32_t partitions; /* 0: all */
} tracked;

typedef struct ingest ingest;
typedef struct subscription subscription;
typedef struct assignments assignments;
typedef struct readers readers;

typedef struct logstore {
    broker_ctx *ctx;
    const broker_config *config;
    const broker_bus *bus;
    const broker_http *http;
    const broker_work *work;
    const broker_metrics *metrics;
    const broker_node *node;
    const broker_registry *registry;
    const broker_sign *sign;
    tracked *tracked;
    size_t n_tracked;
    retention *retention;
    size_t n_retention;
    store *store;
    ingest *ingest;
    bool in_cluster; /* a storage node of Streamr: */
    cluster cluster;
    assignments *assignments;
    readers *readers; /* NULL: anybody may read */
    char *trouble;    /* the state last told; NULL: none */
    bool flushing, flushed;
    size_t uploads; /* open; some outlive their request */
    broker_metric *queries, *query_messages, *damaged;
    broker_metric *v8_unfit[V8_FITS_COUNT]; /* but for V8_FITS */
} logstore;

/* mode.trackedStreams says so, or the part is assigned to this node. */
bool logstore_takes(const logstore *l, broker_str stream, uint32_t partition);
/* mode.trackedStreams says so. */
bool logstore_tracks(const logstore *l, broker_str stream, uint32_t partition);
/* Tell the host how this plugin is, if that has changed. [loop] */
void logstore_state(logstore *l);

/* ingest.c: [loop] */
ingest *ingest_new(logstore *l);
bool ingest_is_idle(const ingest *in); /* nothing taken that is not settled */
void ingest_free(ingest *in);
/* A stream part more, until ingest_leave() or ingest_free(); NULL: the bus refuses it. */
subscription *ingest_take(ingest *in, broker_str stream, uint32_t partition);
void ingest_leave(subscription *s);

/* query.c, upload.c, parts.c: register their routes. [loop] */
broker_rc query_routes(logstore *l);
broker_rc upload_routes(logstore *l);
broker_rc parts_routes(logstore *l);

/* The stream id and partition of a request's path. False: it has been answered 400. */
bool path_part(logstore *l, broker_req *req, sb *stream, uint32_t *partition);
/* Whether the request's Accept names the type. */
bool accepts(const logstore *l, broker_req *req, const char *type);
/* {"error": text} */
void reply_error(logstore *l, broker_req *req, uint32_t status, const char *text);
void reply_json(logstore *l, broker_req *req, uint32_t status, const sb *body);

#endif
