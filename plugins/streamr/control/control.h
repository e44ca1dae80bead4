/* control -- what a node must answer outside of stream parts, so that others keep it: pings,
 * locks, routing, node info (spec 5, the table of what a minimal peer answers).
 *
 * This node is not in the DHT: it routes nothing for others (NO_TARGETS) and lists no contacts of
 * its own. It does answer what reaches it: routed messages to itself are unwrapped and served, data
 * is kept (store.h), operations on data end here and are answered, so that nobody waits for us.
 * [loop] throughout. */
#ifndef STREAMR_CONTROL_CONTROL_H
#define STREAMR_CONTROL_CONTROL_H

#include "rpc/rpc.h"
#include "wire/dedup.h"
#include "wire/network.h"

#define CONTROL_CONTACTS       16u   /* kept of one stream part */
#define CONTROL_PARTS          1000u /* answered for at once; others are left to the network */
#define CONTROL_DIALS_A_SECOND 8u    /* on the word of others */

typedef struct control control;

typedef struct control_options {
    const char *application; /* version; valid as long as control */
    bool accepts_proxies;    /* setPrivate is honoured */
    bool is_private;         /* we are a proxy client only: every node is told so */
    /* For node info: adds what is known of stream parts (network_part_info *), in the arena. NULL:
     * nothing. */
    void (*parts)(void *arg, pb_list *out, pb_arena *arena);
    void *arg;
} control_options;

control *control_new(peers *p, const control_options *o);
void control_free(control *c); /* NULL: nothing; before the peers end */

/* Answer for a stream part in its layer 1, or no longer. False: there are too many. */
bool control_join(control *c, pb_bytes part);
void control_leave(control *c, pb_bytes part);

/* Tell all that we leave; links_leave() is next. */
void control_goodbye(control *c);

#endif
