/* dedup -- which of the last n ids have been seen: message ids, route request ids.
 *
 * First in, first out; seeing an id again does not keep it longer. Ids are strangers' and
 * of any length, so a keyed 64-bit hash stands for each: one in 10^15 new ids is taken for
 * a duplicate. All memory is allocated at once, about 34 bytes an id. */
#ifndef STREAMR_WIRE_DEDUP_H
#define STREAMR_WIRE_DEDUP_H

#include "base/base.h"

#define DEDUP_IDS 10000u /* what the network remembers */

typedef struct dedup dedup;

dedup *dedup_new(uint32_t capacity);
void dedup_free(dedup *d);
/* True: it was there. False: it is now. */
bool dedup_seen(dedup *d, const void *id, size_t len);

#endif
