/* service_metrics -- "broker.metrics/1": run/metrics with the plugin's prefix. */
#include "plugin/build.h"
#include "run/metrics.h"

static void full_name(broker_ctx *ctx, const char *name, char *to, size_t len)
{
    snprintf(to, len, "%s_%s", build_of(ctx)->manifest.name, name);
}

static broker_rc made(broker_ctx *ctx, metric *m, broker_metric **out)
{
    if (m == NULL)
        return ctx->host->fail(ctx, BROKER_EINVAL,
                               "a metric's name is not valid or is taken by another kind");
    *out = (broker_metric *)m;
    return BROKER_OK;
}

static broker_rc counter(broker_ctx *ctx, const char *name, const char *labels, const char *help,
                         broker_metric **out)
{
    char full[128];

    full_name(ctx, name, full, sizeof full);
    return made(ctx, metrics_counter(full, labels, help), out);
}

static broker_rc gauge(broker_ctx *ctx, const char *name, const char *labels, const char *help,
                       broker_metric **out)
{
    char full[128];

    full_name(ctx, name, full, sizeof full);
    return made(ctx, metrics_gauge(full, labels, help), out);
}

static broker_rc histogram(broker_ctx *ctx, const char *name, const char *labels, const char *help,
                           const double *bounds, size_t n, broker_metric **out)
{
    char full[128];

    full_name(ctx, name, full, sizeof full);
    return made(ctx, metrics_histogram(full, labels, help, bounds, n), out);
}

static void add(broker_metric *m, int64_t n)
{
    metric_add((metric *)m, n);
}

static void set(broker_metric *m, double value)
{
    metric_set((metric *)m, value);
}

static void observe(broker_metric *m, double value)
{
    metric_observe((metric *)m, value);
}

const broker_metrics service_metrics = {
    sizeof service_metrics, 0, counter, gauge, histogram, add, set, observe,
};
