/* relay -- how fast a stream part passes messages on, without sockets: 200 bytes of content in from
 * one neighbour, out to three.
 *
 *     relay [SECONDS]
 *
 * Prints messages a second and nanoseconds a message, for the whole way (read the frame, know it is
 * new, decide, make three frames) and for its parts. One core. */
#include "delivery/delivery.h"
#include "delivery/glance.h"
#include "streamr/streamr.h"
#include "wire/dedup.h"
#include "wire/gaps.h"

#include <stdlib.h>

#define STREAM    "0x1111111111111111111111111111111111111111/room"
#define PART      STREAM "#0"
#define CONTENT   200u
#define MESSAGES  20000u /* a pass */
#define NEIGHBORS 4u

/* ---- The connections' side: as little of it as there can be ---- */

struct peers {
    node_id id;
    sb descriptor, theirs[NEIGHBORS];
    node_id their_ids[NEIGHBORS];
    peers_serve_fn serve;
    void *arg;
    bool writes; /* make frames, or count only */
    envelope_fan fan;
    uuid_source ids;
    uint8_t *queue; /* where frames are made: as large as a socket's, begun anew when full */
    size_t at;
    uint64_t frames, frame_bytes, messages;
};

#define QUEUE (1u << 20)

const node_id *peers_self(const peers *p)
{
    return &p->id;
}

pb_bytes peers_descriptor(const peers *p)
{
    return pb_bytes_from(p->descriptor.data, p->descriptor.len);
}

int64_t peers_now_ms(const peers *p)
{
    (void)p;
    return 1000;
}

bool peers_ask(peers *p, const peers_message *m, uint32_t timeout_ms, peers_answer answer,
               void *arg)
{
    (void)p, (void)m, (void)timeout_ms, (void)answer, (void)arg;
    return false;
}

void peers_cancel(peers *p, const void *arg)
{
    (void)p, (void)arg;
}

bool peers_tell(peers *p, const peers_message *m)
{
    (void)p, (void)m;
    return true;
}

static pb_bytes descriptor_at(const peers *p, const node_id *id)
{
    unsigned i = id->bytes[0] - 1u;

    return pb_bytes_from(p->theirs[i].data, p->theirs[i].len);
}

static void write_one(peers *p, const node_id *to)
{
    pb_bytes target = descriptor_at(p, to);
    size_t len = envelope_fan_size(&p->fan, target);

    if (p->at + len > QUEUE)
        p->at = 0;
    envelope_fan_put(&p->fan, target, &p->ids, p->queue + p->at);
    p->at += len;
    p->frame_bytes += len;
}

size_t peers_spread(peers *p, const envelope *common, const node_id *const *to, size_t n,
                    bool *sent)
{
    envelope e = *common;

    e.source = peers_descriptor(p);
    if (p->writes)
        envelope_fan_init(&p->fan, &e);
    for (size_t i = 0; i < n; i++) {
        if (p->writes)
            write_one(p, to[i]);
        sent[i] = true;
    }
    p->frames += n;
    return n;
}

bool peers_serve(peers *p, const char *service, uint32_t limit_ms, peers_serve_fn serve, void *arg)
{
    (void)service, (void)limit_ms;
    p->serve = serve;
    p->arg = arg;
    return true;
}

void peers_unserve(peers *p, const char *service)
{
    (void)p, (void)service;
}

void peers_reply(peers_call *call, const pb_table *table, const void *msg)
{
    (void)call, (void)table, (void)msg;
}

void peers_fail(peers_call *call, rpc_error error, const char *text)
{
    (void)call, (void)error, (void)text;
    must(false);
}

void peers_keep(peers *p, struct broker_buf *buf)
{
    (void)p, (void)buf;
}

void peers_let_go(peers *p, struct broker_buf *buf)
{
    (void)p, (void)buf;
}

void peers_watch_add(peers *p, peers_watch *w)
{
    (void)p, (void)w;
}

void peers_watch_remove(peers *p, peers_watch *w)
{
    (void)p, (void)w;
}

bool peers_connected(const peers *p, const node_id *id)
{
    (void)p, (void)id;
    return true;
}

pb_bytes peers_descriptor_of(const peers *p, const node_id *id)
{
    return descriptor_at(p, id);
}

void peers_lock(peers *p, const node_id *id)
{
    (void)p, (void)id;
}

void peers_unlock(peers *p, const node_id *id)
{
    (void)p, (void)id;
}

peers_timer *peers_timer_start(peers *p, uint32_t first_ms, uint32_t period_ms,
                               void (*fn)(void *arg), void *arg)
{
    (void)p, (void)first_ms, (void)period_ms, (void)fn, (void)arg;
    return NULL;
}

void peers_timer_end(peers_timer *t)
{
    (void)t;
}

/* ---- What comes in ---- */

typedef struct input {
    sb frames[MESSAGES];
} input;

static void make_frame(sb *out, const peers *p, unsigned i)
{
    static const uint8_t publisher[20] = {7}, signature[65] = {9};
    static uuid_source ids;
    uint8_t content[CONTENT];
    char one[UUID_LEN], two[UUID_LEN];
    sb body = SB_INIT;
    broker_msg m = {.size = sizeof m,
                    .flags = i > 0 ? BROKER_MSG_HAS_PREV : 0,
                    .stream = {STREAM, sizeof STREAM - 1},
                    .timestamp_ms = 1700000000000 + i,
                    .prev_timestamp_ms = 1700000000000 + i - 1,
                    .publisher = {publisher, sizeof publisher},
                    .chain = {"UTC7jK5bE62uag2B9TMz", 20},
                    .content = {content, sizeof content},
                    .signature = {signature, sizeof signature},
                    .signature_type = BROKER_SIGNATURE_SECP256K1,
                    .body = BROKER_BODY_CONTENT};
    envelope e = {.kind = ENVELOPE_NOTIFICATION,
                  .service = pb_bytes_of(DELIVERY_SERVICE PART),
                  .method = pb_bytes_of("sendStreamMessage"),
                  .type = pb_bytes_of("StreamMessage"),
                  .source = pb_bytes_from(p->theirs[0].data, p->theirs[0].len),
                  .target = peers_descriptor(p),
                  .message_id = {(uint8_t *)one, UUID_LEN},
                  .request_id = {(uint8_t *)two, UUID_LEN}};

    memset(content, '7', sizeof content);
    uuid_make(&ids, one);
    uuid_make(&ids, two);
    streamr_encode(&m, &body);
    e.body = pb_bytes_from(body.data, body.len);
    envelope_append(&e, out);
    sb_done(&body);
}

static void make_node(sb *descriptor, node_id *id, unsigned char byte)
{
    peer_self self = {.host = "127.0.0.1", .port = 40000u + byte};

    memset(&self.id, byte, sizeof self.id);
    *id = self.id;
    peer_encode(&self, descriptor);
}

static void join(delivery *d, peers *p)
{
    network_handshake_request q = {.stream_part = pb_bytes_of(PART)};
    sb body = SB_INIT;
    envelope e = {.kind = ENVELOPE_REQUEST, .method = pb_bytes_of("handshake")};

    delivery_leave(d, pb_bytes_of(PART));
    must(delivery_join(d, pb_bytes_of(PART), NULL) == NULL);
    must(envelope_seal(&e, &network_handshake_request_table, &q, &body));
    for (unsigned i = 0; i < NEIGHBORS; i++) {
        peers_from from = {.id = p->their_ids[i],
                           .descriptor = pb_bytes_from(p->theirs[i].data, p->theirs[i].len)};

        p->serve(p->arg, &from, &e, (peers_call *)p);
    }
    sb_done(&body);
}

/* ---- Measured ---- */

typedef struct bench {
    peers *p;
    delivery *d;
    input *in;
    dedup *ids;
    gaps *gaps;
    envelope opened[MESSAGES];
    uint64_t sum; /* so that nothing is thought to be without use */
} bench;

static void on_message(void *arg, pb_bytes part, pb_bytes message, const peers_from *from)
{
    bench *b = arg;

    (void)part, (void)from;
    b->sum += message.len;
    b->p->messages++;
}

static peers_from sender(const bench *b)
{
    return (peers_from){.id = b->p->their_ids[0],
                        .descriptor = pb_bytes_from(b->p->theirs[0].data, b->p->theirs[0].len),
                        .buf = NULL};
}

static void pass_whole(bench *b)
{
    peers_from from = sender(b);

    for (unsigned i = 0; i < MESSAGES; i++) {
        envelope e;

        if (envelope_read(b->in->frames[i].data, b->in->frames[i].len, &e) == NULL &&
            !dedup_seen(b->ids, e.message_id.ptr, e.message_id.len))
            b->p->serve(b->p->arg, &from, &e, NULL);
    }
}

static void pass_delivery(bench *b)
{
    peers_from from = sender(b);

    for (unsigned i = 0; i < MESSAGES; i++)
        b->p->serve(b->p->arg, &from, &b->opened[i], NULL);
}

static void pass_read(bench *b)
{
    envelope e;

    for (unsigned i = 0; i < MESSAGES; i++)
        b->sum += envelope_read(b->in->frames[i].data, b->in->frames[i].len, &e) == NULL;
}

static void pass_dedup(bench *b)
{
    for (unsigned i = 0; i < MESSAGES; i++)
        b->sum += dedup_seen(b->ids, b->opened[i].message_id.ptr, b->opened[i].message_id.len);
}

static void pass_glance(bench *b)
{
    glance g;

    for (unsigned i = 0; i < MESSAGES; i++)
        b->sum += glance_read(b->opened[i].body, &g) == NULL;
}

static void pass_gaps(bench *b)
{
    for (unsigned i = 0; i < MESSAGES; i++) {
        gaps_number number = {1700000000000 + i, 0}, previous = {1700000000000 + i - 1, 0};

        b->sum += gaps_check(b->gaps, pb_bytes_of("12345678901234567890"),
                             pb_bytes_of("UTC7jK5bE62uag2B9TMz"), number, i > 0 ? &previous : NULL);
    }
}

static void pass_frames(bench *b)
{
    const node_id *to[] = {&b->p->their_ids[1], &b->p->their_ids[2], &b->p->their_ids[3]};
    bool sent[3];

    for (unsigned i = 0; i < MESSAGES; i++)
        peers_spread(b->p, &b->opened[i], to, 3, sent);
}

static void begin_pass(bench *b, bool writes)
{
    join(b->d, b->p);
    dedup_free(b->ids);
    b->ids = dedup_new(DEDUP_IDS);
    gaps_free(b->gaps);
    b->gaps = gaps_new();
    b->p->writes = writes;
}

static void measure(bench *b, const char *what, void (*pass)(bench *b), bool writes,
                    int64_t seconds)
{
    uint64_t took_ns = 0, n = 0;

    while (took_ns < (uint64_t)seconds * 1000000000u) {
        uint64_t start_ns;

        begin_pass(b, writes);
        start_ns = clock_mono_ns();
        pass(b);
        took_ns += clock_mono_ns() - start_ns;
        n += MESSAGES;
    }
    printf("%-44s %9.0f msg/s %8.1f ns\n", what, (double)n * 1e9 / (double)took_ns,
           (double)took_ns / (double)n);
}

int main(int argc, char **argv)
{
    int64_t seconds = 1;
    bench *b = must_alloc(sizeof *b);
    delivery_calls calls = {b, on_message, NULL, NULL};

    if (argc > 1 && (!parse_i64(argv[1], strlen(argv[1]), &seconds) || seconds < 1))
        return 2;
    b->p = must_alloc(sizeof *b->p);
    b->p->queue = must_alloc(QUEUE);
    make_node(&b->p->descriptor, &b->p->id, 99);
    for (unsigned i = 0; i < NEIGHBORS; i++)
        make_node(&b->p->theirs[i], &b->p->their_ids[i], (unsigned char)(i + 1));
    b->in = must_alloc(sizeof *b->in);
    for (unsigned i = 0; i < MESSAGES; i++) {
        make_frame(&b->in->frames[i], b->p, i);
        must(envelope_read(b->in->frames[i].data, b->in->frames[i].len, &b->opened[i]) == NULL);
    }
    b->d = delivery_new(b->p, NULL, NULL, &calls);
    measure(b, "the whole way, three frames made", pass_whole, true, seconds);
    must(b->p->frames == 3 * b->p->messages && b->p->messages > 0);
    measure(b, "the whole way, frames only counted", pass_whole, false, seconds);
    measure(b, "  read the frame", pass_read, false, seconds);
    measure(b, "  know its id", pass_dedup, false, seconds);
    measure(b, "  the part: glance, gaps, targets", pass_delivery, false, seconds);
    measure(b, "    glance", pass_glance, false, seconds);
    measure(b, "    gaps", pass_gaps, false, seconds);
    measure(b, "  make three frames", pass_frames, true, seconds);
    printf("a frame in has %zu bytes\n", b->in->frames[1].len);
    delivery_free(b->d);
    return b->sum == 0;
}
