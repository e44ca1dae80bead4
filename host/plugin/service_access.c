/* service_access -- "broker.access/1": API keys of listeners that are a plugin's own. */
#include "plugin/build.h"

static int32_t required(broker_ctx *ctx)
{
    return build_of(ctx)->keys != NULL ? 1 : 0;
}

static broker_rc check(broker_ctx *ctx, broker_str key)
{
    const json_t *keys = build_of(ctx)->keys, *item;
    size_t i;

    if (keys == NULL)
        return BROKER_OK;
    json_array_foreach(keys, i, item)
    {
        if (same_secret(json_string_value(item), key.ptr, key.len))
            return BROKER_OK;
    }
    return BROKER_EDENIED;
}

const broker_access service_access = {sizeof service_access, 0, required, check};
