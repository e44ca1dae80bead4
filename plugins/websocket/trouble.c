/* trouble -- see trouble.h. */
#include "trouble.h"

#define QUIET_MS 60000u

static const char errors[] = "errors_total", errors_help[] = "What went wrong for clients.",
                  dropped[] = "dropped_total",
                  dropped_help[] = "Messages of a stream that its subscribers do not get.";

static const struct {
    const char *metric, *help, *labels;
} kinds[TROUBLE_KINDS] = {
    [TROUBLE_TARGET] = {errors, errors_help, "reason=\"target\""},
    [TROUBLE_KEY] = {errors, errors_help, "reason=\"key\""},
    [TROUBLE_PAYLOAD] = {errors, errors_help, "reason=\"payload\""},
    [TROUBLE_REJECTED] = {errors, errors_help, "reason=\"rejected\""},
    [TROUBLE_FAILED] = {errors, errors_help, "reason=\"failed\""},
    [TROUBLE_SLOW] = {errors, errors_help, "reason=\"slow_subscriber\""},
    [TROUBLE_MEMORY] = {errors, errors_help, "reason=\"memory\""},
    [TROUBLE_LOST] = {errors, errors_help, "reason=\"lost\""},
    [TROUBLE_ENCRYPTED] = {dropped, dropped_help, "reason=\"encrypted\""},
    [TROUBLE_NOT_OBJECT] = {dropped, dropped_help, "reason=\"not_object\""},
};

broker_rc trouble_init(trouble *t, broker_ctx *ctx, const broker_metrics *metrics,
                       const broker_work *work)
{
    broker_rc rc = BROKER_OK;

    *t = (trouble){.ctx = ctx, .metrics = metrics, .work = work};
    for (size_t i = 0; i < TROUBLE_KINDS && rc == BROKER_OK; i++)
        rc = metrics->counter(ctx, kinds[i].metric, kinds[i].labels, kinds[i].help,
                              &t->kinds[i].count);
    return rc;
}

void trouble_say(trouble *t, trouble_kind kind, const char *fmt, ...)
{
    uint64_t now = t->work->now_ms(t->ctx);
    sb line = SB_INIT;
    va_list args;

    t->metrics->add(t->kinds[kind].count, 1);
    if (t->kinds[kind].said_ms != 0 && now - t->kinds[kind].said_ms < QUIET_MS) {
        t->kinds[kind].unsaid++;
        return;
    }
    va_start(args, fmt);
    sb_vprintf(&line, fmt, args);
    va_end(args);
    if (t->kinds[kind].unsaid != 0)
        sb_printf(&line, " (and %llu more like it since the last such line)",
                  (unsigned long long)t->kinds[kind].unsaid);
    t->ctx->host->log(t->ctx, BROKER_LOG_WARN, line.data);
    t->kinds[kind].said_ms = now;
    t->kinds[kind].unsaid = 0;
    sb_done(&line);
}
