/* sdk -- the messages of SdkRpc and AutoCertifier (no package): two services beside the
 * network proper. */
#ifndef STREAMR_WIRE_SDK_H
#define STREAMR_WIRE_SDK_H

#include "wire/dht.h"

typedef struct sdk_operators_request { /* OperatorDiscoveryRequest */
    pb_head head;
    pb_bytes stream_part;
} sdk_operators_request;

typedef struct sdk_operators_response {
    pb_head head;
    pb_list operators; /* dht_peer * */
} sdk_operators_response;

typedef struct sdk_session_request { /* HasSessionRequest */
    pb_head head;
    pb_bytes session_id;
} sdk_session_request;

extern const pb_table sdk_operators_request_table, sdk_operators_response_table;
extern const pb_table sdk_session_request_table;
extern const pb_table sdk_session_response_table; /* wire_empty */

#endif
