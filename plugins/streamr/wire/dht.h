/* dht -- the messages of DhtRpc (package dht).
 *
 * What the specification calls optional is given when pb_has() says so: 0 is a value.
 * Sub-messages are pointers, absent when NULL. */
#ifndef STREAMR_WIRE_DHT_H
#define STREAMR_WIRE_DHT_H

#include "wire/rpc.h"

typedef enum dht_node_type { DHT_NODEJS = 0, DHT_BROWSER = 1 } dht_node_type;
typedef enum dht_handshake_error {
    DHT_DUPLICATE_CONNECTION = 0,
    DHT_INVALID_TARGET = 1,
    DHT_UNSUPPORTED_VERSION = 2,
} dht_handshake_error;
typedef enum dht_route_error {
    DHT_ROUTE_NO_TARGETS = 0,
    DHT_ROUTE_DUPLICATE = 1,
    DHT_ROUTE_STOPPED = 2,
} dht_route_error;
typedef enum dht_operation {
    DHT_FIND_CLOSEST_NODES = 0,
    DHT_FETCH_DATA = 1,
    DHT_DELETE_DATA = 2,
} dht_operation;
typedef enum dht_disconnect {
    DHT_DISCONNECT_NORMAL = 0,
    DHT_DISCONNECT_LEAVING = 1
} dht_disconnect;

/* ---- Who and where ---- */

typedef struct dht_method { /* ConnectivityMethod */
    pb_head head;
    uint32_t port;
    pb_bytes host;
    bool tls;
} dht_method;

typedef struct dht_peer { /* PeerDescriptor */
    pb_head head;
    pb_bytes node_id;
    int32_t type; /* dht_node_type */
    dht_method *udp, *tcp, *websocket;
    uint32_t region;     /* optional 6 */
    uint32_t ip;         /* optional 7, ipAddress */
    pb_bytes public_key; /* optional 8 */
    pb_bytes signature;  /* optional 9 */
} dht_peer;

/* ---- Setting up a connection ---- */

typedef struct dht_connectivity_request {
    pb_head head;
    uint32_t port;
    bool tls;
    pb_bytes host; /* optional 3 */
    bool allow_self_signed;
} dht_connectivity_request;

typedef struct dht_connectivity_response {
    pb_head head;
    pb_bytes host;
    pb_bytes nat_type;
    dht_method *websocket;
    uint32_t ip;
    pb_bytes protocol_version;
    double latitude;  /* optional 6 */
    double longitude; /* optional 7 */
} dht_connectivity_response;

typedef struct dht_handshake_request {
    pb_head head;
    dht_peer *source, *target;
    pb_bytes protocol_version, application_version;
} dht_handshake_request;

typedef struct dht_handshake_response {
    pb_head head;
    dht_peer *source;
    int32_t error; /* optional 2, dht_handshake_error */
    pb_bytes protocol_version, application_version;
} dht_handshake_response;

/* ---- Keeping one ---- */

typedef struct dht_lock { /* LockRequest, UnlockRequest */
    pb_head head;
    pb_bytes lock_id;
} dht_lock;

typedef struct dht_lock_response {
    pb_head head;
    bool accepted;
} dht_lock_response;

typedef struct dht_disconnect_notice {
    pb_head head;
    int32_t mode; /* dht_disconnect */
} dht_disconnect_notice;

typedef struct dht_set_private {
    pb_head head;
    bool is_private;
} dht_set_private;

/* ---- Contacts ---- */

typedef struct dht_closest_request {
    pb_head head;
    pb_bytes node_id;
    pb_bytes request_id;
} dht_closest_request;

typedef struct dht_closest_response {
    pb_head head;
    pb_list peers; /* dht_peer * */
    pb_bytes request_id;
} dht_closest_response;

typedef struct dht_ring_request {
    pb_head head;
    pb_bytes ring_id;
    pb_bytes request_id;
} dht_ring_request;

typedef struct dht_ring_response {
    pb_head head;
    pb_list left, right; /* dht_peer * */
    pb_bytes request_id;
} dht_ring_response;

typedef struct dht_ping { /* PingRequest, PingResponse */
    pb_head head;
    pb_bytes request_id;
} dht_ping;

/* ---- Routing ---- */

typedef struct dht_recursive_request {
    pb_head head;
    pb_bytes session_id;
    int32_t operation; /* dht_operation */
} dht_recursive_request;

typedef struct dht_message { /* a frame, whole; see envelope.h for the quick way */
    pb_head head;
    pb_bytes message_id;
    dht_peer *source, *target;
    pb_bytes service;
    uint32_t which; /* of the body: 5..10, 0 none */
    rpc_message *rpc;
    dht_connectivity_request *connectivity_request;
    dht_connectivity_response *connectivity_response;
    dht_handshake_request *handshake_request;
    dht_handshake_response *handshake_response;
    dht_recursive_request *recursive_request;
} dht_message;

typedef struct dht_route { /* RouteMessageWrapper */
    pb_head head;
    pb_bytes request_id;
    dht_peer *source;
    pb_bytes target;
    /* optional 4. The Message as it travelled, for envelope_read(): a router passes it on
     * without opening it. */
    pb_bytes message;
    pb_list reachable_through; /* dht_peer * */
    pb_list routing_path;      /* dht_peer * */
    pb_list parallel_roots;    /* pb_bytes: node ids in hex */
} dht_route;

typedef struct dht_route_ack {
    pb_head head;
    pb_bytes request_id;
    int32_t error; /* optional 2, dht_route_error */
} dht_route_ack;

typedef struct dht_recursive_response {
    pb_head head;
    pb_list closest; /* dht_peer * */
    pb_list entries; /* dht_entry * */
    bool no_closer;
    pb_list routing_path; /* dht_peer * */
} dht_recursive_response;

/* ---- Data ---- */

typedef struct dht_entry { /* DataEntry */
    pb_head head;
    pb_bytes key;
    rpc_any *data;
    pb_bytes creator;
    rpc_timestamp *created, *stored;
    uint32_t ttl_ms;
    bool stale, deleted;
} dht_entry;

typedef struct dht_store_request {
    pb_head head;
    pb_bytes key;
    rpc_any *data;
    pb_bytes creator;
    rpc_timestamp *created;
    uint32_t ttl_ms;
} dht_store_request;

typedef struct dht_replicate_request {
    pb_head head;
    dht_entry *entry;
} dht_replicate_request;

typedef struct dht_fetch_request { /* ExternalFetchDataRequest */
    pb_head head;
    pb_bytes key;
} dht_fetch_request;

typedef struct dht_fetch_response {
    pb_head head;
    pb_list entries; /* dht_entry * */
} dht_fetch_response;

typedef struct dht_external_store_request {
    pb_head head;
    pb_bytes key;
    rpc_any *data;
} dht_external_store_request;

/* ExternalStoreDataResponse, ExternalFindClosestNodesResponse */
typedef struct dht_peers {
    pb_head head;
    pb_list peers; /* dht_peer * */
} dht_peers;

typedef struct dht_find_request { /* ExternalFindClosestNodesRequest */
    pb_head head;
    pb_bytes node_id;
} dht_find_request;

/* ---- WebRTC, which this node declines ---- */

typedef struct dht_rtc_description { /* RtcOffer, RtcAnswer */
    pb_head head;
    pb_bytes description;
    pb_bytes connection_id;
} dht_rtc_description;

typedef struct dht_ice_candidate {
    pb_head head;
    pb_bytes candidate;
    pb_bytes mid;
    pb_bytes connection_id;
} dht_ice_candidate;

/* Where two messages have the same fields they share a struct, not a table: the names differ. */
extern const pb_table dht_method_table, dht_peer_table, dht_message_table;
extern const pb_table dht_connectivity_request_table, dht_connectivity_response_table;
extern const pb_table dht_handshake_request_table, dht_handshake_response_table;
extern const pb_table dht_lock_request_table, dht_unlock_request_table; /* dht_lock */
extern const pb_table dht_lock_response_table, dht_disconnect_notice_table, dht_set_private_table;
extern const pb_table dht_closest_request_table, dht_closest_response_table;
extern const pb_table dht_ring_request_table, dht_ring_response_table;
extern const pb_table dht_ping_request_table, dht_ping_response_table; /* dht_ping */
extern const pb_table dht_leave_notice_table;                          /* wire_empty */
extern const pb_table dht_route_table, dht_route_ack_table;
extern const pb_table dht_recursive_request_table, dht_recursive_response_table;
extern const pb_table dht_entry_table, dht_store_request_table;
extern const pb_table dht_store_response_table; /* wire_empty */
extern const pb_table dht_replicate_request_table;
extern const pb_table dht_fetch_request_table, dht_fetch_response_table;
extern const pb_table dht_external_store_request_table;
extern const pb_table dht_external_store_response_table; /* dht_peers */
extern const pb_table dht_find_request_table;
extern const pb_table dht_find_response_table;                                     /* dht_peers */
extern const pb_table dht_websocket_connection_table, dht_webrtc_connection_table; /* wire_empty */
extern const pb_table dht_rtc_offer_table, dht_rtc_answer_table; /* dht_rtc_description */
extern const pb_table dht_ice_candidate_table;

#endif
