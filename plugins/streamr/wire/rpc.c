/* rpc -- see rpc.h. */
#include "wire/rpc.h"

WIRE_ROWS(rpc_any) = {
    PB_FIELD(rpc_any, type_url, 1, PB_STRING),
    PB_FIELD(rpc_any, value, 2, PB_BYTES),
};
WIRE_TABLE(rpc_any, "google.protobuf.Any");

WIRE_ROWS(rpc_timestamp) = {
    PB_FIELD(rpc_timestamp, seconds, 1, PB_INT64),
    PB_FIELD(rpc_timestamp, nanos, 2, PB_INT32),
};
WIRE_TABLE(rpc_timestamp, "google.protobuf.Timestamp");

WIRE_ROWS(rpc_header) = {
    PB_OPTIONAL(rpc_header, key, 1, PB_STRING),
    PB_OPTIONAL(rpc_header, value, 2, PB_STRING),
};
WIRE_TABLE(rpc_header, "protorpc.RpcMessage.HeaderEntry");

WIRE_ROWS(rpc_message) = {
    PB_REPEATED_SUB(rpc_message, header, 1, rpc_header_table),
    PB_SUB(rpc_message, body, 2, rpc_any_table),
    PB_FIELD(rpc_message, request_id, 3, PB_STRING),
    PB_OPTIONAL(rpc_message, error_type, 4, PB_INT32),
    PB_OPTIONAL(rpc_message, error_class, 5, PB_STRING),
    PB_OPTIONAL(rpc_message, error_code, 6, PB_STRING),
    PB_OPTIONAL(rpc_message, error_text, 7, PB_STRING),
};
WIRE_TABLE(rpc_message, "protorpc.RpcMessage");

WIRE_EMPTY(rpc_empty, "google.protobuf.Empty");

bool rpc_header_put(rpc_message *m, const char *key, const char *value, pb_arena *arena)
{
    rpc_header *entry = pb_alloc(arena, sizeof *entry), **at;

    at = entry != NULL ? pb_push(arena, &m->header, sizeof(void *)) : NULL;
    if (at == NULL)
        return false;
    entry->key = pb_bytes_of(key);
    entry->value = pb_bytes_of(value);
    pb_set(&rpc_header_table, entry, 1);
    pb_set(&rpc_header_table, entry, 2);
    *at = entry;
    return true;
}

pb_bytes rpc_header_get(const rpc_message *m, const char *key)
{
    rpc_header *const *entries = m->header.items;

    for (uint32_t i = m->header.n; i-- > 0;)
        if (pb_bytes_are(entries[i]->key, key))
            return entries[i]->value.ptr != NULL ? entries[i]->value : pb_bytes_of("");
    return (pb_bytes){NULL, 0};
}

rpc_timestamp rpc_timestamp_of_ms(int64_t unix_ms)
{
    int64_t rest = unix_ms % 1000;

    /* Nanoseconds count forwards, before 1970 too. */
    rest += rest < 0 ? 1000 : 0;
    return (rpc_timestamp){.seconds = (unix_ms - rest) / 1000, .nanos = (int32_t)rest * 1000000};
}

int64_t rpc_timestamp_ms(const rpc_timestamp *t)
{
    const int64_t most = INT64_MAX / 1000 - 10000;

    if (t->seconds > most)
        return INT64_MAX;
    if (t->seconds < -most)
        return INT64_MIN;
    return t->seconds * 1000 + t->nanos / 1000000;
}
