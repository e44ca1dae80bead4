/* cluster -- see cluster.h. */
#include "cluster.h"

#include "eth/eth.h"
#include "streamr/streamr.h"

#include <jansson.h>

bool cluster_owns(const cluster *c, broker_str stream, uint32_t partition)
{
    sb part = SB_INIT;
    uint32_t index;

    sb_append(&part, stream.ptr, stream.len);
    sb_printf(&part, "#%u", partition);
    index = streamr_key_partition(c->size, part.data, part.len);
    sb_done(&part);
    return index == c->index;
}

bool cluster_read(const char *json, size_t len, const uint8_t own[20], cluster *out, sb *why)
{
    json_t *settings = json_loadb(json, len, 0, NULL);
    json_t *size = json_object_get(settings, "clusterSize");
    const char *address = json_string_value(json_object_get(settings, "clusterAddress"));
    json_int_t nodes = size != NULL ? json_integer_value(size) : 1;
    json_int_t index = json_integer_value(json_object_get(settings, "myIndexInCluster"));
    bool ok = false;

    memcpy(out->address, own, sizeof out->address);
    out->size = (uint32_t)nodes;
    out->index = (uint32_t)index;
    if (address != NULL && !eth_address_parse(address, strlen(address), out->address))
        sb_puts(why, "'cluster.clusterAddress' is not an address, \"0x...\"");
    else if (index >= nodes)
        sb_printf(why,
                  "'cluster.myIndexInCluster' is %lld, but a cluster of %lld has indexes from 0 to "
                  "%lld",
                  (long long)index, (long long)nodes, (long long)nodes - 1);
    else
        ok = true;
    json_decref(settings);
    return ok;
}
