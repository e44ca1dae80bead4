/* state -- what one build hands to the next, as msgpack: {v: 1, sessions: [...]}. [any]
 *
 * Its version is raised when what is written changes its meaning; another one is refused, and the
 * build before goes on. */
#ifndef WEBSOCKET_STATE_H
#define WEBSOCKET_STATE_H

#include "target.h"

#define CHAIN_LEN 20

/* What has to be known of a connection to go on with it. */
typedef struct session {
    uint64_t conn; /* its number in the host */
    target want;
    /* publish */
    char chain[CHAIN_LEN + 1]; /* message chain id */
    uint64_t messages;         /* how many came */
} session;

/* First how many, then each. */
void state_begin(sb *out, size_t sessions);
void state_add(sb *out, const session *s);

/* NULL and *sessions, to be freed with sessions_free(); or why the state cannot be taken. */
const char *state_read(broker_bytes state, session **sessions, size_t *n);
void sessions_free(session *sessions, size_t n);

#endif
