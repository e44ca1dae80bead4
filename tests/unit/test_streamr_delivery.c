/* Stream parts as a member, through their door, on a network of nodes without sockets. */
#include "delivery_rig.h"

#include <criterion/criterion.h>

/* ---- Finding each other ---- */

Test(delivery, two_nodes_find_each_other_where_they_are_listed_and_talk_both_ways)
{
    rig *r = rig_new();
    node *a = add(r, 'a'), *b = add(r, 'b');

    join(a);
    join(b);
    fake_run(r->net, 5000);
    cr_assert(has_neighbor(a, b->p));
    cr_assert(has_neighbor(b, a->p));
    cr_assert_eq(publish(a, 100), DELIVERY_SENT);
    fake_run(r->net, 100);
    cr_assert_eq(publish(b, 200), DELIVERY_SENT);
    fake_run(r->net, 100);
    cr_assert_eq(b->n_got, 1, "b got %u", b->n_got);
    cr_assert_eq(b->got[0], 100);
    cr_assert_eq(a->n_got, 1, "a got %u", a->n_got);
    cr_assert_eq(a->got[0], 200);
    rig_free(r);
}

/* Whether everybody is reached from the first, going from neighbour to neighbour. */
static unsigned reached(const rig *r)
{
    bool seen[MOST] = {true};
    unsigned n = 1;

    for (unsigned round = 0; round < r->n; round++)
        for (unsigned i = 0; i < r->n; i++)
            for (unsigned k = 0; seen[i] && k < r->n; k++)
                if (!seen[k] && has_neighbor(&r->nodes[i], r->nodes[k].p)) {
                    seen[k] = true;
                    n++;
                }
    return n;
}

Test(delivery, twenty_nodes_become_one_network_of_four_neighbours_each)
{
    rig *r = rig_new();

    for (unsigned i = 0; i < 20; i++) {
        join(add(r, (char)('A' + i)));
        fake_run(r->net, 300);
    }
    fake_run(r->net, 60000);
    cr_assert_eq(reached(r), 20, "only %u hang together", reached(r));
    for (unsigned i = 0; i < 20; i++) {
        size_t n = neighbors_of(&r->nodes[i]);

        cr_assert(n >= 3 && n <= 5, "node %u has %zu neighbours", i, n);
        for (unsigned k = 0; k < 20; k++)
            cr_assert_eq(has_neighbor(&r->nodes[i], r->nodes[k].p),
                         has_neighbor(&r->nodes[k], r->nodes[i].p), "%u and %u disagree", i, k);
    }
    for (unsigned i = 0; i < 20; i++) {
        char chain[] = {(char)('A' + i), '\0'};

        cr_assert_eq(publish_bytes(&r->nodes[i], message_of(chain, 1, 0, 3)), DELIVERY_SENT);
    }
    fake_run(r->net, 1000);
    for (unsigned i = 0; i < 20; i++)
        cr_assert_eq(r->nodes[i].n_got, 19, "node %u got %u of 19", i, r->nodes[i].n_got);
    rig_free(r);
}

Test(delivery, half_of_twenty_vanish_and_the_rest_mends_itself)
{
    rig *r = rig_new();

    for (unsigned i = 0; i < 20; i++)
        join(add(r, (char)('A' + i)));
    fake_run(r->net, 60000);
    for (unsigned i = 10; i < 20; i++)
        fake_set_down(r->nodes[i].p, true);
    r->n_listed = 0;
    for (unsigned i = 0; i < 10; i++)
        list(r, r->nodes[i].p);
    fake_run(r->net, 60000);
    r->n = 10;
    cr_assert_eq(reached(r), 10, "only %u hang together", reached(r));
    cr_assert_eq(publish(&r->nodes[0], 1), DELIVERY_SENT);
    fake_run(r->net, 1000);
    for (unsigned i = 1; i < 10; i++)
        cr_assert_eq(r->nodes[i].n_got, 1, "node %u got %u", i, r->nodes[i].n_got);
    r->n = 20;
    rig_free(r);
}

static bool lose_some(void *arg, const peers *from, const peers *to, const envelope *e,
                      int64_t *delay_ms)
{
    unsigned *n = arg;

    (void)from, (void)to, (void)e;
    *delay_ms = 5 + *n * 7 % 400;
    return ++*n % 5 != 0;
}

Test(delivery, nodes_find_each_other_where_every_fifth_frame_is_lost_and_others_are_late)
{
    rig *r = rig_new();
    unsigned frames = 0;

    fake_set_weather(r->net, lose_some, &frames);
    for (unsigned i = 0; i < 8; i++)
        join(add(r, (char)('A' + i)));
    fake_run(r->net, 60000);
    fake_set_weather(r->net, NULL, NULL);
    fake_run(r->net, 30000);
    cr_assert_gt(frames, 100);
    cr_assert_eq(reached(r), 8, "only %u hang together", reached(r));
    rig_free(r);
}

Test(delivery, source_is_asked_after_0_1_3_7_15_31_s_and_then_every_half_minute)
{
    static const int64_t want_s[] = {0, 1, 3, 7, 15, 31};
    rig *r = rig_new();
    node *a = add(r, 'a');
    int64_t start_ms = fake_now_ms(r->net);

    r->is_source_down = true;
    join(a);
    fake_run(r->net, 200000);
    for (unsigned i = 0; i < COUNT_OF(want_s); i++) {
        int64_t took_ms = r->find_ms[i] - start_ms;

        cr_assert(took_ms >= want_s[i] * 1000 && took_ms <= want_s[i] * 1000 + 200,
                  "question %u came after %lld ms", i, (long long)took_ms);
    }
    cr_assert(r->n_finds >= 10 && r->n_finds <= 16, "%u questions in 200 s", r->n_finds);
    cr_assert_eq(r->n_announced, 0, "nobody answered, so nobody was to be told");
    rig_free(r);
}

Test(delivery, is_listed_every_minute_while_few_are)
{
    rig *r = rig_new();
    node *a = add(r, 'a');

    join(a);
    fake_run(r->net, 300000);
    cr_assert(r->n_announced >= 5 && r->n_announced <= 7, "announced %u times in five minutes",
              r->n_announced);
    rig_free(r);
}

Test(delivery, is_not_listed_where_eight_others_are)
{
    rig *r = rig_new();
    node *a = add(r, 'a');

    for (unsigned i = 0; i < 8; i++)
        list(r, fake_node(r->net, (char)('1' + i), true));
    join(a);
    fake_run(r->net, 100000);
    cr_assert_eq(r->n_announced, 0);
    rig_free(r);
}

Test(delivery, slow_answers_of_the_source_do_not_put_off_the_next_question)
{
    rig *r = rig_new();
    node *a = add(r, 'a');
    int64_t start_ms = fake_now_ms(r->net);

    r->find_takes_ms = 3500;
    join(a);
    fake_run(r->net, 40000);
    /* 0, 1 and 3 s fall into the first answer's time: at 7, 15 and 31 s it is asked again. */
    cr_assert_eq(r->n_finds, 4, "%u questions", r->n_finds);
    cr_assert_eq(r->find_ms[1] - start_ms, 7000);
    cr_assert_eq(r->find_ms[2] - start_ms, 15000);
    cr_assert_eq(r->find_ms[3] - start_ms, 31000);
    rig_free(r);
}

Test(delivery, candidates_by_the_thousand_are_not_all_dialled)
{
    enum { PARTS = 100, SECONDS = 5 };
    rig *r = rig_new();
    node *a = add_lonely(r, 'a');
    char name[32];

    for (unsigned part = 0; part < PARTS; part++) {
        snprintf(name, sizeof name, "x.eth/%u#0", part);
        cr_assert_null(delivery_join(a->d, pb_bytes_of(name), NULL));
        for (unsigned i = 0; i < 40; i++) {
            peer_self self = {.id = node_id_random(), .host = "127.0.0.1", .port = 1};
            sb d = SB_INIT;
            pb_bytes bytes;

            peer_encode(&self, &d);
            bytes = pb_bytes_from(d.data, d.len);
            delivery_suggest(a->d, pb_bytes_of(name), &bytes, 1);
            sb_done(&d);
        }
    }
    fake_run(r->net, SECONDS * 1000);
    cr_assert_geq(count(a)->handshakes_out, SECONDS * 90);
    cr_assert_leq(count(a)->handshakes_out, (SECONDS + 1) * 102, "%llu in %u s",
                  (unsigned long long)count(a)->handshakes_out, SECONDS);
    rig_free(r);
}

/* ---- Handshakes ---- */

static bool shake(rig *r, peers *from, node *to, const network_handshake_request *more, answer *a)
{
    network_handshake_request q = more != NULL ? *more : (network_handshake_request){0};

    q.stream_part = part_name();
    q.request_id = pb_bytes_of("rq");
    ask(r, from, to->p, "handshake", &network_handshake_request_table, &q,
        &network_handshake_response_table, a);
    cr_assert_eq(a->result, PEERS_ANSWERED);
    cr_assert(pb_bytes_are(a->handshake.request_id, "rq"));
    return a->handshake.accepted;
}

/* `n` neighbours that are strangers: '1', '2', ... */
static node *crowded(rig *r, unsigned n, peers **strangers)
{
    node *a = add_lonely(r, 'a');
    answer reply;

    join(a);
    for (unsigned i = 0; i < n; i++) {
        strangers[i] = fake_node(r->net, (char)('1' + i), true);
        cr_assert(shake(r, strangers[i], a, NULL, &reply), "stranger %u was refused", i);
        cr_assert_null(reply.handshake.interleave_target);
    }
    cr_assert_eq(neighbors_of(a), n);
    return a;
}

/* ---- A neighbour as a test plays it ---- */

typedef struct played {
    unsigned messages, interleaves, updates, leaves;
    peers_call *open; /* an interleaving that is still to be answered */
    node_id target;
    bool answers_updates, accepts, remove_me;
    unsigned refuses;     /* so often, before it accepts */
    unsigned n_neighbors; /* that it claims */
} played;

static void play_update(played *me, peers_call *call)
{
    network_neighbor_update u = {.stream_part = part_name(), .remove_me = me->remove_me};
    dht_peer peers_of[8] = {0}, *list_of[8];
    uint8_t ids[8][NODE_ID_LEN];

    for (unsigned i = 0; i < me->n_neighbors; i++) {
        memset(ids[i], 'p' + (int)i, NODE_ID_LEN);
        peers_of[i].node_id = pb_bytes_from(ids[i], NODE_ID_LEN);
        list_of[i] = &peers_of[i];
    }
    u.neighbors = (pb_list){list_of, me->n_neighbors, 8};
    me->updates++;
    if (me->answers_updates)
        peers_reply(call, &network_neighbor_update_table, &u);
}

static void play(void *arg, const peers_from *from, const envelope *e, peers_call *call)
{
    _Alignas(16) static uint8_t memory[65536];
    pb_arena arena = {memory, sizeof memory, 0};
    network_interleave_request q;
    played *me = arg;
    network_handshake_response yes = {.accepted = me->refuses == 0};

    (void)from;
    if (pb_bytes_are(e->method, "sendStreamMessage"))
        me->messages++;
    else if (pb_bytes_are(e->method, "leaveStreamPartNotice"))
        me->leaves++;
    else if (pb_bytes_are(e->method, "neighborUpdate"))
        play_update(me, call);
    else if (pb_bytes_are(e->method, "handshake") && me->accepts) {
        me->refuses -= me->refuses > 0;
        peers_reply(call, &network_handshake_response_table, &yes);
    } else if (pb_bytes_are(e->method, "interleaveRequest")) {
        cr_assert_null(envelope_open(e, &network_interleave_request_table, &q, &arena));
        cr_assert_not_null(q.interleave_target);
        cr_assert(node_id_of(q.interleave_target->node_id, &me->target));
        me->interleaves++;
        me->open = call;
    }
}

static void let_play(peers *p, played *me)
{
    cr_assert(peers_serve(p, SERVICE, 10000, play, me));
}

Test(handshake, fifth_is_taken_in_between_and_the_last_neighbour_goes_once_it_agrees)
{
    rig *r = rig_new();
    peers *s[4], *fifth;
    node *a = crowded(r, 4, s);
    played last = {0};
    network_accepted yes = {.accepted = true};
    answer reply;
    node_id target;

    let_play(s[3], &last);
    fifth = fake_node(r->net, '5', true);
    cr_assert(shake(r, fifth, a, NULL, &reply));
    cr_assert_not_null(reply.handshake.interleave_target);
    cr_assert(node_id_of(reply.handshake.interleave_target->node_id, &target));
    cr_assert(node_id_same(&target, peers_self(s[3])), "not the last that came");
    fake_run(r->net, 50);
    cr_assert_eq(last.interleaves, 1);
    cr_assert(node_id_same(&last.target, peers_self(fifth)));
    cr_assert_eq(neighbors_of(a), 5, "nobody goes before it has agreed");
    /* While it is being handed over it may not come back. */
    cr_assert_not(shake(r, s[3], a, NULL, &reply));
    peers_reply(last.open, &network_interleave_response_table, &yes);
    fake_run(r->net, 50);
    cr_assert_eq(neighbors_of(a), 4);
    cr_assert_not(has_neighbor(a, s[3]));
    cr_assert(has_neighbor(a, fifth));
    rig_free(r);
}

Test(handshake, one_who_declines_to_be_handed_over_stays_and_the_next_is_refused)
{
    rig *r = rig_new();
    peers *s[4];
    node *a = crowded(r, 4, s);
    played last = {0};
    answer reply;

    let_play(s[3], &last);
    cr_assert(shake(r, fake_node(r->net, '5', true), a, NULL, &reply));
    fake_run(r->net, 50);
    peers_fail(last.open, RPC_SERVER_ERROR, "no");
    fake_run(r->net, 50);
    cr_assert(has_neighbor(a, s[3]));
    cr_assert_eq(neighbors_of(a), 5);
    cr_assert_not(shake(r, fake_node(r->net, '6', true), a, NULL, &reply),
                  "five are more than four");
    rig_free(r);
}

Test(handshake, one_who_says_no_to_being_handed_over_stays)
{
    rig *r = rig_new();
    peers *s[4];
    node *a = crowded(r, 4, s);
    network_accepted no = {.accepted = false};
    played last = {0};
    answer reply;

    let_play(s[3], &last);
    cr_assert(shake(r, fake_node(r->net, '5', true), a, NULL, &reply));
    fake_run(r->net, 50);
    peers_reply(last.open, &network_interleave_response_table, &no);
    fake_run(r->net, 50);
    cr_assert(has_neighbor(a, s[3]));
    rig_free(r);
}

Test(handshake, only_candidate_is_asked_until_it_accepts)
{
    rig *r = rig_new();
    node *a = add_lonely(r, 'a');
    peers *x = fake_node(r->net, 'x', true);
    played other = {.accepts = true, .refuses = 3, .answers_updates = true};
    pb_bytes of_x = peers_descriptor(x);

    let_play(x, &other);
    join(a);
    delivery_suggest(a->d, part_name(), &of_x, 1);
    fake_run(r->net, 6000);
    cr_assert_eq(other.refuses, 0);
    cr_assert(has_neighbor(a, x));
    cr_assert_eq(count(a)->handshakes_out, 4);
    rig_free(r);
}

Test(handshake, neighbour_whose_connection_broke_is_asked_again)
{
    rig *r = rig_new();
    node *a = add_lonely(r, 'a'), *b = add_lonely(r, 'b');
    pb_bytes of_b = peers_descriptor(b->p);

    join(a), join(b);
    delivery_suggest(a->d, part_name(), &of_b, 1);
    fake_run(r->net, 2000);
    fake_cut(a->p, b->p, PEERS_LOST);
    cr_assert_eq(neighbors_of(a), 0);
    fake_run(r->net, 1000);
    cr_assert(has_neighbor(a, b->p));
    rig_free(r);
}

Test(handshake, neighbours_are_accepted_again_however_many_there_are)
{
    rig *r = rig_new();
    peers *s[4];
    node *a = crowded(r, 4, s);
    answer reply;

    cr_assert(shake(r, s[0], a, NULL, &reply));
    cr_assert_null(reply.handshake.interleave_target);
    cr_assert_eq(neighbors_of(a), 4);
    rig_free(r);
}

Test(handshake, neighbours_of_the_requester_are_not_handed_to_it)
{
    rig *r = rig_new();
    peers *s[4];
    node *a = crowded(r, 4, s);
    pb_bytes theirs[] = {node_id_bytes(peers_self(s[3])), node_id_bytes(peers_self(s[2]))};
    network_handshake_request q = {.neighbors = {theirs, 2, 2},
                                   .interleave_node = node_id_bytes(peers_self(s[1]))};
    answer reply;
    node_id target;

    pb_set(&network_handshake_request_table, &q, 5);
    cr_assert(shake(r, fake_node(r->net, '5', true), a, &q, &reply));
    cr_assert(node_id_of(reply.handshake.interleave_target->node_id, &target));
    cr_assert(node_id_same(&target, peers_self(s[0])), "'%c' is none of the others",
              target.bytes[0]);
    rig_free(r);
}

Test(handshake, third_interleaving_at_once_is_refused)
{
    rig *r = rig_new();
    delivery_settings few = {.neighbors = 3};
    node *a = add_with(r, 'a', true, false, &few);
    played silent[3] = {0};
    peers *s[3];
    answer reply;

    join(a);
    for (unsigned i = 0; i < 3; i++) {
        s[i] = fake_node(r->net, (char)('1' + i), true);
        let_play(s[i], &silent[i]);
        cr_assert(shake(r, s[i], a, NULL, &reply));
    }
    cr_assert(shake(r, fake_node(r->net, '5', true), a, NULL, &reply), "3 - 0 are at least 2");
    cr_assert_not(shake(r, fake_node(r->net, '6', true), a, NULL, &reply), "4 are more than 3");
    rig_free(r);
}

Test(handshake, asks_the_third_whom_the_second_lets_go)
{
    rig *r = rig_new();
    peers *s[4];
    node *a = crowded(r, 4, s), *b = add(r, 'b');
    played third = {.accepts = true, .answers_updates = true};

    let_play(s[3], &third);
    list(r, a->p);
    join(b);
    fake_run(r->net, 1000);
    cr_assert(has_neighbor(b, a->p));
    cr_assert(has_neighbor(b, s[3]));
    rig_free(r);
}

static peers_result interleave(rig *r, peers *from, node *to, peers *target, bool *accepted)
{
    _Alignas(16) uint8_t memory[4096];
    pb_arena arena = {memory, sizeof memory, 0};
    pb_bytes d = peers_descriptor(target);
    dht_peer peer;
    network_interleave_request q = {.interleave_target = &peer};
    answer reply;

    cr_assert_null(pb_decode(&dht_peer_table, &peer, d.ptr, d.len, &arena));
    ask(r, from, to->p, "interleaveRequest", &network_interleave_request_table, &q,
        &network_interleave_response_table, &reply);
    *accepted = reply.result == PEERS_ANSWERED && reply.accepted.accepted;
    return reply.result;
}

Test(interleave, leaves_the_one_who_asks_for_the_one_it_names)
{
    rig *r = rig_new();
    peers *s[1], *x = fake_node(r->net, 'x', true);
    node *a = crowded(r, 1, s);
    played other = {.accepts = true, .answers_updates = true};
    bool accepted;

    let_play(x, &other);
    cr_assert_eq(interleave(r, s[0], a, x, &accepted), PEERS_ANSWERED);
    cr_assert(accepted);
    cr_assert(has_neighbor(a, x));
    cr_assert_not(has_neighbor(a, s[0]));
    rig_free(r);
}

Test(interleave, keeps_the_one_who_asks_when_the_other_is_out_of_reach)
{
    rig *r = rig_new();
    peers *s[1], *x = fake_node(r->net, 'x', true);
    node *a = crowded(r, 1, s);
    bool accepted;

    fake_set_down(x, true);
    interleave(r, s[0], a, x, &accepted);
    cr_assert_not(accepted);
    cr_assert(has_neighbor(a, s[0]));
    rig_free(r);
}

Test(interleave, strangers_cannot_send_us_anywhere)
{
    rig *r = rig_new();
    peers *s[1], *x = fake_node(r->net, 'x', true);
    node *a = crowded(r, 1, s);
    played other = {.accepts = true};
    bool accepted;

    let_play(x, &other);
    interleave(r, fake_node(r->net, 'z', true), a, x, &accepted);
    cr_assert_not(accepted);
    cr_assert_not(peers_connected(a->p, peers_self(x)), "dialled for a stranger");
    rig_free(r);
}

/* ---- Updates ---- */

Test(update, silent_neighbour_is_dropped_after_its_first_question)
{
    rig *r = rig_new();
    peers *s[2];
    node *a = crowded(r, 2, s);
    played answers = {.answers_updates = true}, silent = {0};

    let_play(s[0], &answers);
    let_play(s[1], &silent);
    fake_run(r->net, 16000);
    cr_assert_gt(silent.updates, 0);
    cr_assert(has_neighbor(a, s[0]));
    cr_assert_not(has_neighbor(a, s[1]));
    cr_assert_geq(look(a).neighbors[0].rtt_ms, 10, "two ways of 5 ms");
    rig_free(r);
}

Test(update, answer_names_candidates)
{
    rig *r = rig_new();
    peers *s[1];
    node *a = crowded(r, 1, s);
    played tells = {.answers_updates = true, .n_neighbors = 3};

    let_play(s[0], &tells);
    cr_assert_eq(look(a).info.n_candidates, 1);
    fake_run(r->net, 13000);
    cr_assert_eq(tells.updates, 1);
    cr_assert_eq(count(a)->handshakes_out, 3, "who was named is to be asked");
    rig_free(r);
}

Test(update, neighbour_who_says_remove_me_is_dropped)
{
    rig *r = rig_new();
    peers *s[1];
    node *a = crowded(r, 1, s);
    played rude = {.answers_updates = true, .remove_me = true};

    let_play(s[0], &rude);
    fake_run(r->net, 11000);
    cr_assert_eq(neighbors_of(a), 0);
    rig_free(r);
}

static bool asked_to_remove(rig *r, peers *from, node *to, unsigned claimed)
{
    network_neighbor_update q = {.stream_part = part_name()};
    dht_peer peer = {.node_id = node_id_bytes(peers_self(from))}, *list_of[8];
    answer reply;

    for (unsigned i = 0; i < claimed; i++)
        list_of[i] = &peer;
    q.neighbors = (pb_list){list_of, claimed, 8};
    ask(r, from, to->p, "neighborUpdate", &network_neighbor_update_table, &q,
        &network_neighbor_update_table, &reply);
    cr_assert_eq(reply.result, PEERS_ANSWERED);
    cr_assert_eq(reply.update.neighbors.n, neighbors_of(to), "tells of others");
    return reply.update.remove_me;
}

Test(update, tells_strangers_to_remove_us_and_neighbours_not_to)
{
    rig *r = rig_new();
    peers *s[2];
    node *a = crowded(r, 2, s);

    cr_assert_not(asked_to_remove(r, s[0], a, 5));
    cr_assert(asked_to_remove(r, fake_node(r->net, 'z', true), a, 0));
    rig_free(r);
}

Test(update, two_with_more_than_four_neighbours_part)
{
    rig *r = rig_new();
    peers *s[4];
    node *a = crowded(r, 4, s);
    played last = {.answers_updates = true};
    answer reply;

    let_play(s[3], &last);
    cr_assert(shake(r, fake_node(r->net, '5', true), a, NULL, &reply));
    fake_run(r->net, 50);
    peers_fail(last.open, RPC_SERVER_ERROR, "no");
    fake_run(r->net, 50);
    cr_assert_eq(neighbors_of(a), 5);
    cr_assert_not(asked_to_remove(r, s[0], a, 4), "it has only four itself");
    cr_assert(asked_to_remove(r, s[0], a, 5));
    cr_assert_eq(neighbors_of(a), 4);
    cr_assert_not(has_neighbor(a, s[0]));
    rig_free(r);
}

Test(update, neighbours_of_a_neighbour_become_ours)
{
    rig *r = rig_new();
    node *a = add_lonely(r, 'a'), *b = add_lonely(r, 'b'), *c = add_lonely(r, 'c');
    pb_bytes of_b = peers_descriptor(b->p), of_c = peers_descriptor(c->p);

    join(a), join(b), join(c);
    delivery_suggest(a->d, part_name(), &of_b, 1);
    delivery_suggest(b->d, part_name(), &of_c, 1);
    fake_run(r->net, 30000);
    cr_assert(has_neighbor(a, c->p), "nobody told a of c");
    rig_free(r);
}

/* ---- Messages ---- */

Test(messages, are_delivered_once_and_passed_to_all_but_the_sender)
{
    rig *r = rig_new();
    peers *s[3];
    node *a = crowded(r, 3, s);
    played p[3] = {{0}, {0}, {0}};

    for (unsigned i = 0; i < 3; i++)
        let_play(s[i], &p[i]);
    tell_bytes(s[0], a->p, message(100));
    tell_bytes(s[1], a->p, message(100));
    fake_run(r->net, 100);
    cr_assert_eq(a->n_got, 1);
    cr_assert_eq(p[0].messages, 0, "sent back to where it came from");
    cr_assert_eq(p[1].messages, 1);
    cr_assert_eq(p[2].messages, 1);
    cr_assert_eq(count(a)->received, 2);
    cr_assert_eq(count(a)->duplicates, 1);
    cr_assert_eq(count(a)->sent, 2);
    rig_free(r);
}

Test(messages, can_be_kept_without_a_copy)
{
    rig *r = rig_new();
    peers *s[1];
    node *a = crowded(r, 1, s);
    sb want = message(100);

    tell_bytes(s[0], a->p, message(100));
    fake_run(r->net, 20000);
    cr_assert_not_null(a->kept, "the callee was not told the buffer");
    cr_assert_eq(a->kept_bytes.len, want.len);
    cr_assert(memcmp(a->kept_bytes.ptr, want.data, want.len) == 0, "changed on the way");
    cr_assert_eq(fake_buffers(r->net), 1, "others are kept too long");
    sb_done(&want);
    rig_free(r);
}

Test(messages, that_are_none_are_counted_and_their_sender_stays)
{
    rig *r = rig_new();
    peers *s[2];
    node *a = crowded(r, 2, s);
    sb nonsense = SB_INIT;

    sb_puts(&nonsense, "\xff\xff\xff");
    tell_bytes(s[0], a->p, nonsense);
    tell_bytes(s[0], a->p, (sb)SB_INIT);
    tell_bytes(s[0], a->p, message_of("c", 1, 0, 4)); /* of another part */
    fake_run(r->net, 100);
    cr_assert_eq(count(a)->malformed, 3);
    cr_assert_eq(a->n_got, 0);
    cr_assert(has_neighbor(a, s[0]));
    rig_free(r);
}

Test(messages, that_contradict_their_chain_go_nowhere)
{
    rig *r = rig_new();
    peers *s[2];
    node *a = crowded(r, 2, s);
    played other = {0};

    let_play(s[1], &other);
    tell_bytes(s[0], a->p, message_of("c", 100, 0, 3));
    tell_bytes(s[0], a->p, message_of("c", 300, 50, 3));  /* 50 came before 100 */
    tell_bytes(s[0], a->p, message_of("c", 400, 500, 3)); /* is not before it */
    fake_run(r->net, 100);
    cr_assert_eq(a->n_got, 1);
    cr_assert_eq(other.messages, 1);
    cr_assert_eq(count(a)->invalid_chain, 2);
    rig_free(r);
}

Test(messages, wait_for_the_first_neighbour_in_their_order)
{
    rig *r = rig_new();
    node *a = add(r, 'a'), *b = add(r, 'b');

    join(a);
    for (int i = 1; i <= 20; i++)
        cr_assert_eq(publish(a, i), DELIVERY_WAITS);
    fake_run(r->net, 30000);
    cr_assert_eq(look(a).info.n_waiting, 20);
    join(b);
    fake_run(r->net, 1000);
    cr_assert_eq(b->n_got, 20, "%u of 20 came", b->n_got);
    for (int i = 0; i < 20; i++)
        cr_assert_eq(b->got[i], i + 1, "out of order");
    cr_assert_eq(look(a).info.n_waiting, 0);
    cr_assert_eq(count(a)->published, 20);
    cr_assert_eq(a->n_unsent, 0);
    rig_free(r);
}

Test(messages, that_nobody_has_in_a_minute_come_back)
{
    rig *r = rig_new();
    node *a = add_lonely(r, 'a');

    join(a);
    publish(a, 1);
    fake_run(r->net, DELIVERY_WAIT_MS - 2000);
    publish(a, 2);
    cr_assert_eq(a->n_unsent, 0);
    fake_run(r->net, 4000);
    cr_assert_eq(a->n_unsent, 1);
    delivery_leave(a->d, part_name());
    cr_assert_eq(a->n_unsent, 2);
    cr_assert_eq(count(a)->unsent, 2);
    rig_free(r);
}

Test(messages, more_than_the_buffer_holds_push_out_the_oldest)
{
    rig *r = rig_new();
    delivery_settings small = {.buffer = 10};
    node *a = add_with(r, 'a', true, true, &small), *b = add(r, 'b');

    join(a);
    for (int i = 1; i <= 15; i++)
        publish(a, i);
    cr_assert_eq(a->n_unsent, 5);
    join(b);
    fake_run(r->net, 5000);
    cr_assert_eq(b->n_got, 10);
    cr_assert_eq(b->got[0], 6);
    rig_free(r);
}

Test(messages, that_two_do_not_have_reach_who_comes_within_ten_seconds)
{
    rig *r = rig_new();
    peers *s[1], *second = fake_node(r->net, '2', true), *third = fake_node(r->net, '3', true);
    node *a = crowded(r, 1, s);
    played p2 = {0}, p3 = {0};
    answer reply;

    let_play(second, &p2);
    let_play(third, &p3);
    cr_assert_eq(publish(a, 1), DELIVERY_SENT);
    fake_run(r->net, 100);
    cr_assert(shake(r, second, a, NULL, &reply));
    fake_run(r->net, 100);
    cr_assert_eq(p2.messages, 1, "the second neighbour got %u", p2.messages);
    cr_assert(shake(r, third, a, NULL, &reply));
    fake_run(r->net, 100);
    cr_assert_eq(p3.messages, 0, "two had it already");
    rig_free(r);
}

Test(messages, older_than_ten_seconds_are_let_go)
{
    rig *r = rig_new();
    peers *s[1], *second = fake_node(r->net, '2', true);
    node *a = crowded(r, 1, s);
    played p1 = {.answers_updates = true}, p2 = {0};
    answer reply;

    let_play(s[0], &p1);
    let_play(second, &p2);
    tell_bytes(s[0], a->p, message(1));
    fake_run(r->net, 10500);
    cr_assert(shake(r, second, a, NULL, &reply));
    fake_run(r->net, 100);
    cr_assert_eq(p2.messages, 0);
    rig_free(r);
}

Test(messages, wait_while_all_queues_are_full)
{
    rig *r = rig_new();
    peers *s[1];
    node *a = crowded(r, 1, s);
    played p1 = {.answers_updates = true};

    let_play(s[0], &p1);
    fake_set_full(a->p, s[0], true);
    cr_assert_eq(publish(a, 1), DELIVERY_WAITS);
    cr_assert_eq(publish(a, 2), DELIVERY_WAITS);
    fake_run(r->net, 3000);
    cr_assert_eq(p1.messages, 0);
    fake_set_full(a->p, s[0], false);
    fake_run(r->net, 3000);
    cr_assert_eq(p1.messages, 2, "%u came", p1.messages);
    cr_assert_eq(count(a)->published, 2);
    rig_free(r);
}

Test(messages, published_when_queues_have_room_again_come_after_those_that_wait)
{
    rig *r = rig_new();
    node *a = add(r, 'a'), *b = add(r, 'b');

    join(a), join(b);
    fake_run(r->net, 3000);
    fake_set_full(a->p, b->p, true);
    cr_assert_eq(publish(a, 1), DELIVERY_WAITS);
    cr_assert_eq(publish(a, 2), DELIVERY_WAITS);
    fake_set_full(a->p, b->p, false);
    cr_assert_eq(publish(a, 3), DELIVERY_SENT);
    fake_run(r->net, 3000);
    cr_assert_eq(b->n_got, 3, "%u came", b->n_got);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(b->got[i], i + 1);
    rig_free(r);
}

Test(messages, one_full_queue_holds_up_nobody_else)
{
    rig *r = rig_new();
    peers *s[3];
    node *a = crowded(r, 3, s);
    played p[3] = {{0}, {0}, {0}};

    for (unsigned i = 0; i < 3; i++)
        let_play(s[i], &p[i]);
    fake_set_full(a->p, s[1], true);
    cr_assert_eq(publish(a, 1), DELIVERY_SENT);
    fake_run(r->net, 100);
    cr_assert_eq(p[0].messages, 1);
    cr_assert_eq(p[1].messages, 0);
    cr_assert_eq(p[2].messages, 1);
    cr_assert_eq(count(a)->full, 1);
    rig_free(r);
}

Test(messages, published_twice_or_out_of_their_chain_are_not_sent)
{
    rig *r = rig_new();
    peers *s[1];
    node *a = crowded(r, 1, s);

    cr_assert_eq(publish(a, 5), DELIVERY_SENT);
    cr_assert_eq(publish(a, 5), DELIVERY_DUPLICATE);
    cr_assert_eq(publish_bytes(a, message_of("c", 9, 9, 3)), DELIVERY_REFUSED);
    cr_assert_str_eq(refused_because, "the message before it is not before it");
    cr_assert_eq(publish_bytes(a, message_of("d", 1, 0, 4)), DELIVERY_REFUSED);
    cr_assert_str_eq(refused_because, "a message of another stream part");
    delivery_leave(a->d, part_name());
    cr_assert_eq(publish(a, 6), DELIVERY_REFUSED);
    cr_assert_str_eq(refused_because, "the stream part is not joined");
    rig_free(r);
}

Test(messages, that_come_in_a_frame_much_larger_than_they_are_do_not_hold_it)
{
    rig *r = rig_new();
    peers *s[1];
    node *a = crowded(r, 1, s);
    sb padding = SB_INIT, m = message(1);
    pb_bytes blown_up;
    envelope e = {.kind = ENVELOPE_NOTIFICATION,
                  .service = pb_bytes_of(SERVICE),
                  .method = pb_bytes_of("sendStreamMessage"),
                  .type = pb_bytes_of("StreamMessage"),
                  .body = pb_bytes_from(m.data, m.len)};

    memset(sb_room(&padding, 100000), 'x', 100000);
    blown_up = pb_bytes_from(padding.data, 100000);
    e.request_id = blown_up;
    a->kept = (struct broker_buf *)a; /* the callee wants none */
    fake_send(s[0], a->p, &e);
    fake_run(r->net, 100);
    a->kept = NULL;
    cr_assert_eq(a->n_got, 1);
    cr_assert_eq(fake_buffers(r->net), 0, "100 kB are held for a message of %zu bytes", m.len);
    rig_free(r);
    sb_done(&padding);
    sb_done(&m);
}

Test(messages, missing_for_more_than_a_minute_are_counted_once)
{
    rig *r = rig_new();
    peers *s[1];
    node *a = crowded(r, 1, s);
    played p1 = {.answers_updates = true};

    let_play(s[0], &p1);
    tell_bytes(s[0], a->p, message_of("c", 1, 0, 3));
    tell_bytes(s[0], a->p, message_of("c", 5, 3, 3)); /* 3 is missing, and maybe 2 */
    tell_bytes(s[0], a->p, message_of("c", 9, 7, 3));
    fake_run(r->net, 20000);
    cr_assert_eq(look(a).info.holes, 2);
    tell_bytes(s[0], a->p, message_of("c", 7, 5, 3));
    fake_run(r->net, 20000);
    fake_run(r->net, 25000);
    cr_assert_eq(count(a)->missing, 0, "counted before a minute was over");
    fake_run(r->net, 300000);
    cr_assert_eq(count(a)->missing, 1);
    rig_free(r);
}

static unsigned references;

static void retain(void *owner)
{
    (void)owner;
    references++;
}

static void release(void *owner)
{
    (void)owner;
    references--;
}

Test(messages, of_an_owner_are_retained_while_they_wait_and_no_longer)
{
    rig *r = rig_new();
    node *a = add(r, 'a'), *b = add(r, 'b'), *c = add(r, 'c');
    sb m = message(1);
    delivery_bytes bytes = {pb_bytes_from(m.data, m.len), &m, retain, release};

    join(a);
    cr_assert_eq(delivery_publish(a->d, part_name(), &bytes, NULL), DELIVERY_WAITS);
    cr_assert_eq(references, 1);
    join(b);
    fake_run(r->net, 2000);
    cr_assert_eq(b->n_got, 1);
    cr_assert_eq(references, 1, "one neighbour is not enough");
    join(c);
    fake_run(r->net, 3000);
    cr_assert_eq(references, 0);
    rig_free(r);
    sb_done(&m);
}

/* ---- Leaving ---- */

Test(leave, neighbours_hear_of_it_and_look_elsewhere)
{
    rig *r = rig_new();
    node *a = add(r, 'a'), *b = add(r, 'b');

    join(a), join(b);
    fake_run(r->net, 2000);
    cr_assert_eq(neighbors_of(b), 1);
    r->n_listed = 0;
    delivery_leave(a->d, part_name());
    cr_assert_not(delivery_joined(a->d, part_name()));
    fake_run(r->net, 50);
    cr_assert_eq(neighbors_of(b), 0);
    cr_assert_eq(look(b).info.n_candidates, 0, "it is not there any more");
    rig_free(r);
}

Test(leave, from_inside_the_message_callback)
{
    rig *r = rig_new();
    peers *s[2];
    node *a = crowded(r, 2, s);
    played other = {0};

    let_play(s[1], &other);
    a->leave_at_message = true;
    tell_bytes(s[0], a->p, message(1));
    fake_run(r->net, 100);
    cr_assert_eq(a->n_got, 1);
    cr_assert_eq(other.messages, 1);
    cr_assert_eq(other.leaves, 1);
    cr_assert_eq(delivery_parts(a->d), 0);
    rig_free(r);
}

Test(leave, in_the_middle_of_everything_leaves_nothing_behind)
{
    for (unsigned ms = 0; ms < 1000; ms += 7) {
        rig *r = rig_new();

        for (unsigned i = 0; i < 6; i++)
            join(add(r, (char)('A' + i)));
        publish(&r->nodes[0], 1);
        fake_run(r->net, ms);
        delivery_leave(r->nodes[ms % 6].d, part_name());
        fake_run(r->net, 50);
        rig_free(r);
    }
}

Test(leave, and_join_again_works_at_once)
{
    rig *r = rig_new();
    node *a = add(r, 'a'), *b = add(r, 'b');

    join(a), join(b);
    fake_run(r->net, 2000);
    delivery_leave(a->d, part_name());
    join(a);
    cr_assert_null(delivery_join(a->d, part_name(), NULL), "joined as before");
    fake_run(r->net, 2000);
    cr_assert(has_neighbor(a, b->p));
    cr_assert(has_neighbor(b, a->p));
    rig_free(r);
}

Test(delivery, names_that_are_no_stream_parts_are_refused)
{
    static const char *const names[] = {"", "#", "a", "a#", "a#100", "#1", "a#1x"};
    rig *r = rig_new();
    node *a = add(r, 'a');

    for (unsigned i = 0; i < COUNT_OF(names); i++)
        cr_assert_not_null(delivery_join(a->d, pb_bytes_of(names[i]), NULL), "'%s'", names[i]);
    rig_free(r);
}

Test(delivery, unknown_methods_are_said_to_be_and_notices_of_plumtree_are_ignored)
{
    rig *r = rig_new();
    peers *s[1];
    node *a = crowded(r, 1, s);
    network_pause q = {.chain = pb_bytes_of("c")};
    peers_message m = {peers_descriptor(a->p), SERVICE, "pauseNeighbor", &network_pause_table, &q};
    answer reply;

    cr_assert(peers_tell(s[0], &m));
    ask(r, s[0], a->p, "pauseNeighbor", &network_pause_table, &q, &network_pause_response_table,
        &reply);
    cr_assert_eq(reply.result, PEERS_REFUSED);
    cr_assert_eq(reply.error, RPC_UNKNOWN_METHOD);
    cr_assert(has_neighbor(a, s[0]));
    rig_free(r);
}
