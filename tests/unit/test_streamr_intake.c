/* What comes from the network goes into the bus in batches, where it lies, and no faster than the
 * bus takes it. */
#include "intake.h"
#include "streamr_fake.h"

#include <criterion/criterion.h>

typedef struct rig {
    peers *p;
    intake *in;
    broker_conn *peer;
    unsigned served;
} rig;

static uuid_source ids;

static pb_bytes describe(uint8_t byte, sb *out)
{
    peer_self self = {.port = 0};

    memset(&self.id, byte, sizeof self.id);
    peer_encode(&self, out);
    return pb_bytes_from(out->data, out->len);
}

static void on_call(void *arg, const peers_from *from, const envelope *e, peers_call *call)
{
    rig *r = arg;

    (void)call;
    r->served++;
    intake_take(r->in, from->buf, e->body);
}

static rig rig_new(void)
{
    rig r = {NULL, NULL, NULL, 0};
    sb own = SB_INIT, other = SB_INIT, frame = SB_INIT;
    links_options o = {.application = "test",
                       .max_message = ENVELOPE_MAX,
                       .max_links = 80,
                       .max_per_address = 50,
                       .frames_per_s = 10000};
    broker_net_options where = {.host = "127.0.0.1"};

    fake_begin();
    o.descriptor = describe(1, &own);
    memset(&o.id, 1, sizeof o.id);
    r.p = peers_new(&fake.ctx, &o);
    cr_assert_eq(links_listen(peers_links(r.p), &where), BROKER_OK);
    r.in = intake_new(&fake.ctx, r.p, 7);
    r.peer = fake_dial(links_port(peers_links(r.p)), "/");
    greeting_ask(describe(9, &other), (pb_bytes){NULL, 0}, "raw", &ids, &frame);
    fake_send(r.peer, (broker_bytes){(const uint8_t *)frame.data, frame.len}, 0);
    fake_run();
    sb_done(&own), sb_done(&other), sb_done(&frame);
    return r;
}

static void rig_free(rig *r)
{
    intake_free(r->in);
    links_leave(peers_links(r->p));
    fake_run();
    peers_free(r->p);
    fake_forget(r->peer);
    cr_assert_eq(fake.bufs, 0, "%zu buffers are kept for ever", fake.bufs);
    fake_end();
}

static void send(rig *r, char letter)
{
    char id[UUID_LEN];
    envelope e = {.kind = ENVELOPE_NOTIFICATION,
                  .service = pb_bytes_of("part"),
                  .method = pb_bytes_of("sendStreamMessage"),
                  .type = pb_bytes_of("StreamMessage"),
                  .body = pb_bytes_from(&letter, 1)};
    sb frame = SB_INIT;

    uuid_make(&ids, id);
    e.message_id = pb_bytes_from(id, sizeof id);
    envelope_append(&e, &frame);
    fake_send(r->peer, (broker_bytes){(const uint8_t *)frame.data, frame.len}, 0);
    sb_done(&frame);
}

Test(streamr_intake, what_is_read_together_goes_together_without_a_copy)
{
    rig r = rig_new();

    cr_assert(peers_serve(r.p, "part", 1000, on_call, &r));
    for (unsigned i = 0; i < 100; i++)
        send(&r, (char)('0' + i % 10));
    fake_run();
    cr_assert_eq(fake.admitted.len, 100);
    cr_assert_eq(fake.in_place, 100);
    cr_assert_leq(fake.n_admissions, 3);
    cr_assert_eq(memcmp(fake.admitted.data, "01234567890123", 14), 0, "in order");
    cr_assert_eq(intake_counted(r.in)->copied, 0);
    cr_assert(intake_take(r.in, NULL, pb_bytes_of("x")), "what lies elsewhere is copied");
    fake_run();
    cr_assert_eq(intake_counted(r.in)->copied, 1);
    rig_free(&r);
}

Test(streamr_intake, nobody_is_read_while_the_bus_is_full_and_nothing_is_lost)
{
    rig r = rig_new();
    unsigned before;

    cr_assert(peers_serve(r.p, "part", 1000, on_call, &r));
    fake.bus_full = true;
    for (unsigned i = 0; i < 1000; i++)
        send(&r, (char)('0' + i % 10));
    fake_run();
    before = r.served;
    cr_assert(before >= INTAKE_BATCH && before <= INTAKE_WAITING, "%u were read", before);
    cr_assert_eq(fake.admitted.len, 0);
    fake_pass(500);
    cr_assert_eq(r.served, before);
    fake.bus_full = false;
    fake.room(fake.room_arg);
    fake_run();
    cr_assert_eq(fake.admitted.len, 1000);
    for (unsigned i = 0; i < 1000; i++)
        cr_assert_eq(fake.admitted.data[i], (char)('0' + i % 10), "message %u", i);
    cr_assert_eq(intake_counted(r.in)->dropped, 0);
    rig_free(&r);
}

Test(streamr_intake, what_waits_at_the_end_is_let_go)
{
    rig r = rig_new();

    cr_assert(peers_serve(r.p, "part", 1000, on_call, &r));
    fake.bus_full = true;
    for (unsigned i = 0; i < 10; i++)
        send(&r, 'x');
    fake_run();
    rig_free(&r); /* asserts that no buffer is left */
}
