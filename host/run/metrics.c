/* metrics -- see metrics.h. */
#include "run/metrics.h"

#include <math.h>
#include <stdatomic.h>

typedef enum kind { COUNTER, GAUGE, HISTOGRAM } kind;

struct metric {
    metric *next; /* of the family */
    char *labels; /* "" or `a="b"` */
    _Atomic int64_t count;
    _Atomic double value; /* gauge set(), or sum of a histogram */
    _Atomic int64_t *buckets;
    struct family *family;
};

typedef struct family {
    struct family *next;
    char *name, *help;
    kind kind;
    double *bounds;
    size_t n_bounds;
    metric *first;
} family;

typedef struct hook {
    struct hook *next;
    void (*fn)(void *arg);
    void *arg;
} hook;

/* One table for the process, as there is one /metrics. Made and read on the loop. */
static family *families;
static hook *hooks;

static const char *const kinds[] = {"counter", "gauge", "histogram"};

static bool name_ok(const char *name)
{
    static const char first[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_:";

    return name[0] != '\0' && strchr(first, name[0]) != NULL &&
           name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_:0123456789")] ==
               '\0';
}

static family *family_of(const char *name, kind k, const char *help, const double *bounds, size_t n)
{
    family **at = &families;

    for (; *at != NULL; at = &(*at)->next)
        if (strcmp((*at)->name, name) == 0)
            return (*at)->kind == k ? *at : NULL;
    if (!name_ok(name))
        return NULL;
    *at = must_alloc(sizeof **at);
    (*at)->name = must_strdup(name);
    (*at)->help = must_strdup(help);
    (*at)->kind = k;
    (*at)->n_bounds = n;
    if (n != 0) {
        (*at)->bounds = must_alloc(n * sizeof *bounds);
        memcpy((*at)->bounds, bounds, n * sizeof *bounds);
    }
    return *at;
}

static metric *metric_of(const char *name, kind k, const char *labels, const char *help,
                         const double *bounds, size_t n)
{
    family *f = family_of(name, k, help, bounds, n);
    metric **at;

    if (f == NULL)
        return NULL;
    labels = labels != NULL ? labels : "";
    for (at = &f->first; *at != NULL; at = &(*at)->next)
        if (strcmp((*at)->labels, labels) == 0)
            return *at;
    *at = must_alloc(sizeof **at);
    (*at)->labels = must_strdup(labels);
    (*at)->family = f;
    if (k == HISTOGRAM)
        (*at)->buckets = must_alloc((f->n_bounds + 1) * sizeof *(*at)->buckets);
    return *at;
}

metric *metrics_counter(const char *name, const char *labels, const char *help)
{
    return metric_of(name, COUNTER, labels, help, NULL, 0);
}

metric *metrics_gauge(const char *name, const char *labels, const char *help)
{
    return metric_of(name, GAUGE, labels, help, NULL, 0);
}

metric *metrics_histogram(const char *name, const char *labels, const char *help,
                          const double *bounds, size_t n)
{
    return metric_of(name, HISTOGRAM, labels, help, bounds, n);
}

void metric_add(metric *m, int64_t n)
{
    if (m != NULL)
        atomic_fetch_add_explicit(&m->count, n, memory_order_relaxed);
}

void metric_set(metric *m, double value)
{
    if (m == NULL)
        return;
    atomic_store_explicit(&m->count, 0, memory_order_relaxed);
    atomic_store_explicit(&m->value, value, memory_order_relaxed);
}

void metric_observe(metric *m, double value)
{
    double sum;
    size_t i = 0;

    if (m == NULL || m->buckets == NULL)
        return;
    while (i < m->family->n_bounds && value > m->family->bounds[i])
        i++;
    atomic_fetch_add_explicit(&m->buckets[i], 1, memory_order_relaxed);
    sum = atomic_load_explicit(&m->value, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&m->value, &sum, sum + value,
                                                  memory_order_relaxed, memory_order_relaxed))
        ;
}

void metrics_on_render(void (*fn)(void *arg), void *arg)
{
    hook *h = must_alloc(sizeof *h);

    h->fn = fn;
    h->arg = arg;
    h->next = hooks;
    hooks = h;
}

static void put_number(sb *out, double x)
{
    if (x == floor(x) && fabs(x) < 1e15)
        sb_printf(out, "%.0f\n", x);
    else
        sb_printf(out, "%.9g\n", x);
}

static void put_histogram(sb *out, const metric *m)
{
    const family *f = m->family;
    const char *comma = m->labels[0] != '\0' ? "," : "";
    int64_t total = 0;

    for (size_t i = 0; i < f->n_bounds; i++) {
        total += atomic_load(&m->buckets[i]);
        sb_printf(out, "%s_bucket{%s%sle=\"%g\"} %lld\n", f->name, m->labels, comma, f->bounds[i],
                  (long long)total);
    }
    total += atomic_load(&m->buckets[f->n_bounds]);
    sb_printf(out, "%s_bucket{%s%sle=\"+Inf\"} %lld\n", f->name, m->labels, comma,
              (long long)total);
    sb_printf(out, m->labels[0] != '\0' ? "%s_sum{%s} " : "%s_sum%s ", f->name, m->labels);
    put_number(out, atomic_load(&m->value));
    sb_printf(out, m->labels[0] != '\0' ? "%s_count{%s} " : "%s_count%s ", f->name, m->labels);
    sb_printf(out, "%lld\n", (long long)total);
}

void metrics_render(sb *out)
{
    for (hook *h = hooks; h != NULL; h = h->next)
        h->fn(h->arg);
    for (family *f = families; f != NULL; f = f->next) {
        sb_printf(out, "# HELP %s %s\n# TYPE %s %s\n", f->name, f->help, f->name, kinds[f->kind]);
        for (metric *m = f->first; m != NULL; m = m->next) {
            if (f->kind == HISTOGRAM) {
                put_histogram(out, m);
                continue;
            }
            sb_printf(out, m->labels[0] != '\0' ? "%s{%s} " : "%s%s ", f->name, m->labels);
            put_number(out, (double)atomic_load(&m->count) + atomic_load(&m->value));
        }
    }
}

void metrics_free_all(void)
{
    while (families != NULL) {
        family *f = families;

        families = f->next;
        while (f->first != NULL) {
            metric *m = f->first;

            f->first = m->next;
            free(m->labels);
            free((void *)m->buckets);
            free(m);
        }
        free(f->name);
        free(f->help);
        free(f->bounds);
        free(f);
    }
    while (hooks != NULL) {
        hook *h = hooks;

        hooks = h->next;
        free(h);
    }
}
