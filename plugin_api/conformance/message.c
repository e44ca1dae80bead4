/* message -- messages and buffers of the kit: real ones, signed by its key, whose bytes are
 * destroyed as soon as nobody may look at them any more. */
#include "message.h"

#include "streamr/streamr.h"

#define BUFFER 0x62756666u

typedef struct buffer {
    object o;
    broker_buf b;
    uint8_t *bytes;
    atomic_int ours, held;
} buffer;

/* ---- messages ---- */

static void message_free(object *o)
{
    message *m = CONTAINER_OF(o, message, o);

    sb_done(&m->raw);
    free(m);
}

/* Nobody may look at it: what still does sees rubbish, or falls to a sanitizer. */
static void message_end(message *m)
{
    if (m->raw.data != NULL)
        memset(m->raw.data, 0xdd, m->raw.len);
    sb_done(&m->raw);
}

/* Contents that a stream may carry. */
static void content_of(unsigned kind, unsigned n, broker_msg *m, sb *out)
{
    m->content_type = BROKER_CONTENT_JSON;
    switch (kind % MESSAGE_KINDS) {
    case 0:
        sb_printf(out, "{\"hello\":\"world\",\"n\":%u,\"sensor\":{\"id\":\"a1\",\"value\":%u.5}}",
                  n, n);
        return;
    case 1:
        sb_puts(out, "{\"hello\":\"w\\u00f6rld\",\"deep\":[[[[{\"a\":null}]]]],\"\":true}");
        return;
    case 2:
        sb_printf(out, "%u", n);
        return;
    case 3:
        m->content_type = BROKER_CONTENT_BINARY;
        sb_append(out, "\0\1\377{\"", 5);
        return;
    case 4:
        m->encryption_type = BROKER_ENCRYPTION_AES;
        m->flags |= BROKER_MSG_HAS_KEY_ID;
        m->group_key_id = (broker_str){"key-1", 5};
        sb_append(out, "\x91\xf3 encrypted", 12);
        return;
    case 5:
        sb_puts(out, "{\"hello\":\"world\",\"pad\":\"");
        for (unsigned i = 0; i < 20000; i++)
            sb_putc(out, (char)('a' + i % 26));
        sb_puts(out, "\"}");
        return;
    default:
        sb_puts(out, "{\"hello\":"); /* says it is JSON and is not */
    }
}

/* A stream that the pattern matches. */
static void stream_of(broker_str pattern, sb *out)
{
    for (size_t i = 0; i < pattern.len; i++) {
        if (pattern.ptr[i] != '*')
            sb_putc(out, pattern.ptr[i]);
        else if (i == 0)
            sb_printf(out, "%s%s", kit_address(),
                      memchr(pattern.ptr, '/', pattern.len) != NULL ? "" : "/conformance");
        else
            sb_puts(out, "conformance");
    }
}

broker_msg *message_new(kit *k, broker_str pattern, uint32_t partition, unsigned kind)
{
    static unsigned count;
    message *m = must_alloc(sizeof *m);
    sb stream = SB_INIT, content = SB_INIT;
    uint8_t pub[64], publisher[20], sig[65];
    broker_msg plan = {
        .size = sizeof plan,
        .partition = partition,
        .timestamp_ms = kit_clock_ms() + count,
        .publisher = {publisher, sizeof publisher},
        .chain = {"conformance", 11},
        .body = BROKER_BODY_CONTENT,
    };
    const char *why;

    must(eth_key_public(kit_key, pub));
    eth_address_of(pub, publisher);
    stream_of(pattern, &stream);
    plan.stream = (broker_str){stream.data, stream.len};
    if (kind % 2 == 1) {
        plan.flags |= BROKER_MSG_HAS_PREV;
        plan.prev_timestamp_ms = plan.timestamp_ms - 1;
    }
    content_of(kind, count++, &plan, &content);
    plan.content = (broker_bytes){(const uint8_t *)content.data, content.len};
    streamr_sign(&plan, kit_key, sig);
    streamr_encode(&plan, &m->raw);
    why = streamr_decode(m->raw.data, m->raw.len, &m->m);
    m->m.flags |= BROKER_MSG_VERIFIED;
    object_init(k, &m->o, MESSAGE, message_free);
    m->ours = 1;
    if (why != NULL)
        finding("it wants '%.*s', which can match no stream: %s", (int)pattern.len, pattern.ptr,
                why);
    sb_done(&stream);
    sb_done(&content);
    if (why == NULL)
        return &m->m;
    message_end(m);
    return NULL;
}

/* Count in `held` goes up or down; the last reference of all takes the bytes along. */
static void message_count(message *m, atomic_int *which, int by)
{
    bool last;

    pthread_mutex_lock(&m->o.kit->lock);
    *which += by;
    last = by < 0 && m->ours == 0 && m->held == 0;
    pthread_mutex_unlock(&m->o.kit->lock);
    if (last)
        message_end(m);
}

message *message_of(const broker_msg *msg, call which)
{
    message *m = msg != NULL ? CONTAINER_OF((broker_msg *)(uintptr_t)msg, message, m) : NULL;

    return called_on(m, MESSAGE, which) != NULL ? m : NULL;
}

void message_take(message *m)
{
    message_count(m, &m->ours, 1);
}

void message_drop(broker_msg *msg)
{
    message *m = CONTAINER_OF(msg, message, m);

    message_count(m, &m->ours, -1);
}

void message_retain(const broker_msg *msg)
{
    message *m = message_of(msg, CALL_bus_retain);

    if (m == NULL)
        return;
    if (m->ours == 0 && m->held == 0) {
        finding("bus.retain() was called on a message that was gone");
        return;
    }
    message_count(m, &m->held, 1);
    atomic_fetch_add(&m->o.kit->messages, 1);
}

void message_release(const broker_msg *msg)
{
    message *m = message_of(msg, CALL_bus_release);

    if (m == NULL)
        return;
    if (m->held <= 0) {
        finding("bus.release() was called more often than bus.retain() on a message");
        return;
    }
    atomic_fetch_sub(&m->o.kit->messages, 1);
    message_count(m, &m->held, -1);
}

/* ---- buffers ---- */

static void buffer_free(object *o)
{
    buffer *b = CONTAINER_OF(o, buffer, o);

    free(b->bytes);
    free(b);
}

static buffer *buffer_make(kit *k, size_t len)
{
    buffer *b = must_alloc(sizeof *b);

    b->bytes = must_alloc(len + 1);
    b->b = (broker_buf){sizeof b->b, 0, b->bytes, len};
    object_init(k, &b->o, BUFFER, buffer_free);
    return b;
}

static void buffer_count(buffer *b, atomic_int *which, int by)
{
    bool last;

    pthread_mutex_lock(&b->o.kit->lock);
    *which += by;
    last = by < 0 && b->ours == 0 && b->held == 0;
    pthread_mutex_unlock(&b->o.kit->lock);
    if (!last)
        return;
    memset(b->bytes, 0xdd, b->b.len);
    free(b->bytes);
    b->bytes = NULL;
}

broker_buf *buffer_new(kit *k, const void *bytes, size_t len)
{
    buffer *b = buffer_make(k, len);

    if (len != 0)
        memcpy(b->bytes, bytes, len);
    b->ours = 1;
    return &b->b;
}

void buffer_take(broker_buf *buf)
{
    buffer *b = CONTAINER_OF(buf, buffer, b);

    buffer_count(b, &b->ours, 1);
}

void buffer_drop(broker_buf *buf)
{
    buffer *b = CONTAINER_OF(buf, buffer, b);

    buffer_count(b, &b->ours, -1);
}

bool buffer_has(broker_buf *buf, broker_bytes part)
{
    return CONTAINER_OF(buf, buffer, b)->o.magic == BUFFER && part.ptr >= buf->bytes &&
           part.ptr + part.len <= buf->bytes + buf->len;
}

broker_buf *buffer_grant(broker_ctx *ctx, size_t len)
{
    kit *k = kit_of(ctx);
    buffer *b;

    if (called(k, CALL_bus_buf_new))
        return NULL;
    b = buffer_make(k, len);
    b->held = 1;
    atomic_fetch_add(&k->bufs, 1);
    return &b->b;
}

static buffer *buffer_of(broker_buf *buf, call which)
{
    buffer *b = buf != NULL ? CONTAINER_OF(buf, buffer, b) : NULL;

    return called_on(b, BUFFER, which) != NULL ? b : NULL;
}

void buffer_retain(broker_buf *buf)
{
    buffer *b = buffer_of(buf, CALL_bus_buf_retain);

    if (b == NULL)
        return;
    if (b->bytes == NULL) {
        finding("bus.buf_retain() was called on a buffer that was gone");
        return;
    }
    atomic_fetch_add(&b->o.kit->bufs, 1);
    buffer_count(b, &b->held, 1);
}

void buffer_release(broker_buf *buf)
{
    buffer *b = buffer_of(buf, CALL_bus_buf_release);

    if (b == NULL)
        return;
    if (b->held <= 0) {
        finding("bus.buf_release() was called more often than the buffer was retained");
        return;
    }
    atomic_fetch_sub(&b->o.kit->bufs, 1);
    buffer_count(b, &b->held, -1);
}
