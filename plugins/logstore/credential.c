/* credential -- see credential.h. */
#include "credential.h"

#include "eth/eth.h"

#include <nettle/base64.h>
#include <string.h>
#include <strings.h>

#define ADDRESS_TEXT 42u
#define SIGNATURE    65u
#define DECODED_MAX  256u /* an address, a colon, a signature in hex: 175 */
#define ENCODED_MAX  344u /* that in base64 */
#define BASIC        "basic "
#define BASIC_LEN    (sizeof BASIC - 1)

/* Bytes that decode to `most` at the most; how many, 0: it is not base64. */
static size_t base64(const char *text, size_t len, uint8_t *out, size_t most)
{
    struct base64_decode_ctx ctx;
    size_t done = most;

    if (BASE64_DECODE_LENGTH(len) > most)
        return 0;
    base64_decode_init(&ctx);
    return base64_decode_update(&ctx, &done, out, len, text) != 0 && base64_decode_final(&ctx) != 0
               ? done
               : 0;
}

static bool signature_read(const char *text, size_t len, uint8_t out[SIGNATURE])
{
    uint8_t bytes[SIGNATURE + 3];

    if (len == 2 + 2 * SIGNATURE && text[0] == '0' && text[1] == 'x')
        return hex_decode(out, text + 2, len - 2);
    if (len > 88 || base64(text, len, bytes, sizeof bytes) != SIGNATURE)
        return false;
    memcpy(out, bytes, SIGNATURE);
    return true;
}

static bool signed_by(const char *address, const uint8_t signature[SIGNATURE],
                      const uint8_t user[20])
{
    eth_part part = {address, ADDRESS_TEXT};
    uint8_t digest[32], pub[64], signer[20];

    eth_personal_digest(&part, 1, digest);
    if (!eth_recover(digest, signature, pub))
        return false;
    eth_address_of(pub, signer);
    return memcmp(signer, user, sizeof signer) == 0;
}

static const char *read_pair(const char *text, size_t len, uint8_t user[20])
{
    uint8_t signature[SIGNATURE];
    char lower[43];

    if (len <= ADDRESS_TEXT || text[ADDRESS_TEXT] != ':' ||
        !eth_address_parse(text, ADDRESS_TEXT, user))
        return "the credential's user is not an address (0x and 40 hex digits)";
    eth_address_text(user, lower);
    if (memcmp(lower, text, ADDRESS_TEXT) != 0)
        return "the credential's address has to be in lower case, as it was signed";
    if (!signature_read(text + ADDRESS_TEXT + 1, len - ADDRESS_TEXT - 1, signature))
        return "the credential's password is not a signature (65 bytes in base64, or 0x and hex)";
    if (!signed_by(lower, signature, user))
        return "the credential's signature is not of the address it names";
    return NULL;
}

credential_kind credential_read(const char *header, size_t len, uint8_t user[20], const char **why)
{
    uint8_t pair[DECODED_MAX + 3];
    size_t n;

    if (header == NULL || len < BASIC_LEN || strncasecmp(header, BASIC, BASIC_LEN) != 0)
        return CREDENTIAL_NONE;
    header += BASIC_LEN;
    len -= BASIC_LEN;
    n = len <= ENCODED_MAX ? base64(header, len, pair, sizeof pair) : 0;
    *why = n != 0 ? read_pair((const char *)pair, n, user)
                  : "the credential is not base64 of an address, a colon and a signature";
    return *why == NULL ? CREDENTIAL_VALID : CREDENTIAL_WRONG;
}
