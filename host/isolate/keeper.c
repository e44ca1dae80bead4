/* keeper -- the process of a stand-in is watched, and started again when it ends unasked. [loop]
 *
 *   runs -> ends -> its end is waited for -> a pause -> starts -> runs
 *
 * The pause begins at 100 ms and doubles while the process ends soon after its start. Three ends
 * within ten minutes are enough: it stays down until another build takes its place. */
#include "isolate/parts.h"

#include "run/log.h"
#include "run/metrics.h"

#define PING_MS        1000u
#define PINGS_MISSED   10u
#define GRACE_MS       1000u /* to end by itself when its sockets are closed */
#define LOOK_MS        5u
#define PAUSE_MS       100u
#define PAUSE_MAX_MS   10000u
#define SOON_MS        10000u
#define ENDS_LIMIT     3u /* as host/crash.h counts crashes of the node */
#define ENDS_WINDOW_MS 600000u
#define GIVEN_UP_MS    1000u /* a host that changes a build asks more often than that */

typedef enum due {
    NEVER,
    ENDED,   /* look whether the process has ended           */
    RESTART, /* the pause is over                            */
    STEP,    /* a restart did not come on                    */
    LEFT,    /* as ENDED, of one that was destroyed          */
} due;

struct keeper {
    standin *s;
    uv_timer_t ping, timer;
    unsigned open; /* handles */
    due due;
    uint64_t since_ms, started_ms, ends_ms[ENDS_LIMIT];
    unsigned pause_ms, missed, n_ends;
    bool given_up; /* we ended it, to change it */
};

static uint64_t now_ms(void)
{
    return clock_mono_ns() / 1000000;
}

static void on_timer(uv_timer_t *t);

static void plan(keeper *f, due what, uint64_t first_ms, uint64_t every_ms)
{
    f->due = what;
    if (what == NEVER)
        uv_timer_stop(&f->timer);
    else
        must(uv_timer_start(&f->timer, on_timer, first_ms, every_ms) == 0);
}

/* ---- restarts ---- */

static void count_restart(const standin *s)
{
    char labels[64];

    snprintf(labels, sizeof labels, "plugin=\"%s\"", s->name);
    metric_add(metrics_counter("isolated_restarts_total", labels,
                               "Processes of isolated plugins that were started again."),
               1);
}

static void tell_trouble(standin *s, const char *what)
{
    s->troubled = true;
    s->node->state(s->ctx, BROKER_STATE_DEGRADED, what);
}

/* Too often: it is left down. */
static void stay_down(standin *s, const char *how)
{
    sb why = SB_INIT;

    sb_printf(&why,
              "its process ended %u times within ten minutes (%s) and is not started again; swap "
              "in another build",
              ENDS_LIMIT, how);
    s->down = s->draining = true;
    log_error(s->name, "%s", why.data);
    tell_trouble(s, why.data);
    sb_done(&why);
    messages_drain(s);
}

/* Whether this is the last end there may be. */
static bool count_end(keeper *f)
{
    uint64_t now = now_ms();

    memmove(f->ends_ms + 1, f->ends_ms, sizeof f->ends_ms - sizeof *f->ends_ms);
    f->ends_ms[0] = now;
    if (f->n_ends < ENDS_LIMIT)
        f->n_ends++;
    return f->n_ends == ENDS_LIMIT && now - f->ends_ms[ENDS_LIMIT - 1] < ENDS_WINDOW_MS;
}

static void restart_plan(standin *s, const char *how)
{
    keeper *f = s->keeper;
    sb why = SB_INIT;

    if (count_end(f)) {
        plan(f, NEVER, 0, 0);
        stay_down(s, how);
        return;
    }
    if (f->started_ms != 0 && now_ms() - f->started_ms >= SOON_MS)
        f->pause_ms = 0;
    f->pause_ms = f->pause_ms == 0                 ? PAUSE_MS
                  : f->pause_ms * 2 < PAUSE_MAX_MS ? f->pause_ms * 2
                                                   : PAUSE_MAX_MS;
    sb_printf(&why, "its process ended (%s) and is being started again", how);
    tell_trouble(s, why.data);
    sb_done(&why);
    plan(f, RESTART, f->pause_ms, 0);
}

static void ended(standin *s)
{
    keeper *f = s->keeper;
    sb how = SB_INIT;

    if (f->given_up) {
        f->given_up = false;
        plan(f, RESTART, PAUSE_MS, 0); /* unless the change goes on */
        return;
    }
    child_say(&s->child, &how);
    if (s->why.len != 0)
        log_error(s->name, "its process (%d) was ended: %s", (int)s->child.pid, s->why.data);
    else
        log_error(s->name, "its process (%d) ended: %s", (int)s->child.pid, how.data);
    restart_plan(s, s->why.len != 0 ? s->why.data : how.data);
    sb_done(&how);
}

static void restart(standin *s)
{
    sb why = SB_INIT;

    asks_forget(s);
    standin_begin_anew(s);
    count_restart(s);
    s->alone = true;
    s->keeper->started_ms = now_ms();
    if (standin_spawn(s, &why)) {
        channel_watch(s->frames, s->loop);
        channel_watch(s->asks, s->loop);
        plan(s->keeper, STEP, PATIENCE_MS, 0);
    } else {
        log_error(s->name, "%s", why.data);
        restart_plan(s, why.data);
    }
    sb_done(&why);
}

static void look_for_end(keeper *f)
{
    if (!child_is_over(&f->s->child)) {
        if (now_ms() - f->since_ms >= GRACE_MS)
            child_kill(&f->s->child);
        return;
    }
    if (f->due == LEFT) {
        standin *s = f->s;

        keeper_end(s);
        standin_bury(s);
        return;
    }
    plan(f, NEVER, 0, 0);
    if (f->s->wanted)
        ended(f->s);
}

static void on_timer(uv_timer_t *t)
{
    keeper *f = t->data;

    switch (f->due) {
    case ENDED:
    case LEFT:
        look_for_end(f);
        break;
    case RESTART:
        restart(f->s);
        break;
    case STEP:
        standin_lose(f->s, "it hangs as it is started again");
        break;
    case NEVER:
        break;
    }
}

void keeper_lost(standin *s)
{
    keeper *f = s->keeper;

    uv_timer_stop(&f->ping);
    f->since_ms = now_ms();
    s->alone = false;
    plan(f, ENDED, 0, LOOK_MS);
}

void keeper_stepped(standin *s)
{
    plan(s->keeper, STEP, PATIENCE_MS, 0);
}

/* ---- while it runs ---- */

static void on_ping(uv_timer_t *t)
{
    keeper *f = t->data;
    standin *s = f->s;

    if (s->stage == QUIET && s->wanted && now_ms() - s->quiet_ms >= GIVEN_UP_MS)
        keeper_revive(s);
    /* Not by the clock: our own loop may have stood still. */
    if (f->missed++ >= PINGS_MISSED)
        standin_lose(s, "its loop answered nothing for 10 s");
    else
        standin_send(s, WORD_PING, no_bytes, no_bytes);
}

void keeper_pong(standin *s)
{
    if (s->keeper != NULL)
        s->keeper->missed = 0;
}

void keeper_started(standin *s)
{
    keeper *f = s->keeper;

    plan(f, NEVER, 0, 0);
    f->missed = 0;
    f->started_ms = now_ms();
    must(uv_timer_start(&f->ping, on_ping, PING_MS, PING_MS) == 0);
    if (!s->troubled)
        return;
    s->troubled = false;
    log_info(s->name, "runs again, in process %d", (int)s->child.pid);
    s->node->state(s->ctx, BROKER_STATE_READY, "its process runs again");
}

void keeper_revive(standin *s)
{
    s->draining = false;
    s->prepared.state = s->quiet.state = UNASKED;
    standin_begin_anew(s);
    s->stage = STARTING;
    s->alone = true;
    standin_send(s, WORD_START, sb_bytes(&s->quiet.bytes), no_bytes);
    plan(s->keeper, STEP, PATIENCE_MS, 0);
}

void keeper_quiesce(standin *s)
{
    if (s->frames == NULL || !s->alone)
        return;
    s->keeper->given_up = true;
    standin_lose(s, "it is changed");
}

void keeper_forget(standin *s)
{
    keeper *f = s->keeper;

    if (f == NULL)
        return;
    uv_timer_stop(&f->ping);
    plan(f, NEVER, 0, 0);
    f->given_up = false;
    f->n_ends = f->pause_ms = 0;
    if (s->alone)
        standin_lose(s, "it is taken out");
    s->alone = s->troubled = s->down = false;
}

/* ---- begin and end ---- */

void keeper_begin(standin *s)
{
    keeper *f;

    if (s->keeper != NULL)
        return;
    f = must_alloc(sizeof *f);
    f->s = s;
    f->open = 2;
    must(uv_timer_init(loop_uv(s->loop), &f->ping) == 0);
    must(uv_timer_init(loop_uv(s->loop), &f->timer) == 0);
    f->ping.data = f->timer.data = f;
    s->keeper = f;
}

static void on_closed(uv_handle_t *h)
{
    keeper *f = h->data;

    if (--f->open == 0)
        free(f);
}

void keeper_end(standin *s)
{
    if (s->keeper == NULL)
        return;
    uv_close((uv_handle_t *)&s->keeper->ping, on_closed);
    uv_close((uv_handle_t *)&s->keeper->timer, on_closed);
    s->keeper = NULL;
}

void keeper_leave(standin *s)
{
    uv_timer_stop(&s->keeper->ping);
    s->keeper->since_ms = now_ms();
    channel_watch(s->frames, s->loop);
    plan(s->keeper, LEFT, LOOK_MS, LOOK_MS);
}
