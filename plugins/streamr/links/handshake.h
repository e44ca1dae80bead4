/* handshake -- what two nodes say to each other first (spec 4.3), read, judged and written.
 *
 * Pure: no sockets, no clock. [any] */
#ifndef STREAMR_LINKS_HANDSHAKE_H
#define STREAMR_LINKS_HANDSHAKE_H

#include "wire/envelope.h"
#include "wire/identity.h"

#define HANDSHAKE_VERSION     "1.1"
#define HANDSHAKE_APPLICATION "103.3.1"

/* Of a descriptor; the network's have about 160 bytes. */
#define DESCRIPTOR_MAX 1024u

/* A request or a response; what points, points into the frame. */
typedef struct handshake {
    node_id id;          /* who says it */
    pb_bytes descriptor; /* its own, encoded */
    bool has_target;
    node_id target; /* whom it means */
    bool version_ok;
    bool has_error;
    int32_t error; /* dht_handshake_error */
} handshake;

/* NULL, or why it is none, a constant sentence. */
const char *handshake_read(const envelope *e, handshake *out);

/* "a.b" with a of at least 1. */
bool handshake_version_ok(pb_bytes version);

/* What a server knows of the node that asks. */
typedef struct handshake_known {
    node_id self;
    bool linked; /* there is a connection to it, open or being made by us */
} handshake_known;

typedef enum handshake_verdict {
    HANDSHAKE_REFUSE_DUPLICATE = DHT_DUPLICATE_CONNECTION,
    HANDSHAKE_REFUSE_TARGET = DHT_INVALID_TARGET,
    HANDSHAKE_REFUSE_VERSION = DHT_UNSUPPORTED_VERSION,
    HANDSHAKE_ACCEPT,
    HANDSHAKE_REPLACE, /* accept; the connection there was is closed */
    HANDSHAKE_CLOSE,   /* it says it is this node: no answer */
} handshake_verdict;
handshake_verdict handshake_judge(const handshake *h, const handshake_known *known);

/* Frames. target may be empty. */
void handshake_ask(pb_bytes self, pb_bytes target, const char *application, uuid_source *ids,
                   sb *out);
/* verdict: how the request was judged, not HANDSHAKE_CLOSE. */
void handshake_answer(pb_bytes self, handshake_verdict verdict, const char *application,
                      uuid_source *ids, sb *out);

#endif
