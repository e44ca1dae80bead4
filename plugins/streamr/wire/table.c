/* table -- see table.h: the messages by name. */
#include "wire/table.h"

#include "wire/network.h"
#include "wire/sdk.h"

const pb_table *const wire_tables[] = {
    &dht_method_table,
    &dht_peer_table,
    &dht_connectivity_request_table,
    &dht_connectivity_response_table,
    &dht_handshake_request_table,
    &dht_handshake_response_table,
    &dht_lock_request_table,
    &dht_unlock_request_table,
    &dht_lock_response_table,
    &dht_disconnect_notice_table,
    &dht_set_private_table,
    &dht_closest_request_table,
    &dht_closest_response_table,
    &dht_ring_request_table,
    &dht_ring_response_table,
    &dht_ping_request_table,
    &dht_ping_response_table,
    &dht_leave_notice_table,
    &dht_recursive_request_table,
    &dht_message_table,
    &dht_route_table,
    &dht_route_ack_table,
    &dht_recursive_response_table,
    &dht_entry_table,
    &dht_store_request_table,
    &dht_store_response_table,
    &dht_replicate_request_table,
    &dht_fetch_request_table,
    &dht_fetch_response_table,
    &dht_external_store_request_table,
    &dht_external_store_response_table,
    &dht_find_response_table,
    &dht_find_request_table,
    &dht_websocket_connection_table,
    &dht_webrtc_connection_table,
    &dht_rtc_offer_table,
    &dht_rtc_answer_table,
    &dht_ice_candidate_table,
    &rpc_any_table,
    &rpc_timestamp_table,
    &rpc_header_table,
    &rpc_message_table,
    &rpc_empty_table,
    &network_handshake_request_table,
    &network_handshake_response_table,
    &network_interleave_request_table,
    &network_interleave_response_table,
    &network_proxy_response_table,
    &network_temporary_response_table,
    &network_pause_response_table,
    &network_leave_table,
    &network_neighbor_update_table,
    &network_proxy_request_table,
    &network_temporary_request_table,
    &network_temporary_close_table,
    &network_pause_table,
    &network_resume_table,
    &network_node_info_request_table,
    &network_neighbor_info_table,
    &network_part_info_table,
    &network_control_info_table,
    &network_node_info_table,
    &sdk_operators_request_table,
    &sdk_operators_response_table,
    &sdk_session_request_table,
    &sdk_session_response_table,
    NULL,
};

pb_bytes wire_type_name(pb_bytes url)
{
    size_t at = url.len;

    while (at > 0 && url.ptr[at - 1] != '/')
        at--;
    return (pb_bytes){at != 0 ? url.ptr + at : url.ptr, url.len - at};
}

const pb_table *wire_table_of_url(pb_bytes url)
{
    pb_bytes name = wire_type_name(url);

    for (const pb_table *const *t = wire_tables; *t != NULL; t++)
        if (pb_bytes_are(name, (*t)->name))
            return *t;
    return NULL;
}
