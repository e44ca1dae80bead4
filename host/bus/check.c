/* check -- what the host cannot decide alone about a message: plugins that offered are asked.
 *
 * A message that waits for its answer waits alone; those behind it go on. Its checks come one
 * after another, signatures first: nobody is asked about the rights of one who did not sign. */
#include "bus/parts.h"

#include "run/log.h"

#define PATIENCE_MS  15000u /* for one answer */
#define TICK_MS      500u
#define SAY_AGAIN_MS 60000u

#define KINDS 3u /* bits of BROKER_CHECK_* */

typedef struct checker {
    struct checker *next;
    ledger *owner;
    broker_checker calls;
    bool parked, vacant; /* as of a subscription */
} checker;

struct broker_check {
    struct broker_check *next, **at; /* of those without an answer */
    checks *checks;
    ledger *owner;
    uint32_t kind;
    uint64_t deadline_ms;
    bool late; /* its messages have their outcome already */
    loop_call call;
    int8_t *ok; /* the answers, behind msgs */
    size_t n;
    const broker_msg
        *msgs[]; /* with a reference of the check's own: they are valid until the answer */
};

struct checks {
    bus *bus;
    checker *checkers;
    atomic_uint kinds;                /* that somebody offers */
    msg *first[KINDS], **last[KINDS]; /* to be asked about */
    size_t n_waiting;                 /* messages without an outcome */
    broker_check *open;
    uv_timer_t *tick;
    uint64_t said_ms;
    metric *asked[KINDS], *unanswered[KINDS];
};

static uint64_t now_ms(void)
{
    return clock_mono_ns() / 1000000;
}

/* ---- what a message needs ---- */

/* ML-DSA-87 the host checks itself. */
uint32_t check_needs_signature(const bus *b, const broker_msg *m)
{
    uint32_t kind = m->signature_type == BROKER_SIGNATURE_ERC_1271 ? BROKER_CHECK_ERC_1271 : 0;

    return kind & atomic_load(&b->checks->kinds);
}

uint32_t check_needs_right(const bus *b, const broker_msg *m)
{
    return b->options.policy.publish == PUBLISH_CHAIN && m->body == BROKER_BODY_CONTENT
               ? BROKER_CHECK_MAY_PUBLISH
               : 0;
}

static unsigned first_kind(uint32_t needs)
{
    return (unsigned)__builtin_ctz(needs);
}

/* ---- outcomes ---- */

static const char *const refused[KINDS] = {
    "the publisher's contract does not accept the signature (ERC-1271)",
    "the signature is not valid (ML-DSA-87)",
    "the publisher has no permission to publish to this stream (validation.publish is 'chain')",
};

static const char *const unknown[KINDS] = {
    "the publisher's contract could not be asked about the signature; try again",
    "the signature could not be checked (ML-DSA-87); try again",
    "the publisher's permission could not be found out; try again",
};

static void fail(checks *c, msg *m, unsigned kind)
{
    c->n_waiting--;
    metric_add(c->unanswered[kind], 1);
    msg_finish(c->bus, m, BROKER_FAILED, unknown[kind]);
}

static void refuse(checks *c, msg *m, unsigned kind)
{
    bool right = (1u << kind) == BROKER_CHECK_MAY_PUBLISH;

    c->n_waiting--;
    metric_add(c->bus->refusals[right ? REFUSAL_PUBLISHER : REFUSAL_SIGNATURE], 1);
    msg_finish(c->bus, m, right ? BROKER_DENIED : BROKER_REJECTED, refused[kind]);
}

static void queue(checks *c, msg *m)
{
    unsigned kind = first_kind(m->needs);

    m->next_check = NULL;
    *c->last[kind] = m;
    c->last[kind] = &m->next_check;
}

static msg *queue_take(checks *c, unsigned kind)
{
    msg *m = c->first[kind];

    c->first[kind] = m->next_check;
    if (c->first[kind] == NULL)
        c->last[kind] = &c->first[kind];
    return m;
}

void check_add(bus *b, msg *m)
{
    checks *c = b->checks;

    /* What cannot be decided must not take the place of what can. */
    if (c->n_waiting >= b->options.max_messages / 4) {
        msg_finish(b, m, BROKER_FAILED, "too many messages wait to be checked; try again");
        return;
    }
    c->n_waiting++;
    queue(c, m);
}

static void passed(checks *c, msg *m, uint32_t kind)
{
    const broker_msg *out = &m->m;

    m->needs &= ~kind;
    if (kind == BROKER_CHECK_ERC_1271)
        m->m.flags |= BROKER_MSG_VERIFIED;
    if (m->needs != 0) {
        queue(c, m);
        return;
    }
    c->n_waiting--;
    if (m->carry)
        carry(c->bus, &out, 1);
    deliver(c->bus, m);
}

/* ---- asking ---- */

static checker *checker_for(const checks *c, uint32_t kind)
{
    checker *k = c->checkers;

    while (k != NULL && (k->calls.kinds & kind) == 0)
        k = k->next;
    return k;
}

static void kinds_settle(checks *c)
{
    uint32_t kinds = 0;

    for (const checker *k = c->checkers; k != NULL; k = k->next)
        kinds |= k->calls.kinds;
    atomic_store(&c->kinds, kinds);
}

static void on_tick(uv_timer_t *t);

static void ask(checks *c, const checker *k, unsigned kind)
{
    size_t n = 0;
    broker_check *check;

    for (const msg *m = c->first[kind]; m != NULL; m = m->next_check)
        n++;
    check = must_alloc(sizeof *check + n * (sizeof *check->msgs + sizeof *check->ok));
    check->checks = c;
    check->owner = k->owner;
    check->kind = 1u << kind;
    check->deadline_ms = now_ms() + PATIENCE_MS;
    check->n = n;
    check->ok = (int8_t *)(void *)(check->msgs + n);
    for (size_t i = 0; i < n; i++) {
        check->msgs[i] = &queue_take(c, kind)->m;
        msg_retain(check->msgs[i]);
    }
    check->next = c->open;
    check->at = &c->open;
    if (check->next != NULL)
        check->next->at = &check->next;
    c->open = check;
    if (!uv_is_active((uv_handle_t *)c->tick))
        must(uv_timer_start(c->tick, on_tick, TICK_MS, TICK_MS) == 0);
    metric_add(c->asked[kind], (int64_t)n);
    atomic_fetch_add(&k->owner->checks, 1);
    CROSS(k->owner, "check", k->calls.check(k->calls.self, check->kind, check->msgs, n, check));
}

static void say_nobody(checks *c)
{
    uint64_t now = now_ms();

    if (c->said_ms != 0 && now - c->said_ms < SAY_AGAIN_MS)
        return;
    c->said_ms = now;
    log_error("bus", "messages are not let in: no plugin that runs can ask the chain about their "
                     "publishers; enable one, or change validation.publish");
}

void check_flush(bus *b)
{
    checks *c = b->checks;

    for (unsigned kind = 0; kind < KINDS; kind++) {
        const checker *k;

        if (c->first[kind] == NULL)
            continue;
        k = checker_for(c, 1u << kind);
        if (k != NULL && !k->parked) {
            ask(c, k, kind);
        } else if (k == NULL) {
            say_nobody(c);
            while (c->first[kind] != NULL)
                fail(c, queue_take(c, kind), kind);
        }
    }
}

/* ---- answers ---- */

static void check_free(broker_check *check)
{
    *check->at = check->next;
    if (check->next != NULL)
        check->next->at = check->at;
    for (size_t i = 0; i < check->n; i++)
        msg_release(check->msgs[i]);
    free(check);
}

static void answered(loop_call *call)
{
    broker_check *check = CONTAINER_OF(call, broker_check, call);
    checks *c = check->checks;
    unsigned kind = first_kind(check->kind);

    for (size_t i = 0; !check->late && i < check->n; i++) {
        msg *m = msg_of(check->msgs[i]);

        if (check->ok[i] > 0)
            passed(c, m, check->kind);
        else if (check->ok[i] == 0)
            refuse(c, m, kind);
        else
            fail(c, m, kind);
    }
    atomic_fetch_sub(&check->owner->checks, 1);
    check_free(check);
    check_flush(c->bus);
    deliver_flush(c->bus);
}

void bus_answer(broker_check *check, const int8_t *ok, size_t n)
{
    must(n == check->n); /* one answer for each message */
    memcpy(check->ok, ok, n);
    check->call.fn = answered;
    loop_post(check->checks->bus->loop, &check->call);
}

static void on_tick(uv_timer_t *t)
{
    checks *c = t->data;
    uint64_t now = now_ms();

    if (c->open == NULL)
        uv_timer_stop(t);
    for (broker_check *check = c->open; check != NULL; check = check->next) {
        if (check->late || now < check->deadline_ms)
            continue;
        check->late = true;
        log_warn("bus", "'%s' has not answered within %u s whether %zu messages may come in",
                 check->owner->name, PATIENCE_MS / 1000, check->n);
        for (size_t i = 0; i < check->n; i++)
            fail(c, msg_of(check->msgs[i]), first_kind(check->kind));
    }
}

/* ---- checkers ---- */

broker_rc bus_offer(bus *b, ledger *owner, const broker_checker *calls)
{
    checks *c = b->checks;
    checker *k;

    if (calls->check == NULL || calls->kinds == 0 || calls->kinds >> KINDS != 0)
        return BROKER_EINVAL;
    for (k = c->checkers; k != NULL; k = k->next)
        if ((k->calls.kinds & calls->kinds) != 0 &&
            !(k->vacant && strcmp(k->owner->name, owner->name) == 0))
            return BROKER_EBUSY;
    k = must_alloc(sizeof *k);
    /* Before those it takes over from, which go when the swap is over. */
    *k = (checker){.next = c->checkers, .owner = owner, .calls = *calls};
    for (const checker *old = c->checkers; old != NULL; old = old->next)
        k->parked |= old->vacant && strcmp(old->owner->name, owner->name) == 0;
    c->checkers = k;
    kinds_settle(c);
    return BROKER_OK;
}

static void checkers_remove(checks *c, bool (*gone)(const checker *k, const void *arg),
                            const void *arg)
{
    for (checker **at = &c->checkers; *at != NULL;) {
        checker *k = *at;

        if (gone(k, arg)) {
            *at = k->next;
            free(k);
        } else {
            at = &k->next;
        }
    }
    kinds_settle(c);
}

static bool is_of(const checker *k, const void *owner)
{
    return k->owner == owner;
}

static bool is_vacant(const checker *k, const void *name)
{
    return k->vacant && strcmp(k->owner->name, name) == 0;
}

void check_forget(bus *b, const ledger *owner)
{
    checkers_remove(b->checks, is_of, owner);
    check_flush(b); /* what waited for it fails */
}

void check_park(bus *b, const ledger *owner)
{
    for (checker *k = b->checks->checkers; k != NULL; k = k->next)
        k->parked |= k->owner == owner;
}

void check_vacate(bus *b, const ledger *owner, ledger *keeper)
{
    for (checker *k = b->checks->checkers; k != NULL; k = k->next)
        if (k->owner == owner) {
            k->parked = k->vacant = true;
            k->owner = keeper;
        }
}

void check_go_on(bus *b, const char *name)
{
    checkers_remove(b->checks, is_vacant, name);
    for (checker *k = b->checks->checkers; k != NULL; k = k->next)
        if (strcmp(k->owner->name, name) == 0)
            k->parked = false;
    check_flush(b);
}

/* ---- life ---- */

void checks_init(bus *b)
{
    static const char *const names[KINDS] = {"kind=\"erc_1271\"", "kind=\"ml_dsa_87\"",
                                             "kind=\"may_publish\""};
    checks *c = b->checks = must_alloc(sizeof *c);

    c->bus = b;
    for (unsigned i = 0; i < KINDS; i++) {
        c->last[i] = &c->first[i];
        c->asked[i] = metrics_counter("bus_checks_total", names[i],
                                      "Messages that plugins were asked about.");
        c->unanswered[i] = metrics_counter("bus_checks_failed_total", names[i],
                                           "Those that they could not, or did not, decide.");
    }
    c->tick = must_alloc(sizeof *c->tick);
    must(uv_timer_init(loop_uv(b->loop), c->tick) == 0);
    uv_unref((uv_handle_t *)c->tick);
    c->tick->data = c;
}

static void on_closed(uv_handle_t *h)
{
    free(h);
}

void checks_done(bus *b)
{
    checks *c = b->checks;

    must(c->open == NULL && c->checkers == NULL && c->n_waiting == 0);
    uv_close((uv_handle_t *)c->tick, on_closed);
    free(c);
}
