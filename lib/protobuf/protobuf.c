/* protobuf -- see protobuf.h.
 *
 * Encoding runs backwards from the end of a buffer, so that the length of a
 * sub-message is known when its key is written: one pass, no size table. */
#include "protobuf/protobuf.h"

#include <stdlib.h>

/* ---- Reader ---- */

bool pb_varint_long(view *in, uint64_t *out)
{
    const uint8_t *p = in->p;
    uint64_t x = 0;

    for (unsigned shift = 0; shift < 70 && p < in->end; shift += 7) {
        uint8_t byte = *p++;

        if (shift == 63 && byte > 1) /* a 65th bit, or an 11th byte */
            return false;
        x |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            in->p = p;
            *out = x;
            return true;
        }
    }
    return false;
}

static bool fixed(view *in, unsigned len, uint64_t *out)
{
    uint64_t x = 0;

    if (view_left(in) < len)
        return false;
    for (unsigned i = 0; i < len; i++)
        x |= (uint64_t)in->p[i] << 8 * i;
    in->p += len;
    *out = x;
    return true;
}

int pb_next(view *in, pb_field *f)
{
    uint64_t key, len;

    if (in->p == in->end)
        return 0;
    f->start = in->p;
    if (!pb_varint(in, &key) || key > UINT32_MAX || key < 8)
        return -1;
    f->number = (uint32_t)(key >> 3);
    f->wire = (uint32_t)(key & 7);
    switch (f->wire) {
    case PB_WIRE_VARINT:
        return pb_varint(in, &f->value) ? 1 : -1;
    case PB_WIRE_LEN:
        if (!pb_varint(in, &len) || len > view_left(in))
            return -1;
        f->bytes = view_of(in->p, (size_t)len);
        in->p += len;
        return 1;
    case PB_WIRE_I64:
        return fixed(in, 8, &f->value) ? 1 : -1;
    case PB_WIRE_I32:
        return fixed(in, 4, &f->value) ? 1 : -1;
    default:
        return -1;
    }
}

/* ---- Types ---- */

static const struct {
    uint8_t wire, size;
} kinds[] = {
    [PB_INT32] = {PB_WIRE_VARINT, sizeof(int32_t)},
    [PB_INT64] = {PB_WIRE_VARINT, sizeof(int64_t)},
    [PB_UINT32] = {PB_WIRE_VARINT, sizeof(uint32_t)},
    [PB_UINT64] = {PB_WIRE_VARINT, sizeof(uint64_t)},
    [PB_SINT32] = {PB_WIRE_VARINT, sizeof(int32_t)},
    [PB_SINT64] = {PB_WIRE_VARINT, sizeof(int64_t)},
    [PB_BOOL] = {PB_WIRE_VARINT, sizeof(bool)},
    [PB_FIXED32] = {PB_WIRE_I32, sizeof(uint32_t)},
    [PB_FIXED64] = {PB_WIRE_I64, sizeof(uint64_t)},
    [PB_FLOAT] = {PB_WIRE_I32, sizeof(float)},
    [PB_DOUBLE] = {PB_WIRE_I64, sizeof(double)},
    [PB_BYTES] = {PB_WIRE_LEN, sizeof(pb_bytes)},
    [PB_STRING] = {PB_WIRE_LEN, sizeof(pb_bytes)},
    [PB_MESSAGE] = {PB_WIRE_LEN, sizeof(void *)},
};

/* The scalar that travelled as x, into a member. Narrow types keep the low bits, as
 * every protobuf does. */
static void scalar_put(void *to, unsigned type, uint64_t x)
{
    uint32_t low = (uint32_t)x;

    if (type == PB_BOOL) {
        *(bool *)to = x != 0;
        return;
    }
    if (type == PB_SINT32)
        low = (low >> 1) ^ (0u - (low & 1));
    if (type == PB_SINT64)
        x = (x >> 1) ^ (0u - (x & 1));
    if (kinds[type].size == 4)
        memcpy(to, &low, sizeof low);
    else
        memcpy(to, &x, sizeof x);
}

/* The opposite: a member as it travels. */
static uint64_t scalar_get(const void *from, unsigned type)
{
    uint64_t x = 0;
    uint32_t low = 0;

    if (type == PB_BOOL)
        return *(const bool *)from;
    if (kinds[type].size == 8) {
        memcpy(&x, from, sizeof x);
        return type == PB_SINT64 ? x << 1 ^ (0u - (x >> 63)) : x;
    }
    memcpy(&low, from, sizeof low);
    if (type == PB_SINT32)
        return low << 1 ^ (0u - (low >> 31));
    /* A negative int32 takes ten bytes: it is sign-extended. */
    return type == PB_INT32 ? (uint64_t)(int64_t)(int32_t)low : low;
}

/* ---- Arena and lists ---- */

void *pb_alloc(pb_arena *arena, size_t len)
{
    size_t pad = -((uintptr_t)arena->base + arena->used) & (_Alignof(max_align_t) - 1);
    uint8_t *p;

    if (arena->cap - arena->used < pad || arena->cap - arena->used - pad < len)
        return NULL;
    p = arena->base + arena->used + pad;
    arena->used += pad + len;
    return memset(p, 0, len);
}

void *pb_push(pb_arena *arena, pb_list *list, size_t each)
{
    if (list->n == list->cap) {
        uint32_t cap = list->cap != 0 ? list->cap * 2 : 4;
        void *grown;

        if (list->cap > UINT32_MAX / 2 || cap > SIZE_MAX / each)
            return NULL;
        grown = pb_alloc(arena, cap * each);
        if (grown == NULL)
            return NULL;
        if (list->n != 0)
            memcpy(grown, list->items, list->n * each);
        list->items = grown;
        list->cap = cap;
    }
    return (uint8_t *)list->items + each * list->n++;
}

/* ---- Decode ---- */

static const char malformed[] = "not well-formed protobuf";
static const char full[] = "the message has more parts than the memory set aside for it";
static const char deep[] = "messages are nested too deeply";
static const char text[] = "a string field is not UTF-8";

static const char *decode(const pb_table *table, uint8_t *msg, view in, pb_arena *arena,
                          unsigned depth);

/* Fields mostly come in table order: begin the search after the last one found. */
static const pb_row *row_of(const pb_table *table, uint32_t number, unsigned *hint)
{
    for (unsigned i = 0; i < table->n_rows; i++) {
        unsigned at = *hint + i < table->n_rows ? *hint + i : *hint + i - table->n_rows;

        if (table->rows[at].number == number) {
            *hint = at + 1 < table->n_rows ? at + 1u : 0;
            return &table->rows[at];
        }
    }
    return NULL;
}

static const char *decode_packed(const pb_row *row, view in, pb_list *list, pb_arena *arena)
{
    unsigned wire = kinds[row->type].wire;
    uint64_t x;
    void *to;

    while (in.p < in.end) {
        if (!(wire == PB_WIRE_VARINT ? pb_varint(&in, &x)
                                     : fixed(&in, wire == PB_WIRE_I64 ? 8 : 4, &x)))
            return malformed;
        to = pb_push(arena, list, kinds[row->type].size);
        if (to == NULL)
            return full;
        scalar_put(to, row->type, x);
    }
    return NULL;
}

static const char *decode_value(const pb_row *row, const pb_field *f, void *to, pb_arena *arena,
                                unsigned depth)
{
    pb_bytes bytes;
    void *sub;

    switch (row->type) {
    case PB_STRING:
        if (!utf8_ok(f->bytes.p, view_left(&f->bytes)))
            return text;
        __attribute__((fallthrough));
    case PB_BYTES:
        bytes = (pb_bytes){f->bytes.p, view_left(&f->bytes)};
        memcpy(to, &bytes, sizeof bytes);
        return NULL;
    case PB_MESSAGE:
        memcpy(&sub, to, sizeof sub);
        /* Given twice: the second is merged into the first, as the format asks. */
        if (sub == NULL) {
            sub = pb_alloc(arena, row->sub->size);
            if (sub == NULL)
                return full;
            memcpy(to, &sub, sizeof sub);
        }
        return decode(row->sub, sub, f->bytes, arena, depth + 1);
    default:
        scalar_put(to, row->type, f->value);
        return NULL;
    }
}

static void oneof_choose(const pb_table *table, const pb_row *row, uint8_t *msg)
{
    uint32_t which;

    memcpy(&which, msg + row->which, sizeof which);
    if (which == row->number)
        return;
    for (unsigned i = 0; i < table->n_rows; i++)
        if (table->rows[i].rule == PB_ONEOF_RULE && table->rows[i].which == row->which) {
            ((pb_head *)(void *)msg)->has &= ~(1ull << i);
            memset(msg + table->rows[i].offset, 0, kinds[table->rows[i].type].size);
        }
    memcpy(msg + row->which, &row->number, sizeof row->number);
}

static const char *decode_unknown(pb_head *head, const uint8_t *start, const uint8_t *end,
                                  pb_arena *arena)
{
    pb_bytes *raw = pb_push(arena, &head->unknown, sizeof *raw);

    if (raw == NULL)
        return full;
    *raw = (pb_bytes){start, (size_t)(end - start)};
    return NULL;
}

static const char *decode(const pb_table *table, uint8_t *msg, view in, pb_arena *arena,
                          unsigned depth)
{
    pb_head *head = (pb_head *)(void *)msg;
    const char *why = NULL;
    unsigned hint = 0;
    pb_field f;
    int more;

    if (depth > PB_DEPTH)
        return deep;
    while (why == NULL && (more = pb_next(&in, &f)) != 0) {
        const pb_row *row = more > 0 ? row_of(table, f.number, &hint) : NULL;
        bool fits = row != NULL && f.wire == kinds[row->type].wire;
        bool packed = row != NULL && !fits && row->rule == PB_REPEATED_RULE &&
                      f.wire == PB_WIRE_LEN && row->type < PB_BYTES;
        void *to;

        if (more < 0)
            return malformed;
        if (!fits && !packed) {
            why = decode_unknown(head, f.start, in.p, arena);
            continue;
        }
        to = msg + row->offset;
        head->has |= 1ull << (row - table->rows);
        if (packed) {
            why = decode_packed(row, f.bytes, to, arena);
            continue;
        }
        if (row->rule == PB_REPEATED_RULE) {
            to = pb_push(arena, to, kinds[row->type].size);
            if (to == NULL)
                return full;
        } else if (row->rule == PB_ONEOF_RULE) {
            oneof_choose(table, row, msg);
            head->has |= 1ull << (row - table->rows);
        }
        why = decode_value(row, &f, to, arena, depth);
    }
    return why;
}

const char *pb_decode(const pb_table *table, void *msg, const void *bytes, size_t len,
                      pb_arena *arena)
{
    must(table->n_rows <= 64 && table->size >= sizeof(pb_head));
    memset(msg, 0, table->size);
    return len != 0 ? decode(table, msg, view_of(bytes, len), arena, 0) : NULL;
}

/* ---- Encode ---- */

/* Bytes are written downwards from p. ok stays false once anything did not fit. */
typedef struct back {
    uint8_t *low, *p;
    bool fits, shallow;
} back;

static void back_raw(back *b, const void *bytes, size_t len)
{
    if ((size_t)(b->p - b->low) < len) {
        b->fits = false;
        return;
    }
    b->p -= len;
    if (len != 0)
        memcpy(b->p, bytes, len);
}

static void back_varint(back *b, uint64_t x)
{
    uint8_t tmp[10];

    back_raw(b, tmp, (size_t)(pb_put_varint(tmp, x) - tmp));
}

static void back_scalar(back *b, unsigned type, const void *from)
{
    uint64_t x = scalar_get(from, type);
    uint8_t tmp[8];

    if (kinds[type].wire == PB_WIRE_VARINT) {
        back_varint(b, x);
        return;
    }
    for (unsigned i = 0; i < sizeof tmp; i++)
        tmp[i] = (uint8_t)(x >> 8 * i);
    back_raw(b, tmp, kinds[type].wire == PB_WIRE_I64 ? 8 : 4);
}

static void encode(const pb_table *table, const uint8_t *msg, back *b, unsigned depth);

/* One value with its key. forced: written even when it is the default. */
static void encode_value(const pb_row *row, const void *from, back *b, bool forced, unsigned depth)
{
    uint8_t *end = b->p;
    pb_bytes bytes;
    const void *sub;

    switch (row->type) {
    case PB_MESSAGE:
        memcpy(&sub, from, sizeof sub);
        if (sub == NULL)
            return;
        encode(row->sub, sub, b, depth + 1);
        back_varint(b, (uint64_t)(end - b->p));
        break;
    case PB_BYTES:
    case PB_STRING:
        memcpy(&bytes, from, sizeof bytes);
        if (bytes.len == 0 && !forced)
            return;
        back_raw(b, bytes.ptr, bytes.len);
        back_varint(b, bytes.len);
        break;
    default:
        /* -0.0 is not the default: compare what travels. */
        if (!forced && scalar_get(from, row->type) == 0)
            return;
        back_scalar(b, row->type, from);
    }
    back_varint(b, pb_key(row->number, kinds[row->type].wire));
}

static void encode_list(const pb_row *row, const pb_list *list, back *b, unsigned depth)
{
    const uint8_t *items = list->items;
    size_t each = kinds[row->type].size;
    uint8_t *end = b->p;

    if (list->n == 0)
        return;
    for (uint32_t i = list->n; i-- > 0 && b->fits && b->shallow;) {
        if (row->type < PB_BYTES)
            back_scalar(b, row->type, items + i * each);
        else
            encode_value(row, items + i * each, b, true, depth);
    }
    if (row->type < PB_BYTES) {
        back_varint(b, (uint64_t)(end - b->p));
        back_varint(b, pb_key(row->number, PB_WIRE_LEN));
    }
}

static void encode(const pb_table *table, const uint8_t *msg, back *b, unsigned depth)
{
    const pb_head *head = (const pb_head *)(const void *)msg;
    const pb_bytes *unknown = head->unknown.items;
    uint32_t which;

    if (depth > PB_DEPTH) {
        b->shallow = false;
        return;
    }
    for (uint32_t i = head->unknown.n; i-- > 0;)
        back_raw(b, unknown[i].ptr, unknown[i].len);
    for (unsigned i = table->n_rows; i-- > 0 && b->fits && b->shallow;) {
        const pb_row *row = &table->rows[i];
        const uint8_t *from = msg + row->offset;

        switch (row->rule) {
        case PB_REPEATED_RULE:
            encode_list(row, (const pb_list *)(const void *)from, b, depth);
            break;
        case PB_ONEOF_RULE:
            memcpy(&which, msg + row->which, sizeof which);
            if (which == row->number)
                encode_value(row, from, b, true, depth);
            break;
        case PB_OPTIONAL_RULE:
            if ((head->has >> i & 1) != 0)
                encode_value(row, from, b, true, depth);
            break;
        default:
            encode_value(row, from, b, false, depth);
        }
    }
}

bool pb_encode(const pb_table *table, const void *msg, sb *out)
{
    /* The size is not known before: try with what there is, then with twice as much. A
     * buffer that is too small is noticed early, because the big parts come last. */
    for (size_t room = 512;; room *= 2) {
        uint8_t *low = (uint8_t *)sb_room(out, room);
        back b;

        if (out->cap - out->len - 1 > room)
            room = out->cap - out->len - 1;
        b = (back){low, low + room, true, true};
        encode(table, msg, &b, 0);
        if (!b.shallow)
            return false;
        if (b.fits) {
            size_t len = (size_t)(low + room - b.p);

            memmove(low, b.p, len);
            out->len += len;
            out->data[out->len] = '\0';
            return true;
        }
    }
}

/* ---- Presence ---- */

static unsigned bit_of(const pb_table *table, uint32_t number)
{
    unsigned hint = 0;
    const pb_row *row = row_of(table, number, &hint);

    must(row != NULL);
    return (unsigned)(row - table->rows);
}

bool pb_has(const pb_table *table, const void *msg, uint32_t number)
{
    return (((const pb_head *)msg)->has >> bit_of(table, number) & 1) != 0;
}

void pb_set(const pb_table *table, void *msg, uint32_t number)
{
    ((pb_head *)msg)->has |= 1ull << bit_of(table, number);
}
