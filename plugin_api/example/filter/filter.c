/* filter -- republishes messages that match into another stream, whole or a part of them,
 * signed by the node.
 *
 * When the bus is full, or IN_FLIGHT_MAX messages are on their way, it takes no more until one
 * of them is done with: the bus then holds back whoever sends. It never waits for
 * bus->on_room(): the messages it has not taken fill the bus too, and there might never be room.
 * [loop] throughout. */
#include "content.h"

#include <broker/plugin_log.h>
#include <stdlib.h>
#include <strings.h>

#define IN_FLIGHT_MAX 256u

extern const char filter_schema[];

typedef struct plugin {
    broker_ctx *ctx;
    const broker_bus *bus;
    broker_str from, to, path, pick;
    json_t *equals; /* NULL: everything that has a value at the path */
    broker_metric *matched, *published, *failed;
    const broker_metrics *metrics;
    broker_sub *sub;
    unsigned in_flight; /* publications without done() */
    int held;           /* took less than it was offered; on_published() will resume() */
} plugin;

/* ---- out ---- */

static void on_published(void *arg, const broker_msg *msg, const broker_outcome *outcome)
{
    plugin *p = arg;

    (void)msg;
    p->in_flight--;
    switch (outcome->code) {
    case BROKER_STORED:
    case BROKER_NO_STORE:
    case BROKER_DUPLICATE:
        p->metrics->add(p->published, 1);
        break;
    default: /* codes that are not known yet are failures too */
        p->metrics->add(p->failed, 1);
        broker_logf(p->ctx, BROKER_LOG_DEBUG, "a message was not published: %s",
                    outcome->reason != NULL ? outcome->reason : "no reason given");
    }
    if (p->held) {
        p->held = 0;
        p->bus->resume(p->sub);
    }
}

/* Whether it was dealt with; if not, on_published() goes on. */
static int publish(plugin *p, uint32_t partition, const char *text, size_t len)
{
    broker_publication what = {.size = sizeof what,
                               .stream = p->to,
                               .partition = partition,
                               .content_type = BROKER_CONTENT_JSON,
                               .content = {(const uint8_t *)text, len},
                               .done = on_published,
                               .arg = p};
    broker_rc rc;

    if (p->in_flight == IN_FLIGHT_MAX)
        return 0;
    rc = p->bus->publish(p->ctx, &what);
    if (rc == BROKER_OK) {
        p->in_flight++;
        return 1;
    }
    if (rc == BROKER_AGAIN && p->in_flight != 0)
        return 0;
    p->metrics->add(p->failed, 1);
    broker_logf(p->ctx, BROKER_LOG_WARN, "a message was not published to '%.*s' (%d)",
                (int)p->to.len, p->to.ptr, rc);
    return 1;
}

/* ---- in ---- */

static int matches(const plugin *p, json_t *content)
{
    const json_t *v = content_at(content, p->path);

    if (v == NULL || p->equals == NULL)
        return v != NULL;
    if (json_is_number(v) && json_is_number(p->equals)) /* 1 is 1.0 */
        return !(json_number_value(v) < json_number_value(p->equals)) &&
               !(json_number_value(v) > json_number_value(p->equals));
    return json_equal(v, p->equals);
}

/* What it published comes back when `from` is a pattern that takes `to` in. */
static int is_own(const plugin *p, broker_str stream)
{
    return stream.len == p->to.len && strncasecmp(stream.ptr, p->to.ptr, p->to.len) == 0;
}

/* Whether the message was dealt with. */
static int filter_one(plugin *p, const broker_msg *m)
{
    json_t *content, *picked;
    char *text;
    int done = 1;

    if (is_own(p, m->stream))
        return 1;
    content = content_read(m);
    if (matches(p, content)) {
        picked = content_at(content, p->pick);
        text = json_dumps(picked, JSON_COMPACT | JSON_ENCODE_ANY);
        if (text != NULL)
            done = publish(p, m->partition, text, strlen(text));
        if (done)
            p->metrics->add(p->matched, 1);
        free(text);
    }
    json_decref(content);
    return done;
}

static size_t on_msgs(void *self, const broker_msg *const *msgs, size_t n)
{
    plugin *p = self;
    size_t taken = 0;

    while (taken < n && filter_one(p, msgs[taken]))
        taken++;
    p->held = taken < n;
    return taken;
}

/* ---- life ---- */

static void destroy(void *self)
{
    plugin *p = self;

    json_decref(p->equals);
    free(p);
}

static broker_rc create(broker_ctx *ctx, void **self)
{
    const broker_config *config = BROKER_SERVICE(ctx, broker_config);
    plugin *p = calloc(1, sizeof *p);
    broker_str equals;

    if (p == NULL)
        return ctx->host->fail(ctx, BROKER_ENOMEM, "out of memory");
    *self = p; /* from here on destroy() frees it */
    p->ctx = ctx;
    p->bus = BROKER_SERVICE(ctx, broker_bus);
    p->metrics = BROKER_SERVICE(ctx, broker_metrics);
    if (config == NULL || p->bus == NULL || p->metrics == NULL)
        broker_failf(ctx, BROKER_ENOSYS, "this host lacks broker.config, .bus or .metrics");
    p->from = config->string(ctx, "from");
    p->to = config->string(ctx, "to");
    p->path = config->string(ctx, "path");
    p->pick = config->string(ctx, "pick");
    equals = config->json(ctx, "equals");
    if (equals.ptr != NULL)
        p->equals = json_loadb(equals.ptr, equals.len, JSON_DECODE_ANY, NULL);
    if (is_own(p, p->from))
        broker_failf(ctx, BROKER_ECONFIG, "from and to are the same stream, '%.*s'", (int)p->to.len,
                     p->to.ptr);
    return BROKER_OK;
}

static broker_rc start(void *self, broker_bytes state)
{
    plugin *p = self;
    broker_subscription want = {.size = sizeof want,
                                .stream = p->from,
                                .partition = BROKER_ALL_PARTITIONS,
                                .on_msgs = on_msgs,
                                .self = p};
    const broker_metrics *m = p->metrics;
    broker_rc rc;

    (void)state;
    rc = m->counter(p->ctx, "matched_total", NULL, "Messages that matched.", &p->matched);
    if (rc == BROKER_OK)
        rc = m->counter(p->ctx, "published_total", NULL, "Republished.", &p->published);
    if (rc == BROKER_OK)
        rc = m->counter(p->ctx, "failed_total", NULL, "Not republished.", &p->failed);
    return rc == BROKER_OK ? p->bus->subscribe(p->ctx, &want, &p->sub) : rc;
}

static broker_rc quiesce(void *self, broker_writer *state)
{
    plugin *p = self;

    (void)state;
    return p->in_flight == 0 ? BROKER_OK : BROKER_AGAIN;
}

BROKER_PLUGIN("filter", "1.0.0", BROKER_PLUGIN_HOTSWAP, filter_schema, create, start, NULL, quiesce,
              destroy);
