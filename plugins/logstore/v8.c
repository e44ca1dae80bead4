/* v8 -- see v8.h. The array itself: lib/streamr/legacy.c. */
#include "v8.h"

#include "streamr/streamr.h"

const char *const v8_fit_names[V8_FITS_COUNT] = {"fits", "binary", "signature", "encrypted"};

v8_fit v8_line(const broker_msg *m, sb *out)
{
    bool sealed =
        m->encryption_type != BROKER_ENCRYPTION_NONE || (m->flags & BROKER_MSG_HAS_NEW_KEY) != 0;

    if (m->signature_type != BROKER_SIGNATURE_LEGACY &&
        m->signature_type != BROKER_SIGNATURE_SECP256K1)
        return V8_SIGNATURE;
    if (sealed && m->signature_type != BROKER_SIGNATURE_LEGACY)
        return V8_ENCRYPTED;
    if (!streamr_json_encode(m, out))
        return V8_BINARY;
    sb_putc(out, '\n');
    return V8_FITS;
}
