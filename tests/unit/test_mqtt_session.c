/* The mqtt plugin whole, on the same host as test_mqtt_plugin: what outlives a connection or a
 * build. */
#include "tests/unit/mqtt_talk.h"

TestSuite(mqtt_session, .init = begin, .fini = fake_done);

/* ---- QoS 1 towards the client, sessions ---- */

Test(mqtt_session, qos_1_waits_in_a_window)
{
    broker_conn *c = connected("a", false, false);

    subscribe(c, TOPIC, 2);
    for (int i = 0; i < 4; i++)
        fake_message(TOPIC, 0, "{}");
    delivered(c, "1.1:{} 1.2:{} 1.3:{} ");
    ack(c, 0x40, 2);
    delivered(c, "1.4:{} ");
    cr_assert_eq(fake_value("delivered_total{qos=\"1\"}"), 1);
}

Test(mqtt_session, a_kept_session_gets_what_came_meanwhile)
{
    broker_conn *c = connected("a", true, false);

    subscribe(c, TOPIC, 1);
    fake_message(TOPIC, 0, "{\"n\":1}");
    delivered(c, "1.1:{\"n\":1} ");
    fake_end(c);
    fake_message(TOPIC, 0, "{\"n\":2}");
    c = fake_open();
    send_connect(c, (bytes_connect_options){.id = "a", .keep = true});
    delivered(c, "!1.1:{\"n\":1} 1.2:{\"n\":2} ");
    ack(c, 0x40, 1);
    ack(c, 0x40, 2);
    fake_end(c);
    c = connected("a", true, true);
    delivered(c, "");
}

Test(mqtt_session, a_clean_session_ends_with_its_connection_and_ends_a_kept_one)
{
    broker_conn *c = connected("a", true, false);

    subscribe(c, TOPIC, 1);
    fake_end(c);
    cr_assert_eq(fake.n_subs, 1);
    c = connected("a", false, false);
    cr_assert_eq(fake.n_subs, 0);
    subscribe(c, TOPIC, 1);
    fake_end(c);
    cr_assert_eq(fake.n_subs, 0);
    connected("a", true, false);
}

Test(mqtt_session, the_queue_of_one_who_is_away_is_bounded)
{
    broker_conn *c = connected("a", true, false);
    char text[20];

    subscribe(c, TOPIC, 1);
    fake_end(c);
    for (int i = 0; i < 8; i++) {
        snprintf(text, sizeof text, "{\"n\":%d}", i);
        fake_message(TOPIC, 0, text);
    }
    cr_assert_eq(fake_value("dropped_total{reason=\"queue_full\"}"), 3);
    c = fake_open();
    send_connect(c, (bytes_connect_options){.id = "a", .keep = true});
    delivered(c, "1.1:{\"n\":3} 1.2:{\"n\":4} 1.3:{\"n\":5} ");
}

Test(mqtt_session, sessions_expire_and_are_bounded)
{
    char id[10];

    for (int i = 0; i < 12; i++) {
        snprintf(id, sizeof id, "c%d", i);
        fake_end(connected(id, true, false));
    }
    fake_tick(500);
    cr_assert_eq(fake_value("sessions{}"), 10);
    fake_end(connected("c0", true, false));
    fake_end(connected("c11", true, true));
    fake_tick(101000);
    cr_assert_eq(fake_value("sessions{}"), 0);
}

Test(mqtt_session, one_who_does_not_read_loses_qos_0_and_keeps_qos_1)
{
    broker_conn *c = connected("a", false, false);

    subscribe(c, TOPIC, 0);
    subscribe(c, TOPIC "?partition=0", 1);
    c->slow = true;
    fake_message(TOPIC, 0, "{\"n\":1}");
    delivered(c, "1.1:{\"n\":1} 0.0:{\"n\":1} ");
    fake_message(TOPIC, 0, "{\"n\":2}");
    delivered(c, "");
    cr_assert(c->paused, "its requests are not read either");
    fake_drain(c);
    delivered(c, "1.2:{\"n\":2} ");
    publish(c, TOPIC, "{}", 2, 5);
    c->slow = true;
    fake_message(TOPIC, 0, "{\"n\":3}");
    sb_clear(&c->sent);
    fake_outcome(BROKER_STORED, NULL);
    sent(c, "");
    fake_drain(c);
    sent(c, "40020005");
    cr_assert_not(c->paused);
    cr_assert_eq(fake_value("dropped_total{reason=\"slow\"}"), 1);
}

/* It does not read, and an acknowledgement waits for it. */
static broker_conn *slow_with_puback(void)
{
    broker_conn *c = connected("a", true, false);

    subscribe(c, TOPIC, 0);
    publish(c, TOPIC, "{}", 2, 5);
    c->slow = true;
    fake_message(TOPIC, 0, "{}");
    sb_clear(&c->sent);
    fake_outcome(BROKER_STORED, NULL);
    sent(c, "");
    return c;
}

Test(mqtt_session, one_who_does_not_read_gets_its_acknowledgements_before_it_is_closed)
{
    broker_conn *c = slow_with_puback();

    connected("a", true, true);
    cr_assert(c->asked_to_close, "it is taken over");
    sent(c, "40020005");
}

Test(mqtt_session, one_who_reads_slowly_is_alive_and_one_who_does_not_read_is_not)
{
    broker_conn *slow = with_will(TOPIC, "{}"), *stuck = fake_open();

    send_connect(stuck, (bytes_connect_options){.id = "s", .keep_alive_s = 10});
    sb_clear(&slow->sent);
    sb_clear(&stuck->sent);
    subscribe(slow, TOPIC, 0);
    subscribe(stuck, TOPIC, 0);
    slow->slow = stuck->slow = true;
    fake_message(TOPIC, 0, "{}");
    cr_assert(slow->paused && stuck->paused);
    for (int i = 0; i < 4; i++) {
        slow->taken += 1000;
        fake_tick(10000);
    }
    cr_assert_not(slow->asked_to_close);
    cr_assert(stuck->asked_to_close);
    cr_assert_eq(fake.n_posts, 0);
    fake_tick(16000);
    cr_assert(slow->asked_to_close, "it has stopped reading");
    fake_outcome(BROKER_STORED, NULL);
}

/* ---- wills ---- */

Test(mqtt_session, a_will_is_published_when_the_client_is_lost)
{
    broker_conn *c = with_will(TOPIC, "{\"gone\":1}");

    fake_end(c);
    cr_assert(post_is(0, TOPIC, "{\"gone\":1}", "w"));
    c = with_will(TOPIC, "{\"gone\":2}");
    fake_tick(16000);
    cr_assert(post_is(1, TOPIC, "{\"gone\":2}", "w"));
    fake_end(c);
    c = with_will(TOPIC, "{\"gone\":3}");
    fake_bytes(c, "\xf0\0", 2);
    cr_assert(post_is(2, TOPIC, "{\"gone\":3}", "w"));
    cr_assert_eq(fake.n_posts, 3, "once each");
    while (fake.n_over < fake.n_posts)
        fake_outcome(BROKER_STORED, NULL);
}

Test(mqtt_session, a_will_is_not_published_after_a_goodbye)
{
    broker_conn *c = with_will(TOPIC, "{}");

    fake_bytes(c, "\xe0\0", 2);
    cr_assert(c->asked_to_close);
    fake_end(c);
    cr_assert_eq(fake.n_posts, 0);
}

Test(mqtt_session, a_will_waits_while_the_bus_is_full)
{
    broker_conn *c = with_will(TOPIC, "{}");

    fake.bus_full = true;
    fake_end(c);
    cr_assert_eq(fake.n_posts, 0);
    fake_room();
    cr_assert_eq(fake.n_posts, 1);
    fake_outcome(BROKER_STORED, NULL);
}

Test(mqtt_session, a_will_counts_by_what_became_of_it)
{
    static const int32_t codes[] = {BROKER_STORED, BROKER_NO_STORE, BROKER_REJECTED, BROKER_FAILED};

    for (size_t i = 0; i < COUNT_OF(codes); i++) {
        fake_end(with_will(TOPIC, "{}"));
        cr_assert_eq(fake_value("wills_total{}"), i < 2 ? i : 2, "%zu", i);
        fake_outcome(codes[i], "because");
    }
    cr_assert_eq(fake_value("wills_total{}"), 2);
    cr_assert_eq(fake_value("wills_lost_total{}"), 2);
    cr_assert_not_null(strstr(fake.log.data, "the will of client 'w'"));
}

Test(mqtt_session, wills_beyond_those_that_may_wait_are_named)
{
    broker_conn *c;

    fake.bus_full = true;
    sb_clear(&fake.log);
    for (int i = 0; i <= 1000; i++) {
        c = with_will(TOPIC, "{}");
        cr_assert_eq(fake.log.len, 0, "%d", i);
        fake_end(c);
        sb_done(&c->sent);
        fake.n_conns = 0; /* its place is free again */
    }
    cr_assert_eq(fake_value("wills_lost_total{}"), 1);
    cr_assert_not_null(strstr(fake.log.data, "the will of client 'w'"));
    fake_room();
    while (fake.n_over < fake.n_posts)
        fake_outcome(BROKER_STORED, NULL);
    cr_assert_eq(fake_value("wills_total{}"), 1000);
}

Test(mqtt_session, a_message_that_fails_after_its_session_is_named_by_its_client)
{
    broker_conn *c = connected("lamp", false, false);

    publish(c, TOPIC, "{}", 2, 1);
    fake_end(c);
    fake_outcome(BROKER_FAILED, "no disk");
    cr_assert_not_null(strstr(fake.log.data, "a message of client 'lamp'"));
}

/* ---- the next build ---- */

Test(mqtt_session, a_swap_waits_for_outcomes)
{
    broker_conn *c = connected("a", false, false);

    publish(c, TOPIC, "{}", 2, 1);
    cr_assert_eq(fake_quiesce(), BROKER_AGAIN);
    fake_outcome(BROKER_STORED, NULL);
    sent(c, "40020001");
    swap();
}

Test(mqtt_session, a_swap_carries_sessions_connections_and_half_a_packet)
{
    broker_conn *a = connected("a", true, false), *b = connected("b", false, false),
                *n = fake_open(), *k;
    sb out = SB_INIT;

    subscribe(a, TOPIC, 1);
    subscribe(b, TOPIC "?partition=0", 0);
    for (int i = 0; i < 4; i++)
        fake_message(TOPIC, 0, "{}");
    delivered(a, "1.1:{} 1.2:{} 1.3:{} ");
    delivered(b, "0.0:{} 0.0:{} 0.0:{} 0.0:{} ");
    publish(a, TOPIC, "{}", 4, 7);
    fake_outcome(BROKER_STORED, NULL);
    sent(a, "50020007");
    k = connected("kept", true, false);
    subscribe(k, TOPIC, 1);
    fake_message(TOPIC, 0, "{}");
    fake_end(k);
    bytes_publish(&out, TOPIC, "{\"half\":1}", 2, 3);
    fake_bytes(b, out.data, 20);
    fake_bytes(n, "\x10", 1);
    sb_clear(&b->sent);
    swap();
    fake_tick(1);
    cr_assert_eq(fake.n_subs, 1);
    fake_bytes(b, out.data + 20, out.len - 20);
    cr_assert(post_is(1, TOPIC, "{\"half\":1}", "b"));
    fake_outcome(BROKER_STORED, NULL);
    sent(b, "40020003");
    delivered(a, "");
    ack(a, 0x40, 2);
    delivered(a, "1.4:{} ");
    publish(a, TOPIC, "{}", 12, 7);
    sent(a, "50020007");
    cr_assert_eq(fake.n_posts, 2, "its id was received before the swap");
    fake_message(TOPIC, 0, "{\"n\":1}");
    delivered(b, "0.0:{\"n\":1} ");
    fake_bytes(n, "\x0d\0\4MQTT\4\2\0\0\0\1n", 14);
    sent(n, "20020000");
    k = fake_open();
    send_connect(k, (bytes_connect_options){.id = "kept", .keep = true});
    delivered(k, "!1.1:{} 1.2:{\"n\":1} ");
    sb_done(&out);
}

Test(mqtt_session, a_session_that_is_away_stays_as_old_as_it_is)
{
    fake_end(connected("a", true, false));
    fake_tick(60000);
    swap();
    fake_tick(39000);
    cr_assert_eq(fake_value("sessions{}"), 1);
    fake_tick(2000);
    cr_assert_eq(fake_value("sessions{}"), 0);
}

Test(mqtt_session, one_who_does_not_read_is_not_pressed_by_the_next_build)
{
    broker_conn *c = connected("a", false, false);

    subscribe(c, TOPIC, 0);
    c->slow = true;
    fake_message(TOPIC, 0, "{}");
    sb_clear(&c->sent);
    swap();
    fake_tick(1);
    fake_message(TOPIC, 0, "{}"); /* sending would fail */
    delivered(c, "");
    fake_drain(c);
    fake_message(TOPIC, 0, "{}");
    delivered(c, "0.0:{} ");
}

Test(mqtt_session, a_swap_loses_no_acknowledgement_of_one_who_does_not_read)
{
    broker_conn *c = slow_with_puback();

    swap();
    sent(c, "40020005");
    fake_tick(1);
    fake_message(TOPIC, 0, "{}");
    delivered(c, "");
    fake_drain(c);
    fake_message(TOPIC, 0, "{}");
    delivered(c, "0.0:{} ");
}

Test(mqtt_session, nobody_is_late_while_the_host_holds_the_sockets_for_a_swap)
{
    broker_conn *c = with_will(TOPIC, "{}"), *n = fake_open();

    publish(c, TOPIC, "{}", 0, 0);
    fake_tick(9000);
    cr_assert_eq(broker_plugin.prepare(fake.plugin), BROKER_OK);
    cr_assert_eq(fake_quiesce(), BROKER_AGAIN, "an outcome is awaited");
    for (int i = 0; i < 60; i++)
        fake_tick(500);
    cr_assert_not(c->asked_to_close);
    cr_assert_not(n->asked_to_close);
    fake_outcome(BROKER_STORED, NULL);
    swap();
    fake_tick(9000);
    cr_assert_not(n->asked_to_close);
    fake_tick(6500);
    cr_assert(c->asked_to_close && n->asked_to_close, "times count in the next build");
    fake_outcome(BROKER_STORED, NULL);
}

Test(mqtt_session, times_count_again_when_a_swap_is_given_up)
{
    broker_conn *c = with_will(TOPIC, "{}"), *d = connected("d", false, false);

    cr_assert_eq(broker_plugin.prepare(fake.plugin), BROKER_OK);
    fake_bytes(d, "\xc0\0", 2); /* it was on its way */
    fake_tick(30000);
    cr_assert_not(c->asked_to_close);
    fake_bytes(d, "\xc0\0", 2);
    fake_tick(14000);
    cr_assert_not(c->asked_to_close);
    fake_tick(1500);
    cr_assert(c->asked_to_close);
    fake_outcome(BROKER_STORED, NULL);
}

Test(mqtt_session, a_swap_that_fails_goes_on_with_its_own_state)
{
    broker_conn *a = connected("a", false, false);

    subscribe(a, TOPIC, 1);
    cr_assert_eq(fake_quiesce(), BROKER_OK);
    cr_assert_eq(fake_start(), BROKER_OK);
    fake_message(TOPIC, 0, "{}");
    delivered(a, "1.1:{} ");
}

Test(mqtt_session, a_will_crosses_a_swap)
{
    broker_conn *c = with_will(TOPIC, "{\"gone\":1}");

    swap();
    fake_end(c);
    cr_assert(post_is(0, TOPIC, "{\"gone\":1}", "w"));
    fake_outcome(BROKER_STORED, NULL);
}

Test(mqtt_session, one_lost_during_a_swap_leaves_its_will)
{
    broker_conn *c = with_will(TOPIC, "{\"gone\":1}");

    cr_assert_eq(fake_quiesce(), BROKER_OK);
    fake_end(c);
    cr_assert_eq(fake_start(), BROKER_OK);
    cr_assert(post_is(0, TOPIC, "{\"gone\":1}", "w"));
    fake_outcome(BROKER_STORED, NULL);
    cr_assert_eq(fake_value("sessions{}"), 0);
}

Test(mqtt_session, state_of_another_build_is_refused)
{
    static const struct {
        const char *bytes;
        size_t len;
    } bad[] = {
        {"\x81\xa7version\2", 10},   /* version 2             */
        {"\x80", 1},                 /* none                  */
        {"\x81\xa7version\1\0", 11}, /* a byte more           */
        {"\x81\xa7version", 9},      /* cut                   */
        {"\xdf\xff\xff\xff\xff", 5}, /* claims 4 G elements   */
        {"\x82\xa7version\1\xa7parcels\xdd\xff\xff\xff\xff", 23},
        {"x", 1},
    };

    fake_quiesce();
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        sb_clear(&fake.state);
        sb_append(&fake.state, bad[i].bytes, bad[i].len);
        cr_assert_eq(fake_start(), BROKER_ESTATE, "%zu", i);
    }
    sb_clear(&fake.state);
    sb_append(&fake.state, "\x81\xa7version\1", 10);
    cr_assert_eq(fake_start(), BROKER_OK);
}

Test(mqtt_session, state_of_version_1_is_read)
{
    size_t len;
    char *blob = file_read(TEST_SOURCE_DIR "/fuzz/corpus/fuzz_mqtt_state/full", 4096, &len);
    broker_conn *c = fake_open();

    c->id = 1;
    fake.partitions = 0;
    cr_assert_eq(fake_quiesce(), BROKER_OK);
    sb_clear(&fake.state);
    sb_append(&fake.state, blob, len);
    free(blob);
    cr_assert_eq(fake_start(), BROKER_OK);
    cr_assert_eq(fake_value("sessions{}"), 3);
    cr_assert_eq(fake.n_posts, 1, "the other connection is not there any more, and left a will");
    cr_assert_eq(fake.n_subs, 2);
    fake_tick(1);
    delivered(c, "!1.2:{} 1.3:{} ");
    fake_outcome(BROKER_STORED, NULL);
}
