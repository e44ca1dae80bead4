/* loader -- see loader.h. */
#include "plugin/parts.h"

#include "run/log.h"

#include <ctype.h>

registry *loader_registry(loader *l)
{
    return l->registry;
}

const host_parts *loader_parts(const loader *l)
{
    return l->parts;
}

const char *loader_dir(const loader *l)
{
    return l->plugin_dir;
}

bool loader_keeps_mapped(const loader *l)
{
    return l->keep_mapped;
}

/* ---- loading ---- */

void loader_file(const char *plugin_dir, const conf_plugin *wanted, sb *path)
{
    const char *name = wanted->module != NULL ? wanted->module : wanted->key;

    if (strchr(name, '/') != NULL) {
        sb_puts(path, name);
        return;
    }
    sb_printf(path, "%s/", plugin_dir);
    if (wanted->module != NULL) {
        sb_puts(path, name);
        return;
    }
    for (; *name != '\0'; name++)
        sb_putc(path, (char)tolower((unsigned char)*name));
    sb_puts(path, ".so");
}

loader *loader_new(const host_parts *parts, const char *plugin_dir, bool keep_mapped)
{
    loader *l = must_alloc(sizeof *l);

    l->parts = parts;
    l->plugin_dir = must_strdup(plugin_dir);
    l->keep_mapped = keep_mapped;
    l->registry = registry_new();
    swaps_init(l);
    return l;
}

void loader_free(loader *l)
{
    if (l == NULL)
        return;
    while (l->last != NULL) { /* loaded for --check, never started */
        plugin *p = l->last;

        must(!p->running);
        build_free(p->build);
        p->build = NULL;
        plugin_remove(l, p);
    }
    swaps_done(l);
    registry_free(l->registry);
    sb_done(&l->state);
    free(l->plugin_dir);
    free(l);
}

plugin *plugin_find(loader *l, const char *name)
{
    plugin *p = l->last;

    while (p != NULL && strcmp(p->key, name) != 0 &&
           (p->build == NULL || strcmp(p->build->manifest.name, name) != 0))
        p = p->next;
    return p;
}

plugin *plugin_add(loader *l, const char *key, build *b)
{
    plugin *p = must_alloc(sizeof *p);

    p->key = must_strdup(key);
    p->build = b;
    p->next = l->last;
    l->last = p;
    return p;
}

void plugin_remove(loader *l, plugin *p)
{
    plugin **at = &l->last;

    must(p->build == NULL);
    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    sb_done(&p->down);
    free(p->key);
    free(p);
}

bool build_accept(loader *l, build *b, const conf_plugin *wanted, sb *why)
{
    for (const plugin *p = l->last; p != NULL; p = p->next)
        if (strcmp(p->key, wanted->key) != 0 && p->build != NULL &&
            strcmp(p->build->manifest.name, b->manifest.name) == 0) {
            sb_printf(why,
                      "plugins.%s: refusing '%s': a plugin named '%s' is loaded already; each may "
                      "be configured once",
                      wanted->key, b->file, b->manifest.name);
            return false;
        }
    b->section = conf_check_plugin(l->parts->conf, wanted, b->table->config_schema, why);
    if (b->section == NULL)
        return false;
    b->keys = conf_plugin_keys(l->parts->conf, wanted);
    return true;
}

plugin *loader_load(loader *l, const conf_plugin *wanted, sb *why)
{
    sb file = SB_INIT, reason = SB_INIT;
    build *b = build_new(l);
    plugin *p = NULL;

    loader_file(l->plugin_dir, wanted, &file);
    b->isolated = wanted->isolate;
    if (!build_load(b, file.data, &reason))
        sb_printf(why, "plugins.%s: refusing '%s': %s", wanted->key, file.data, reason.data);
    else if (build_accept(l, b, wanted, why))
        p = plugin_add(l, wanted->key, b);
    if (p == NULL)
        build_free(b);
    sb_done(&file);
    sb_done(&reason);
    return p;
}

bool loader_try(loader *l, const conf_plugin *wanted, sb *said)
{
    plugin *p = loader_load(l, wanted, said);
    broker_rc rc;
    build *b;

    if (p == NULL)
        return false;
    b = p->build;
    CROSS(&b->ledger, "create", rc = b->table->create(&b->ctx, &b->self));
    if (rc == BROKER_OK) {
        sb_printf(said, "%s, build %.12s, plugin ABI %u.%u", b->manifest.version,
                  b->id[0] != '\0' ? b->id : "unknown", b->manifest.abi_major,
                  b->manifest.abi_minor);
    } else {
        sb_printf(said, "plugins.%s: its create() failed: ", wanted->key);
        build_why(b, rc, said);
    }
    build_free(b);
    p->build = NULL;
    plugin_remove(l, p);
    return rc == BROKER_OK;
}

void loader_leave_out(plugin *p, const char *why)
{
    sb_clear(&p->down);
    sb_puts(&p->down, why);
    build_free(p->build);
    p->build = NULL;
}

const char *plugin_build_id(const plugin *p)
{
    return p->build->id;
}

const broker_manifest *plugin_manifest(const plugin *p)
{
    return &p->build->manifest;
}

/* ---- running ---- */

bool build_start(build *b, broker_bytes state, sb *why)
{
    broker_rc rc = BROKER_OK;
    const char *step = "create";

    if (b->self == NULL)
        CROSS(&b->ledger, "create", rc = b->table->create(&b->ctx, &b->self));
    if (rc == BROKER_OK) {
        step = "start";
        CROSS(&b->ledger, "start", rc = b->table->start(b->self, state));
    }
    if (rc == BROKER_OK)
        return true;
    sb_printf(why, "plugin '%s' did not %s: ", b->manifest.name, step);
    build_why(b, rc, why);
    return false;
}

static bool plugin_start(plugin *p, sb *why)
{
    const build *b = p->build;

    p->running = build_start(p->build, (broker_bytes){NULL, 0}, why);
    if (p->running)
        log_info("loader", "'%s' %s is running", b->manifest.name, b->manifest.version);
    return p->running;
}

static bool plugins_start(plugin *p, sb *why)
{
    return p == NULL || (plugins_start(p->next, why) && (p->build == NULL || plugin_start(p, why)));
}

bool loader_start(loader *l, sb *why)
{
    return plugins_start(l->last, why);
}

/* One step of a running plugin towards quiet. */
static void plugin_leave(loader *l, plugin *p)
{
    build *b = p->build;
    broker_rc rc = BROKER_OK;
    blob state = blob_of(&l->state);

    if (!p->prepared) {
        if (b->table->prepare != NULL)
            CROSS(&b->ledger, "prepare", rc = b->table->prepare(b->self));
        if (rc == BROKER_AGAIN)
            return;
        p->prepared = true;
        net_park(b->parts->net, &b->ledger); /* or there may be no end to what comes */
    }
    sb_clear(&l->state);
    CROSS(&b->ledger, "quiesce", rc = b->table->quiesce(b->self, &state.w));
    if (rc == BROKER_AGAIN)
        return;
    if (rc != BROKER_OK) {
        sb why = SB_INIT;

        build_why(b, rc, &why);
        log_error("loader", "'%s' did not stop cleanly: %s", b->manifest.name, why.data);
        sb_done(&why);
    }
    p->running = false;
    build_forget(b);
}

static void stop_end(loader *l, bool clean)
{
    uv_close((uv_handle_t *)&l->tick, NULL);
    l->stopped(l->stopped_arg, clean);
}

/* Nothing more comes in and what has come in has its outcome, before the first plugin leaves: it
 * may be the store of what another still takes in. Half of the time at most. */
static bool input_is_over(loader *l, uint64_t now)
{
    if (l->drained)
        return true;
    for (const plugin *p = l->last; p != NULL; p = p->next)
        if (p->running)
            net_hold(l->parts->net, &p->build->ledger);
    l->drained = bus_is_idle(l->parts->bus) || now >= l->drain_ms;
    return l->drained;
}

static void stop_tick(uv_timer_t *tick)
{
    loader *l = tick->data;
    uint64_t now = clock_mono_ns() / 1000000;

    if (l->first_swap != NULL)
        return; /* it gives up */
    if (!input_is_over(l, now))
        return;
    while (l->last != NULL) {
        plugin *p = l->last;
        sb held = SB_INIT;

        if (p->running) {
            plugin_leave(l, p);
        } else if (p->build == NULL || ledger_is_clear(&p->build->ledger)) {
            if (p->build != NULL)
                build_forget(p->build); /* of one that never started */
            build_free(p->build);
            p->build = NULL;
            plugin_remove(l, p);
            continue;
        }
        if (now >= l->deadline_ms) {
            ledger_say(&p->build->ledger, &held);
            log_error("loader", "'%s' did not let go in time; it still holds %s",
                      p->build->manifest.name, held.data);
            sb_done(&held);
            stop_end(l, false);
            return;
        }
        if (now >= l->said_ms + 1000) {
            ledger_say(&p->build->ledger, &held);
            log_info("loader", "waiting for '%s', which holds %s", p->build->manifest.name,
                     held.data);
            l->said_ms = now;
        }
        sb_done(&held);
        return;
    }
    if (l->leaving != NULL && now < l->deadline_ms)
        return;
    stop_end(l, l->leaving == NULL); /* what does not let go stays mapped */
}

void loader_stop(loader *l, uint64_t deadline_ms, void (*stopped)(void *arg, bool clean), void *arg)
{
    l->deadline_ms = deadline_ms;
    l->said_ms = clock_mono_ns() / 1000000;
    l->drain_ms = deadline_ms > l->said_ms ? l->said_ms + (deadline_ms - l->said_ms) / 2 : 0;
    l->stopped = stopped;
    l->stopped_arg = arg;
    l->tick.data = l;
    swaps_stop(l);
    must(uv_timer_init(loop_uv(l->parts->loop), &l->tick) == 0);
    must(uv_timer_start(&l->tick, stop_tick, 0, 5) == 0);
}

bool loader_is_ready(loader *l, sb *why)
{
    bool ready = true;

    for (plugin *p = l->last; p != NULL; p = p->next) {
        build *b = p->build;

        if (!p->running) {
            sb_printf(why, "%s: not running%s%s\n", p->key, p->down.len != 0 ? ": " : "",
                      p->down.len != 0 ? p->down.data : "");
            ready = false;
            continue;
        }
        uv_mutex_lock(&b->lock);
        if (b->state != BROKER_STATE_READY) {
            sb_printf(why, "%s: %s\n", b->manifest.name, b->state_why);
            ready = false;
        }
        uv_mutex_unlock(&b->lock);
    }
    return ready;
}

static void describe(plugin *p, sb *out)
{
    const build *b = p->build;
    pid_t pid = b != NULL && b->standin != NULL ? standin_pid(b->standin) : 0;

    if (b == NULL) {
        sb_printf(out, "%-12s %-12s %-10s %-12s %-8s  %-8s %s\n", p->key, "-", "-", "-", "-",
                  "down", p->down.data);
        return;
    }
    sb_printf(out, "%-12s %-12s %-10s %-12.12s ABI %u.%u  %-8s %s", p->key, b->manifest.name,
              b->manifest.version, b->id[0] != '\0' ? b->id : "-", b->manifest.abi_major,
              b->manifest.abi_minor, p->running ? "running" : "stopped", b->file);
    if (pid != 0)
        sb_printf(out, "  isolated, process %d", (int)pid);
    else if (b->isolated)
        sb_puts(out, "  isolated, no process");
    sb_putc(out, '\n');
}

/* In order of loading. */
static void plugins_describe(plugin *p, sb *out)
{
    if (p == NULL)
        return;
    plugins_describe(p->next, out);
    describe(p, out);
}

void loader_describe(loader *l, sb *out)
{
    plugins_describe(l->last, out);
}

const char *loader_key_of(loader *l, const char *name)
{
    const plugin *p = plugin_find(l, name);

    return p != NULL ? p->key : NULL;
}

void loader_keys(loader *l, void (*each)(void *arg, const char *key), void *arg)
{
    for (plugin *p = l->last, *next; p != NULL; p = next) {
        next = p->next;
        each(arg, p->key);
    }
}

const char *loader_file_by_hand(loader *l, const char *key)
{
    const plugin *p = plugin_find(l, key);

    return p != NULL && p->build != NULL && p->build->by_hand ? p->build->file : NULL;
}

void loader_fill(loader *l, conf *c)
{
    for (const plugin *p = l->last; p != NULL; p = p->next)
        if (p->build != NULL)
            conf_plugin_fill(c, p->key, p->build->section);
}

bool loader_differs(loader *l, const conf_plugin *wanted)
{
    const plugin *p = plugin_find(l, wanted->key);
    const build *b = p != NULL ? p->build : NULL;
    sb file = SB_INIT, why = SB_INIT;
    json_t *settings, *keys;
    bool same;

    if (b == NULL)
        return true;
    loader_file(l->plugin_dir, wanted, &file);
    /* Defaults are filled in on both sides; settings the running build does not know are new. */
    settings = conf_check_plugin(l->parts->conf, wanted, b->table->config_schema, &why);
    keys = conf_plugin_keys(l->parts->conf, wanted);
    same = b->isolated == wanted->isolate && (b->by_hand || strcmp(file.data, b->file) == 0) &&
           !build_file_changed(b) && config_shared_is_same(p->build, l->parts->conf) &&
           settings != NULL && json_equal(settings, b->section) &&
           (keys == NULL ? b->keys == NULL : json_equal(keys, b->keys));
    json_decref(settings);
    json_decref(keys);
    sb_done(&file);
    sb_done(&why);
    return !same;
}
