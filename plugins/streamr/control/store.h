/* store -- data of others that this node keeps for the network: who is in which stream part.
 *
 * Entries live 60 s at most and are said again by their creators. Anybody may store anything under
 * any name, so all is bounded: in all, of one key, of one sender. Full means refused, never that
 * somebody else's entry goes. [loop] */
#ifndef STREAMR_CONTROL_STORE_H
#define STREAMR_CONTROL_STORE_H

#include "wire/identity.h"

#define STORE_MAX        4096u
#define STORE_PER_KEY    64u
#define STORE_PER_SENDER 512u
#define STORE_DATA_MAX   1024u
#define STORE_TTL_MS     60000

typedef struct store store;

store *store_new(void);
void store_free(store *s); /* NULL: nothing */
/* False: it is refused. What is older than what is here is taken and changes nothing. */
bool store_put(store *s, const node_id *sender, const dht_store_request *q, int64_t now_ms);
/* All of a key, deleted ones too, as dht_entry *, until the store is called again. */
void store_get(store *s, const node_id *key, bool stale, pb_list *out, pb_arena *arena,
               int64_t now_ms);
void store_delete(store *s, const node_id *key, const node_id *creator);

#endif
