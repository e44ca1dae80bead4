/* glance -- what a node reads of a StreamMessage to pass it on: which message it is, and for whom.
 *
 * The rest (content, signature, whether it makes sense) is the reader's affair; the bytes travel as
 * they are. Nothing is copied: all points into the message. */
#ifndef STREAMR_DELIVERY_GLANCE_H
#define STREAMR_DELIVERY_GLANCE_H

#include "wire/gaps.h"

/* The field numbers of StreamMessage.body. */
typedef enum glance_body {
    GLANCE_CONTENT = 5,
    GLANCE_KEY_REQUEST = 6,
    GLANCE_KEY_RESPONSE = 7,
} glance_body;

typedef struct glance {
    pb_bytes stream, publisher, chain;
    uint32_t partition;
    gaps_number number, previous;
    bool has_previous;
    glance_body body;
    pb_bytes recipient; /* of a key request; else empty */
} glance;

/* NULL, or why it is no message, a constant sentence. As in all of wire/, a field given twice is
 * refused, so that no two nodes read two messages into one. */
const char *glance_read(pb_bytes message, glance *out);

#endif
