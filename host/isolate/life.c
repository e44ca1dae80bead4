/* life -- the process of a stand-in is watched, and started again when it ends unasked. [loop]
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

struct life {
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

static void plan(life *f, due what, uint64_t first_ms, uint64_t every_ms)
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
static bool count_end(life *f)
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
    life *f = s->life;
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
    life *f = s->life;
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
    s->life->started_ms = now_ms();
    if (standin_spawn(s, &why)) {
        channel_watch(s->frames, s->loop);
        channel_watch(s->asks, s->loop);
        plan(s->life, STEP, PATIENCE_MS, 0);
    } else {
        log_error(s->name, "%s", why.data);
        restart_plan(s, why.data);
    }
    sb_done(&why);
}

static void look_for_end(life *f)
{
    if (!child_is_over(&f->s->child)) {
        if (now_ms() - f->since_ms >= GRACE_MS)
            child_kill(&f->s->child);
        return;
    }
    if (f->due == LEFT) {
        standin *s = f->s;

        life_end(s);
        standin_bury(s);
        return;
    }
    plan(f, NEVER, 0, 0);
    if (f->s->wanted)
        ended(f->s);
}

static void on_timer(uv_timer_t *t)
{
    life *f = t->data;

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

void life_lost(standin *s)
{
    life *f = s->life;

    uv_timer_stop(&f->ping);
    f->since_ms = now_ms();
    s->alone = false;
    plan(f, ENDED, 0, LOOK_MS);
}

void life_stepped(standin *s)
{
    plan(s->life, STEP, PATIENCE_MS, 0);
}

/* ---- while it runs ---- */

static void on_ping(uv_timer_t *t)
{
    life *f = t->data;
    standin *s = f->s;

    if (s->stage == QUIET && s->wanted && now_ms() - s->quiet_ms >= GIVEN_UP_MS)
        life_revive(s);
    /* Not by the clock: our own loop may have stood still. */
    if (f->missed++ >= PINGS_MISSED)
        standin_lose(s, "its loop answered nothing for 10 s");
    else
        standin_send(s, WORD_PING, no_bytes, no_bytes);
}

void life_pong(standin *s)
{
    if (s->life != NULL)
        s->life->missed = 0;
}

void life_started(standin *s)
{
    life *f = s->life;

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

void life_revive(standin *s)
{
    s->draining = false;
    s->prepared.state = s->quiet.state = UNASKED;
    standin_begin_anew(s);
    s->stage = STARTING;
    s->alone = true;
    standin_send(s, WORD_START, sb_bytes(&s->quiet.bytes), no_bytes);
    plan(s->life, STEP, PATIENCE_MS, 0);
}

void life_quiesce(standin *s)
{
    if (s->frames == NULL || !s->alone)
        return;
    s->life->given_up = true;
    standin_lose(s, "it is changed");
}

void life_forget(standin *s)
{
    life *f = s->life;

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

void life_begin(standin *s)
{
    life *f;

    if (s->life != NULL)
        return;
    f = must_alloc(sizeof *f);
    f->s = s;
    f->open = 2;
    must(uv_timer_init(loop_uv(s->loop), &f->ping) == 0);
    must(uv_timer_init(loop_uv(s->loop), &f->timer) == 0);
    f->ping.data = f->timer.data = f;
    s->life = f;
}

static void on_closed(uv_handle_t *h)
{
    life *f = h->data;

    if (--f->open == 0)
        free(f);
}

void life_end(standin *s)
{
    if (s->life == NULL)
        return;
    uv_close((uv_handle_t *)&s->life->ping, on_closed);
    uv_close((uv_handle_t *)&s->life->timer, on_closed);
    s->life = NULL;
}

void life_leave(standin *s)
{
    uv_timer_stop(&s->life->ping);
    s->life->since_ms = now_ms();
    channel_watch(s->frames, s->loop);
    plan(s->life, LEFT, LOOK_MS, LOOK_MS);
}
