/* streamr -- messages of the Streamr protocol: v103 protobuf and v32 JSON,
 * signatures, identifiers. (Streamr "StreamMessage", NetworkRpc protobuf.)
 *
 * The model is `broker_msg`. Functions are [any] thread, keep no state, never
 * log. A decoded message points into the bytes it was decoded from. */
#ifndef STREAMR_STREAMR_H
#define STREAMR_STREAMR_H

#include "base/base.h"

#include <broker/plugin.h>

/* Limits of what is accepted. */
#define STREAMR_MESSAGE_MAX   (1024u * 1024u) /* bytes of one protobuf message */
#define STREAMR_STREAM_ID_MAX 1024u
#define STREAMR_CHAIN_ID_MAX  1024u
#define STREAMR_PARTITIONS    100u

/* ---- Codec ---- */

/* Read one v103 StreamMessage. Fills *out (size, all fields, raw = the given
 * bytes, flags without VERIFIED) and returns NULL; or returns why not, a
 * constant sentence. Checks the structure as the SDK does: partition 0..99,
 * sequence and timestamp not negative, previous reference strictly smaller,
 * AES needs a group key id, a body is present, strings are UTF-8, no field
 * that contradicts another. Any field order and unknown fields are accepted.
 * No allocation. */
const char *streamr_decode(const void *bytes, size_t len, broker_msg *out);

/* Protobuf of *msg as the SDK's encoder writes it, appended to out. Ignores raw. */
void streamr_encode(const broker_msg *msg, sb *out);

/* Read the v32 JSON array (streamr-client 8, signature type legacy). Decoded
 * strings and bytes are put into *store, which must outlive the message. raw is
 * left empty. NULL, or why not. */
const char *streamr_json_decode(const char *text, size_t len, sb *store, broker_msg *out);
/* The v32 JSON array, as streamr-client-protocol writes it; false when the
 * message has no such form (binary content, signature types 2, 3, 4). */
bool streamr_json_encode(const broker_msg *msg, sb *out);

/* ---- Signatures ---- */

typedef enum streamr_check {
    STREAMR_VALID,
    STREAMR_INVALID,      /* the signature is not the publisher's            */
    STREAMR_UNVERIFIABLE, /* ERC-1271: only its chain can say                 */
} streamr_check;

/* Whether the publisher signed it; *why is a constant sentence when not valid. */
streamr_check streamr_verify(const broker_msg *msg, const char **why);

/* The bytes that are signed, appended to out; for SHOWING and for tests (verify
 * hashes the pieces without joining them). */
void streamr_signed_payload(const broker_msg *msg, sb *out);

/* Whether two messages with one identity carry the same signed payload. */
bool streamr_same_payload(const broker_msg *a, const broker_msg *b);
/* Same (stream, partition, timestamp, sequence, publisher, chain). */
bool streamr_same_identity(const broker_msg *a, const broker_msg *b);

/* Sign as type SECP256K1 with a valid private key; sets msg->signature to point at
 * sig. publisher must be the key's address already. */
void streamr_sign(broker_msg *msg, const uint8_t key[32], uint8_t sig[65]);

/* ---- Identifiers ---- */

/* NULL, or why this is no stream id ("<address or ENS name>/<path>"). */
const char *streamr_stream_id_check(const char *id, size_t len);
/* The id with its domain in lower case, appended to out. */
void streamr_stream_id_normalise(const char *id, size_t len, sb *out);
/* The address part, when the domain is an address and not a name. */
bool streamr_stream_owner(const char *id, size_t len, uint8_t owner[20]);
/* Whether id matches pattern, in which '*' stands for any text. */
bool streamr_stream_matches(const char *pattern, size_t pattern_len, const char *id, size_t len);
/* The SDK's keyToArrayIndex with a string key: which of n partitions a key goes to. */
uint32_t streamr_key_partition(uint32_t n, const char *key, size_t len);

/* Whether the bytes are one valid JSON value (RFC 8259), in one pass, no tree. */
bool streamr_json_valid(const void *bytes, size_t len);
/* NULL when they are; else what is wrong, a constant text, and at which byte. */
const char *streamr_json_fault(const void *bytes, size_t len, size_t *at);

#endif
