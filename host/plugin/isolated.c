/* isolated -- a build that runs in a process of its own: its table is the stand-in's
 * (host/isolate), so that nothing else of the loader knows. */
#include "plugin/build.h"

#include "plugin/manifest.h"

#include <errno.h>
#include <fcntl.h>

static broker_rc create(broker_ctx *ctx, void **self)
{
    standin *s = build_of(ctx)->standin;
    broker_rc rc = standin_create(s, ctx);

    if (rc == BROKER_OK)
        *self = s;
    return rc;
}

/* The process calls its own when the stand-in is freed, which the build does next. */
static void destroy(void *self)
{
    (void)self;
}

static bool open_there(build *b, int file, sb *why)
{
    const host_parts *parts = b->parts;
    const standin_options options = {
        .loop = parts->loop,
        .name = b->manifest.name,
        .version = b->manifest.version,
        .data_dir = parts->data_dir,
        .workers = parts->pool != NULL ? pool_workers(parts->pool) : 1,
        .warn_ms = parts->warn_ms,
    };
    const char *id;

    b->standin = standin_load(&options, file, why);
    if (b->standin == NULL)
        return false;
    id = standin_build_id(b->standin);
    memcpy(b->id, id, strlen(id) + 1);
    b->isolated_table = (broker_plugin_table){
        .size = sizeof b->isolated_table,
        .config_schema = standin_schema(b->standin),
        .create = create,
        .start = standin_start,
        .prepare = standin_prepare,
        .quiesce = standin_quiesce,
        .destroy = destroy,
    };
    b->table = &b->isolated_table;
    return true;
}

/* The manifest first: a file that is no build of this host gets no process. */
bool build_open_isolated(build *b, const char *path, sb *why)
{
    char text[256];
    int file;

    if (manifest_read(path, &b->manifest, text, sizeof text) != BROKER_OK ||
        manifest_check(&b->manifest, text, sizeof text) != BROKER_OK) {
        sb_puts(why, text);
        return false;
    }
    file = open(path, O_RDONLY | O_CLOEXEC);
    if (file >= 0)
        return open_there(b, file, why);
    sb_printf(why, "its copy cannot be read (%s)", strerror(errno));
    return false;
}
