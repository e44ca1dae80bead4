/* swap -- changing a build, or its settings, while traffic flows. [loop]
 *
 * The new build is complete before the old one notices: it is tried in a process of its own,
 * then loaded and created beside the old one.
 * Then the old build prepares; its input stops and what it has taken in is settled (hold);
 * its traffic is parked with the host; it writes its state and is quiet; the new one starts
 * from that state and takes over what is parked. Up to quiet the change can be given up and
 * the old build runs on as if it had not been asked; after it, the old build is started
 * again with its own state. Nothing is unmapped before its ledger is clear. */
#include "plugin/parts.h"

#include "plugin/probe.h"
#include "run/log.h"
#include "run/metrics.h"

#define TICK_MS 1u

typedef enum step {
    WAITING,
    LOADING,
    PREPARING,
    HOLDING,
    PREPARING_AGAIN,
    PARKING,
    QUIET,
    RESTORING
} step;

struct swap {
    swap *next;
    loader *l;
    change_kind kind;
    conf_plugin wanted;
    char *file;
    void (*done)(void *arg, bool ok, const char *report);
    void *arg;

    step step;
    plugin *p;
    build *old, *fresh; /* NULL: nothing runs yet; nothing shall run */
    probe *probe;       /* while it tries the file */
    job job;            /* loads the file */
    bool loaded, give_up, by_hand;
    sb why, state;
    uint64_t began_ns, left_ns, parked_ns, saved_ns, quiet_ns; /* when */
};

static uint64_t ms_since(uint64_t ns)
{
    return (clock_mono_ns() - ns) / 1000000;
}

/* ---- traffic ---- */

static void park(build *b)
{
    if (b->parts->http != NULL) /* closed before the plugins stop */
        http_park(b->parts->http, &b->ledger);
    bus_park(b->parts->bus, &b->ledger);
    net_park(b->parts->net, &b->ledger);
    registry_park(loader_registry(b->loader), b, true);
}

/* On, for whichever build has taken over; what none took over is dropped. */
static void go_on(build *b)
{
    if (b->parts->http != NULL)
        http_go_on(b->parts->http, b->manifest.name);
    bus_go_on(b->parts->bus, b->manifest.name);
    net_unpark(b->parts->net, &b->ledger);
    registry_park(loader_registry(b->loader), b, false);
}

/* ---- ends ---- */

static void swap_free(swap *s)
{
    free(s->wanted.key);
    free(s->wanted.module);
    json_decref(s->wanted.section);
    free(s->file);
    sb_done(&s->why);
    sb_done(&s->state);
    free(s);
}

static void begin_next(loader *l);

static void count(const swap *s, const char *result)
{
    char labels[128];

    snprintf(labels, sizeof labels, "plugin=\"%s\",result=\"%s\"", s->wanted.key, result);
    metric_add(metrics_counter("plugin_changes_total", labels,
                               "Plugins swapped, enabled and disabled, by what became of it."),
               1);
}

/* report is logged and told. */
static void end(swap *s, bool ok, const char *result, const sb *report)
{
    loader *l = s->l;

    uv_timer_stop(&l->ticks->swap);
    count(s, result);
    if (ok)
        log_info("loader", "%s", report->data);
    else
        log_error("loader", "%s", report->data);
    l->first_swap = s->next;
    if (l->first_swap == NULL)
        l->last_swap = &l->first_swap;
    if (s->done != NULL)
        s->done(s->arg, ok, report->data);
    swap_free(s);
    begin_next(l);
}

static const char *verb(const swap *s)
{
    return s->kind == CHANGE_SWAP ? "swapped" : s->kind == CHANGE_ENABLE ? "enabled" : "disabled";
}

/* It did not happen. The old build, if any, has run on. */
static void fail(swap *s, const char *result)
{
    sb report = SB_INIT;

    sb_printf(&report, "'%s' was not %s: %s", s->wanted.key, verb(s), s->why.data);
    if (s->old != NULL && s->p->running)
        sb_printf(&report, "; %s runs on", s->old->manifest.version);
    if (s->fresh != NULL) {
        build_forget(s->fresh);
        build_leave(s->l, s->fresh);
        s->fresh = NULL;
    }
    end(s, false, result, &report);
    sb_done(&report);
}

/* Before the old build is quiet. */
static void give_up(swap *s)
{
    if (s->old != NULL)
        go_on(s->old);
    if (s->p != NULL)
        s->p->prepared = false;
    fail(s, "given_up");
}

static void build_text(const build *b, sb *out)
{
    sb_printf(out, "%s (build %.12s)", b->manifest.version, b->id[0] != '\0' ? b->id : "unknown");
}

static void succeed(swap *s, uint64_t pause_ns)
{
    static const double bounds[] = {0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.25, 1, 5};
    sb report = SB_INIT;
    char labels[64];

    sb_printf(&report, "'%s' was %s", s->wanted.key, verb(s));
    if (s->old != NULL && s->kind == CHANGE_SWAP) {
        sb_puts(&report, ", ");
        build_text(s->old, &report);
        sb_puts(&report, " -> ");
        build_text(s->fresh, &report);
        sb_printf(&report, ", in %llu ms; traffic waited %.1f ms",
                  (unsigned long long)ms_since(s->began_ns), (double)pause_ns / 1e6);
        log_debug("loader",
                  "'%s' waited %.1f ms for answers to be saved, %.1f ms to become quiet, "
                  "%.1f ms to start",
                  s->wanted.key, (double)(s->saved_ns - s->parked_ns) / 1e6,
                  (double)(s->quiet_ns - s->saved_ns) / 1e6,
                  (double)(s->parked_ns + pause_ns - s->quiet_ns) / 1e6);
        snprintf(labels, sizeof labels, "plugin=\"%s\"", s->wanted.key);
        metric_observe(metrics_histogram("plugin_swap_pause_seconds", labels,
                                         "How long the traffic of a plugin waited in a swap.",
                                         bounds, COUNT_OF(bounds)),
                       (double)pause_ns / 1e9);
    } else if (s->fresh != NULL) {
        sb_puts(&report, ": ");
        build_text(s->fresh, &report);
    }
    build_leave(s->l, s->old);
    s->old = s->fresh = NULL;
    end(s, true, "done", &report);
    sb_done(&report);
}

/* ---- after quiet ---- */

static broker_bytes state_of(const swap *s)
{
    bool handed = (s->old->manifest.flags & BROKER_PLUGIN_HOTSWAP) != 0;

    return (broker_bytes){(const uint8_t *)s->state.data, handed ? s->state.len : 0};
}

/* The old build again, with its own state. */
static void roll_back(swap *s)
{
    sb again = SB_INIT;
    bool ok = build_start(s->old, state_of(s), &again);

    s->p->running = ok;
    s->p->prepared = false;
    if (!ok) {
        sb_printf(&s->why, "; and the build before did not start again: %s", again.data);
        sb_clear(&s->p->down);
        sb_append(&s->p->down, s->why.data, s->why.len);
        build_vacate(s->old, s->old); /* nobody takes over what it had */
    }
    go_on(s->old);
    if (!ok) {
        build_leave(s->l, s->old);
        s->p->build = s->old = NULL;
    }
    sb_done(&again);
    fail(s, ok ? "rolled_back" : "failed");
}

static void start_fresh(swap *s)
{
    broker_bytes none = {NULL, 0};
    uint64_t pause_ns;

    if (!build_start(s->fresh, s->old != NULL ? state_of(s) : none, &s->why)) {
        if (s->old == NULL) {
            fail(s, "failed");
            return;
        }
        build_vacate(s->fresh, s->old);
        s->step = RESTORING;
        return;
    }
    if (s->p == NULL)
        s->p = plugin_add(s->l, s->wanted.key, s->fresh);
    s->p->build = s->fresh;
    s->p->running = true;
    s->p->prepared = false;
    sb_clear(&s->p->down);
    if (s->old != NULL)
        go_on(s->fresh);
    pause_ns = clock_mono_ns() - s->parked_ns;
    succeed(s, pause_ns);
}

/* The build that did not start may have what the old one needs back: it goes first. */
static bool restored(swap *s)
{
    if (ledger_is_clear(&s->fresh->ledger) ||
        ms_since(s->parked_ns) >= s->l->parts->swap_pause_ms) {
        build_leave(s->l, s->fresh);
        s->fresh = NULL;
        if (s->l->stopping)
            fail(s, "given_up");
        else
            roll_back(s);
    }
    return false;
}

static void take_out(swap *s)
{
    build_forget(s->old);
    if (s->old->parts->http != NULL)
        http_go_on(s->old->parts->http, s->old->manifest.name); /* to be answered 404 */
    s->p->build = NULL;
    plugin_remove(s->l, s->p);
    s->p = NULL;
    succeed(s, 0);
}

/* ---- steps: true when there is another one to take at once ---- */

static bool prepared(swap *s, step next)
{
    build *b = s->old;
    broker_rc rc = BROKER_OK;

    if (b->table->prepare != NULL)
        CROSS(&b->ledger, "prepare", rc = b->table->prepare(b->self));
    if (rc == BROKER_OK) {
        s->step = next;
        return true;
    }
    if (rc != BROKER_AGAIN) {
        sb_puts(&s->why, "the running build did not prepare: ");
        build_why(b, rc, &s->why);
        s->give_up = true;
        return true;
    }
    return false;
}

static bool held(swap *s)
{
    build *b = s->old;
    bool calm = b->parts->http == NULL || s->kind == CHANGE_DISABLE
                    ? http_end(b->parts->http, &b->ledger)
                    : http_hold(b->parts->http, &b->ledger);

    net_hold(b->parts->net, &b->ledger);
    if (!calm || atomic_load(&b->ledger.admissions) != 0)
        return false;
    s->step = PREPARING_AGAIN; /* what came in since the first time */
    return true;
}

static bool quiesced(swap *s)
{
    build *b = s->old;
    blob state = blob_of(&s->state);
    broker_rc rc;

    if (b->parts->http != NULL && !http_park(b->parts->http, &b->ledger))
        return false;
    if (s->saved_ns == 0)
        s->saved_ns = clock_mono_ns();
    sb_clear(&s->state);
    CROSS(&b->ledger, "quiesce", rc = b->table->quiesce(b->self, &state.w));
    if (rc == BROKER_AGAIN)
        return false;
    if (rc != BROKER_OK) {
        sb_puts(&s->why, "the running build did not become quiet: ");
        build_why(b, rc, &s->why);
        s->give_up = true;
        return true;
    }
    s->p->running = false;
    s->quiet_ns = clock_mono_ns();
    build_vacate(b, b);
    s->step = QUIET;
    return true;
}

/* It said that it is quiet: nothing may be left. */
static bool ended(swap *s)
{
    sb text = SB_INIT;

    if (s->l->stopping && s->kind != CHANGE_DISABLE) { /* nothing starts any more */
        fail(s, "given_up");
        return true;
    }
    if (ledger_is_clear(&s->old->ledger)) {
        if (s->kind == CHANGE_DISABLE)
            take_out(s);
        else
            start_fresh(s);
        return true; /* to restore, or to the next change */
    }
    if (ms_since(s->parked_ns) < s->l->parts->swap_pause_ms)
        return false;
    ledger_say(&s->old->ledger, &text);
    sb_printf(&s->why, "the running build says it is quiet, but still holds %s", text.data);
    sb_done(&text);
    if (s->kind == CHANGE_DISABLE)
        take_out(s); /* it is quiet, and stays mapped */
    else
        roll_back(s);
    return false;
}

static void late(swap *s)
{
    static const char *const what[] = {
        [PREPARING] = "to prepare",
        [HOLDING] = "to settle what it had taken in",
        [PREPARING_AGAIN] = "to prepare",
        [PARKING] = "to become quiet",
    };
    sb text = SB_INIT;

    ledger_say(&s->old->ledger, &text);
    sb_printf(&s->why, "the running build took too long %s; it holds %s", what[s->step], text.data);
    sb_done(&text);
    s->give_up = true;
}

static bool take_step(swap *s)
{
    if (s->step < QUIET && s->step >= PREPARING && !s->give_up &&
        (s->step == PARKING ? ms_since(s->parked_ns) >= s->l->parts->swap_pause_ms
                            : ms_since(s->left_ns) >= s->l->parts->swap_prepare_ms))
        late(s);
    if (s->give_up && s->step < QUIET) {
        give_up(s);
        return false;
    }
    switch (s->step) {
    case PREPARING:
        return prepared(s, HOLDING);
    case HOLDING:
        return held(s);
    case PREPARING_AGAIN:
        if (!prepared(s, PARKING))
            return false;
        if (s->step == PARKING) {
            s->parked_ns = clock_mono_ns();
            park(s->old);
        }
        return true;
    case PARKING:
        return quiesced(s);
    case QUIET:
        return ended(s);
    case RESTORING:
        return restored(s);
    default:
        return false;
    }
}

static void on_tick(uv_timer_t *t)
{
    loader *l = t->data;

    while (l->first_swap != NULL && take_step(l->first_swap))
        ;
}

static void leave_begin(swap *s)
{
    s->step = PREPARING;
    s->left_ns = clock_mono_ns();
    must(uv_timer_start(&s->l->ticks->swap, on_tick, 0, TICK_MS) == 0);
}

/* ---- the new build ---- */

/* [worker] */
static void load_run(job *j)
{
    swap *s = CONTAINER_OF(j, swap, job);

    s->loaded = build_load(s->fresh, s->file, &s->why);
}

static bool same_plugin(swap *s)
{
    const char *was = s->old != NULL ? s->old->manifest.name : s->fresh->manifest.name;

    if (strcmp(was, s->fresh->manifest.name) == 0)
        return true;
    sb_printf(&s->why, "'%s' is a build of plugin '%s', not of '%s'", s->file,
              s->fresh->manifest.name, was);
    return false;
}

static void load_done(job *j)
{
    swap *s = CONTAINER_OF(j, swap, job);
    build *b = s->fresh;
    broker_rc rc;

    if (s->give_up || !s->loaded) {
        if (!s->loaded) {
            sb why = SB_INIT;

            sb_printf(&why, "refusing '%s': %s", s->file, s->why.data);
            sb_done(&s->why);
            s->why = why;
        }
        fail(s, "refused");
        return;
    }
    if (!same_plugin(s) || !build_accept(s->l, b, &s->wanted, &s->why)) {
        fail(s, "refused");
        return;
    }
    CROSS(&b->ledger, "create", rc = b->table->create(&b->ctx, &b->self));
    if (rc != BROKER_OK) {
        sb_puts(&s->why, "its create() failed: ");
        build_why(b, rc, &s->why);
        fail(s, "refused");
        return;
    }
    if (s->old != NULL)
        leave_begin(s);
    else
        start_fresh(s);
}

static void on_probed(void *arg, bool ok, const char *said)
{
    swap *s = arg;

    s->probe = NULL;
    if (!ok || s->give_up) {
        if (!s->give_up)
            sb_printf(&s->why, "refusing '%s': %s", s->file, said);
        fail(s, "refused");
        return;
    }
    s->fresh = build_new(s->l);
    s->fresh->by_hand = s->by_hand;
    s->fresh->isolated = s->wanted.isolate;
    s->job.run = load_run;
    s->job.done = load_done;
    /* First: under full load thousands of signatures wait to be checked. */
    pool_submit_first(s->l->parts->pool, &s->job);
}

static void load_begin(swap *s)
{
    sb file = SB_INIT;

    if (s->file == NULL) {
        loader_file(s->l->plugin_dir, &s->wanted, &file);
        TAKE(s->file, file.data);
    }
    s->step = LOADING;
    probe_start(s->l->parts->loop, conf_file(s->l->parts->conf), s->wanted.key, s->file, on_probed,
                s, &s->probe);
}

/* ---- the queue ---- */

static void begin_next(loader *l)
{
    swap *s = l->first_swap;

    if (s == NULL || s->step != WAITING)
        return;
    s->began_ns = clock_mono_ns();
    s->p = plugin_find(l, s->wanted.key);
    s->old = s->p != NULL ? s->p->build : NULL;
    if (l->stopping)
        sb_puts(&s->why, "the node is stopping");
    else if (s->kind == CHANGE_ENABLE && s->old != NULL)
        sb_puts(&s->why, "it runs already");
    else if (s->kind != CHANGE_ENABLE && s->p == NULL)
        sb_puts(&s->why, "no plugin of that name runs");
    if (s->why.len != 0) {
        s->old = NULL;
        fail(s, "refused");
    } else if (s->kind != CHANGE_DISABLE) {
        load_begin(s);
    } else if (s->old != NULL) {
        leave_begin(s);
    } else { /* it was down already */
        plugin_remove(l, s->p);
        s->p = NULL;
        succeed(s, 0);
    }
}

void loader_change(loader *l, change_kind kind, const conf_plugin *wanted, const char *file,
                   void (*done)(void *arg, bool ok, const char *report), void *arg)
{
    swap *s = must_alloc(sizeof *s);

    s->l = l;
    s->kind = kind;
    s->wanted = (conf_plugin){
        must_strdup(wanted->key),
        wanted->module != NULL ? must_strdup(wanted->module) : NULL,
        json_incref(wanted->section),
        wanted->isolate,
    };
    s->file = file != NULL ? must_strdup(file) : NULL;
    s->by_hand = file != NULL;
    s->done = done;
    s->arg = arg;
    *l->last_swap = s;
    l->last_swap = &s->next;
    if (l->first_swap == s)
        begin_next(l);
}

void swaps_stop(loader *l)
{
    l->stopping = true;
    if (l->first_swap != NULL && l->first_swap->why.len == 0) {
        sb_puts(&l->first_swap->why, "the node is stopping");
        l->first_swap->give_up = true;
        if (l->first_swap->probe != NULL)
            probe_stop(l->first_swap->probe);
    }
}

void swaps_init(loader *l)
{
    l->last_swap = &l->first_swap;
    if (l->parts->loop != NULL) /* else only files are looked at */
        l->ticks = ticks_new(l);
}

void swaps_done(loader *l)
{
    must(l->first_swap == NULL);
    ticks_free(l->ticks);
}
