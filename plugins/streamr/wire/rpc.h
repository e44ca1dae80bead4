/* rpc -- the messages of ProtoRpc, and the three of Google's it stands on.
 *
 * Frames are read and written by envelope.h, which knows the same fields by hand; these
 * tables are for what keeps every field, and to check the other against. */
#ifndef STREAMR_WIRE_RPC_H
#define STREAMR_WIRE_RPC_H

#include "wire/table.h"

typedef enum rpc_error {
    RPC_SERVER_TIMEOUT = 0,
    RPC_CLIENT_TIMEOUT = 1,
    RPC_UNKNOWN_METHOD = 2,
    RPC_CLIENT_ERROR = 3,
    RPC_SERVER_ERROR = 4,
} rpc_error;

typedef struct rpc_any {
    pb_head head;
    pb_bytes type_url;
    pb_bytes value;
} rpc_any;

typedef struct rpc_timestamp {
    pb_head head;
    int64_t seconds;
    int32_t nanos;
} rpc_timestamp;

/* One entry of map<string,string>. The network writes key and value even when empty: set
 * both bits (rpc_header_put does). */
typedef struct rpc_header {
    pb_head head;
    pb_bytes key;   /* optional 1 */
    pb_bytes value; /* optional 2 */
} rpc_header;

typedef struct rpc_message {
    pb_head head;
    pb_list header; /* rpc_header * */
    rpc_any *body;
    pb_bytes request_id;
    int32_t error_type;   /* optional 4, rpc_error: 0 is an error too */
    pb_bytes error_class; /* optional 5 */
    pb_bytes error_code;  /* optional 6 */
    pb_bytes error_text;  /* optional 7 */
} rpc_message;

extern const pb_table rpc_any_table, rpc_timestamp_table, rpc_header_table, rpc_message_table;
extern const pb_table rpc_empty_table; /* google.protobuf.Empty; wire_empty */

/* Add one entry; false: the arena is full. */
bool rpc_header_put(rpc_message *m, const char *key, const char *value, pb_arena *arena);
/* The value, or ptr NULL: no such key. Of two entries with one key the later counts. */
pb_bytes rpc_header_get(const rpc_message *m, const char *key);

rpc_timestamp rpc_timestamp_of_ms(int64_t unix_ms);
/* Times no clock of ours can hold become the nearest that it can. */
int64_t rpc_timestamp_ms(const rpc_timestamp *t);

#endif
