/* internal -- what the files of lib/streamr share. Not for anybody else. */
#ifndef STREAMR_INTERNAL_H
#define STREAMR_INTERNAL_H

#include "streamr/streamr.h"

/* What JavaScript numbers carry exactly; the SDK refuses timestamps above. */
#define STREAMR_TIMESTAMP_MAX 9007199254740991

/* Field numbers of the protocol. */
enum { ID_STREAM = 1, ID_PARTITION, ID_TIMESTAMP, ID_SEQUENCE, ID_PUBLISHER, ID_CHAIN };
enum { REF_TIMESTAMP = 1, REF_SEQUENCE };
enum { MSG_ID = 1, MSG_PREV, MSG_SIGNATURE, MSG_SIGNATURE_TYPE, MSG_CONTENT };
enum { CONTENT_BYTES = 1, CONTENT_TYPE, CONTENT_ENCRYPTION, CONTENT_KEY_ID, CONTENT_NEW_KEY };
enum { KEY_ID = 1, KEY_DATA };
enum { REQUEST_ID = 1, REQUEST_RECIPIENT, REQUEST_PUBLIC_KEY, REQUEST_KEY_IDS };
enum { RESPONSE_ID = 1, RESPONSE_RECIPIENT, RESPONSE_KEYS };

/* Whether bytes, which may be none at all, are UTF-8. */
static inline bool streamr_is_text(broker_bytes bytes)
{
    return bytes.len == 0 || utf8_ok(bytes.ptr, bytes.len);
}

/* The rules that hold for a message in any form; NULL, or which one is broken. */
const char *streamr_structure_check(const broker_msg *msg);

/* s as JSON.stringify writes it (short escapes, non-ASCII as it is). UTF-8 only. */
void streamr_json_text(sb *out, const char *s, size_t len);
/* The new group key as v32 has it: ["id","hex"]. */
void streamr_new_key_text(sb *out, const broker_msg *msg);

#endif
