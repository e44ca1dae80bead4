/* operate -- see operate.h. */
#include "operate.h"

#include "admin/admin.h"
#include "run/log.h"
#include "settings.h"
#include "watch.h"

extern char **environ;

struct operate {
    operate_parts parts;
    conf *conf; /* in force */
    admin *admin;
    watch *watches;
    bool stopping;
};

/* One request, or one reload, that waits for the changes it led to. */
typedef struct errand {
    operate *o;
    admin_conn *to; /* NULL: a signal or a watch */
    unsigned left;
    bool ok;
    sb text;
} errand;

static errand *errand_new(operate *o, admin_conn *to)
{
    errand *e = must_alloc(sizeof *e);

    *e = (errand){.o = o, .to = to, .left = 1, .ok = true};
    return e;
}

/* One of what it waits for is over. */
static void errand_step(errand *e)
{
    if (--e->left != 0)
        return;
    if (e->to != NULL)
        admin_answer(e->to, e->ok, e->text.len != 0 ? e->text.data : "nothing to do");
    sb_done(&e->text);
    free(e);
}

static void errand_say(errand *e, bool ok, const char *text)
{
    e->ok &= ok;
    sb_printf(&e->text, "%s%s", e->text.len != 0 ? "\n" : "", text);
}

static void on_changed(void *arg, bool ok, const char *report)
{
    errand *e = arg;

    errand_say(e, ok, report);
    errand_step(e);
}

static void change(errand *e, change_kind kind, const conf_plugin *wanted, const char *file)
{
    e->left++;
    loader_change(e->o->parts.loader, kind, wanted, file, on_changed, e);
}

/* ---- watched files ---- */

static void watches_set(operate *o);

static void on_file(void *arg, const char *key)
{
    operate *o = arg;
    conf_plugin wanted;
    errand *e;

    if (o->stopping || !conf_plugin_of(o->conf, key, &wanted))
        return;
    if (loader_key_of(o->parts.loader, key) != NULL && loader_differs(o->parts.loader, &wanted)) {
        log_info("loader", "the file of '%s' has changed", key);
        e = errand_new(o, NULL);
        change(e, CHANGE_SWAP, &wanted, loader_file_by_hand(o->parts.loader, key));
        errand_step(e);
    }
    conf_plugin_done(&wanted);
}

static void watches_set(operate *o)
{
    conf_plugin *plugins;
    size_t n = conf_plugins(o->conf, &plugins);

    watch_clear(o->watches);
    for (size_t i = 0; i < n; i++) {
        sb file = SB_INIT, why = SB_INIT;

        if (json_is_true(json_object_get(plugins[i].section, "watch"))) {
            loader_file(loader_dir(o->parts.loader), &plugins[i], &file);
            if (!watch_add(o->watches, file.data, plugins[i].key, &why))
                log_warn("loader", "%s", why.data);
        }
        sb_done(&file);
        sb_done(&why);
    }
    conf_plugins_free(plugins, n);
}

/* ---- reload ---- */

/* Roots that are read at start only. */
static void host_differences(operate *o, conf *fresh, errand *e)
{
    const char *name;
    json_t *value;
    sb names = SB_INIT;

    json_object_foreach(conf_root(fresh), name, value)
    {
        if (strcmp(name, "plugins") != 0 && strcmp(name, "log") != 0 && strcmp(name, "mode") != 0 &&
            !json_equal(value, json_object_get(conf_root(o->conf), name)))
            sb_printf(&names, "%s'%s'", names.len != 0 ? ", " : "", name);
    }
    if (names.len != 0) {
        sb_puts(&names, " changed, which takes effect when the node is started again");
        log_warn("broker", "%s", names.data);
        errand_say(e, true, names.data);
    }
    sb_done(&names);
}

typedef struct sweep {
    errand *errand;
    conf_plugin *plugins;
    size_t n;
} sweep;

static void disable_missing(void *arg, const char *key)
{
    sweep *s = arg;
    conf_plugin gone = {.key = (char *)(uintptr_t)key};

    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->plugins[i].key, key) == 0)
            return;
    change(s->errand, CHANGE_DISABLE, &gone, NULL);
}

static void plugins_reload(operate *o, errand *e)
{
    sweep s = {.errand = e};

    s.n = conf_plugins(o->conf, &s.plugins);
    loader_keys(o->parts.loader, disable_missing, &s);
    for (size_t i = 0; i < s.n; i++) {
        if (loader_key_of(o->parts.loader, s.plugins[i].key) == NULL)
            change(e, CHANGE_ENABLE, &s.plugins[i], NULL);
        else if (loader_differs(o->parts.loader, &s.plugins[i]))
            change(e, CHANGE_SWAP, &s.plugins[i],
                   loader_file_by_hand(o->parts.loader, s.plugins[i].key));
    }
    conf_plugins_free(s.plugins, s.n);
}

static void reload(operate *o, errand *e)
{
    sb why = SB_INIT;
    const char *file = conf_file(o->conf);
    conf *fresh = conf_load(file, environ, &why);
    settings *s;

    if (fresh == NULL) {
        log_error("broker", "the configuration is not read again: %s", why.data);
        errand_say(e, false, why.data);
    } else {
        log_info("broker", "the configuration '%s' is read again", conf_name(fresh));
        host_differences(o, fresh, e);
        s = settings_new(fresh);
        settings_log(s);
        settings_free(s);
        o->conf = fresh;
        o->parts.adopt(o->parts.arg, fresh);
        plugins_reload(o, e);
        watches_set(o);
    }
    sb_done(&why);
    errand_step(e);
}

void operate_reload(operate *o)
{
    if (!o->stopping)
        reload(o, errand_new(o, NULL));
}

/* ---- requests ---- */

static void ask(void *arg, const admin_request *r, admin_conn *to)
{
    static const change_kind kinds[] = {
        [ADMIN_SWAP] = CHANGE_SWAP,
        [ADMIN_ENABLE] = CHANGE_ENABLE,
        [ADMIN_DISABLE] = CHANGE_DISABLE,
    };
    operate *o = arg;
    errand *e = errand_new(o, to);
    conf_plugin wanted;
    const char *key;

    if (o->stopping) {
        errand_say(e, false, "the node is stopping");
    } else if (r->verb == ADMIN_RELOAD) {
        reload(o, e);
        return;
    } else if (r->verb == ADMIN_PLUGINS) {
        loader_describe(o->parts.loader, &e->text);
    } else {
        key = loader_key_of(o->parts.loader, r->plugin);
        if (conf_plugin_of(o->conf, key != NULL ? key : r->plugin, &wanted)) {
            change(e, kinds[r->verb], &wanted, r->file);
            conf_plugin_done(&wanted);
        } else {
            errand_say(e, false, "the configuration has no such plugin; add it to 'plugins'");
        }
    }
    errand_step(e);
}

/* ---- life ---- */

operate *operate_new(const operate_parts *parts)
{
    operate *o = must_alloc(sizeof *o);
    sb why = SB_INIT;

    o->parts = *parts;
    o->conf = parts->conf;
    o->watches = watch_new(parts->loop, on_file, o);
    watches_set(o);
    o->admin = admin_new(parts->loop, parts->admin_path, ask, o, &why);
    if (o->admin == NULL)
        log_warn("admin", "%s; 'logstore-broker swap' and its kin will not work", why.data);
    sb_done(&why);
    return o;
}

void operate_stop(operate *o)
{
    if (o == NULL || o->stopping)
        return;
    o->stopping = true;
    watch_free(o->watches);
    admin_close(o->admin);
    o->watches = NULL;
    o->admin = NULL;
}

void operate_free(operate *o)
{
    if (o == NULL)
        return;
    operate_stop(o);
    free(o);
}
