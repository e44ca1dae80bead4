/* tables -- the services that the plugin finds here, and the small ones among them.
 *
 * Configuration, sockets, the HTTP client, work and timers are the host's own, on this process's
 * loop. What would take functions of one process into another there is not: broker.registry,
 * broker.transport, broker.verify. */
#include "guest/request.h"

/* ---- configuration, sockets: one function each is another ---- */

static broker_str shared(broker_ctx *ctx, const char *path)
{
    const guest *g = guest_of(ctx);

    for (uint32_t i = 0; i < g->n_shared; i++)
        if (strcmp(g->shared[i].path, path) == 0)
            return (broker_str){g->shared[i].text, strlen(g->shared[i].text)};
    return (broker_str){NULL, 0};
}

static broker_rc upgrade(broker_req *req, const broker_net_options *opt,
                         const broker_peer_calls *calls, broker_conn **out)
{
    broker_ctx *ctx = &req->g->build->ctx;

    (void)opt, (void)calls, (void)out;
    return ctx->host->fail(ctx, BROKER_ENOSYS,
                           "a request cannot become a WebSocket in a process of its own; listen "
                           "for WebSockets, or take \"isolate\" out of the plugin's section");
}

/* ---- API keys ---- */

static int32_t required(broker_ctx *ctx)
{
    return guest_of(ctx)->keys ? 1 : 0;
}

static broker_rc check(broker_ctx *ctx, broker_str key)
{
    guest *g = guest_of(ctx);

    if (!g->keys)
        return BROKER_OK;
    return guest_ask(g, ASK_KEY, (broker_bytes){(const uint8_t *)key.ptr, key.len}, NULL);
}

static const broker_access access_table = {sizeof access_table, 0, required, check};

/* ---- the node's key ---- */

broker_rc guest_address(guest *g, uint8_t out[20])
{
    sb answer = SB_INIT;
    broker_rc rc = BROKER_OK;
    bool known;

    uv_mutex_lock(&g->ask_lock);
    known = g->has_address;
    if (known)
        memcpy(out, g->address, sizeof g->address);
    uv_mutex_unlock(&g->ask_lock);
    if (known)
        return BROKER_OK;
    rc = guest_ask(g, ASK_ADDRESS, (broker_bytes){NULL, 0}, &answer);
    if (rc == BROKER_OK && answer.len != sizeof g->address)
        guest_broken("an address that is none");
    if (rc == BROKER_OK) {
        uv_mutex_lock(&g->ask_lock);
        memcpy(g->address, answer.data, sizeof g->address);
        g->has_address = true;
        uv_mutex_unlock(&g->ask_lock);
        memcpy(out, answer.data, answer.len);
    }
    sb_done(&answer);
    return rc;
}

static broker_rc address(broker_ctx *ctx, uint8_t out[20])
{
    return guest_address(guest_of(ctx), out);
}

static broker_rc sign(broker_ctx *ctx, uint8_t what, broker_bytes one, broker_bytes two,
                      uint8_t out[65])
{
    sb body = SB_INIT, answer = SB_INIT;
    broker_rc rc;

    words_put_u8(&body, what);
    sb_append(&body, one.ptr, one.len);
    sb_append(&body, two.ptr, two.len);
    rc = guest_ask(guest_of(ctx), ASK_SIGN, bytes_of(&body), &answer);
    if (rc == BROKER_OK && answer.len != 65)
        guest_broken("a signature that is none");
    if (rc == BROKER_OK)
        memcpy(out, answer.data, answer.len);
    sb_done(&body);
    sb_done(&answer);
    return rc;
}

static broker_rc message(broker_ctx *ctx, broker_bytes text, uint8_t out[65])
{
    return sign(ctx, SIGN_MESSAGE, text, (broker_bytes){NULL, 0}, out);
}

static broker_rc typed(broker_ctx *ctx, const uint8_t domain[32], const uint8_t hash[32],
                       uint8_t out[65])
{
    return sign(ctx, SIGN_TYPED, (broker_bytes){domain, 32}, (broker_bytes){hash, 32}, out);
}

static broker_rc digest(broker_ctx *ctx, const uint8_t hash[32], uint8_t out[65])
{
    return sign(ctx, SIGN_DIGEST, (broker_bytes){hash, 32}, (broker_bytes){NULL, 0}, out);
}

static const broker_sign sign_table = {sizeof sign_table, 0, address, message, typed, digest};

/* ---- the node ---- */

static void state(broker_ctx *ctx, uint32_t what, const char *why)
{
    uint8_t number[4];

    put_u32be(number, what);
    channel_send(guest_of(ctx)->frames, WORD_STATE, (broker_bytes){number, sizeof number},
                 (broker_bytes){(const uint8_t *)why, why != NULL ? strlen(why) : 0});
}

static const char *version(broker_ctx *ctx)
{
    (void)ctx;
    return LOGSTORE_VERSION;
}

static const broker_node node_table = {sizeof node_table, 0, state, version};

/* ---- all ---- */

const service_entry *guest_services(void)
{
    static broker_config config;
    static broker_net net_table;
    static const service_entry list[] = {
        {BROKER_ID_broker_config, &config},
        {BROKER_ID_broker_bus, &guest_bus},
        {BROKER_ID_broker_http, &guest_http},
        {BROKER_ID_broker_access, &access_table},
        {BROKER_ID_broker_net, &net_table},
        {BROKER_ID_broker_fetch, &service_fetch},
        {BROKER_ID_broker_work, &service_work},
        {BROKER_ID_broker_metrics, &guest_metrics},
        {BROKER_ID_broker_sign, &sign_table},
        {BROKER_ID_broker_node, &node_table},
        {NULL, NULL},
    };

    config = service_config;
    config.shared = shared;
    net_table = service_net;
    net_table.upgrade = upgrade;
    return list;
}
