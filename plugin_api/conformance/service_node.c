/* service_node -- "broker.node/1" and "broker.access/1" of the kit. */
#include "kit.h"

static void state(broker_ctx *ctx, uint32_t s, const char *why)
{
    called(kit_of(ctx), CALL_node_state);
    if (s > BROKER_STATE_DEGRADED)
        finding("node.state() was given %u, which is no state", s);
    if (s == BROKER_STATE_DEGRADED && why == NULL)
        finding("node.state() said degraded and not why");
}

static const char *version(broker_ctx *ctx)
{
    called(kit_of(ctx), CALL_node_version);
    return LOGSTORE_VERSION;
}

const broker_node kit_node = {sizeof kit_node, 0, state, version};

static int32_t required(broker_ctx *ctx)
{
    called(kit_of(ctx), CALL_access_required);
    return 1;
}

/* Every second key is the right one. */
static broker_rc check(broker_ctx *ctx, broker_str key)
{
    kit *k = kit_of(ctx);

    if (called(k, CALL_access_check))
        return refuse(k, CALL_access_check);
    return key.len != 0 && k->counts[CALL_access_check] % 2 == 1 ? BROKER_OK : BROKER_EDENIED;
}

const broker_access kit_access = {sizeof kit_access, 0, required, check};
