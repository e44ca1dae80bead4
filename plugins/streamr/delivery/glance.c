/* glance -- see glance.h. Runs once for every copy of every message: by hand, not by tables. */
#include "delivery/glance.h"

static const char malformed[] = "not well-formed protobuf";
static const char twice[] = "a field is given twice";
static const char wrong_type[] = "a field has another wire type than the protocol gives it";

/* Fields are those up to `last`; wire[n] says how field n is written. 1: *f is one of them. */
static int next_known(view *in, pb_field *f, const uint8_t *wire, uint32_t last, uint32_t *seen,
                      const char **why)
{
    int more;

    do
        more = pb_next(in, f);
    while (more > 0 && f->number > last);
    if (more <= 0) {
        *why = more < 0 ? malformed : NULL;
        return 0;
    }
    *why = f->wire != wire[f->number] ? wrong_type : (*seen & 1u << f->number) != 0 ? twice : NULL;
    *seen |= 1u << f->number;
    return *why == NULL;
}

enum { V = PB_WIRE_VARINT, L = PB_WIRE_LEN, X = 0xff };

static pb_bytes bytes_of(const pb_field *f)
{
    return (pb_bytes){f->bytes.p, view_left(&f->bytes)};
}

static const char *read_id(view in, glance *g)
{
    static const uint8_t wire[] = {X, L, V, V, V, L, L};
    const char *why = NULL;
    uint32_t seen = 0;
    pb_field f;

    while (next_known(&in, &f, wire, 6, &seen, &why)) {
        switch (f.number) {
        case 1:
            g->stream = bytes_of(&f);
            break;
        case 2:
            g->partition = (uint32_t)f.value; /* int32: the low bits count */
            break;
        case 3:
            g->number.timestamp_ms = (int64_t)f.value;
            break;
        case 4:
            g->number.sequence = (int32_t)(uint32_t)f.value;
            break;
        case 5:
            g->publisher = bytes_of(&f);
            break;
        default:
            g->chain = bytes_of(&f);
        }
    }
    return why;
}

static const char *read_ref(view in, glance *g)
{
    static const uint8_t wire[] = {X, V, V};
    const char *why = NULL;
    uint32_t seen = 0;
    pb_field f;

    g->has_previous = true;
    while (next_known(&in, &f, wire, 2, &seen, &why)) {
        if (f.number == 1)
            g->previous.timestamp_ms = (int64_t)f.value;
        else
            g->previous.sequence = (int32_t)(uint32_t)f.value;
    }
    return why;
}

static const char *read_recipient(view in, glance *g)
{
    int more;
    pb_field f;

    while ((more = pb_next(&in, &f)) > 0)
        if (f.number == 2 && f.wire == PB_WIRE_LEN)
            g->recipient = bytes_of(&f);
    return more < 0 ? malformed : NULL;
}

static const char *read_field(const pb_field *f, glance *g)
{
    switch (f->number) {
    case 1:
        return read_id(f->bytes, g);
    case 2:
        return read_ref(f->bytes, g);
    case 3:
    case 4:
        return NULL; /* the signature is not ours to judge */
    default:
        if (g->body != 0)
            return "two bodies in one message";
        g->body = (glance_body)f->number;
        return f->number == GLANCE_KEY_REQUEST ? read_recipient(f->bytes, g) : NULL;
    }
}

const char *glance_read(pb_bytes message, glance *out)
{
    static const uint8_t wire[] = {X, L, L, L, V, L, L, L};
    view in = view_of(message.ptr, message.len);
    glance g = {0};
    const char *why = NULL;
    uint32_t seen = 0;
    pb_field f;

    while (next_known(&in, &f, wire, 7, &seen, &why))
        if ((why = read_field(&f, &g)) != NULL)
            break;
    if (why != NULL)
        return why;
    if ((seen & 2) == 0 || g.body == 0)
        return (seen & 2) == 0 ? "a message without an id" : "a message without a body";
    *out = g;
    return NULL;
}
