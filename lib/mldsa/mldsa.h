/* mldsa -- whether an ML-DSA-87 signature is the key's: verification as FIPS 204 has it.
 *
 * "Pure" ML-DSA with an empty context (section 5.3, algorithm 3); what Streamr calls
 * signature type 3. No signing and no key generation: nothing here is secret, so nothing
 * takes care to run in constant time. [any] thread; no state, no allocation, at most
 * 16 KiB of stack. */
#ifndef MLDSA_MLDSA_H
#define MLDSA_MLDSA_H

#include "base/base.h"

#define MLDSA87_KEY_LEN 2592u
#define MLDSA87_SIG_LEN 4627u

/* One piece of a message that is hashed without being put together. */
typedef struct mldsa_part {
    const void *bytes;
    size_t len;
} mldsa_part;

/* Whether the owner of key signed the pieces, one after another. Malformed signatures are
 * not valid; every key of the right length is one. */
bool mldsa87_verify(const uint8_t key[MLDSA87_KEY_LEN], const mldsa_part *parts, size_t n,
                    const uint8_t sig[MLDSA87_SIG_LEN]);

#endif
