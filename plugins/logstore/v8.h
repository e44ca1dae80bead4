/* v8 -- a stored message as streamr-client 8 reads it: a JSON array on a line. Pure, [any].
 *
 * Its protocol has no binary content, knows one kind of signature, and signs the hex of what is
 * encrypted where today's protocol signs the bytes. So some messages cannot be told: */
#ifndef LOGSTORE_V8_H
#define LOGSTORE_V8_H

#include "base/base.h"

#include <broker/plugin.h>

typedef enum v8_fit {
    V8_FITS,
    V8_BINARY,    /* content that is no text                                       */
    V8_SIGNATURE, /* of a contract, ML-DSA or P-256                                */
    V8_ENCRYPTED, /* encrypted or with a new group key, and signed in today's way:
                   * the signature would not be valid                              */
    V8_FITS_COUNT,
} v8_fit;

extern const char *const v8_fit_names[V8_FITS_COUNT];

/* The line and its end, appended to out, when it fits. */
v8_fit v8_line(const broker_msg *m, sb *out);

#endif
