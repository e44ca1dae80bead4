/* delivery_rig -- see delivery_rig.h. */
#include "delivery_rig.h"

#include "streamr/streamr.h"

#include <criterion/criterion.h>

pb_bytes part_name(void)
{
    return pb_bytes_of(PART);
}

typedef struct asking {
    rig *r;
    void (*found)(void *ctx, bool ok, const pb_bytes *descriptors, size_t n);
    void *ctx;
    peers_timer *timer;
    struct asking *next;
} asking;
static asking *askings;

static void answer_comes(void *arg)
{
    asking *a = arg, **at = &askings;
    pb_bytes list[MOST];

    while (*at != a)
        at = &(*at)->next;
    *at = a->next;
    peers_timer_end(a->timer);
    for (unsigned i = 0; i < a->r->n_listed; i++)
        list[i] = peers_descriptor(a->r->listed[i]);
    a->found(a->ctx, !a->r->is_source_down, list, a->r->is_source_down ? 0 : a->r->n_listed);
    free(a);
}

static bool source_find(void *arg, const node_id *key,
                        void (*found)(void *ctx, bool ok, const pb_bytes *descriptors, size_t n),
                        void *ctx)
{
    node *n = arg;
    asking *a = calloc(1, sizeof *a);
    node_id want = stream_part_key(part_name());

    cr_assert(node_id_same(key, &want), "another key");
    if (n->rig->n_finds < COUNT_OF(n->rig->find_ms))
        n->rig->find_ms[n->rig->n_finds] = fake_now_ms(n->rig->net);
    n->rig->n_finds++;
    *a = (asking){n->rig, found, ctx, NULL, askings};
    a->timer = peers_timer_start(n->p, n->rig->find_takes_ms != 0 ? n->rig->find_takes_ms : 20, 0,
                                 answer_comes, a);
    askings = a;
    return true;
}

static void source_cancel(void *arg, const void *ctx)
{
    (void)arg;
    for (asking **at = &askings; *at != NULL;) {
        asking *a = *at;

        if (a->ctx != ctx) {
            at = &a->next;
            continue;
        }
        *at = a->next;
        peers_timer_end(a->timer);
        free(a);
    }
}

void list(rig *r, peers *p)
{
    for (unsigned i = 0; i < r->n_listed; i++)
        if (r->listed[i] == p)
            return;
    r->listed[r->n_listed++] = p;
}

static void source_announce(void *arg, const node_id *key)
{
    node *n = arg;

    (void)key;
    n->rig->n_announced++;
    list(n->rig, n->p);
}

static int64_t time_of(pb_bytes message)
{
    broker_msg m;
    const char *why = streamr_decode(message.ptr, message.len, &m);

    cr_assert_null(why, "%s", why);
    return m.timestamp_ms;
}

static void on_message(void *arg, pb_bytes part, pb_bytes message, const peers_from *from)
{
    node *n = arg;

    cr_assert(pb_bytes_are(part, PART));
    cr_assert_lt(n->n_got, COUNT_OF(n->got));
    n->got[n->n_got++] = time_of(message);
    if (n->kept == NULL && from->buf != NULL) {
        peers_keep(n->p, from->buf);
        n->kept = from->buf;
        n->kept_bytes = message;
    }
    if (n->leave_at_message)
        delivery_leave(n->d, part);
}

static void on_unsent(void *arg, pb_bytes part, pb_bytes message)
{
    node *n = arg;

    (void)message;
    cr_assert(pb_bytes_are(part, PART));
    n->n_unsent++;
}

rig *rig_new(void)
{
    rig *r = calloc(1, sizeof *r);

    r->net = fake_net_new();
    return r;
}

node *add_with(rig *r, char id, bool has_server, bool has_source, const delivery_settings *settings)
{
    node *n = &r->nodes[r->n++];
    delivery_source source = {n, source_find, source_cancel, source_announce};
    delivery_calls calls = {n, on_message, on_unsent, NULL};

    n->rig = r;
    n->p = fake_node(r->net, id, has_server);
    n->d = delivery_new(n->p, settings, has_source ? &source : NULL, &calls);
    return n;
}

node *add(rig *r, char id)
{
    return add_with(r, id, true, true, NULL);
}

node *add_lonely(rig *r, char id)
{
    return add_with(r, id, true, false, NULL);
}

node *add_proxy(rig *r, char id)
{
    delivery_settings s = {.accept_proxies = true};

    return add_with(r, id, true, true, &s);
}

void join(node *n)
{
    const char *why = delivery_join(n->d, part_name(), NULL);

    cr_assert_null(why, "%s", why);
}

void rig_free(rig *r)
{
    for (unsigned i = 0; i < r->n; i++) {
        if (r->nodes[i].kept != NULL)
            peers_let_go(r->nodes[i].p, r->nodes[i].kept);
        delivery_free(r->nodes[i].d);
        cr_assert_eq(fake_locks(r->nodes[i].p), 0, "node %u holds locks", i);
    }
    cr_assert_null(askings, "a question to the source was not cancelled");
    fake_net_free(r->net);
    free(r);
}

/* ---- Messages ---- */

static broker_msg plain(const char *chain, int64_t time, uint32_t partition)
{
    static const uint8_t publisher[20] = {1, 2, 3};
    static const uint8_t signature[65] = {9};

    return (broker_msg){.size = sizeof(broker_msg),
                        .stream = {STREAM, sizeof STREAM - 1},
                        .partition = partition,
                        .timestamp_ms = time,
                        .publisher = {publisher, sizeof publisher},
                        .chain = {chain, strlen(chain)},
                        .content = {(const uint8_t *)"{}", 2},
                        .signature = {signature, sizeof signature},
                        .signature_type = BROKER_SIGNATURE_SECP256K1,
                        .body = BROKER_BODY_CONTENT};
}

sb message_of(const char *chain, int64_t time, int64_t previous, uint32_t partition)
{
    broker_msg m = plain(chain, time, partition);
    sb out = SB_INIT;

    if (previous != 0) {
        m.flags |= BROKER_MSG_HAS_PREV;
        m.prev_timestamp_ms = previous;
    }
    streamr_encode(&m, &out);
    return out;
}

sb message(int64_t time)
{
    return message_of("c", time, 0, 3);
}

const char *refused_because;

delivery_fate publish_bytes(node *n, sb bytes)
{
    delivery_bytes b = {.bytes = pb_bytes_from(bytes.data, bytes.len)};
    delivery_fate fate = delivery_publish(n->d, part_name(), &b, &refused_because);

    sb_done(&bytes);
    return fate;
}

delivery_fate publish(node *n, int64_t time)
{
    return publish_bytes(n, message(time));
}

static void put_key(sb *b, uint32_t number, size_t len)
{
    uint8_t bytes[20], *end = pb_put_varint(bytes, pb_key(number, PB_WIRE_LEN));

    end = pb_put_varint(end, len);
    sb_append(b, bytes, (size_t)(end - bytes));
}

sb key_request(int64_t time, pb_bytes recipient)
{
    broker_msg m = plain("keys", time, 3);
    sb content = SB_INIT, out = SB_INIT, body = SB_INIT;

    streamr_encode(&m, &content);
    /* The message up to its body, then the other body. */
    put_key(&body, 1, 1);
    sb_puts(&body, "r");
    put_key(&body, 2, recipient.len);
    sb_append(&body, recipient.ptr, recipient.len);
    sb_append(&out, content.data, content.len - 6);
    put_key(&out, 6, body.len);
    sb_append(&out, body.data, body.len);
    sb_done(&content);
    sb_done(&body);
    return out;
}

void tell_bytes(peers *from, peers *to, sb bytes)
{
    envelope e = {.kind = ENVELOPE_NOTIFICATION,
                  .service = pb_bytes_of(SERVICE),
                  .method = pb_bytes_of("sendStreamMessage"),
                  .request_id = pb_bytes_of("x"),
                  .type = pb_bytes_of("StreamMessage"),
                  .body = pb_bytes_from(bytes.data, bytes.len)};

    fake_send(from, to, &e);
    sb_done(&bytes);
}

/* ---- Looking ---- */

static void look_at(void *ctx, const delivery_part_info *info)
{
    looked *l = ctx;

    l->info = *info;
    l->found = true;
    for (size_t i = 0; i < info->n_neighbors; i++)
        l->neighbors[i] = info->neighbors[i];
}

looked look(const node *n)
{
    looked l = {.found = false};

    delivery_each(n->d, look_at, &l);
    return l;
}

size_t neighbors_of(const node *n)
{
    return look(n).info.n_neighbors;
}

bool has_neighbor(const node *n, const peers *other)
{
    looked l = look(n);

    for (size_t i = 0; i < l.info.n_neighbors; i++)
        if (node_id_same(&l.neighbors[i].id, peers_self(other)))
            return true;
    return false;
}

const delivery_counters *count(const node *n)
{
    return delivery_counted(n->d);
}

/* ---- Asking as a stranger ---- */

static void answer_is_there(void *arg, peers_result result, const envelope *e)
{
    answer *a = arg;

    a->came = true;
    a->result = result;
    a->error = result == PEERS_REFUSED ? e->error_type : 0;
    if (result != PEERS_ANSWERED)
        return;
    cr_assert_leq(e->body.len, sizeof a->body);
    if (e->body.len != 0)
        memcpy(a->body, e->body.ptr, e->body.len);
    cr_assert_null(pb_decode(a->table, &a->handshake, a->body, e->body.len,
                             &(pb_arena){a->memory, sizeof a->memory, 0}));
}

static bool answer_came(void *arg)
{
    return ((answer *)arg)->came;
}

void ask(rig *r, peers *from, peers *to, const char *method, const pb_table *table, const void *msg,
         const pb_table *expected, answer *out)
{
    peers_message m = {peers_descriptor(to), SERVICE, method, table, msg};

    out->came = false;
    out->table = expected;
    cr_assert(peers_ask(from, &m, 0, answer_is_there, out));
    cr_assert(fake_until(r->net, 20000, answer_came, out), "'%s' was not answered", method);
}
