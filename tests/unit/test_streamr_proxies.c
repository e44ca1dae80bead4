/* Proxies in both roles, and inspection, through the door of delivery. */
#include "delivery_rig.h"

#include <criterion/criterion.h>

static const uint8_t user_a[20] = {0xaa}, user_b[20] = {0xbb};

static pb_bytes user(const uint8_t id[20])
{
    return pb_bytes_from(id, 20);
}

/* Directions as the client sees them. */
typedef enum way { BOTH, PUBLISH_ONLY, SUBSCRIBE_ONLY } way;

static void join_through(node *n, way w, pb_bytes for_user, node *const *through, size_t count_of)
{
    pb_bytes list_of[MOST];
    delivery_proxied how = {.proxies = list_of,
                            .n = count_of,
                            .one_way = w != BOTH,
                            .direction = w == PUBLISH_ONLY ? NETWORK_PUBLISH : NETWORK_SUBSCRIBE,
                            .user_id = for_user};
    const char *why;

    for (size_t i = 0; i < count_of; i++)
        list_of[i] = peers_descriptor(through[i]->p);
    why = delivery_join(n->d, part_name(), &how);
    cr_assert_null(why, "%s", why);
}

/* A member that is a proxy, and a client of it. */
static void pair(rig *r, way w, node **proxy, node **client)
{
    *proxy = add_proxy(r, 'p');
    *client = add(r, 'c');
    join(*proxy);
    join_through(*client, w, user(user_a), proxy, 1);
    fake_run(r->net, 1000);
    cr_assert(has_neighbor(*client, (*proxy)->p));
    cr_assert_eq(look(*proxy).info.n_clients, 1);
    cr_assert_eq(neighbors_of(*proxy), 0, "a client is no neighbour");
}

Test(proxies, messages_go_both_ways)
{
    rig *r = rig_new();
    node *p, *c;

    pair(r, BOTH, &p, &c);
    cr_assert_eq(publish(p, 1), DELIVERY_SENT);
    fake_run(r->net, 100);
    cr_assert_eq(publish(c, 2), DELIVERY_SENT);
    fake_run(r->net, 100);
    cr_assert_eq(c->n_got, 1);
    cr_assert_eq(p->n_got, 1);
    rig_free(r);
}

Test(proxies, subscriber_only_gets_messages_and_may_publish_none_but_ask_for_keys)
{
    rig *r = rig_new();
    node *p, *c;

    pair(r, SUBSCRIBE_ONLY, &p, &c);
    cr_assert_eq(publish(c, 1), DELIVERY_REFUSED);
    cr_assert_str_eq(refused_because, "the stream part is only subscribed to through its proxies, "
                                      "not published to");
    cr_assert_eq(publish_bytes(c, key_request(1, user(user_b))), DELIVERY_SENT);
    publish(p, 1);
    fake_run(r->net, 100);
    cr_assert_eq(c->n_got, 1);
    cr_assert_eq(p->n_got, 1);
    rig_free(r);
}

Test(proxies, publisher_only_gets_nothing_but_key_requests_for_its_user)
{
    rig *r = rig_new();
    node *p, *c;

    pair(r, PUBLISH_ONLY, &p, &c);
    cr_assert_eq(publish(c, 1), DELIVERY_SENT);
    publish(p, 2);
    fake_run(r->net, 100);
    cr_assert_eq(p->n_got, 1);
    cr_assert_eq(c->n_got, 0);
    publish_bytes(p, key_request(1, user(user_b)));
    fake_run(r->net, 100);
    cr_assert_eq(c->n_got, 0, "a request for somebody else");
    publish_bytes(p, key_request(2, user(user_a)));
    fake_run(r->net, 100);
    cr_assert_eq(c->n_got, 1, "the request for its user did not come");
    rig_free(r);
}

Test(proxies, publisher_only_reads_no_messages_even_when_they_come)
{
    rig *r = rig_new();
    node *p, *c;

    pair(r, PUBLISH_ONLY, &p, &c);
    tell_bytes(p->p, c->p, message(1));
    fake_run(r->net, 100);
    cr_assert_eq(count(c)->received, 1);
    cr_assert_eq(c->n_got, 0);
    rig_free(r);
}

Test(proxies, key_requests_go_to_no_other_subscriber)
{
    rig *r = rig_new();
    node *p = add_proxy(r, 'p'), *a = add(r, 'a'), *b = add(r, 'b');

    join(p);
    join_through(a, BOTH, user(user_a), &p, 1);
    join_through(b, BOTH, user(user_b), &p, 1);
    fake_run(r->net, 1000);
    publish_bytes(p, key_request(1, user(user_b)));
    fake_run(r->net, 100);
    cr_assert_eq(a->n_got, 0);
    cr_assert_eq(b->n_got, 1);
    rig_free(r);
}

Test(proxies, last_ten_seconds_are_given_to_who_subscribes)
{
    rig *r = rig_new();
    node *p = add_proxy(r, 'p'), *m = add(r, 'm'), *s = add(r, 's'), *w = add(r, 'w');

    join(p), join(m);
    fake_run(r->net, 3000);
    publish(m, 1);
    fake_run(r->net, 100);
    join_through(w, PUBLISH_ONLY, user(user_a), &p, 1);
    join_through(s, SUBSCRIBE_ONLY, user(user_a), &p, 1);
    fake_run(r->net, 1000);
    cr_assert_eq(s->n_got, 1);
    cr_assert_eq(w->n_got, 0);
    rig_free(r);
}

Test(proxies, two_of_them_deliver_once_and_pass_nothing_to_each_other)
{
    rig *r = rig_new();
    node *p[2] = {add_proxy(r, 'p'), add_proxy(r, 'q')}, *c = add(r, 'c');

    join(p[0]), join(p[1]);
    fake_run(r->net, 3000);
    join_through(c, BOTH, user(user_a), p, 2);
    fake_run(r->net, 1000);
    cr_assert_eq(neighbors_of(c), 2);
    publish(p[0], 1);
    fake_run(r->net, 100);
    cr_assert_eq(c->n_got, 1);
    cr_assert_eq(count(c)->duplicates, 1);
    cr_assert_eq(count(c)->sent, 0);
    rig_free(r);
}

Test(proxies, published_messages_wait_for_the_first_proxy)
{
    rig *r = rig_new();
    node *p = add_proxy(r, 'p'), *c = add(r, 'c');

    join(p);
    join_through(c, PUBLISH_ONLY, user(user_a), &p, 1);
    for (int i = 1; i <= 5; i++)
        cr_assert_eq(publish(c, i), DELIVERY_WAITS);
    fake_run(r->net, 1000);
    cr_assert_eq(p->n_got, 5);
    rig_free(r);
}

Test(proxies, lost_one_is_asked_again_at_once_and_then_every_ten_seconds)
{
    rig *r = rig_new();
    node *p, *c;

    pair(r, BOTH, &p, &c);
    fake_run(r->net, 30000);
    fake_cut(p->p, c->p, PEERS_LOST);
    cr_assert_eq(neighbors_of(c), 0);
    cr_assert_eq(look(p).info.n_clients, 0);
    fake_run(r->net, 200);
    cr_assert_eq(neighbors_of(c), 1, "not asked at once");
    fake_run(r->net, 30000);
    fake_set_down(p->p, true);
    fake_run(r->net, 60000);
    cr_assert_eq(neighbors_of(c), 0);
    fake_set_down(p->p, false);
    fake_run(r->net, 12000);
    cr_assert_eq(neighbors_of(c), 1, "not asked again within ten seconds and jitter");
    rig_free(r);
}

Test(proxies, one_that_throws_us_out_at_once_is_not_asked_in_a_loop)
{
    rig *r = rig_new();
    node *p, *c;

    pair(r, BOTH, &p, &c);
    fake_cut(p->p, c->p, PEERS_LOST);
    fake_run(r->net, 5000);
    cr_assert_eq(neighbors_of(c), 0);
    fake_run(r->net, 8000);
    cr_assert_eq(neighbors_of(c), 1);
    rig_free(r);
}

Test(proxies, another_takes_the_place_of_one_that_is_lost)
{
    rig *r = rig_new();
    node *p[3] = {add_proxy(r, 'p'), add_proxy(r, 'q'), add_proxy(r, 'r')}, *c = add(r, 'c');
    pb_bytes list_of[3];
    delivery_proxied how = {.proxies = list_of, .n = 3, .connections = 1, .user_id = user(user_a)};

    for (unsigned i = 0; i < 3; i++) {
        join(p[i]);
        list_of[i] = peers_descriptor(p[i]->p);
    }
    cr_assert_null(delivery_join(c->d, part_name(), &how));
    fake_run(r->net, 1000);
    cr_assert_eq(neighbors_of(c), 1, "more than wanted");
    for (unsigned i = 0; i < 3; i++)
        if (has_neighbor(c, p[i]->p))
            fake_set_down(p[i]->p, true);
    fake_run(r->net, 7000);
    cr_assert_eq(neighbors_of(c), 1);
    rig_free(r);
}

Test(proxies, leaving_ends_it_on_both_sides)
{
    rig *r = rig_new();
    node *p, *c;

    pair(r, BOTH, &p, &c);
    delivery_leave(c->d, part_name());
    fake_run(r->net, 100);
    cr_assert_eq(look(p).info.n_clients, 0);
    join_through(c, BOTH, user(user_a), &p, 1);
    fake_run(r->net, 11000);
    cr_assert_eq(look(p).info.n_clients, 1);
    delivery_leave(p->d, part_name());
    fake_run(r->net, 100);
    cr_assert_eq(neighbors_of(c), 0, "the proxy left, the client has not noticed");
    rig_free(r);
}

Test(proxies, joining_again_as_before_changes_nothing_and_otherwise_everything)
{
    rig *r = rig_new();
    node *p, *c, *q = add_proxy(r, 'q');

    pair(r, BOTH, &p, &c);
    join(q);
    join_through(c, BOTH, user(user_a), &p, 1);
    cr_assert(has_neighbor(c, p->p), "was left without need");
    join_through(c, SUBSCRIBE_ONLY, user(user_a), &p, 1);
    cr_assert_not(has_neighbor(c, p->p), "asked for less, got as before");
    fake_run(r->net, 1000);
    cr_assert(has_neighbor(c, p->p));
    join_through(c, SUBSCRIBE_ONLY, user(user_b), &p, 1);
    cr_assert_not(has_neighbor(c, p->p), "for another user");
    fake_run(r->net, 1000);
    join_through(c, PUBLISH_ONLY, user(user_b), &p, 1);
    cr_assert_not(has_neighbor(c, p->p), "the other way");
    join_through(c, PUBLISH_ONLY, user(user_b), &q, 1);
    fake_run(r->net, 1000);
    cr_assert(has_neighbor(c, q->p));
    cr_assert_not(has_neighbor(c, p->p));
    join(c);
    fake_run(r->net, 5000);
    cr_assert_not(look(c).info.is_proxied);
    cr_assert_eq(look(q).info.n_clients, 0);
    rig_free(r);
}

Test(proxies, node_that_accepts_no_clients_knows_no_such_method)
{
    rig *r = rig_new();
    node *m = add(r, 'm');
    network_proxy_request q = {.user_id = user(user_a)};
    answer reply;

    join(m);
    ask(r, fake_node(r->net, 'x', true), m->p, "requestConnection", &network_proxy_request_table,
        &q, &network_proxy_response_table, &reply);
    cr_assert_eq(reply.result, PEERS_REFUSED);
    cr_assert_eq(reply.error, RPC_UNKNOWN_METHOD);
    rig_free(r);
}

Test(proxies, more_clients_than_allowed_are_refused)
{
    rig *r = rig_new();
    delivery_settings two = {.accept_proxies = true, .max_clients = 2};
    node *m = add_with(r, 'm', true, true, &two);
    network_proxy_request q = {.user_id = user(user_a)};
    answer reply;

    join(m);
    for (unsigned i = 0; i < 3; i++) {
        ask(r, fake_node(r->net, (char)('x' + i), true), m->p, "requestConnection",
            &network_proxy_request_table, &q, &network_proxy_response_table, &reply);
        cr_assert_eq(reply.accepted.accepted, i < 2, "client %u", i);
    }
    rig_free(r);
}

/* ---- What the proxy's connection manager hears ---- */

typedef struct heard {
    unsigned locks, unlocks, privates, publics;
} heard;

static void manage(void *arg, const peers_from *from, const envelope *e, peers_call *call)
{
    _Alignas(16) uint8_t memory[1024];
    pb_arena arena = {memory, sizeof memory, 0};
    dht_set_private set;
    dht_lock_response yes = {.accepted = true};
    heard *h = arg;

    (void)from;
    h->locks += pb_bytes_are(e->method, "lockRequest");
    h->unlocks += pb_bytes_are(e->method, "unlockRequest");
    if (pb_bytes_are(e->method, "setPrivate")) {
        cr_assert_null(envelope_open(e, &dht_set_private_table, &set, &arena));
        *(set.is_private ? &h->privates : &h->publics) += 1;
    }
    if (call != NULL)
        peers_reply(call, &dht_lock_response_table, &yes);
}

Test(proxies, hear_of_a_lock_and_that_a_mere_client_is_private)
{
    rig *r = rig_new();
    node *p = add_proxy(r, 'p'), *c = add_lonely(r, 'c');
    heard h = {0};

    cr_assert(peers_serve(p->p, "system/connection-manager", 1000, manage, &h));
    join(p);
    join_through(c, BOTH, user(user_a), &p, 1);
    fake_run(r->net, 1000);
    cr_assert_eq(h.locks, 1);
    cr_assert_eq(h.privates, 1);
    cr_assert_null(delivery_join(c->d, pb_bytes_of("other.eth/stream#0"), NULL));
    fake_run(r->net, 1000);
    cr_assert_eq(h.publics, 1, "a member of another part is no mere client");
    delivery_leave(c->d, pb_bytes_of("other.eth/stream#0"));
    fake_run(r->net, 1000);
    cr_assert_eq(h.privates, 2);
    delivery_leave(c->d, part_name());
    fake_run(r->net, 1000);
    cr_assert_eq(h.unlocks, 1);
    rig_free(r);
}

/* ---- Inspection ---- */

static bool opens(rig *r, peers *from, node *to)
{
    wire_empty q = {.head = {.has = 0}};
    answer reply;

    ask(r, from, to->p, "openConnection", &network_temporary_request_table, &q,
        &network_temporary_response_table, &reply);
    return reply.accepted.accepted;
}

static void count_message(void *arg, const peers_from *from, const envelope *e, peers_call *call)
{
    (void)from, (void)call;
    *(unsigned *)arg += pb_bytes_are(e->method, "sendStreamMessage");
}

Test(inspect, ten_temporary_receivers_get_messages_until_they_close)
{
    rig *r = rig_new();
    node *a = add_lonely(r, 'a');
    wire_empty nothing = {.head = {.has = 0}};
    peers_message m = {peers_descriptor(a->p), SERVICE, "closeConnection",
                       &network_temporary_close_table, &nothing};
    unsigned got[11] = {0};
    peers *x[11];

    join(a);
    for (unsigned i = 0; i < 11; i++) {
        x[i] = fake_node(r->net, (char)('0' + i), true);
        cr_assert(peers_serve(x[i], SERVICE, 1000, count_message, &got[i]));
        cr_assert_eq(opens(r, x[i], a), i < 10, "receiver %u", i);
    }
    cr_assert_eq(publish(a, 1), DELIVERY_SENT);
    cr_assert(peers_tell(x[0], &m));
    fake_cut(x[1], a->p, PEERS_LOST);
    fake_run(r->net, 100);
    cr_assert_eq(look(a).info.n_temporary, 8);
    cr_assert_eq(publish(a, 2), DELIVERY_SENT);
    fake_run(r->net, 100);
    cr_assert_eq(got[0], 1);
    cr_assert_eq(got[2], 2);
    cr_assert_eq(got[10], 0);
    rig_free(r);
}

typedef struct verdict {
    bool came, connected;
    uint64_t both, others;
} verdict;

static void verdict_comes(void *arg, bool connected, uint64_t both, uint64_t others)
{
    *(verdict *)arg = (verdict){true, connected, both, others};
}

Test(inspect, counts_what_the_inspected_node_passes_on)
{
    rig *r = rig_new();
    node *a = add_lonely(r, 'a'), *b = add_lonely(r, 'b'), *c = add_lonely(r, 'c');
    pb_bytes of_b = peers_descriptor(b->p), of_c = peers_descriptor(c->p);
    verdict v = {.came = false};

    join(a), join(b), join(c);
    delivery_suggest(a->d, part_name(), &of_b, 1);
    delivery_suggest(b->d, part_name(), &of_c, 1);
    fake_run(r->net, 1000);
    cr_assert(delivery_inspect(a->d, part_name(), of_c, verdict_comes, &v));
    fake_run(r->net, 1000);
    cr_assert_eq(look(c).info.n_temporary, 1);
    for (int i = 1; i <= 5; i++)
        publish(b, i);
    fake_run(r->net, 58000);
    cr_assert_not(v.came);
    fake_run(r->net, 3000);
    cr_assert(v.came && v.connected);
    cr_assert_eq(v.others, 5);
    cr_assert_eq(v.both, 5, "c passed on %llu of 5", (unsigned long long)v.both);
    cr_assert_eq(look(c).info.n_temporary, 0, "not closed");
    rig_free(r);
}

Test(inspect, says_when_the_node_cannot_be_reached)
{
    rig *r = rig_new();
    node *a = add_lonely(r, 'a');
    peers *x = fake_node(r->net, 'x', true);
    verdict v = {.came = false};

    join(a);
    fake_set_down(x, true);
    cr_assert(delivery_inspect(a->d, part_name(), peers_descriptor(x), verdict_comes, &v));
    fake_run(r->net, 10000);
    cr_assert(v.came);
    cr_assert_not(v.connected);
    rig_free(r);
}

Test(inspect, leaving_in_the_middle_leaves_nothing_behind)
{
    rig *r = rig_new();
    node *a = add_lonely(r, 'a'), *b = add_lonely(r, 'b');
    verdict v = {.came = false};

    join(a), join(b);
    cr_assert(delivery_inspect(a->d, part_name(), peers_descriptor(b->p), verdict_comes, &v));
    fake_run(r->net, 1000);
    delivery_leave(a->d, part_name());
    fake_run(r->net, 100);
    cr_assert_eq(look(b).info.n_temporary, 0);
    cr_assert_not(v.came);
    rig_free(r);
}
