/* bus -- admission, verification, order. See bus.h.
 *
 * A message is found in `slots` from admission until it has its outcome; an
 * identical one that arrives meanwhile joins it instead of being checked again. */
#include "bus/parts.h"

#include "eth/eth.h"
#include "streamr/streamr.h"

#define SLOTS 16384u

static const char *const outcome_names[OUTCOMES] = {
    [BROKER_STORED] = "stored",     [BROKER_DUPLICATE] = "duplicate",
    [BROKER_VARIANT] = "variant",   [BROKER_EQUIVOCATION] = "equivocation",
    [BROKER_REJECTED] = "rejected", [BROKER_UNVERIFIABLE] = "unverifiable",
    [BROKER_NO_STORE] = "no_store", [BROKER_FAILED] = "failed",
    [BROKER_DENIED] = "denied",     [BROKER_FULL] = "full",
};

static const char *label(char *to, size_t len, const char *name, const char *value)
{
    snprintf(to, len, "%s=\"%s\"", name, value);
    return to;
}

static void metrics_make(bus *b)
{
    static const double seconds[] = {0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.25, 1};
    char text[64];

    for (int i = BROKER_STORED; i < OUTCOMES; i++)
        b->outcomes[i] = metrics_counter("bus_messages_total",
                                         label(text, sizeof text, "outcome", outcome_names[i]),
                                         "Messages by what became of them.");
    for (int i = REFUSAL_NONE + 1; i < REFUSAL_KINDS; i++)
        b->refusals[i] = metrics_counter("bus_refused_total",
                                         label(text, sizeof text, "reason", refusal_names[i]),
                                         "Messages that were not let in, by reason.");
    b->verify_seconds =
        metrics_histogram("bus_batch_verify_seconds", NULL,
                          "Time to check the signatures of one batch.", seconds, COUNT_OF(seconds));
    b->in_flight_messages =
        metrics_gauge("bus_in_flight_messages", NULL, "Messages admitted and not yet released.");
    b->in_flight_bytes =
        metrics_gauge("bus_in_flight_bytes", NULL, "Bytes admitted and not yet released.");
}

static void metrics_set(void *arg)
{
    bus *b = arg;

    metric_set(b->in_flight_messages, (double)atomic_load(&b->messages));
    metric_set(b->in_flight_bytes, (double)atomic_load(&b->bytes));
}

/* ---- room ---- */

static bool has_room(const bus *b, size_t messages, size_t bytes)
{
    size_t in_flight = atomic_load(&b->messages);

    /* One admission of any size is let in when there is nothing else. */
    return in_flight == 0 || (in_flight + messages <= b->options.max_messages &&
                              atomic_load(&b->bytes) + bytes <= b->options.max_bytes);
}

static void rooms_call(loop_call *call)
{
    bus *b = CONTAINER_OF(call, bus, room);
    room_call *r;

    atomic_store(&b->room_posted, false);
    atomic_store(&b->room_wanted, false);
    r = b->rooms;
    b->rooms = NULL;
    while (r != NULL) {
        room_call *next = r->next;

        CROSS(r->owner, "on_room", r->room(r->arg));
        free(r);
        r = next;
    }
}

static void room_check(bus *b)
{
    if (atomic_load(&b->room_wanted) && atomic_load(&b->messages) <= b->options.max_messages / 2 &&
        atomic_load(&b->bytes) <= b->options.max_bytes / 2 &&
        !atomic_exchange(&b->room_posted, true))
        loop_post(b->loop, &b->room);
}

broker_rc bus_on_room(bus *b, ledger *owner, void (*room)(void *arg), void *arg)
{
    room_call *r = must_alloc(sizeof *r);

    *r = (room_call){b->rooms, owner, room, arg};
    b->rooms = r;
    atomic_store(&b->room_wanted, true);
    room_check(b); /* it may have become free between AGAIN and now */
    return BROKER_OK;
}

void rooms_forget(bus *b, const ledger *owner)
{
    for (room_call **at = &b->rooms; *at != NULL;) {
        room_call *r = *at;

        if (r->owner == owner) {
            *at = r->next;
            free(r);
        } else {
            at = &r->next;
        }
    }
}

static void batch_freed(msg_batch *batch)
{
    bus *b = batch->owner;

    atomic_fetch_sub(&b->bytes, batch->bytes);
    atomic_fetch_sub(&b->messages, batch->n);
    room_check(b);
}

void bus_account(bus *b, msg_batch *batch, size_t bytes)
{
    batch->owner = b;
    batch->on_free = batch_freed;
    batch->bytes = bytes;
    atomic_fetch_add(&b->bytes, bytes);
    atomic_fetch_add(&b->messages, batch->n);
}

/* ---- tickets ---- */

ticket *ticket_new(ledger *owner, size_t n)
{
    ticket *t;

    if (n > SIZE_MAX / sizeof *t->outcomes / 2)
        return NULL;
    t = calloc(1, sizeof *t + n * sizeof *t->outcomes);
    if (t == NULL)
        return NULL;
    t->owner = owner;
    t->n = t->left = n;
    t->only_partition = BROKER_ALL_PARTITIONS;
    atomic_fetch_add(&owner->admissions, 1);
    return t;
}

static const char *ticket_own(ticket *t, const char *reason)
{
    if (t->n_owned != 0 && strcmp(t->owned[t->n_owned - 1], reason) == 0)
        return t->owned[t->n_owned - 1];
    t->owned = must_realloc(t->owned, (t->n_owned + 1) * sizeof *t->owned);
    t->owned[t->n_owned] = must_strdup(reason);
    return t->owned[t->n_owned++];
}

void ticket_end(ticket *t, const broker_msg *published)
{
    if (t->published != NULL)
        CROSS(t->owner, "published", t->published(t->arg, published, &t->outcomes[0]));
    else if (t->done != NULL)
        CROSS(t->owner, "admitted", t->done(t->arg, t->outcomes, t->n));
    atomic_fetch_sub(&t->owner->admissions, 1);
    for (size_t i = 0; i < t->n_owned; i++)
        free(t->owned[i]);
    free(t->owned);
    free(t->only_stream);
    free(t);
}

/* ---- bytes in flight ---- */

static bool same_filter(const ticket *a, const ticket *b)
{
    return a->only_partition == b->only_partition && a->only_stream_len == b->only_stream_len &&
           (a->only_stream_len == 0 ||
            memcmp(a->only_stream, b->only_stream, a->only_stream_len) == 0);
}

/* The identical message in flight, or NULL and m is in the table now. */
static msg *join(bus *b, msg *m)
{
    msg **slot = &b->slots[m->hash & (SLOTS - 1)];

    for (msg *other = *slot; other != NULL; other = other->same_slot)
        if (other->hash == m->hash && other->raw.len == m->raw.len &&
            memcmp(other->raw.ptr, m->raw.ptr, m->raw.len) == 0 &&
            same_filter(other->ticket, m->ticket))
            return other;
    m->same_slot = *slot;
    *slot = m;
    m->in_flight = true;
    return NULL;
}

static void leave(bus *b, msg *m)
{
    msg **at = &b->slots[m->hash & (SLOTS - 1)];

    if (!m->in_flight)
        return;
    while (*at != m)
        at = &(*at)->same_slot;
    *at = m->same_slot;
    m->in_flight = false;
}

static void finish_one(bus *b, msg *m, int32_t outcome, const char *reason)
{
    ticket *t = m->ticket;

    b->unanswered--;
    metric_add(b->outcomes[outcome], 1);
    if (t != NULL) {
        t->outcomes[m->index].code = outcome;
        t->outcomes[m->index].reason = reason != NULL ? ticket_own(t, reason) : NULL;
        if (--t->left == 0)
            ticket_end(t, m->m.raw.ptr != NULL ? &m->m : NULL);
    }
    msg_release(&m->m);
}

void msg_finish(bus *b, msg *m, int32_t outcome, const char *reason)
{
    msg *follower = m->follower;
    int32_t theirs = outcome == BROKER_STORED ? BROKER_DUPLICATE : outcome;

    leave(b, m);
    m->follower = NULL;
    while (follower != NULL) {
        msg *next = follower->follower;

        finish_one(b, follower, theirs, reason);
        follower = next;
    }
    finish_one(b, m, outcome, reason);
}

/* ---- verification ---- */

static const char *misplaced(const ticket *t, const broker_msg *m)
{
    if (t->only_stream != NULL && (t->only_stream_len != m->stream.len ||
                                   memcmp(t->only_stream, m->stream.ptr, m->stream.len) != 0))
        return "belongs to another stream";
    if (t->only_partition != BROKER_ALL_PARTITIONS && t->only_partition != m->partition)
        return "belongs to another partition";
    return NULL;
}

/* [worker] */
static void msg_check(bus *b, msg *m, int64_t now_ms)
{
    uint64_t origin = m->m.origin;
    broker_bytes raw = m->m.raw;
    refusal kind = REFUSAL_MISPLACED;
    const char *why = policy_decode(raw, &m->m, &kind);

    m->m.raw = raw;
    m->m.origin = origin;
    if (why == NULL && (why = misplaced(m->ticket, &m->m)) != NULL)
        kind = REFUSAL_MISPLACED;
    if (why == NULL)
        why = policy_check(&b->options.policy, &m->m, now_ms, &kind);
    if (why == NULL) {
        m->needs = check_needs_signature(b, &m->m);
        if (m->needs == 0)
            why = policy_verify(&b->options.policy, &m->m, &kind);
        m->needs |= check_needs_right(b, &m->m);
    }
    if (why == NULL)
        return;
    m->outcome = refusal_outcome(kind);
    m->reason = why;
    metric_add(b->refusals[kind], 1);
}

/* [worker] */
static void batch_verify(job *j)
{
    msg_batch *batch = CONTAINER_OF(j, struct msg_batch, job);
    bus *b = batch->owner;
    uint64_t start = clock_mono_ns();
    int64_t now_ms = clock_wall_ms();

    for (uint32_t i = 0; i < batch->n; i++)
        if (!batch->msgs[i].joined)
            msg_check(b, &batch->msgs[i], now_ms);
    metric_observe(b->verify_seconds, (double)(clock_mono_ns() - start) / 1e9);
}

static void batch_carry(bus *b, const msg_batch *batch)
{
    const broker_msg *out[BATCH_MAX];
    size_t n = 0;

    for (uint32_t i = 0; b->carriers != NULL && i < batch->n; i++) {
        const msg *m = &batch->msgs[i];

        if (m->carry && !m->joined && m->outcome == 0 && m->needs == 0)
            out[n++] = &m->m;
    }
    if (n != 0)
        carry(b, out, n);
}

static void batch_dispatch(bus *b, msg_batch *batch)
{
    batch_carry(b, batch);
    for (uint32_t i = 0; i < batch->n; i++) {
        msg *m = &batch->msgs[i];

        if (m->joined)
            continue; /* the one it joined speaks for it */
        if (m->outcome != 0)
            msg_finish(b, m, m->outcome, m->reason);
        else if (m->needs != 0)
            check_add(b, m);
        else
            deliver(b, m);
    }
    batch_release(batch);
}

static void batch_ready(job *j)
{
    msg_batch *batch = CONTAINER_OF(j, struct msg_batch, job);
    bus *b = batch->owner;

    batch->ready = true;
    while (b->head != NULL && b->head->ready) {
        struct msg_batch *first = b->head;

        b->head = first->next;
        if (b->head == NULL)
            b->tail = NULL;
        batch_dispatch(b, first);
    }
    check_flush(b);
    deliver_flush(b);
}

void bus_append(bus *b, msg_batch *batch, void (*run)(job *j))
{
    b->unanswered += batch->n;
    batch->next = NULL;
    if (b->head == NULL)
        b->head = batch;
    else
        b->tail->next = batch;
    b->tail = batch;
    batch->job.run = run;
    batch->job.done = batch_ready;
    pool_submit(b->pool, &batch->job);
}

/* ---- admission ---- */

static broker_rc batch_fill(bus *b, msg_batch *batch, ticket *t, const broker_admission *what,
                            size_t at)
{
    size_t copied = 0, bytes = 0;
    uint8_t *to;

    for (uint32_t i = 0; i < batch->n; i++) {
        bytes += what->frames[at + i].raw.len;
        if (what->frames[at + i].buf == NULL)
            copied += what->frames[at + i].raw.len;
    }
    if (copied != 0 && (batch->arena = malloc(copied)) == NULL)
        return BROKER_ENOMEM;
    to = batch->arena;
    for (uint32_t i = 0; i < batch->n; i++) {
        const broker_frame *f = &what->frames[at + i];
        msg *m = &batch->msgs[i];

        m->m.raw = f->raw;
        if (f->buf != NULL) {
            batch_hold(batch, f->buf);
        } else if (f->raw.len != 0) {
            memcpy(to, f->raw.ptr, f->raw.len);
            m->m.raw.ptr = to;
            to += f->raw.len;
        }
        m->raw = m->m.raw;
        m->m.origin = what->origin;
        m->carry = (what->flags & BROKER_ADMIT_CARRY) != 0 || what->origin != 0;
        m->ticket = t;
        m->index = (uint32_t)(at + i);
        m->hash = hash_bytes(m->raw.ptr, m->raw.len);
    }
    bus_account(b, batch, bytes);
    return BROKER_OK;
}

/* Small admissions are spread over the workers too. */
static uint32_t batch_size(const bus *b, size_t n)
{
    size_t share = (n + pool_workers(b->pool) - 1) / pool_workers(b->pool);

    return (uint32_t)(share < 8 ? 8 : share > BATCH_MAX ? BATCH_MAX : share);
}

broker_rc bus_admit(bus *b, ledger *owner, const broker_admission *what)
{
    size_t bytes = 0, at = 0;
    uint32_t size = batch_size(b, what->n);
    msg_batch *first = NULL, **last = &first;
    broker_rc rc = BROKER_ENOMEM;
    ticket *t;

    if (what->n == 0)
        return BROKER_EINVAL;
    for (size_t i = 0; i < what->n; i++)
        bytes += what->frames[i].raw.len;
    if (!has_room(b, what->n, bytes))
        return BROKER_AGAIN;
    t = ticket_new(owner, what->n);
    if (t == NULL)
        return BROKER_ENOMEM;
    t->done = what->done;
    t->arg = what->arg;
    t->only_partition = what->only_partition;
    if (what->only_stream.len != 0) {
        sb id = SB_INIT;

        streamr_stream_id_normalise(what->only_stream.ptr, what->only_stream.len, &id);
        t->only_stream = id.data;
        t->only_stream_len = id.len;
    }
    /* All batches first: nothing is taken when memory runs out half way. */
    while (at < what->n) {
        uint32_t n = what->n - at < size ? (uint32_t)(what->n - at) : size;
        msg_batch *batch = batch_new(n);

        if (batch == NULL)
            goto fail;
        *last = batch;
        last = &batch->next;
        if (batch_fill(b, batch, t, what, at) != BROKER_OK)
            goto fail;
        at += n;
    }
    while (first != NULL) {
        msg_batch *batch = first;

        first = batch->next;
        for (uint32_t i = 0; i < batch->n; i++) {
            msg *m = &batch->msgs[i], *other = join(b, m);

            if (other == NULL)
                continue;
            m->joined = true;
            m->follower = other->follower;
            other->follower = m;
        }
        bus_append(b, batch, batch_verify);
    }
    return BROKER_OK;
fail:
    while (first != NULL) {
        msg_batch *batch = first;

        first = batch->next;
        for (uint32_t i = batch->n; i-- > 0;)
            msg_release(&batch->msgs[i].m);
        batch_release(batch);
    }
    t->done = NULL;
    ticket_end(t, NULL);
    return rc;
}

/* ---- life ---- */

bus *bus_new(loop *l, pool *p, const bus_options *options)
{
    bus *b = must_alloc(sizeof *b);
    uint8_t pub[64];

    b->loop = l;
    b->pool = p;
    b->options = *options;
    b->slots = must_alloc(SLOTS * sizeof *b->slots);
    b->topic = topic_new();
    b->last_dirty = &b->dirty;
    b->interests = must_alloc(INTEREST_SLOTS * sizeof(interest *));
    b->room.fn = rooms_call;
    b->next_origin = 1;
    if (options->key != NULL) {
        must(eth_key_public(options->key, pub));
        eth_address_of(pub, b->address);
    }
    publish_init(b);
    checks_init(b);
    metrics_make(b);
    metrics_on_render(metrics_set, b);
    return b;
}

bool bus_is_idle(const bus *b)
{
    return b->unanswered == 0;
}

void bus_free(bus *b)
{
    if (b == NULL)
        return;
    must(b->head == NULL && b->subs == NULL && b->carriers == NULL);
    publish_done(b);
    checks_done(b);
    topic_free(b->topic);
    free(b->interests);
    free(b->slots);
    free(b);
}

void bus_forget(bus *b, const ledger *owner)
{
    for (broker_sub *s = b->subs, *next; s != NULL; s = next) {
        next = s->next;
        if (s->owner != owner)
            continue;
        s->parked = false;
        bus_unsubscribe(s);
    }
    for (carrier *c = b->carriers, *next; c != NULL; c = next) {
        next = c->next;
        if (c->owner != owner)
            continue;
        c->parked = false;
        bus_detach(b, c->origin);
    }
    rooms_forget(b, owner);
    check_forget(b, owner);
}

uint32_t bus_partitions(bus *b, broker_str stream)
{
    return b->options.partitions == NULL ? 0
                                         : b->options.partitions(b->options.partitions_arg, stream);
}
