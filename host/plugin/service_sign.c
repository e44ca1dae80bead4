/* service_sign -- "broker.sign/1": the node's key, which never leaves the host. */
#include "plugin/build.h"

#include "eth/eth.h"

static broker_rc no_key(broker_ctx *ctx)
{
    return ctx->host->fail(ctx, BROKER_EDENIED,
                           "this node has no key; set client.auth.privateKeyFile");
}

static broker_rc address(broker_ctx *ctx, uint8_t out[20])
{
    const uint8_t *key = build_of(ctx)->parts->key;
    uint8_t pub[64];

    if (key == NULL || !eth_key_public(key, pub))
        return no_key(ctx);
    eth_address_of(pub, out);
    return BROKER_OK;
}

static broker_rc digest(broker_ctx *ctx, const uint8_t hash[32], uint8_t out[65])
{
    const uint8_t *key = build_of(ctx)->parts->key;

    if (key == NULL)
        return no_key(ctx);
    eth_sign(hash, key, out);
    return BROKER_OK;
}

static broker_rc message(broker_ctx *ctx, broker_bytes text, uint8_t out[65])
{
    eth_part part = {text.ptr, text.len};
    uint8_t hash[32];

    eth_personal_digest(&part, 1, hash);
    return digest(ctx, hash, out);
}

/* EIP-712: keccak256(0x19 0x01 domainSeparator hashStruct). */
static broker_rc typed(broker_ctx *ctx, const uint8_t domain[32], const uint8_t hash[32],
                       uint8_t out[65])
{
    eth_part parts[] = {{"\x19\x01", 2}, {domain, 32}, {hash, 32}};
    uint8_t whole[32];

    eth_keccak256_parts(parts, COUNT_OF(parts), whole);
    return digest(ctx, whole, out);
}

const broker_sign service_sign = {sizeof service_sign, 0, address, message, typed, digest};
