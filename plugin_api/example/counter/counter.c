/* counter -- counts messages by a value in their content, for Prometheus:
 *
 *      counter_doors_total{state="open"} 12
 *
 * A rule names a stream, a path in the content and a label. Values beyond maxValues are
 * counted together as "other": a stranger may publish as many as he likes. The host keeps
 * counters across builds, so nothing is handed over. [loop] throughout. */
#include "content.h"

#include <broker/plugin_log.h>
#include <stdlib.h>

#define VALUE_MAX 64 /* bytes of a value that are told apart */

extern const char counter_schema[];

typedef struct value {
    struct value *next;
    broker_metric *metric;
    char text[VALUE_MAX + 1];
} value;

typedef struct rule {
    struct plugin *p;
    broker_str name, path, label; /* in plugin.settings */
    int64_t values_left;
    value *values;
    broker_sub *sub;
} rule;

typedef struct plugin {
    broker_ctx *ctx;
    const broker_config *config;
    const broker_bus *bus;
    const broker_metrics *metrics;
    json_t *settings;
    rule *rules;
    size_t n_rules;
} plugin;

/* ---- counting ---- */

/* The value as the text of a label; what would need an escape becomes '_'. */
static void text_of(const json_t *v, char out[VALUE_MAX + 1])
{
    if (json_is_string(v))
        snprintf(out, VALUE_MAX + 1, "%s", json_string_value(v));
    else if (json_is_integer(v))
        snprintf(out, VALUE_MAX + 1, "%lld", (long long)json_integer_value(v));
    else if (json_is_boolean(v))
        snprintf(out, VALUE_MAX + 1, "%s", json_is_true(v) ? "true" : "false");
    else
        snprintf(out, VALUE_MAX + 1, "%s", v == NULL ? "none" : "other");
    for (char *c = out; *c != '\0'; c++)
        if (*c == '"' || *c == '\\' || (unsigned char)*c < ' ' || (unsigned char)*c > '~')
            *c = '_';
}

static value *value_new(rule *r, const char *text)
{
    plugin *p = r->p;
    value *v = calloc(1, sizeof *v);
    char name[64], labels[160];

    if (v == NULL)
        return NULL;
    snprintf(v->text, sizeof v->text, "%s", text);
    snprintf(name, sizeof name, "%.*s_total", (int)r->name.len, r->name.ptr);
    snprintf(labels, sizeof labels, "%.*s=\"%s\"", (int)r->label.len, r->label.ptr, text);
    if (p->metrics->counter(p->ctx, name, labels, "Messages by a value in them.", &v->metric) !=
        BROKER_OK) {
        free(v); /* tried again with the next message */
        return NULL;
    }
    v->next = r->values;
    r->values = v;
    r->values_left--;
    return v;
}

static value *value_find(rule *r, const char *text)
{
    for (value *v = r->values; v != NULL; v = v->next)
        if (strcmp(v->text, text) == 0)
            return v;
    if (r->values_left > 0)
        return value_new(r, text);
    return strcmp(text, "other") != 0 ? value_find(r, "other") : value_new(r, "other");
}

static size_t on_msgs(void *self, const broker_msg *const *msgs, size_t n)
{
    rule *r = self;

    for (size_t i = 0; i < n; i++) {
        json_t *content = content_read(msgs[i]);
        char text[VALUE_MAX + 1];
        value *v;

        text_of(content_at(content, r->path), text);
        json_decref(content);
        v = value_find(r, text);
        if (v != NULL)
            r->p->metrics->add(v->metric, 1);
    }
    return n;
}

/* ---- life ---- */

static broker_str text_at(const json_t *object, const char *key)
{
    const json_t *text = json_object_get(object, key);

    return (broker_str){json_string_value(text), json_string_length(text)};
}

static void rule_forget(rule *r)
{
    while (r->values != NULL) {
        value *v = r->values;

        r->values = v->next;
        free(v);
    }
}

static void destroy(void *self)
{
    plugin *p = self;

    for (size_t i = 0; i < p->n_rules; i++)
        rule_forget(&p->rules[i]);
    free(p->rules);
    json_decref(p->settings);
    free(p);
}

static broker_rc create(broker_ctx *ctx, void **self)
{
    plugin *p = calloc(1, sizeof *p);
    broker_str text;

    if (p == NULL)
        return ctx->host->fail(ctx, BROKER_ENOMEM, "out of memory");
    *self = p; /* from here on destroy() frees it */
    p->ctx = ctx;
    p->config = BROKER_SERVICE(ctx, broker_config);
    p->bus = BROKER_SERVICE(ctx, broker_bus);
    p->metrics = BROKER_SERVICE(ctx, broker_metrics);
    if (p->config == NULL || p->bus == NULL || p->metrics == NULL)
        broker_failf(ctx, BROKER_ENOSYS, "this host lacks broker.config, .bus or .metrics");
    text = p->config->json(ctx, "rules");
    p->settings = json_loadb(text.ptr, text.len, 0, NULL);
    p->rules = calloc(json_array_size(p->settings) + 1, sizeof *p->rules);
    if (p->settings == NULL || p->rules == NULL)
        return ctx->host->fail(ctx, BROKER_ENOMEM, "out of memory");
    p->n_rules = json_array_size(p->settings);
    return BROKER_OK;
}

static broker_rc start(void *self, broker_bytes state)
{
    plugin *p = self;

    (void)state;
    for (size_t i = 0; i < p->n_rules; i++) {
        const json_t *said = json_array_get(p->settings, i);
        rule *r = &p->rules[i];
        broker_subscription want = {.size = sizeof want,
                                    .stream = text_at(said, "stream"),
                                    .partition = BROKER_ALL_PARTITIONS,
                                    .on_msgs = on_msgs,
                                    .self = r};
        broker_rc rc;

        *r = (rule){p,
                    text_at(said, "name"),

                    text_at(said, "path"),
                    text_at(said, "label"),
                    json_integer_value(json_object_get(said, "maxValues")),
                    NULL,
                    NULL};
        rc = p->bus->subscribe(p->ctx, &want, &r->sub);
        if (rc != BROKER_OK)
            broker_failf(p->ctx, rc, "cannot subscribe to '%.*s' (%d)", (int)want.stream.len,
                         want.stream.ptr, rc);
    }
    return BROKER_OK;
}

static broker_rc quiesce(void *self, broker_writer *state)
{
    plugin *p = self;

    (void)state; /* the host ends the subscriptions */
    for (size_t i = 0; i < p->n_rules; i++)
        rule_forget(&p->rules[i]);
    return BROKER_OK;
}

BROKER_PLUGIN("counter", "1.0.0", BROKER_PLUGIN_HOTSWAP, counter_schema, create, start, NULL,
              quiesce, destroy);
