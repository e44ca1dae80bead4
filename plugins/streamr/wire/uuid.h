/* uuid -- message, request and session ids: random uuids in their text form.
 *
 * Random bytes are fetched for many ids at once: a frame takes two. One source a thread. */
#ifndef STREAMR_WIRE_UUID_H
#define STREAMR_WIRE_UUID_H

#include "base/base.h"

#define UUID_LEN 36u

typedef struct uuid_source {
    uint8_t bytes[1024];
    size_t left; /* zero at first: {0} is a source */
} uuid_source;

/* Version 4, lower case, no NUL. */
void uuid_make(uuid_source *source, char out[UUID_LEN]);

#endif
