/* Any frames from another node, through links, rpc and control, in both roles: nothing crashes,
 * nothing stays behind, and a node that shook hands properly is still served afterwards.
 *
 * Input: one byte of how (bit 0: frames come after a handshake; bit 1: the node dialled us; bit 2:
 * answers are made to fit what was asked; bit 3: it asks whether it can be reached), then frames,
 * each behind two bytes of length. */
#include "../unit/streamr_fake.h"
#include "control/control.h"
#include "control/entry.h"

static uuid_source ids;
static unsigned served;

static pb_bytes describe(uint8_t byte, uint32_t port, sb *out)
{
    peer_self self = {.host = port != 0 ? "127.0.0.1" : NULL, .port = port};

    memset(&self.id, byte, sizeof self.id);
    sb_clear(out);
    peer_encode(&self, out);
    return pb_bytes_from(out->data, out->len);
}

static void on_call(void *arg, const peers_from *from, const envelope *e, peers_call *call)
{
    dht_ping answer = {.request_id = from->descriptor};

    (void)arg, (void)e;
    served++;
    if (call != NULL && from->id.bytes[0] != 9)
        peers_fail(call, RPC_UNKNOWN_METHOD, "no");
    else if (call != NULL)
        peers_reply(call, &dht_ping_response_table, &answer);
}

static void on_answer(void *arg, peers_result result, const envelope *answer)
{
    unsigned *n = arg;

    (void)result, (void)answer;
    ++*n;
}

static void on_found(void *arg, bool ok, const pb_bytes *descriptors, size_t n)
{
    (void)arg, (void)ok;
    for (size_t i = 0; i < n; i++)
        must(descriptors[i].len <= DESCRIPTOR_MAX);
}

static void say(broker_conn *c, const void *bytes, size_t len)
{
    if (!c->gone)
        fake_send(c, (broker_bytes){bytes, len}, 0);
    fake_run();
}

/* The last request that came to the raw end. */
static bool last_request(const broker_conn *c, envelope *out)
{
    for (unsigned i = c->n_got; i-- > 0;) {
        broker_bytes got = fake_got(c, i);

        if (envelope_read(got.ptr, got.len, out) == NULL && out->kind == ENVELOPE_REQUEST)
            return true;
    }
    return false;
}

/* Frames that answer get the id of what was asked. */
static void say_fitting(broker_conn *c, const uint8_t *bytes, size_t len)
{
    envelope e, asked;
    sb frame = SB_INIT;

    if (envelope_read(bytes, len, &e) == NULL &&
        (e.kind == ENVELOPE_RESPONSE || e.kind == ENVELOPE_ERROR) && last_request(c, &asked)) {
        e.request_id = asked.request_id;
        envelope_append(&e, &frame);
        say(c, frame.data, frame.len);
    } else
        say(c, bytes, len);
    sb_done(&frame);
}

static void shake(broker_conn *c, pb_bytes own, bool dialled_by_us)
{
    sb frame = SB_INIT;

    if (dialled_by_us)
        greeting_ask(own, (pb_bytes){NULL, 0}, "x", &ids, &frame);
    else
        greeting_answer(own, GREETING_ACCEPT, "x", &ids, &frame);
    say(c, frame.data, frame.len);
    sb_done(&frame);
}

/* Somebody else is served as if nothing had been. */
static void others_are_served(peers *p, uint32_t port)
{
    broker_conn *c = fake_dial(port, "/");
    sb own = SB_INIT, frame = SB_INIT, body = SB_INIT;
    unsigned before = served;
    char id[UUID_LEN];
    dht_ping hello = {.request_id = {(const uint8_t *)"x", 1}};
    envelope e = {.kind = ENVELOPE_NOTIFICATION,
                  .service = pb_bytes_of("test"),
                  .method = pb_bytes_of("ping")};
    node_id friend;

    memset(&friend, 0x77, sizeof friend);
    if (links_find(peers_links(p), &friend) == NULL) { /* else somebody took the name */
        shake(c, describe(0x77, 0, &own), true);
        uuid_make(&ids, id);
        e.message_id = pb_bytes_from(id, sizeof id);
        must(envelope_seal(&e, &dht_ping_request_table, &hello, &body));
        envelope_append(&e, &frame);
        say(c, frame.data, frame.len);
        must(served == before + 1);
    }
    fake_forget(c);
    sb_done(&own), sb_done(&frame), sb_done(&body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sb own = SB_INIT, other = SB_INIT;
    links_options o = {.application = "test",
                       .max_message = ENVELOPE_MAX,
                       .max_links = 4,
                       .max_per_address = 20,
                       .frames_per_s = 1000};
    control_options about = {.application = "test", .accepts_proxies = true};
    broker_net_options where = {.host = "127.0.0.1"};
    view in = view_of(data, size);
    uint8_t how = 0, head[2];
    broker_listener *remote;
    broker_conn *c;
    control *co;
    entry *en;
    peers *p;
    unsigned answers = 0;
    pb_bytes point;
    node_id key = stream_part_key(pb_bytes_of("x#0"));

    fake_begin();
    remote = fake_listen_raw();
    view_u8(&in, &how);
    o.descriptor = describe(1, 0, &own);
    memset(&o.id, 1, sizeof o.id);
    p = peers_new(&fake.ctx, &o);
    must(links_listen(peers_links(p), &where) == BROKER_OK);
    peers_set_descriptor(p, describe(1, links_port(peers_links(p)), &own), true);
    co = control_new(p, &about);
    control_join(co, pb_bytes_of("x#0"));
    must(peers_serve(p, "test", 1000, on_call, NULL));
    point = describe(9, remote->port, &other);
    en = entry_new(p, &point, (how & 2) == 0);
    entry_hold(en, false);
    if ((how & 2) != 0)
        c = fake_dial(links_port(peers_links(p)),
                      (how & 8) != 0 ? "/?action=connectivityRequest" : "/");
    else {
        fake_pass(100);
        c = remote->last;
    }
    must(c != NULL);
    if ((how & 1) != 0) {
        shake(c, point, (how & 2) != 0);
        entry_fetch(en, &key, on_found, NULL);
        entry_announce(en, &key);
        peers_ask(p,
                  &(peers_message){point, "layer0", "ping", &dht_ping_request_table,
                                   &(dht_ping){.request_id = pb_bytes_of("p")}},
                  0, on_answer, &answers);
        fake_pass(100);
    }
    while (view_read(&in, head, 2)) {
        size_t len = (size_t)head[0] << 8 | head[1];
        const uint8_t *at;

        if (len > view_left(&in))
            len = view_left(&in);
        must(view_skip(&in, len, &at));
        if ((how & 4) != 0)
            say_fitting(c, at, len);
        else
            say(c, at, len);
    }
    fake_pass(300);
    others_are_served(p, links_port(peers_links(p)));
    fake_pass(6000);
    entry_free(en);
    control_free(co);
    links_leave(peers_links(p));
    fake_run();
    peers_free(p);
    must(fake.bufs == 0);
    sb_done(&own), sb_done(&other);
    fake_end();
    return 0;
}
