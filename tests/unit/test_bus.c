/* bus: what goes in comes out once, in order, with the right outcome. */
#include "bus_rig.h"

Test(bus, delivers_in_order_of_admission_though_checked_in_parallel)
{
    static rig r;
    static sb raws[300];

    rig_start(&r, 10000, BROKER_SUB_DURABLE);
    for (size_t i = 0; i < 300; i++)
        make(1700000000000 + (int64_t)i, "{}", &raws[i]);
    r.wanted = 300;
    cr_assert_eq(admit(&r, raws, 300), BROKER_OK);
    loop_run(r.loop);
    cr_assert_eq(r.n_seen, 300);
    for (size_t i = 0; i < 300; i++) {
        cr_assert_eq(r.seen[i], 1700000000000 + (int64_t)i);
        cr_assert_eq(r.outcomes[i], BROKER_STORED);
        sb_done(&raws[i]);
    }
    rig_stop(&r);
}

Test(bus, identical_bytes_in_flight_are_checked_and_delivered_once)
{
    static rig r;
    sb raws[3] = {SB_INIT, SB_INIT, SB_INIT};

    rig_start(&r, 10000, BROKER_SUB_DURABLE);
    for (size_t i = 0; i < 3; i++)
        make(1700000000000, "{}", &raws[i]);
    r.wanted = 3;
    cr_assert_eq(admit(&r, raws, 2), BROKER_OK);
    cr_assert_eq(admit(&r, raws + 2, 1), BROKER_OK);
    loop_run(r.loop);
    cr_assert_eq(r.n_seen, 1);
    cr_assert_eq(r.outcomes[0] + r.outcomes[1] + r.outcomes[2],
                 BROKER_STORED + 2 * BROKER_DUPLICATE);
    for (size_t i = 0; i < 3; i++)
        sb_done(&raws[i]);
    rig_stop(&r);
}

Test(bus, refuses_with_a_reason_and_never_delivers)
{
    static rig r;
    sb raws[3] = {SB_INIT, SB_INIT, SB_INIT};

    rig_start(&r, 10000, BROKER_SUB_DURABLE);
    make(1700000000000, "{\"a\":1}", &raws[0]);
    raws[0].data[raws[0].len - 3] ^= 1; /* the content */
    sb_puts(&raws[1], "not protobuf at all");
    make(clock_wall_ms() + 1000000000, "{}", &raws[2]);
    r.wanted = 3;
    cr_assert_eq(admit(&r, raws, 3), BROKER_OK);
    loop_run(r.loop);
    cr_assert_eq(r.n_seen, 0);
    for (size_t i = 0; i < 3; i++) {
        cr_assert_eq(r.outcomes[i], BROKER_REJECTED);
        cr_assert_neq(r.reasons[i][0], '\0');
        sb_done(&raws[i]);
    }
    cr_assert(strstr(r.reasons[2], "future"), "%s", r.reasons[2]);
    rig_stop(&r);
}

Test(bus, a_subscriber_that_takes_less_is_called_again_after_resume)
{
    static rig r;
    sb raws[4] = {SB_INIT, SB_INIT, SB_INIT, SB_INIT};

    rig_start(&r, 10000, BROKER_SUB_DURABLE);
    for (size_t i = 0; i < 4; i++)
        make(1700000000000 + (int64_t)i, "{}", &raws[i]);
    r.take = 2;
    r.wanted = 4;
    cr_assert_eq(admit(&r, raws, 4), BROKER_OK);
    while (r.n_seen < 2)
        uv_run(loop_uv(r.loop), UV_RUN_ONCE);
    cr_assert_eq(r.n_outcomes, 0);
    r.take = SIZE_MAX;
    bus_resume(r.sub);
    loop_run(r.loop);
    cr_assert_eq(r.n_seen, 4);
    for (size_t i = 0; i < 4; i++)
        sb_done(&raws[i]);
    rig_stop(&r);
}

Test(bus, is_full_at_its_bound_and_says_when_there_is_room)
{
    static rig r;
    sb raws[4] = {SB_INIT, SB_INIT, SB_INIT, SB_INIT};
    broker_outcome stored[4] = {{BROKER_STORED, 0, NULL},
                                {BROKER_STORED, 0, NULL},
                                {BROKER_STORED, 0, NULL},
                                {BROKER_STORED, 0, NULL}};

    rig_start(&r, 4, BROKER_SUB_DURABLE);
    for (size_t i = 0; i < 4; i++)
        make(1700000000000 + (int64_t)i, "{}", &raws[i]);
    r.hold = true;
    r.wanted = 4;
    cr_assert_eq(admit(&r, raws, 4), BROKER_OK);
    cr_assert_eq(admit(&r, raws, 1), BROKER_AGAIN);
    cr_assert_eq(bus_on_room(r.bus, &r.ledger, on_room, &r), BROKER_OK);
    while (r.n_held < 4)
        uv_run(loop_uv(r.loop), UV_RUN_ONCE);
    cr_assert_eq(r.rooms, 0);
    bus_settle(r.sub, r.held, stored, 4);
    while (r.rooms == 0)
        uv_run(loop_uv(r.loop), UV_RUN_ONCE);
    cr_assert_eq(r.n_outcomes, 4);
    for (size_t i = 0; i < 4; i++)
        sb_done(&raws[i]);
    rig_stop(&r);
}

Test(bus, without_a_durable_subscriber_nothing_counts_as_stored)
{
    static rig r;
    sb raw = SB_INIT;

    rig_start(&r, 100, UINT32_MAX);
    make(1700000000000, "{}", &raw);
    r.wanted = 1;
    cr_assert_eq(admit(&r, &raw, 1), BROKER_OK);
    loop_run(r.loop);
    cr_assert_eq(r.outcomes[0], BROKER_NO_STORE);
    sb_done(&raw);
    rig_stop(&r);
}

Test(bus, what_is_queued_at_a_leaving_store_fails_and_may_be_sent_again)
{
    static rig r;
    sb raw = SB_INIT;

    rig_start(&r, 100, BROKER_SUB_DURABLE);
    make(1700000000000, "{}", &raw);
    r.take = 0;
    r.wanted = 1;
    cr_assert_eq(admit(&r, &raw, 1), BROKER_OK);
    while (r.offered == 0)
        uv_run(loop_uv(r.loop), UV_RUN_ONCE);
    bus_unsubscribe(r.sub);
    cr_assert_eq(r.n_outcomes, 1);
    cr_assert_eq(r.outcomes[0], BROKER_FAILED);
    sb_done(&raw);
    rig_stop(&r);
}

static void on_published(void *arg, const broker_msg *msg, const broker_outcome *outcome)
{
    rig *r = arg;

    cr_assert_not_null(msg, "%s", outcome->reason);
    cr_assert_eq(msg->chain.len, 20);
    cr_assert_eq((msg->flags & BROKER_MSG_HAS_PREV) != 0, r->n_outcomes > 0);
    on_done(arg, outcome, 1);
}

static void on_published_in_named_chain(void *arg, const broker_msg *msg,
                                        const broker_outcome *outcome)
{
    cr_assert_not_null(msg, "%s", outcome->reason);
    cr_assert_eq(msg->chain.len, 6);
    cr_assert_eq(memcmp(msg->chain.ptr, "client", 6), 0);
    cr_assert_eq((msg->flags & BROKER_MSG_HAS_PREV) != 0, ((rig *)arg)->n_outcomes > 1,
                 "the chain of a caller begins by itself");
    on_done(arg, outcome, 1);
}

Test(bus, publications_of_a_named_chain_follow_each_other_alone)
{
    static rig r;
    broker_publication what = {
        .size = sizeof what,
        .stream = {STREAM, strlen(STREAM)},
        .content = {(const uint8_t *)"{\"n\":1}", 7},
        .done = on_published,
        .arg = &r,
    };

    rig_start(&r, 100, BROKER_SUB_DURABLE);
    r.wanted = 3;
    cr_assert_eq(bus_publish(r.bus, &r.ledger, &what), BROKER_OK);
    what.chain = (broker_str){"client", 6};
    what.done = on_published_in_named_chain;
    for (int i = 0; i < 2; i++)
        cr_assert_eq(bus_publish(r.bus, &r.ledger, &what), BROKER_OK);
    loop_run(r.loop);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(r.outcomes[i], BROKER_STORED, "%s", r.reasons[i]);
    rig_stop(&r);
}

Test(bus, published_messages_are_signed_and_chained)
{
    static rig r;
    broker_publication what = {
        .size = sizeof what,
        .stream = {STREAM, strlen(STREAM)},
        .content = {(const uint8_t *)"{\"n\":1}", 7},
        .done = on_published,
        .arg = &r,
    };

    rig_start(&r, 100, BROKER_SUB_DURABLE);
    r.wanted = 3;
    for (int i = 0; i < 3; i++)
        cr_assert_eq(bus_publish(r.bus, &r.ledger, &what), BROKER_OK);
    loop_run(r.loop);
    cr_assert_eq(r.n_seen, 3);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(r.outcomes[i], BROKER_STORED, "%s", r.reasons[i]);
    rig_stop(&r);
}

/* ---- across a swap ---- */

static void admit_one(rig *r, int64_t timestamp_ms)
{
    sb raw = SB_INIT;
    broker_frame frame;
    broker_admission what = {.size = sizeof what,
                             .frames = &frame,
                             .n = 1,
                             .only_partition = BROKER_ALL_PARTITIONS,
                             .done = on_done,
                             .arg = r};

    make(timestamp_ms, "{}", &raw);
    frame = (broker_frame){{(const uint8_t *)raw.data, raw.len}, NULL};
    cr_assert_eq(bus_admit(r->bus, &r->ledger, &what), BROKER_OK);
    sb_done(&raw);
}

/* Somebody else who wants the same, and is not parked: when it has a message, so has the queue. */
static ledger witness_ledger = {.name = "witness"};
static size_t witnessed;

static size_t on_witnessed(void *self, const broker_msg *const *msgs, size_t n)
{
    (void)self, (void)msgs;
    witnessed += n;
    return n;
}

static void witness(rig *r)
{
    broker_subscription want = {.size = sizeof want,
                                .stream = {STREAM, strlen(STREAM)},
                                .partition = BROKER_ALL_PARTITIONS,
                                .on_msgs = on_witnessed};
    broker_sub *sub;

    witnessed = 0;
    cr_assert_eq(bus_subscribe(r->bus, &witness_ledger, &want, &sub), BROKER_OK);
}

static void turn_until_queued(rig *r, size_t n)
{
    while (witnessed < n)
        uv_run(loop_uv(r->loop), UV_RUN_ONCE);
    bus_forget(r->bus, &witness_ledger);
}

Test(bus, a_parked_subscription_gathers_and_its_successor_gets_all_in_order)
{
    static rig r;
    ledger next = {.name = "rig"};
    broker_sub *old;
    broker_subscription want = {.size = sizeof want,
                                .flags = BROKER_SUB_DURABLE,
                                .stream = {STREAM, strlen(STREAM)},
                                .partition = BROKER_ALL_PARTITIONS,
                                .on_msgs = on_msgs,
                                .self = &r};

    rig_start(&r, 100, BROKER_SUB_DURABLE);
    old = r.sub;
    witness(&r);
    bus_park(r.bus, &r.ledger);
    for (int i = 0; i < 5; i++)
        admit_one(&r, 1700000000000 + i);
    turn_until_queued(&r, 5);
    cr_assert_eq(r.n_seen, 0, "a parked subscription is not called");
    bus_unsubscribe(old); /* as a plugin that becomes quiet does */
    bus_vacate(r.bus, &r.ledger, &r.ledger);
    cr_assert_eq(bus_subscribe(r.bus, &next, &want, &r.sub), BROKER_OK);
    cr_assert_eq(r.n_seen, 0, "nor is its successor, before all go on");
    r.wanted = 5;
    bus_go_on(r.bus, "rig");
    loop_run(r.loop);
    cr_assert_eq(r.n_seen, 5);
    for (int i = 0; i < 5; i++) {
        cr_assert_eq(r.seen[i], 1700000000000 + i);
        cr_assert_eq(r.outcomes[i], BROKER_STORED);
    }
    bus_forget(r.bus, &next);
    cr_assert(ledger_is_clear(&next));
    rig_stop(&r);
}

Test(bus, a_swap_that_is_given_up_leaves_the_subscription_as_it_was)
{
    static rig r;

    rig_start(&r, 100, BROKER_SUB_DURABLE);
    witness(&r);
    bus_park(r.bus, &r.ledger);
    admit_one(&r, 1700000000000);
    turn_until_queued(&r, 1);
    cr_assert_eq(r.n_seen, 0);
    r.wanted = 1;
    bus_go_on(r.bus, "rig");
    loop_run(r.loop);
    cr_assert_eq(r.outcomes[0], BROKER_STORED);
    rig_stop(&r);
}

Test(bus, what_nobody_takes_over_fails_and_may_be_sent_again)
{
    static rig r;

    rig_start(&r, 100, BROKER_SUB_DURABLE);
    witness(&r);
    bus_park(r.bus, &r.ledger);
    admit_one(&r, 1700000000000);
    turn_until_queued(&r, 1);
    bus_vacate(r.bus, &r.ledger, &r.ledger);
    r.wanted = 1;
    bus_go_on(r.bus, "rig");
    while (r.n_outcomes == 0)
        uv_run(loop_uv(r.loop), UV_RUN_ONCE);
    cr_assert_eq(r.outcomes[0], BROKER_FAILED);
    rig_stop(&r);
}
