/* websocket: what a request target asks for, and the state one build hands to the next. */
#include "state.h"

#include <criterion/criterion.h>

#define S "0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a/s"
#define E "0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a%2Fs"

static bool read_target(const char *text, target *out, sb *key, sb *why)
{
    sb_clear(why);
    return target_read((broker_str){text, strlen(text)}, out, key, why);
}

Test(target, a_path_names_a_stream_and_what_to_do_with_it)
{
    static const struct {
        const char *text, *stream;
        bool publish;
    } cases[] = {
        {"/streams/" E "/publish", S, true},
        {"/streams/" E "/subscribe", S, false},
        {"/streams/" E "/subscribe?", S, false},
        {"/streams/" S "/subscribe", S, false}, /* not encoded */
        {"/api/v2/streams/" E "/publish?x=1", S, true},
        {"/streams/old/streams/" E "/publish", S, true}, /* the last one counts */
        {"/streams/0x19E7E376E7C213B7E7E7E46CC70A5DD086DAFF2A%2FS/publish",
         "0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a/S", true},
        {"/streams/Some.eth%2Fpublish%2Fa%20b/subscribe", "some.eth/publish/a b", false},
        {"/streams/some.eth/a/publish/subscribe", "some.eth/a/publish", false},
        {"/streams/some.eth%2f%C3%A9/publish", "some.eth/\xc3\xa9", true},
        {"/streams/some.eth%2Fa+b/publish", "some.eth/a+b", true}, /* no form */
    };
    sb key = SB_INIT, why = SB_INIT;

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        target t;

        cr_assert(read_target(cases[i].text, &t, &key, &why), "%s: %s", cases[i].text, why.data);
        cr_assert_str_eq(t.stream.data, cases[i].stream);
        cr_assert_eq(t.publish, cases[i].publish, "%s", cases[i].text);
        cr_assert_eq(t.route, ROUTE_DEFAULT);
        target_done(&t);
    }
    cr_assert_null(key.data, "a key nobody gave");
    sb_done(&why);
}

Test(target, what_it_cannot_be_is_refused_with_a_reason)
{
    static const char *const cases[] = {
        "",
        "/",
        "/publish",
        "/streams/publish",
        "/streams//publish",
        "/streams/" E,
        "/streams/" E "/",
        "/streams/" E "/publish/",
        "/streams/" E "/Publish",
        "/stream/" E "/publish",
        "/streams/nodomain/publish",
        "/streams/0x1234%2Fs/publish",
        "/streams/" E "%2/publish",
        "/streams/" E "%zz/publish",
        "/streams/" E "%00/publish",
        "/streams/" E "%C3/publish",
        "/streams/" E "%2F*/subscribe",
        "/x?/streams/" E "/publish",
        "/streams/" E "/publish?partition=",
        "/streams/" E "/publish?partition",
        "/streams/" E "/publish?partition=-1",
        "/streams/" E "/publish?partition=1x",
        "/streams/" E "/publish?partition=100",
        "/streams/" E "/publish?partition=18446744073709551616",
        "/streams/" E "/publish?partition=1&partition=1",
        "/streams/" E "/publish?partition=1&partitionKey=a",
        "/streams/" E "/publish?partitionKey=a&partitionKeyField=b",
        "/streams/" E "/publish?partition=0&partitionKeyField=b",
        "/streams/" E "/publish?ack=1",
        "/streams/" E "/publish?ack",
        "/streams/" E "/publish?partitionKey=%zz",
        "/streams/" E "/publish?partitionKey=%ff",
        "/streams/" E "/publish?%zz=1",
        "/streams/" E "/publish?apiKey=%",
        "/streams/" E "/publish?apiKey=a&apiKey=b",
        "/streams/" E "/subscribe?partitions=",
        "/streams/" E "/subscribe?partitions=0,",
        "/streams/" E "/subscribe?partitions=,0",
        "/streams/" E "/subscribe?partitions=0;1",
        "/streams/" E "/subscribe?partitions=100",
        "/streams/" E "/subscribe?partitions=0&partitions=1",
    };
    sb key = SB_INIT, why = SB_INIT;
    target t;

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        cr_assert_not(read_target(cases[i], &t, &key, &why), "taken: %s", cases[i]);
        cr_assert_gt(why.len, 0, "no reason: %s", cases[i]);
    }
    sb_done(&key);
    sb_done(&why);
}

Test(target, the_query_says_which_partition_and_shows_the_key)
{
    sb key = SB_INIT, why = SB_INIT;
    target t;

    cr_assert(read_target("/streams/" E "/publish?unknown=1&apiKey=a%2Bb+c&partitionKey=k%26%C3%A9",
                          &t, &key, &why));
    cr_assert_str_eq(key.data, "a+b c");
    cr_assert_eq(t.route, ROUTE_KEY);
    cr_assert_str_eq(t.key.data, "k&\xc3\xa9");
    cr_assert_not(t.ack);
    target_done(&t);
    sb_done(&key);

    cr_assert(read_target("/streams/" E "/publish?partitionKeyField=id&ack=true&apiKey=", &t, &key,
                          &why));
    cr_assert_not_null(key.data, "an empty key is a key, and a wrong one");
    cr_assert_eq(key.len, 0);
    cr_assert_eq(t.route, ROUTE_FIELD);
    cr_assert_str_eq(t.key.data, "id");
    cr_assert(t.ack);
    target_done(&t);
    sb_done(&key);

    cr_assert(read_target("/streams/" E "/publish?x=%&y=%ff&partition=7", &t, &key, &why),
              "the value of a parameter nobody knows is not looked at");
    cr_assert_eq(t.route, ROUTE_PARTITION);
    cr_assert_eq(t.partitions[0], 7);
    cr_assert_eq(target_least_partitions(&t), 8);
    target_done(&t);
    sb_done(&why);
}

Test(target, partitions_are_each_subscribed_once)
{
    sb key = SB_INIT, why = SB_INIT;
    target t;

    cr_assert(
        read_target("/streams/" E "/subscribe?partitions=2,0,99,2&partition=x", &t, &key, &why),
        "%s", why.data);
    cr_assert_eq(t.n_partitions, 3);
    cr_assert(t.partitions[0] == 2 && t.partitions[1] == 0 && t.partitions[2] == 99);
    cr_assert_eq(target_least_partitions(&t), 100);
    target_done(&t);
    cr_assert(read_target("/streams/" E "/subscribe", &t, &key, &why));
    cr_assert(t.n_partitions == 1 && t.partitions[0] == 0, "partition 0 unless said");
    target_done(&t);
    sb_done(&why);
}

/* ---- state ---- */

static void session_make(session *s, uint64_t conn, const char *text)
{
    sb key = SB_INIT, why = SB_INIT;

    memset(s, 0, sizeof *s);
    s->conn = conn;
    cr_assert(read_target(text, &s->want, &key, &why), "%s", why.data);
    if (s->want.publish)
        memcpy(s->chain, "0123456789abcdefghij", CHAIN_LEN);
    s->messages = conn * 1000003;
    sb_done(&key);
    sb_done(&why);
}

static void three_sessions(session s[3], sb *out)
{
    session_make(&s[0], 1, "/streams/" E "/subscribe?partitions=2,0,99");
    session_make(&s[1], UINT64_MAX / 1000003, "/streams/" E "/publish?partitionKey=k&ack=true");
    session_make(&s[2], 300, "/streams/" E "/publish?partition=42");
    state_begin(out, 3);
    for (int i = 0; i < 3; i++)
        state_add(out, &s[i]);
}

static const char *read_state(const char *bytes, size_t len, session **sessions, size_t *n)
{
    return state_read((broker_bytes){(const uint8_t *)bytes, len}, sessions, n);
}

Test(state, every_session_comes_back_as_it_was)
{
    session s[3], *got;
    sb state = SB_INIT;
    size_t n;

    three_sessions(s, &state);
    cr_assert_null(read_state(state.data, state.len, &got, &n));
    cr_assert_eq(n, 3);
    for (size_t i = 0; i < 3; i++) {
        cr_assert_eq(got[i].conn, s[i].conn);
        cr_assert_eq(got[i].messages, s[i].messages);
        cr_assert_str_eq(got[i].chain, s[i].chain);
        cr_assert_str_eq(got[i].want.stream.data, S);
        cr_assert_eq(got[i].want.publish, s[i].want.publish);
        cr_assert_eq(got[i].want.ack, s[i].want.ack);
        cr_assert_eq(got[i].want.route, s[i].want.route);
        cr_assert_eq(got[i].want.n_partitions, s[i].want.n_partitions);
        cr_assert_arr_eq(got[i].want.partitions, s[i].want.partitions, STREAMR_PARTITIONS);
        target_done(&s[i].want);
    }
    cr_assert_str_eq(got[1].want.key.data, "k");
    sessions_free(got, n);
    sb_done(&state);
}

Test(state, none_is_a_state_too)
{
    session *got;
    sb state = SB_INIT;
    size_t n = 7;

    state_begin(&state, 0);
    cr_assert_null(read_state(state.data, state.len, &got, &n));
    cr_assert_eq(n, 0);
    sessions_free(got, n);
    sb_done(&state);
}

Test(state, a_cut_or_longer_or_foreign_one_is_refused)
{
    session s[3], *got;
    sb state = SB_INIT;
    size_t n;

    three_sessions(s, &state);
    for (size_t i = 0; i < state.len; i++)
        cr_assert_not_null(read_state(state.data, i, &got, &n), "%zu of %zu bytes", i, state.len);
    sb_putc(&state, 0);
    cr_assert_not_null(read_state(state.data, state.len, &got, &n), "a byte too many");
    state.data[3] = 2; /* the version, behind the map and "v" */
    cr_assert_str_eq(read_state(state.data, state.len - 1, &got, &n), "it is of another version");
    for (int i = 0; i < 3; i++)
        target_done(&s[i].want);
    sb_done(&state);
}

Test(state, what_no_client_could_have_asked_for_is_refused)
{
    session s, *got;
    sb state = SB_INIT;
    size_t n;

#define REFUSED(change)                                                                            \
    do {                                                                                           \
        session_make(&s, 1, "/streams/" E "/subscribe?partitions=1,2");                            \
        change;                                                                                    \
        sb_clear(&state);                                                                          \
        state_begin(&state, 1);                                                                    \
        state_add(&state, &s);                                                                     \
        cr_assert_not_null(read_state(state.data, state.len, &got, &n), #change);                  \
        target_done(&s.want);                                                                      \
    } while (0)
    REFUSED(s.want.partitions[1] = 1);
    REFUSED(s.want.partitions[1] = 100);
    REFUSED(s.want.n_partitions = 0);
    REFUSED(s.want.stream.len = 3);
    REFUSED(s.want.route = ROUTE_KEY);
    REFUSED(s.want.publish = true);
    sb_done(&state);
}
