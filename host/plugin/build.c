/* build -- see build.h.
 *
 * dlopen() of a path it has seen returns the old code, and a file overwritten in place takes the
 * process down with SIGBUS: each build is loaded from a copy of its own. */
#include "plugin/build.h"

#include "plugin/manifest.h"
#include "run/build_id.h"
#include "run/log.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <link.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

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

static const service_entry host_services[] = {
    {BROKER_ID_broker_config, &service_config},       {BROKER_ID_broker_bus, &service_bus},
    {BROKER_ID_broker_transport, &service_transport}, {BROKER_ID_broker_http, &service_http},
    {BROKER_ID_broker_work, &service_work},           {BROKER_ID_broker_metrics, &service_metrics},
    {BROKER_ID_broker_registry, &service_registry},   {BROKER_ID_broker_sign, &service_sign},
    {BROKER_ID_broker_access, &service_access},       {BROKER_ID_broker_net, &service_net},
    {BROKER_ID_broker_fetch, &service_fetch},         {BROKER_ID_broker_node, &service_node},
    {BROKER_ID_broker_verify, &service_verify},       {NULL, NULL},
};

static const void *host_service(broker_ctx *ctx, const char *id)
{
    const service_entry *s = build_of(ctx)->services;

    while (s->id != NULL && strcmp(s->id, id) != 0)
        s++;
    return s->table;
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

void build_why(build *b, broker_rc rc, sb *why)
{
    uv_mutex_lock(&b->lock);
    sb_puts(why, b->why != NULL ? b->why : rc_text(rc));
    uv_mutex_unlock(&b->lock);
}

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

blob blob_of(sb *to)
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

static file_id file_id_of(const struct stat *st)
{
    return (file_id){st->st_dev, st->st_ino, st->st_size,
                     (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec};
}

bool build_file_changed(const build *b)
{
    struct stat st;
    file_id now;

    if (stat(b->file, &st) != 0)
        return false;
    now = file_id_of(&st);
    return now.dev != b->file_id.dev || now.inode != b->file_id.inode ||
           now.len != b->file_id.len || now.changed_ns != b->file_id.changed_ns;
}

static bool copy_file(const char *from, char *to, build *b, sb *why)
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
    b->file_id = file_id_of(&st);
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

bool build_open(build *b, const char *path, sb *why)
{
    char text[256];

    if (manifest_read(path, &b->manifest, text, sizeof text) != BROKER_OK ||
        manifest_check(&b->manifest, text, sizeof text) != BROKER_OK) {
        sb_puts(why, text);
        return false;
    }
    b->dl = dlopen(path, RTLD_NOW | RTLD_LOCAL);
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
    build_id_of(b->table, b->id);
    return true;
}

void build_free(build *b)
{
    if (b == NULL)
        return;
    if (b->self != NULL)
        CROSS(&b->ledger, "destroy", b->table->destroy(b->self));
    standin_free(b->standin);
    work_free(b);
    if (b->dl != NULL && !b->keep_mapped)
        dlclose(b->dl);
    config_free(b);
    json_decref(b->section);
    json_decref(b->keys);
    free(b->data_dir);
    free(b->why);
    free(b->state_why);
    free(b->file);
    uv_mutex_destroy(&b->lock);
    b->magic = 0;
    ledger_retire();
    free(b);
}

build *build_new_alone(const host_parts *parts, const service_entry *services)
{
    build *b = must_alloc(sizeof *b);

    b->ctx.host = &host_table;
    b->magic = BUILD_MAGIC;
    b->parts = parts;
    b->services = services;
    b->keep_mapped = true;
    must(uv_mutex_init(&b->lock) == 0);
    b->ledger.name = b->manifest.name;
    b->ledger.build = b->manifest.version;
    b->ledger.id = b->id;
    return b;
}

build *build_new(loader *l)
{
    build *b = build_new_alone(loader_parts(l), host_services);

    b->loader = l;
    b->keep_mapped = loader_keeps_mapped(l);
    return b;
}

bool build_load(build *b, const char *file, sb *why)
{
    const char *tmp = getenv("RUNTIME_DIRECTORY");
    sb copy = SB_INIT;
    bool ok;

    b->file = must_strdup(file);
    sb_printf(&copy, "%s/logstore-broker-XXXXXX.so", tmp != NULL ? tmp : P_tmpdir);
    ok = copy_file(file, copy.data, b, why) &&
         (b->isolated ? build_open_isolated : build_open)(b, copy.data, why);
    unlink(copy.data); /* it stays mapped; a crash leaves nothing behind */
    sb_done(&copy);
    return ok;
}

void build_vacate(build *b, build *keeper)
{
    if (b->parts->http != NULL) /* closed before the plugins stop */
        http_vacate(b->parts->http, &b->ledger, &keeper->ledger);
    bus_vacate(b->parts->bus, &b->ledger, &keeper->ledger);
    if (b == keeper)
        net_leave(b->parts->net, &b->ledger);
    else
        net_forget(b->parts->net, &b->ledger); /* what it took over waits again */
    fetch_forget(b->parts->fetcher, &b->ledger);
    registry_forget(loader_registry(b->loader), b);
    work_stop(b);
    if (b->standin != NULL)
        standin_forget(b->standin);
}

void build_forget(build *b)
{
    if (b->parts->http != NULL)
        http_unroute(b->parts->http, &b->ledger);
    bus_forget(b->parts->bus, &b->ledger);
    net_forget(b->parts->net, &b->ledger);
    fetch_forget(b->parts->fetcher, &b->ledger);
    registry_forget(loader_registry(b->loader), b);
    work_stop(b);
    if (b->standin != NULL)
        standin_forget(b->standin);
}
