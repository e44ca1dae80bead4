/* filter -- republishes messages that match into another stream, whole or a part of them,
 * signed by the node.
 *
 * When the bus is full, or IN_FLIGHT_MAX messages are on their way, it takes no more until
 * there is room: the bus then holds back whoever sends. [loop] throughout. */
#include "content.h"

#include <broker/plugin_log.h>
#include <stdlib.h>

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
    int held;           /* took less than it was offered; somebody will resume() */
    int asked;          /* on_room() will come */
} plugin;

/* ---- out ---- */

static void go_on(plugin *p)
{
    if (!p->held)
        return;
    p->held = 0;
    p->bus->resume(p->sub);
}

static void on_room(void *arg)
{
    plugin *p = arg;

    p->asked = 0;
    go_on(p);
}

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
    if (!p->asked)
        go_on(p);
}

/* Whether it was dealt with; if not, somebody will resume(). */
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
    if (rc == BROKER_AGAIN) {
        if (!p->asked)
            p->asked = p->bus->on_room(p->ctx, on_room, p) == BROKER_OK;
        if (p->asked || p->in_flight != 0)
            return 0;
    }
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

/* Whether the message was dealt with. */
static int filter_one(plugin *p, const broker_msg *m)
{
    json_t *content = content_read(m), *picked;
    char *text;
    int done = 1;

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
    if (p->from.len == p->to.len && memcmp(p->from.ptr, p->to.ptr, p->to.len) == 0)
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
    return p->in_flight == 0 && !p->asked ? BROKER_OK : BROKER_AGAIN;
}

BROKER_PLUGIN("filter", "1.0.0", BROKER_PLUGIN_HOTSWAP, filter_schema, create, start, NULL, quiesce,
              destroy);
