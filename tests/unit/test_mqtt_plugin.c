/* The mqtt plugin whole, bytes in and bytes out, on a host without sockets and without a bus:
 * connections, publishing, subscribing. */
#include "tests/unit/mqtt_talk.h"

TestSuite(mqtt, .init = begin, .fini = fake_done);

/* ---- CONNECT ---- */

Test(mqtt, without_a_key_anybody_on_loopback_may_connect)
{
    broker_conn *c = connected("a", false, false);

    fake_bytes(c, "\xc0\0", 2);
    sent(c, "d000");
}

Test(mqtt, the_api_key_is_the_password)
{
    static const struct {
        const char *user, *password, *answer;
    } cases[] = {
        {NULL, NULL, "20020005"}, {"u", NULL, "20020005"},      {"u", "wrong", "20020004"},
        {"u", "", "20020004"},    {"u", "secret2", "20020004"}, {"", "secret", "20020000"},
    };

    fake.key = "secret";
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        broker_conn *c = fake_open();

        send_connect(c, (bytes_connect_options){
                            .id = "a", .user = cases[i].user, .password = cases[i].password});
        sent(c, cases[i].answer);
        cr_assert_eq(c->asked_to_close, i + 1 != COUNT_OF(cases), "%zu", i);
        fake_end(c);
    }
    cr_assert_eq(fake_value("connects_total{result=\"key\"}"), 5);
}

Test(mqtt, a_host_beyond_loopback_needs_a_key)
{
    static const char *const beyond[] = {"0.0.0.0", "::", "10.1.2.3", "example.org",
                                         "127.evil.org"};

    fake_quiesce();
    for (size_t i = 0; i < COUNT_OF(beyond); i++) {
        fake.host = beyond[i];
        fake.accepted = NULL;
        cr_assert_eq(fake_start(), BROKER_ECONFIG, "%s", beyond[i]);
        cr_assert_null(fake.accepted, "no port was opened");
        cr_assert_not_null(strstr(fake.failure.data, "apiAuthentication"));
    }
    fake.key = "k";
    cr_assert_eq(fake_start(), BROKER_OK);
}

Test(mqtt, another_version_is_answered_in_its_own_words)
{
    broker_conn *c = fake_open();
    static const char v5[] = "\x10\x0e\0\4MQTT\5\2\0\0\0\0\1a",
                      v31[] = "\x10\x0f\0\6MQIsdp\3\2\0\0\0\1a";

    fake_bytes(c, v5, 16);
    sent(c, "2003008400");
    cr_assert(c->asked_to_close);
    c = fake_open();
    fake_bytes(c, v31, 17);
    sent(c, "20020001");
    cr_assert(c->asked_to_close);
}

Test(mqtt, a_client_without_an_id_gets_one_or_is_refused)
{
    broker_conn *c = fake_open();

    send_connect(c, (bytes_connect_options){.id = "", .keep = true});
    sent(c, "20020002");
    cr_assert(c->asked_to_close);
    c = fake_open();
    send_connect(c, (bytes_connect_options){.id = ""});
    sent(c, "20020000");
    publish(c, TOPIC, "{}", 0, 0);
    cr_assert_eq(fake.posts[0].chain.len, 20 + 21);
    fake_outcome(BROKER_NO_STORE, NULL);
}

Test(mqtt, the_first_packet_is_connect_and_no_other)
{
    broker_conn *c = fake_open();

    fake_bytes(c, "\xc0\0", 2);
    cr_assert(c->asked_to_close);
    c = connected("a", false, false);
    send_connect(c, (bytes_connect_options){.id = "a"});
    cr_assert(c->asked_to_close);
}

Test(mqtt, who_does_not_say_connect_is_closed)
{
    broker_conn *c = fake_open();

    fake_bytes(c, "\x10\x20\0\4MQ", 6);
    fake_tick(9000);
    cr_assert_not(c->asked_to_close);
    fake_tick(2000);
    cr_assert(c->asked_to_close);
}

Test(mqtt, keep_alive_counts_one_and_a_half_times)
{
    broker_conn *c = fake_open(), *d = fake_open();

    send_connect(c, (bytes_connect_options){.id = "a", .keep_alive_s = 10});
    send_connect(d, (bytes_connect_options){.id = "b"});
    fake_tick(14000);
    fake_bytes(c, "\xc0\0", 2);
    fake_tick(14000);
    cr_assert_not(c->asked_to_close);
    fake_tick(2000);
    cr_assert(c->asked_to_close);
    fake_tick(3600 * 1000);
    cr_assert_not(d->asked_to_close);
}

Test(mqtt, a_bound_for_keep_alive_holds_for_those_who_want_none)
{
    broker_conn *c;

    fake.keep_alive_max = 10;
    swap();
    c = fake_open();
    send_connect(c, (bytes_connect_options){.id = "b"});
    fake_tick(16000);
    cr_assert(c->asked_to_close);
}

Test(mqtt, a_client_id_is_taken_over)
{
    broker_conn *a = connected("x", false, false), *b;

    b = connected("x", false, false);
    cr_assert(a->asked_to_close && !b->asked_to_close);
    fake_end(a);
    fake_bytes(b, "\xc0\0", 2);
    sent(b, "d000");
}

/* ---- publishing ---- */

Test(mqtt, a_message_is_published_as_it_came_under_the_client_id)
{
    broker_conn *c = connected("lamp", false, false);

    publish(c, "0x19E7e376e7c213b7e7e7e46cc70a5dd086daff2a/t", " {\"a\": 1.0}", 0, 0);
    cr_assert(post_is(0, TOPIC, " {\"a\": 1.0}", "lamp"));
    cr_assert_eq(fake.posts[0].partition, BROKER_ALL_PARTITIONS);
    fake_outcome(BROKER_NO_STORE, NULL);
    sent(c, "");
}

static bool same_chain(size_t i, size_t j)
{
    return strcmp(fake.posts[i].chain.data, fake.posts[j].chain.data) == 0;
}

/* The bus takes no message that is older than the last one of its chain. */
Test(mqtt, each_connection_has_a_chain_that_crosses_a_swap_and_its_will_another)
{
    broker_conn *c = with_will(TOPIC, "{}");

    publish(c, TOPIC, "{}", 0, 0);
    fake_outcome(BROKER_STORED, NULL);
    swap();
    publish(c, TOPIC, "{}", 0, 0);
    cr_assert(same_chain(0, 1), "a swap changed it");
    fake_end(c);
    cr_assert(post_is(2, TOPIC, "{}", "w"));
    cr_assert_not(same_chain(1, 2), "the will is older than what came after CONNECT");
    c = with_will(TOPIC, "{}");
    publish(c, TOPIC, "{}", 0, 0);
    cr_assert_not(same_chain(1, 3), "what it sends again may be older than the last one");
    while (fake.n_over < fake.n_posts)
        fake_outcome(BROKER_STORED, NULL);
}

Test(mqtt, a_chain_takes_as_much_of_a_long_client_id_as_fits)
{
    sb id = SB_INIT;
    broker_conn *c;

    for (int i = 0; i < 233; i++)
        sb_putc(&id, 'a');
    sb_puts(&id, "\xe2\x82\xac\xe2\x82\xac");
    c = connected(id.data, false, false);
    publish(c, TOPIC, "{}", 0, 0);
    fake_outcome(BROKER_STORED, NULL);
    cr_assert_eq(fake.posts[0].chain.len, 233 + 21,
                 "cut before a character of which it had a part");
    sb_done(&id);
}

Test(mqtt, the_partition_is_chosen_by_the_topic)
{
    broker_conn *c = connected("lamp", false, false);

    fake.partitions = 3;
    publish(c, TOPIC "?partition=2", "{}", 0, 0);
    publish(c, TOPIC "?partitionKey=k", "{}", 0, 0);
    publish(c, TOPIC "?partitionKeyField=id", "{\"id\":\"x\"}", 0, 0);
    publish(c, TOPIC "?partitionKeyField=id", "{\"id\":7}", 0, 0);
    cr_assert_eq(fake.posts[0].partition, 2);
    cr_assert_str_eq(fake.posts[1].key.data, "k");
    cr_assert_str_eq(fake.posts[2].key.data, "x");
    cr_assert_eq(fake.posts[2].partition, BROKER_ALL_PARTITIONS);
    cr_assert_eq(fake.posts[3].partition, 1);
    while (fake.n_over < fake.n_posts)
        fake_outcome(BROKER_NO_STORE, NULL);
}

Test(mqtt, puback_follows_the_outcome_in_the_order_of_the_packets)
{
    broker_conn *c = connected("lamp", false, false);
    broker_outcome stored = {BROKER_STORED, 0, NULL};

    publish(c, TOPIC, "{}", 2, 5);
    publish(c, TOPIC, "{}", 2, 6);
    publish(c, TOPIC, "{}", 4, 7);
    sent(c, "");
    fake.posts[1].done(fake.posts[1].arg, NULL, &stored);
    sent(c, "");
    fake.posts[0].done(fake.posts[0].arg, NULL, &stored);
    sent(c, "4002000540020006");
    fake.posts[2].done(fake.posts[2].arg, NULL, &stored);
    sent(c, "50020007");
    ack(c, 0x62, 7);
    sent(c, "70020007");
    cr_assert_eq(fake_value("published_total{result=\"stored\"}"), 3);
}

Test(mqtt, what_is_refused_ends_the_connection_after_the_acknowledgements_before_it)
{
    broker_conn *c = connected("lamp", false, false);

    publish(c, TOPIC, "{}", 2, 5);
    publish(c, TOPIC, "no JSON", 2, 6);
    cr_assert_not(c->asked_to_close);
    cr_assert_not(fake_bytes(c, "\xc0\0", 2), "nothing more is read");
    fake_outcome(BROKER_STORED, NULL);
    sent(c, "40020005");
    cr_assert(c->asked_to_close);
    cr_assert_not_null(strstr(fake.log.data, "Payload is not a JSON string"));
}

Test(mqtt, what_the_bus_refuses_ends_the_connection)
{
    static const int32_t codes[] = {BROKER_REJECTED, BROKER_EQUIVOCATION, BROKER_DENIED,
                                    BROKER_FAILED,   BROKER_FULL,         BROKER_UNVERIFIABLE};

    for (size_t i = 0; i < COUNT_OF(codes); i++) {
        broker_conn *c = connected("lamp", false, false);

        publish(c, TOPIC, "{}", i % 2 == 0 ? 2 : 4, 5);
        fake_outcome(codes[i], "because");
        sent(c, "");
        cr_assert(c->asked_to_close, "%d", codes[i]);
        fake_end(c);
    }
    cr_assert_not_null(strstr(fake.log.data, "because"));
}

Test(mqtt, with_qos_0_a_refusal_is_counted_and_no_more)
{
    broker_conn *c = connected("lamp", false, false);

    publish(c, "nowhere", "{}", 0, 0);
    publish(c, TOPIC, "[]", 0, 0);
    publish(c, TOPIC, "{}", 0, 0);
    fake_outcome(BROKER_REJECTED, NULL);
    fake_bytes(c, "\xc0\0", 2);
    sent(c, "d000");
    cr_assert_eq(fake_value("published_total{result=\"refused\"}"), 3);
}

Test(mqtt, one_too_large_for_a_message_is_refused)
{
    broker_conn *c = connected("lamp", false, false);
    sb payload = SB_INIT;

    sb_puts(&payload, "{\"x\":\"");
    memset(sb_room(&payload, 1 << 20), 'x', 1 << 20);
    payload.len += 1 << 20;
    sb_puts(&payload, "\"}");
    publish(c, TOPIC, payload.data, 2, 1);
    cr_assert(c->asked_to_close);
    cr_assert_not_null(strstr(fake.log.data, "1 MiB"));
    sb_done(&payload);
}

Test(mqtt, a_full_bus_pauses_the_client_and_loses_nothing)
{
    broker_conn *c = connected("lamp", false, false);
    sb out = SB_INIT;

    bytes_publish(&out, TOPIC, "{\"n\":1}", 2, 1);
    bytes_publish(&out, TOPIC, "{\"n\":2}", 2, 2);
    fake.bus_full = true;
    fake_bytes(c, out.data, out.len - 3);
    cr_assert(c->paused);
    cr_assert_eq(fake.n_posts, 0);
    fake_room();
    cr_assert_not(c->paused);
    fake_bytes(c, out.data + out.len - 3, 3);
    cr_assert(post_is(0, TOPIC, "{\"n\":1}", "lamp") && post_is(1, TOPIC, "{\"n\":2}", "lamp"));
    fake_outcome(BROKER_STORED, NULL);
    fake_outcome(BROKER_STORED, NULL);
    sent(c, "4002000140020002");
    sb_done(&out);
}

Test(mqtt, a_client_with_many_publications_in_flight_is_paused)
{
    broker_conn *c = connected("lamp", false, false);
    sb out = SB_INIT;

    for (unsigned i = 1; i <= 300; i++)
        bytes_publish(&out, TOPIC, "{}", 2, i);
    fake_bytes(c, out.data, out.len);
    cr_assert_eq(fake.n_posts, 256);
    cr_assert(c->paused);
    fake_outcome(BROKER_STORED, NULL);
    cr_assert_eq(fake.n_posts, 257);
    while (fake.n_over < fake.n_posts)
        fake_outcome(BROKER_STORED, NULL);
    cr_assert_eq(fake.n_posts, 300);
    cr_assert_not(c->paused);
    cr_assert_eq(c->sent.len, 300 * 4);
    sb_done(&out);
}

/* ---- QoS 2 towards us ---- */

Test(mqtt, qos_2_is_published_once)
{
    broker_conn *c = connected("lamp", true, false);

    publish(c, TOPIC, "{}", 4, 7);
    publish(c, TOPIC, "{}", 12, 7);
    fake_outcome(BROKER_STORED, NULL);
    sent(c, "50020007");
    publish(c, TOPIC, "{}", 12, 7);
    sent(c, "50020007");
    fake_end(c);
    c = connected("lamp", true, true);
    publish(c, TOPIC, "{}", 12, 7);
    sent(c, "50020007");
    cr_assert_eq(fake.n_posts, 1);
    ack(c, 0x62, 7);
    ack(c, 0x62, 7);
    sent(c, "7002000770020007");
    publish(c, TOPIC, "{}", 4, 7);
    cr_assert_eq(fake.n_posts, 2, "a new message under a free id");
    fake_outcome(BROKER_STORED, NULL);
}

Test(mqtt, qos_2_whose_outcome_comes_after_the_connection_is_answered_on_the_next)
{
    broker_conn *c = connected("lamp", true, false);

    publish(c, TOPIC, "{}", 4, 7);
    fake_end(c);
    c = connected("lamp", true, true);
    publish(c, TOPIC, "{}", 12, 7);
    sent(c, "");
    fake_outcome(BROKER_STORED, NULL);
    sent(c, "50020007");
    cr_assert_eq(fake.n_posts, 1);
}

Test(mqtt, qos_2_that_failed_may_come_again)
{
    broker_conn *c = connected("lamp", true, false);

    publish(c, TOPIC, "{}", 4, 7);
    fake_outcome(BROKER_FAILED, "no disk");
    cr_assert(c->asked_to_close);
    fake_end(c);
    c = connected("lamp", true, true);
    publish(c, TOPIC, "{}", 12, 7);
    cr_assert_eq(fake.n_posts, 2);
    fake_outcome(BROKER_STORED, NULL);
    sent(c, "50020007");
}

/* ---- subscribing ---- */

Test(mqtt, every_spelling_of_a_stream_part_gets_its_messages)
{
    broker_conn *a = connected("a", false, false), *b = connected("b", false, false);

    fake.partitions = 2;
    subscribe(a, TOPIC, 0);
    subscribe(b, TOPIC "?partition=0", 0);
    subscribe(b, TOPIC "?partition=1", 0);
    cr_assert_eq(fake.n_subs, 2, "one for each stream part");
    fake_message(TOPIC, 0, "{\"n\":1}");
    cr_assert_not_null(memmem(a->sent.data, a->sent.len, TOPIC "{", strlen(TOPIC) + 1));
    cr_assert_not_null(memmem(b->sent.data, b->sent.len, "?partition=0{", 13));
    delivered(a, "0.0:{\"n\":1} ");
    delivered(b, "0.0:{\"n\":1} ");
    fake_message(TOPIC, 1, "{\"n\":2}");
    delivered(a, "");
    delivered(b, "0.0:{\"n\":2} ");
    subscribe(a, TOPIC, -1);
    cr_assert_eq(fake.n_subs, 2, "b is still there");
    fake_end(b);
    cr_assert_eq(fake.n_subs, 0);
}

Test(mqtt, a_key_in_the_topic_subscribes_to_its_partition)
{
    broker_conn *c = connected("a", false, false);

    fake.partitions = 10;
    subscribe(c, TOPIC "?partitionKey=key-1", 0);
    publish(c, TOPIC "?partitionKey=key-1", "{}", 0, 0);
    cr_assert_lt(fake.subs[0].partition, 10);
    cr_assert_neq(fake.subs[0].partition, 0);
    fake_outcome(BROKER_NO_STORE, NULL);
}

Test(mqtt, subscribing_again_follows_a_key_to_its_new_partition)
{
    broker_conn *c = connected("a", false, false);
    uint32_t partition;

    fake.partitions = 0; /* not known yet */
    subscribe(c, TOPIC "?partitionKey=key-1", 0);
    fake.partitions = 10;
    subscribe(c, TOPIC "?partitionKey=key-1", 0);
    cr_assert_eq(fake.n_subs, 1, "the old part is given up");
    partition = fake.subs[0].used ? fake.subs[0].partition : fake.subs[1].partition;
    cr_assert_neq(partition, 0);
    fake_message(TOPIC, partition, "{\"n\":1}");
    delivered(c, "0.0:{\"n\":1} ");
    subscribe(c, TOPIC "?partitionKey=key-1", -1);
    cr_assert_eq(fake.n_subs, 0);
}

Test(mqtt, a_partition_the_stream_does_not_have_is_refused)
{
    broker_conn *c = connected("a", false, false);
    sb out = SB_INIT;

    fake.partitions = 3;
    subscribe(c, TOPIC "?partition=2", 0);
    bytes_filter(&out, TOPIC "?partition=3", 0, 9);
    fake_bytes(c, out.data, out.len);
    sent(c, "9003000980");
    cr_assert_not_null(strstr(fake.log.data, "has 3 partitions, so there is no partition 3"));
    fake.partitions = 0;
    subscribe(c, TOPIC "?partition=3", 0);
    sb_done(&out);
}

Test(mqtt, wildcards_and_what_is_no_stream_are_refused_one_by_one)
{
    static const char *const filters[] = {"+",   "#",        OWNER "/+", "$SYS/#",
                                          TOPIC, OWNER "/*", "a/b",      TOPIC "?x=1"};
    broker_conn *c = connected("a", false, false);
    sb body = SB_INIT, out = SB_INIT;

    sb_append(&body, "\0\1", 2);
    for (size_t i = 0; i < COUNT_OF(filters); i++) {
        bytes_text(&body, filters[i]);
        sb_putc(&body, 2);
    }
    bytes_packet(&out, 0x82, &body);
    fake_bytes(c, out.data, out.len);
    sent(c, "900a0001"
            "80808080"
            "01"
            "808080");
    cr_assert_eq(fake.n_subs, 1);
    sb_done(&body);
    sb_done(&out);
}

Test(mqtt, subscribing_again_changes_the_qos_and_doubles_nothing)
{
    broker_conn *c = connected("a", false, false);

    subscribe(c, TOPIC, 0);
    subscribe(c, TOPIC, 1);
    fake_message(TOPIC, 0, "{}");
    delivered(c, "1.1:{} ");
}

Test(mqtt, a_client_has_a_bounded_number_of_subscriptions)
{
    broker_conn *c = connected("a", false, false);
    sb out = SB_INIT;
    char topic[100];

    for (unsigned i = 0; i < 1025; i++) {
        snprintf(topic, sizeof topic, TOPIC "%u", i);
        bytes_filter(&out, topic, 0, 1);
    }
    fake_bytes(c, out.data, out.len);
    cr_assert_eq(c->sent.len, 1025 * 5);
    cr_assert_eq((uint8_t)c->sent.data[1024 * 5 - 1], 0);
    cr_assert_eq((uint8_t)c->sent.data[1025 * 5 - 1], 0x80);
    cr_assert_eq(fake.n_subs, 1024);
    sb_done(&out);
}

Test(mqtt, contents_clients_cannot_read_are_counted)
{
    broker_conn *c = connected("a", false, false);
    broker_msg m = {.size = sizeof m,
                    .stream = {TOPIC, strlen(TOPIC)},
                    .body = BROKER_BODY_CONTENT,
                    .encryption_type = BROKER_ENCRYPTION_AES,
                    .content = {(const uint8_t *)"{}", 2}};

    subscribe(c, TOPIC, 1);
    for (int i = 0; i < 100; i++)
        fake_message_of(&m);
    fake_message(TOPIC, 0, "[1]");
    delivered(c, "");
    cr_assert_eq(fake_value("dropped_total{reason=\"encrypted\"}"), 100);
    cr_assert_eq(fake_value("dropped_total{reason=\"not_object\"}"), 1);
    cr_assert_null(strstr(strstr(fake.log.data, "encrypted") + 1, "encrypted"), "once a minute");
}

Test(mqtt, payload_metadata_wraps_both_ways)
{
    broker_conn *c;

    fake.wrapped = true;
    swap();
    c = connected("a", false, false);
    subscribe(c, TOPIC, 0);
    publish(c, TOPIC, "{\"content\":{\"a\":1},\"metadata\":{\"timestamp\":77}}", 0, 0);
    cr_assert(post_is(0, TOPIC, "{\"a\":1}", "a"));
    cr_assert_eq(fake.posts[0].timestamp_ms, 77);
    fake_outcome(BROKER_NO_STORE, NULL);
    fake_message(TOPIC, 0, "{}");
    delivered(
        c, "0.0:{\"content\":{},\"metadata\":{\"timestamp\":0,\"sequenceNumber\":0,\"publisherId\":"
           "\"0x\",\"msgChainId\":\"\"}} ");
}

Test(mqtt, the_domain_stands_before_every_topic)
{
    broker_conn *c;

    fake.domain = OWNER;
    swap();
    c = connected("a", false, false);
    subscribe(c, "t", 0);
    publish(c, "t", "{}", 0, 0);
    cr_assert(post_is(0, TOPIC, "{}", "a"));
    fake_outcome(BROKER_NO_STORE, NULL);
    fake_message(TOPIC, 0, "{}");
    delivered(c, "0.0:{} ");
}

/* ---- what has gone wrong in other brokers ---- */

/* CVE-2023-0809: memory by a length field, before anybody is authenticated. */
Test(mqtt, before_connect_a_length_field_allocates_nothing)
{
    broker_conn *c = fake_open();

    fake_bytes(c, "\x10\xff\xff\xff\x7f", 5);
    cr_assert(c->asked_to_close);
    c = fake_open();
    fake_bytes(c, "\x30\xff\xff\x03", 4);
    cr_assert(c->asked_to_close);
}

/* CVE-2023-28366: ids of QoS 2 that are never released. */
Test(mqtt, unfinished_qos_2_ids_do_not_grow)
{
    broker_conn *c = connected("a", false, false);
    sb out = SB_INIT;

    for (unsigned id = 1; id <= 4000; id++) {
        sb_clear(&out);
        bytes_publish(&out, TOPIC, "{}", 4, id);
        fake_bytes(c, out.data, out.len);
        fake_outcome(BROKER_STORED, NULL);
    }
    cr_assert_not(c->asked_to_close);
    cr_assert_eq(c->sent.len, 4000 * 4);
    sb_done(&out);
}

/* CVE-2021-34432: a topic of no length. */
Test(mqtt, a_topic_of_no_length_closes)
{
    broker_conn *c = connected("a", false, false);

    fake_bytes(c, "\x30\2\0\0", 4);
    cr_assert(c->asked_to_close);
}

/* CVE-2021-28166: packets only a server sends. */
Test(mqtt, packets_of_a_server_close)
{
    static const char *const packets[] = {"\x20\2\0\0", "\x90\3\0\1\0", "\xb0\2\0\1", "\xd0\0",
                                          "\x50\2\0\1", "\x70\2\0\1",   "\x00\0",     "\xf0\0"};
    static const size_t lengths[] = {4, 5, 4, 2, 4, 4, 2, 2};

    for (size_t i = 0; i < COUNT_OF(packets); i++) {
        broker_conn *before = fake_open(), *after = connected("a", false, false);

        fake_bytes(before, packets[i], lengths[i]);
        fake_bytes(after, packets[i], lengths[i]);
        cr_assert(before->asked_to_close && after->asked_to_close, "%zu", i);
        fake_end(before);
        fake_end(after);
    }
}

/* CVE-2021-34434: a kept session outlives the right to it. */
Test(mqtt, a_session_without_a_valid_key_gets_nothing_any_more)
{
    broker_conn *c = fake_open(), *d = fake_open(), *wrong;
    bytes_connect_options o = {.id = "c", .user = "", .password = "old", .keep = true};

    fake.key = "old";
    send_connect(c, o);
    sent(c, "20020000");
    subscribe(c, TOPIC, 1);
    wrong = fake_open();
    send_connect(wrong, (bytes_connect_options){.id = "c", .user = "", .password = "x"});
    sent(wrong, "20020004");
    cr_assert_not(c->asked_to_close, "a stranger took it over");
    o.id = "d";
    send_connect(d, o);
    sent(d, "20020000");
    fake_end(d);
    swap();
    cr_assert_not_null(c->calls.self, "its key is still valid");
    cr_assert_eq(fake_value("sessions{}"), 2);
    fake.key = "new";
    swap();
    cr_assert_null(c->calls.self, "it was not adopted, so the host closes it");
    cr_assert_eq(fake.n_subs, 0);
    cr_assert_eq(fake_value("sessions{}"), 0);
}

Test(mqtt, sessions_that_end_with_their_key_are_counted_and_named)
{
    bytes_connect_options o = {
        .id = "lamp", .user = "", .password = "old", .will_topic = TOPIC, .will_payload = "{}"};
    broker_conn *away;

    fake.key = "old";
    send_connect(fake_open(), o);
    away = fake_open();
    send_connect(
        away, (bytes_connect_options){.id = "away", .user = "", .password = "old", .keep = true});
    fake_end(away);
    fake.key = "new";
    swap();
    cr_assert_eq(fake_value("sessions_dropped_total{}"), 2);
    cr_assert_eq(fake_value("wills_lost_total{}"), 1);
    cr_assert_eq(fake.n_posts, 0);
    cr_assert_not_null(strstr(fake.log.data, "'lamp' ends, and its will is not published"));
    cr_assert_not_null(strstr(fake.log.data, "'away' ends: its API key"));
}

/* mosquitto 2.0.16, 2.0.23: a damaged state. */
Test(mqtt, a_state_cut_anywhere_is_refused)
{
    broker_conn *c = connected("a", true, false);
    sb whole = SB_INIT;

    subscribe(c, TOPIC, 1);
    fake_message(TOPIC, 0, "{}");
    sb_clear(&c->sent);
    cr_assert_eq(fake_quiesce(), BROKER_OK);
    sb_append(&whole, fake.state.data, fake.state.len);
    for (size_t n = 1; n < whole.len; n++) {
        sb_clear(&fake.state);
        sb_append(&fake.state, whole.data, n);
        cr_assert_eq(fake_start(), BROKER_ESTATE, "%zu", n);
    }
    sb_clear(&fake.state);
    sb_append(&fake.state, whole.data, whole.len);
    cr_assert_eq(fake_start(), BROKER_OK);
    ack(c, 0x40, 1);
    sb_done(&whole);
}

/* CVE-2025-56352 (tinyMQTT): sockets that stay after a refused CONNECT. */
Test(mqtt, a_refused_connect_is_closed)
{
    broker_conn *c = with_will(TOPIC, "no JSON");

    cr_assert(c->asked_to_close);
    sent(c, "");
    fake_end(c);
    cr_assert_eq(fake_value("connections{}"), 0);
    cr_assert_eq(fake.n_posts, 0);
}

/* A will to a topic for the broker itself. */
Test(mqtt, a_will_to_a_control_topic_is_refused)
{
    static const char *const topics[] = {"$CONTROL/dynamic-security/v1", "$SYS/broker", TOPIC "/#",
                                         "", TOPIC "?partition=1000"};

    for (size_t i = 0; i < COUNT_OF(topics); i++) {
        broker_conn *c = with_will(topics[i], "{}");

        cr_assert(c->asked_to_close, "%s", topics[i]);
        fake_end(c);
    }
    cr_assert_eq(fake.n_posts, 0);
}
