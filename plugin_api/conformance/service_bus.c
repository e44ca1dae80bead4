/* service_bus -- "broker.bus/1" of the kit: deliveries, settlements, admissions. */
#include "message.h"

#include "streamr/streamr.h"

#define SUB       0x73756273u
#define ADMISSION 0x61646d69u
#define BATCH     8u

struct broker_sub {
    object o;
    char *pattern;
    size_t pattern_len;
    uint32_t partition, flags;
    broker_on_msgs on_msgs;
    void *self;
    bool ended, posted;       /* [loop] */
    bool delivering;          /* [loop] inside on_msgs() */
    bool paused;              /* under the kit's lock */
    unsigned resumed;         /* under the kit's lock */
    const broker_msg **queue; /* [loop] not delivered yet */
    size_t n_queue;
    struct delivery *deliveries; /* durable only; under the kit's lock */
};

/* A message that a durable subscription was offered. */
typedef struct delivery {
    struct delivery *next;
    message *m;
    bool settled;
} delivery;

/* ---- deliveries ---- */

static void sub_free(object *o)
{
    broker_sub *s = CONTAINER_OF(o, broker_sub, o);

    while (s->deliveries != NULL) {
        delivery *d = s->deliveries;

        s->deliveries = d->next;
        free(d);
    }
    free(s->queue);
    free(s->pattern);
    free(s);
}

static void offered(broker_sub *s, const broker_msg *msg)
{
    delivery *d = must_alloc(sizeof *d);

    d->m = CONTAINER_OF((broker_msg *)(uintptr_t)msg, message, m);
    message_take(d->m); /* until settled */
    pthread_mutex_lock(&s->o.kit->lock);
    d->next = s->deliveries;
    s->deliveries = d;
    pthread_mutex_unlock(&s->o.kit->lock);
    atomic_fetch_add(&s->o.kit->unsettled, 1);
}

/* Marks the delivery as settled. False: there is none that is open. */
static bool settled(broker_sub *s, const message *m)
{
    bool found = false;

    pthread_mutex_lock(&s->o.kit->lock);
    for (delivery *d = s->deliveries; d != NULL && !found; d = d->next)
        if (d->m == m && !d->settled)
            found = d->settled = true;
    pthread_mutex_unlock(&s->o.kit->lock);
    if (!found)
        return false;
    atomic_fetch_sub(&s->o.kit->unsettled, 1);
    return true;
}

static void queue_drop(broker_sub *s)
{
    for (size_t i = 0; i < s->n_queue; i++)
        message_drop((broker_msg *)(uintptr_t)s->queue[i]);
    s->n_queue = 0;
}

static void sub_deliver(void *arg)
{
    broker_sub *s = arg;
    bool paused = false;

    s->posted = false;
    while (!s->ended && !paused && s->n_queue != 0) {
        size_t n = s->n_queue < BATCH ? s->n_queue : BATCH, taken = 0;
        const broker_msg *msgs[BATCH];
        unsigned resumed;

        memcpy(msgs, s->queue, n * sizeof *msgs);
        if ((s->flags & BROKER_SUB_DURABLE) != 0)
            for (size_t i = 0; i < n; i++)
                offered(s, msgs[i]);
        pthread_mutex_lock(&s->o.kit->lock);
        resumed = s->resumed;
        pthread_mutex_unlock(&s->o.kit->lock);
        s->delivering = true;
        CROSS("on_msgs", taken = s->on_msgs(s->self, msgs, n));
        s->delivering = false;
        if (taken > n) {
            finding("on_msgs() was given %zu messages and says it took %zu", n, taken);
            taken = n;
        }
        pthread_mutex_lock(&s->o.kit->lock);
        s->paused = taken < n && resumed == s->resumed;
        paused = s->paused;
        pthread_mutex_unlock(&s->o.kit->lock);
        for (size_t i = taken; (s->flags & BROKER_SUB_DURABLE) != 0 && i < n; i++)
            if (settled(s, CONTAINER_OF((broker_msg *)(uintptr_t)msgs[i], message, m)))
                message_drop((broker_msg *)(uintptr_t)msgs[i]);
            else
                finding("bus.settle() was called for a message that on_msgs() did not take");
        for (size_t i = 0; i < taken; i++)
            message_drop((broker_msg *)(uintptr_t)msgs[i]);
        s->n_queue -= taken;
        memmove(s->queue, s->queue + taken, s->n_queue * sizeof *s->queue);
        if (s->ended)
            queue_drop(s);
    }
}

static void sub_post(broker_sub *s)
{
    if (!s->posted)
        kit_post(sub_deliver, s);
    s->posted = true;
}

static void sub_resumed(void *arg)
{
    broker_sub *s = arg;

    if (!s->posted)
        sub_deliver(s);
}

static void sub_end(broker_sub *s)
{
    s->ended = true;
    if (!s->delivering) /* or the plugin still looks at them: sub_deliver() does it */
        queue_drop(s);
}

static void sub_queue(broker_sub *s, uint32_t partition, unsigned kind)
{
    broker_msg *m =
        message_new(s->o.kit, (broker_str){s->pattern, s->pattern_len}, partition, kind);

    if (m == NULL)
        return;
    s->queue = must_realloc(s->queue, (s->n_queue + 1) * sizeof *s->queue);
    s->queue[s->n_queue++] = m;
}

/* ---- the table ---- */

static broker_rc subscribe(broker_ctx *ctx, const broker_subscription *want, broker_sub **out)
{
    kit *k = kit_of(ctx);
    broker_sub *s;

    if (called(k, CALL_bus_subscribe))
        return refuse(k, CALL_bus_subscribe);
    if (want == NULL || out == NULL ||
        !size_is_said(want->size, sizeof *want, "broker_subscription"))
        return BROKER_EINVAL;
    if (want->on_msgs == NULL || want->stream.len == 0) {
        finding("bus.subscribe() was given no %s", want->on_msgs == NULL ? "on_msgs" : "stream");
        return BROKER_EINVAL;
    }
    s = must_alloc(sizeof *s);
    s->pattern = must_strndup(want->stream.ptr, want->stream.len);
    s->pattern_len = want->stream.len;
    s->partition = want->partition;
    s->flags = want->flags;
    s->on_msgs = want->on_msgs;
    s->self = want->self;
    object_init(k, &s->o, SUB, sub_free);
    *out = s;
    return BROKER_OK;
}

static void unsubscribe(broker_sub *s)
{
    if (called_on(s, SUB, CALL_bus_unsubscribe) == NULL)
        return;
    if (s->ended)
        finding("bus.unsubscribe() was called twice on one subscription, or after quiesce(), when "
                "the host had ended it");
    sub_end(s);
}

static void resume(broker_sub *s)
{
    if (called_on(s, SUB, CALL_bus_resume) == NULL)
        return;
    pthread_mutex_lock(&s->o.kit->lock);
    s->paused = false;
    s->resumed++;
    pthread_mutex_unlock(&s->o.kit->lock);
    kit_post(sub_resumed, s);
}

static void settle(broker_sub *s, const broker_msg *const *msgs, const broker_outcome *outcomes,
                   size_t n)
{
    if (called_on(s, SUB, CALL_bus_settle) == NULL)
        return;
    if ((s->flags & BROKER_SUB_DURABLE) == 0) {
        finding("bus.settle() was called on a subscription that is not durable");
        return;
    }
    for (size_t i = 0; i < n; i++) {
        message *m = message_of(msgs[i], CALL_bus_settle);

        if (m == NULL)
            continue;
        if (outcomes[i].code < BROKER_STORED || outcomes[i].code > BROKER_FULL)
            finding("bus.settle() was given the outcome %d, which is none", outcomes[i].code);
        if (settled(s, m))
            message_drop(&m->m);
        else
            finding("a message was settled twice, or without having been taken");
    }
}

/* ---- in: admissions and publications ---- */

typedef struct admission {
    object o;
    size_t n;
    broker_outcome *outcomes;
    void (*done)(void *arg, const broker_outcome *outcomes, size_t n);
    void (*published)(void *arg, const broker_msg *msg, const broker_outcome *outcome);
    void (*room)(void *arg);
    void *arg;
    broker_msg *msg;
} admission;

static void admission_free(object *o)
{
    free(CONTAINER_OF(o, admission, o)->outcomes);
    free(CONTAINER_OF(o, admission, o));
}

static void admission_done(void *arg)
{
    admission *a = arg;

    if (a->done != NULL)
        CROSS("done", a->done(a->arg, a->outcomes, a->n));
    if (a->published != NULL)
        CROSS("done", a->published(a->arg, a->msg, a->outcomes));
    if (a->room != NULL)
        CROSS("room", a->room(a->arg));
    if (a->msg != NULL)
        message_drop(a->msg);
    atomic_fetch_sub(&a->o.kit->admissions, 1);
}

static admission *admission_new(kit *k, size_t n, void *arg)
{
    admission *a = must_alloc(sizeof *a);

    a->n = n;
    a->outcomes = must_alloc((n + 1) * sizeof *a->outcomes);
    a->arg = arg;
    object_init(k, &a->o, ADMISSION, admission_free);
    atomic_fetch_add(&k->admissions, 1);
    return a;
}

/* One of all there are, in turn. */
static broker_outcome outcome_next(kit *k)
{
    static const broker_outcome all[] = {
        {BROKER_STORED, 0, NULL},           {BROKER_DUPLICATE, 0, NULL},
        {BROKER_REJECTED, 0, "the kit"},    {BROKER_NO_STORE, 0, NULL},
        {BROKER_FAILED, 0, "the kit"},      {BROKER_VARIANT, 0, NULL},
        {BROKER_EQUIVOCATION, 0, NULL},     {BROKER_UNVERIFIABLE, 0, NULL},
        {BROKER_DENIED, 0, "the kit"},      {BROKER_FULL, 0, "the kit"},
        {BROKER_FULL + 1, 0, "a new code"},
    };

    return all[k->outcome++ % COUNT_OF(all)];
}

static broker_rc admit(broker_ctx *ctx, const broker_admission *what)
{
    kit *k = kit_of(ctx);
    admission *a;

    if (called(k, CALL_bus_admit))
        return refuse(k, CALL_bus_admit);
    if (what == NULL || !size_is_said(what->size, sizeof *what, "broker_admission"))
        return BROKER_EINVAL;
    if (what->origin != 0 && what->origin != k->origin)
        finding("bus.admit() was given an origin that transport.attach() did not give");
    a = admission_new(k, what->n, what->arg);
    a->done = what->done;
    for (size_t i = 0; i < what->n; i++) {
        const broker_frame *f = &what->frames[i];
        broker_msg m;

        if (f->buf != NULL && !buffer_has(f->buf, f->raw))
            finding("bus.admit() was given a frame whose bytes do not lie in its buffer");
        a->outcomes[i] = outcome_next(k);
        if (streamr_decode(f->raw.ptr, f->raw.len, &m) != NULL)
            a->outcomes[i] = (broker_outcome){BROKER_REJECTED, 0, "malformed"};
    }
    kit_post_late(admission_done, a);
    return BROKER_OK;
}

static broker_rc on_room(broker_ctx *ctx, void (*room)(void *arg), void *arg)
{
    kit *k = kit_of(ctx);
    admission *a;

    if (called(k, CALL_bus_on_room))
        return refuse(k, CALL_bus_on_room);
    if (room == NULL)
        return BROKER_EINVAL;
    a = admission_new(k, 0, arg);
    a->room = room;
    kit_post_late(admission_done, a);
    return BROKER_OK;
}

static broker_rc publish(broker_ctx *ctx, const broker_publication *what)
{
    kit *k = kit_of(ctx);
    admission *a;

    if (called(k, CALL_bus_publish))
        return refuse(k, CALL_bus_publish);
    if (what == NULL || !size_is_said(what->size, sizeof *what, "broker_publication"))
        return BROKER_EINVAL;
    if (what->stream.len == 0 || (what->content.len != 0 && what->content.ptr == NULL)) {
        finding("bus.publish() was given no %s", what->stream.len == 0 ? "stream" : "content");
        return BROKER_EINVAL;
    }
    if (what->flags != 0)
        finding("bus.publish() was given flags; they are zero");
    a = admission_new(k, 1, what->arg);
    a->published = what->done;
    a->outcomes[0] = outcome_next(k);
    if (a->outcomes[0].code != BROKER_REJECTED && a->outcomes[0].code != BROKER_DENIED &&
        streamr_stream_id_check(what->stream.ptr, what->stream.len) == NULL)
        a->msg = message_new(k, what->stream, 0, 0);
    if (a->msg == NULL)
        a->outcomes[0] = (broker_outcome){BROKER_REJECTED, 0, "the kit"};
    kit_post_late(admission_done, a);
    return BROKER_OK;
}

static uint32_t partitions(broker_ctx *ctx, broker_str stream)
{
    if (called(kit_of(ctx), CALL_bus_partitions))
        return 0;
    return stream.len % 2 == 0 ? 0 : 3; /* half of them are not known */
}

const broker_bus kit_bus = {
    sizeof kit_bus,  0,     subscribe, unsubscribe, resume,     settle,       message_retain,
    message_release, admit, on_room,   publish,     partitions, buffer_grant, buffer_retain,
    buffer_release,
};

/* ---- for checks ---- */

void bus_begin(kit *k, unsigned rounds)
{
    for (object *o = k->objects; o != NULL; o = o->next) {
        broker_sub *s = CONTAINER_OF(o, broker_sub, o);

        if (o->magic != SUB || s->ended)
            continue;
        for (unsigned i = 0; i < rounds * MESSAGE_KINDS; i++)
            sub_queue(s, s->partition == BROKER_ALL_PARTITIONS ? i % 3 : s->partition, i);
        sub_post(s);
    }
}

void bus_traffic(kit *k, unsigned rounds)
{
    bus_begin(k, rounds);
    kit_run(60000);
    for (object *o = k->objects; o != NULL; o = o->next) {
        broker_sub *s = CONTAINER_OF(o, broker_sub, o);

        if (o->magic == SUB && !s->ended && s->n_queue != 0)
            finding("on_msgs() took fewer messages of '%s' than offered and bus.resume() did not "
                    "follow within a minute",
                    s->pattern);
    }
}

void kit_forget_bus(kit *k)
{
    for (object *o = k->objects; o != NULL; o = o->next)
        if (o->magic == SUB)
            sub_end(CONTAINER_OF(o, broker_sub, o));
}
