/* service_node -- "broker.node/1": what plugins say of the node's state. */
#include "plugin/build.h"
#include "run/log.h"

static void state(broker_ctx *ctx, uint32_t s, const char *why)
{
    build *b = build_of(ctx);
    bool changed;

    uv_mutex_lock(&b->lock);
    changed = b->state != s;
    b->state = s;
    free(b->state_why);
    b->state_why = must_strdup(why != NULL ? why : "");
    uv_mutex_unlock(&b->lock);
    if (changed && s == BROKER_STATE_READY)
        log_info(b->manifest.name, "ready again%s%s", why != NULL ? ": " : "",
                 why != NULL ? why : "");
    else if (changed)
        log_error(b->manifest.name, "degraded: %s", why != NULL ? why : "no reason given");
}

static const char *version(broker_ctx *ctx)
{
    (void)ctx;
    return LOGSTORE_VERSION;
}

const broker_node service_node = {sizeof service_node, 0, state, version};
