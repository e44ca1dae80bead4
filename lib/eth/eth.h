/* eth -- Ethereum hashing and keys: Keccak-256, secp256k1 with recovery,
 * addresses, EIP-191; and P-256 for Streamr's passkey-style identities.
 *
 * All functions are [any] thread and keep no state but one shared, read-only
 * secp256k1 context. Nothing here logs. */
#ifndef ETH_ETH_H
#define ETH_ETH_H

#include "base/base.h"

/* One piece of a message that is hashed without being put together. */
typedef struct eth_part {
    const void *bytes;
    size_t len;
} eth_part;

/* Keccak-256 with Ethereum's padding (0x01), not SHA3-256. */
void eth_keccak256(const void *bytes, size_t len, uint8_t out[32]);
void eth_keccak256_parts(const eth_part *parts, size_t n, uint8_t out[32]);

/* EIP-191 personal_sign: keccak256(0x19 "Ethereum Signed Message:\n" dec(len) message). */
void eth_personal_digest(const eth_part *parts, size_t n, uint8_t out[32]);

/* The public key (x || y) that made sig = r || s || v. v may be 0, 1 or 27 to 30,
 * high s is accepted (a Streamr message must have 27 to 30: streamr_verify). False: no such
 * key. */
bool eth_recover(const uint8_t digest[32], const uint8_t sig[65], uint8_t pub[64]);
/* keccak256(pub), last 20 bytes. */
void eth_address_of(const uint8_t pub[64], uint8_t address[20]);

/* False: key is zero or not below the group order. */
bool eth_key_public(const uint8_t key[32], uint8_t pub[64]);
/* RFC 6979, low s, v 27 or 28. key must be valid. */
void eth_sign(const uint8_t digest[32], const uint8_t key[32], uint8_t sig[65]);

/* "0x" and 40 hex digits, any case; exactly that. */
bool eth_address_parse(const char *text, size_t len, uint8_t out[20]);
void eth_address_text(const uint8_t address[20], char out[43]);          /* lower case, NUL */
void eth_address_checksum_text(const uint8_t address[20], char out[43]); /* EIP-55, NUL */

/* ECDSA P-256 over SHA-256(parts); key is the 33-byte compressed point, sig is r || s. */
bool eth_p256_verify(const eth_part *parts, size_t n, const uint8_t key[33], const uint8_t sig[64]);
/* False: not a valid private key. */
bool eth_p256_sign(const eth_part *parts, size_t n, const uint8_t key[32], uint8_t sig[64],
                   uint8_t pub[33]);

#endif
