/* chain: endpoints and their votes, what is remembered and for how long, the order of verdicts. */
#include "chain_fake.h"
#include "facts.h"
#include "lane.h"
#include "past.h"

#include <criterion/criterion.h>

#define MINUTE 60000u
#define DAY    (24u * 60u * MINUTE)

static struct {
    rpc *rpc;
    views *views;
    checker *checker;
} rig;

static void rig_begin(size_t endpoints, size_t quorum, size_t max_calls)
{
    static char urls[RPC_ENDPOINTS][64];
    rpc_services s = fake_services();
    rpc_options o = {.n_urls = endpoints,
                     .quorum = quorum,
                     .chain_id = 137,
                     .timeout_ms = 4000,
                     .patience_ms = 12000,
                     .max_requests = 2,
                     .max_calls = max_calls};
    views_options v = {
        .max_facts = 100, .max_age_ms = DAY, .denied_ms = MINUTE, .signer_age_ms = 10 * MINUTE};

    fake.now_ms = 10 * DAY;
    fake.clock_ms = 1700000000000;
    for (size_t i = 0; i < endpoints; i++) {
        snprintf(urls[i], sizeof urls[i], "http://%zu.example/key", i);
        o.urls[i] = urls[i];
    }
    rig.rpc = rpc_new(&o, &s);
    rig.views = views_new(&v, &s, rig.rpc);
    rig.checker = checker_new(&s, rig.views, rig.rpc, &fake_verify);
    cr_assert_eq(views_open(rig.views), BROKER_OK);
    cr_assert_eq(checker_offer(rig.checker), BROKER_OK);
    cr_assert_eq(rpc_open(rig.rpc), BROKER_OK);
    fake_tick(0);
    cr_assert_eq(fake.n_posts, endpoints, "each is asked for its chain");
    for (size_t i = 0; i < endpoints; i++)
        fake_result(i, "\"result\":\"0x89\"");
}

static void rig_end(void)
{
    rpc_give_up(rig.rpc);
    cr_assert_eq(checker_open(rig.checker), 0, "a check was never answered");
    cr_assert_eq(fake_count_open(), 0);
    rpc_close(rig.rpc);
    checker_free(rig.checker);
    views_free(rig.views);
    rpc_free(rig.rpc);
    fake_clear();
}

#define WORD(x) "000000000000000000000000000000000000000000000000" x
#define FOREVER "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
#define NONE    WORD("0000000000000000")
#define YES     "\"result\":\"0x" NONE NONE FOREVER NONE NONE "\""
#define NO      "\"result\":\"0x" NONE NONE NONE FOREVER NONE "\""

/* A check of messages, "<stream><publisher>" each, partition 0. */
static broker_check *check(int name, const char *const *who, size_t n)
{
    static struct broker_check checks[FAKE_VERDICTS];
    static broker_msg msgs[FAKE_VERDICTS][16];
    static uint8_t publishers[FAKE_VERDICTS][16][20];
    static size_t used;
    const broker_msg *list[16];
    struct broker_check *c = &checks[used];

    c->name = name;
    for (size_t i = 0; i < n; i++) {
        memset(publishers[used][i], who[i][1], 20);
        msgs[used][i] = (broker_msg){.size = sizeof(broker_msg),
                                     .stream = {who[i], 1},
                                     .publisher = {publishers[used][i], 20}};
        list[i] = &msgs[used][i];
    }
    used++;
    fake.checker.check(fake.checker.self, BROKER_CHECK_MAY_PUBLISH, list, n, c);
    return c;
}

static void check_one(int name, const char *who)
{
    check(name, &who, 1);
}

/* ---- what is remembered ---- */

Test(chain, a_right_is_believed_for_a_day_and_its_absence_for_a_minute)
{
    rig_begin(1, 1, 100);
    check_one(1, "aA");
    fake_result(fake_open(), YES);
    check_one(2, "aB");
    fake_result(fake_open(), NO);
    cr_assert_eq(fake.verdicts[0].ok[0], 1);
    cr_assert_eq(fake.verdicts[1].ok[0], 0);
    fake_tick(MINUTE - 1);
    check_one(3, "aB");
    cr_assert_eq(fake.n_verdicts, 3, "known to be absent");
    fake_tick(1);
    check_one(4, "aB");
    cr_assert_eq(fake_count_open(), 1, "its absence is old");
    fake_result(fake_open(), YES);
    cr_assert_eq(fake.verdicts[3].ok[0], 1);
    check_one(5, "aB");
    fake_tick(DAY);
    check_one(6, "aB");
    cr_assert_eq(fake_count_open(), 1, "the right is old");
    fake_result(fake_open(), YES);
    cr_assert_eq(fake.n_verdicts, 6);
    rig_end();
}

Test(chain, a_refusal_makes_what_is_known_of_the_stream_old)
{
    rig_begin(1, 1, 100);
    check(1, (const char *[]){"aA", "bA"}, 2);
    fake_result(fake_open(), YES);
    fake_tick(2 * MINUTE);
    check(2, (const char *[]){"aB", "bA"}, 2);
    fake_result(fake_open(), NO);
    cr_assert_eq(fake.verdicts[1].ok[0], 0);
    cr_assert_eq(fake.verdicts[1].ok[1], 1);
    check(3, (const char *[]){"aA", "bA"}, 2);
    cr_assert_eq(fake_count_open(), 1, "of stream a everything is asked again, of b nothing");
    cr_assert_eq(fake.posts[fake_open()].body.data[0], '{', "one call");
    fake_result(fake_open(), YES);
    cr_assert_eq(fake.verdicts[2].ok[0], 1);
    rig_end();
}

Test(chain, a_right_ends_at_its_time_though_it_is_remembered)
{
    rig_begin(1, 1, 100);
    check_one(1, "aA");
    /* 1700000010 s */
    fake_result(fake_open(), "\"result\":\"0x" NONE NONE WORD("000000006553f10a") NONE NONE "\"");
    fake_tick(9000);
    check_one(2, "aA");
    fake_tick(1000);
    check_one(3, "aA");
    cr_assert_eq(fake_count_open(), 0, "that it has ended is known");
    cr_assert_eq(fake.verdicts[0].ok[0] + fake.verdicts[1].ok[0], 2);
    cr_assert_eq(fake.verdicts[2].ok[0], 0);
    rig_end();
}

Test(chain, a_stream_that_is_not_there_is_a_refusal_and_a_broken_registry_is_none)
{
    rig_begin(1, 1, 100);
    check_one(1, "aA");
    fake_result(fake_open(), "\"error\":{\"code\":3,\"message\":\"execution reverted\"}");
    cr_assert_eq(fake.verdicts[0].ok[0], 0);
    check_one(2, "bA");
    fake_result(fake_open(), "\"result\":\"0x\"");
    cr_assert_eq(fake.verdicts[1].ok[0], -1);
    check_one(3, "bA");
    cr_assert_eq(fake_count_open(), 1, "what was not found out is not remembered");
    fake_result(fake_open(), YES);
    rig_end();
}

Test(chain, many_who_ask_the_same_are_one_question)
{
    rig_begin(1, 1, 100);
    check(1, (const char *[]){"aA", "aA", "aA"}, 3);
    check_one(2, "aA");
    cr_assert_eq(fake_count_open(), 1);
    cr_assert_eq(fake.posts[fake_open()].body.data[0], '{', "one call");
    fake_result(fake_open(), YES);
    cr_assert_eq(fake.n_verdicts, 2);
    cr_assert_eq(fake.verdicts[0].ok[0] + fake.verdicts[0].ok[1] + fake.verdicts[0].ok[2], 3);
    rig_end();
}

/* ---- the order of verdicts ---- */

Test(chain, verdicts_of_one_publisher_in_one_stream_leave_in_order)
{
    rig_begin(1, 1, 100);
    check_one(1, "aA");
    fake_result(fake_open(), YES);
    check(2, (const char *[]){"aA", "bB"}, 2); /* waits for bB */
    check_one(3, "aA");                        /* is known, but behind 2 */
    check_one(4, "cC");
    check_one(5, "aA");
    cr_assert_eq(fake.n_verdicts, 1);
    cr_assert_eq(fake_count_open(), 2);
    fake_result(fake_open() + 1, YES);
    cr_assert_eq(fake.n_verdicts, 2);
    cr_assert_eq(fake.verdicts[1].check, 4, "another stream waits for nobody");
    fake_result(fake_open(), YES);
    cr_assert_eq(fake.n_verdicts, 5);
    for (int i = 2; i < 5; i++)
        cr_assert_eq(fake.verdicts[i].check, i == 2 ? 2 : i == 3 ? 3 : 5);
    rig_end();
}

/* ---- endpoints ---- */

Test(chain, as_many_as_must_agree_are_asked_and_more_when_they_do_not)
{
    rig_begin(3, 2, 100);
    check_one(1, "aA");
    cr_assert_eq(fake_count_open(), 2, "two are asked, not three");
    fake_result(fake_open(), YES);
    fake_result(fake_open(), NO);
    cr_assert_eq(fake.n_verdicts, 0);
    cr_assert_eq(fake_count_open(), 1, "the third decides");
    fake_result(fake_open(), NO);
    cr_assert_eq(fake.verdicts[0].ok[0], 0);
    rig_end();
}

Test(chain, three_who_say_three_things_say_nothing)
{
    rig_begin(3, 2, 100);
    check_one(1, "aA");
    fake_result(fake_open(), YES);
    fake_result(fake_open(), NO);
    fake_result(fake_open(), "\"error\":{\"code\":3,\"message\":\"execution reverted\"}");
    cr_assert_eq(fake.verdicts[0].ok[0], -1);
    rig_end();
}

Test(chain, the_next_endpoint_is_asked_when_one_fails_and_the_failed_one_rests)
{
    rig_begin(2, 1, 100);
    check_one(1, "aA");
    fake_done(fake_open(), BROKER_EIO, 0, NULL);
    cr_assert_eq(fake.n_verdicts, 0);
    cr_assert_str_eq(fake.posts[fake_open()].url.data, "http://1.example/key");
    fake_result(fake_open(), YES);
    cr_assert_eq(fake.verdicts[0].ok[0], 1);
    check_one(2, "bA");
    cr_assert_str_eq(fake.posts[fake_open()].url.data, "http://1.example/key");
    fake_result(fake_open(), YES);
    fake_tick(499);
    cr_assert_eq(fake_count_open(), 0);
    fake_tick(1); /* its pause is over: it is tried */
    cr_assert_str_eq(fake.posts[fake_open()].url.data, "http://0.example/key");
    fake_result(fake_open(), "\"result\":\"0x89\"");
    check_one(3, "cA");
    cr_assert_str_eq(fake.posts[fake_open()].url.data, "http://0.example/key");
    fake_result(fake_open(), YES);
    rig_end();
}

Test(chain, an_endpoint_rests_for_as_long_as_it_asks)
{
    rig_begin(1, 1, 100);
    fake.retry_after = "7";
    check_one(1, "aA");
    fake_done(fake_open(), BROKER_OK, 429, "");
    fake_tick(6999);
    cr_assert_eq(fake_count_open(), 0);
    fake_tick(1);
    cr_assert_eq(fake_count_open(), 1);
    fake_result(fake_open(), YES);
    cr_assert_eq(fake.verdicts[0].ok[0], 1, "the question waited for it");
    rig_end();
}

Test(chain, when_nobody_answers_that_is_said_and_nobody_waits)
{
    rig_begin(1, 1, 100);
    check_one(1, "aA");
    for (unsigned i = 0; i < 3; i++) {
        fake_done(fake_open(), BROKER_OK, 500, "oops");
        fake_tick(2000);
    }
    cr_assert_eq(fake.verdicts[0].ok[0], -1);
    cr_assert_eq(fake.state, BROKER_STATE_DEGRADED);
    if (fake_count_open() != 0)
        fake_done(fake_open(), BROKER_EIO, 0, NULL);
    check_one(2, "aA");
    cr_assert_eq(fake.verdicts[1].ok[0], -1, "at once");
    fake_tick(60000);
    fake_result(fake_open(), "\"result\":\"0x89\"");
    cr_assert_eq(fake.state, BROKER_STATE_READY);
    rig_end();
}

Test(chain, few_are_asked_at_once_and_few_wait)
{
    static const char *const who[] = {"aA", "bA", "cA"};

    rig_begin(1, 1, 3);
    for (int i = 0; i < 3; i++)
        check_one(i, who[i]);
    cr_assert_eq(fake_count_open(), 2, "two requests at one endpoint");
    check_one(3, "dA");
    cr_assert_eq(fake.n_verdicts, 1);
    cr_assert_eq(fake.verdicts[0].ok[0], -1, "too many wait");
    fake_result(fake_open(), YES);
    cr_assert_eq(fake_count_open(), 2, "the third takes its turn");
    fake_result(fake_open(), YES);
    fake_result(fake_open(), YES);
    cr_assert_eq(fake.n_verdicts, 4);
    rig_end();
}

Test(chain, an_answer_that_does_not_come_is_given_up)
{
    rig_begin(1, 1, 100);
    check_one(1, "aA");
    fake_tick(11999);
    cr_assert_eq(fake.n_verdicts, 0);
    fake_tick(1);
    cr_assert_eq(fake.verdicts[0].ok[0], -1);
    fake_result(fake_open(), YES); /* late: for nobody */
    cr_assert_eq(fake.n_verdicts, 1);
    rig_end();
}

/* ---- parts ---- */

static fact_key key_of(uint8_t name, uint8_t mark)
{
    fact_key key;

    memset(&key, name, sizeof key);
    memset(key.mark, mark, sizeof key.mark);
    return key;
}

Test(facts, the_longest_unused_goes_first)
{
    facts *f = facts_new(3), *next = facts_new(3);
    sb state = SB_INIT;
    fact_key a = key_of(1, 0), b = key_of(2, 0), c = key_of(3, 0), d = key_of(4, 0);

    facts_put(f, &a, &(fact){1, 0, 10});
    facts_put(f, &b, &(fact){2, 0, 20});
    facts_put(f, &c, &(fact){3, 0, 30});
    facts_get(f, &a);
    facts_put(f, &d, &(fact){4, 0, 40});
    cr_assert_null(facts_get(f, &b));
    cr_assert_not_null(facts_get(f, &a));
    facts_save(f, 15, &state);
    cr_assert(facts_load(next, state.data, state.len, 40));
    cr_assert_eq(facts_count(next), 2, "what is too old stays behind");
    cr_assert_eq(facts_get(next, &d)->a, 4);
    cr_assert_not(facts_load(next, state.data, state.len - 1, 40));
    cr_assert_not(facts_load(next, state.data, state.len, 39), "nothing is from the future");
    sb_done(&state);
    facts_free(f);
    facts_free(next);
}

Test(past, what_was_read_is_taken_back_newest_first)
{
    past p = {.events = NULL};
    past_event e = {.block = 5, .stream = (char *)"a/b", .stream_len = 3}, out;

    for (uint64_t i = 0; i < PAST_EVENTS + 10; i++) {
        e.block = i;
        past_add_event(&p, &e);
    }
    cr_assert_eq(p.n_events, PAST_EVENTS);
    for (uint64_t i = PAST_EVENTS + 9; i > PAST_EVENTS + 5; i--) {
        cr_assert(past_take_event(&p, PAST_EVENTS + 6, &out));
        cr_assert_eq(out.block, i);
        free(out.stream);
    }
    cr_assert_not(past_take_event(&p, PAST_EVENTS + 6, &out));
    for (uint64_t i = 0; i < PAST_RANGES + 3; i++)
        past_add_range(&p, &(past_range){.from = i, .to = i});
    cr_assert_eq(past_last(&p)->to, PAST_RANGES + 2);
    cr_assert_eq(p.n_ranges, PAST_RANGES);
    past_done(&p);
}
