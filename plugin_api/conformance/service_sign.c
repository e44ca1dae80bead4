/* service_sign -- "broker.sign/1" of the kit, with a key that everybody knows. */
#include "kit.h"

#include "eth/eth.h"

const uint8_t kit_key[32] = {1, 2, 3, 4, 5, 6, 7, 8};

static void own_address(uint8_t out[20])
{
    uint8_t pub[64];

    must(eth_key_public(kit_key, pub));
    eth_address_of(pub, out);
}

const char *kit_address(void)
{
    static char text[43];
    uint8_t a[20];

    own_address(a);
    eth_address_text(a, text);
    return text;
}

static broker_rc address(broker_ctx *ctx, uint8_t out[20])
{
    if (called(kit_of(ctx), CALL_sign_address))
        return refuse(kit_of(ctx), CALL_sign_address);
    own_address(out);
    return BROKER_OK;
}

static broker_rc signed_by_key(const uint8_t hash[32], uint8_t out[65])
{
    eth_sign(hash, kit_key, out);
    return BROKER_OK;
}

static broker_rc message(broker_ctx *ctx, broker_bytes text, uint8_t out[65])
{
    eth_part part = {text.ptr, text.len};
    uint8_t hash[32];

    if (called(kit_of(ctx), CALL_sign_message))
        return refuse(kit_of(ctx), CALL_sign_message);
    eth_personal_digest(&part, 1, hash);
    return signed_by_key(hash, out);
}

static broker_rc typed(broker_ctx *ctx, const uint8_t domain[32], const uint8_t hash[32],
                       uint8_t out[65])
{
    eth_part parts[] = {{"\x19\x01", 2}, {domain, 32}, {hash, 32}};
    uint8_t whole[32];

    if (called(kit_of(ctx), CALL_sign_typed))
        return refuse(kit_of(ctx), CALL_sign_typed);
    eth_keccak256_parts(parts, COUNT_OF(parts), whole);
    return signed_by_key(whole, out);
}

static broker_rc digest(broker_ctx *ctx, const uint8_t hash[32], uint8_t out[65])
{
    if (called(kit_of(ctx), CALL_sign_digest))
        return refuse(kit_of(ctx), CALL_sign_digest);
    return signed_by_key(hash, out);
}

const broker_sign kit_sign = {sizeof kit_sign, 0, address, message, typed, digest};
