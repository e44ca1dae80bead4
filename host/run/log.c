/* log -- see log.h. */
#include "run/log.h"

#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

/* A reload sets it while other threads read. */
static struct {
    _Atomic log_level most;
    atomic_bool json;
    atomic_bool journal;
} setup = {LOG_INFO, false, false};

static const char *const names[] = {"error", "warn", "info", "debug"};
/* syslog(3) priorities, for journald */
static const char priorities[] = {'3', '4', '6', '7'};

void log_setup(log_level most, bool json)
{
    setup.most = most;
    setup.json = json;
    setup.journal = getenv("JOURNAL_STREAM") != NULL && !json;
}

bool log_is_on(log_level level)
{
    return level <= setup.most;
}

bool log_is_json(void)
{
    return setup.json;
}

static void put_time(sb *out)
{
    int64_t now = clock_wall_ms();
    time_t seconds = (time_t)(now / 1000);
    struct tm tm;

    gmtime_r(&seconds, &tm);
    sb_printf(out, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900, tm.tm_mon + 1,
              tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)(now % 1000));
}

/* A line is one line: what a peer put into it cannot begin another. */
static void put_clean(sb *out, const char *line)
{
    for (; *line != '\0'; line++)
        sb_putc(out, (unsigned char)*line < 0x20 || *line == 0x7f ? '?' : *line);
}

void log_line(log_level level, const char *area, const char *line)
{
    sb out = SB_INIT;
    ssize_t n;

    if (!log_is_on(level))
        return;
    if (setup.json) {
        sb_puts(&out, "{\"ts\":\"");
        put_time(&out);
        sb_printf(&out, "\",\"level\":\"%s\",\"area\":", names[level]);
        sb_json_string(&out, area, strlen(area));
        sb_puts(&out, ",\"msg\":");
        sb_json_string(&out, line, strlen(line));
        sb_puts(&out, "}\n");
    } else {
        if (setup.journal)
            sb_printf(&out, "<%c>", priorities[level]);
        else {
            put_time(&out);
            sb_putc(&out, ' ');
        }
        sb_printf(&out, "%-5s %s: ", names[level], area);
        put_clean(&out, line);
        sb_putc(&out, '\n');
    }
    /* One write a line, so that lines of several threads do not mix. Nothing can be
     * done about an error here. */
    n = write(STDERR_FILENO, out.data, out.len);
    (void)n;
    sb_done(&out);
}

void log_printf(log_level level, const char *area, const char *fmt, ...)
{
    sb line = SB_INIT;
    va_list args;

    if (!log_is_on(level))
        return;
    va_start(args, fmt);
    sb_vprintf(&line, fmt, args);
    va_end(args);
    log_line(level, area, line.data);
    sb_done(&line);
}
