/* websocket: the plugin on a host of the test's own: who is let in, what is published and in
 * which order, what subscribers get, and what crosses a swap. */
#include "websocket_host.h"

#include <criterion/criterion.h>

/* ---- who is let in ---- */

Test(websocket, the_url_is_checked_before_the_key)
{
    void *self = begin();
    broker_conn *c;

    h.key = "secret";
    cr_assert_eq(ask("/nothing?apiKey=secret", &c), 400);
    cr_assert_eq(ask("/nothing", &c), 400);
    cr_assert_eq(ask(PUBLISH, &c), 401);
    cr_assert_eq(ask(PUBLISH "?apiKey=", &c), 403);
    cr_assert_eq(ask(PUBLISH "?apiKey=Secret", &c), 403);
    cr_assert_eq(ask(PUBLISH "?apiKey=secret&partition=3", &c), 400, "the stream has three");
    cr_assert_eq(ask(PUBLISH "?apiKey=secret&partition=2", &c), BROKER_OK);
    cr_assert_eq(metric("errors_total{reason=\"target\"}"), 3);
    cr_assert_eq(metric("errors_total{reason=\"key\"}"), 3);
    cr_assert_null(strstr(h.log.data, "ecret"), "the log shows a key: %s", h.log.data);
    end(self);
}

Test(websocket, nobody_listens_to_the_world_without_a_key)
{
    void *self;

    snprintf(h.host_name, sizeof h.host_name, "0.0.0.0");
    cr_assert_eq(broker_plugin.create(&ctx, &self), BROKER_OK);
    cr_assert_eq(broker_plugin.start(self, (broker_bytes){NULL, 0}), BROKER_ECONFIG);
    cr_assert_not_null(strstr(h.why, "apiAuthentication.keys"), "%s", h.why);
    h.key = "k";
    cr_assert_eq(broker_plugin.start(self, (broker_bytes){NULL, 0}), BROKER_OK);
    end(self);
}

/* ---- publishing ---- */

Test(websocket, answers_come_in_the_order_of_the_messages)
{
    void *self = begin();
    broker_conn *c = client_open(PUBLISH "?ack=true");

    say(c, "{\"a\":1}");
    say(c, "[1]");
    say(c, "{\"b\":2}");
    say(c, "ping");
    say(c, "{\"c\":3}");
    cr_assert_str_eq(c->got.data, "pong\n");
    settle(1, BROKER_NO_STORE);
    settle(2, BROKER_REJECTED);
    cr_assert_str_eq(c->got.data, "pong\n", "the first is not known yet");
    settle(0, BROKER_STORED);
    cr_assert_str_eq(c->got.data,
                     "pong\n{\"ack\":{\"index\":0,\"outcome\":\"stored\",\"id\":[\"" S
                     "\",0,0,0,\"0xabcd\",\"c\"]}}\n"
                     "{\"error\":{\"index\":1,\"reason\":\"Content is not an object\"}}\n"
                     "{\"ack\":{\"index\":2,\"outcome\":\"delivered\",\"id\":[\"" S
                     "\",0,1,0,\"0xabcd\",\"c\"]}}\n"
                     "{\"error\":{\"index\":3,\"reason\":\"no \\\"good\\\"\"}}\n");
    cr_assert_eq(metric("messages_in_total{}"), 4);
    cr_assert_eq(metric("errors_total{reason=\"payload\"}"), 1);
    cr_assert_eq(metric("errors_total{reason=\"rejected\"}"), 1);
    end(self);
}

Test(websocket, without_ack_a_client_hears_nothing_and_the_log_does)
{
    void *self = begin();
    broker_conn *c = client_open(PUBLISH);

    say(c, "{}");
    settle(0, BROKER_STORED);
    for (int i = 0; i < 5; i++)
        say(c, "nonsense");
    h.now_ms += 61000;
    say(c, "nonsense");
    cr_assert_eq(c->got.len, 0);
    cr_assert_not_null(strstr(h.log.data, "message 1 of a connection to '" S
                                          "' is not published: Payload is not a JSON string"));
    cr_assert_null(strstr(h.log.data, "message 2"), "once a minute");
    cr_assert_not_null(strstr(h.log.data, "(and 4 more like it"), "%s", h.log.data);
    end(self);
}

Test(websocket, each_connection_has_a_chain_and_its_way_to_a_partition)
{
    void *self = begin();
    broker_conn *plain = client_open(PUBLISH), *fixed = client_open(PUBLISH "?partition=2"),
                *key = client_open(PUBLISH "?partitionKey=k"),
                *field = client_open(PUBLISH "?partitionKeyField=id");

    say(plain, "{}");
    say(plain, "{}");
    say(fixed, "{}");
    say(key, "{}");
    say(field, "{\"id\":\"x\"}");
    say(field, "{\"id\":7}");
    cr_assert_eq(h.n_published, 6);
    cr_assert_str_eq(h.published[0].chain, h.published[1].chain);
    cr_assert_eq(strlen(h.published[0].chain), 20);
    cr_assert_str_neq(h.published[0].chain, h.published[2].chain);
    cr_assert_eq(h.published[0].partition, BROKER_ALL_PARTITIONS);
    cr_assert_eq(h.published[2].partition, 2);
    cr_assert_str_eq(h.published[3].key, "k");
    cr_assert_str_eq(h.published[4].key, "x");
    cr_assert_eq(h.published[5].partition, 7 % 3);
    for (size_t i = 0; i < 6; i++)
        settle(i, BROKER_STORED);
    end(self);
}

Test(websocket, a_full_bus_stops_the_reading_and_nothing_is_lost_or_overtaken)
{
    void *self = begin();
    broker_conn *a = client_open(PUBLISH), *b = client_open(PUBLISH);

    h.room = 1;
    say(a, "{\"a\":1}");
    say(a, "{\"a\":2}");
    h.room = 2;
    say(a, "{\"a\":3}"); /* was read already; the one before it goes first */
    h.room = 1;
    say(b, "{\"b\":1}");
    cr_assert(a->paused && b->paused);
    cr_assert_eq(h.n_published, 1);
    room_again(2);
    cr_assert(a->paused && b->paused);
    leave(a); /* what it sent is published all the same */
    room_again(ROOM_FOR_ALL);
    cr_assert_not(b->paused);
    cr_assert_eq(h.n_published, 4);
    cr_assert_str_eq(h.published[0].content, "{\"a\":1}");
    cr_assert_str_eq(h.published[1].content, "{\"a\":2}");
    cr_assert_str_eq(h.published[2].content, "{\"a\":3}");
    cr_assert_str_eq(h.published[3].content, "{\"b\":1}");
    for (size_t i = 0; i < 4; i++)
        settle(i, BROKER_STORED);
    end(self);
}

Test(websocket, one_client_does_not_take_all_the_room_there_is)
{
    void *self = begin();
    broker_conn *c = client_open(PUBLISH);
    size_t at = 0;

    for (size_t i = 0; i < 8192; i++)
        say(c, "{}");
    cr_assert_not(c->paused);
    say(c, "{\"last\":1}");
    cr_assert(c->paused);
    cr_assert_eq(h.n_published, 8192);
    while (at < 4095)
        settle(at++, BROKER_STORED);
    cr_assert(c->paused);
    settle(at++, BROKER_STORED);
    cr_assert_not(c->paused);
    cr_assert_str_eq(h.published[8192].content, "{\"last\":1}");
    while (at < h.n_published)
        settle(at++, BROKER_STORED);
    end(self);
}

Test(websocket, who_does_not_read_his_answers_is_not_read)
{
    void *self = begin();
    broker_conn *c = client_open(PUBLISH "?ack=true");

    c->full = true;
    say(c, "{}");
    settle(0, BROKER_STORED);
    cr_assert(c->paused);
    c->full = false;
    c->calls.on_drain(c->calls.self, c);
    cr_assert_not(c->paused);
    end(self);
}

Test(websocket, what_the_host_refuses_is_said)
{
    void *self = begin();
    broker_conn *c = client_open(PUBLISH "?ack=true");

    h.publish_rc = BROKER_EDENIED;
    say(c, "{}");
    h.publish_rc = BROKER_EINVAL;
    say(c, "{}");
    cr_assert_not_null(strstr(c->got.data, "no key to sign with"));
    cr_assert_not_null(strstr(c->got.data, "larger than a message may be"));
    end(self);
}

/* ---- subscribing ---- */

Test(websocket, subscribers_share_a_subscription_and_a_buffer)
{
    static const char *const texts[] = {"{\"n\":1}", "{\"n\":2}"};
    void *self = begin();
    broker_conn *c[16];

    for (int i = 0; i < 16; i++)
        c[i] = client_open(FOLLOW);
    cr_assert_eq(h.n_subs, 1);
    deliver(&h.subs[0], texts, 2);
    cr_assert_eq(h.bufs_made, 1, "%zu buffers for two messages", h.bufs_made);
    for (int i = 0; i < 16; i++) {
        cr_assert_str_eq(c[i]->got.data, "{\"n\":1}\n{\"n\":2}\n");
        cr_assert_eq(c[i]->last_buf, c[0]->last_buf);
    }
    cr_assert_eq(metric("messages_out_total{}"), 32);
    cr_assert_eq(metric("connections{kind=\"subscribe\"}"), 16);
    leave(c[15]); /* the last in the list */
    c[15] = client_open(FOLLOW);
    deliver(&h.subs[0], texts, 1);
    cr_assert_str_eq(c[15]->got.data, "{\"n\":1}\n");
    for (int i = 0; i < 15; i++)
        leave(c[i]);
    cr_assert(h.subs[0].live);
    leave(c[15]);
    cr_assert_not(h.subs[0].live, "the last one ends the subscription");
    cr_assert_eq(metric("connections{kind=\"subscribe\"}"), 0);
    end(self);
}

Test(websocket, partitions_are_subscriptions_of_their_own)
{
    static const char *const texts[] = {"{}"};
    void *self = begin();
    broker_conn *both = client_open(FOLLOW "?partitions=2,0"), *zero = client_open(FOLLOW);

    cr_assert_eq(h.n_subs, 2);
    cr_assert_eq(h.subs[0].want.partition, 2);
    cr_assert_eq(h.subs[1].want.partition, 0);
    deliver(&h.subs[0], texts, 1);
    cr_assert_eq(zero->got.len, 0);
    deliver(&h.subs[1], texts, 1);
    cr_assert_str_eq(both->got.data, "{}\n{}\n");
    cr_assert_str_eq(zero->got.data, "{}\n");
    leave(both);
    cr_assert(!h.subs[0].live && h.subs[1].live);
    end(self);
}

Test(websocket, a_slow_subscriber_is_closed_and_the_others_miss_nothing)
{
    static const char *const texts[] = {"{\"n\":1}", "{\"n\":2}"};
    void *self = begin();
    broker_conn *slow = client_open(FOLLOW), *other = client_open(FOLLOW);

    slow->queued = 65536;
    deliver(&h.subs[0], texts, 2);
    cr_assert_eq(slow->code, 0, "as much as is allowed");
    slow->queued = 65537;
    deliver(&h.subs[0], texts, 2);
    cr_assert_eq(slow->code, 1013);
    cr_assert_str_eq(slow->reason, "too slow: more than 65536 bytes wait (maxQueuedBytes)");
    deliver(&h.subs[0], texts, 2); /* before on_close() */
    leave(slow);
    deliver(&h.subs[0], texts, 2);
    cr_assert_eq(other->got.len, 8 * 8);
    cr_assert_eq(metric("errors_total{reason=\"slow_subscriber\"}"), 1);
    cr_assert_not_null(strstr(h.log.data, "closing the subscriber 127.0.0.1:1 of '" S "'"));
    end(self);
}

Test(websocket, a_subscriber_that_cannot_be_sent_to_is_closed_counted_and_named)
{
    static const char *const texts[] = {"{\"n\":1}", "{\"n\":2}"};
    void *self = begin();
    broker_conn *gone = client_open(FOLLOW), *other = client_open(FOLLOW);

    gone->gone = true;
    deliver(&h.subs[0], texts, 2);
    cr_assert_eq(gone->code, 1011);
    cr_assert_eq(other->got.len, 2 * 8);
    cr_assert_eq(metric("errors_total{reason=\"lost\"}"), 1);
    cr_assert_not_null(strstr(h.log.data, "of '" S "': it cannot be sent to"));
    end(self);
}

Test(websocket, what_nobody_may_read_is_left_out_and_counted)
{
    static const char *const texts[] = {"cipher", "{\"n\":1}", "[1]", "cipher", "{\"n\":2}"};
    void *self = begin();
    broker_conn *c = client_open(FOLLOW);

    deliver(&h.subs[0], texts, 5);
    cr_assert_str_eq(c->got.data, "{\"n\":1}\n{\"n\":2}\n");
    cr_assert_eq(metric("dropped_total{reason=\"encrypted\"}"), 2);
    cr_assert_eq(metric("dropped_total{reason=\"not_object\"}"), 1);
    deliver(&h.subs[0], texts, 1);
    end(self);
}

Test(websocket, metadata_goes_round_when_it_is_wanted)
{
    static const char *const texts[] = {"{\"n\":1}"};
    broker_conn *in, *out;
    void *self;

    h.wrapped = true;
    self = begin();
    in = client_open(FOLLOW);
    out = client_open(PUBLISH "?ack=true");
    deliver(&h.subs[0], texts, 1);
    cr_assert_str_eq(in->got.data,
                     "{\"content\":{\"n\":1},\"metadata\":{\"timestamp\":0,\"sequenceNumber\":0,"
                     "\"publisherId\":\"0x\",\"msgChainId\":\"\"}}\n");
    say(out, "{\"content\":{\"n\":2}}");
    say(out, "{\"n\":3}");
    cr_assert_str_eq(h.published[0].content, "{\"n\":2}");
    settle(0, BROKER_STORED);
    cr_assert_not_null(strstr(out->got.data, "Content missing"));
    end(self);
}

/* ---- across a swap ---- */

Test(websocket, a_swap_waits_for_outcomes_and_goes_on_where_it_was)
{
    static const char *const texts[] = {"{\"n\":1}"};
    void *old = begin(), *new;
    broker_conn *out = client_open(PUBLISH "?ack=true&partition=1"),
                *in = client_open(FOLLOW "?partitions=0,2"), *gone = client_open(FOLLOW);
    size_t subs = h.n_subs;
    sb state;

    say(out, "{\"a\":1}");
    cr_assert_eq(quiesce(old, &state), BROKER_AGAIN);
    cr_assert_eq(state.len, 0);
    settle(0, BROKER_STORED);
    cr_assert_eq(quiesce(old, &state), BROKER_OK);
    gone->id = 0;
    new = build_start((broker_bytes){(const uint8_t *)state.data, state.len});
    broker_plugin.destroy(old);
    cr_assert(subs == 2 && h.n_subs == 4, "%zu subscriptions, then %zu", subs, h.n_subs);
    cr_assert_eq(metric("connections{kind=\"subscribe\"}"), 1, "one of them has ended");
    say(out, "{\"a\":2}");
    cr_assert_str_eq(h.published[1].chain, h.published[0].chain);
    cr_assert_eq(h.published[1].partition, 1);
    settle(1, BROKER_STORED);
    cr_assert_not_null(strstr(out->got.data, "\"index\":1"), "%s", out->got.data);
    deliver(&h.subs[2], texts, 1);
    deliver(&h.subs[3], texts, 1);
    cr_assert_str_eq(in->got.data, "{\"n\":1}\n{\"n\":1}\n");
    cr_assert_eq(gone->got.len, 0);
    sb_done(&state);
    end(new);
}

Test(websocket, a_build_whose_successor_failed_takes_its_state_back)
{
    void *self = begin();
    broker_conn *c = client_open(PUBLISH "?ack=true");
    sb state;

    cr_assert_eq(quiesce(self, &state), BROKER_OK);
    cr_assert_eq(broker_plugin.start(self, (broker_bytes){(uint8_t *)state.data, state.len}),
                 BROKER_OK);
    say(c, "{}");
    settle(0, BROKER_STORED);
    cr_assert_not_null(strstr(c->got.data, "stored"));
    cr_assert_eq(metric("connections{kind=\"publish\"}"), 1);
    sb_done(&state);
    end(self);
}

Test(websocket, a_state_of_another_version_is_not_taken)
{
    void *self = begin(), *new;
    sb state;

    client_open(PUBLISH);
    cr_assert_eq(quiesce(self, &state), BROKER_OK);
    state.data[3] = 9; /* behind the map and "v" */
    cr_assert_eq(broker_plugin.create(&ctx, &new), BROKER_OK);
    cr_assert_eq(broker_plugin.start(new, (broker_bytes){(uint8_t *)state.data, state.len}),
                 BROKER_ESTATE);
    cr_assert_str_eq(h.why, "it is of another version");
    broker_plugin.destroy(new);
    broker_plugin.destroy(self);
    sb_done(&state);
}
