/* network -- see network.h: the tables. */
#include "wire/network.h"

WIRE_ROWS(network_handshake_request) = {
    PB_FIELD(network_handshake_request, stream_part, 1, PB_STRING),
    PB_FIELD(network_handshake_request, request_id, 2, PB_STRING),
    PB_OPTIONAL(network_handshake_request, concurrent_node, 3, PB_BYTES),
    PB_REPEATED(network_handshake_request, neighbors, 4, PB_BYTES),
    PB_OPTIONAL(network_handshake_request, interleave_node, 5, PB_BYTES),
};
WIRE_TABLE(network_handshake_request, "StreamPartHandshakeRequest");

WIRE_ROWS(network_handshake_response) = {
    PB_FIELD(network_handshake_response, accepted, 1, PB_BOOL),
    PB_FIELD(network_handshake_response, request_id, 2, PB_STRING),
    PB_SUB(network_handshake_response, interleave_target, 3, dht_peer_table),
};
WIRE_TABLE(network_handshake_response, "StreamPartHandshakeResponse");

WIRE_ROWS(network_interleave_request) = {
    PB_SUB(network_interleave_request, interleave_target, 1, dht_peer_table),
};
WIRE_TABLE(network_interleave_request, "InterleaveRequest");

WIRE_ROWS(network_accepted) = {
    PB_FIELD(network_accepted, accepted, 1, PB_BOOL),
};
#define ACCEPTED(table, wire_name)                                                                 \
    const pb_table table = {wire_name, network_accepted_rows, COUNT_OF(network_accepted_rows),     \
                            sizeof(network_accepted)}
ACCEPTED(network_interleave_response_table, "InterleaveResponse");
ACCEPTED(network_proxy_response_table, "ProxyConnectionResponse");
ACCEPTED(network_temporary_response_table, "TemporaryConnectionResponse");
ACCEPTED(network_pause_response_table, "PauseNeighborResponse");

WIRE_ROWS(network_leave) = {
    PB_FIELD(network_leave, stream_part, 1, PB_STRING),
    PB_FIELD(network_leave, is_entry_point, 2, PB_BOOL),
};
WIRE_TABLE(network_leave, "LeaveStreamPartNotice");

WIRE_ROWS(network_neighbor_update) = {
    PB_FIELD(network_neighbor_update, stream_part, 1, PB_STRING),
    PB_FIELD(network_neighbor_update, remove_me, 2, PB_BOOL),
    PB_REPEATED_SUB(network_neighbor_update, neighbors, 3, dht_peer_table),
};
WIRE_TABLE(network_neighbor_update, "NeighborUpdate");

WIRE_ROWS(network_proxy_request) = {
    PB_OPTIONAL(network_proxy_request, direction, 1, PB_INT32),
    PB_FIELD(network_proxy_request, user_id, 2, PB_BYTES),
};
WIRE_TABLE(network_proxy_request, "ProxyConnectionRequest");

WIRE_EMPTY(network_temporary_request, "TemporaryConnectionRequest");
WIRE_EMPTY(network_temporary_close, "CloseTemporaryConnection");

WIRE_ROWS(network_pause) = {
    PB_FIELD(network_pause, chain, 1, PB_STRING),
};
WIRE_TABLE(network_pause, "PauseNeighborRequest");

WIRE_ROWS(network_resume) = {
    PB_FIELD(network_resume, chain, 1, PB_STRING),
    PB_FIELD(network_resume, from_timestamp_ms, 2, PB_INT64),
};
WIRE_TABLE(network_resume, "ResumeNeighborRequest");

/* ---- Node info ---- */

WIRE_EMPTY(network_node_info_request, "NodeInfoRequest");

WIRE_ROWS(network_neighbor_info) = {
    PB_SUB(network_neighbor_info, peer, 1, dht_peer_table),
    PB_OPTIONAL(network_neighbor_info, rtt_ms, 2, PB_INT32),
};
WIRE_TABLE(network_neighbor_info, "ContentDeliveryLayerNeighborInfo");

WIRE_ROWS(network_part_info) = {
    PB_FIELD(network_part_info, stream_part, 1, PB_STRING),
    PB_REPEATED_SUB(network_part_info, control_neighbors, 2, dht_peer_table),
    PB_REPEATED_SUB(network_part_info, deprecated_neighbors, 3, dht_peer_table),
    PB_REPEATED_SUB(network_part_info, content_neighbors, 4, network_neighbor_info_table),
};
WIRE_TABLE(network_part_info, "StreamPartitionInfo");

WIRE_ROWS(network_control_info) = {
    PB_REPEATED_SUB(network_control_info, neighbors, 1, dht_peer_table),
    PB_REPEATED_SUB(network_control_info, connections, 2, dht_peer_table),
};
WIRE_TABLE(network_control_info, "ControlLayerInfo");

WIRE_ROWS(network_node_info) = {
    PB_SUB(network_node_info, peer, 1, dht_peer_table),
    PB_REPEATED_SUB(network_node_info, parts, 2, network_part_info_table),
    PB_SUB(network_node_info, control, 3, network_control_info_table),
    PB_FIELD(network_node_info, application_version, 4, PB_STRING),
};
WIRE_TABLE(network_node_info, "NodeInfoResponse");
