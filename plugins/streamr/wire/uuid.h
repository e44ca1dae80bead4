/* uuid -- message, request and session ids: random uuids in their text form.
 *
 * A frame takes two, and whoever could guess the next could have nodes take our frame for one they
 * have seen; so they come from a cipher under a key of the kernel's, which costs a third of what
 * asking the kernel would. One source a thread. */
#ifndef STREAMR_WIRE_UUID_H
#define STREAMR_WIRE_UUID_H

#include "base/base.h"

#define UUID_LEN 36u

typedef struct uuid_source {
    uint8_t key[32]; /* of the next bytes */
    uint8_t bytes[1024];
    size_t left;     /* zero at first: {0} is a source */
    unsigned rounds; /* until the kernel gives a new key */
} uuid_source;

/* Version 4, lower case, no NUL. */
void uuid_make(uuid_source *source, char out[UUID_LEN]);

#endif
