/* talk -- counters, the clock, and lines to the operator that strangers cannot flood. See mqtt.h.
 */
#include "mqtt.h"

#include <broker/plugin_log.h>

#define LINES_A_MINUTE 10u
#define MINUTE_MS      60000u

uint64_t mqtt_now(const mqtt *m)
{
    return m->work->now_ms(m->ctx);
}

void mqtt_count_add(mqtt *m, mqtt_count what, size_t n)
{
    m->metrics->add(m->counts[what], (int64_t)n);
}

mqtt_shown mqtt_show(broker_str text)
{
    mqtt_shown s;
    size_t n = text.len < 64 ? text.len : 64;

    for (size_t i = 0; i < n; i++)
        s.text[i] = text.ptr[i] >= 0x20 && text.ptr[i] < 0x7f ? text.ptr[i] : '?';
    memcpy(s.text + n, "...", 4);
    if (n == text.len)
        s.text[n] = '\0';
    return s;
}

void mqtt_say(mqtt *m, mqtt_topic_of_talk kind, const char *fmt, ...)
{
    uint32_t most = kind == SAY_CONTENT ? 1 : LINES_A_MINUTE;
    uint64_t now = mqtt_now(m);
    char line[512];
    va_list args;

    if (now - m->talk[kind].since_ms >= MINUTE_MS || m->talk[kind].since_ms == 0) {
        if (m->talk[kind].kept_back != 0)
            broker_logf(m->ctx, BROKER_LOG_WARN, "%u more lines like the last ones were kept back",
                        m->talk[kind].kept_back);
        m->talk[kind].since_ms = now;
        m->talk[kind].said = m->talk[kind].kept_back = 0;
    }
    if (m->talk[kind].said == most) {
        m->talk[kind].kept_back++;
        return;
    }
    m->talk[kind].said++;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    m->ctx->host->log(m->ctx, BROKER_LOG_WARN, line);
}
