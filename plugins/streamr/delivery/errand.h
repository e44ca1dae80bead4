/* errand -- what a part has asked another node, until it is answered.
 *
 * Handshakes and interleavings under way are counted here: the decisions of handshake.c depend on
 * them, and without that both sides would take too many. */
#ifndef STREAMR_DELIVERY_ERRAND_H
#define STREAMR_DELIVERY_ERRAND_H

#include "delivery/delivery.h"

typedef struct part part;

typedef enum errand_kind {
    ERRAND_HANDSHAKE,
    ERRAND_INTERLEAVE,
    ERRAND_UPDATE,
    ERRAND_PROXY,
    ERRAND_LOCK,
    ERRAND_INSPECT,
} errand_kind;

typedef struct errand errand;
/* Calls back once, then the errand is gone; it is out of the part's list already. */
typedef void (*errand_done)(errand *e, peers_result result, const envelope *answer);

struct errand {
    part *p;
    errand *next;
    errand_kind kind;
    node_id to;
    pb_bytes descriptor; /* own copy */
    int64_t since_ms;
    errand_done done;
    /* ERRAND_HANDSHAKE because of an interleaving: who stood between. */
    bool has_between;
    node_id between;
    peers_call *call; /* his request, answered when the handshake is; NULL: he did not ask */
};

/* NULL: it could not be asked (no node id in the descriptor, too much under way). */
errand *errand_start(part *p, errand_kind kind, const peers_message *m, errand_done done);
errand *errand_find(const part *p, errand_kind kind, const node_id *to);
unsigned errand_count(const part *p, errand_kind kind);
/* Without its done(). */
void errand_end(part *p, errand_kind kind, const node_id *to);
void errand_end_all(part *p);

/* Whether the node answered, and the body, opened into the part's arena. */
bool errand_open(const errand *e, peers_result result, const envelope *answer,
                 const pb_table *table, void *msg, pb_arena *arena);

#endif
