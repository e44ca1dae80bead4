/* readers -- who may read, with `read` "chain": those whom Streamr's stream registry lets subscribe
 * to the stream. Who gives no credential (credential.h) is anybody, and reads public streams.
 *
 * [loop] */
#ifndef LOGSTORE_READERS_H
#define LOGSTORE_READERS_H

#include "logstore.h"

typedef struct readers readers;

/* NULL: the host refuses what it needs. */
readers *readers_new(logstore *l);
/* Requests that wait are answered 503. Accepts NULL. */
void readers_free(readers *r);

/* go_on(l, req, of), now or later, when this request may be answered; else it is answered 401, 403
 * or 503. */
typedef void (*readers_go_on)(logstore *l, broker_req *req, unsigned of);
void readers_ask(readers *r, broker_req *req, readers_go_on go_on, unsigned of);

/* What keeps anybody from reading, a sentence; NULL: nothing. */
const char *readers_trouble(readers *r);

#endif
