/* credential -- who asks: a user's address and the user's own signature over it, as the clients of
 * the Log Store send them: "Authorization: Basic base64(address:signature)".
 *
 * The address is in lower case, as text; the signature is of that text (EIP-191), 65 bytes, in
 * base64 (today's clients) or as 0x and hex (those of 2023). It has no end and names no node:
 * whoever has seen it can use it, so it belongs on TLS. Any thread, no state. */
#ifndef LOGSTORE_CREDENTIAL_H
#define LOGSTORE_CREDENTIAL_H

#include "base/base.h"

typedef enum credential_kind {
    CREDENTIAL_NONE,  /* no header, or of another scheme */
    CREDENTIAL_VALID, /* *user has signed                */
    CREDENTIAL_WRONG, /* *why: a constant sentence       */
} credential_kind;

/* header: of "Authorization"; NULL when there is none. */
credential_kind credential_read(const char *header, size_t len, uint8_t user[20], const char **why);

#endif
