/* envelope -- one frame: a dht.Message, read and written by hand.
 *
 * Reading copies and allocates nothing, everything points into the frame; writing is
 * envelope_size(), memory for that much, envelope_put(). What is inside (a body, a
 * descriptor) stays bytes: envelope_open() decodes it by its table, envelope_seal() is the
 * other way. Written frames are byte for byte those of the reference.
 *
 * Stricter than the format: a field given twice is refused where protobuf would merge the
 * two (no encoder writes that), so that nobody can read two frames into one. */
#ifndef STREAMR_WIRE_ENVELOPE_H
#define STREAMR_WIRE_ENVELOPE_H

#include "wire/rpc.h"
#include "wire/uuid.h"

/* Of a frame; what is larger is not sent and not read. */
#define ENVELOPE_MAX (1024u * 1024u)

typedef enum envelope_kind { /* numbers from 6: the field of dht.Message */
                             ENVELOPE_REQUEST,
                             ENVELOPE_NOTIFICATION,
                             ENVELOPE_RESPONSE,
                             ENVELOPE_ERROR,
                             ENVELOPE_CONNECTIVITY_REQUEST = 6,
                             ENVELOPE_CONNECTIVITY_RESPONSE = 7,
                             ENVELOPE_HANDSHAKE_REQUEST = 8,
                             ENVELOPE_HANDSHAKE_RESPONSE = 9,
                             ENVELOPE_RECURSIVE_REQUEST = 10,
} envelope_kind;

/* Absent is ptr NULL, empty is len 0. */
typedef struct envelope {
    envelope_kind kind;
    pb_bytes message_id, service;
    pb_bytes source, target; /* PeerDescriptor, encoded; may be absent */
    pb_bytes body;           /* the encoded message inside */

    /* Kinds below 6 only. */
    pb_bytes method, request_id;
    pb_bytes type; /* of the body, package and name, no prefix; absent: no body */

    /* ENVELOPE_ERROR only. */
    int32_t error_type; /* rpc_error */
    pb_bytes error_class, error_code, error_text;
} envelope;

/* NULL, or why the bytes are no frame, a constant sentence. */
const char *envelope_read(const void *bytes, size_t len, envelope *out);

size_t envelope_size(const envelope *e);
/* envelope_size() bytes at p; returns their end. */
uint8_t *envelope_put(const envelope *e, uint8_t *p);
/* Both at once, for what is not sent often. */
void envelope_append(const envelope *e, sb *out);

/* The body as its table says; NULL, or why not. The type of a request must be checked before:
 * envelope_is(). That of a response counts for nothing in the network. */
const char *envelope_open(const envelope *e, const pb_table *table, void *msg, pb_arena *arena);
static inline bool envelope_is(const envelope *e, const pb_table *table)
{
    return pb_bytes_are(e->type, table->name);
}
/* Encode msg as the body: appended to store, which must outlive the envelope and not grow
 * before it is written. False: nested too deeply. */
bool envelope_seal(envelope *e, const pb_table *table, const void *msg, sb *store);

/* The answer's addresses, method and request id: those of the request, turned round; self is
 * the own descriptor. message_id, body and type are left to the caller. */
envelope envelope_answer(const envelope *request, pb_bytes self);

/* ---- One message to many neighbours ---- */

/* A notification of which every copy has another target and other ids. What is the same in
 * all is encoded once, but for the body: that is copied straight from where it lies into
 * each frame, once. */
typedef struct envelope_fan {
    sb front;      /* source */
    sb middle;     /* service up to the body's bytes */
    pb_bytes body; /* the caller's; must outlive the frames' making */
} envelope_fan;

/* kind must be ENVELOPE_NOTIFICATION; target, message_id and request_id are not looked at.
 * An empty fan or one of before may be given: its memory is used again. */
void envelope_fan_init(envelope_fan *fan, const envelope *common);
void envelope_fan_done(envelope_fan *fan);
size_t envelope_fan_size(const envelope_fan *fan, pb_bytes target);
/* The frame for one target, with fresh ids; returns its end. */
uint8_t *envelope_fan_put(const envelope_fan *fan, pb_bytes target, uuid_source *ids, uint8_t *p);

#endif
