/* protobuf -- the proto3 wire format: a field reader, and a codec driven by tables.
 *
 * The reader (pb_next) walks the fields of one message and copies nothing; hot
 * paths use it by hand. The codec (pb_decode, pb_encode) fills and writes plain C
 * structs that a table describes:
 *
 *     typedef struct ref { pb_head head; int64_t timestamp; int32_t sequence; } ref;
 *     static const pb_row ref_rows[] = {
 *         PB_FIELD(ref, timestamp, 1, PB_INT64),
 *         PB_FIELD(ref, sequence, 2, PB_INT32),
 *     };
 *     static const pb_table ref_table = PB_TABLE(ref, ref_rows);
 *
 * Strings and bytes point into the input, lists and sub-messages lie in the arena;
 * both must outlive the struct. Groups, which proto3 does not have, are refused.
 * A known number with another wire type counts as an unknown field. All [any]
 * thread; no state. */
#ifndef PROTOBUF_PROTOBUF_H
#define PROTOBUF_PROTOBUF_H

#include "base/base.h"

#include <string.h>

#define PB_DEPTH 32u /* messages inside messages */

/* ---- Reader ---- */

enum pb_wire { PB_WIRE_VARINT = 0, PB_WIRE_I64 = 1, PB_WIRE_LEN = 2, PB_WIRE_I32 = 5 };

typedef struct pb_field {
    const uint8_t *start; /* of the whole field, key included              */
    uint32_t number;
    uint32_t wire;  /* PB_WIRE_*                                     */
    uint64_t value; /* VARINT, I64, I32                              */
    view bytes;     /* LEN                                           */
} pb_field;

bool pb_varint_long(view *in, uint64_t *out);

static inline bool pb_varint(view *in, uint64_t *out)
{
    if (__builtin_expect(in->p < in->end && *in->p < 0x80, 1)) {
        *out = *in->p++;
        return true;
    }
    return pb_varint_long(in, out);
}

/* 1: *f is the next field. 0: the end. -1: not protobuf. */
int pb_next(view *in, pb_field *f);

/* ---- Writer, for hand-written encoders: forwards, sizes first ---- */

static inline size_t pb_varint_size(uint64_t x)
{
    return (size_t)(70 - __builtin_clzll(x | 1)) / 7;
}
static inline uint8_t *pb_put_varint(uint8_t *p, uint64_t x)
{
    for (; x >= 0x80; x >>= 7)
        *p++ = (uint8_t)(x | 0x80);
    *p++ = (uint8_t)x;
    return p;
}
static inline uint64_t pb_key(uint32_t number, uint32_t wire)
{
    return (uint64_t)number << 3 | wire;
}

/* ---- Tables ---- */

typedef struct pb_bytes {
    const uint8_t *ptr;
    size_t len;
} pb_bytes;

typedef struct pb_list {
    void *items; /* of the element's C type; sub-messages: pointers */
    uint32_t n, cap;
} pb_list;

/* The first member of every message struct. */
typedef struct pb_head {
    uint64_t has;    /* bit i: row i of the table was given; see pb_has() */
    pb_list unknown; /* pb_bytes: unknown fields, whole, written back by pb_encode() */
} pb_head;

typedef enum pb_type {             /* the C type of the member */
                       PB_INT32,   /* int32_t, also enums */
                       PB_INT64,   /* int64_t   */
                       PB_UINT32,  /* uint32_t  */
                       PB_UINT64,  /* uint64_t  */
                       PB_SINT32,  /* int32_t   */
                       PB_SINT64,  /* int64_t   */
                       PB_BOOL,    /* bool      */
                       PB_FIXED32, /* uint32_t, also sfixed32 */
                       PB_FIXED64, /* uint64_t, also sfixed64 */
                       PB_FLOAT,   /* float     */
                       PB_DOUBLE,  /* double    */
                       PB_BYTES,   /* pb_bytes  */
                       PB_STRING,  /* pb_bytes, UTF-8 */
                       PB_MESSAGE, /* pointer to the sub-message's struct; NULL: absent */
} pb_type;

typedef enum pb_rule {
    PB_PLAIN_RULE,    /* written unless zero or empty              */
    PB_OPTIONAL_RULE, /* proto3 `optional`: written when pb_has()  */
    PB_REPEATED_RULE, /* member is a pb_list                       */
    PB_ONEOF_RULE,    /* member of a oneof; `which` is its number  */
} pb_rule;

typedef struct pb_table pb_table;

typedef struct pb_row {
    uint32_t number;
    uint8_t type; /* pb_type */
    uint8_t rule; /* pb_rule */
    uint16_t offset;
    uint16_t which; /* offset of the oneof's uint32_t: the number that is set, or 0 */
    const pb_table *sub;
} pb_row;

struct pb_table {
    const char *name;
    const pb_row *rows; /* at most 64, by number, ascending */
    uint16_t n_rows;
    uint16_t size; /* of the struct */
};

#define PB_FIELD(type, member, number, kind)                                                       \
    {                                                                                              \
        number, kind, PB_PLAIN_RULE, offsetof(type, member), 0, NULL                               \
    }
#define PB_OPTIONAL(type, member, number, kind)                                                    \
    {                                                                                              \
        number, kind, PB_OPTIONAL_RULE, offsetof(type, member), 0, NULL                            \
    }
#define PB_REPEATED(type, member, number, kind)                                                    \
    {                                                                                              \
        number, kind, PB_REPEATED_RULE, offsetof(type, member), 0, NULL                            \
    }
#define PB_ONEOF(type, member, which, number, kind)                                                \
    {                                                                                              \
        number, kind, PB_ONEOF_RULE, offsetof(type, member), offsetof(type, which), NULL           \
    }
#define PB_SUB(type, member, number, table)                                                        \
    {                                                                                              \
        number, PB_MESSAGE, PB_PLAIN_RULE, offsetof(type, member), 0, &(table)                     \
    }
#define PB_REPEATED_SUB(type, member, number, table)                                               \
    {                                                                                              \
        number, PB_MESSAGE, PB_REPEATED_RULE, offsetof(type, member), 0, &(table)                  \
    }
#define PB_ONEOF_SUB(type, member, which, number, table)                                           \
    {                                                                                              \
        number, PB_MESSAGE, PB_ONEOF_RULE, offsetof(type, member), offsetof(type, which), &(table) \
    }
#define PB_TABLE(type, rows)                                                                       \
    {                                                                                              \
#type, rows, COUNT_OF(rows), sizeof(type)                                                  \
    }

/* ---- Codec ---- */

/* Memory for lists and sub-messages; the caller owns base. What a peer can make us
 * spend is bounded by cap. */
typedef struct pb_arena {
    uint8_t *base;
    size_t cap, used;
} pb_arena;

/* Zeroed and aligned memory, or NULL when the arena is full. For building messages too. */
void *pb_alloc(pb_arena *arena, size_t len);
/* Room for one more element of size `each` at the end of the list, zeroed, or NULL. */
void *pb_push(pb_arena *arena, pb_list *list, size_t each);

/* Fill *msg (table->size bytes, overwritten). NULL, or why not: a constant sentence. */
const char *pb_decode(const pb_table *table, void *msg, const void *bytes, size_t len,
                      pb_arena *arena);

/* Append the message: fields by number, defaults left out, then unknown fields.
 * False: messages are nested deeper than PB_DEPTH; out is unchanged. */
bool pb_encode(const pb_table *table, const void *msg, sb *out);

/* Presence of an optional field by its number; must be in the table. */
bool pb_has(const pb_table *table, const void *msg, uint32_t number);
void pb_set(const pb_table *table, void *msg, uint32_t number);

#endif
