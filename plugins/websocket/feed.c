/* feed -- one subscription of the bus for each stream part that clients subscribe to, and the
 * clients that share it.
 *
 * What a message is as text is worked out once. Texts are packed into parcels, buffers that the
 * connections of all clients refer to, so a further subscriber costs no copy. A client that is
 * too far behind is closed; nobody waits for it. */
#include "parts.h"
#include "payload/payload.h"

#define PARCEL_FRAMES 256u
#define PARCEL_BYTES  65536u /* it is sent when it has as much */

typedef struct seat {
    struct seat *next; /* of the feed */
    client *client;
} seat;

struct feed {
    feed *next; /* of the slot */
    websocket *w;
    char *stream;
    size_t stream_len;
    uint32_t partition;
    broker_sub *sub;
    seat *seats, **last_seat;
};

typedef struct parcel {
    broker_buf *buf;
    size_t ends[PARCEL_FRAMES]; /* of each text, in buf */
    size_t n;
} parcel;

/* ---- out ---- */

static void message_drop(feed *f, payload_fate fate)
{
    if (fate == PAYLOAD_ENCRYPTED)
        trouble_say(&f->w->trouble, TROUBLE_ENCRYPTED,
                    "an encrypted message of '%s' is kept from its subscribers: no group key here",
                    f->stream);
    else if (fate == PAYLOAD_NOT_OBJECT)
        trouble_say(&f->w->trouble, TROUBLE_NOT_OBJECT,
                    "a message of '%s' is kept from its subscribers: its content is no JSON object",
                    f->stream);
}

/* As many messages as one parcel takes; how many. */
static size_t parcel_pack(feed *f, const broker_msg *const *msgs, size_t n, parcel *out)
{
    websocket *w = f->w;
    size_t i;

    out->buf = NULL;
    out->n = 0;
    w->frames.len = 0;
    for (i = 0; i < n && out->n < PARCEL_FRAMES && w->frames.len < PARCEL_BYTES; i++) {
        payload_fate fate = payload_write(msgs[i], w->wrapped, &w->frames);

        if (fate == PAYLOAD_WRITTEN)
            out->ends[out->n++] = w->frames.len;
        else
            message_drop(f, fate);
    }
    if (out->n != 0 && (out->buf = w->bus->buf_new(w->ctx, w->frames.len)) != NULL)
        memcpy((uint8_t *)out->buf->bytes, w->frames.data, w->frames.len);
    if (w->frames.cap > 4 * PARCEL_BYTES)
        sb_done(&w->frames); /* after one large message */
    return i;
}

static void subscriber_close(client *c, trouble_kind kind, int32_t code, const char *reason)
{
    broker_str address = c->w->net->address(c->conn);

    trouble_say(&c->w->trouble, kind, "closing the subscriber %.*s of '%s': %s", (int)address.len,
                address.ptr, c->s.want.stream.data, reason);
    client_close(c, code, reason);
}

static void parcel_send(client *c, const parcel *p)
{
    websocket *w = c->w;
    size_t at = 0, i;
    char reason[100];

    for (i = 0; i < p->n && !c->leaving; i++) {
        if (w->net->queued(c->conn) > w->max_queued) {
            snprintf(reason, sizeof reason, "too slow: more than %zu bytes wait (maxQueuedBytes)",
                     w->max_queued);
            subscriber_close(c, TROUBLE_SLOW, 1013, reason);
            break;
        }
        if (w->net->send_buf(c->conn, p->buf, (broker_bytes){p->buf->bytes + at, p->ends[i] - at},
                             1) < 0) {
            subscriber_close(c, TROUBLE_LOST, 1011, "it cannot be sent to");
            break;
        }
        at = p->ends[i];
    }
    w->metrics->add(w->out, (int64_t)i);
}

static size_t on_msgs(void *self, const broker_msg *const *msgs, size_t n)
{
    feed *f = self;
    parcel p;

    for (size_t i = 0; i < n;) {
        i += parcel_pack(f, msgs + i, n - i, &p);
        if (p.n == 0)
            continue;
        for (seat *s = f->seats; s != NULL; s = s->next)
            if (p.buf != NULL)
                parcel_send(s->client, &p);
            else if (!s->client->leaving)
                subscriber_close(s->client, TROUBLE_MEMORY, 1013, "the node is out of memory");
        if (p.buf != NULL)
            f->w->bus->buf_release(p.buf);
    }
    return n;
}

/* ---- who is in it ---- */

static feed **feed_slot(websocket *w, const target *t, uint32_t partition)
{
    feed **at = &w->feeds[(hash_bytes(t->stream.data, t->stream.len) + partition) % FEED_SLOTS];

    while (*at != NULL && ((*at)->partition != partition || (*at)->stream_len != t->stream.len ||
                           memcmp((*at)->stream, t->stream.data, t->stream.len) != 0))
        at = &(*at)->next;
    return at;
}

static void feed_free(feed **at)
{
    feed *f = *at;

    *at = f->next;
    free(f->stream);
    free(f);
}

static broker_rc feed_join(client *c, uint32_t partition)
{
    websocket *w = c->w;
    feed **at = feed_slot(w, &c->s.want, partition), *f = *at;
    seat *s;

    if (f == NULL) {
        broker_subscription want = {.size = sizeof want,
                                    .stream = {c->s.want.stream.data, c->s.want.stream.len},
                                    .partition = partition,
                                    .on_msgs = on_msgs};
        broker_rc rc;

        *at = f = want.self = must_alloc(sizeof *f);
        f->w = w;
        f->stream = must_strndup(want.stream.ptr, want.stream.len);
        f->stream_len = want.stream.len;
        f->partition = partition;
        f->last_seat = &f->seats;
        rc = w->bus->subscribe(w->ctx, &want, &f->sub);
        if (rc != BROKER_OK) {
            feed_free(at);
            return rc;
        }
    }
    s = must_alloc(sizeof *s);
    s->client = c;
    *f->last_seat = s;
    f->last_seat = &s->next;
    return BROKER_OK;
}

static void feed_leave(client *c, uint32_t partition)
{
    feed **at = feed_slot(c->w, &c->s.want, partition), *f = *at;
    seat **from, *s;

    if (f == NULL)
        return;
    for (from = &f->seats; *from != NULL && (*from)->client != c; from = &(*from)->next)
        ;
    if ((s = *from) == NULL)
        return;
    *from = s->next;
    if (f->last_seat == &s->next)
        f->last_seat = from;
    free(s);
    if (f->seats != NULL)
        return;
    c->w->bus->unsubscribe(f->sub);
    feed_free(at);
}

broker_rc feeds_join(client *c)
{
    const target *t = &c->s.want;
    broker_rc rc = BROKER_OK;

    for (size_t i = 0; i < t->n_partitions && rc == BROKER_OK; i++)
        rc = feed_join(c, t->partitions[i]);
    if (rc != BROKER_OK)
        feeds_leave(c);
    return rc;
}

void feeds_leave(client *c)
{
    for (size_t i = 0; i < c->s.want.n_partitions; i++)
        feed_leave(c, c->s.want.partitions[i]);
}

void feeds_forget(websocket *w)
{
    for (size_t i = 0; i < FEED_SLOTS; i++)
        while (w->feeds[i] != NULL) {
            feed *f = w->feeds[i];

            while (f->seats != NULL) {
                seat *s = f->seats;

                f->seats = s->next;
                free(s);
            }
            feed_free(&w->feeds[i]);
        }
}
