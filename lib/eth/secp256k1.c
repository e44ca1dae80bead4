/* secp256k1 -- recovery, signing and public keys of Ethereum accounts.
 *
 * Recovery needs no context of its own. Signing does: it is made when the program or
 * library is loaded, blinded with random bytes, and only read afterwards. */
#include "eth/eth.h"

#include <secp256k1.h>
#include <secp256k1_recovery.h>
#include <string.h>

static secp256k1_context *signing;

__attribute__((constructor)) static void signing_make(void)
{
    uint8_t seed[32];

    signing = secp256k1_context_create(SECP256K1_CONTEXT_NONE);
    must(signing != NULL);
    random_bytes(seed, sizeof seed);
    must(secp256k1_context_randomize(signing, seed) == 1);
}

/* A plugin that carries this library is unloaded at a swap. */
__attribute__((destructor)) static void signing_drop(void)
{
    secp256k1_context_destroy(signing);
}

static void point_out(const secp256k1_pubkey *key, uint8_t pub[64])
{
    uint8_t point[65];
    size_t len = sizeof point;

    secp256k1_ec_pubkey_serialize(secp256k1_context_static, point, &len, key,
                                  SECP256K1_EC_UNCOMPRESSED);
    memcpy(pub, point + 1, 64);
}

bool eth_recover(const uint8_t digest[32], const uint8_t sig[65], uint8_t pub[64])
{
    secp256k1_ecdsa_recoverable_signature parsed;
    secp256k1_pubkey key;
    int id = sig[64] >= 27 ? sig[64] - 27 : sig[64] <= 1 ? sig[64] : -1;

    /* Ids 2 and 3 (v 29, 30) say that r was reduced; nobody makes them, all accept them. */
    if (id < 0 || id > 3)
        return false;
    /* Refuses r or s not below the order here, zeros below. High s is fine to it. */
    if (!secp256k1_ecdsa_recoverable_signature_parse_compact(secp256k1_context_static, &parsed, sig,
                                                             id) ||
        !secp256k1_ecdsa_recover(secp256k1_context_static, &key, &parsed, digest))
        return false;
    point_out(&key, pub);
    return true;
}

bool eth_key_public(const uint8_t key[32], uint8_t pub[64])
{
    secp256k1_pubkey point;

    if (!secp256k1_ec_pubkey_create(signing, &point, key))
        return false;
    point_out(&point, pub);
    return true;
}

void eth_sign(const uint8_t digest[32], const uint8_t key[32], uint8_t sig[65])
{
    secp256k1_ecdsa_recoverable_signature made;
    int id = 0;

    must(secp256k1_ecdsa_sign_recoverable(signing, &made, digest, key, NULL, NULL) == 1);
    secp256k1_ecdsa_recoverable_signature_serialize_compact(signing, sig, &id, &made);
    sig[64] = (uint8_t)(27 + id);
}
