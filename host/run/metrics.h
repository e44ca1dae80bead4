/* metrics -- counters, gauges and histograms, shown as Prometheus text 0.0.4.
 *
 * Making one is [loop]; adding, setting and observing is [any] and lock-free. */
#ifndef RUN_METRICS_H
#define RUN_METRICS_H

#include "base/base.h"

typedef struct metric metric;

/* The same full name and labels give the same metric. NULL: the name is taken by
 * another kind or is not a valid name. labels: NULL or `result="stored"`. */
metric *metrics_counter(const char *name, const char *labels, const char *help);
metric *metrics_gauge(const char *name, const char *labels, const char *help);
metric *metrics_histogram(const char *name, const char *labels, const char *help,
                          const double *bounds, size_t n);
void metric_add(metric *m, int64_t n);
void metric_set(metric *m, double value);
void metric_observe(metric *m, double value);

/* Called before each rendering, to set gauges that are computed. [loop] */
void metrics_on_render(void (*fn)(void *arg), void *arg);
void metrics_render(sb *out); /* [loop] */
void metrics_free_all(void);

#endif
