/* entry -- the entry points: kept connected, and asked who is in a stream part (spec 4.9.1), as a
 * node does that has not joined the DHT: externalFetchData and externalStoreData.
 *
 * [loop] throughout. No callback comes from inside the call that caused it. */
#ifndef STREAMR_CONTROL_ENTRY_H
#define STREAMR_CONTROL_ENTRY_H

#include "rpc/rpc.h"

#define ENTRY_ASK_MS    15000u /* the operation takes up to 10 s there */
#define ENTRY_STORE_MS  60000u /* what is stored lives so long; it is repeated as often */
#define ENTRY_RETRY_MS  1000u  /* first pause after a failed dial; doubled up to the next */
#define ENTRY_RETRY_MAX 60000u
#define ENTRY_FOUND     32u /* descriptors of one answer that are looked at */
#define ENTRY_STORED    2000u

typedef struct entry entry;

/* descriptors: copied. None: everything is unanswered. */
entry *entry_new(peers *p, const pb_bytes *descriptors, size_t n);
void entry_free(entry *en); /* NULL: nothing; before the peers end; no callbacks */

bool entry_ready(const entry *en); /* one is connected */

/* Who says to be in a stream part. ok false: nobody could be asked. Descriptors, encoded, without
 * our own; valid until it returns. */
typedef void (*entry_found)(void *arg, bool ok, const pb_bytes *descriptors, size_t n);
/* False: too much is being asked. */
bool entry_fetch(entry *en, pb_bytes part, entry_found found, void *arg);
void entry_cancel(entry *en, const void *arg);

/* Say that we are in a stream part, every 60 s, or no longer. False: there are too many. */
bool entry_store(entry *en, pb_bytes part, bool on);

#endif
