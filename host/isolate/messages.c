/* messages -- the bus, for an isolated plugin: what its process subscribes, takes and settles, and
 * what it lets in. [loop] */
#include "isolate/parts.h"

#include "pack/pack.h"

#define FRAMES_MAX 262144u /* of one admission */

static const char lost[] = "the process of the plugin that took it ended; send it again";

/* A subscription. It outlives processes; id 0: the one there is has not asked for it. */
struct feed {
    feed *next;
    standin *s;
    broker_sub *sub;
    uint32_t id, flags, partition;
    char *stream;
    size_t stream_len;
    size_t sent, sent_bytes; /* and not taken */
    bool paused;
    slots taken; /* const broker_msg, not settled */
};

/* What the process lets in: an admission, or a publication (n 0). */
struct intake {
    intake *next; /* of those kept */
    standin *s;
    uint64_t process, id;
    size_t cost;
    broker_buf *buf; /* the bytes lie in; while it is kept */
    uint32_t flags, only_partition, content_type;
    broker_str stream, key, chain; /* of a publication; stream: only_stream too */
    broker_bytes content;
    int64_t timestamp_ms;
    unpacked *map; /* of a publication */
    size_t n;
    broker_frame frames[];
};

/* ---- out: what the bus has for it ---- */

/* Nobody will say what became of it. */
static void settle_taken(feed *f)
{
    for (uint32_t i = 0; i < f->taken.n; i++) {
        const broker_msg *m = f->taken.items[i].what;
        broker_outcome outcome = {BROKER_FAILED, 0, lost};

        if (m != NULL)
            f->s->bus->settle(f->sub, &m, &outcome, 1);
    }
    slots_done(&f->taken);
}

/* A subscription that gets what it asks for from nobody any more. */
static size_t give_up(feed *f, const broker_msg *const *msgs, size_t n)
{
    broker_outcome outcome = {BROKER_FAILED, 0, lost};

    if ((f->flags & BROKER_SUB_DURABLE) == 0 && !f->s->down) {
        f->paused = true; /* it waits for the next build */
        return 0;
    }
    for (size_t i = 0; i < n && (f->flags & BROKER_SUB_DURABLE) != 0; i++)
        f->s->bus->settle(f->sub, &msgs[i], &outcome, 1);
    return n;
}

static bool has_window(const feed *f, size_t len)
{
    return f->sent == 0 || (f->sent < WINDOW_MESSAGES && f->sent_bytes + len <= WINDOW_BYTES);
}

static size_t on_msgs(void *self, const broker_msg *const *msgs, size_t n)
{
    feed *f = self;
    standin *s = f->s;
    sb body = SB_INIT;
    size_t i;

    if (s->draining && s->frames == NULL)
        return give_up(f, msgs, n);
    if (s->stage == QUIET && s->wanted)
        keeper_revive(s);
    if (s->stage != RUNNING || f->id == 0) {
        f->paused = true;
        return 0;
    }
    words_put_u32(&body, f->id);
    for (i = 0; i < n && has_window(f, msgs[i]->raw.len); i++) {
        words_msg m = {0, msgs[i]->origin, msgs[i]->flags, msgs[i]->raw};

        if ((f->flags & BROKER_SUB_DURABLE) != 0)
            m.handle = slots_add(&f->taken, (void *)(uintptr_t)msgs[i]);
        words_put_msg(&body, &m);
        f->sent++;
        f->sent_bytes += m.raw.len;
        if (body.len > FRAME_MAX / 4) {
            standin_send(s, WORD_MSGS, sb_bytes(&body), no_bytes);
            sb_clear(&body);
            words_put_u32(&body, f->id);
        }
    }
    if (body.len > 4)
        standin_send(s, WORD_MSGS, sb_bytes(&body), no_bytes);
    sb_done(&body);
    f->paused = i < n;
    return i;
}

static feed *waiting_feed(standin *s, const broker_subscription *want)
{
    feed *f = s->feeds;

    while (f != NULL && (f->id != 0 || f->flags != want->flags || f->partition != want->partition ||
                         f->stream_len != want->stream.len ||
                         memcmp(f->stream, want->stream.ptr, f->stream_len) != 0))
        f = f->next;
    return f;
}

static broker_rc subscribe(standin *s, broker_subscription *want, feed **out)
{
    feed *f = waiting_feed(s, want);
    broker_rc rc;

    if (f != NULL) {
        *out = f;
        return BROKER_OK;
    }
    f = must_alloc(sizeof *f);
    f->s = s;
    want->on_msgs = on_msgs;
    want->self = f;
    rc = s->bus->subscribe(s->ctx, want, &f->sub);
    if (rc != BROKER_OK) {
        free(f);
        return rc;
    }
    f->flags = want->flags;
    f->partition = want->partition;
    f->stream = must_strndup(want->stream.ptr, want->stream.len);
    f->stream_len = want->stream.len;
    f->next = s->feeds;
    s->feeds = f;
    *out = f;
    return BROKER_OK;
}

fault messages_subscribe(standin *s, broker_bytes body, words_result *r, sb *text)
{
    broker_subscription want = {.size = sizeof want};
    fault wrong = NULL;
    unpacked *u;
    uint64_t id, partition;
    feed *f;

    if (unpack(body.ptr, body.len, &u) != 1)
        return "a subscription is no map";
    id = unpack_uint(unpacked_root(u), "id", 0);
    partition = unpack_uint(unpacked_root(u), "partition", BROKER_ALL_PARTITIONS);
    want.flags = (uint32_t)unpack_uint(unpacked_root(u), "flags", 0);
    want.partition = (uint32_t)partition;
    want.stream.ptr = unpack_bytes(unpacked_root(u), "stream", &want.stream.len);
    if (id == 0 || id >= IDS_MAX || ids_get(&s->feed_ids, (uint32_t)id) != NULL)
        wrong = "a subscription has no id of its own";
    else if ((want.flags & ~BROKER_SUB_DURABLE) != 0 || partition > UINT32_MAX)
        wrong = "a subscription has flags or a partition that there are not";
    else if (want.stream.ptr == NULL || want.stream.len == 0)
        r->rc = BROKER_EINVAL;
    else if (s->stage != STARTING && s->stage != RUNNING)
        r->rc = BROKER_ESTATE;
    else
        r->rc = subscribe(s, &want, &f);
    if (wrong == NULL && r->rc == BROKER_OK) {
        f->id = (uint32_t)id;
        ids_set(&s->feed_ids, f->id, f);
    } else if (wrong == NULL) {
        sb_puts(text, "it cannot be subscribed now");
        r->bytes = sb_bytes(text);
    }
    unpacked_free(u);
    return wrong;
}

static fault took(standin *s, view *v)
{
    uint32_t id, n, bytes;
    feed *f;

    if (!view_u32be(v, &id) || !view_u32be(v, &n) || !view_u32be(v, &bytes) || view_left(v) != 0)
        return "it is not as long as it must be";
    f = ids_get(&s->feed_ids, id);
    if (f == NULL)
        return NULL; /* it crossed the end of the subscription */
    if (n > f->sent || bytes > f->sent_bytes)
        return "more was taken than was sent";
    f->sent -= n;
    f->sent_bytes -= bytes;
    if (f->paused && f->sent <= WINDOW_MESSAGES / 2 && f->sent_bytes <= WINDOW_BYTES / 2) {
        f->paused = false;
        s->bus->resume(f->sub);
    }
    return NULL;
}

#define SETTLE_MAX 256u

static fault settle(standin *s, view *v)
{
    const broker_msg *msgs[SETTLE_MAX];
    broker_outcome outcomes[SETTLE_MAX];
    words_outcome o;
    fault wrong = NULL;
    size_t n = 0;
    uint32_t id;
    feed *f;

    if (!view_u32be(v, &id))
        return "it has no subscription";
    f = ids_get(&s->feed_ids, id);
    if (f == NULL)
        return NULL; /* settled when the subscription ended */
    while (wrong == NULL && view_left(v) != 0) {
        if (!words_read_outcome(v, &o))
            wrong = "an outcome cannot be read";
        else if ((msgs[n] = slots_take(&f->taken, o.handle)) == NULL)
            wrong = "a message is settled that is not there";
        else
            outcomes[n++] = o.outcome;
        /* Also before a fault: what was taken out of the table has no other way to its outcome. */
        if (n == SETTLE_MAX || (n != 0 && (wrong != NULL || view_left(v) == 0))) {
            s->bus->settle(f->sub, msgs, outcomes, n);
            n = 0;
        }
    }
    return wrong;
}

static void feed_free(feed *f)
{
    standin *s = f->s;
    feed **at = &s->feeds;

    while (*at != f)
        at = &(*at)->next;
    *at = f->next;
    if (f->id != 0)
        ids_set(&s->feed_ids, f->id, NULL);
    slots_done(&f->taken);
    free(f->stream);
    free(f);
}

static void unsubscribe(feed *f)
{
    settle_taken(f);
    f->s->bus->unsubscribe(f->sub);
    feed_free(f);
}

/* ---- in: what it has for the bus ---- */

static void intake_free(intake *in)
{
    buf_release(in->buf);
    unpacked_free(in->map);
    free(in);
}

static bool is_current(const intake *in)
{
    return in->process == in->s->process && in->s->frames != NULL;
}

static void window_free(intake *in)
{
    standin *s = in->s;

    s->under_way -= in->cost < s->under_way ? in->cost : s->under_way;
}

static void on_admitted(void *arg, const broker_outcome *outcomes, size_t n)
{
    intake *in = arg;
    sb body = SB_INIT;

    if (is_current(in)) {
        words_put_u64(&body, in->id);
        for (size_t i = 0; i < n; i++)
            words_put_outcome(&body, &(words_outcome){0, outcomes[i]});
        window_free(in);
        standin_send(in->s, WORD_OUTCOMES, sb_bytes(&body), no_bytes);
    }
    sb_done(&body);
    intake_free(in);
}

static void on_published(void *arg, const broker_msg *msg, const broker_outcome *outcome)
{
    intake *in = arg;
    sb body = SB_INIT;

    if (is_current(in)) {
        words_put_u64(&body, in->id);
        words_put_outcome(&body, &(words_outcome){0, *outcome});
        words_put_u8(&body, msg != NULL);
        if (msg != NULL)
            words_put_msg(&body, &(words_msg){0, msg->origin, msg->flags, msg->raw});
        window_free(in);
        standin_send(in->s, WORD_PUBLISHED, sb_bytes(&body), no_bytes);
    }
    sb_done(&body);
    intake_free(in);
}

/* The bus refuses it. */
static void refused(intake *in, broker_rc rc)
{
    broker_outcome o = {rc == BROKER_EDENIED  ? BROKER_DENIED
                        : rc == BROKER_EINVAL ? BROKER_REJECTED
                                              : BROKER_FAILED,
                        0, rc == BROKER_EDENIED ? "this node has no key to sign with" : NULL};
    broker_outcome *all;

    if (in->n == 0) {
        on_published(in, NULL, &o);
        return;
    }
    all = must_alloc(in->n * sizeof *all);
    for (size_t i = 0; i < in->n; i++)
        all[i] = o;
    on_admitted(in, all, in->n);
    free(all);
}

static broker_rc intake_offer(intake *in)
{
    standin *s = in->s;
    broker_admission a = {.size = sizeof a,
                          .flags = in->flags,
                          .frames = in->frames,
                          .n = in->n,
                          .only_stream = in->stream,
                          .only_partition = in->only_partition,
                          .done = on_admitted,
                          .arg = in};
    broker_publication p = {.size = sizeof p,
                            .stream = in->stream,
                            .partition = in->only_partition,
                            .content_type = in->content_type,
                            .key = in->key,
                            .chain = in->chain,
                            .timestamp_ms = in->timestamp_ms,
                            .content = in->content,
                            .done = on_published,
                            .arg = in};

    return in->n != 0 ? s->bus->admit(s->ctx, &a) : s->bus->publish(s->ctx, &p);
}

static void on_room(void *arg);

static void ask_for_room(standin *s)
{
    if (s->room_asked)
        return;
    s->room_asked = true;
    s->bus->on_room(s->ctx, on_room, s);
}

static void on_room(void *arg)
{
    standin *s = arg;

    s->room_asked = false;
    while (s->kept != NULL) {
        intake *in = s->kept, *next = in->next;
        broker_rc rc = intake_offer(in);

        if (rc == BROKER_AGAIN) {
            ask_for_room(s);
            return;
        }
        s->kept = next;
        if (next == NULL)
            s->kept_end = &s->kept;
        if (rc != BROKER_OK)
            refused(in, rc);
    }
}

/* In order: behind what is kept already. */
static fault intake_begin(intake *in)
{
    standin *s = in->s;
    broker_rc rc = BROKER_AGAIN;

    if (s->under_way > WINDOW_INPUT) {
        intake_free(in);
        return "more is let in than there is a window for";
    }
    s->under_way += in->cost;
    if (s->kept == NULL)
        rc = intake_offer(in);
    if (rc == BROKER_AGAIN) {
        in->next = NULL;
        *s->kept_end = in;
        s->kept_end = &in->next;
        ask_for_room(s);
    } else if (rc != BROKER_OK) {
        refused(in, rc);
    }
    return NULL;
}

static intake *intake_new(standin *s, uint64_t id, broker_buf *buf, size_t n)
{
    intake *in = must_alloc(sizeof *in + n * sizeof *in->frames);

    in->s = s;
    in->process = s->process;
    in->id = id;
    in->n = n;
    in->buf = buf;
    buf_retain(buf);
    return in;
}

static fault admit(standin *s, broker_buf *buf, broker_bytes body)
{
    view v = view_of(body.ptr, body.len), frames;
    words_admission a;
    broker_bytes raw;
    size_t n = 0;
    intake *in;

    if (!words_read_admission(&v, &a))
        return "an admission cannot be read";
    if ((a.flags & ~BROKER_ADMIT_CARRY) != 0)
        return "an admission has flags that there are not";
    frames = v;
    while (words_read_bytes(&v, &raw))
        n++;
    if (n == 0 || n > FRAMES_MAX || view_left(&v) != 0)
        return "the frames of an admission cannot be read";
    in = intake_new(s, a.id, buf, n);
    in->flags = a.flags;
    in->only_partition = a.only_partition;
    in->stream = a.only_stream;
    for (size_t i = 0; i < n; i++) {
        words_read_bytes(&frames, &raw);
        in->cost += INPUT_COST(raw.len);
        in->frames[i].raw = raw;
    }
    /* The bus keeps the block, unless little of it is messages. */
    for (size_t i = 0; i < n && in->cost >= buf->len / 4; i++)
        in->frames[i].buf = buf;
    return intake_begin(in);
}

static broker_str text_at(const unpacked_map *m, const char *key)
{
    size_t len = 0;
    const char *ptr = unpack_bytes(m, key, &len);

    return (broker_str){ptr, ptr != NULL ? len : 0};
}

static fault publish(standin *s, broker_buf *buf, broker_bytes body)
{
    const unpacked_map *m;
    broker_str content;
    unpacked *u;
    intake *in;

    if (unpack(body.ptr, body.len, &u) != 1)
        return "a publication is no map";
    m = unpacked_root(u);
    in = intake_new(s, unpack_uint(m, "id", 0), buf, 0);
    in->map = u;
    in->only_partition = (uint32_t)unpack_uint(m, "partition", BROKER_ALL_PARTITIONS);
    in->content_type = (uint32_t)unpack_uint(m, "contentType", 0);
    in->timestamp_ms = unpack_int(m, "timestamp", 0);
    in->stream = text_at(m, "stream");
    in->key = text_at(m, "key");
    in->chain = text_at(m, "chain");
    content = text_at(m, "content");
    in->content = (broker_bytes){(const uint8_t *)content.ptr, content.len};
    in->cost = INPUT_COST(content.len);
    if (unpack_uint(m, "flags", 0) != 0 || in->content_type > BROKER_CONTENT_BINARY) {
        intake_free(in);
        return "a publication has flags or a type that there are not";
    }
    return intake_begin(in);
}

/* ---- words ---- */

fault messages_word(standin *s, uint8_t word, broker_buf *buf, broker_bytes body)
{
    view v = view_of(body.ptr, body.len);
    uint32_t id;
    feed *f;

    switch (word) {
    case WORD_TOOK:
        return took(s, &v);
    case WORD_SETTLE:
        return settle(s, &v);
    case WORD_ADMIT:
        return admit(s, buf, body);
    case WORD_PUBLISH:
        return publish(s, buf, body);
    default:
        if (!view_u32be(&v, &id) || view_left(&v) != 0)
            return "it is not as long as it must be";
        f = ids_get(&s->feed_ids, id);
        if (f != NULL)
            unsubscribe(f);
        return NULL;
    }
}

/* ---- ends ---- */

void messages_lost(standin *s)
{
    for (feed *f = s->feeds; f != NULL; f = f->next) {
        settle_taken(f);
        f->sent = f->sent_bytes = 0;
        f->id = 0;
    }
    ids_done(&s->feed_ids);
    while (s->kept != NULL) {
        intake *in = s->kept;

        s->kept = in->next;
        intake_free(in);
    }
    s->kept_end = &s->kept;
    s->under_way = 0;
}

void messages_go_on(standin *s)
{
    s->draining = false;
    for (feed *f = s->feeds, *next; f != NULL; f = next) {
        next = f->next;
        if (f->id == 0) {
            unsubscribe(f);
        } else if (f->paused) {
            f->paused = false;
            s->bus->resume(f->sub);
        }
    }
}

void messages_drain(standin *s)
{
    for (feed *f = s->feeds; f != NULL; f = f->next)
        if (f->paused && ((f->flags & BROKER_SUB_DURABLE) != 0 || s->down)) {
            f->paused = false;
            s->bus->resume(f->sub);
        }
}

void messages_forget(standin *s)
{
    messages_lost(s);
    while (s->feeds != NULL)
        feed_free(s->feeds);
    s->room_asked = false;
}

void messages_done(standin *s)
{
    messages_forget(s);
}
