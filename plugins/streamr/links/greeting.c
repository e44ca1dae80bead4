/* greeting -- see greeting.h. */
#include "links/greeting.h"

#define SERVICE "system/handshaker"

/* ---- read ---- */

bool greeting_version_ok(pb_bytes version)
{
    size_t major = 0;
    bool above_zero = false;

    while (major < version.len && version.ptr[major] >= '0' && version.ptr[major] <= '9')
        above_zero |= version.ptr[major++] != '0';
    if (major == 0 || major + 1 >= version.len || version.ptr[major] != '.')
        return false;
    for (size_t i = major + 1; i < version.len; i++)
        if (version.ptr[i] < '0' || version.ptr[i] > '9')
            return false;
    return above_zero;
}

const char *greeting_read(const envelope *e, greeting *out)
{
    bool asks = e->kind == ENVELOPE_HANDSHAKE_REQUEST;
    view in = view_of(e->body.ptr, e->body.len);
    greeting h = {.has_target = false};
    pb_field f;
    int more;

    if (!asks && e->kind != ENVELOPE_HANDSHAKE_RESPONSE)
        return "not a handshake";
    while ((more = pb_next(&in, &f)) > 0) {
        pb_bytes bytes = {f.bytes.p, f.wire == PB_WIRE_LEN ? view_left(&f.bytes) : 0};

        if (f.number == 1 && f.wire == PB_WIRE_LEN)
            h.descriptor = bytes;
        else if (f.number == 2 && f.wire == PB_WIRE_LEN && asks) {
            h.has_target = true;
            if (!peer_node_id(bytes, &h.target))
                return "the target has no node id";
        } else if (f.number == 2 && f.wire == PB_WIRE_VARINT && !asks) {
            h.has_error = true;
            h.error = (int32_t)(uint32_t)f.value;
        } else if (f.number == 3 && f.wire == PB_WIRE_LEN)
            h.version_ok = greeting_version_ok(bytes);
    }
    if (more < 0)
        return "not well-formed protobuf";
    if (h.descriptor.len > DESCRIPTOR_MAX || !peer_node_id(h.descriptor, &h.id))
        return "its sender has no node id";
    *out = h;
    return NULL;
}

/* ---- judge ---- */

greeting_verdict greeting_judge(const greeting *h, const greeting_known *known)
{
    if (!h->version_ok)
        return GREETING_REFUSE_VERSION;
    if (h->has_target && !node_id_same(&h->target, &known->self))
        return GREETING_REFUSE_TARGET;
    if (node_id_same(&h->id, &known->self))
        return GREETING_CLOSE;
    if (!known->linked)
        return GREETING_ACCEPT;
    return node_id_offers(&known->self, &h->id) ? GREETING_REFUSE_DUPLICATE : GREETING_REPLACE;
}

/* ---- write ---- */

static void put_field(sb *out, uint32_t number, pb_bytes bytes)
{
    uint8_t head[20], *p = pb_put_varint(head, pb_key(number, PB_WIRE_LEN));

    p = pb_put_varint(p, bytes.len);
    sb_append(out, head, (size_t)(p - head));
    sb_append(out, bytes.ptr, bytes.len);
}

static void put_frame(envelope_kind kind, const sb *body, uuid_source *ids, sb *out)
{
    char id[UUID_LEN];
    envelope e = {.kind = kind,
                  .service = pb_bytes_of(SERVICE),
                  .body = pb_bytes_from(body->data, body->len)};

    uuid_make(ids, id);
    e.message_id = pb_bytes_from(id, sizeof id);
    envelope_append(&e, out);
}

void greeting_ask(pb_bytes self, pb_bytes target, const char *application, uuid_source *ids,
                  sb *out)
{
    sb body = SB_INIT;

    put_field(&body, 1, self);
    if (target.len != 0)
        put_field(&body, 2, target);
    put_field(&body, 3, pb_bytes_of(GREETING_VERSION));
    put_field(&body, 4, pb_bytes_of(application));
    put_frame(ENVELOPE_HANDSHAKE_REQUEST, &body, ids, out);
    sb_done(&body);
}

void greeting_answer(pb_bytes self, greeting_verdict verdict, const char *application,
                     uuid_source *ids, sb *out)
{
    sb body = SB_INIT;

    put_field(&body, 1, self);
    if (verdict < GREETING_ACCEPT) {
        sb_putc(&body, (char)pb_key(2, PB_WIRE_VARINT));
        sb_putc(&body, (char)verdict);
    }
    put_field(&body, 3, pb_bytes_of(GREETING_VERSION));
    put_field(&body, 4, pb_bytes_of(application));
    put_frame(ENVELOPE_HANDSHAKE_RESPONSE, &body, ids, out);
    sb_done(&body);
}
