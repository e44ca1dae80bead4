/* log -- one line an event, as text or JSON, on standard error. [any]
 *
 *   2026-11-22T14:07:42.118Z warn  logstore: batch of 1024 took 812 ms, disk is slow
 *
 * Under systemd (JOURNAL_STREAM) lines carry journald's priority prefix. */
#ifndef RUN_LOG_H
#define RUN_LOG_H

#include "base/base.h"

typedef enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG } log_level;

void log_setup(log_level most, bool json);
bool log_is_on(log_level level);
bool log_is_json(void);
void log_line(log_level level, const char *area, const char *line);
void log_printf(log_level level, const char *area, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#define log_error(area, ...) log_printf(LOG_ERROR, area, __VA_ARGS__)
#define log_warn(area, ...)  log_printf(LOG_WARN, area, __VA_ARGS__)
#define log_info(area, ...)  log_printf(LOG_INFO, area, __VA_ARGS__)
#define log_debug(area, ...) log_printf(LOG_DEBUG, area, __VA_ARGS__)

#endif
