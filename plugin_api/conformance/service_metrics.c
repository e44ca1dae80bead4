/* service_metrics -- "broker.metrics/1" of the kit: names and kinds are checked, numbers are
 * not kept. */
#include "kit.h"

#define MAGIC 0x6d657472u

struct broker_metric {
    object o;
    call kind; /* how it was made */
};

static void metric_free(object *o)
{
    free(CONTAINER_OF(o, broker_metric, o));
}

static broker_rc make(broker_ctx *ctx, call kind, const char *name, const char *help,
                      broker_metric **out)
{
    static const char first[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
    kit *k = kit_of(ctx);
    broker_metric *m;

    if (called(k, kind))
        return refuse(k, kind);
    if (name == NULL || help == NULL || out == NULL) {
        finding("%s() was given NULL for %s", call_rules[kind].name,
                name == NULL   ? "the name"
                : help == NULL ? "the help text"
                               : "the result");
        return BROKER_EINVAL;
    }
    if (name[0] == '\0' || strchr(first, name[0]) == NULL ||
        name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")] !=
            '\0')
        finding("the metric '%s' has a name that Prometheus does not take", name);
    if (kind == CALL_metrics_counter &&
        (strlen(name) < 6 || strcmp(name + strlen(name) - 6, "_total") != 0))
        finding("the counter '%s' does not end in _total", name);
    m = must_alloc(sizeof *m);
    object_init(k, &m->o, MAGIC, metric_free);
    m->kind = kind;
    *out = m;
    return BROKER_OK;
}

static broker_rc counter(broker_ctx *ctx, const char *name, const char *labels, const char *help,
                         broker_metric **out)
{
    (void)labels;
    return make(ctx, CALL_metrics_counter, name, help, out);
}

static broker_rc gauge(broker_ctx *ctx, const char *name, const char *labels, const char *help,
                       broker_metric **out)
{
    (void)labels;
    return make(ctx, CALL_metrics_gauge, name, help, out);
}

static broker_rc histogram(broker_ctx *ctx, const char *name, const char *labels, const char *help,
                           const double *bounds, size_t n, broker_metric **out)
{
    (void)labels;
    for (size_t i = 1; i < n; i++)
        if (bounds[i] <= bounds[i - 1])
            finding("the bounds of the histogram '%s' do not grow", name);
    return make(ctx, CALL_metrics_histogram, name, help, out);
}

static void add(broker_metric *m, int64_t n)
{
    if (called_on(m, MAGIC, CALL_metrics_add) == NULL)
        return;
    if (m->kind == CALL_metrics_histogram)
        finding("metrics.add() was given a histogram");
    if (m->kind == CALL_metrics_counter && n < 0)
        finding("metrics.add() took %lld from a counter; counters only grow", (long long)-n);
}

static void set(broker_metric *m, double value)
{
    (void)value;
    if (called_on(m, MAGIC, CALL_metrics_set) != NULL && m->kind != CALL_metrics_gauge)
        finding("metrics.set() was given something else than a gauge");
}

static void observe(broker_metric *m, double value)
{
    (void)value;
    if (called_on(m, MAGIC, CALL_metrics_observe) != NULL && m->kind != CALL_metrics_histogram)
        finding("metrics.observe() was given something else than a histogram");
}

const broker_metrics kit_metrics = {
    sizeof kit_metrics, 0, counter, gauge, histogram, add, set, observe,
};
