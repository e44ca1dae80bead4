/* settings -- see settings.h. */
#include "settings.h"

#include "eth/eth.h"

#include <broker/plugin_log.h>

#include <string.h>

#define POLYGON       137
#define SIGNER_AGE_MS (10u * 60u * 1000u)
/* Less than the 15 s for which the host waits for a verdict. */
#define PATIENCE_MAX_MS 12000u

/* Where the contracts are on Polygon; elsewhere the settings must say. */
static const struct {
    const char *key, *polygon;
} contracts[] = {
    {"streamRegistryChainAddress", "0x0D483E10612F327FC11965Fc82E90dC19b141641"},
    {"streamStorageRegistryChainAddress", "0xe8e2660CeDf2a59C917a5ED05B72df4146b58399"},
};

static broker_rc address_read(broker_ctx *ctx, const broker_config *config, size_t which,
                              uint64_t chain_id, uint8_t out[20])
{
    const char *key = contracts[which].key, *polygon = contracts[which].polygon;
    broker_str text = config->string(ctx, key);

    if (text.len == 0 && chain_id == POLYGON)
        text = (broker_str){polygon, strlen(polygon)};
    if (!eth_address_parse(text.ptr, text.len, out))
        broker_failf(ctx, BROKER_ECONFIG,
                     "'%s' must be given for chain %llu: an address, \"0x...\"", key,
                     (unsigned long long)chain_id);
    return BROKER_OK;
}

static void urls_read(broker_ctx *ctx, const broker_config *config, rpc_options *o)
{
    for (o->n_urls = 0; o->n_urls < RPC_ENDPOINTS; o->n_urls++) {
        char path[24];
        broker_str url;

        snprintf(path, sizeof path, "rpcs.%zu.url", o->n_urls);
        url = config->string(ctx, path);
        if (url.len == 0)
            return;
        o->urls[o->n_urls] = must_strndup(url.ptr, url.len);
    }
}

static broker_rc quorum_read(broker_ctx *ctx, const broker_config *config, rpc_options *o)
{
    o->quorum = (size_t)config->integer(ctx, "rpcQuorum");
    if (o->n_urls == 0)
        return ctx->host->fail(ctx, BROKER_ECONFIG, "'rpcs' names no endpoint");
    if (o->n_urls == 1)
        o->quorum = 1; /* as the Streamr SDK: there is nobody to agree with */
    if (o->quorum > o->n_urls)
        broker_failf(ctx, BROKER_ECONFIG, "'rpcQuorum' is %zu, but 'rpcs' has %zu endpoints",
                     o->quorum, o->n_urls);
    return BROKER_OK;
}

static void numbers_read(broker_ctx *ctx, const broker_config *config, settings *s)
{
    rpc_options *o = &s->rpc;
    events_options *e = &s->events;

    o->chain_id = (uint64_t)config->integer(ctx, "chainId");
    o->timeout_ms = (uint32_t)config->integer(ctx, "timeoutMs");
    o->patience_ms = 3 * o->timeout_ms < PATIENCE_MAX_MS ? 3 * o->timeout_ms : PATIENCE_MAX_MS;
    o->max_requests = (size_t)config->integer(ctx, "maxConcurrentCalls");
    o->max_calls = (size_t)config->integer(ctx, "maxWaitingCalls");
    s->views.max_facts = (size_t)config->integer(ctx, "cache.maxSize");
    s->views.max_age_ms = (uint64_t)config->integer(ctx, "cache.maxAge");
    s->views.denied_ms = (uint64_t)config->integer(ctx, "cache.maxAgeDenied");
    s->views.signer_age_ms = SIGNER_AGE_MS;
    s->has_events = config->boolean(ctx, "events.enabled") != 0;
    e->has_from_block = config->json(ctx, "events.fromBlock").len != 0;
    e->from_block = (uint64_t)config->integer(ctx, "events.fromBlock");
    e->confirmations = (uint64_t)config->integer(ctx, "events.confirmations");
    e->poll_ms = (uint64_t)config->integer(ctx, "events.pollInterval");
    e->max_blocks = (uint64_t)config->integer(ctx, "events.maxBlocks");
}

broker_rc settings_read(broker_ctx *ctx, const broker_config *config, settings *s)
{
    broker_rc rc;

    *s = (settings){.has_events = false};
    numbers_read(ctx, config, s);
    urls_read(ctx, config, &s->rpc);
    rc = quorum_read(ctx, config, &s->rpc);
    if (rc == BROKER_OK)
        rc = address_read(ctx, config, 0, s->rpc.chain_id, s->views.stream_registry);
    if (rc == BROKER_OK)
        rc = address_read(ctx, config, 1, s->rpc.chain_id, s->views.storage_registry);
    memcpy(s->events.stream_registry, s->views.stream_registry, 20);
    memcpy(s->events.storage_registry, s->views.storage_registry, 20);
    if (rc != BROKER_OK)
        settings_done(s);
    return rc;
}

void settings_done(settings *s)
{
    for (size_t i = 0; i < s->rpc.n_urls; i++)
        free(s->rpc.urls[i]);
    s->rpc.n_urls = 0;
}
