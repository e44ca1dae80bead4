/* Connections between nodes: handshakes, which of two is kept, limits, checks. And what goes over
 * them: requests, notifications, routed messages. On a host without sockets. */
#include "control/control.h"
#include "control/entry.h"
#include "streamr_fake.h"

#include <criterion/criterion.h>
#include <jansson.h>

#define PARTS "stream-part-delivery-x#0"

/* ---- nodes ---- */

typedef struct node {
    peers *p;
    control *control;
    node_id id;
    sb descriptor;
    uint32_t port;
    /* what it saw */
    unsigned served, connected, lost, left;
    node_id last_from;
    pb_bytes last_descriptor;
    peers_watch watch;
    bool silent; /* does not answer */
    peers_call *kept;
} node;

static node_id id_of(uint8_t byte)
{
    node_id id;

    memset(&id, byte, sizeof id);
    return id;
}

static void on_call(void *arg, const peers_from *from, const envelope *e, peers_call *call)
{
    node *n = arg;
    dht_ping answer = {.request_id = pb_bytes_of("pong")};

    cr_assert(e->source.len == from->descriptor.len &&
                  memcmp(e->source.ptr, from->descriptor.ptr, e->source.len) == 0,
              "the frame's own source is not looked at");
    n->served++;
    n->last_from = from->id;
    if (call == NULL)
        return;
    if (!pb_bytes_are(e->method, "ping"))
        peers_fail(call, RPC_UNKNOWN_METHOD, NULL);
    else if (n->silent)
        n->kept = call;
    else
        peers_reply(call, &dht_ping_response_table, &answer);
}

static void on_connected(void *arg, const node_id *id, pb_bytes descriptor)
{
    node *n = arg;

    (void)id;
    (void)descriptor;
    n->connected++;
}

static struct {
    unsigned n;
    node_id last;
} contacts;

static void on_contact(void *arg, pb_bytes part, pb_bytes descriptor)
{
    (void)arg;
    cr_assert(pb_bytes_are(part, "x#0"));
    cr_assert(peer_node_id(descriptor, &contacts.last));
    contacts.n++;
}

static void on_lost(void *arg, const node_id *id, peers_loss how)
{
    node *n = arg;

    (void)id;
    n->lost++;
    n->left += how == PEERS_LEFT;
}

static void describe(node *n, bool serves)
{
    peer_self self = {.id = n->id, .host = serves ? "127.0.0.1" : NULL, .port = n->port};

    sb_clear(&n->descriptor);
    peer_encode(&self, &n->descriptor);
}

static pb_bytes descriptor_of(const node *n)
{
    return pb_bytes_from(n->descriptor.data, n->descriptor.len);
}

static links_options limits = {.application = "test",
                               .max_message = ENVELOPE_MAX,
                               .max_links = 80,
                               .max_per_address = 50,
                               .frames_per_s = 1000};

static node *node_new(uint8_t byte, bool serves)
{
    node *n = must_alloc(sizeof *n);
    broker_net_options where = {.host = "127.0.0.1"};
    control_options about = {.application = "test", .accepts_proxies = true, .contact = on_contact};

    n->id = id_of(byte);
    describe(n, false);
    limits.id = n->id;
    limits.descriptor = descriptor_of(n);
    n->p = peers_new(&fake.ctx, &limits);
    n->control = control_new(n->p, &about);
    if (serves) {
        cr_assert_eq(links_listen(peers_links(n->p), &where), BROKER_OK);
        n->port = links_port(peers_links(n->p));
        describe(n, true);
        peers_set_descriptor(n->p, descriptor_of(n), true);
    }
    n->watch = (peers_watch){.arg = n, .connected = on_connected, .lost = on_lost};
    peers_watch_add(n->p, &n->watch);
    cr_assert(peers_serve(n->p, "test", 1000, on_call, n));
    return n;
}

static void node_free(node *n)
{
    if (n->kept != NULL)
        peers_fail(n->kept, RPC_SERVER_ERROR, NULL);
    links_leave(peers_links(n->p));
    fake_run();
    control_free(n->control);
    peers_free(n->p);
    sb_done(&n->descriptor);
    free(n);
}

typedef struct answer {
    unsigned n;
    peers_result result;
    int32_t error;
} answer;

static void on_answer(void *arg, peers_result result, const envelope *e)
{
    answer *a = arg;

    a->n++;
    a->result = result;
    a->error = e != NULL && e->kind == ENVELOPE_ERROR ? e->error_type : -1;
}

static const dht_ping hello = {.request_id = {(const uint8_t *)"hi", 2}};

static bool ask(node *from, pb_bytes to, const char *service, const char *method, answer *a)
{
    peers_message m = {to, service, method, &dht_ping_request_table, &hello};

    *a = (answer){0};
    return peers_ask(from->p, &m, 0, on_answer, a);
}

static bool tell(node *from, const node *to)
{
    peers_message m = {descriptor_of(to), "test", "ping", &dht_ping_request_table, &hello};

    return peers_tell(from->p, &m);
}

static bool ping(node *from, const node *to, answer *a)
{
    bool ok = ask(from, descriptor_of(to), "test", "ping", a);

    fake_run();
    return ok && a->n == 1 && a->result == PEERS_ANSWERED;
}

/* ---- the test's own end ---- */

static uuid_source ids;

static void raw_send(broker_conn *c, const void *bytes, size_t len)
{
    fake_send(c, (broker_bytes){bytes, len}, 0);
}

static void raw_say(broker_conn *c, const sb *frame)
{
    raw_send(c, frame->data, frame->len);
    fake_run();
}

static broker_conn *raw_join(const node *to, uint8_t byte)
{
    broker_conn *c = fake_dial(to->port, "/");
    node_id id = id_of(byte);
    peer_self self = {.id = id};
    sb own = SB_INIT, frame = SB_INIT;

    peer_encode(&self, &own);
    greeting_ask(pb_bytes_from(own.data, own.len), descriptor_of(to), "raw", &ids, &frame);
    raw_say(c, &frame);
    sb_done(&own);
    sb_done(&frame);
    return c;
}

static envelope raw_read(const broker_conn *c, unsigned i)
{
    broker_bytes got = fake_got(c, i);
    envelope e;

    cr_assert_null(envelope_read(got.ptr, got.len, &e));
    return e;
}

static void raw_frame(sb *out, envelope_kind kind, const char *message_id, const char *service,
                      const char *method, const pb_table *table, const void *msg)
{
    envelope e = {.kind = kind,
                  .message_id = pb_bytes_of(message_id),
                  .service = pb_bytes_of(service),
                  .method = pb_bytes_of(method),
                  .request_id = pb_bytes_of("r1")};
    sb body = SB_INIT;

    cr_assert(envelope_seal(&e, table, msg, &body));
    sb_clear(out);
    envelope_append(&e, out);
    sb_done(&body);
}

/* How the handshake ended: -1 accepted, -2 no answer. */
static int raw_verdict(const broker_conn *c)
{
    envelope e;
    greeting h;

    if (c->n_got == 0)
        return -2;
    e = raw_read(c, 0);
    cr_assert_null(greeting_read(&e, &h));
    return h.has_error ? h.error : -1;
}

/* ---- handshakes ---- */

static void of_hex(const char *hex, sb *out)
{
    size_t len = strlen(hex) / 2;

    sb_clear(out);
    cr_assert(hex_decode((uint8_t *)sb_room(out, len), hex, 2 * len));
    out->len = len;
}

TestSuite(streamr_links, .init = fake_begin);

Test(streamr_links, handshakes_are_byte_for_byte_those_of_the_reference)
{
    json_error_t error;
    json_t *all = json_load_file(VECTORS "/streamr.json", 0, &error);
    json_t *messages = json_object_get(all, "messages");
    sb frame = SB_INIT, own = SB_INIT, target = SB_INIT, mine = SB_INIT;
    envelope e, made;
    greeting h;
    peer_self one = {.id = id_of(0x11), .host = "127.0.0.1", .port = 40701};
    peer_self other = {.id = id_of(0xee), .host = "127.0.0.1", .port = 40700};

    cr_assert_not_null(messages, "%s", error.text);
    of_hex(json_string_value(json_object_get(json_array_get(messages, 0), "hex")), &frame);
    cr_assert_null(envelope_read(frame.data, frame.len, &e));
    cr_assert_null(greeting_read(&e, &h));
    cr_assert(node_id_same(&h.id, &one.id) && node_id_same(&h.target, &other.id) && h.version_ok);
    peer_encode(&one, &own);
    peer_encode(&other, &target);
    greeting_ask(pb_bytes_from(own.data, own.len), pb_bytes_from(target.data, target.len),
                 "103.3.1", &ids, &mine);
    cr_assert_null(envelope_read(mine.data, mine.len, &made));
    cr_assert_eq(made.body.len, e.body.len);
    cr_assert_arr_eq(made.body.ptr, e.body.ptr, e.body.len);

    of_hex(json_string_value(json_object_get(json_array_get(messages, 1), "hex")), &frame);
    cr_assert_null(envelope_read(frame.data, frame.len, &e));
    sb_clear(&mine);
    greeting_answer(pb_bytes_from(target.data, target.len), GREETING_ACCEPT, "103.3.1", &ids,
                    &mine);
    cr_assert_null(envelope_read(mine.data, mine.len, &made));
    cr_assert_eq(made.body.len, e.body.len);
    cr_assert_arr_eq(made.body.ptr, e.body.ptr, e.body.len);
    sb_done(&frame), sb_done(&own), sb_done(&target), sb_done(&mine);
    json_decref(all);
}

Test(streamr_links, versions_below_one_and_what_is_no_version_are_refused)
{
    static const struct {
        const char *text;
        bool ok;
    } versions[] = {{"1.1", true},   {"1.0", true},   {"2.7", true}, {"10.0", true}, {"0.9", false},
                    {"1", false},    {"1.", false},   {".1", false}, {"", false},    {"a.b", false},
                    {"1.1x", false}, {"00.1", false}, {"01.1", true}};

    for (size_t i = 0; i < COUNT_OF(versions); i++)
        cr_assert_eq(greeting_version_ok(pb_bytes_of(versions[i].text)), versions[i].ok, "%s",
                     versions[i].text);
}

Test(streamr_links, a_request_is_judged_in_the_order_of_the_specification)
{
    greeting h = {.id = id_of(2), .has_target = true, .target = id_of(3), .version_ok = false};
    greeting_known k = {.self = id_of(1), .linked = true};
    bool mine = node_id_offers(&k.self, &h.id);

    cr_assert_eq(greeting_judge(&h, &k), GREETING_REFUSE_VERSION);
    h.version_ok = true;
    cr_assert_eq(greeting_judge(&h, &k), GREETING_REFUSE_TARGET);
    h.target = k.self;
    cr_assert_eq(greeting_judge(&h, &k), mine ? GREETING_REFUSE_DUPLICATE : GREETING_REPLACE);
    k.linked = false;
    cr_assert_eq(greeting_judge(&h, &k), GREETING_ACCEPT);
    h.id = k.self;
    cr_assert_eq(greeting_judge(&h, &k), GREETING_CLOSE);
}

Test(streamr_links, a_wrong_target_and_an_old_version_are_told_so_and_closed)
{
    node *n = node_new(1, true);
    broker_conn *c = fake_dial(n->port, "/");
    sb frame = SB_INIT, own = SB_INIT, wrong = SB_INIT;
    peer_self self = {.id = id_of(7)}, other = {.id = id_of(8)};

    peer_encode(&self, &own);
    peer_encode(&other, &wrong);
    greeting_ask(pb_bytes_from(own.data, own.len), pb_bytes_from(wrong.data, wrong.len), "raw",
                 &ids, &frame);
    raw_say(c, &frame);
    cr_assert_eq(raw_verdict(c), DHT_INVALID_TARGET);
    cr_assert(c->gone, "it is closed");
    fake_forget(c);
    /* The version is the three characters in front of the application. */
    c = fake_dial(n->port, "/");
    sb_clear(&frame);
    greeting_ask(pb_bytes_from(own.data, own.len), descriptor_of(n), "raw", &ids, &frame);
    memcpy(memmem(frame.data, frame.len, "1.1", 3), "0.1", 3);
    raw_say(c, &frame);
    cr_assert_eq(raw_verdict(c), DHT_UNSUPPORTED_VERSION);
    cr_assert(c->gone);
    cr_assert_eq(n->connected, 0);
    fake_forget(c);
    sb_done(&frame), sb_done(&own), sb_done(&wrong);
    node_free(n);
}

Test(streamr_links, a_second_connection_is_refused_or_takes_the_place_by_the_offerer_rule)
{
    node *n = node_new(1, true);
    unsigned refused = 0, replaced = 0;

    for (uint8_t byte = 2; byte < 22; byte++) {
        node_id id = id_of(byte);
        broker_conn *first = raw_join(n, byte), *second = raw_join(n, byte);

        cr_assert_eq(raw_verdict(first), -1);
        if (node_id_offers(&n->id, &id)) {
            cr_assert_eq(raw_verdict(second), DHT_DUPLICATE_CONNECTION);
            cr_assert(second->gone && !first->gone);
            refused++;
        } else {
            cr_assert_eq(raw_verdict(second), -1);
            cr_assert(first->gone && !second->gone, "the old socket is closed");
            replaced++;
        }
        cr_assert_eq(n->lost, 0, "nobody above notices");
        fake_forget(first);
        fake_forget(second);
        cr_assert_eq(n->lost, 1);
        n->lost = 0;
    }
    cr_assert(refused != 0 && replaced != 0);
    node_free(n);
}

Test(streamr_links, two_nodes_that_dial_each_other_at_once_keep_one_connection)
{
    for (uint8_t byte = 2; byte < 8; byte++) {
        node *a = node_new(1, true), *b = node_new(byte, true);
        answer of_a, of_b;

        cr_assert(ask(a, descriptor_of(b), "test", "ping", &of_a));
        cr_assert(ask(b, descriptor_of(a), "test", "ping", &of_b));
        fake_pass(1000);
        cr_assert(of_a.n == 1 && of_a.result == PEERS_ANSWERED, "%u %d", of_a.n, (int)of_a.result);
        cr_assert(of_b.n == 1 && of_b.result == PEERS_ANSWERED, "%u %d", of_b.n, (int)of_b.result);
        cr_assert_eq(a->connected, 1);
        cr_assert_eq(b->connected, 1);
        cr_assert_eq(links_open(peers_links(a->p)), 1);
        cr_assert_eq(a->lost + b->lost, 0);
        node_free(a);
        node_free(b);
    }
}

Test(streamr_links, what_is_said_before_the_connection_is_there_waits_but_not_without_end)
{
    node *a = node_new(1, true), *b = node_new(2, true);
    unsigned taken = 0;

    while (taken < 1000 && tell(a, b))
        taken++;
    cr_assert_eq(taken, LINKS_WAIT_N);
    fake_run();
    cr_assert_eq(b->served, taken);
    cr_assert(tell(a, b));
    fake_run();
    cr_assert_eq(b->served, taken + 1);
    node_free(a);
    node_free(b);
}

Test(streamr_links, who_does_not_shake_hands_is_given_up_after_15_seconds)
{
    node *a = node_new(1, true), *server = node_new(2, false);
    broker_listener *mute = fake_listen_raw();
    broker_conn *client = fake_dial(a->port, "/");
    answer r;

    server->port = mute->port;
    describe(server, true);
    cr_assert(ask(a, descriptor_of(server), "test", "ping", &r));
    fake_pass(4900);
    cr_assert_eq(r.n, 0);
    fake_pass(300);
    cr_assert(r.n == 1 && r.result == PEERS_TIMEOUT);
    fake_pass(9000);
    cr_assert(!client->gone && !mute->last->gone);
    fake_pass(1500);
    cr_assert(client->gone && mute->last->gone);
    cr_assert_eq(a->lost, 0);
    fake_forget(client);
    fake_forget(mute->last);
    node_free(a);
    node_free(server);
}

Test(streamr_links, a_node_nobody_listens_for_is_unreachable_and_not_from_inside_the_call)
{
    node *a = node_new(1, true), *gone = node_new(2, false), *hidden = node_new(3, false);
    node *client = node_new(4, false);
    answer r;

    gone->port = 1;
    describe(gone, true);
    cr_assert(ask(a, descriptor_of(gone), "test", "ping", &r));
    cr_assert_eq(r.n, 0);
    fake_run();
    cr_assert(r.n == 1 && r.result == PEERS_UNREACHABLE);
    cr_assert(ask(client, descriptor_of(hidden), "test", "ping", &r), "neither has a server");
    cr_assert_eq(r.n, 0);
    fake_run();
    cr_assert(r.n == 1 && r.result == PEERS_UNREACHABLE);
    node_free(a), node_free(gone), node_free(hidden), node_free(client);
}

Test(streamr_links, a_server_that_is_somebody_else_is_not_believed)
{
    node *a = node_new(1, true), *b = node_new(2, true), *wrong = node_new(3, false);
    broker_listener *careless = fake_listen_raw();
    sb frame = SB_INIT;
    answer r;

    wrong->port = b->port;
    describe(wrong, true);
    cr_assert(ask(a, descriptor_of(wrong), "test", "ping", &r));
    fake_run();
    cr_assert(r.n == 1 && r.result == PEERS_UNREACHABLE);
    cr_assert(!peers_connected(a->p, &wrong->id) && b->served == 0);
    /* One that does not mind whom we mean. */
    wrong->port = careless->port;
    describe(wrong, true);
    cr_assert(ask(a, descriptor_of(wrong), "test", "ping", &r));
    fake_run();
    greeting_answer(descriptor_of(b), GREETING_ACCEPT, "raw", &ids, &frame);
    raw_say(careless->last, &frame);
    cr_assert(r.n == 1 && r.result == PEERS_UNREACHABLE);
    cr_assert(careless->last->gone && !peers_connected(a->p, &b->id));
    fake_forget(careless->last);
    sb_done(&frame);
    node_free(a), node_free(b), node_free(wrong);
}

Test(streamr_links, close_codes_tell_leaving_from_loss)
{
    static const struct {
        int32_t code;
        unsigned left;
    } codes[] = {{1001, 1}, {3001, 1}, {1000, 0}, {1006, 0}};

    for (size_t i = 0; i < COUNT_OF(codes); i++) {
        node *n = node_new(1, true);
        broker_conn *c = raw_join(n, 9);

        fake_close(c, codes[i].code, NULL);
        fake_run();
        cr_assert_eq(n->lost, 1);
        cr_assert_eq(n->left, codes[i].left, "code %d", codes[i].code);
        fake_forget(c);
        c = raw_join(n, 9);
        node_free(n);
        cr_assert_eq(c->code, 1001, "the accepting side says 1001");
        fake_forget(c);
    }
}

/* ---- limits ---- */

Test(streamr_links, a_peer_that_sends_too_much_is_read_more_slowly_and_nobody_else)
{
    node *n = node_new(1, true), *friend = node_new(2, true);
    broker_conn *c = raw_join(n, 9);
    unsigned at_once;
    answer r;

    for (unsigned i = 0; i < 3000; i++) {
        char id[16];
        sb frame = SB_INIT;

        snprintf(id, sizeof id, "m%u", i);
        raw_frame(&frame, ENVELOPE_NOTIFICATION, id, "test", "ping", &dht_ping_request_table,
                  &hello);
        raw_send(c, frame.data, frame.len);
        sb_done(&frame);
    }
    fake_run();
    at_once = n->served;
    cr_assert(at_once > 150 && at_once <= 201, "%u", at_once);
    cr_assert(ping(friend, n, &r));
    fake_pass(1000);
    cr_assert(n->served > 1000 && n->served < 1400, "%u", n->served);
    fake_pass(2500);
    cr_assert_eq(n->served, 3000 + 1, "nothing is lost: %u", n->served);
    fake_forget(c);
    node_free(n), node_free(friend);
}

static size_t spread(node *from, const pb_bytes *body, const node_id *const *to, size_t n,
                     bool *sent)
{
    envelope e = {.kind = ENVELOPE_NOTIFICATION,
                  .service = pb_bytes_of("test"),
                  .method = pb_bytes_of("sendStreamMessage"),
                  .type = pb_bytes_of("StreamMessage"),
                  .body = *body};

    return peers_spread(from->p, &e, to, n, sent);
}

Test(streamr_links, a_peer_that_does_not_read_costs_its_own_messages_and_then_its_connection)
{
    static uint8_t big[100000];
    node *n = node_new(1, true), *friend = node_new(2, true);
    broker_conn *slow;
    node_id id = id_of(9);
    const node_id *to[] = {&id, &friend->id};
    bool sent[2];
    pb_bytes body = {big, sizeof big};
    unsigned slow_has = 0;
    answer r;

    slow = raw_join(n, 9);
    slow->slow = true;
    slow->other->high = LINKS_HIGH;
    cr_assert(ping(friend, n, &r));
    for (unsigned i = 0; i < 100; i++) {
        spread(n, &body, to, 2, sent);
        slow_has += sent[0];
        cr_assert(sent[1]);
        fake_pass(100);
    }
    cr_assert_eq(friend->served, 100);
    cr_assert(slow_has > 75 && slow_has < 90, "%u", slow_has);
    cr_assert_eq(peers_counted(n->p, RPC_COUNT_DROPPED), 100 - slow_has);
    fake_pass(LINKS_STUCK_MS - 10500);
    cr_assert(peers_connected(n->p, &id));
    fake_pass(10500);
    cr_assert(!peers_connected(n->p, &id));
    cr_assert(peers_connected(n->p, &friend->id));
    fake_forget(slow);
    node_free(n), node_free(friend);
}

Test(streamr_links, many_peers_that_do_not_read_have_less_each)
{
    static uint8_t big[100000];
    node *n = node_new(1, true);
    broker_conn *slow[12];
    node_id who[12];
    const node_id *to[12];
    bool sent[12];
    pb_bytes body = {big, sizeof big};
    size_t all = 0;

    for (uint8_t i = 0; i < 12; i++) {
        slow[i] = raw_join(n, (uint8_t)(20 + i));
        slow[i]->slow = true;
        slow[i]->other->high = LINKS_HIGH;
        who[i] = id_of((uint8_t)(20 + i));
        to[i] = &who[i];
    }
    for (unsigned i = 0; i < 100; i++) {
        spread(n, &body, to, 12, sent);
        fake_pass(100);
    }
    for (unsigned i = 0; i < 12; i++)
        all += slow[i]->inbox.len;
    cr_assert(all > LINKS_HIGH_ALL && all < LINKS_HIGH_ALL + 13 * (sizeof big + 1000), "%zu", all);
    for (unsigned i = 0; i < 12; i++)
        fake_forget(slow[i]);
    node_free(n);
}

Test(streamr_links, one_address_has_only_so_many_connections)
{
    node *n = node_new(1, true);
    broker_conn *all[60];
    unsigned refused = 0;

    for (unsigned i = 0; i < 60; i++) {
        all[i] = fake_dial(n->port, "/");
        refused += all[i]->gone;
    }
    cr_assert_eq(refused, 10);
    fake.address = (broker_str){"[::2]:4", 7};
    fake_forget(all[59]);
    all[59] = fake_dial(n->port, "/");
    cr_assert(!all[59]->gone, "another address");
    for (unsigned i = 0; i < 60; i++)
        fake_forget(all[i]);
    node_free(n);
}

Test(streamr_links, when_there_are_too_many_the_furthest_idle_ones_go)
{
    node *n;
    broker_conn *all[10];
    sb frame = SB_INIT;
    dht_lock lock = {.lock_id = pb_bytes_of("mine")};
    dht_set_private set = {.is_private = true};

    limits.max_links = 5;
    n = node_new(1, true);
    for (uint8_t i = 0; i < 10; i++)
        all[i] = raw_join(n, (uint8_t)(0xf0 - 16 * i)); /* the first is the furthest */
    raw_frame(&frame, ENVELOPE_REQUEST, "l", "system/connection-manager", "lockRequest",
              &dht_lock_request_table, &lock);
    raw_say(all[0], &frame);
    raw_frame(&frame, ENVELOPE_NOTIFICATION, "p", "system/connection-manager", "setPrivate",
              &dht_set_private_table, &set);
    raw_say(all[1], &frame);
    fake_pass(15000);
    cr_assert_eq(n->lost, 0, "none is idle long enough");
    fake_pass(12000);
    for (unsigned i = 0; i < 10; i++)
        cr_assert_eq(all[i]->gone, i >= 2 && i < 7, "connection %u", i);
    for (unsigned i = 2; i < 7; i++) {
        envelope e = raw_read(all[i], all[i]->n_got - 1);

        cr_assert(pb_bytes_are(e.method, "gracefulDisconnect"));
    }
    for (unsigned i = 0; i < 10; i++)
        fake_forget(all[i]);
    sb_done(&frame);
    node_free(n);
}

Test(streamr_links, garbage_before_the_handshake_is_passed_over_for_a_while)
{
    node *n = node_new(1, true);
    broker_conn *c = fake_dial(n->port, "/");
    unsigned i = 0;

    while (i < 1000 && !c->gone) {
        raw_send(c, "\xff\xff\xff", 3);
        fake_run();
        i++;
    }
    cr_assert(i > 10 && i < 100, "%u", i);
    cr_assert_eq(n->connected, 0);
    fake_forget(c);
    c = raw_join(n, 9);
    for (i = 0; i < 100; i++)
        raw_send(c, "\xff\xff\xff", 3);
    fake_run();
    cr_assert_eq(raw_verdict(c), -1);
    cr_assert(!c->gone, "after it, frames that do not parse are ignored");
    cr_assert_eq(peers_counted(n->p, RPC_COUNT_MALFORMED), 100);
    fake_forget(c);
    node_free(n);
}

/* ---- requests ---- */

Test(streamr_links, a_message_id_counts_once_whoever_brings_it)
{
    node *n = node_new(1, true);
    broker_conn *a = raw_join(n, 8), *b = raw_join(n, 9);
    sb frame = SB_INIT;

    raw_frame(&frame, ENVELOPE_NOTIFICATION, "same", "test", "ping", &dht_ping_request_table,
              &hello);
    raw_say(a, &frame);
    raw_say(b, &frame);
    raw_say(a, &frame);
    cr_assert_eq(n->served, 1);
    fake_forget(a);
    fake_forget(b);
    sb_done(&frame);
    node_free(n);
}

Test(streamr_links, who_asks_is_who_shook_hands_whatever_the_frame_says)
{
    node *n = node_new(1, true), *liar = node_new(5, false);
    broker_conn *c = raw_join(n, 9);
    node_id nine = id_of(9);
    envelope e = {.kind = ENVELOPE_NOTIFICATION,
                  .message_id = pb_bytes_of("m"),
                  .service = pb_bytes_of("test"),
                  .source = descriptor_of(liar),
                  .method = pb_bytes_of("ping"),
                  .type = pb_bytes_of(dht_ping_request_table.name)};
    sb frame = SB_INIT;

    envelope_append(&e, &frame);
    raw_say(c, &frame);
    cr_assert_eq(n->served, 1);
    cr_assert(node_id_same(&n->last_from, &nine));
    sb_done(&frame);
    fake_forget(c);
    node_free(n), node_free(liar);
}

Test(streamr_links, unknown_methods_slow_answers_and_unknown_services)
{
    node *a = node_new(1, true), *b = node_new(2, true);
    answer r;

    cr_assert(ask(a, descriptor_of(b), "test", "nonsense", &r));
    fake_run();
    cr_assert(r.n == 1 && r.result == PEERS_REFUSED && r.error == RPC_UNKNOWN_METHOD);
    b->silent = true;
    cr_assert(ask(a, descriptor_of(b), "test", "ping", &r));
    fake_pass(1200);
    cr_assert(r.n == 1 && r.result == PEERS_REFUSED && r.error == RPC_SERVER_TIMEOUT);
    peers_reply(b->kept, &dht_ping_response_table, &hello);
    b->kept = NULL;
    cr_assert(ask(a, descriptor_of(b), "nobody", "ping", &r));
    fake_pass(4900);
    cr_assert_eq(r.n, 0);
    fake_pass(200);
    cr_assert(r.n == 1 && r.result == PEERS_TIMEOUT);
    node_free(a), node_free(b);
}

Test(streamr_links, what_was_asked_of_a_node_that_goes_is_unreachable_unless_cancelled)
{
    node *a = node_new(1, true), *b = node_new(2, true);
    answer r, q;

    b->silent = true;
    cr_assert(ask(a, descriptor_of(b), "nobody", "ping", &r));
    cr_assert(ask(a, descriptor_of(b), "nobody", "ping", &q));
    fake_run();
    peers_cancel(a->p, &q);
    peers_disconnect(b->p, &a->id, DHT_DISCONNECT_NORMAL);
    fake_run();
    cr_assert(r.n == 1 && r.result == PEERS_UNREACHABLE);
    cr_assert_eq(q.n, 0);
    node_free(a), node_free(b);
}

/* ---- reaching and being reached ---- */

static links_reach found;
static unsigned checks;
static void on_checked(void *arg, const links_reach *what)
{
    (void)arg;
    found = *what;
    checks++;
}

Test(streamr_links, a_node_learns_whether_it_can_be_reached)
{
    node *a = node_new(1, true), *b = node_new(2, true), *dead = node_new(3, false);
    pb_bytes entries[2];

    dead->port = 1;
    describe(dead, true);
    entries[0] = descriptor_of(dead);
    entries[1] = descriptor_of(b);
    links_check(peers_links(a->p), entries, 2, a->port, false, NULL, on_checked, NULL);
    fake_pass(3000);
    cr_assert(checks == 1 && found.answered && found.reachable);
    cr_assert_str_eq(found.host, "127.0.0.1");
    links_check(peers_links(a->p), entries, 2, 1, false, NULL, on_checked, NULL);
    fake_pass(3000);
    cr_assert(checks == 2 && found.answered && !found.reachable, "a port nobody listens on");
    links_check(peers_links(a->p), entries, 1, a->port, false, NULL, on_checked, NULL);
    fake_pass(3000);
    cr_assert(checks == 3 && !found.answered);
    cr_assert_eq(a->connected + b->connected, 0, "a check is no connection");
    node_free(a), node_free(b), node_free(dead);
}

static void wrap(sb *out, const node *to, const sb *inner, const char *request_id)
{
    node_id id = to->id;
    dht_route route = {.request_id = pb_bytes_of(request_id),
                       .target = node_id_bytes(&id),
                       .message = pb_bytes_from(inner->data, inner->len)};

    pb_set(&dht_route_table, &route, 4);
    raw_frame(out, ENVELOPE_REQUEST, request_id, "layer0", "routeMessage", &dht_route_table,
              &route);
}

static int ack_of(const broker_conn *c, unsigned i)
{
    envelope e = raw_read(c, i);
    pb_arena arena = {NULL, 0, 0};
    dht_route_ack ack;

    cr_assert(envelope_is(&e, &dht_route_ack_table));
    cr_assert_null(envelope_open(&e, &dht_route_ack_table, &ack, &arena));
    return pb_has(&dht_route_ack_table, &ack, 2) ? ack.error : -1;
}

Test(streamr_links, a_routed_request_to_connect_is_obeyed_but_not_for_everybody_at_once)
{
    node *n = node_new(1, false), *router = node_new(2, true), *asker = node_new(3, true);
    broker_listener *l = fake_listen_raw();
    wire_empty nothing = {{0}};
    sb inner = SB_INIT, frame = SB_INIT;
    answer r;

    (void)router;
    cr_assert(ping(n, asker, &r), "they know each other");
    for (unsigned i = 0; i < 40; i++) {
        char id[8];
        peer_self self = {.id = id_of((uint8_t)(100 + i)), .host = "127.0.0.1", .port = l->port};
        sb source = SB_INIT;
        envelope e = {.kind = ENVELOPE_NOTIFICATION,
                      .message_id = pb_bytes_of(id),
                      .service = pb_bytes_of("system/websocket-connector"),
                      .method = pb_bytes_of("requestConnection"),
                      .type = pb_bytes_of(dht_websocket_connection_table.name)};

        (void)nothing;
        snprintf(id, sizeof id, "c%u", i);
        e.message_id = pb_bytes_of(id);
        peer_encode(&self, &source);
        e.source = pb_bytes_from(source.data, source.len);
        sb_clear(&inner);
        envelope_append(&e, &inner);
        cr_assert(peers_route(asker->p, descriptor_of(n), &inner, &n->id));
        sb_done(&source);
    }
    fake_run();
    cr_assert_eq(l->n_accepted, CONTROL_DIALS_A_SECOND);
    fake_pass(1);
    for (broker_conn *c = fake.conns, *next; c != NULL; c = next) {
        next = c->next;
        if (c->raw) {
            fake_forget(c);
            next = fake.conns;
        }
    }
    sb_done(&inner);
    sb_done(&frame);
    node_free(n), node_free(router), node_free(asker);
}

Test(streamr_links, a_node_without_a_server_is_asked_to_dial_by_way_of_another)
{
    node *n = node_new(1, true), *hidden = node_new(3, false), *shy = node_new(4, false);
    broker_conn *c = raw_join(n, 9);
    pb_arena arena = {must_alloc(65536), 65536, 0};
    dht_route route;
    envelope e, inner;
    sb frame = SB_INIT;
    answer r;

    cr_assert(ask(n, descriptor_of(hidden), "test", "ping", &r));
    fake_run();
    e = raw_read(c, 1);
    cr_assert(pb_bytes_are(e.method, "routeMessage"));
    cr_assert_null(envelope_open(&e, &dht_route_table, &route, &arena));
    cr_assert(route.target.len == 20 && memcmp(route.target.ptr, &hidden->id, 20) == 0);
    cr_assert_null(envelope_read(route.message.ptr, route.message.len, &inner));
    cr_assert(pb_bytes_are(inner.method, "requestConnection"));
    cr_assert(pb_bytes_are(inner.service, "system/websocket-connector"));
    /* It comes, and has what waited for it. */
    peers_connect(hidden->p, inner.source);
    fake_run();
    cr_assert(r.n == 1 && r.result == PEERS_ANSWERED);
    /* Another one never comes. */
    cr_assert(ask(n, descriptor_of(shy), "test", "ping", &r));
    fake_pass(7600);
    cr_assert(r.n == 1 && r.result == PEERS_TIMEOUT);
    cr_assert_not_null(links_find(peers_links(n->p), &shy->id));
    fake_pass(8000);
    cr_assert_null(links_find(peers_links(n->p), &shy->id), "it is not waited for any longer");
    fake_forget(c);
    free(arena.base);
    sb_done(&frame);
    node_free(n), node_free(hidden), node_free(shy);
}

/* ---- the control layer ---- */

Test(streamr_links, routed_to_us_is_unwrapped_and_all_else_has_no_targets)
{
    node *n = node_new(1, true), *other = node_new(2, false);
    broker_conn *c = raw_join(n, 9);
    peer_self nine = {.id = id_of(9)};
    sb inner = SB_INIT, frame = SB_INIT, source = SB_INIT, body = SB_INIT;
    envelope ping_part = {.kind = ENVELOPE_REQUEST,
                          .message_id = pb_bytes_of("i1"),
                          .service = pb_bytes_of("layer1::x#0"),
                          .method = pb_bytes_of("ping"),
                          .request_id = pb_bytes_of("q1")},
             e;
    pb_arena arena = {must_alloc(65536), 65536, 0};
    dht_route route;

    cr_assert(control_join(n->control, pb_bytes_of("x#0")));
    peer_encode(&nine, &source);
    ping_part.source = pb_bytes_from(source.data, source.len);
    cr_assert(envelope_seal(&ping_part, &dht_ping_request_table, &hello, &body));
    envelope_append(&ping_part, &inner);
    wrap(&frame, other, &inner, "w1");
    raw_say(c, &frame);
    cr_assert_eq(ack_of(c, 1), DHT_ROUTE_NO_TARGETS);
    wrap(&frame, n, &inner, "w2");
    raw_say(c, &frame);
    cr_assert_eq(ack_of(c, 2), -1);
    e = raw_read(c, 3); /* the answer comes routed too */
    cr_assert(pb_bytes_are(e.method, "routeMessage"));
    cr_assert_null(envelope_open(&e, &dht_route_table, &route, &arena));
    cr_assert_null(envelope_read(route.message.ptr, route.message.len, &e));
    cr_assert(e.kind == ENVELOPE_RESPONSE && pb_bytes_are(e.request_id, "q1"));
    cr_assert(pb_bytes_are(e.service, "layer1::x#0"));
    raw_frame(&frame, ENVELOPE_REQUEST, "w3", "layer0", "routeMessage", &dht_route_table,
              &(dht_route){.request_id = pb_bytes_of("w2"), .target = node_id_bytes(&n->id)});
    raw_say(c, &frame);
    cr_assert_eq(ack_of(c, 4), DHT_ROUTE_DUPLICATE);
    /* Services of connections are not reached this way. */
    ping_part.service = pb_bytes_of("test");
    ping_part.message_id = pb_bytes_of("i2");
    sb_clear(&inner);
    envelope_append(&ping_part, &inner);
    wrap(&frame, n, &inner, "w4");
    raw_say(c, &frame);
    cr_assert_eq(n->served, 0);
    fake_forget(c);
    free(arena.base);
    sb_done(&inner), sb_done(&frame), sb_done(&source), sb_done(&body);
    node_free(n), node_free(other);
}

Test(streamr_links, those_who_find_only_us_in_a_stream_part_find_each_other)
{
    node *n = node_new(1, true);
    broker_conn *c = raw_join(n, 9);
    dht_closest_request q = {.request_id = pb_bytes_of("q")};
    pb_arena arena = {must_alloc(65536), 65536, 0};
    dht_closest_response r;
    dht_route route;
    envelope e;

    cr_assert(control_join(n->control, pb_bytes_of("x#0")));
    for (uint8_t i = 0; i < 40; i++) {
        peer_self self = {.id = id_of((uint8_t)(50 + i))};
        sb source = SB_INIT, inner = SB_INIT, frame = SB_INIT, body = SB_INIT;
        char id[8];

        snprintf(id, sizeof id, "m%u", i);
        peer_encode(&self, &source);
        q.node_id = node_id_bytes(&self.id);
        e = (envelope){.kind = ENVELOPE_REQUEST,
                       .message_id = pb_bytes_of(id),
                       .service = pb_bytes_of("layer1::x#0"),
                       .source = pb_bytes_from(source.data, source.len),
                       .method = pb_bytes_of("getClosestPeers"),
                       .request_id = pb_bytes_of("q")};
        cr_assert(envelope_seal(&e, &dht_closest_request_table, &q, &body));
        envelope_append(&e, &inner);
        snprintf(id, sizeof id, "w%u", i);
        wrap(&frame, n, &inner, id);
        raw_say(c, &frame);
        sb_done(&source), sb_done(&inner), sb_done(&frame), sb_done(&body);
    }
    e = raw_read(c, c->n_got - 1);
    cr_assert_null(envelope_open(&e, &dht_route_table, &route, &arena));
    cr_assert_null(envelope_read(route.message.ptr, route.message.len, &e));
    cr_assert_null(envelope_open(&e, &dht_closest_response_table, &r, &arena));
    cr_assert_eq(r.peers.n, 5);
    cr_assert_eq(((dht_peer **)r.peers.items)[0]->node_id.ptr[0], 88, "the nearest is first");
    cr_assert_eq(contacts.n, 40, "%u of 40 are told to who looks for neighbours", contacts.n);
    cr_assert_eq(contacts.last.bytes[0], 89);
    fake_forget(c);
    free(arena.base);
    node_free(n);
}

static unsigned n_found;
static bool found_ok;
static void on_found(void *arg, bool ok, const pb_bytes *descriptors, size_t n)
{
    (void)arg;
    (void)descriptors;
    found_ok = ok;
    n_found = (unsigned)n;
}

Test(streamr_links, entry_points_are_kept_connected_and_asked)
{
    node *n = node_new(1, true), *point = node_new(2, false);
    broker_listener *l = fake_listen_raw();
    pb_bytes list[1];
    node_id key = stream_part_key(pb_bytes_of("x#0"));
    entry *en;
    sb frame = SB_INIT;
    envelope e;

    point->port = l->port;
    describe(point, true);
    list[0] = descriptor_of(point);
    en = entry_new(n->p, list, 1);
    cr_assert(entry_fetch(en, &key, on_found, &frame));
    n_found = 99;
    fake_pass(ENTRY_WAIT_MS - 500);
    cr_assert(n_found == 99 && l->n_accepted == 0, "it waits, and nobody is dialled yet");
    fake_pass(1000);
    cr_assert(n_found == 0 && !found_ok, "but not for ever");
    cr_assert(entry_fetch(en, &key, on_found, &frame));
    entry_hold(en, false);
    fake_pass(300);
    cr_assert_eq(l->n_accepted, 1);
    greeting_answer(descriptor_of(point), GREETING_ACCEPT, "raw", &ids, &frame);
    raw_say(l->last, &frame);
    cr_assert(entry_ready(en));
    fake_run();
    e = raw_read(l->last, 1);
    cr_assert(pb_bytes_are(e.method, "externalFetchData"), "what waited is asked at once");
    entry_announce(en, &key);
    fake_pass(300);
    e = raw_read(l->last, 2);
    cr_assert(pb_bytes_are(e.method, "externalStoreData"));
    fake_forget(l->last);
    fake_pass(2000);
    cr_assert_eq(l->n_accepted, 2, "dialled again");
    sb_clear(&frame);
    greeting_answer(descriptor_of(point), GREETING_ACCEPT, "raw", &ids, &frame);
    raw_say(l->last, &frame);
    entry_free(en);
    node_free(n);
    cr_assert_eq(l->last->code, 3001, "the dialling side says 3001");
    fake_forget(l->last);
    sb_done(&frame);
    node_free(point);
}

Test(streamr_links, an_entry_point_that_is_away_is_dialled_with_growing_pauses)
{
    node *n = node_new(1, false), *away = node_new(2, false);
    pb_bytes list[1];
    entry *en;
    size_t soon;

    away->port = 1;
    describe(away, true);
    list[0] = descriptor_of(away);
    en = entry_new(n->p, list, 1);
    entry_hold(en, false);
    fake_pass(8000);
    soon = fake.n_connects;
    cr_assert(soon >= 3 && soon <= 5, "%zu", soon);
    fake_pass(300000);
    cr_assert(fake.n_connects >= soon + 5 && fake.n_connects <= soon + 9, "%zu", fake.n_connects);
    entry_free(en);
    node_free(n), node_free(away);
}

Test(streamr_links, one_peer_is_served_only_so_many_requests_at_once)
{
    node *n = node_new(1, true);
    broker_conn *greedy = raw_join(n, 8), *friend = raw_join(n, 9);
    sb frame = SB_INIT;
    char id[16];

    n->silent = true;
    for (unsigned i = 0; i < 150; i++)
        for (unsigned k = 0; k < 2; k++) {
            snprintf(id, sizeof id, "g%u.%u", i, k);
            raw_frame(&frame, ENVELOPE_REQUEST, id, "test", "ping", &dht_ping_request_table,
                      &hello);
            raw_say(greedy, &frame);
            fake.now_ms += 2; /* slowly enough to be read */
        }
    cr_assert_eq(n->served, RPC_SERVED_PER_PEER);
    cr_assert_eq(peers_counted(n->p, RPC_COUNT_OVERLOAD), 300 - RPC_SERVED_PER_PEER);
    raw_frame(&frame, ENVELOPE_REQUEST, "f", "test", "ping", &dht_ping_request_table, &hello);
    raw_say(friend, &frame);
    cr_assert_eq(n->served, RPC_SERVED_PER_PEER + 1, "others are served");
    fake_forget(greedy);
    fake_forget(friend);
    sb_done(&frame);
    n->kept = NULL;
    node_free(n);
}

/* The acknowledgement of the i-th frame, which is a routeMessage. */
static void raw_ack(broker_conn *c, unsigned i, bool taken)
{
    envelope asked = raw_read(c, i), e = envelope_answer(&asked, (pb_bytes){NULL, 0});
    dht_route_ack ack = {.request_id = pb_bytes_of("w")};
    char id[UUID_LEN];
    sb body = SB_INIT, frame = SB_INIT;

    cr_assert(pb_bytes_are(asked.method, "routeMessage"));
    if (!taken)
        pb_set(&dht_route_ack_table, &ack, 2);
    uuid_make(&ids, id);
    e.message_id = pb_bytes_from(id, sizeof id);
    cr_assert(envelope_seal(&e, &dht_route_ack_table, &ack, &body));
    envelope_append(&e, &frame);
    raw_say(c, &frame);
    sb_done(&body), sb_done(&frame);
}

Test(streamr_links, what_one_node_cannot_route_goes_by_another_nearest_first)
{
    node *n = node_new(1, true), *hidden = node_new(0x30, false);
    broker_conn *far = raw_join(n, 0xf0), *near = raw_join(n, 0x31), *next = raw_join(n, 0x32);
    answer r;

    cr_assert(ask(n, descriptor_of(hidden), "test", "ping", &r));
    fake_run();
    cr_assert(near->n_got == 2 && next->n_got == 1 && far->n_got == 1);
    raw_ack(near, 1, false);
    cr_assert(next->n_got == 2 && far->n_got == 1);
    raw_ack(next, 1, true);
    fake_pass(3000);
    cr_assert(near->n_got == 2 && next->n_got == 2 && far->n_got == 1, "it was taken");
    fake_forget(far), fake_forget(near), fake_forget(next);
    node_free(n), node_free(hidden);
}

static void raw_wrap_operation(sb *out, const char *id, const node_id *key, dht_peer *source,
                               dht_operation what)
{
    dht_recursive_request q = {.session_id = pb_bytes_of("session"), .operation = (int32_t)what};
    envelope e = {.kind = ENVELOPE_RECURSIVE_REQUEST,
                  .message_id = pb_bytes_of("inner"),
                  .service = pb_bytes_of("layer0")};
    dht_route route = {
        .request_id = pb_bytes_of(id), .source = source, .target = node_id_bytes(key)};
    sb body = SB_INIT, inner = SB_INIT;

    cr_assert(pb_encode(&dht_recursive_request_table, &q, &body));
    e.body = pb_bytes_from(body.data, body.len);
    envelope_append(&e, &inner);
    route.message = pb_bytes_from(inner.data, inner.len);
    pb_set(&dht_route_table, &route, 4);
    raw_frame(out, ENVELOPE_REQUEST, id, "layer0", "routeRequest", &dht_route_table, &route);
    sb_done(&body), sb_done(&inner);
}

Test(streamr_links, an_operation_on_data_that_ends_here_is_answered_at_once)
{
    node *n = node_new(1, true);
    broker_conn *c = raw_join(n, 9), *other = raw_join(n, 8);
    node_id key = id_of(0x55), nine = id_of(9);
    dht_peer source = {.node_id = node_id_bytes(&nine)};
    rpc_any any = {.type_url = pb_bytes_of("x/dht.PeerDescriptor"), .value = pb_bytes_of("me")};
    dht_store_request put = {
        .key = node_id_bytes(&key), .data = &any, .creator = node_id_bytes(&nine), .ttl_ms = 60000};
    pb_arena arena = {must_alloc(65536), 65536, 0};
    dht_recursive_response r;
    dht_route route;
    sb frame = SB_INIT;
    envelope e;

    raw_frame(&frame, ENVELOPE_REQUEST, "s", "layer0", "storeData", &dht_store_request_table, &put);
    raw_say(c, &frame);
    e = raw_read(c, 1);
    cr_assert(e.kind == ENVELOPE_RESPONSE && envelope_is(&e, &dht_store_response_table));
    raw_wrap_operation(&frame, "w1", &key, &source, DHT_FETCH_DATA);
    raw_say(c, &frame);
    cr_assert_eq(ack_of(c, 2), DHT_ROUTE_NO_TARGETS);
    e = raw_read(c, 3);
    cr_assert(pb_bytes_are(e.method, "routeMessage"));
    cr_assert_null(envelope_open(&e, &dht_route_table, &route, &arena));
    cr_assert(route.target.len == 20 && memcmp(route.target.ptr, &nine, 20) == 0);
    cr_assert_null(envelope_read(route.message.ptr, route.message.len, &e));
    cr_assert(pb_bytes_are(e.service, "session") && pb_bytes_are(e.method, "sendResponse"));
    cr_assert_null(envelope_open(&e, &dht_recursive_response_table, &r, &arena));
    cr_assert(r.no_closer && r.closest.n == 2 && r.entries.n == 1);
    cr_assert(pb_bytes_are(((dht_entry **)r.entries.items)[0]->data->value, "me"));
    cr_assert_eq(other->n_got, 1, "it goes by whom it came");
    raw_say(c, &frame);
    cr_assert_eq(c->n_got, 4, "the same frame counts once");
    fake_forget(c), fake_forget(other);
    free(arena.base);
    sb_done(&frame);
    node_free(n);
}
