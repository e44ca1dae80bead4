/* MQTT: packets, topics, letters and sessions, each on its own. */
#include "letters.h"
#include "packet.h"
#include "session.h"
#include "topic.h"

#include "tests/unit/mqtt_bytes.h"

#include <criterion/criterion.h>

#define OWNER "0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a"

static broker_str str(const char *text)
{
    return (broker_str){text, strlen(text)};
}

static bool is(broker_str got, const char *expected)
{
    return got.len == strlen(expected) && (got.len == 0 || memcmp(got.ptr, expected, got.len) == 0);
}

/* ---- packets ---- */

static packet only_packet(const void *bytes, size_t len)
{
    view in = view_of(bytes, len);
    const char *why = NULL;
    packet p;

    cr_assert_eq(packet_next(&in, 1u << 20, &p, &why), PACKET_WHOLE);
    cr_assert_eq(view_left(&in), 0);
    return p;
}

Test(mqtt_packet, a_length_is_read_as_it_comes)
{
    static const size_t lengths[] = {0, 1, 127, 128, 16383, 16384, 2097151, 2097152};

    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        sb body = SB_INIT, whole = SB_INIT;
        const char *why = NULL;
        view in;
        packet p;

        memset(sb_room(&body, lengths[i]), 'x', lengths[i]);
        body.len = lengths[i];
        bytes_packet(&whole, 0x30, &body);
        for (size_t n = 0; n < whole.len; n += n < 8 || n + 2 > whole.len ? 1 : whole.len - n - 1) {
            in = view_of(whole.data, n);
            cr_assert_eq(packet_next(&in, SIZE_MAX, &p, &why), PACKET_PART, "%zu of %zu", n,
                         lengths[i]);
            cr_assert_eq(view_left(&in), n);
        }
        in = view_of(whole.data, whole.len);
        cr_assert_eq(packet_next(&in, SIZE_MAX, &p, &why), PACKET_WHOLE);
        cr_assert_eq(view_left(&p.body), lengths[i]);
        sb_done(&body);
        sb_done(&whole);
    }
}

Test(mqtt_packet, a_length_that_is_too_much_is_known_before_its_bytes)
{
    static const struct {
        const char *bytes;
        size_t len, max;
    } cases[] = {
        {"\x10\x80\x80\x80\x80", 5, SIZE_MAX}, /* five bytes of length */
        {"\x10\xff\xff\xff\x7f", 5, 16384},
        {"\x10\x81\x80\x01", 4, 16384},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        view in = view_of(cases[i].bytes, cases[i].len);
        const char *why = NULL;
        packet p;

        cr_assert_eq(packet_next(&in, cases[i].max, &p, &why), PACKET_BROKEN, "%zu", i);
        cr_assert_not_null(why);
    }
}

Test(mqtt_packet, connect_is_read_whole)
{
    sb out = SB_INIT;
    packet_connect c;
    packet p;

    bytes_connect(&out, (bytes_connect_options){.id = "lamp",
                                                .will_topic = "t",
                                                .will_payload = "{}",
                                                .user = "u",
                                                .password = "key",
                                                .keep = true,
                                                .keep_alive_s = 300,
                                                .extra_flags = 0x28});
    p = only_packet(out.data, out.len);
    cr_assert_null(packet_read_connect(&p, &c));
    cr_assert(is(c.client_id, "lamp") && is(c.will_topic, "t") && is(c.password, "key"));
    cr_assert_eq(c.keep_alive_s, 300);
    cr_assert(!c.clean && c.has_will && c.will_retain && c.has_password);
    cr_assert_eq(c.will_qos, 1);
    cr_assert_eq(c.level, 4);
    sb_done(&out);
}

/* Each is a CONNECT body that breaks one rule of the standard. */
Test(mqtt_packet, a_connect_that_breaks_a_rule_is_refused)
{
#define HEAD "\0\4MQTT\4"
    static const struct {
        const char *body;
        size_t len;
    } bad[] = {
        {"", 0},
        {"\0\4MQTX\4\2\0\0\0\1a", 13},       /* another protocol          */
        {"\0\3MQT\4\2\0\0\0\1a", 12},        /* another protocol          */
        {HEAD "\3\0\0\0\1a", 13},            /* the reserved flag, 3.1.2-3 */
        {HEAD "\x1e\0\0\0\1a\0\1t\0\0", 18}, /* will of QoS 3             */
        {HEAD "\x0a\0\0\0\1a", 13},          /* will QoS without a will    */
        {HEAD "\x22\0\0\0\1a", 13},          /* will retain without a will */
        {HEAD "\x42\0\0\0\1a\0\1p", 16},     /* password without user name */
        {HEAD "\2\0\0\0\1a\0", 14},          /* a byte left over           */
        {HEAD "\2\0\0", 10},                 /* no client id               */
        {HEAD "\2\0\0\0\2a", 13},            /* shorter than it says       */
        {HEAD "\2\0\0\0\1\xff", 13},         /* not UTF-8, 1.5.3-1         */
        {HEAD "\2\0\0\0\3\xed\xa0\x80", 15}, /* a surrogate                */
        {HEAD "\2\0\0\0\2a\0", 14},          /* U+0000, 1.5.3-2            */
        {HEAD "\6\0\0\0\1a\0\1t", 16},       /* a will without a payload   */
        {HEAD "\x82\0\0\0\1a", 13},          /* a user name that is not there */
        {HEAD "\xc2\0\0\0\1a\0\1u", 16},     /* a password that is not there  */
        {"\0\6MQIsdp\4\2\0\0\0\1a", 15},
    };

    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        packet p = {PACKET_CONNECT, 0, view_of(bad[i].body, bad[i].len)};
        packet_connect c;

        cr_assert_not_null(packet_read_connect(&p, &c), "%zu", i);
    }
    packet flags = {PACKET_CONNECT, 1, view_of(HEAD "\2\0\0\0\1a", 13)};
    packet_connect c;

    cr_assert_not_null(packet_read_connect(&flags, &c), "reserved bits of the fixed header");
}

Test(mqtt_packet, another_version_is_read_as_far_as_its_level)
{
    packet v5 = {PACKET_CONNECT, 0, view_of("\0\4MQTT\5\2\0\0\3!!!", 14)};
    packet v31 = {PACKET_CONNECT, 0, view_of("\0\6MQIsdp\3\2\0\0\0\1a", 15)};
    packet_connect c;

    cr_assert_null(packet_read_connect(&v5, &c));
    cr_assert_eq(c.level, 5);
    cr_assert_null(packet_read_connect(&v31, &c));
    cr_assert_eq(c.level, 3);
}

Test(mqtt_packet, publish_is_written_as_it_is_read)
{
    packet_publish m = {.dup = true,
                        .qos = 1,
                        .id = 0xabcd,
                        .topic = str("a/b"),
                        .payload = {(const uint8_t *)"{}", 2}},
                   got;
    sb out = SB_INIT;
    packet p;

    packet_put_publish(&out, &m);
    p = only_packet(out.data, out.len);
    cr_assert_null(packet_read_publish(&p, &got));
    cr_assert(got.dup && got.qos == 1 && got.id == 0xabcd && !got.retain && is(got.topic, "a/b"));
    cr_assert_eq(got.payload.len, 2);
    sb_done(&out);
}

Test(mqtt_packet, a_publish_that_breaks_a_rule_is_refused)
{
    static const struct {
        uint8_t flags;
        const char *body;
        size_t len;
    } bad[] = {
        {6, "\0\1t\0\1", 5}, /* QoS 3, 3.3.1-4                  */
        {8, "\0\1t", 3},     /* DUP with QoS 0, 3.3.1-2         */
        {2, "\0\1t\0\0", 5}, /* packet id 0, 2.3.1-1            */
        {2, "\0\1t\0", 4},   /* no packet id                    */
        {0, "\0\0{}", 4},    /* no topic, 4.7.3-1               */
        {0, "\0\5t", 3},     /* shorter than it says            */
        {0, "\0\1+", 3},     /* wildcards, 3.3.2-2              */
        {0, "\0\3a/#", 5},
        {0, "\0\2a\0", 4},      /* U+0000, 4.7.3-2                 */
        {0, "\0\2\xc0\x80", 4}, /* an overlong U+0000             */
        {0, "", 0},
    };

    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        packet p = {PACKET_PUBLISH, bad[i].flags, view_of(bad[i].body, bad[i].len)};
        packet_publish m;

        cr_assert_not_null(packet_read_publish(&p, &m), "%zu", i);
    }
}

Test(mqtt_packet, reserved_bits_and_left_over_bytes_are_refused)
{
    static const struct {
        uint8_t type, flags;
        const char *body;
        size_t len;
    } bad[] = {
        {PACKET_PUBACK, 1, "\0\1", 2},
        {PACKET_PUBACK, 0, "\0\0", 2},
        {PACKET_PUBACK, 0, "\0\1\0", 3},
        {PACKET_PUBACK, 0, "\1", 1},
        {PACKET_PUBREL, 0, "\0\1", 2},
        {PACKET_PINGREQ, 0, "x", 1},
        {PACKET_PINGREQ, 1, "", 0},
        {PACKET_DISCONNECT, 0, "x", 1},
        {PACKET_SUBSCRIBE, 0, "\0\1\0\1a\0", 6},
        {PACKET_SUBSCRIBE, 2, "\0\0\0\1a\0", 6},
        {PACKET_SUBSCRIBE, 2, "\0\1", 2},
        {PACKET_SUBSCRIBE, 2, "\0\1\0\1a\3", 6},
        {PACKET_SUBSCRIBE, 2, "\0\1\0\1a\4", 6},
        {PACKET_SUBSCRIBE, 2, "\0\1\0\1a", 5},
        {PACKET_SUBSCRIBE, 2, "\0\1\0\0\0", 5},
        {PACKET_SUBSCRIBE, 2, "\0\1\0\1a\0\0", 7},
        {PACKET_UNSUBSCRIBE, 2, "\0\1", 2},
        {PACKET_UNSUBSCRIBE, 2, "\0\1\0\1a\0", 6},
        {PACKET_UNSUBSCRIBE, 0, "\0\1\0\1a", 5},
    };

    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        packet p = {bad[i].type, bad[i].flags, view_of(bad[i].body, bad[i].len)};
        const char *why;
        uint16_t id;
        view filters;

        if (p.type == PACKET_PUBACK || p.type == PACKET_PUBREL)
            why = packet_read_ack(&p, &id);
        else if (p.type == PACKET_SUBSCRIBE || p.type == PACKET_UNSUBSCRIBE)
            why = packet_read_filters(&p, &id, &filters);
        else
            why = packet_read_empty(&p);
        cr_assert_not_null(why, "%zu", i);
    }
}

Test(mqtt_packet, a_packet_of_more_than_1024_topics_is_refused)
{
    static const uint8_t types[] = {PACKET_SUBSCRIBE, PACKET_UNSUBSCRIBE};

    for (size_t i = 0; i < COUNT_OF(types); i++) {
        sb body = SB_INIT;
        packet p = {types[i], 2, view_of(NULL, 0)};
        view filters;
        uint16_t id;

        sb_append(&body, "\0\1", 2);
        for (int n = 0; n < 1025; n++) {
            const char *why;

            p.body = view_of(body.data, body.len);
            why = packet_read_filters(&p, &id, &filters);
            cr_assert((why == NULL) == (n != 0), "%d topics: %s", n, why);
            sb_append(&body, "\0\1a\0", types[i] == PACKET_SUBSCRIBE ? 4 : 3);
        }
        p.body = view_of(body.data, body.len);
        cr_assert_not_null(packet_read_filters(&p, &id, &filters), "1025 topics");
        sb_done(&body);
    }
}

/* ---- topics ---- */

static void topic_is(const char *text, const char *domain, const char *stream, topic_choice choice,
                     uint32_t partition, const char *value)
{
    topic t = TOPIC_INIT;
    sb why = SB_INIT;
    bool ok = topic_read(str(text), str(domain), &t, &why);

    cr_assert_eq(ok, stream != NULL, "%s: %s", text, why.data);
    if (ok) {
        cr_assert(is((broker_str){t.stream.data, t.stream.len}, stream), "%s: %s", text,
                  t.stream.data);
        cr_assert_eq(t.choice, choice, "%s", text);
        cr_assert_eq(t.partition, partition, "%s", text);
        cr_assert(is((broker_str){t.value.data, t.value.len}, value), "%s: %s", text, t.value.data);
    } else {
        cr_assert_neq(why.len, 0);
    }
    topic_done(&t);
    sb_done(&why);
}

Test(mqtt_topic, is_a_stream_id_with_a_choice_of_partition)
{
    topic_is(OWNER "/a/b", "", OWNER "/a/b", TOPIC_ANY, 0, "");
    topic_is("0x19E7E376E7C213B7E7E7E46CC70A5DD086DAFF2A/A", "", OWNER "/A", TOPIC_ANY, 0, "");
    topic_is("a", OWNER, OWNER "/a", TOPIC_ANY, 0, "");
    topic_is("name.eth/x?partition=99", "", "name.eth/x", TOPIC_PARTITION, 99, "");
    topic_is("a?b?partition=7", OWNER, OWNER "/a?b", TOPIC_PARTITION, 7, "");
    topic_is("a?partitionKey=x%20%C3%A4+y", OWNER, OWNER "/a", TOPIC_KEY, 0, "x \xc3\xa4 y");
    topic_is("a?partitionKeyField=id", OWNER, OWNER "/a", TOPIC_FIELD, 0, "id");
    topic_is("a?", OWNER, OWNER "/a", TOPIC_ANY, 0, "");
}

Test(mqtt_topic, what_is_none_is_refused)
{
    static const char *const bad[] = {
        "",
        "a",
        "$SYS/x",
        "$CONTROL/dynamic-security/v1",
        OWNER,
        OWNER "/",
        OWNER "/+",
        OWNER "/#",
        OWNER "/*",
        OWNER "/a?partition=100",
        OWNER "/a?partition=-1",
        OWNER "/a?partition=2abc",
        OWNER "/a?partition=",
        OWNER "/a?partition=1&partition=1",
        OWNER "/a?partition=1&partitionKey=x",
        OWNER "/a?partitionKey=",
        OWNER "/a?partitionKey",
        OWNER "/a?partitionKey=%",
        OWNER "/a?partitionKey=%zz",
        OWNER "/a?partitionKey=%ff",
        OWNER "/a?partitionkey=x",
        OWNER "/a?x=1",
        OWNER "/a?&",
        OWNER "/a\x01",
    };

    for (size_t i = 0; i < COUNT_OF(bad); i++)
        topic_is(bad[i], "", NULL, TOPIC_ANY, 0, "");
}

Test(mqtt_topic, one_that_is_too_long_is_refused)
{
    sb text = SB_INIT;

    sb_puts(&text, OWNER "/a?partitionKey=");
    while (text.len <= TOPIC_MAX)
        sb_putc(&text, 'x');
    topic_is(text.data, "", NULL, TOPIC_ANY, 0, "");
    sb_done(&text);
}

/* ---- letters ---- */

static const letters_limits small = {.window = 2, .queued = 3, .bytes = 100};

static uint32_t put(letters *l, const char *payload)
{
    parcel *t = parcel_new("t", 1), *p = parcel_new(payload, strlen(payload));
    uint32_t dropped = letters_put(l, t, p);

    parcel_release(t);
    parcel_release(p);
    return dropped;
}

/* The packets sent, as "id:payload" and "!" for DUP. */
static void sends(letters *l, size_t until, const char *expected)
{
    sb out = SB_INIT, said = SB_INIT;
    view in;

    letters_pump(l, &out, until);
    in = view_of(out.data, out.len);
    while (view_left(&in) != 0) {
        const char *why;
        packet p;
        packet_publish m;

        cr_assert_eq(packet_next(&in, SIZE_MAX, &p, &why), PACKET_WHOLE);
        cr_assert_null(packet_read_publish(&p, &m));
        cr_assert_eq(m.qos, 1);
        sb_printf(&said, "%s%u:%.*s ", m.dup ? "!" : "", m.id, (int)m.payload.len,
                  (const char *)m.payload.ptr);
    }
    cr_assert_str_eq(said.len != 0 ? said.data : "", expected);
    sb_done(&out);
    sb_done(&said);
}

Test(mqtt_letters, wait_for_their_acknowledgement_in_a_window)
{
    letters l;

    letters_init(&l, &small);
    put(&l, "a");
    put(&l, "b");
    put(&l, "c");
    sends(&l, SIZE_MAX, "1:a 2:b ");
    sends(&l, SIZE_MAX, "");
    cr_assert_not(letters_acked(&l, 3));
    cr_assert(letters_acked(&l, 2));
    cr_assert_not(letters_acked(&l, 2));
    sends(&l, SIZE_MAX, "3:c ");
    letters_done(&l);
}

Test(mqtt_letters, are_sent_again_in_their_order_on_the_next_connection)
{
    letters l;

    letters_init(&l, &small);
    put(&l, "a");
    put(&l, "b");
    sends(&l, SIZE_MAX, "1:a 2:b ");
    letters_unsend(&l);
    put(&l, "c");
    cr_assert_not(letters_acked(&l, 1), "an acknowledgement for the connection before");
    sends(&l, SIZE_MAX, "!1:a !2:b ");
    cr_assert(letters_acked(&l, 1));
    sends(&l, SIZE_MAX, "3:c ");
    letters_done(&l);
}

Test(mqtt_letters, are_sent_as_far_as_there_is_room)
{
    letters l;

    letters_init(&l, &small);
    put(&l, "a");
    put(&l, "b");
    sends(&l, 1, "1:a ");
    letters_unsend(&l);
    sends(&l, 1, "!1:a ");
    sends(&l, 1, "2:b ");
    letters_done(&l);
}

Test(mqtt_letters, the_oldest_go_when_there_are_too_many)
{
    letters l;
    char large[100];

    letters_init(&l, &small);
    cr_assert_eq(put(&l, "a") + put(&l, "b") + put(&l, "c"), 0);
    cr_assert_eq(put(&l, "d"), 1);
    memset(large, 'x', sizeof large - 1);
    large[99] = '\0';
    cr_assert_eq(put(&l, large), 2, "b for their number, c for their bytes");
    sends(&l, 1, "1:d ");
    letters_done(&l);
}

Test(mqtt_letters, one_that_is_larger_than_the_queue_is_not_kept)
{
    letters l;
    char large[102];

    letters_init(&l, &small);
    memset(large, 'x', sizeof large);
    large[101] = '\0';
    put(&l, "a");
    cr_assert_eq(put(&l, large), 2);
    sends(&l, SIZE_MAX, "");
    letters_done(&l);
}

Test(mqtt_letters, without_acknowledgement_are_bounded_in_bytes_too)
{
    static const letters_limits few_bytes = {.window = 3, .queued = 3, .bytes = 10};
    parcel *topic = parcel_new("t", 1), *payload = parcel_new("0123456789", 10);
    letter next = {.topic = topic, .payload = payload, .id = 7};
    letters l;

    letters_init(&l, &few_bytes);
    put(&l, "0123456");
    put(&l, "012");
    sends(&l, 1000, "1:0123456 2:012 ");
    put(&l, "x");
    sends(&l, 1000, "");
    cr_assert_not(letters_restore(&l, &next), "into a full window");
    cr_assert(letters_acked(&l, 2));
    sends(&l, 1000, "3:x ");
    cr_assert(letters_acked(&l, 1) && letters_acked(&l, 3));
    put(&l, "0123456789");
    sends(&l, 1000, "4:0123456789 ");
    put(&l, "x");
    next.id = 0;
    cr_assert_not(letters_restore(&l, &next), "into a full queue");
    letters_done(&l);
    parcel_release(topic);
    parcel_release(payload);
}

Test(mqtt_letters, packet_ids_turn_round_without_0_and_those_in_use)
{
    letters l;

    letters_init(&l, &small);
    put(&l, "a");
    sends(&l, SIZE_MAX, "1:a ");
    l.last_id = 65534;
    put(&l, "b");
    sends(&l, SIZE_MAX, "65535:b ");
    letters_acked(&l, 65535);
    put(&l, "c");
    sends(&l, SIZE_MAX, "2:c ");
    letters_done(&l);
}

/* ---- sessions ---- */

static void leave(void *arg, session *s)
{
    ++*(int *)arg;
    (void)s;
}

Test(mqtt_session, is_kept_for_a_time_and_at_most_so_many_are)
{
    session_table t;
    char id[8];
    int left = 0;

    session_table_init(&t, &small, leave, &left);
    for (unsigned i = 0; i < 5; i++) {
        snprintf(id, sizeof id, "c%u", i);
        session_leave(&t, session_add(&t, str(id), false), 1000 + i);
    }
    session_return(&t, session_find(&t, str("c1")));
    cr_assert_eq(session_expire(&t, 1002, 100), 2, "c0 and c2");
    cr_assert_null(session_find(&t, str("c0")));
    cr_assert_not_null(session_find(&t, str("c1")));
    cr_assert_null(session_find(&t, str("c2")));
    cr_assert_eq(session_expire(&t, 0, 1), 1);
    cr_assert_null(session_find(&t, str("c3")));
    cr_assert_eq(t.n, 2);
    cr_assert_eq(left, 3);
    session_table_done(&t);
    cr_assert_eq(left, 5);
}

Test(mqtt_session, knows_the_packet_ids_of_qos_2_without_growing)
{
    session_table t;
    session *s;
    int left = 0;

    session_table_init(&t, &small, leave, &left);
    s = session_add(&t, str("c"), true);
    cr_assert_not(session_has_received(s, 7));
    session_release(s, 7);
    for (uint32_t id = 1; id <= 65535; id++)
        cr_assert(session_receive(s, (uint16_t)id));
    cr_assert_not(session_receive(s, 7));
    session_release(s, 7);
    cr_assert(session_receive(s, 7));
    session_table_done(&t);
}
