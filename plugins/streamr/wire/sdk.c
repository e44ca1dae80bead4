/* sdk -- see sdk.h: the tables. */
#include "wire/sdk.h"

WIRE_ROWS(sdk_operators_request) = {
    PB_FIELD(sdk_operators_request, stream_part, 1, PB_STRING),
};
WIRE_TABLE(sdk_operators_request, "OperatorDiscoveryRequest");

WIRE_ROWS(sdk_operators_response) = {
    PB_REPEATED_SUB(sdk_operators_response, operators, 1, dht_peer_table),
};
WIRE_TABLE(sdk_operators_response, "OperatorDiscoveryResponse");

WIRE_ROWS(sdk_session_request) = {
    PB_FIELD(sdk_session_request, session_id, 1, PB_STRING),
};
WIRE_TABLE(sdk_session_request, "HasSessionRequest");
WIRE_EMPTY(sdk_session_response, "HasSessionResponse");
