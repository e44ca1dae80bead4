/* identity -- node ids, descriptors, rings, stream parts: who is who, and how far away.
 *
 * Nothing here is authenticated by the network: anybody may claim any node id. */
#ifndef STREAMR_WIRE_IDENTITY_H
#define STREAMR_WIRE_IDENTITY_H

#include "wire/dht.h"

/* ---- Node ids ---- */

#define NODE_ID_LEN      20u
#define NODE_ID_TEXT_LEN 40u

typedef struct node_id {
    uint8_t bytes[NODE_ID_LEN];
} node_id;

/* False: not 20 bytes. */
bool node_id_of(pb_bytes bytes, node_id *out);
bool node_id_of_text(pb_bytes hex, node_id *out);
void node_id_text(const node_id *id, char out[NODE_ID_TEXT_LEN + 1]); /* NUL */
static inline bool node_id_same(const node_id *a, const node_id *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}
static inline pb_bytes node_id_bytes(const node_id *id)
{
    return (pb_bytes){id->bytes, sizeof id->bytes};
}
/* Below 0: a is nearer to target than b (XOR), above 0: b is. 0: they are the same. */
int node_id_nearer(const node_id *target, const node_id *a, const node_id *b);

/* The reference's own: 13 bytes of the address's hash, 7 of a signature by key. */
node_id node_id_from_ip(uint32_t ip, const uint8_t key[32]);
node_id node_id_random(void);
/* The 20 bytes of an Ethereum address are a node id as they are. */

/* Which of the two makes the connection when both do at once. */
bool node_id_offers(const node_id *local, const node_id *remote);

/* ---- Descriptors ---- */

/* Equality of descriptors is that of their node ids. False too when either has none. */
bool peer_same(const dht_peer *a, const dht_peer *b);
/* The node id of an encoded descriptor, without decoding the rest. */
bool peer_node_id(pb_bytes descriptor, node_id *out);

/* What a node says about itself. */
typedef struct peer_self {
    node_id id;
    dht_node_type type;
    const char *host; /* of the WebSocket server; NULL: none */
    uint32_t port;
    bool tls;
    bool has_region, has_ip, has_public_key, has_signature;
    uint32_t region, ip;
    uint8_t public_key[20], signature[65];
} peer_self;

/* The descriptor, encoded, appended to out. */
void peer_encode(const peer_self *self, sb *out);
/* What the reference signs, appended to out; absent parts are empty. */
void peer_signed_payload(const peer_self *self, sb *out);
/* A random public key and the key's signature, as the reference puts them in. */
void peer_sign(peer_self *self, const uint8_t key[32]);

/* ---- Ring ---- */

#define RING_ID_LEN 15u

typedef struct ring_id {
    uint8_t bytes[RING_ID_LEN];
} ring_id;

/* 120 bits; ordered as numbers are. */
typedef unsigned __int128 ring_distance;

ring_id ring_id_of(const node_id *id, uint32_t region, uint32_t ip); /* 0: not known */
bool ring_id_of_peer(const dht_peer *peer, ring_id *out);
/* How far it is from a to b going left, and going right. */
ring_distance ring_left(const ring_id *a, const ring_id *b);
ring_distance ring_right(const ring_id *a, const ring_id *b);

/* ---- Stream parts ---- */

/* "stream#7". False: no stream id, or no partition from 0 to 99. The id points into text. */
bool stream_part_read(pb_bytes text, pb_bytes *stream, uint32_t *partition);
void stream_part_write(pb_bytes stream, uint32_t partition, sb *out);
/* SHA-1 of the text: where in the DHT its entry points are. */
node_id stream_part_key(pb_bytes text);

#endif
