/* abi -- how calls of contracts and their results are written: Solidity's contract ABI.
 *
 * Words of 32 bytes; what has no fixed size stands behind the words of its tuple, which hold its
 * offset. Reading is bounded by the bytes given and copies nothing; an offset or length that
 * leads out of them is refused. All functions are [any] thread. */
#ifndef ETH_ABI_H
#define ETH_ABI_H

#include "base/base.h"

#define ABI_WORD 32u

/* ---- Writing ---- */

typedef enum abi_kind {
    ABI_NUMBER,  /* uint8 .. uint256 */
    ABI_ADDRESS, /* 20 bytes */
    ABI_BYTES32,
    ABI_BYTES, /* bytes, string */
} abi_kind;

typedef struct abi_value {
    abi_kind kind;
    uint64_t number;
    const void *bytes;
    size_t len;
} abi_value;

static inline abi_value abi_number(uint64_t x)
{
    return (abi_value){ABI_NUMBER, x, NULL, 0};
}
static inline abi_value abi_address(const uint8_t address[20])
{
    return (abi_value){ABI_ADDRESS, 0, address, 20};
}
static inline abi_value abi_bytes32(const uint8_t bytes[32])
{
    return (abi_value){ABI_BYTES32, 0, bytes, 32};
}
static inline abi_value abi_bytes(const void *bytes, size_t len)
{
    return (abi_value){ABI_BYTES, 0, bytes, len};
}

/* The first 4 bytes of keccak256("transfer(address,uint256)"). */
void abi_selector(const char *signature, uint8_t out[4]);
/* keccak256 of an event's signature, its first topic. */
void abi_topic(const char *signature, uint8_t out[32]);
/* Selector and arguments, appended. */
void abi_put_call(sb *out, const char *signature, const abi_value *args, size_t n);
/* The arguments alone, as events and results have them. */
void abi_put(sb *out, const abi_value *args, size_t n);

/* ---- Reading ---- */

/* A tuple: its words, and behind them what they lead to. */
typedef struct abi_tuple {
    const uint8_t *bytes;
    size_t len;
} abi_tuple;

/* The i-th word of a tuple as what it is said to be. False: it is not there, or not that. */
bool abi_get_bool(abi_tuple t, size_t i, bool *out);
bool abi_get_u64(abi_tuple t, size_t i, uint64_t *out); /* a larger number: UINT64_MAX */
bool abi_get_i64(abi_tuple t, size_t i, int64_t *out);  /* of a uint256; larger: INT64_MAX */
bool abi_get_address(abi_tuple t, size_t i, uint8_t out[20]);
bool abi_get_bytes32(abi_tuple t, size_t i, uint8_t out[32]);
/* bytes and string; borrowed from the tuple. */
bool abi_get_bytes(abi_tuple t, size_t i, const uint8_t **out, size_t *len);
bool abi_get_text(abi_tuple t, size_t i, const char **out, size_t *len); /* UTF-8 */
/* A tuple that has something without a fixed size in it. (The words of others stand in place.) */
bool abi_get_tuple(abi_tuple t, size_t i, abi_tuple *out);

#endif
