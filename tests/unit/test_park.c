/* net: what becomes of listeners and connections when one build of a plugin follows another.
 * The loader's part (host/net/net.h) is played here; clients belong to another plugin. */
#include "net/net.h"
#include "run/metrics.h"

#include <criterion/criterion.h>

typedef struct side {
    const char *who;
    unsigned opened, closed, accepted, drained;
    sb got;
    int32_t code;
    char why[128];
    broker_conn *conn;
} side;

static loop *l;
static net *n;
static ledger old = {.name = "p", .build = "1"}, next = {.name = "p", .build = "2"},
              clients = {.name = "c", .build = "1"};
static side old_side = {.who = "old"}, next_side = {.who = "next"}, client = {.who = "client"};
static broker_listener *listener;
static uint32_t port;

static void on_open(void *self, broker_conn *conn)
{
    side *s = self;

    s->opened++;
    s->conn = conn;
}

static void on_data(void *self, broker_conn *conn, broker_buf *buf, broker_bytes data, int32_t text)
{
    side *s = self;

    (void)conn, (void)buf, (void)text;
    sb_append(&s->got, data.ptr, data.len);
}

static void on_drain(void *self, broker_conn *conn)
{
    (void)conn;
    ((side *)self)->drained++;
}

static void on_close(void *self, broker_conn *conn, int32_t code, const char *why)
{
    side *s = self;

    (void)conn;
    s->closed++;
    s->code = code;
    s->conn = NULL;
    snprintf(s->why, sizeof s->why, "%s", why != NULL ? why : "");
}

static broker_peer_calls calls_of(side *s)
{
    return (broker_peer_calls){
        sizeof(broker_peer_calls), 0, s, on_open, on_data, on_drain, on_close};
}

static broker_rc accepted(void *self, broker_conn *conn, broker_str target,
                          broker_peer_calls *calls)
{
    side *s = self;

    (void)conn, (void)target;
    s->accepted++;
    *calls = calls_of(s);
    return BROKER_OK;
}

static void on_timer(uv_timer_t *t)
{
    *(bool *)t->data = true;
}

/* Run until the condition holds; it must within some seconds. */
#define UNTIL(condition)                                                                           \
    do {                                                                                           \
        uv_timer_t late_;                                                                          \
        bool is_late_ = false;                                                                     \
        uv_timer_init(loop_uv(l), &late_);                                                         \
        late_.data = &is_late_;                                                                    \
        uv_timer_start(&late_, on_timer, 10000, 0);                                                \
        while (!(condition) && !is_late_)                                                          \
            uv_run(loop_uv(l), UV_RUN_ONCE);                                                       \
        uv_close((uv_handle_t *)&late_, NULL);                                                     \
        uv_run(loop_uv(l), UV_RUN_NOWAIT);                                                         \
        cr_assert(condition, "it did not happen: " #condition);                                    \
    } while (0)

/* Time in which what must not happen could have. */
static void settle(void)
{
    uv_timer_t t;
    bool over = false;

    uv_timer_init(loop_uv(l), &t);
    t.data = &over;
    uv_timer_start(&t, on_timer, 60, 0);
    while (!over)
        uv_run(loop_uv(l), UV_RUN_ONCE);
    uv_close((uv_handle_t *)&t, NULL);
    uv_run(loop_uv(l), UV_RUN_NOWAIT);
}

static broker_rc listen_as(ledger *owner, side *s, uint32_t on)
{
    broker_net_options o = {
        .size = sizeof o, .kind = BROKER_NET_WS, .host = "127.0.0.1", .port = on};
    sb why = SB_INIT;
    broker_rc rc = net_listen(n, owner, &o, accepted, s, &listener, &why);

    sb_done(&why);
    if (rc == BROKER_OK)
        port = net_port(listener);
    return rc;
}

static void dial(side *s)
{
    broker_net_options o = {
        .size = sizeof o, .kind = BROKER_NET_WS, .host = "127.0.0.1", .port = port};
    broker_peer_calls calls = calls_of(s);
    broker_conn *conn;
    sb why = SB_INIT;

    cr_assert_eq(net_connect(n, &clients, &o, &calls, &conn, &why), BROKER_OK, "%s", why.data);
}

static void say(broker_conn *conn, const char *text)
{
    cr_assert_eq(net_send(conn, (broker_bytes){(const uint8_t *)text, strlen(text)}, 1), BROKER_OK);
}

/* A listener of the old build, and a client connected to it. */
static void setup(void)
{
    l = loop_new();
    n = net_new(l);
    cr_assert_eq(listen_as(&old, &old_side, 0), BROKER_OK);
    dial(&client);
    UNTIL(client.opened == 1 && old_side.opened == 1);
}

static void on_net_closed(void *arg)
{
    *(bool *)arg = true;
}

static void teardown(void)
{
    bool closed = false;

    net_close(n, on_net_closed, &closed);
    UNTIL(closed);
    loop_free(l);
    sb_done(&old_side.got);
    sb_done(&next_side.got);
    sb_done(&client.got);
    metrics_free_all();
}

TestSuite(park, .init = setup, .fini = teardown);

static broker_rc adopt(ledger *owner, side *s, uint64_t id)
{
    broker_peer_calls calls = calls_of(s);

    return net_adopt(n, owner, id, &calls, &s->conn);
}

Test(park, the_next_build_takes_the_listener_and_the_connection_and_misses_nothing)
{
    uint64_t id = net_id(old_side.conn);
    uint32_t before = port;

    net_park(n, &old);
    say(client.conn, "while parked");
    settle();
    cr_assert_eq(old_side.got.len, 0, "'%s' was read while parked", old_side.got.data);
    net_leave(n, &old);
    cr_assert_eq(listen_as(&next, &next_side, 0), BROKER_OK);
    cr_assert_eq(port, before, "the port stays");
    cr_assert_eq(adopt(&next, &next_side, id), BROKER_OK);
    cr_assert_eq(adopt(&next, &next_side, id), BROKER_EGONE, "twice");
    settle();
    cr_assert_eq(next_side.got.len, 0, "nothing before start() has returned");
    net_unpark(n, &next);
    UNTIL(next_side.got.len == 12);
    cr_assert_eq(next_side.opened, 0, "it was open already");
    say(next_side.conn, "back");
    UNTIL(client.got.len == 4);
    dial(&client);
    UNTIL(next_side.accepted == 1);
    cr_assert_eq(old_side.closed, 0, "the old build hears nothing any more");
    cr_assert_eq(atomic_load(&old.calls), 0);
}

Test(park, what_nobody_takes_is_closed_with_1012)
{
    net_park(n, &old);
    net_leave(n, &old);
    net_unpark(n, &next);
    UNTIL(client.closed == 1);
    cr_assert_eq(client.code, 1012, "%d", client.code);
    cr_assert_str_eq(client.why, "service restart");
    cr_assert_eq(listen_as(&next, &next_side, port), BROKER_OK, "the port is free again");
}

Test(park, a_swap_that_is_given_up_changes_nothing)
{
    net_park(n, &old);
    say(client.conn, "hello");
    dial(&client);
    settle();
    cr_assert_eq(old_side.got.len + old_side.accepted, 1);
    net_unpark(n, &old);
    UNTIL(old_side.got.len == 5 && old_side.accepted == 2);
    cr_assert_eq(client.closed, 0);
}

Test(park, when_the_next_build_fails_the_old_one_can_take_all_back)
{
    uint64_t id = net_id(old_side.conn);

    net_park(n, &old);
    net_leave(n, &old);
    cr_assert_eq(listen_as(&next, &next_side, 0), BROKER_OK);
    cr_assert_eq(adopt(&next, &next_side, id), BROKER_OK);
    net_forget(n, &next);
    settle();
    cr_assert_eq(next_side.closed, 0);
    cr_assert_eq(listen_as(&old, &old_side, 0), BROKER_OK);
    cr_assert_eq(adopt(&old, &old_side, id), BROKER_OK);
    net_unpark(n, &old);
    say(client.conn, "still there");
    UNTIL(old_side.got.len == 11);
    cr_assert_eq(client.closed, 0);
}

Test(park, another_plugin_cannot_adopt_nor_can_anybody_what_is_not_parked)
{
    uint64_t id = net_id(old_side.conn);

    cr_assert_eq(adopt(&next, &next_side, id), BROKER_EGONE);
    net_park(n, &old);
    net_leave(n, &old);
    cr_assert_eq(adopt(&clients, &next_side, id), BROKER_EGONE);
    cr_assert_eq(adopt(&next, &next_side, id + 1000), BROKER_EGONE);
    net_unpark(n, &next);
}

Test(park, an_end_while_parked_is_told_once_it_is_unparked)
{
    net_park(n, &old);
    net_hang_up(client.conn, 4000, "gone");
    settle();
    cr_assert_eq(old_side.closed, 0);
    net_unpark(n, &old);
    UNTIL(old_side.closed == 1);
    cr_assert_eq(old_side.code, 4000, "%d", old_side.code);
    cr_assert_str_eq(old_side.why, "gone");
}

Test(park, what_closes_itself_while_parked_cannot_be_adopted)
{
    uint64_t id = net_id(old_side.conn);

    net_park(n, &old);
    net_hang_up(old_side.conn, 4001, "mine");
    net_leave(n, &old);
    cr_assert_eq(adopt(&next, &next_side, id), BROKER_EGONE);
    UNTIL(client.closed == 1);
    cr_assert_eq(client.code, 4001);
    net_unpark(n, &next);
    cr_assert_eq(old_side.closed, 0, "it has left");
}

Test(park, a_drain_while_parked_is_told_to_whoever_has_the_connection_then)
{
    static uint8_t block[1 << 20];
    uint64_t id = net_id(old_side.conn);

    cr_assert_eq(net_send(old_side.conn, (broker_bytes){block, sizeof block}, 0), BROKER_AGAIN);
    net_park(n, &old);
    UNTIL(client.got.len == sizeof block);
    settle();
    cr_assert_eq(old_side.drained, 0);
    net_leave(n, &old);
    cr_assert_eq(adopt(&next, &next_side, id), BROKER_OK);
    net_unpark(n, &next);
    UNTIL(next_side.drained == 1);
}

Test(park, what_is_forgotten_is_closed_and_calls_nobody)
{
    net_forget(n, &old);
    UNTIL(client.closed == 1);
    cr_assert_eq(client.code, 1001, "%d", client.code);
    cr_assert_eq(old_side.closed, 0);
    cr_assert_eq(listen_as(&next, &next_side, port), BROKER_OK);
}

Test(park, a_second_listener_on_the_port_is_refused_unless_it_follows)
{
    cr_assert_eq(listen_as(&next, &next_side, port), BROKER_EBUSY);
}
