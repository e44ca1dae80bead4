/* deliver -- subscriptions: their queues, what they take, what they settle. */
#include "bus/parts.h"

#include "streamr/streamr.h"

/* Settled messages on their way to the loop. */
typedef struct settlement {
    loop_call call;
    broker_sub *sub;
    size_t n;
    sb reasons;
    struct settled {
        const broker_msg *msg;
        int32_t code;
        int64_t reason; /* offset in reasons, or -1 */
    } items[];
} settlement;

/* Of several durable subscribers the worst outcome counts. */
static int rank(int32_t outcome)
{
    static const int ranks[OUTCOMES] = {
        [BROKER_NO_STORE] = 1, [BROKER_DUPLICATE] = 2,    [BROKER_STORED] = 3,
        [BROKER_VARIANT] = 4,  [BROKER_EQUIVOCATION] = 5, [BROKER_UNVERIFIABLE] = 6,
        [BROKER_REJECTED] = 7, [BROKER_DENIED] = 8,       [BROKER_FAILED] = 9,
        [BROKER_FULL] = 10,
    };

    return outcome > 0 && outcome < OUTCOMES ? ranks[outcome] : 0;
}

static void sub_free(broker_sub *s)
{
    free(s->queue);
    free(s);
}

static void sub_free_when_over(broker_sub *s)
{
    if (s->dead && !s->busy && !s->dirty && s->unsettled == 0 && !atomic_load(&s->resume_posted))
        sub_free(s);
}

static void queue_push(broker_sub *s, const broker_msg *m)
{
    if (s->len == s->cap) {
        if (s->head != 0 && s->head >= s->cap / 2) {
            memmove(s->queue, s->queue + s->head, (s->len - s->head) * sizeof(broker_msg *));
            s->len -= s->head;
            s->head = 0;
        }
        if (s->len == s->cap) {
            s->cap = s->cap != 0 ? s->cap * 2 : 256;
            s->queue = must_realloc(s->queue, s->cap * sizeof(broker_msg *));
        }
    }
    msg_retain(m);
    s->queue[s->len++] = m;
}

static void dirty_add(bus *b, broker_sub *s)
{
    if (s->dirty)
        return;
    s->dirty = true;
    s->next_dirty = NULL;
    *b->last_dirty = s;
    b->last_dirty = &s->next_dirty;
}

static broker_sub *dirty_take(bus *b)
{
    broker_sub *s = b->dirty;

    if (s == NULL)
        return NULL;
    b->dirty = s->next_dirty;
    if (b->dirty == NULL)
        b->last_dirty = &b->dirty;
    s->dirty = false;
    return s;
}

void deliver(bus *b, msg *m)
{
    topic_entry *const *entries;
    size_t n, stored_by = 0;

    if (m->m.body != BROKER_BODY_CONTENT) {
        msg_finish(b, m, BROKER_NO_STORE, "key exchange is passed on and not stored");
        return;
    }
    entries = topic_find(b->topic, m->m.stream, m->m.partition, &n);
    for (size_t i = 0; i < n; i++) {
        broker_sub *s = (broker_sub *)entries[i];

        queue_push(s, &m->m);
        dirty_add(b, s);
        if ((s->flags & BROKER_SUB_DURABLE) != 0)
            stored_by++;
    }
    m->waiting_for = (uint32_t)stored_by;
    if (stored_by == 0)
        msg_finish(b, m, BROKER_NO_STORE, NULL);
}

/* What nobody will take any more. */
static void queue_drop(broker_sub *s);

static void sub_flush(broker_sub *s)
{
    s->busy = true;
    while (!s->paused && !s->dead && !s->parked && s->head < s->len) {
        size_t n = s->len - s->head, taken = 0;
        /* The queue may grow, and move, while the subscriber runs. */
        size_t from = s->head;

        CROSS(s->owner, "on_msgs", taken = s->on_msgs(s->self, s->queue + from, n));
        must(taken <= n);
        if ((s->flags & BROKER_SUB_DURABLE) != 0) {
            s->unsettled += taken;
            atomic_fetch_add(&s->owner->messages, (unsigned)taken);
        } else {
            for (size_t i = 0; i < taken; i++)
                msg_release(s->queue[from + i]);
        }
        s->head += taken;
        if (taken < n)
            s->paused = true;
    }
    if (s->dead)
        queue_drop(s);
    if (s->head == s->len)
        s->head = s->len = 0;
    s->busy = false;
}

void deliver_flush(bus *b)
{
    broker_sub *s;

    while ((s = dirty_take(b)) != NULL) {
        if (!s->busy) /* or it goes on by itself */
            sub_flush(s);
        sub_free_when_over(s);
    }
}

static void resume_on_loop(loop_call *call)
{
    broker_sub *s = CONTAINER_OF(call, broker_sub, resume);

    atomic_store(&s->resume_posted, false);
    s->paused = false;
    if (!s->dead)
        sub_flush(s);
    sub_free_when_over(s);
}

void bus_resume(broker_sub *s)
{
    if (!atomic_exchange(&s->resume_posted, true))
        loop_post(s->bus->loop, &s->resume);
}

/* The subscription that the build before had to the same, or NULL. */
static broker_sub *vacant_of(const bus *b, const ledger *owner, const broker_subscription *want)
{
    topic_entry *e = NULL;

    while ((e = topic_same(b->topic, want->stream, want->partition, e)) != NULL) {
        broker_sub *s = (broker_sub *)e;

        if (s->vacant && strcmp(s->owner->name, owner->name) == 0 && s->flags == want->flags)
            return s;
    }
    return NULL;
}

broker_rc bus_subscribe(bus *b, ledger *owner, const broker_subscription *want, broker_sub **out)
{
    broker_sub *s;

    if (want->stream.len == 0 || want->on_msgs == NULL)
        return BROKER_EINVAL;
    s = vacant_of(b, owner, want);
    if (s != NULL) {
        s->owner = owner;
        s->on_msgs = want->on_msgs;
        s->self = want->self;
        s->vacant = s->paused = false;
        *out = s;
        return BROKER_OK;
    }
    s = must_alloc(sizeof *s);
    s->bus = b;
    s->owner = owner;
    s->flags = want->flags;
    s->on_msgs = want->on_msgs;
    s->self = want->self;
    s->resume.fn = resume_on_loop;
    topic_add(b->topic, &s->topic, want->stream, want->partition);
    s->next = b->subs;
    s->at = &b->subs;
    if (s->next != NULL)
        s->next->at = &s->next;
    b->subs = s;
    carry_interest(b, s, true);
    *out = s;
    return BROKER_OK;
}

/* One durable subscriber less to wait for. */
static void msg_settled(bus *b, msg *m, int32_t code, const char *reason)
{
    must(m->waiting_for > 0);
    if (rank(code) > rank(m->outcome)) {
        m->outcome = code;
        /* Borrowed: with several durable subscribers only the last one's text is certain
         * to be there still. */
        m->reason = NULL;
    }
    if (--m->waiting_for == 0)
        msg_finish(b, m, m->outcome, m->outcome == code ? reason : NULL);
}

static void queue_drop(broker_sub *s)
{
    for (; s->head < s->len; s->head++) {
        const broker_msg *m = s->queue[s->head];

        if ((s->flags & BROKER_SUB_DURABLE) != 0)
            msg_settled(s->bus, msg_of(m), BROKER_FAILED, "the store has been closed");
        msg_release(m);
    }
}

void bus_unsubscribe(broker_sub *s)
{
    bus *b = s->bus;

    if (s->dead)
        return;
    if (s->parked) {
        s->vacant = true;
        return;
    }
    *s->at = s->next;
    if (s->next != NULL)
        s->next->at = s->at;
    carry_interest(b, s, false);
    topic_remove(b->topic, &s->topic);
    s->dead = true;
    if (!s->busy) /* inside on_msgs() the flush still counts what was taken */
        queue_drop(s);
    sub_free_when_over(s);
}

static void settle_on_loop(loop_call *call)
{
    settlement *st = CONTAINER_OF(call, settlement, call);
    broker_sub *s = st->sub;

    must(s->unsettled >= st->n); /* more settled than taken */
    for (size_t i = 0; i < st->n; i++) {
        const char *reason =
            st->items[i].reason >= 0 ? st->reasons.data + st->items[i].reason : NULL;

        msg_settled(s->bus, msg_of(st->items[i].msg), st->items[i].code, reason);
        msg_release(st->items[i].msg);
    }
    s->unsettled -= st->n;
    atomic_fetch_sub(&s->owner->messages, (unsigned)st->n);
    sub_free_when_over(s);
    sb_done(&st->reasons);
    free(st);
}

void bus_settle(broker_sub *sub, const broker_msg *const *msgs, const broker_outcome *outcomes,
                size_t n)
{
    settlement *st = must_alloc(sizeof *st + n * sizeof *st->items);
    const char *last = NULL;
    int64_t last_at = -1;

    st->call.fn = settle_on_loop;
    st->sub = sub;
    st->n = n;
    for (size_t i = 0; i < n; i++) {
        const char *reason = outcomes[i].reason;

        must(rank(outcomes[i].code) != 0);
        st->items[i] = (struct settled){msgs[i], outcomes[i].code, -1};
        if (reason == NULL)
            continue;
        if (reason != last) {
            last = reason;
            last_at = (int64_t)st->reasons.len;
            sb_append(&st->reasons, reason, strlen(reason) + 1);
        }
        st->items[i].reason = last_at;
    }
    loop_post(sub->bus->loop, &st->call);
}

/* ---- across a swap ---- */

void bus_park(bus *b, const ledger *owner)
{
    for (broker_sub *s = b->subs; s != NULL; s = s->next)
        s->parked |= s->owner == owner;
    carry_park(b, owner);
    check_park(b, owner);
}

void bus_vacate(bus *b, const ledger *owner, ledger *keeper)
{
    for (broker_sub *s = b->subs; s != NULL; s = s->next)
        if (s->owner == owner) {
            s->parked = s->vacant = true;
            s->owner = keeper;
        }
    carry_vacate(b, owner, keeper);
    check_vacate(b, owner, keeper);
    rooms_forget(b, owner);
}

void bus_go_on(bus *b, const char *name)
{
    for (broker_sub *s = b->subs, *next; s != NULL; s = next) {
        next = s->next;
        if (!s->parked || strcmp(s->owner->name, name) != 0)
            continue;
        s->parked = false;
        if (s->vacant)
            bus_unsubscribe(s);
        else if (!s->paused) /* or it will call resume() itself */
            bus_resume(s);
    }
    carry_go_on(b, name);
    check_go_on(b, name);
}
