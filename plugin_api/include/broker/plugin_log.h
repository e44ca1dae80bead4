/* broker/plugin_log.h -- printf-style logging and failing for plugins.
 *
 * Conveniences that need stdio; nothing here is part of the ABI. Lines longer
 * than 511 bytes are cut. */
#ifndef BROKER_PLUGIN_LOG_H
#define BROKER_PLUGIN_LOG_H

#include <broker/plugin.h>
#include <stdio.h>

#define broker_logf(ctx, level, ...)                                                               \
    do {                                                                                           \
        char line_[512];                                                                           \
        snprintf(line_, sizeof line_, __VA_ARGS__);                                                \
        (ctx)->host->log((ctx), (level), line_);                                                   \
    } while (0)

/* Keep a reason and return `rc` from the calling function. */
#define broker_failf(ctx, rc, ...)                                                                 \
    do {                                                                                           \
        char line_[512];                                                                           \
        snprintf(line_, sizeof line_, __VA_ARGS__);                                                \
        return (ctx)->host->fail((ctx), (rc), line_);                                              \
    } while (0)

#endif
