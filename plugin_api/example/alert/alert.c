/* alert -- posts messages that match to a URL, one after another.
 *
 * An alarm waits in a bounded queue until somebody has taken it (2xx). What fails is tried
 * again after backoffMs, 2 * backoffMs, 4 * ...; after `attempts` times, or when the server
 * refuses it (4xx), it is dropped and counted. The queue is handed to the next build; an
 * alarm that is on its way then is posted once more. [loop] throughout. */
#include "content.h"
#include "queue.h"

#include <broker/plugin_log.h>
#include <stdlib.h>

#define ANSWER_MAX  65536u
#define BACKOFF_MAX 600000u /* ms */

extern const char alert_schema[];

typedef struct plugin {
    broker_ctx *ctx;
    const broker_bus *bus;
    const broker_fetch *fetch;
    const broker_work *work;
    const broker_metrics *metrics;
    broker_str stream, path;
    char *url;
    json_t *equals; /* NULL: everything that has a value at the path */
    unsigned attempts;
    uint64_t backoff_ms;
    uint32_t timeout_ms;
    queue queue;
    broker_fetch_job *job; /* of the first one, or NULL */
    broker_timer *timer;   /* until its next attempt, or NULL */
    int full;              /* said so */
    broker_sub *sub;
    broker_metric *posted, *dropped;
} plugin;

static void post(plugin *p);

/* ---- out ---- */

static void on_time(void *arg)
{
    plugin *p = arg;

    p->work->timer_stop(p->timer);
    p->timer = NULL;
    post(p);
}

static void drop(plugin *p, const char *why)
{
    broker_logf(p->ctx, BROKER_LOG_WARN, "an alarm was dropped: %s", why);
    p->metrics->add(p->dropped, 1);
    queue_drop_first(&p->queue);
}

/* The first one was not taken. Again later, or never. */
static void failed(plugin *p, const char *why)
{
    alarm *a = p->queue.first;
    uint64_t wait_ms;

    if (++a->attempts >= p->attempts) {
        drop(p, why);
        return;
    }
    wait_ms = a->attempts < 20 ? p->backoff_ms << (a->attempts - 1) : BACKOFF_MAX;
    if (wait_ms > BACKOFF_MAX)
        wait_ms = BACKOFF_MAX;
    if (p->work->timer(p->ctx, wait_ms, 0, on_time, p, &p->timer) != BROKER_OK)
        drop(p, "the host gives no timer");
}

static void on_done(void *self, broker_rc rc, uint32_t status, broker_bytes body, const char *why)
{
    plugin *p = self;
    char text[128];

    (void)body;
    p->job = NULL;
    if (rc == BROKER_OK)
        snprintf(text, sizeof text, "status %u", status);
    else
        snprintf(text, sizeof text, "%s", why != NULL ? why : "no reason given");
    if (rc == BROKER_OK && status / 100 == 2) {
        p->metrics->add(p->posted, 1);
        queue_drop_first(&p->queue);
    } else if (rc == BROKER_OK && status / 100 == 4 && status != 408 && status != 429) {
        drop(p, text); /* it would be refused again */
    } else {
        failed(p, text);
    }
    post(p);
}

/* Post the first one, unless one is on its way or waits for its time. */
static void post(plugin *p)
{
    static const broker_header type = {"Content-Type", {"application/json", 16}};

    while (p->job == NULL && p->timer == NULL && p->queue.first != NULL) {
        const alarm *a = p->queue.first;
        broker_fetch_request what = {.size = sizeof what,
                                     .timeout_ms = p->timeout_ms,
                                     .method = "POST",
                                     .url = p->url,
                                     .headers = &type,
                                     .n_headers = 1,
                                     .body = {(const uint8_t *)a->body, a->len},
                                     .max_answer = ANSWER_MAX,
                                     .self = p,
                                     .on_done = on_done};

        if (p->fetch->start(p->ctx, &what, &p->job) == BROKER_OK)
            return;
        p->job = NULL;
        failed(p, "the host cannot fetch now");
    }
}

/* ---- in ---- */

static int matches(const plugin *p, json_t *content)
{
    const json_t *v = content_at(content, p->path);

    return v != NULL && (p->equals == NULL || json_equal(v, p->equals));
}

static void alarm_add(plugin *p, const broker_msg *m, json_t *content)
{
    json_t *body =
        json_pack("{s:s%, s:I, s:i, s:O}", "stream", m->stream.ptr, m->stream.len, "timestamp",
                  (json_int_t)m->timestamp_ms, "partition", (int)m->partition, "content", content);
    char *text = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;

    if (text != NULL && queue_add(&p->queue, text, strlen(text), 0)) {
        p->full = 0;
    } else {
        p->metrics->add(p->dropped, 1);
        if (!p->full)
            broker_logf(p->ctx, BROKER_LOG_ERROR,
                        "%zu alarms wait for '%s' already; more are dropped until it takes some",
                        p->queue.n, p->url);
        p->full = 1;
    }
    free(text);
    json_decref(body);
}

static size_t on_msgs(void *self, const broker_msg *const *msgs, size_t n)
{
    plugin *p = self;

    for (size_t i = 0; i < n; i++) {
        json_t *content = content_read(msgs[i]);

        if (matches(p, content))
            alarm_add(p, msgs[i], content);
        json_decref(content);
    }
    post(p);
    return n;
}

/* ---- life ---- */

static void destroy(void *self)
{
    plugin *p = self;

    queue_clear(&p->queue);
    json_decref(p->equals);
    free(p->url);
    free(p);
}

static broker_rc create(broker_ctx *ctx, void **self)
{
    const broker_config *config = BROKER_SERVICE(ctx, broker_config);
    plugin *p = calloc(1, sizeof *p);
    broker_str text;

    if (p == NULL)
        return ctx->host->fail(ctx, BROKER_ENOMEM, "out of memory");
    *self = p; /* from here on destroy() frees it */
    p->ctx = ctx;
    queue_init(&p->queue, 0);
    p->bus = BROKER_SERVICE(ctx, broker_bus);
    p->fetch = BROKER_SERVICE(ctx, broker_fetch);
    p->work = BROKER_SERVICE(ctx, broker_work);
    p->metrics = BROKER_SERVICE(ctx, broker_metrics);
    if (config == NULL || p->bus == NULL || p->fetch == NULL || p->work == NULL ||
        p->metrics == NULL)
        broker_failf(ctx, BROKER_ENOSYS,
                     "this host lacks broker.config, .bus, .fetch, .work or .metrics");
    p->stream = config->string(ctx, "stream");
    p->path = config->string(ctx, "path");
    p->attempts = (unsigned)config->integer(ctx, "attempts");
    p->backoff_ms = (uint64_t)config->integer(ctx, "backoffMs");
    p->timeout_ms = (uint32_t)config->integer(ctx, "timeoutMs");
    queue_init(&p->queue, (size_t)config->integer(ctx, "queue"));
    text = config->json(ctx, "equals");
    if (text.ptr != NULL)
        p->equals = json_loadb(text.ptr, text.len, JSON_DECODE_ANY, NULL);
    text = config->string(ctx, "url");
    p->url = strndup(text.ptr, text.len);
    return p->url != NULL ? BROKER_OK : ctx->host->fail(ctx, BROKER_ENOMEM, "out of memory");
}

static broker_rc start(void *self, broker_bytes state)
{
    plugin *p = self;
    broker_subscription want = {.size = sizeof want,
                                .stream = p->stream,
                                .partition = BROKER_ALL_PARTITIONS,
                                .on_msgs = on_msgs,
                                .self = p};
    broker_rc rc = queue_load(&p->queue, state);

    if (rc != BROKER_OK)
        return p->ctx->host->fail(p->ctx, rc, "the waiting alarms of the build before are damaged");
    rc = p->metrics->counter(p->ctx, "posted_total", NULL, "Alarms taken.", &p->posted);
    if (rc == BROKER_OK)
        rc = p->metrics->counter(p->ctx, "dropped_total", NULL, "Alarms lost.", &p->dropped);
    if (rc == BROKER_OK)
        rc = p->bus->subscribe(p->ctx, &want, &p->sub);
    if (rc == BROKER_OK)
        post(p);
    return rc;
}

static broker_rc quiesce(void *self, broker_writer *state)
{
    plugin *p = self;
    broker_rc rc = queue_save(&p->queue, state);

    if (rc != BROKER_OK)
        return rc;
    if (p->job != NULL)
        p->fetch->cancel(p->job);
    if (p->timer != NULL)
        p->work->timer_stop(p->timer);
    p->job = NULL;
    p->timer = NULL;
    queue_clear(&p->queue); /* start() reads it back if the next build does not come up */
    return BROKER_OK;
}

BROKER_PLUGIN("alert", "1.0.0", BROKER_PLUGIN_HOTSWAP, alert_schema, create, start, NULL, quiesce,
              destroy);
