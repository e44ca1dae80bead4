/* dht -- see dht.h: the tables. */
#include "wire/dht.h"

/* A second name for rows that are there already. */
#define SAME(table, type, rows, wire_name)                                                         \
    const pb_table table = {wire_name, rows, COUNT_OF(rows), sizeof(type)}

WIRE_ROWS(dht_method) = {
    PB_FIELD(dht_method, port, 1, PB_UINT32),
    PB_FIELD(dht_method, host, 2, PB_STRING),
    PB_FIELD(dht_method, tls, 3, PB_BOOL),
};
WIRE_TABLE(dht_method, "dht.ConnectivityMethod");

WIRE_ROWS(dht_peer) = {
    PB_FIELD(dht_peer, node_id, 1, PB_BYTES),
    PB_FIELD(dht_peer, type, 2, PB_INT32),
    PB_SUB(dht_peer, udp, 3, dht_method_table),
    PB_SUB(dht_peer, tcp, 4, dht_method_table),
    PB_SUB(dht_peer, websocket, 5, dht_method_table),
    PB_OPTIONAL(dht_peer, region, 6, PB_UINT32),
    PB_OPTIONAL(dht_peer, ip, 7, PB_UINT32),
    PB_OPTIONAL(dht_peer, public_key, 8, PB_BYTES),
    PB_OPTIONAL(dht_peer, signature, 9, PB_BYTES),
};
WIRE_TABLE(dht_peer, "dht.PeerDescriptor");

/* ---- Setting up a connection ---- */

WIRE_ROWS(dht_connectivity_request) = {
    PB_FIELD(dht_connectivity_request, port, 1, PB_UINT32),
    PB_FIELD(dht_connectivity_request, tls, 2, PB_BOOL),
    PB_OPTIONAL(dht_connectivity_request, host, 3, PB_STRING),
    PB_FIELD(dht_connectivity_request, allow_self_signed, 4, PB_BOOL),
};
WIRE_TABLE(dht_connectivity_request, "dht.ConnectivityRequest");

WIRE_ROWS(dht_connectivity_response) = {
    PB_FIELD(dht_connectivity_response, host, 1, PB_STRING),
    PB_FIELD(dht_connectivity_response, nat_type, 2, PB_STRING),
    PB_SUB(dht_connectivity_response, websocket, 3, dht_method_table),
    PB_FIELD(dht_connectivity_response, ip, 4, PB_UINT32),
    PB_FIELD(dht_connectivity_response, protocol_version, 5, PB_STRING),
    PB_OPTIONAL(dht_connectivity_response, latitude, 6, PB_DOUBLE),
    PB_OPTIONAL(dht_connectivity_response, longitude, 7, PB_DOUBLE),
};
WIRE_TABLE(dht_connectivity_response, "dht.ConnectivityResponse");

WIRE_ROWS(dht_handshake_request) = {
    PB_SUB(dht_handshake_request, source, 1, dht_peer_table),
    PB_SUB(dht_handshake_request, target, 2, dht_peer_table),
    PB_FIELD(dht_handshake_request, protocol_version, 3, PB_STRING),
    PB_FIELD(dht_handshake_request, application_version, 4, PB_STRING),
};
WIRE_TABLE(dht_handshake_request, "dht.HandshakeRequest");

WIRE_ROWS(dht_handshake_response) = {
    PB_SUB(dht_handshake_response, source, 1, dht_peer_table),
    PB_OPTIONAL(dht_handshake_response, error, 2, PB_INT32),
    PB_FIELD(dht_handshake_response, protocol_version, 3, PB_STRING),
    PB_FIELD(dht_handshake_response, application_version, 4, PB_STRING),
};
WIRE_TABLE(dht_handshake_response, "dht.HandshakeResponse");

/* ---- Keeping one ---- */

WIRE_ROWS(dht_lock) = {
    PB_FIELD(dht_lock, lock_id, 1, PB_STRING),
};
SAME(dht_lock_request_table, dht_lock, dht_lock_rows, "dht.LockRequest");
SAME(dht_unlock_request_table, dht_lock, dht_lock_rows, "dht.UnlockRequest");

WIRE_ROWS(dht_lock_response) = {
    PB_FIELD(dht_lock_response, accepted, 1, PB_BOOL),
};
WIRE_TABLE(dht_lock_response, "dht.LockResponse");

WIRE_ROWS(dht_disconnect_notice) = {
    PB_FIELD(dht_disconnect_notice, mode, 1, PB_INT32),
};
WIRE_TABLE(dht_disconnect_notice, "dht.DisconnectNotice");

WIRE_ROWS(dht_set_private) = {
    PB_FIELD(dht_set_private, is_private, 1, PB_BOOL),
};
WIRE_TABLE(dht_set_private, "dht.SetPrivateRequest");

/* ---- Contacts ---- */

WIRE_ROWS(dht_closest_request) = {
    PB_FIELD(dht_closest_request, node_id, 1, PB_BYTES),
    PB_FIELD(dht_closest_request, request_id, 2, PB_STRING),
};
WIRE_TABLE(dht_closest_request, "dht.ClosestPeersRequest");

WIRE_ROWS(dht_closest_response) = {
    PB_REPEATED_SUB(dht_closest_response, peers, 1, dht_peer_table),
    PB_FIELD(dht_closest_response, request_id, 2, PB_STRING),
};
WIRE_TABLE(dht_closest_response, "dht.ClosestPeersResponse");

WIRE_ROWS(dht_ring_request) = {
    PB_FIELD(dht_ring_request, ring_id, 1, PB_BYTES),
    PB_FIELD(dht_ring_request, request_id, 2, PB_STRING),
};
WIRE_TABLE(dht_ring_request, "dht.ClosestRingPeersRequest");

WIRE_ROWS(dht_ring_response) = {
    PB_REPEATED_SUB(dht_ring_response, left, 1, dht_peer_table),
    PB_REPEATED_SUB(dht_ring_response, right, 2, dht_peer_table),
    PB_FIELD(dht_ring_response, request_id, 3, PB_STRING),
};
WIRE_TABLE(dht_ring_response, "dht.ClosestRingPeersResponse");

WIRE_ROWS(dht_ping) = {
    PB_FIELD(dht_ping, request_id, 1, PB_STRING),
};
SAME(dht_ping_request_table, dht_ping, dht_ping_rows, "dht.PingRequest");
SAME(dht_ping_response_table, dht_ping, dht_ping_rows, "dht.PingResponse");

WIRE_EMPTY(dht_leave_notice, "dht.LeaveNotice");

/* ---- Routing ---- */

WIRE_ROWS(dht_recursive_request) = {
    PB_FIELD(dht_recursive_request, session_id, 1, PB_STRING),
    PB_FIELD(dht_recursive_request, operation, 2, PB_INT32),
};
WIRE_TABLE(dht_recursive_request, "dht.RecursiveOperationRequest");

#define BODY(member, number, table) PB_ONEOF_SUB(dht_message, member, which, number, table)
WIRE_ROWS(dht_message) = {
    PB_FIELD(dht_message, message_id, 1, PB_STRING),
    PB_SUB(dht_message, source, 2, dht_peer_table),
    PB_SUB(dht_message, target, 3, dht_peer_table),
    PB_FIELD(dht_message, service, 4, PB_STRING),
    BODY(rpc, 5, rpc_message_table),
    BODY(connectivity_request, 6, dht_connectivity_request_table),
    BODY(connectivity_response, 7, dht_connectivity_response_table),
    BODY(handshake_request, 8, dht_handshake_request_table),
    BODY(handshake_response, 9, dht_handshake_response_table),
    BODY(recursive_request, 10, dht_recursive_request_table),
};
WIRE_TABLE(dht_message, "dht.Message");

WIRE_ROWS(dht_route) = {
    PB_FIELD(dht_route, request_id, 1, PB_STRING),
    PB_SUB(dht_route, source, 2, dht_peer_table),
    PB_FIELD(dht_route, target, 3, PB_BYTES),
    PB_OPTIONAL(dht_route, message, 4, PB_BYTES), /* a message travels as bytes do */
    PB_REPEATED_SUB(dht_route, reachable_through, 5, dht_peer_table),
    PB_REPEATED_SUB(dht_route, routing_path, 6, dht_peer_table),
    PB_REPEATED(dht_route, parallel_roots, 7, PB_STRING),
};
WIRE_TABLE(dht_route, "dht.RouteMessageWrapper");

WIRE_ROWS(dht_route_ack) = {
    PB_FIELD(dht_route_ack, request_id, 1, PB_STRING),
    PB_OPTIONAL(dht_route_ack, error, 2, PB_INT32),
};
WIRE_TABLE(dht_route_ack, "dht.RouteMessageAck");

WIRE_ROWS(dht_recursive_response) = {
    PB_REPEATED_SUB(dht_recursive_response, closest, 1, dht_peer_table),
    PB_REPEATED_SUB(dht_recursive_response, entries, 2, dht_entry_table),
    PB_FIELD(dht_recursive_response, no_closer, 3, PB_BOOL),
    PB_REPEATED_SUB(dht_recursive_response, routing_path, 4, dht_peer_table),
};
WIRE_TABLE(dht_recursive_response, "dht.RecursiveOperationResponse");

/* ---- Data ---- */

WIRE_ROWS(dht_entry) = {
    PB_FIELD(dht_entry, key, 1, PB_BYTES),
    PB_SUB(dht_entry, data, 2, rpc_any_table),
    PB_FIELD(dht_entry, creator, 3, PB_BYTES),
    PB_SUB(dht_entry, created, 4, rpc_timestamp_table),
    PB_SUB(dht_entry, stored, 5, rpc_timestamp_table),
    PB_FIELD(dht_entry, ttl_ms, 6, PB_UINT32),
    PB_FIELD(dht_entry, stale, 7, PB_BOOL),
    PB_FIELD(dht_entry, deleted, 8, PB_BOOL),
};
WIRE_TABLE(dht_entry, "dht.DataEntry");

WIRE_ROWS(dht_store_request) = {
    PB_FIELD(dht_store_request, key, 1, PB_BYTES),
    PB_SUB(dht_store_request, data, 2, rpc_any_table),
    PB_FIELD(dht_store_request, creator, 3, PB_BYTES),
    PB_SUB(dht_store_request, created, 4, rpc_timestamp_table),
    PB_FIELD(dht_store_request, ttl_ms, 5, PB_UINT32),
};
WIRE_TABLE(dht_store_request, "dht.StoreDataRequest");
WIRE_EMPTY(dht_store_response, "dht.StoreDataResponse");

WIRE_ROWS(dht_replicate_request) = {
    PB_SUB(dht_replicate_request, entry, 1, dht_entry_table),
};
WIRE_TABLE(dht_replicate_request, "dht.ReplicateDataRequest");

WIRE_ROWS(dht_fetch_request) = {
    PB_FIELD(dht_fetch_request, key, 1, PB_BYTES),
};
WIRE_TABLE(dht_fetch_request, "dht.ExternalFetchDataRequest");

WIRE_ROWS(dht_fetch_response) = {
    PB_REPEATED_SUB(dht_fetch_response, entries, 1, dht_entry_table),
};
WIRE_TABLE(dht_fetch_response, "dht.ExternalFetchDataResponse");

WIRE_ROWS(dht_external_store_request) = {
    PB_FIELD(dht_external_store_request, key, 1, PB_BYTES),
    PB_SUB(dht_external_store_request, data, 2, rpc_any_table),
};
WIRE_TABLE(dht_external_store_request, "dht.ExternalStoreDataRequest");

WIRE_ROWS(dht_peers) = {
    PB_REPEATED_SUB(dht_peers, peers, 1, dht_peer_table),
};
SAME(dht_external_store_response_table, dht_peers, dht_peers_rows, "dht.ExternalStoreDataResponse");
SAME(dht_find_response_table, dht_peers, dht_peers_rows, "dht.ExternalFindClosestNodesResponse");

WIRE_ROWS(dht_find_request) = {
    PB_FIELD(dht_find_request, node_id, 1, PB_BYTES),
};
WIRE_TABLE(dht_find_request, "dht.ExternalFindClosestNodesRequest");

/* ---- Connectors ---- */

WIRE_EMPTY(dht_websocket_connection, "dht.WebsocketConnectionRequest");
WIRE_EMPTY(dht_webrtc_connection, "dht.WebrtcConnectionRequest");

WIRE_ROWS(dht_rtc_description) = {
    PB_FIELD(dht_rtc_description, description, 1, PB_STRING),
    PB_FIELD(dht_rtc_description, connection_id, 2, PB_STRING),
};
SAME(dht_rtc_offer_table, dht_rtc_description, dht_rtc_description_rows, "dht.RtcOffer");
SAME(dht_rtc_answer_table, dht_rtc_description, dht_rtc_description_rows, "dht.RtcAnswer");

WIRE_ROWS(dht_ice_candidate) = {
    PB_FIELD(dht_ice_candidate, candidate, 1, PB_STRING),
    PB_FIELD(dht_ice_candidate, mid, 2, PB_STRING),
    PB_FIELD(dht_ice_candidate, connection_id, 3, PB_STRING),
};
WIRE_TABLE(dht_ice_candidate, "dht.IceCandidate");
