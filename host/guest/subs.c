/* subs -- subscriptions of the plugin: messages as they come from the node, in batches.
 *
 * A message lies in the frame it came in. What the plugin does not take waits here; the node sends
 * no more than a window. A subscription that has ended is remembered until what was taken of it is
 * settled, and only then the node hears that it has ended: that would settle the rest as failed. */
#include "guest/parts.h"

#include "streamr/streamr.h"

struct broker_sub {
    broker_sub *next; /* of those that have ended with all the others */
    guest *g;
    uint32_t id, flags;
    broker_on_msgs on_msgs;
    void *self;
    const broker_msg **queue; /* queue[head..len): waiting to be taken */
    size_t head, len, cap;
    bool paused, busy, dead;
    bool ended;       /* with all the others: the node knows             */
    unsigned epoch;   /* of guest.quieted                                */
    atomic_uint refs; /* the plugin's, each unsettled message, each call */
    loop_call resume;
    atomic_bool resume_posted;
};

/* Whether the node knows it. [any] */
static bool is_current(const broker_sub *s)
{
    return s->epoch == atomic_load(&s->g->quieted);
}

/* [any] */
static void sub_unref(broker_sub *s, unsigned n)
{
    unsigned before = atomic_fetch_sub(&s->refs, n);
    uint8_t id[4];

    must(before >= n); /* more settled than taken */
    if (before != n)
        return;
    put_u32be(id, s->id);
    if (!s->ended && is_current(s))
        channel_send(s->g->frames, WORD_UNSUBSCRIBE, (broker_bytes){id, sizeof id},
                     (broker_bytes){NULL, 0});
    free((void *)s->queue);
    free(s);
}

/* ---- in ---- */

void guest_msg_fill(msg *m, const words_msg *w)
{
    if (streamr_decode(w->raw.ptr, w->raw.len, &m->m) != NULL)
        guest_broken("a message that cannot be read");
    m->m.raw = w->raw;
    m->m.flags = w->flags;
    m->m.origin = w->origin;
    m->hash = w->handle; /* there is no table of bytes in flight here */
}

static void queue_push(broker_sub *s, const broker_msg *m)
{
    if (s->len == s->cap && s->head != 0) {
        memmove((void *)s->queue, (const void *)(s->queue + s->head),
                (s->len - s->head) * sizeof *s->queue);
        s->len -= s->head;
        s->head = 0;
    }
    if (s->len == s->cap) {
        s->cap = s->cap != 0 ? s->cap * 2 : 256;
        s->queue = must_realloc((void *)s->queue, s->cap * sizeof *s->queue);
    }
    s->queue[s->len++] = m;
}

static void queue_drop(broker_sub *s)
{
    for (; s->head < s->len; s->head++)
        msg_release(s->queue[s->head]);
}

/* The next messages of a frame, as one batch. */
static void batch_take(broker_sub *s, broker_buf *buf, view *v)
{
    words_msg said[BATCH_MAX];
    uint32_t n = 0;
    msg_batch *b;

    while (n < BATCH_MAX && view_left(v) != 0)
        if (!words_read_msg(v, &said[n++]))
            guest_broken("messages that are cut off");
    b = batch_new(n);
    must(b != NULL);
    batch_hold(b, buf);
    for (uint32_t i = 0; i < n; i++) {
        guest_msg_fill(&b->msgs[i], &said[i]);
        queue_push(s, &b->msgs[i].m);
    }
    batch_release(b);
}

/* on_msgs() took the first n of what waits. */
static void taken(broker_sub *s, const broker_msg *const *msgs, size_t n)
{
    uint32_t bytes = 0;
    uint8_t body[12];

    for (size_t i = 0; i < n; i++)
        bytes += (uint32_t)msgs[i]->raw.len;
    put_u32be(body, s->id);
    put_u32be(body + 4, (uint32_t)n);
    put_u32be(body + 8, bytes);
    if (n != 0)
        channel_send(s->g->frames, WORD_TOOK, (broker_bytes){body, sizeof body},
                     (broker_bytes){NULL, 0});
}

static void sub_flush(broker_sub *s)
{
    bool durable = (s->flags & BROKER_SUB_DURABLE) != 0;
    ledger *l;

    if (s->busy || s->dead)
        return;
    l = &s->g->build->ledger;
    atomic_fetch_add(&s->refs, 1);
    s->busy = true;
    while (!s->paused && !s->dead && s->head < s->len) {
        const broker_msg *const *msgs = s->queue + s->head;
        size_t n = s->len - s->head, took = 0;

        for (size_t i = 0; i < n && durable; i++)
            msg_retain(msgs[i]); /* they may be settled before on_msgs() returns */
        if (durable) {
            atomic_fetch_add(&s->refs, (unsigned)n);
            atomic_fetch_add(&l->messages, (unsigned)n);
        }
        CROSS(l, "on_msgs", took = s->on_msgs(s->self, msgs, n));
        must(took <= n);
        taken(s, msgs, took);
        if (durable) {
            atomic_fetch_sub(&l->messages, (unsigned)(n - took));
            sub_unref(s, (unsigned)(n - took));
        }
        for (size_t i = 0; i < (durable ? n : took); i++)
            msg_release(msgs[i]);
        s->head += took;
        s->paused = s->paused || took < n;
    }
    s->busy = false;
    if (s->dead)
        queue_drop(s);
    if (s->head == s->len)
        s->head = s->len = 0;
    sub_unref(s, 1);
}

void guest_msgs(guest *g, broker_buf *buf, broker_bytes body)
{
    view v = view_of(body.ptr, body.len);
    uint32_t id;
    broker_sub *s;

    if (!view_u32be(&v, &id))
        guest_broken("messages of no subscription");
    s = numbers_get(&g->subs, id);
    if (s == NULL)
        return;
    while (view_left(&v) != 0)
        batch_take(s, buf, &v);
    sub_flush(s);
}

/* ---- the table ---- */

static void resume_on_loop(loop_call *call)
{
    broker_sub *s = CONTAINER_OF(call, broker_sub, resume);

    atomic_store(&s->resume_posted, false);
    s->paused = false;
    sub_flush(s);
    sub_unref(s, 1);
}

static void resume(broker_sub *s)
{
    if (atomic_exchange(&s->resume_posted, true))
        return;
    atomic_fetch_add(&s->refs, 1);
    loop_post(s->g->loop, &s->resume);
}

static broker_rc subscribe(broker_ctx *ctx, const broker_subscription *want, broker_sub **out)
{
    guest *g = guest_of(ctx);
    broker_sub *s;
    sb body = SB_INIT;
    broker_rc rc;

    if (want->stream.len == 0 || want->on_msgs == NULL)
        return BROKER_EINVAL;
    s = must_alloc(sizeof *s);
    s->id = numbers_take(&g->subs, s);
    if (s->id == 0) {
        free(s);
        return ctx->host->fail(ctx, BROKER_EBUSY, "it has too many subscriptions");
    }
    s->g = g;
    s->epoch = atomic_load(&g->quieted);
    s->flags = want->flags & BROKER_SUB_DURABLE;
    s->on_msgs = want->on_msgs;
    s->self = want->self;
    s->resume.fn = resume_on_loop;
    atomic_init(&s->refs, 1);
    pack_map(&body, 4);
    pack_uint(&body, "id", s->id);
    pack_uint(&body, "flags", s->flags);
    pack_uint(&body, "partition", want->partition);
    pack_bytes(&body, "stream", want->stream.ptr, want->stream.len);
    rc = guest_ask(g, ASK_SUBSCRIBE, bytes_of(&body), NULL);
    sb_done(&body);
    if (rc != BROKER_OK) {
        numbers_drop(&g->subs, s->id);
        free(s);
        return rc;
    }
    *out = s;
    return BROKER_OK;
}

static void unsubscribe(broker_sub *s)
{
    if (s->dead)
        return;
    s->dead = true;
    numbers_drop(&s->g->subs, s->id);
    if (!s->busy)
        queue_drop(s);
    sub_unref(s, 1);
}

/* [any] */
static void settle_send(const broker_sub *s, sb *body)
{
    if (is_current(s))
        channel_send(s->g->frames, WORD_SETTLE, bytes_of(body), (broker_bytes){NULL, 0});
    sb_clear(body);
}

static void settle(broker_sub *s, const broker_msg *const *msgs, const broker_outcome *outcomes,
                   size_t n)
{
    sb body = SB_INIT;

    if (n == 0)
        return;
    for (size_t i = 0; i < n; i++) {
        words_outcome o = {msg_of(msgs[i])->hash, outcomes[i]};

        must(o.outcome.code >= BROKER_STORED && o.outcome.code <= BROKER_FULL);
        if (body.len == 0)
            words_put_u32(&body, s->id);
        words_put_outcome(&body, &o);
        if (body.len > FRAME_MAX / 16 || i + 1 == n)
            settle_send(s, &body);
    }
    sb_done(&body);
    for (size_t i = 0; i < n; i++)
        msg_release(msgs[i]);
    atomic_fetch_sub(&s->g->build->ledger.messages, (unsigned)n);
    sub_unref(s, (unsigned)n);
}

static uint32_t partitions(broker_ctx *ctx, broker_str stream)
{
    broker_bytes body = {(const uint8_t *)stream.ptr, stream.len};
    sb answer = SB_INIT;
    uint32_t n = 0;
    view v;

    guest_ask(guest_of(ctx), ASK_PARTITIONS, body, &answer);
    v = view_of(answer.data, answer.len);
    if (!view_u32be(&v, &n))
        n = 0;
    sb_done(&answer);
    return n;
}

static broker_buf *new_buf(broker_ctx *ctx, size_t len)
{
    (void)ctx;
    return buf_new(len);
}

const broker_bus guest_bus = {
    sizeof guest_bus, 0,          subscribe,   unsubscribe, resume,
    settle,           msg_retain, msg_release, guest_admit, guest_on_room,
    guest_publish,    partitions, new_buf,     buf_retain,  buf_release,
};

void guest_subs_end(guest *g)
{
    for (uint32_t i = 1; i < g->subs.cap; i++) {
        broker_sub *s = numbers_get(&g->subs, i);

        if (s == NULL)
            continue;
        s->ended = true;
        atomic_fetch_add(&s->refs, 1);
        s->next = g->ended;
        g->ended = s;
        unsubscribe(s);
    }
}

void guest_subs_quiet(guest *g)
{
    atomic_fetch_add(&g->quieted, 1);
    while (g->ended != NULL) {
        broker_sub *s = g->ended;

        g->ended = s->next;
        sub_unref(s, 1);
    }
}
