/* calls -- requests that wait for their response, by request id.
 *
 * A response counts when its id is that of a call and it comes from the node that was asked;
 * all else is dropped. The caller has the clock: calls_expired() hands out what is overdue. */
#ifndef STREAMR_WIRE_CALLS_H
#define STREAMR_WIRE_CALLS_H

#include "wire/envelope.h"
#include "wire/identity.h"

#define CALLS_MAX 4096u

typedef struct calls calls;

calls *calls_new(void);
void calls_free(calls *c); /* what still waits is the caller's to end: calls_expired() */
/* asked: NULL when any node may answer. False: CALLS_MAX wait already. */
bool calls_add(calls *c, const char request_id[UUID_LEN], const node_id *asked, void *user,
               int64_t deadline_ms);
/* The call that this response (or error) of `from` answers, taken out; NULL: none. */
void *calls_take(calls *c, const envelope *response, const node_id *from);
/* One that is overdue, taken out; NULL: none. INT64_MAX empties the table. */
void *calls_expired(calls *c, int64_t now_ms);
/* When the next is due; INT64_MAX: nothing waits. */
int64_t calls_next_ms(const calls *c);

#endif
