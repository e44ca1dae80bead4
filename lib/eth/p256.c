/* p256 -- ECDSA over P-256 and SHA-256, through OpenSSL.
 *
 * Streamr writes signatures as r || s, OpenSSL reads and writes DER: ECDSA_SIG
 * converts. High s is accepted, as browsers accept it. */
#include "eth/eth.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/obj_mac.h>
#include <openssl/param_build.h>
#include <string.h>

/* r || s as DER in *der (OPENSSL_free); its length, or 0. */
static size_t sig_to_der(const uint8_t sig[64], uint8_t **der)
{
    ECDSA_SIG *pair = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(sig, 32, NULL), *s = BN_bin2bn(sig + 32, 32, NULL);
    int len = 0;

    if (pair == NULL || r == NULL || s == NULL || ECDSA_SIG_set0(pair, r, s) != 1) {
        BN_free(r);
        BN_free(s);
    } else {
        len = i2d_ECDSA_SIG(pair, der);
    }
    ECDSA_SIG_free(pair);
    return len > 0 ? (size_t)len : 0;
}

static bool sig_from_der(const uint8_t *der, size_t len, uint8_t sig[64])
{
    ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &der, (long)len);
    bool ok = pair != NULL && BN_bn2binpad(ECDSA_SIG_get0_r(pair), sig, 32) == 32 &&
              BN_bn2binpad(ECDSA_SIG_get0_s(pair), sig + 32, 32) == 32;

    ECDSA_SIG_free(pair);
    return ok;
}

/* The key with this point and, unless NULL, this scalar; NULL when they are none. */
static EVP_PKEY *key_make(const uint8_t pub[33], const BIGNUM *scalar)
{
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    OSSL_PARAM *params = NULL;
    EVP_PKEY *key = NULL;

    if (build == NULL || ctx == NULL ||
        !OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, "P-256", 0) ||
        !OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, pub, 33) ||
        (scalar != NULL && !OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_PRIV_KEY, scalar)))
        goto done;
    params = OSSL_PARAM_BLD_to_param(build);
    if (params == NULL || EVP_PKEY_fromdata_init(ctx) <= 0 ||
        EVP_PKEY_fromdata(ctx, &key, scalar != NULL ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY,
                          params) <= 0)
        key = NULL;
done:
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(build);
    EVP_PKEY_CTX_free(ctx);
    return key;
}

bool eth_p256_verify(const eth_part *parts, size_t n, const uint8_t key[33], const uint8_t sig[64])
{
    EVP_MD_CTX *ctx = NULL;
    EVP_PKEY *pkey = NULL;
    uint8_t *der = NULL;
    size_t der_len;
    bool ok = false;

    if (key[0] != 2 && key[0] != 3)
        return false;
    der_len = sig_to_der(sig, &der);
    pkey = key_make(key, NULL);
    ctx = EVP_MD_CTX_new();
    if (der_len == 0 || pkey == NULL || ctx == NULL ||
        EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, pkey) != 1)
        goto done;
    for (size_t i = 0; i < n; i++)
        if (EVP_DigestVerifyUpdate(ctx, parts[i].bytes, parts[i].len) != 1)
            goto done;
    ok = EVP_DigestVerifyFinal(ctx, der, der_len) == 1;
done:
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(pkey);
    OPENSSL_free(der);
    return ok;
}

/* scalar times the base point, compressed. */
static bool public_of(const BIGNUM *scalar, uint8_t pub[33])
{
    EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
    EC_POINT *point = group != NULL ? EC_POINT_new(group) : NULL;
    bool ok = point != NULL && !BN_is_zero(scalar) &&
              BN_cmp(scalar, EC_GROUP_get0_order(group)) < 0 &&
              EC_POINT_mul(group, point, scalar, NULL, NULL, NULL) == 1 &&
              EC_POINT_point2oct(group, point, POINT_CONVERSION_COMPRESSED, pub, 33, NULL) == 33;

    EC_POINT_free(point);
    EC_GROUP_free(group);
    return ok;
}

bool eth_p256_sign(const eth_part *parts, size_t n, const uint8_t key[32], uint8_t sig[64],
                   uint8_t pub[33])
{
    BIGNUM *scalar = BN_bin2bn(key, 32, NULL);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY *pkey = NULL;
    uint8_t der[80], point[33], made[64];
    size_t der_len = sizeof der;
    bool ok = false;

    if (scalar == NULL || ctx == NULL || !public_of(scalar, point))
        goto done;
    pkey = key_make(point, scalar);
    if (pkey == NULL || EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, pkey) != 1)
        goto done;
    for (size_t i = 0; i < n; i++)
        if (EVP_DigestSignUpdate(ctx, parts[i].bytes, parts[i].len) != 1)
            goto done;
    ok = EVP_DigestSignFinal(ctx, der, &der_len) == 1 && sig_from_der(der, der_len, made);
    if (ok) {
        memcpy(sig, made, sizeof made);
        memcpy(pub, point, sizeof point);
    }
done:
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(pkey);
    BN_clear_free(scalar);
    return ok;
}
