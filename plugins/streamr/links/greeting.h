/* greeting -- the handshake of a connection (spec 4.3): what two nodes say to each other first,
 * read, judged and written.
 *
 * Pure: no sockets, no clock. [any] */
#ifndef STREAMR_LINKS_GREETING_H
#define STREAMR_LINKS_GREETING_H

#include "wire/envelope.h"
#include "wire/identity.h"

#define GREETING_VERSION     "1.1"
#define GREETING_APPLICATION "103.3.1"

/* Of a descriptor; the network's have about 160 bytes. */
#define DESCRIPTOR_MAX 1024u

/* A request or a response; what points, points into the frame. */
typedef struct greeting {
    node_id id;          /* who says it */
    pb_bytes descriptor; /* its own, encoded */
    bool has_target;
    node_id target; /* whom it means */
    bool version_ok;
    bool has_error;
    int32_t error; /* dht_handshake_error */
} greeting;

/* NULL, or why it is none, a constant sentence. */
const char *greeting_read(const envelope *e, greeting *out);

/* "a.b" with a of at least 1. */
bool greeting_version_ok(pb_bytes version);

/* What a server knows of the node that asks. */
typedef struct greeting_known {
    node_id self;
    bool linked; /* there is a connection to it, open or being made by us */
} greeting_known;

typedef enum greeting_verdict {
    GREETING_REFUSE_DUPLICATE = DHT_DUPLICATE_CONNECTION,
    GREETING_REFUSE_TARGET = DHT_INVALID_TARGET,
    GREETING_REFUSE_VERSION = DHT_UNSUPPORTED_VERSION,
    GREETING_ACCEPT,
    GREETING_REPLACE, /* accept; the connection there was is closed */
    GREETING_CLOSE,   /* it says it is this node: no answer */
} greeting_verdict;
greeting_verdict greeting_judge(const greeting *h, const greeting_known *known);

/* Frames. target may be empty. */
void greeting_ask(pb_bytes self, pb_bytes target, const char *application, uuid_source *ids,
                  sb *out);
/* verdict: how the request was judged, not GREETING_CLOSE. */
void greeting_answer(pb_bytes self, greeting_verdict verdict, const char *application,
                     uuid_source *ids, sb *out);

#endif
