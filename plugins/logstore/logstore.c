/* logstore.c -- the plugin's table and wiring; nothing else. */
#include "logstore.h"

#include "assignments.h"
#include "pack/pack.h"
#include "readers.h"
#include "streamr/streamr.h"

#include <jansson.h>

extern const char logstore_schema[];

bool logstore_tracks(const logstore *l, broker_str stream, uint32_t partition)
{
    for (size_t i = 0; i < l->n_tracked; i++)
        if (streamr_stream_matches(l->tracked[i].pattern, l->tracked[i].len, stream.ptr,
                                   stream.len) &&
            (l->tracked[i].partitions == 0 || partition < l->tracked[i].partitions))
            return true;
    return false;
}

bool logstore_takes(const logstore *l, broker_str stream, uint32_t partition)
{
    return logstore_tracks(l, stream, partition) ||
           (l->assignments != NULL && assignments_have(l->assignments, stream, partition));
}

void logstore_state(logstore *l)
{
    sb why = SB_INIT;
    const char *trouble = NULL;

    if (!store_is_well(l->store, &why))
        trouble = why.data;
    else if (l->assignments != NULL)
        trouble = assignments_trouble(l->assignments);
    if (trouble == NULL && l->readers != NULL)
        trouble = readers_trouble(l->readers);
    if (l->node != NULL && (trouble != NULL) + (l->trouble != NULL) != 0 &&
        (trouble == NULL || l->trouble == NULL || strcmp(trouble, l->trouble) != 0)) {
        l->node->state(l->ctx, trouble == NULL ? BROKER_STATE_READY : BROKER_STATE_DEGRADED,
                       trouble == NULL ? "all is well again" : trouble);
        free(l->trouble);
        l->trouble = trouble != NULL ? must_strdup(trouble) : NULL;
    }
    sb_done(&why);
}

static void tracked_read(logstore *l)
{
    broker_str text = l->config->shared(l->ctx, "mode");
    json_t *mode =
        json_loadb(text.ptr != NULL ? text.ptr : "{}", text.ptr != NULL ? text.len : 2, 0, NULL);
    json_t *list = json_object_get(mode, "trackedStreams"), *item;
    size_t i;

    l->tracked = must_alloc((json_array_size(list) + 1) * sizeof *l->tracked);
    json_array_foreach(list, i, item)
    {
        const char *id = json_string_value(json_object_get(item, "id"));
        json_int_t partitions = json_integer_value(json_object_get(item, "partitions"));
        sb normal = SB_INIT;

        if (id == NULL)
            continue;
        streamr_stream_id_normalise(id, strlen(id), &normal);
        /* A wildcard has every partition, a stream has one, unless it is said. */
        if (partitions == 0 && strchr(id, '*') == NULL)
            partitions = 1;
        l->tracked[l->n_tracked++] = (tracked){normal.data, normal.len, (uint32_t)partitions};
    }
    json_decref(mode);
}

static void retention_read(logstore *l)
{
    broker_str text = l->config->json(l->ctx, "retention");
    json_t *list = text.ptr != NULL ? json_loadb(text.ptr, text.len, 0, NULL) : NULL, *item;
    size_t i;

    l->retention = must_alloc((json_array_size(list) + 1) * sizeof *l->retention);
    json_array_foreach(list, i, item)
    {
        const char *pattern = json_string_value(json_object_get(item, "stream"));
        sb normal = SB_INIT;

        streamr_stream_id_normalise(pattern, strlen(pattern), &normal);
        l->retention[l->n_retention++] =
            (retention){normal.data, json_integer_value(json_object_get(item, "maxAgeMs")),
                        (uint64_t)json_integer_value(json_object_get(item, "maxBytes"))};
    }
    json_decref(list);
}

/* Where the store is: db.dataPath ("~/" is the home directory), else the plugin's own. */
static char *data_path(logstore *l)
{
    broker_str path = l->config->string(l->ctx, "db.dataPath"), own;
    const char *home = getenv("HOME");
    sb out = SB_INIT;

    if (path.len > 1 && path.ptr[0] == '~' && path.ptr[1] == '/' && home != NULL) {
        sb_printf(&out, "%s%.*s", home, (int)path.len - 1, path.ptr + 1);
    } else if (path.len != 0) {
        sb_append(&out, path.ptr, path.len);
    } else {
        own = l->config->data_dir(l->ctx);
        sb_printf(&out, "%.*s/db", (int)own.len, own.ptr);
    }
    return out.data;
}

static void destroy(void *self)
{
    logstore *l = self;

    for (size_t i = 0; i < l->n_tracked; i++)
        free(l->tracked[i].pattern);
    for (size_t i = 0; i < l->n_retention; i++)
        free(l->retention[i].pattern);
    free(l->tracked);
    free(l->retention);
    free(l->trouble);
    ingest_free(l->ingest);
    store_close(l->store);
    free(l);
}

/* A storage node of Streamr, when its cluster is named. */
static broker_rc cluster_settings(logstore *l)
{
    broker_str text = l->config->json(l->ctx, "cluster");
    uint8_t own[20];
    sb why = SB_INIT;
    broker_rc rc = BROKER_OK;

    l->in_cluster = text.len != 0;
    if (!l->in_cluster)
        return BROKER_OK;
    if (l->registry == NULL)
        return l->ctx->host->fail(
            l->ctx, BROKER_ENOSYS,
            "'cluster' needs the plugin 'chain', and a plugin in a process of "
            "its own reaches no other: take 'isolate' out of this section");
    if (l->sign == NULL || l->sign->address(l->ctx, own) != BROKER_OK)
        return l->ctx->host->fail(l->ctx, BROKER_ECONFIG,
                                  "'cluster' needs a key that says which streams this node stores: "
                                  "give client.auth.privateKeyFile");
    if (!cluster_read(text.ptr, text.len, own, &l->cluster, &why))
        rc = l->ctx->host->fail(l->ctx, BROKER_ECONFIG, why.data);
    sb_done(&why);
    return rc;
}

static broker_rc create(broker_ctx *ctx, void **self)
{
    logstore *l = must_alloc(sizeof *l);
    broker_rc rc;

    l->ctx = ctx;
    l->config = BROKER_SERVICE(ctx, broker_config);
    l->bus = BROKER_SERVICE(ctx, broker_bus);
    l->http = BROKER_SERVICE(ctx, broker_http);
    l->work = BROKER_SERVICE(ctx, broker_work);
    l->metrics = BROKER_SERVICE(ctx, broker_metrics);
    l->node = BROKER_SERVICE(ctx, broker_node);
    l->registry = BROKER_SERVICE(ctx, broker_registry);
    l->sign = BROKER_SERVICE(ctx, broker_sign);
    if (l->config == NULL || l->bus == NULL || l->http == NULL || l->work == NULL ||
        l->metrics == NULL) {
        free(l);
        broker_failf(ctx, BROKER_ENOSYS,
                     "this host lacks one of broker.config, .bus, .http, .work, .metrics");
    }
    rc = cluster_settings(l);
    if (rc != BROKER_OK) {
        free(l);
        return rc;
    }
    tracked_read(l);
    retention_read(l);
    *self = l;
    return BROKER_OK;
}

static void store_says(void *arg, uint32_t level, const char *line)
{
    logstore *l = arg;

    l->ctx->host->log(l->ctx, level, line);
}

static broker_rc open_store(logstore *l)
{
    char *path = data_path(l);
    store_options options = {
        .path = path,
        .cache_bytes = (uint64_t)l->config->integer(l->ctx, "db.cacheBytes"),
        .write_buffer_bytes = (uint64_t)l->config->integer(l->ctx, "db.writeBufferBytes"),
        .min_free_bytes = (uint64_t)l->config->integer(l->ctx, "db.minFreeBytes"),
        .retention = l->retention,
        .n_retention = l->n_retention,
        .say = store_says,
        .say_arg = l,
    };
    sb why = SB_INIT;
    broker_rc rc = BROKER_OK;

    l->store = store_open(&options, &why);
    if (l->store == NULL)
        rc = l->ctx->host->fail(l->ctx, BROKER_EIO, why.data);
    else
        broker_logf(l->ctx, BROKER_LOG_INFO, "the store is in '%s', %zu stream patterns tracked",
                    path, l->n_tracked);
    sb_done(&why);
    free(path);
    return rc;
}

static bool metrics_make(logstore *l)
{
    const broker_metrics *m = l->metrics;

    for (size_t i = V8_FITS + 1; i < V8_FITS_COUNT; i++) {
        char label[64];

        snprintf(label, sizeof label, "reason=\"%s\"", v8_fit_names[i]);
        if (m->counter(l->ctx, "v8_omitted_messages_total", label,
                       "Messages left out of answers: streamr-client 8 could not read or verify "
                       "them.",
                       &l->v8_unfit[i]) != BROKER_OK)
            return false;
    }
    return m->counter(l->ctx, "queries_total", NULL, "Queries answered.", &l->queries) ==
               BROKER_OK &&
           m->counter(l->ctx, "query_messages_total", NULL, "Messages in answers.",
                      &l->query_messages) == BROKER_OK &&
           m->counter(l->ctx, "damaged_total", NULL, "Stored messages found damaged.",
                      &l->damaged) == BROKER_OK;
}

/* What the build before handed over of the assigned streams: in a map, under "assigned". */
static broker_rc assignments_begin(logstore *l, broker_bytes state)
{
    unpacked *u = NULL;
    size_t len = 0;
    const char *bytes = NULL;

    if (!l->in_cluster)
        return BROKER_OK;
    if (state.len != 0 && unpack(state.ptr, state.len, &u) == 1)
        bytes = unpack_bytes(unpacked_root(u), "assigned", &len);
    l->assignments = assignments_new(l, (broker_bytes){(const uint8_t *)bytes, len});
    if (u != NULL)
        unpacked_free(u);
    if (l->assignments == NULL)
        broker_failf(l->ctx, BROKER_EINVAL,
                     "the host refused what following the assigned streams needs");
    return BROKER_OK;
}

static bool reads_by_chain(const logstore *l)
{
    broker_str read = l->config->string(l->ctx, "read");

    return read.len == 5 && memcmp(read.ptr, "chain", 5) == 0;
}

static broker_rc readers_begin(logstore *l)
{
    if (!reads_by_chain(l))
        return BROKER_OK;
    if (l->registry == NULL)
        return l->ctx->host->fail(l->ctx, BROKER_ENOSYS,
                                  "'read' \"chain\" needs the plugin 'chain', and a plugin in a "
                                  "process of its own reaches no other: take 'isolate' out of this "
                                  "section");
    l->readers = readers_new(l);
    if (l->readers == NULL)
        broker_failf(l->ctx, BROKER_EINVAL, "the host refused what asking who may read needs");
    return BROKER_OK;
}

/* Everything start() opens and registers. */
static broker_rc begin(logstore *l, broker_bytes state)
{
    broker_rc rc = open_store(l);

    if (rc != BROKER_OK)
        return rc;
    if (!metrics_make(l))
        broker_failf(l->ctx, BROKER_EINVAL, "the host refused the metrics of queries");
    l->ingest = ingest_new(l);
    if (l->ingest == NULL)
        broker_failf(l->ctx, BROKER_ENOMEM,
                     "cannot subscribe to the tracked streams, or count them");
    rc = assignments_begin(l, state);
    if (rc == BROKER_OK)
        rc = readers_begin(l);
    if (rc == BROKER_OK)
        rc = query_routes(l);
    if (rc == BROKER_OK)
        rc = upload_routes(l);
    if (rc == BROKER_OK)
        rc = parts_routes(l);
    return rc;
}

static broker_rc start(void *self, broker_bytes state)
{
    logstore *l = self;
    broker_rc rc;

    l->flushing = l->flushed = false;
    rc = begin(l, state);
    if (rc == BROKER_OK)
        return rc;
    /* Taken back here: by destroy() the host has ended what was registered. */
    readers_free(l->readers);
    l->readers = NULL;
    assignments_free(l->assignments);
    l->assignments = NULL;
    ingest_free(l->ingest);
    l->ingest = NULL;
    store_close(l->store);
    l->store = NULL;
    return rc;
}

static void flush_run(void *arg)
{
    logstore *l = arg;

    store_flush(l->store);
}

static void flush_done(void *arg)
{
    logstore *l = arg;

    l->flushed = true;
}

static broker_rc prepare(void *self)
{
    logstore *l = self;

    if (!l->flushing) {
        l->flushing = true;
        return l->work->submit(l->ctx, 2, flush_run, flush_done, l) == BROKER_OK ? BROKER_AGAIN
                                                                                 : BROKER_OK;
    }
    if (!l->flushed)
        return BROKER_AGAIN;
    l->flushing = l->flushed = false; /* it may be given up, and come again */
    return BROKER_OK;
}

/* All messages are on disk; version 1 of the hand-over is "1", or this map. */
static broker_rc state_write(logstore *l, broker_writer *out)
{
    sb assigned = SB_INIT, state = SB_INIT;
    broker_rc rc;

    if (l->assignments == NULL)
        return out->write(out, "1", 1);
    assignments_save(l->assignments, &assigned);
    pack_map(&state, 1);
    pack_bytes(&state, "assigned", assigned.data, assigned.len);
    rc = out->write(out, state.data, state.len);
    sb_done(&assigned);
    sb_done(&state);
    return rc;
}

static broker_rc quiesce(void *self, broker_writer *state)
{
    logstore *l = self;
    broker_rc rc;

    if (!ingest_is_idle(l->ingest) || l->uploads != 0 || store_cursors(l->store) != 0 ||
        (l->assignments != NULL && !assignments_are_idle(l->assignments)))
        return BROKER_AGAIN;
    rc = state_write(l, state);
    if (rc != BROKER_OK)
        return rc;
    readers_free(l->readers);
    l->readers = NULL;
    assignments_free(l->assignments);
    l->assignments = NULL;
    ingest_free(l->ingest);
    l->ingest = NULL;
    store_close(l->store);
    l->store = NULL;
    return BROKER_OK;
}

BROKER_PLUGIN("logstore", LOGSTORE_VERSION, BROKER_PLUGIN_HOTSWAP, logstore_schema, create, start,
              prepare, quiesce, destroy);
