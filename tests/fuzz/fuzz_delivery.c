/* A stream part under any requests and answers from any peers, in any order and at any time: what a
 * hostile neighbourhood can do. The input is a list of steps; see step(). */
#include "delivery/delivery.h"
#include "tests/unit/peers_fake.h"

#include <stdlib.h>

#define STREAM    "0x1111111111111111111111111111111111111111/room"
#define PART      STREAM "#3"
#define SERVICE   DELIVERY_SERVICE PART
#define STRANGERS 8u
#define STEPS_MAX 400u

typedef struct stranger {
    peers *p;
    bool has_request; /* the last it was asked */
    char id[UUID_LEN], method[24];
} stranger;

typedef struct world {
    fake_net *net;
    peers *self;
    delivery *d;
    stranger strangers[STRANGERS];
    uint64_t messages;
    void (*found)(void *ctx, bool ok, const pb_bytes *descriptors, size_t n);
    void *found_ctx;
} world;

static const struct {
    const char *method, *type;
} calls[] = {
    {"sendStreamMessage", "StreamMessage"},
    {"handshake", "StreamPartHandshakeRequest"},
    {"interleaveRequest", "InterleaveRequest"},
    {"neighborUpdate", "NeighborUpdate"},
    {"leaveStreamPartNotice", "LeaveStreamPartNotice"},
    {"requestConnection", "ProxyConnectionRequest"},
    {"openConnection", "TemporaryConnectionRequest"},
    {"closeConnection", "CloseTemporaryConnection"},
    {"pauseNeighbor", "PauseNeighborRequest"},
};

/* What we ask a stranger: answered by a step of the input, or never. */
static void asked(void *arg, const peers_from *from, const envelope *e, peers_call *call)
{
    stranger *s = arg;

    (void)from;
    if (call == NULL || e->request_id.len != UUID_LEN || e->method.len >= sizeof s->method)
        return;
    s->has_request = true;
    memcpy(s->id, e->request_id.ptr, UUID_LEN);
    memcpy(s->method, e->method.ptr, e->method.len);
    s->method[e->method.len] = '\0';
}

static void on_message(void *arg, pb_bytes part, pb_bytes message, const peers_from *from)
{
    world *w = arg;

    (void)from;
    must(pb_bytes_are(part, PART) && message.len > 0);
    w->messages++;
}

static bool find(void *arg, const node_id *key,
                 void (*found)(void *ctx, bool ok, const pb_bytes *descriptors, size_t n),
                 void *ctx)
{
    world *w = arg;

    (void)key;
    must(w->found == NULL);
    w->found = found;
    w->found_ctx = ctx;
    return true;
}

static void cancel(void *arg, const void *ctx)
{
    world *w = arg;

    must(w->found_ctx == ctx);
    w->found = NULL;
}

static void announce(void *arg, const node_id *key)
{
    (void)arg, (void)key;
}

static void begin(world *w)
{
    delivery_source source = {w, find, cancel, announce};
    delivery_calls callbacks = {w, on_message, NULL, NULL};
    delivery_settings settings = {.accept_proxies = true, .max_clients = 3, .buffer = 20};

    *w = (world){.net = fake_net_new()};
    w->self = fake_node(w->net, 's', true);
    w->d = delivery_new(w->self, &settings, &source, &callbacks);
    for (unsigned i = 0; i < STRANGERS; i++) {
        w->strangers[i].p = fake_node(w->net, (char)('0' + i), i < STRANGERS / 2);
        must(peers_serve(w->strangers[i].p, SERVICE, 10000, asked, &w->strangers[i]));
        fake_connect(w->self, w->strangers[i].p);
    }
    must(delivery_join(w->d, pb_bytes_of(PART), NULL) == NULL);
}

static void be_found(world *w, pb_bytes bytes)
{
    void (*found)(void *ctx, bool ok, const pb_bytes *descriptors, size_t n) = w->found;
    pb_bytes list[3] = {peers_descriptor(w->strangers[0].p), peers_descriptor(w->self), bytes};

    if (found == NULL)
        return;
    w->found = NULL;
    found(w->found_ctx, bytes.len != 1, list, 3);
}

static void send_call(world *w, stranger *s, unsigned which, bool is_request, pb_bytes body)
{
    envelope e = {.kind = is_request ? ENVELOPE_REQUEST : ENVELOPE_NOTIFICATION,
                  .service = pb_bytes_of(SERVICE),
                  .method = pb_bytes_of(calls[which].method),
                  .type = pb_bytes_of(calls[which].type),
                  .request_id = pb_bytes_of("00000000-0000-4000-8000-000000000001"),
                  .body = body};

    fake_send(s->p, w->self, &e);
}

static void send_answer(world *w, stranger *s, bool is_error, pb_bytes body)
{
    envelope e = {.kind = is_error ? ENVELOPE_ERROR : ENVELOPE_RESPONSE,
                  .service = pb_bytes_of(SERVICE),
                  .method = pb_bytes_of(s->method),
                  .type = pb_bytes_of("Any"),
                  .request_id = pb_bytes_from(s->id, UUID_LEN),
                  .body = body};

    if (s->has_request)
        fake_send(s->p, w->self, &e);
    s->has_request = false;
}

static void rejoin(world *w, unsigned how)
{
    pb_bytes list[] = {peers_descriptor(w->strangers[0].p), peers_descriptor(w->strangers[1].p)};
    delivery_proxied proxied = {.proxies = list,
                                .n = 2,
                                .one_way = (how & 1) != 0,
                                .direction = (how & 2) != 0 ? NETWORK_SUBSCRIBE : NETWORK_PUBLISH,
                                .user_id = pb_bytes_of("user")};

    delivery_leave(w->d, pb_bytes_of(PART));
    must(delivery_join(w->d, pb_bytes_of(PART), (how & 4) != 0 ? &proxied : NULL) == NULL);
}

static void judged(void *arg, bool connected, uint64_t both, uint64_t others)
{
    (void)arg, (void)connected;
    must(both <= others);
}

static void check_one(void *ctx, const delivery_part_info *info)
{
    const world *w = ctx;

    must(info->n_neighbors <= 16 && info->n_clients <= 3 && info->n_temporary <= 10);
    must(info->n_candidates <= 40 && info->n_waiting <= 20);
    for (size_t i = 0; i < info->n_neighbors; i++)
        must(peers_connected(w->self, &info->neighbors[i].id));
}

static void check(const world *w)
{
    const delivery_counters *c = delivery_counted(w->d);

    delivery_each(w->d, check_one, (void *)(uintptr_t)w);
    must(c->accepted == w->messages);
    must(c->accepted + c->duplicates + c->invalid_chain + c->malformed <= c->received);
}

/* op, who, length (two bytes), bytes: the op's low half says what happens. */
static void step(world *w, unsigned op, unsigned who, pb_bytes bytes)
{
    stranger *s = &w->strangers[who % STRANGERS];
    delivery_bytes message = {.bytes = bytes};

    switch (op & 15) {
    case 0:
    case 1:
    case 2:
    case 3:
        send_call(w, s, (op >> 4) % COUNT_OF(calls), (op & 1) != 0, bytes);
        break;
    case 4:
    case 5:
    case 6:
        send_answer(w, s, (op & 15) == 6, bytes);
        break;
    case 7:
        be_found(w, bytes);
        break;
    case 8:
        fake_cut(w->self, s->p, (op >> 4 & 1) != 0 ? PEERS_LEFT : PEERS_LOST);
        break;
    case 9:
        delivery_publish(w->d, pb_bytes_of(PART), &message, NULL);
        break;
    case 10:
        rejoin(w, op >> 4);
        break;
    case 11:
        delivery_suggest(w->d, pb_bytes_of(PART), &bytes, 1);
        break;
    case 12:
        delivery_inspect(w->d, pb_bytes_of(PART), peers_descriptor(s->p), judged, NULL);
        break;
    case 13:
        fake_run(w->net, 10000);
        break;
    default:
        fake_run(w->net, op * 4);
    }
    check(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    view in = view_of(data, size);
    uint8_t op, who, high, low;
    const uint8_t *at;
    world w;

    begin(&w);
    for (unsigned i = 0;
         i < STEPS_MAX && view_u8(&in, &op) && view_u8(&in, &who) && view_u8(&in, &high) &&
         view_u8(&in, &low) && view_skip(&in, (size_t)(high & 7) << 8 | low, &at);
         i++)
        step(&w, op, who, (pb_bytes){at, (size_t)(high & 7) << 8 | low});
    fake_run(w.net, 1000);
    check(&w);
    delivery_free(w.d);
    fake_net_free(w.net);
    return 0;
}
