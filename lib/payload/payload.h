/* payload -- what clients of the streams send and get as JSON text: the rules of the Streamr
 * node's http, websocket and mqtt plugins.
 *
 * A content is one JSON object and travels byte for byte: it is checked and cut out of its
 * wrapper, never parsed into a tree, never written anew. Functions are [any] thread, keep no
 * state, never log. */
#ifndef PAYLOAD_PAYLOAD_H
#define PAYLOAD_PAYLOAD_H

#include "base/base.h"

#include <broker/plugin.h>

/* ---- In ---- */

typedef struct payload {
    broker_str content;   /* one JSON object; lies in the text that was read */
    int64_t timestamp_ms; /* of the wrapper's metadata; 0: now               */
} payload;

/* Read what a client published. wrapped: {"content":{...},"metadata":{"timestamp":...}}, where
 * metadata and what is in it may be missing (option `payloadMetadata`). False: a sentence for
 * the client in *why. */
bool payload_read(broker_str text, bool wrapped, payload *out, sb *why);

/* Where the value of one field sends a content that payload_read() took (option
 * `partitionKeyField`): a text is a partition key, appended to *key with *partition
 * BROKER_ALL_PARTITIONS; a whole number is taken modulo `partitions` (bus->partitions(); 0: not
 * known); without the field there is no key. False: it is something else, *why. */
bool payload_route(broker_str content, broker_str field, uint32_t partitions, uint32_t *partition,
                   sb *key, sb *why);

/* ---- Out ---- */

typedef enum payload_fate {
    PAYLOAD_WRITTEN,
    PAYLOAD_ENCRYPTED,  /* nobody here has the group key                     */
    PAYLOAD_NOT_OBJECT, /* JSON, but no object: clients never get these      */
    PAYLOAD_NOT_CONTENT /* key exchange: not for clients                     */
} payload_fate;

/* What a subscriber gets for a message, appended to out: a JSON object as it was sent, binary
 * content as an object with index keys ({"0":1,"1":255}). Nothing is appended for another fate. */
payload_fate payload_write(const broker_msg *msg, bool wrapped, sb *out);

/* The identity of a message as a JSON array, appended to out: [streamId, partition, timestamp,
 * sequence, publisher, chain]. */
void payload_message_id(const broker_msg *msg, sb *out);

#endif
