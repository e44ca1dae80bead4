/* envelope -- see envelope.h. */
#include "wire/envelope.h"

static const char malformed[] = "not well-formed protobuf";
static const char twice[] = "a field is given twice";
static const char not_text[] = "a string field is not UTF-8";

/* ---- Read ---- */

static const char *take(pb_bytes *to, const pb_field *f)
{
    if (to->ptr != NULL)
        return twice;
    *to = (pb_bytes){f->bytes.p, view_left(&f->bytes)};
    return NULL;
}

static const char *take_text(pb_bytes *to, const pb_field *f)
{
    return utf8_ok(f->bytes.p, view_left(&f->bytes)) ? take(to, f) : not_text;
}

/* Only the entries the network uses; all are checked. */
typedef struct header {
    pb_bytes method, request, response, notification;
} header;

static const char *read_entry(view in, header *h)
{
    pb_bytes key = {NULL, 0}, value = {NULL, 0}, *to = NULL;
    const char *why = NULL;
    pb_field f;
    int more;

    while (why == NULL && (more = pb_next(&in, &f)) != 0) {
        if (more < 0)
            return malformed;
        if (f.wire == PB_WIRE_LEN && (f.number == 1 || f.number == 2))
            why = take_text(f.number == 1 ? &key : &value, &f);
    }
    if (why != NULL)
        return why;
    to = pb_bytes_are(key, "method")         ? &h->method
         : pb_bytes_are(key, "request")      ? &h->request
         : pb_bytes_are(key, "response")     ? &h->response
         : pb_bytes_are(key, "notification") ? &h->notification
                                             : NULL;
    if (to == NULL)
        return NULL;
    if (to->ptr != NULL)
        return twice;
    *to = value.ptr != NULL ? value : pb_bytes_of("");
    return NULL;
}

static const char *read_any(view in, envelope *e)
{
    const char *why = NULL;
    pb_bytes url = {NULL, 0};
    pb_field f;
    int more;

    if (e->type.ptr != NULL)
        return twice;
    while (why == NULL && (more = pb_next(&in, &f)) != 0) {
        if (more < 0)
            return malformed;
        if (f.wire == PB_WIRE_LEN && f.number == 1)
            why = take_text(&url, &f);
        else if (f.wire == PB_WIRE_LEN && f.number == 2)
            why = take(&e->body, &f);
    }
    e->type = url.ptr != NULL ? wire_type_name(url) : pb_bytes_of("");
    return why;
}

static const char *read_rpc_field(const pb_field *f, envelope *e, header *h, bool *failed)
{
    if (f->wire == PB_WIRE_VARINT && f->number == 4) {
        if (*failed)
            return twice;
        *failed = true;
        e->error_type = (int32_t)(uint32_t)f->value;
    }
    if (f->wire != PB_WIRE_LEN)
        return NULL;
    switch (f->number) {
    case 1:
        return read_entry(f->bytes, h);
    case 2:
        return read_any(f->bytes, e);
    case 3:
        return take_text(&e->request_id, f);
    case 5:
        return take_text(&e->error_class, f);
    case 6:
        return take_text(&e->error_code, f);
    case 7:
        return take_text(&e->error_text, f);
    default:
        return NULL;
    }
}

static const char *read_rpc(view in, envelope *e)
{
    header h = {{NULL, 0}, {NULL, 0}, {NULL, 0}, {NULL, 0}};
    const char *why = NULL;
    bool failed = false;
    pb_field f;
    int more;

    while (why == NULL && (more = pb_next(&in, &f)) != 0)
        why = more < 0 ? malformed : read_rpc_field(&f, e, &h, &failed);
    if (why != NULL)
        return why;
    e->method = h.method;
    if (h.response.len != 0)
        e->kind = failed ? ENVELOPE_ERROR : ENVELOPE_RESPONSE;
    else if (h.request.len != 0 && h.method.len != 0)
        e->kind = h.notification.len != 0 ? ENVELOPE_NOTIFICATION : ENVELOPE_REQUEST;
    else
        return "an RPC message that is neither a request nor a response";
    return NULL;
}

static const char *read_field(const pb_field *f, envelope *e, uint32_t *which, view *inside)
{
    if (f->wire != PB_WIRE_LEN)
        return NULL;
    switch (f->number) {
    case 1:
        return take_text(&e->message_id, f);
    case 2:
        return take(&e->source, f);
    case 3:
        return take(&e->target, f);
    case 4:
        return take_text(&e->service, f);
    case 5:
    case 6:
    case 7:
    case 8:
    case 9:
    case 10:
        if (*which != 0)
            return twice;
        *which = f->number;
        *inside = f->bytes;
        return NULL;
    default:
        return NULL;
    }
}

const char *envelope_read(const void *bytes, size_t len, envelope *out)
{
    view in = view_of(bytes, len), inside = {NULL, NULL};
    envelope e = {.kind = ENVELOPE_REQUEST};
    const char *why = NULL;
    uint32_t which = 0;
    pb_field f;
    int more;

    if (len > ENVELOPE_MAX)
        return "the frame is larger than the network's limit";
    while (why == NULL && (more = pb_next(&in, &f)) != 0)
        why = more < 0 ? malformed : read_field(&f, &e, &which, &inside);
    if (why != NULL)
        return why;
    if (which == 0)
        return "a frame with nothing in it";
    if (which == 5)
        why = read_rpc(inside, &e);
    else {
        e.kind = (envelope_kind)which;
        e.body = (pb_bytes){inside.p, view_left(&inside)};
    }
    if (why == NULL)
        *out = e;
    return why;
}

/* ---- Write ----
 *
 * The same walk measures and writes: with p NULL only lengths are added up. */

typedef struct pen {
    uint8_t *p;
    size_t len;
} pen;

static void pen_varint(pen *w, uint64_t x)
{
    w->len += pb_varint_size(x);
    if (w->p != NULL)
        w->p = pb_put_varint(w->p, x);
}

static void pen_raw(pen *w, const void *bytes, size_t len)
{
    w->len += len;
    if (w->p == NULL || len == 0)
        return;
    memcpy(w->p, bytes, len);
    w->p += len;
}

static void pen_open(pen *w, uint32_t number, size_t len)
{
    pen_varint(w, pb_key(number, PB_WIRE_LEN));
    pen_varint(w, len);
}

static void pen_bytes(pen *w, uint32_t number, pb_bytes b)
{
    pen_open(w, number, b.len);
    pen_raw(w, b.ptr, b.len);
}

static void pen_plain(pen *w, uint32_t number, pb_bytes b)
{
    if (b.len != 0)
        pen_bytes(w, number, b);
}

static void pen_optional(pen *w, uint32_t number, pb_bytes b)
{
    if (b.ptr != NULL)
        pen_bytes(w, number, b);
}

static size_t field_size(uint32_t number, size_t len)
{
    return pb_varint_size(pb_key(number, PB_WIRE_LEN)) + pb_varint_size(len) + len;
}

static void pen_entry(pen *w, const char *key, pb_bytes value)
{
    pb_bytes k = pb_bytes_of(key);

    pen_open(w, 1, field_size(1, k.len) + field_size(2, value.len));
    pen_bytes(w, 1, k);
    pen_bytes(w, 2, value);
}

static void pen_header(pen *w, const envelope *e)
{
    bool notification = e->kind == ENVELOPE_NOTIFICATION;

    if (e->kind == ENVELOPE_REQUEST || notification) {
        pen_entry(w, "method", e->method);
        pen_entry(w, "request", pb_bytes_of("request"));
        /* Empty, not left out: so the reference does. */
        pen_entry(w, "notification", pb_bytes_of(notification ? "notification" : ""));
    } else {
        pen_entry(w, "response", pb_bytes_of("response"));
        pen_entry(w, "method", e->method);
    }
}

/* Of the body's Any: everything in front of the body's bytes. */
static void pen_any_front(pen *w, const envelope *e)
{
    size_t url = WIRE_TYPE_PREFIX_LEN + e->type.len;

    pen_open(w, 2, field_size(1, url) + (e->body.len != 0 ? field_size(2, e->body.len) : 0));
    pen_open(w, 1, url);
    pen_raw(w, WIRE_TYPE_PREFIX, WIRE_TYPE_PREFIX_LEN);
    pen_raw(w, e->type.ptr, e->type.len);
    if (e->body.len != 0)
        pen_open(w, 2, e->body.len);
}

static void pen_rpc(pen *w, const envelope *e)
{
    pen_header(w, e);
    if (e->type.ptr != NULL) {
        pen_any_front(w, e);
        pen_raw(w, e->body.ptr, e->body.len);
    }
    pen_plain(w, 3, e->request_id);
    if (e->kind != ENVELOPE_ERROR)
        return;
    pen_varint(w, pb_key(4, PB_WIRE_VARINT));
    pen_varint(w, (uint64_t)(int64_t)e->error_type);
    pen_optional(w, 5, e->error_class);
    pen_optional(w, 6, e->error_code);
    pen_optional(w, 7, e->error_text);
}

static bool is_rpc(const envelope *e)
{
    return e->kind <= ENVELOPE_ERROR;
}

static void pen_envelope(pen *w, const envelope *e, size_t rpc_len)
{
    pen_plain(w, 1, e->message_id);
    pen_optional(w, 2, e->source);
    pen_optional(w, 3, e->target);
    pen_plain(w, 4, e->service);
    if (!is_rpc(e)) {
        pen_bytes(w, (uint32_t)e->kind, e->body);
        return;
    }
    pen_open(w, 5, rpc_len);
    if (w->p != NULL)
        pen_rpc(w, e);
    else
        w->len += rpc_len;
}

static size_t rpc_size(const envelope *e)
{
    pen w = {NULL, 0};

    if (is_rpc(e))
        pen_rpc(&w, e);
    return w.len;
}

size_t envelope_size(const envelope *e)
{
    pen w = {NULL, 0};

    pen_envelope(&w, e, rpc_size(e));
    return w.len;
}

uint8_t *envelope_put(const envelope *e, uint8_t *p)
{
    pen w = {p, 0};

    pen_envelope(&w, e, rpc_size(e));
    return w.p;
}

void envelope_append(const envelope *e, sb *out)
{
    size_t len = envelope_size(e);

    envelope_put(e, (uint8_t *)sb_room(out, len));
    out->len += len;
    out->data[out->len] = '\0';
}

/* ---- Bodies ---- */

const char *envelope_open(const envelope *e, const pb_table *table, void *msg, pb_arena *arena)
{
    return pb_decode(table, msg, e->body.ptr, e->body.len, arena);
}

bool envelope_seal(envelope *e, const pb_table *table, const void *msg, sb *store)
{
    size_t at = store->len;

    if (!pb_encode(table, msg, store))
        return false;
    e->type = pb_bytes_of(table->name);
    e->body = pb_bytes_from(store->data + at, store->len - at);
    return true;
}

envelope envelope_answer(const envelope *request, pb_bytes self)
{
    return (envelope){.kind = ENVELOPE_RESPONSE,
                      .service = request->service,
                      .source = self,
                      .target = request->source,
                      .method = request->method,
                      .request_id = request->request_id};
}

/* ---- Fan ---- */

#define ID_FRONT 2u /* key and length in front of a uuid */

static uint8_t *put_id(uint8_t *p, uint32_t number, uuid_source *ids)
{
    *p++ = (uint8_t)pb_key(number, PB_WIRE_LEN);
    *p++ = UUID_LEN;
    uuid_make(ids, (char *)p);
    return p + UUID_LEN;
}

/* What the walk writes, appended to out. */
static void fan_part(sb *out, void (*walk)(pen *w, const envelope *e), const envelope *e)
{
    pen w = {NULL, 0};
    size_t len;

    walk(&w, e);
    len = w.len;
    w = (pen){(uint8_t *)sb_room(out, len), 0};
    walk(&w, e);
    out->len += len;
}

static void walk_front(pen *w, const envelope *e)
{
    pen_optional(w, 2, e->source);
}

static void walk_middle(pen *w, const envelope *e)
{
    pen rpc = {NULL, 0};

    pen_header(&rpc, e);
    pen_any_front(&rpc, e);
    pen_plain(w, 4, e->service);
    pen_open(w, 5, rpc.len + e->body.len + ID_FRONT + UUID_LEN);
    pen_header(w, e);
    pen_any_front(w, e);
}

void envelope_fan_init(envelope_fan *fan, const envelope *common)
{
    must(common->kind == ENVELOPE_NOTIFICATION && common->type.ptr != NULL);
    sb_clear(&fan->front);
    sb_clear(&fan->middle);
    fan_part(&fan->front, walk_front, common);
    fan_part(&fan->middle, walk_middle, common);
    fan->body = common->body;
}

void envelope_fan_done(envelope_fan *fan)
{
    sb_done(&fan->front);
    sb_done(&fan->middle);
}

size_t envelope_fan_size(const envelope_fan *fan, pb_bytes target)
{
    return 2 * (ID_FRONT + UUID_LEN) + fan->front.len + field_size(3, target.len) +
           fan->middle.len + fan->body.len;
}

uint8_t *envelope_fan_put(const envelope_fan *fan, pb_bytes target, uuid_source *ids, uint8_t *p)
{
    pen w = {put_id(p, 1, ids), 0};

    pen_raw(&w, fan->front.data, fan->front.len);
    pen_bytes(&w, 3, target);
    pen_raw(&w, fan->middle.data, fan->middle.len);
    pen_raw(&w, fan->body.ptr, fan->body.len);
    return put_id(w.p, 3, ids);
}
