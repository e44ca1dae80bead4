/* loader -- see loader.h. */
#include "plugin/loader.h"

#include "plugin/manifest.h"
#include "run/log.h"

#include <ctype.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <link.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

struct plugin {
    plugin *next; /* loaded before this one */
    build *build;
    bool running, prepared;
};

struct loader {
    const host_parts *parts;
    char *plugin_dir;
    bool keep_mapped;
    registry *registry;
    plugin *last; /* loaded last, stopped first */
    sb state;     /* what a quiesce() writes */
    uv_timer_t tick;
    uint64_t deadline_ms, said_ms;
    void (*stopped)(void *arg, bool clean);
    void *stopped_arg;
};

registry *loader_registry(loader *l)
{
    return l->registry;
}

/* ---- the host table ---- */

static void host_log(broker_ctx *ctx, uint32_t level, const char *line)
{
    log_line(level <= BROKER_LOG_DEBUG ? (log_level)level : LOG_DEBUG, build_of(ctx)->manifest.name,
             line);
}

static broker_rc host_fail(broker_ctx *ctx, broker_rc rc, const char *why)
{
    build *b = build_of(ctx);

    uv_mutex_lock(&b->lock);
    free(b->why);
    b->why = must_strdup(why);
    uv_mutex_unlock(&b->lock);
    return rc;
}

static const struct {
    const char *id;
    const void *table;
} services[] = {
    {BROKER_ID_broker_config, &service_config},
    {BROKER_ID_broker_bus, &service_bus},
    {BROKER_ID_broker_transport, &service_transport},
    {BROKER_ID_broker_http, &service_http},
    {BROKER_ID_broker_work, &service_work},
    {BROKER_ID_broker_metrics, &service_metrics},
    {BROKER_ID_broker_registry, &service_registry},
    {BROKER_ID_broker_sign, &service_sign},
    {BROKER_ID_broker_access, &service_access},
    {BROKER_ID_broker_node, &service_node},
    {BROKER_ID_broker_net, &service_net},
};

static const void *host_service(broker_ctx *ctx, const char *id)
{
    (void)ctx;
    for (size_t i = 0; i < COUNT_OF(services); i++)
        if (strcmp(services[i].id, id) == 0)
            return services[i].table;
    return NULL;
}

static const broker_host host_table = {
    sizeof host_table, BROKER_ABI_MAJOR, BROKER_ABI_MINOR, host_log, host_fail, host_service,
};

/* ---- builds ---- */

static const char *rc_text(broker_rc rc)
{
    switch (rc) {
    case BROKER_ENOMEM:
        return "out of memory";
    case BROKER_ENOSYS:
        return "the host lacks something it needs";
    case BROKER_ECONFIG:
        return "its configuration is at fault";
    case BROKER_EIO:
        return "disk or network failed";
    case BROKER_ESTATE:
        return "it cannot take the state of the build before";
    default:
        return "no reason given";
    }
}

static void build_why(build *b, broker_rc rc, sb *why)
{
    uv_mutex_lock(&b->lock);
    sb_puts(why, b->why != NULL ? b->why : rc_text(rc));
    uv_mutex_unlock(&b->lock);
}

static broker_rc blob_write(broker_writer *w, const void *bytes, size_t len);
static uint8_t *blob_reserve(broker_writer *w, size_t len);
static void blob_commit(broker_writer *w, size_t used);

/* A writer into a byte string. */
typedef struct blob {
    broker_writer w;
    sb *to;
} blob;

static broker_rc blob_write(broker_writer *w, const void *bytes, size_t len)
{
    sb_append(((blob *)(void *)w)->to, bytes, len);
    return BROKER_OK;
}

static uint8_t *blob_reserve(broker_writer *w, size_t len)
{
    return (uint8_t *)sb_room(((blob *)(void *)w)->to, len);
}

static void blob_commit(broker_writer *w, size_t used)
{
    ((blob *)(void *)w)->to->len += used;
}

static blob blob_of(sb *to)
{
    return (blob){{sizeof(broker_writer), 0, blob_write, blob_reserve, blob_commit}, to};
}

/* Whether somebody else could put another file in its place. */
static bool folder_is_safe(const char *file, sb *why)
{
    char *copy = must_strdup(file), *folder = dirname(copy);
    struct stat st;
    bool ok = stat(folder, &st) != 0 || (st.st_mode & S_IWOTH) == 0 || (st.st_mode & S_ISVTX) != 0;

    if (!ok)
        sb_printf(why,
                  "everybody may write to its folder, so anybody could run code in this "
                  "process; run: chmod o-w %s",
                  folder);
    free(copy);
    return ok;
}

/* dlopen() of a path it has seen returns the old code, and a file overwritten in place
 * takes the process down with SIGBUS: each build is loaded from a copy of its own. */
static bool copy_file(const char *from, char *to, sb *why)
{
    struct stat st;
    bool ok = false;
    int out = -1, in = open(from, O_RDONLY | O_CLOEXEC);

    if (in < 0 || fstat(in, &st) != 0) {
        sb_printf(why, "cannot be read (%s)", strerror(errno));
        goto done;
    }
    if (!S_ISREG(st.st_mode)) {
        sb_puts(why, "is not a file");
        goto done;
    }
    if ((st.st_mode & S_IWOTH) != 0) {
        sb_printf(why,
                  "everybody may write to it, so anybody could run code in this process; "
                  "run: chmod o-w %s",
                  from);
        goto done;
    }
    if (!folder_is_safe(from, why))
        goto done;
    out = mkostemps(to, 3, O_CLOEXEC);
    if (out < 0 || fchmod(out, 0500) != 0) {
        sb_printf(why, "cannot be copied to %s (%s)", to, strerror(errno));
        goto done;
    }
    for (off_t left = st.st_size; left > 0;) {
        ssize_t n = sendfile(out, in, NULL, (size_t)left);

        if (n <= 0) {
            sb_printf(why, "cannot be copied to %s (%s)", to, strerror(errno));
            goto done;
        }
        left -= n;
    }
    ok = true;
done:
    if (in >= 0)
        close(in);
    if (out >= 0)
        close(out);
    return ok;
}

/* Keep the libraries that came in with the plugin: they may have threads or destructors
 * of their own, and unloading them would pull the code from under these. */
static void pin_dependencies(void *dl)
{
    struct link_map *own = NULL;

    if (dlinfo(dl, RTLD_DI_LINKMAP, &own) != 0 || own == NULL)
        return;
    for (struct link_map *m = own->l_next; m != NULL; m = m->l_next)
        if (m->l_name[0] != '\0')
            dlopen(m->l_name, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
}

static bool build_open(build *b, const char *copy, sb *why)
{
    char text[256];

    if (manifest_read(copy, &b->manifest, text, sizeof text) != BROKER_OK ||
        manifest_check(&b->manifest, text, sizeof text) != BROKER_OK) {
        sb_puts(why, text);
        return false;
    }
    b->dl = dlopen(copy, RTLD_NOW | RTLD_LOCAL);
    if (b->dl == NULL) {
        sb_puts(why, dlerror());
        return false;
    }
    pin_dependencies(b->dl);
    b->table = dlsym(b->dl, "broker_plugin");
    if (b->table == NULL || b->table->size < sizeof *b->table || b->table->create == NULL ||
        b->table->start == NULL || b->table->quiesce == NULL || b->table->destroy == NULL) {
        sb_puts(why, "its table 'broker_plugin' is missing or incomplete; write it with "
                     "BROKER_PLUGIN()");
        return false;
    }
    return true;
}

static void build_free(build *b)
{
    if (b == NULL)
        return;
    if (b->self != NULL)
        CROSS(&b->ledger, "destroy", b->table->destroy(b->self));
    if (b->dl != NULL && !b->loader->keep_mapped)
        dlclose(b->dl);
    for (size_t i = 0; i < b->n_texts; i++)
        free(b->texts[i]);
    free(b->texts);
    json_decref(b->section);
    json_decref(b->keys);
    free(b->data_dir);
    free(b->why);
    free(b->state_why);
    uv_mutex_destroy(&b->lock);
    b->magic = 0;
    free(b);
}

static build *build_new(loader *l, const char *file, sb *why)
{
    const char *tmp = getenv("RUNTIME_DIRECTORY");
    build *b = must_alloc(sizeof *b);
    sb copy = SB_INIT;
    bool ok;

    b->ctx.host = &host_table;
    b->magic = BUILD_MAGIC;
    b->loader = l;
    b->parts = l->parts;
    must(uv_mutex_init(&b->lock) == 0);
    sb_printf(&copy, "%s/logstore-broker-XXXXXX.so", tmp != NULL ? tmp : P_tmpdir);
    ok = copy_file(file, copy.data, why) && build_open(b, copy.data, why);
    b->ledger.name = b->manifest.name;
    b->ledger.build = b->manifest.version;
    unlink(copy.data); /* it stays mapped; a crash leaves nothing behind */
    sb_done(&copy);
    if (ok)
        return b;
    build_free(b);
    return NULL;
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
    return l;
}

void loader_free(loader *l)
{
    if (l == NULL)
        return;
    while (l->last != NULL) { /* loaded for --check, never started */
        plugin *p = l->last;

        must(!p->running);
        l->last = p->next;
        build_free(p->build);
        free(p);
    }
    registry_free(l->registry);
    sb_done(&l->state);
    free(l->plugin_dir);
    free(l);
}

static bool name_is_free(const loader *l, const build *b, sb *why)
{
    for (const plugin *p = l->last; p != NULL; p = p->next)
        if (strcmp(p->build->manifest.name, b->manifest.name) == 0) {
            sb_printf(why, "a plugin named '%s' is loaded already; each may be configured once",
                      b->manifest.name);
            return false;
        }
    return true;
}

plugin *loader_load(loader *l, const conf_plugin *wanted, sb *why)
{
    sb file = SB_INIT, reason = SB_INIT;
    plugin *p = NULL;
    build *b;

    loader_file(l->plugin_dir, wanted, &file);
    b = build_new(l, file.data, &reason);
    if (b == NULL || !name_is_free(l, b, &reason)) {
        sb_printf(why, "plugins.%s: refusing '%s': %s", wanted->key, file.data, reason.data);
        goto done;
    }
    if (!conf_check_plugin(l->parts->conf, wanted, b->table->config_schema, why))
        goto done;
    b->section = conf_plugin_settings(wanted);
    b->keys = conf_plugin_keys(l->parts->conf, wanted);
    p = must_alloc(sizeof *p);
    p->next = l->last;
    TAKE(p->build, b);
    l->last = p;
done:
    build_free(b);
    sb_done(&file);
    sb_done(&reason);
    return p;
}

const broker_manifest *plugin_manifest(const plugin *p)
{
    return &p->build->manifest;
}

/* ---- running ---- */

static bool plugin_start(plugin *p, sb *why)
{
    build *b = p->build;
    broker_rc rc = BROKER_OK;
    const char *step = "create";

    CROSS(&b->ledger, "create", rc = b->table->create(&b->ctx, &b->self));
    if (rc == BROKER_OK) {
        step = "start";
        CROSS(&b->ledger, "start", rc = b->table->start(b->self, (broker_bytes){NULL, 0}));
    }
    if (rc == BROKER_OK) {
        p->running = true;
        log_info("loader", "'%s' %s is running", b->manifest.name, b->manifest.version);
        return true;
    }
    sb_printf(why, "plugin '%s' did not %s: ", b->manifest.name, step);
    build_why(b, rc, why);
    return false;
}

/* What a build that is leaving had registered. */
static void build_forget(build *b)
{
    if (b->parts->http != NULL) /* closed before the plugins stop */
        http_unroute(b->parts->http, &b->ledger);
    net_forget(b->parts->net, &b->ledger);
    bus_forget(b->parts->bus, &b->ledger);
    registry_forget(b->loader->registry, b);
}

static bool plugins_start(plugin *p, sb *why)
{
    return p == NULL || (plugins_start(p->next, why) && plugin_start(p, why));
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
        net_park(b->parts->net, &b->ledger); /* or it may never be finished */
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
    while (b->timers != NULL)
        service_work.timer_stop(b->timers);
}

static void stop_end(loader *l, bool clean)
{
    uv_timer_stop(&l->tick);
    uv_close((uv_handle_t *)&l->tick, NULL);
    l->stopped(l->stopped_arg, clean);
}

static void stop_tick(uv_timer_t *tick)
{
    loader *l = tick->data;
    uint64_t now = clock_mono_ns() / 1000000;

    while (l->last != NULL) {
        plugin *p = l->last;
        sb held = SB_INIT;

        if (p->running) {
            plugin_leave(l, p);
        } else if (ledger_is_clear(&p->build->ledger)) {
            build_forget(p->build); /* of one that never started */
            work_forget(p->build);
            l->last = p->next;
            build_free(p->build);
            free(p);
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
    stop_end(l, true);
}

void loader_stop(loader *l, uint64_t deadline_ms, void (*stopped)(void *arg, bool clean), void *arg)
{
    l->deadline_ms = deadline_ms;
    l->said_ms = clock_mono_ns() / 1000000;
    l->stopped = stopped;
    l->stopped_arg = arg;
    l->tick.data = l;
    must(uv_timer_init(loop_uv(l->parts->loop), &l->tick) == 0);
    must(uv_timer_start(&l->tick, stop_tick, 0, 5) == 0);
}

bool loader_is_ready(loader *l, sb *why)
{
    bool ready = true;

    for (plugin *p = l->last; p != NULL; p = p->next) {
        build *b = p->build;

        uv_mutex_lock(&b->lock);
        if (!p->running || b->state != BROKER_STATE_READY) {
            sb_printf(why, "%s: %s\n", b->manifest.name,
                      !p->running ? "not running" : b->state_why);
            ready = false;
        }
        uv_mutex_unlock(&b->lock);
    }
    return ready;
}
