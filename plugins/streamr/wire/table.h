/* table -- how the message tables of this folder are written.
 *
 * A table's name is the protobuf name of its message, package included: it is what a type
 * URL ends with. */
#ifndef STREAMR_WIRE_TABLE_H
#define STREAMR_WIRE_TABLE_H

#include "protobuf/protobuf.h"

#define WIRE_ROWS(type) static const pb_row type##_rows[]
#define WIRE_TABLE(type, wire_name)                                                                \
    const pb_table type##_table = {wire_name, type##_rows, COUNT_OF(type##_rows), sizeof(type)}
/* A message without fields, of type wire_empty. */
#define WIRE_EMPTY(prefix, wire_name)                                                              \
    const pb_table prefix##_table = {wire_name, NULL, 0, sizeof(wire_empty)}

typedef struct wire_empty {
    pb_head head;
} wire_empty;

/* "type.googleapis.com/", in front of a table's name in an Any. */
#define WIRE_TYPE_PREFIX     "type.googleapis.com/"
#define WIRE_TYPE_PREFIX_LEN (sizeof WIRE_TYPE_PREFIX - 1)

/* The message a type URL names: compared by what follows the last '/', as the network does.
 * NULL: none of ours. */
const pb_table *wire_table_of_url(pb_bytes url);
/* Every table a body can have, for tests and for showing; wire_tables[i] is NULL at the end. */
extern const pb_table *const wire_tables[];

/* What follows the last '/'. */
pb_bytes wire_type_name(pb_bytes url);

static inline bool pb_bytes_are(pb_bytes b, const char *text)
{
    size_t len = strlen(text);

    return b.len == len && (len == 0 || memcmp(b.ptr, text, len) == 0);
}
static inline pb_bytes pb_bytes_of(const char *text)
{
    return (pb_bytes){(const uint8_t *)text, strlen(text)};
}
static inline pb_bytes pb_bytes_from(const void *ptr, size_t len)
{
    return (pb_bytes){ptr, len};
}

#endif
