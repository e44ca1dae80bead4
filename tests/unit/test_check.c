/* checks: what a plugin decides about messages, and what becomes of those it does not decide. */
#include "bus_rig.h"

typedef struct decider {
    rig *rig;
    int8_t says; /* of every message; 2: of each its timestamp's last digit, less one */
    bool later;
    broker_check *check;
    size_t asked, n;
    uint32_t kind;
} decider;

static void decide(decider *d, const broker_msg *const *msgs, size_t n, broker_check *check)
{
    int8_t ok[BATCH_MAX * 4];

    cr_assert(n <= sizeof ok);
    for (size_t i = 0; i < n; i++)
        ok[i] = d->says == 2 ? (int8_t)(msgs[i]->timestamp_ms % 10 - 1) : d->says;
    bus_answer(check, ok, n);
}

static void on_check(void *self, uint32_t kind, const broker_msg *const *msgs, size_t n,
                     broker_check *check)
{
    decider *d = self;

    d->asked += n;
    d->kind = kind;
    if (!d->later) {
        decide(d, msgs, n, check);
        return;
    }
    cr_assert_null(d->check);
    d->check = check;
    d->n = n;
    loop_stop(d->rig->loop);
}

static void answer_now(decider *d)
{
    int8_t ok[64];

    memset(ok, d->says, sizeof ok);
    bus_answer(d->check, ok, d->n);
    d->check = NULL;
}

static broker_rc offer(rig *r, ledger *owner, decider *d, uint32_t kinds)
{
    broker_checker checker = {sizeof checker, kinds, d, on_check};

    return bus_offer(r->bus, owner, &checker);
}

/* Messages with timestamps from..from+n-1; waits for their outcomes. */
static void admit_from(rig *r, int64_t from, size_t n)
{
    sb raws[16];

    r->wanted = r->n_outcomes + n;
    for (size_t i = 0; i < n; i++) {
        raws[i] = (sb)SB_INIT;
        make(from + (int64_t)i, "{}", &raws[i]);
    }
    cr_assert_eq(admit(r, raws, n), BROKER_OK);
    for (size_t i = 0; i < n; i++)
        sb_done(&raws[i]);
    loop_run(r->loop);
}

Test(check, only_those_who_may_publish_come_in)
{
    static rig r;
    decider d = {.rig = &r, .says = 2};

    rig_begin(&r, 10000, BROKER_SUB_DURABLE, PUBLISH_CHAIN);
    cr_assert_eq(offer(&r, &r.ledger, &d, BROKER_CHECK_MAY_PUBLISH), BROKER_OK);
    admit_from(&r, 1700000000000, 3);
    cr_assert_eq(d.kind, BROKER_CHECK_MAY_PUBLISH);
    cr_assert_eq(r.outcomes[0], BROKER_FAILED); /* it could not be found out */
    cr_assert(strstr(r.reasons[0], "try again"), "%s", r.reasons[0]);
    cr_assert_eq(r.outcomes[1], BROKER_DENIED);
    cr_assert(strstr(r.reasons[1], "no permission"), "%s", r.reasons[1]);
    cr_assert_eq(r.outcomes[2], BROKER_STORED);
    cr_assert_eq(r.n_seen, 1);
    cr_assert_eq(r.seen[0], 1700000000002);
    rig_stop(&r);
}

Test(check, a_bad_signature_is_refused_before_anybody_is_asked)
{
    static rig r;
    decider d = {.rig = &r, .says = 1};
    sb raw = SB_INIT;

    rig_begin(&r, 10000, BROKER_SUB_DURABLE, PUBLISH_CHAIN);
    offer(&r, &r.ledger, &d, BROKER_CHECK_MAY_PUBLISH);
    make(1700000000000, "{\"a\":1}", &raw);
    raw.data[raw.len - 3] ^= 1;
    r.wanted = 1;
    cr_assert_eq(admit(&r, &raw, 1), BROKER_OK);
    loop_run(r.loop);
    cr_assert_eq(r.outcomes[0], BROKER_REJECTED);
    cr_assert_eq(d.asked, 0);
    sb_done(&raw);
    rig_stop(&r);
}

Test(check, with_nobody_to_ask_a_message_fails_and_may_be_sent_again)
{
    static rig r;

    rig_begin(&r, 10000, BROKER_SUB_DURABLE, PUBLISH_CHAIN);
    admit_from(&r, 1700000000000, 1);
    cr_assert_eq(r.outcomes[0], BROKER_FAILED);
    cr_assert_eq(r.n_seen, 0);
    rig_stop(&r);
}

Test(check, a_message_that_waits_keeps_no_other_waiting)
{
    static rig r;
    decider d = {.rig = &r, .says = 1, .later = true};

    rig_begin(&r, 10000, BROKER_SUB_DURABLE, PUBLISH_CHAIN);
    offer(&r, &r.ledger, &d, BROKER_CHECK_MAY_PUBLISH);
    admit_from(&r, 1700000000000, 1); /* until it is asked */
    cr_assert_eq(r.n_outcomes, 0);
    cr_assert_eq(r.ledger.checks, 1);
    d.later = false;
    admit_from(&r, 1700000000001, 1);
    cr_assert_eq(r.n_seen, 1);
    cr_assert_eq(r.seen[0], 1700000000001);
    r.wanted = 2;
    answer_now(&d);
    loop_run(r.loop);
    cr_assert_eq(r.seen[1], 1700000000000);
    cr_assert_eq(r.outcomes[1], BROKER_STORED);
    rig_stop(&r);
}

Test(check, identical_messages_are_asked_about_once)
{
    static rig r;
    decider d = {.rig = &r, .says = 1, .later = true};

    rig_begin(&r, 10000, BROKER_SUB_DURABLE, PUBLISH_CHAIN);
    offer(&r, &r.ledger, &d, BROKER_CHECK_MAY_PUBLISH);
    admit_from(&r, 1700000000000, 1);
    {
        sb raw = SB_INIT;

        make(1700000000000, "{}", &raw);
        cr_assert_eq(admit(&r, &raw, 1), BROKER_OK);
        sb_done(&raw);
    }
    r.wanted = 2;
    answer_now(&d);
    loop_run(r.loop);
    cr_assert_eq(d.asked, 1);
    cr_assert_eq(r.n_seen, 1);
    cr_assert_eq(r.outcomes[0] + r.outcomes[1], BROKER_STORED + BROKER_DUPLICATE);
    rig_stop(&r);
}

Test(check, few_wait_when_nobody_answers)
{
    static rig r;
    decider d = {.rig = &r, .says = 1, .later = true};

    rig_begin(&r, 16, BROKER_SUB_DURABLE, PUBLISH_CHAIN);
    offer(&r, &r.ledger, &d, BROKER_CHECK_MAY_PUBLISH);
    admit_from(&r, 1700000000000, 4);
    cr_assert_eq(d.n, 4);
    admit_from(&r, 1700000000004, 2); /* more than a quarter of what the bus holds */
    cr_assert_eq(r.n_outcomes, 2);
    cr_assert_eq(r.outcomes[0], BROKER_FAILED);
    cr_assert(strstr(r.reasons[0], "too many"), "%s", r.reasons[0]);
    r.wanted = 6;
    answer_now(&d);
    loop_run(r.loop);
    cr_assert_eq(r.n_seen, 4);
    rig_stop(&r);
}

Test(check, own_messages_are_asked_about_too)
{
    static rig r;
    decider d = {.rig = &r, .says = 0, .later = true};
    broker_publication what = {
        .size = sizeof what,
        .stream = {STREAM, strlen(STREAM)},
        .content = {(const uint8_t *)"{}", 2},
    };

    rig_begin(&r, 10000, BROKER_SUB_DURABLE, PUBLISH_CHAIN);
    offer(&r, &r.ledger, &d, BROKER_CHECK_MAY_PUBLISH);
    cr_assert_eq(bus_publish(r.bus, &r.ledger, &what), BROKER_OK);
    loop_run(r.loop);
    answer_now(&d);
    while (!bus_is_idle(r.bus))
        uv_run(loop_uv(r.loop), UV_RUN_ONCE);
    cr_assert_eq(r.n_seen, 0);
    rig_stop(&r);
}

Test(check, each_kind_has_one_to_ask)
{
    static rig r;
    decider d = {.rig = &r};
    ledger other = {.name = "other"};

    rig_begin(&r, 10000, BROKER_SUB_DURABLE, PUBLISH_CHAIN);
    cr_assert_eq(offer(&r, &r.ledger, &d, BROKER_CHECK_MAY_PUBLISH), BROKER_OK);
    cr_assert_eq(offer(&r, &other, &d, BROKER_CHECK_MAY_PUBLISH | BROKER_CHECK_ERC_1271),
                 BROKER_EBUSY);
    cr_assert_eq(offer(&r, &other, &d, BROKER_CHECK_ERC_1271), BROKER_OK);
    cr_assert_eq(offer(&r, &other, &d, 1u << 3), BROKER_EINVAL);
    bus_forget(r.bus, &other);
    rig_stop(&r);
}

Test(check, across_a_swap_questions_wait_for_the_next_build)
{
    static rig r;
    ledger old = {.name = "chain"}, fresh = {.name = "chain"};
    decider before = {.rig = &r, .says = 0}, after = {.rig = &r, .says = 1};
    sb raw = SB_INIT;

    rig_begin(&r, 10000, BROKER_SUB_DURABLE, PUBLISH_CHAIN);
    cr_assert_eq(offer(&r, &old, &before, BROKER_CHECK_MAY_PUBLISH), BROKER_OK);
    bus_park(r.bus, &old);
    make(1700000000000, "{}", &raw);
    r.wanted = 1;
    cr_assert_eq(admit(&r, &raw, 1), BROKER_OK);
    bus_vacate(r.bus, &old, &old);
    cr_assert_eq(offer(&r, &fresh, &after, BROKER_CHECK_MAY_PUBLISH), BROKER_OK);
    while (atomic_load(&r.ledger.admissions) == 1 && r.n_outcomes == 0 && after.asked == 0) {
        uv_run(loop_uv(r.loop), UV_RUN_ONCE);
        bus_go_on(r.bus, "chain");
    }
    while (r.n_outcomes == 0)
        uv_run(loop_uv(r.loop), UV_RUN_ONCE);
    cr_assert_eq(before.asked, 0);
    cr_assert_eq(after.asked, 1);
    cr_assert_eq(r.outcomes[0], BROKER_STORED);
    sb_done(&raw);
    bus_forget(r.bus, &fresh);
    rig_stop(&r);
}
