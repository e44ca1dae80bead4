/* network -- the messages of NetworkRpc (no package), but for the StreamMessage family:
 * that is lib/streamr's, and travels here as bytes. */
#ifndef STREAMR_WIRE_NETWORK_H
#define STREAMR_WIRE_NETWORK_H

#include "wire/dht.h"

/* Type names of bodies that stay bytes. */
#define NETWORK_STREAM_MESSAGE "StreamMessage"
#define NETWORK_MESSAGE_ID     "MessageID"

/* As the client sees it; absent: both. */
typedef enum network_direction { NETWORK_PUBLISH = 0, NETWORK_SUBSCRIBE = 1 } network_direction;

typedef struct network_handshake_request { /* StreamPartHandshakeRequest */
    pb_head head;
    pb_bytes stream_part;
    pb_bytes request_id;
    pb_bytes concurrent_node; /* optional 3 */
    pb_list neighbors;        /* pb_bytes: node ids */
    pb_bytes interleave_node; /* optional 5 */
} network_handshake_request;

typedef struct network_handshake_response {
    pb_head head;
    bool accepted;
    pb_bytes request_id;
    dht_peer *interleave_target;
} network_handshake_response;

typedef struct network_interleave_request {
    pb_head head;
    dht_peer *interleave_target;
} network_interleave_request;

/* InterleaveResponse, ProxyConnectionResponse, TemporaryConnectionResponse, PauseNeighborResponse
 */
typedef struct network_accepted {
    pb_head head;
    bool accepted;
} network_accepted;

typedef struct network_leave { /* LeaveStreamPartNotice */
    pb_head head;
    pb_bytes stream_part;
    bool is_entry_point;
} network_leave;

typedef struct network_neighbor_update { /* the request and the response */
    pb_head head;
    pb_bytes stream_part;
    bool remove_me;
    pb_list neighbors; /* dht_peer * */
} network_neighbor_update;

typedef struct network_proxy_request { /* ProxyConnectionRequest */
    pb_head head;
    int32_t direction; /* optional 1, network_direction */
    pb_bytes user_id;
} network_proxy_request;

typedef struct network_pause { /* PauseNeighborRequest */
    pb_head head;
    pb_bytes chain;
} network_pause;

typedef struct network_resume { /* ResumeNeighborRequest */
    pb_head head;
    pb_bytes chain;
    int64_t from_timestamp_ms;
} network_resume;

/* ---- Node info ---- */

typedef struct network_neighbor_info { /* ContentDeliveryLayerNeighborInfo */
    pb_head head;
    dht_peer *peer;
    int32_t rtt_ms; /* optional 2 */
} network_neighbor_info;

typedef struct network_part_info { /* StreamPartitionInfo */
    pb_head head;
    pb_bytes stream_part;
    pb_list control_neighbors;    /* dht_peer * */
    pb_list deprecated_neighbors; /* dht_peer * */
    pb_list content_neighbors;    /* network_neighbor_info * */
} network_part_info;

typedef struct network_control_info { /* ControlLayerInfo */
    pb_head head;
    pb_list neighbors, connections; /* dht_peer * */
} network_control_info;

typedef struct network_node_info { /* NodeInfoResponse */
    pb_head head;
    dht_peer *peer;
    pb_list parts; /* network_part_info * */
    network_control_info *control;
    pb_bytes application_version;
} network_node_info;

extern const pb_table network_handshake_request_table, network_handshake_response_table;
extern const pb_table network_interleave_request_table;
extern const pb_table network_interleave_response_table; /* network_accepted */
extern const pb_table network_leave_table, network_neighbor_update_table;
extern const pb_table network_proxy_request_table;
extern const pb_table network_proxy_response_table; /* network_accepted */
extern const pb_table network_temporary_request_table;
extern const pb_table network_temporary_close_table;    /* wire_empty, as the one above */
extern const pb_table network_temporary_response_table; /* network_accepted */
extern const pb_table network_pause_table, network_resume_table;
extern const pb_table network_pause_response_table;    /* network_accepted; since v103.8 */
extern const pb_table network_node_info_request_table; /* wire_empty */
extern const pb_table network_node_info_table, network_part_info_table;
extern const pb_table network_neighbor_info_table, network_control_info_table;

#endif
