/* parts -- what the files of control share. Not for others. [loop] */
#ifndef STREAMR_CONTROL_PARTS_H
#define STREAMR_CONTROL_PARTS_H

#include "control/control.h"
#include "control/store.h"

#include <broker/plugin_log.h>

#include <stdlib.h>

#define ARENA     (256u * 1024u) /* holds what an honest node sends */
#define CLOSEST   5u
#define PART_SETS 256u

/* A stream part this node is in, and who asked it about others there: so that those who find only
 * us find each other. */
typedef struct layer1_part {
    struct layer1_part *next;
    uint64_t hash;
    struct {
        node_id id;
        pb_bytes descriptor; /* own memory */
    } contacts[CONTROL_CONTACTS];
    unsigned n_contacts, oldest;
    size_t len;
    char name[];
} layer1_part;

struct control {
    peers *p;
    control_options o;
    peers_watch watch;
    pb_arena arena; /* for one message at a time */
    layer1_part *parts[PART_SETS];
    size_t n_parts;
    int64_t dials_since_ms;
    unsigned dials;
    dedup *routed; /* request ids of wrappers */
    store *store;
    uuid_source ids;
};

/* A method of a service. */
typedef struct method {
    const char *name;
    const pb_table *request;
    void (*serve)(control *c, const peers_from *from, const envelope *e, const void *msg,
                  peers_call *call);
} method;

/* ---- control.c ---- */
/* Decode and serve; what the service has not is UNKNOWN_METHOD. */
void methods_serve(control *c, const method *methods, size_t n, const peers_from *from,
                   const envelope *e, peers_call *call);
/* A descriptor decoded into the arena; NULL: it cannot be. */
dht_peer *peer_of(pb_bytes descriptor, pb_arena *arena);

/* ---- operation.c ---- */
/* Tell whoever began the operation inside what this node knows of it; via: who brought it. */
void operation_answer(control *c, const node_id *via, const dht_route *r);

/* ---- one file each ---- */
void layer0_serve(control *c);
void layer1_serve(control *c);
void layer1_free(control *c);
void manager_serve(control *c);
void info_serve(control *c);
void connector_serve(control *c);

#endif
