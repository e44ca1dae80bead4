/* entry -- the entry points: kept connected, and asked who is in a stream part (spec 4.9.1), as a
 * node does that has not joined the DHT: externalFetchData and externalStoreData.
 *
 * [loop] throughout. No callback comes from inside the call that caused it. */
#ifndef STREAMR_CONTROL_ENTRY_H
#define STREAMR_CONTROL_ENTRY_H

#include "rpc/rpc.h"

#define ENTRY_ASK_MS    15000u /* the operation takes up to 10 s there */
#define ENTRY_RETRY_MS  1000u  /* first pause after a failed dial; doubled up to the next */
#define ENTRY_RETRY_MAX 60000u
#define ENTRY_WAIT_MS   10000u /* a question waits so long for one to be connected */
#define ENTRY_FOUND     32u    /* descriptors of one answer that are looked at */
#define ENTRY_WAITING   10000u /* announcements */

typedef struct entry entry;

/* descriptors: copied. None: everything is unanswered. Nobody is dialled before entry_hold(). */
entry *entry_new(peers *p, const pb_bytes *descriptors, size_t n);
/* Dial none, or go on; held at first. */
void entry_hold(entry *en, bool held);
void entry_free(entry *en); /* NULL: nothing; before the peers end; no callbacks */

bool entry_ready(const entry *en); /* one is connected */
bool entry_is_point(const entry *en, const node_id *id);

/* Who is listed under the key of a stream part. ok false: nobody could be asked. Descriptors,
 * encoded, without our own; valid until it returns. */
typedef void (*entry_found)(void *arg, bool ok, const pb_bytes *descriptors, size_t n);
/* False: too much is being asked. */
bool entry_fetch(entry *en, const node_id *key, entry_found found, void *arg);
void entry_cancel(entry *en, const void *arg);

/* List ourselves under a key: once, as soon as an entry point is connected. What is listed is
 * forgotten after 60 s, so say it again. */
void entry_announce(entry *en, const node_id *key);

#endif
