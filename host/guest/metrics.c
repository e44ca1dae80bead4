/* metrics -- what the plugin counts, told to the node ten times a second.
 *
 * Counters and gauges gather in atomics; what a histogram observes is told value by value. While
 * the node does not take them, observations are dropped rather than kept. */
#include "guest/parts.h"

#include <math.h>

#define TICK_MS      100u
#define OBSERVED_MAX 65536u
#define BOUNDS_MAX   64u
#define QUEUED_MAX   (16u << 20)

struct broker_metric {
    broker_metric *next;
    guest *g;
    uint32_t id, kind;
    char *name, *labels;   /* labels: "" for none */
    atomic_llong gathered; /* counted since it was told last */
    _Atomic double value;  /* set() */
    atomic_bool was_set;   /* and not told */
};

typedef struct observed {
    uint32_t id;
    double value;
} observed;

/* ---- telling ---- */

static void metric_tell(guest *g, uint32_t id, uint32_t kind, uint64_t value)
{
    uint8_t body[13];

    put_u32be(body, id);
    body[4] = (uint8_t)kind;
    put_u64be(body + 5, value);
    channel_send(g->frames, WORD_METRIC, (broker_bytes){body, sizeof body},
                 (broker_bytes){NULL, 0});
}

static uint64_t bits_of(double value)
{
    uint64_t bits;

    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* Under observed_lock. */
static void observed_tell(guest *g)
{
    for (size_t i = 0; i < g->n_observed && channel_queued(g->frames) < QUEUED_MAX; i++)
        metric_tell(g, g->observed[i].id, METRIC_HISTOGRAM, bits_of(g->observed[i].value));
    g->n_observed = 0;
}

void guest_metrics_tell(guest *g)
{
    for (broker_metric *m = g->metrics; m != NULL; m = m->next) {
        int64_t n;

        if (atomic_exchange(&m->was_set, false))
            metric_tell(g, m->id, METRIC_GAUGE_SET, bits_of(atomic_load(&m->value)));
        n = atomic_exchange(&m->gathered, 0);
        if (n != 0)
            metric_tell(g, m->id, m->kind, (uint64_t)n);
    }
    uv_mutex_lock(&g->observed_lock);
    observed_tell(g);
    uv_mutex_unlock(&g->observed_lock);
}

static void on_tick(uv_timer_t *t)
{
    guest_metrics_tell(t->data);
}

/* ---- the table ---- */

static broker_rc metric_ask(const broker_metric *m, const char *help, const double *bounds,
                            size_t n)
{
    sb body = SB_INIT, bits = SB_INIT;
    broker_rc rc;

    for (size_t i = 0; i < n; i++)
        words_put_u64(&bits, bits_of(bounds[i]));
    pack_map(&body, m->labels[0] != '\0' ? 6 : 5);
    pack_uint(&body, "id", m->id);
    pack_uint(&body, "kind", m->kind);
    pack_text(&body, "name", m->name);
    if (m->labels[0] != '\0')
        pack_text(&body, "labels", m->labels);
    pack_text(&body, "help", help != NULL ? help : "");
    pack_bytes(&body, "bounds", bits.data, bits.len);
    rc = guest_ask(m->g, ASK_METRIC, bytes_of(&body), NULL);
    sb_done(&body);
    sb_done(&bits);
    return rc;
}

/* Whether the node lets it be a metric. */
static bool metric_is_good(const char *name, const char *labels, const char *help,
                           const double *bounds, size_t n)
{
    const char *const texts[] = {name, labels, help != NULL ? help : ""};

    if (name[0] == '\0' || n > BOUNDS_MAX)
        return false;
    for (size_t i = 0; i < COUNT_OF(texts); i++)
        for (const char *c = texts[i]; *c != '\0'; c++)
            if ((unsigned char)*c < 0x20 || *c == 0x7f)
                return false;
    for (size_t i = 0; i < n; i++)
        if (!isfinite(bounds[i]))
            return false;
    return true;
}

static void metric_free(broker_metric *m)
{
    free(m->name);
    free(m->labels);
    free(m);
}

static broker_rc make(broker_ctx *ctx, uint32_t kind, const char *name, const char *labels,
                      const char *help, const double *bounds, size_t n, broker_metric **out)
{
    guest *g = guest_of(ctx);
    broker_metric *m = g->metrics;
    broker_rc rc;

    labels = labels != NULL ? labels : "";
    while (m != NULL && (strcmp(m->name, name) != 0 || strcmp(m->labels, labels) != 0))
        m = m->next;
    if (m != NULL && m->kind == kind) {
        *out = m;
        return BROKER_OK;
    }
    if (m != NULL || g->n_metrics + 1 >= IDS_MAX)
        return ctx->host->fail(ctx, BROKER_EINVAL,
                               "a metric's name is taken by another kind, or there are too many");
    if (!metric_is_good(name, labels, help, bounds, n))
        return ctx->host->fail(ctx, BROKER_EINVAL, "a metric's name, text or bounds are not valid");
    m = must_alloc(sizeof *m);
    m->g = g;
    m->id = g->n_metrics + 1;
    m->kind = kind;
    m->name = must_strdup(name);
    m->labels = must_strdup(labels);
    rc = metric_ask(m, help, bounds, n);
    if (rc != BROKER_OK) {
        metric_free(m);
        return rc;
    }
    m->next = g->metrics;
    g->metrics = m;
    g->n_metrics++;
    *out = m;
    return BROKER_OK;
}

static broker_rc counter(broker_ctx *ctx, const char *name, const char *labels, const char *help,
                         broker_metric **out)
{
    return make(ctx, METRIC_COUNTER, name, labels, help, NULL, 0, out);
}

static broker_rc gauge(broker_ctx *ctx, const char *name, const char *labels, const char *help,
                       broker_metric **out)
{
    return make(ctx, METRIC_GAUGE, name, labels, help, NULL, 0, out);
}

static broker_rc histogram(broker_ctx *ctx, const char *name, const char *labels, const char *help,
                           const double *bounds, size_t n, broker_metric **out)
{
    return make(ctx, METRIC_HISTOGRAM, name, labels, help, bounds, n, out);
}

static void add(broker_metric *m, int64_t n)
{
    if (m != NULL && (m->kind == METRIC_GAUGE || (m->kind == METRIC_COUNTER && n > 0)))
        atomic_fetch_add_explicit(&m->gathered, n, memory_order_relaxed);
}

static void set(broker_metric *m, double value)
{
    if (m == NULL || m->kind != METRIC_GAUGE)
        return;
    atomic_store(&m->gathered, 0);
    atomic_store(&m->value, value);
    atomic_store(&m->was_set, true);
}

static void observe(broker_metric *m, double value)
{
    guest *g;

    if (m == NULL || m->kind != METRIC_HISTOGRAM)
        return;
    g = m->g;
    uv_mutex_lock(&g->observed_lock);
    if (g->n_observed == OBSERVED_MAX)
        observed_tell(g);
    g->observed[g->n_observed++] = (observed){m->id, value};
    uv_mutex_unlock(&g->observed_lock);
}

const broker_metrics guest_metrics = {
    sizeof guest_metrics, 0, counter, gauge, histogram, add, set, observe,
};

/* ---- life ---- */

void guest_metrics_init(guest *g)
{
    g->observed = must_alloc(OBSERVED_MAX * sizeof *g->observed);
    must(uv_mutex_init(&g->observed_lock) == 0);
    must(uv_timer_init(loop_uv(g->loop), &g->tick) == 0);
    g->tick.data = g;
    must(uv_timer_start(&g->tick, on_tick, TICK_MS, TICK_MS) == 0);
}

void guest_metrics_done(guest *g)
{
    while (g->metrics != NULL) {
        broker_metric *m = g->metrics;

        g->metrics = m->next;
        metric_free(m);
    }
    uv_mutex_destroy(&g->observed_lock);
    free(g->observed);
}
