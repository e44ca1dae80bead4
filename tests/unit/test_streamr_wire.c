/* The frames of the Streamr network, against frames of real nodes; and what keeps a node from
 * doing a thing twice. */
#include "streamr/streamr.h"
#include "wire/calls.h"
#include "wire/dedup.h"
#include "wire/envelope.h"
#include "wire/gaps.h"
#include "wire/identity.h"
#include "wire/network.h"
#include "wire/recent.h"

#include <criterion/criterion.h>
#include <jansson.h>

#define OWNER "0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a"
#define ARENA (256u * 1024u)

static json_t *vectors(const char *key)
{
    static json_t *root;
    json_error_t error;

    if (root == NULL)
        root = json_load_file(TEST_VECTORS "/streamr.json", 0, &error);
    cr_assert_not_null(root, "%s", error.text);
    cr_assert_gt(json_array_size(json_object_get(root, key)), 0, "no '%s'", key);
    return json_object_get(root, key);
}

static const char *str(json_t *object, const char *key)
{
    const char *s = json_string_value(json_object_get(object, key));

    cr_assert_not_null(s, "the vectors have no '%s'", key);
    return s;
}

/* Bytes of hex, on the heap at their exact size so that a sanitizer sees a byte too far. */
static pb_bytes unhex(const char *hex)
{
    size_t len = strlen(hex) / 2;
    uint8_t *bytes = malloc(len + (len == 0));

    cr_assert(hex_decode(bytes, hex, strlen(hex)));
    return (pb_bytes){bytes, len};
}

static void give_back(pb_bytes b)
{
    free((void *)(uintptr_t)b.ptr);
}

static void expect_same(const void *got, size_t len, pb_bytes want, const char *name)
{
    cr_assert_eq(len, want.len, "%s: %zu bytes, not %zu", name, len, want.len);
    for (size_t i = 0; i < len; i++)
        cr_assert_eq(((const uint8_t *)got)[i], want.ptr[i], "%s: byte %zu", name, i);
}

static node_id id_of(char c)
{
    node_id id;

    memset(&id, c, sizeof id);
    return id;
}

static node_id id_hex(const char *hex)
{
    node_id id;

    cr_assert(node_id_of_text(pb_bytes_of(hex), &id));
    return id;
}

/* ---- Frames of real nodes ---- */

static unsigned frames_seen, bodies_seen;

static void expect_frame_again(pb_bytes frame, const char *name);

/* Decoded by its table and encoded again, it is what it was. */
static void *expect_again(const pb_table *table, pb_bytes bytes, pb_arena *arena, const char *name)
{
    void *msg = pb_alloc(arena, table->size);
    const char *why = pb_decode(table, msg, bytes.ptr, bytes.len, arena);
    sb out = SB_INIT;

    cr_assert_null(why, "%s: %s: %s", name, table->name, why);
    cr_assert_eq(((pb_head *)msg)->unknown.n, 0, "%s: %s has unknown fields", name, table->name);
    cr_assert(pb_encode(table, msg, &out));
    expect_same(out.data, out.len, bytes, name);
    sb_done(&out);
    return msg;
}

static void expect_any_again(const rpc_any *any, pb_arena *arena, const char *name)
{
    const pb_table *table = wire_table_of_url(any->type_url);

    cr_assert_not_null(table, "%s: %.*s", name, (int)any->type_url.len, any->type_url.ptr);
    expect_again(table, any->value, arena, name);
    bodies_seen++;
}

static void expect_entries_again(const pb_list *entries, pb_arena *arena, const char *name)
{
    for (uint32_t i = 0; i < entries->n; i++)
        expect_any_again(((dht_entry **)entries->items)[i]->data, arena, name);
}

static void expect_body_again(const envelope *e, pb_arena *arena, const char *name)
{
    const pb_table *table = wire_table_of_url(e->type);
    broker_msg stream_message;
    void *msg;

    bodies_seen++;
    if (pb_bytes_are(e->type, NETWORK_MESSAGE_ID))
        return; /* stays bytes */
    if (pb_bytes_are(e->type, NETWORK_STREAM_MESSAGE)) {
        cr_assert_null(streamr_decode(e->body.ptr, e->body.len, &stream_message));
        return;
    }
    cr_assert_not_null(table, "%s: %.*s", name, (int)e->type.len, e->type.ptr);
    cr_assert(envelope_is(e, table));
    msg = expect_again(table, e->body, arena, name);
    if (table == &dht_route_table)
        expect_frame_again(((dht_route *)msg)->message, name);
    else if (table == &dht_store_request_table)
        expect_any_again(((dht_store_request *)msg)->data, arena, name);
    else if (table == &dht_external_store_request_table)
        expect_any_again(((dht_external_store_request *)msg)->data, arena, name);
    else if (table == &dht_replicate_request_table)
        expect_any_again(((dht_replicate_request *)msg)->entry->data, arena, name);
    else if (table == &dht_fetch_response_table)
        expect_entries_again(&((dht_fetch_response *)msg)->entries, arena, name);
    else if (table == &dht_recursive_response_table)
        expect_entries_again(&((dht_recursive_response *)msg)->entries, arena, name);
}

static void expect_frame_again(pb_bytes frame, const char *name)
{
    pb_arena arena = {malloc(ARENA), ARENA, 0};
    dht_message *m = expect_again(&dht_message_table, frame, &arena, name);
    sb out = SB_INIT;
    const char *why;
    envelope e;

    why = envelope_read(frame.ptr, frame.len, &e);
    cr_assert_null(why, "%s: %s", name, why);
    cr_assert_eq(e.message_id.ptr, m->message_id.ptr);
    cr_assert_eq(e.service.ptr, m->service.ptr);
    envelope_append(&e, &out);
    expect_same(out.data, out.len, frame, name);
    if (e.type.ptr != NULL)
        expect_body_again(&e, &arena, name);
    frames_seen++;
    sb_done(&out);
    free(arena.base);
}

Test(frames, of_real_nodes_are_written_again_byte_for_byte_to_the_innermost_body)
{
    json_t *v;
    size_t i;

    json_array_foreach(vectors("capturedFrames"), i, v)
    {
        pb_bytes frame = unhex(str(v, "hex"));

        expect_frame_again(frame, str(v, "what"));
        give_back(frame);
    }
    json_array_foreach(vectors("messages"), i, v)
    {
        pb_bytes frame = unhex(str(v, "hex"));

        expect_frame_again(frame, str(v, "name"));
        give_back(frame);
    }
    cr_assert_geq(frames_seen, 53 + 7 + 14, "%u frames, inner ones included", frames_seen);
    cr_assert_geq(bodies_seen, 60, "%u bodies", bodies_seen);
}

static const envelope_kind kinds[] = {ENVELOPE_REQUEST, ENVELOPE_NOTIFICATION, ENVELOPE_RESPONSE};

Test(frames, say_what_they_are)
{
    static const char *words[] = {" request", " notification", " response"};
    unsigned told = 0;
    json_t *v;
    size_t i;

    json_array_foreach(vectors("capturedFrames"), i, v)
    {
        pb_bytes frame = unhex(str(v, "hex"));
        const char *what = str(v, "what"), *wrapped = strstr(what, " > ");
        json_t *decoded = json_object_get(v, "decoded"), *rpc, *header;
        envelope e;

        cr_assert_null(envelope_read(frame.ptr, frame.len, &e), "%s", what);
        cr_assert(pb_bytes_are(e.service, str(decoded, "serviceId")), "%s", what);
        cr_assert(pb_bytes_are(e.message_id, str(decoded, "messageId")), "%s", what);
        rpc = json_object_get(decoded, "rpcMessage");
        if (rpc != NULL) {
            header = json_object_get(rpc, "header");
            cr_assert(pb_bytes_are(e.method, str(header, "method")), "%s", what);
            cr_assert(pb_bytes_are(e.request_id, str(rpc, "requestId")), "%s", what);
        }
        for (unsigned k = 0; k < COUNT_OF(kinds); k++) {
            size_t word = strlen(words[k]), len = strlen(what);

            if (wrapped == NULL && len > word && strcmp(what + len - word, words[k]) == 0) {
                cr_assert_eq(e.kind, kinds[k], "%s: kind %d", what, (int)e.kind);
                told++;
            }
        }
        give_back(frame);
    }
    cr_assert_gt(told, 25);
}

Test(frames, tell_an_absent_error_from_error_zero)
{
    pb_arena arena = {malloc(ARENA), ARENA, 0};
    dht_handshake_response r;
    envelope e;
    pb_bytes frame;

    frame = unhex(str(json_array_get(vectors("messages"), 1), "hex"));
    cr_assert_null(envelope_read(frame.ptr, frame.len, &e));
    cr_assert_eq(e.kind, ENVELOPE_HANDSHAKE_RESPONSE);
    cr_assert_null(envelope_open(&e, &dht_handshake_response_table, &r, &arena));
    cr_assert_not(pb_has(&dht_handshake_response_table, &r, 2));
    give_back(frame);
    frame = unhex(str(json_array_get(vectors("messages"), 2), "hex"));
    cr_assert_null(envelope_read(frame.ptr, frame.len, &e));
    cr_assert_null(envelope_open(&e, &dht_handshake_response_table, &r, &arena));
    cr_assert(pb_has(&dht_handshake_response_table, &r, 2));
    cr_assert_eq(r.error, DHT_DUPLICATE_CONNECTION);
    give_back(frame);
    free(arena.base);
}

static envelope sample(envelope_kind kind)
{
    return (envelope){.kind = kind,
                      .message_id = pb_bytes_of("00000000-0000-4000-8000-000000000001"),
                      .service = pb_bytes_of("layer0"),
                      .source = pb_bytes_of("\x0a\x01s"),
                      .target = pb_bytes_of("\x0a\x01t"),
                      .method = pb_bytes_of("ping"),
                      .request_id = pb_bytes_of("00000000-0000-4000-8000-000000000002")};
}

static void expect_round_trip(const envelope *e, sb *out, envelope *back)
{
    sb again = SB_INIT;
    const char *why;

    sb_clear(out);
    envelope_append(e, out);
    cr_assert_eq(out->len, envelope_size(e));
    why = envelope_read(out->data, out->len, back);
    cr_assert_null(why, "%s", why);
    cr_assert_eq(back->kind, e->kind);
    envelope_append(back, &again);
    expect_same(again.data, again.len, pb_bytes_from(out->data, out->len), "again");
    sb_done(&again);
}

Test(frames, errors_keep_type_zero_and_what_is_absent)
{
    envelope e = sample(ENVELOPE_ERROR), back;
    sb out = SB_INIT;

    expect_round_trip(&e, &out, &back);
    cr_assert_eq(back.error_type, RPC_SERVER_TIMEOUT);
    cr_assert_null(back.error_class.ptr);
    cr_assert_null(back.type.ptr);
    e.error_type = RPC_SERVER_ERROR;
    e.error_class = pb_bytes_of("");
    e.error_text = pb_bytes_of("no");
    expect_round_trip(&e, &out, &back);
    cr_assert_eq(back.error_type, RPC_SERVER_ERROR);
    cr_assert_not_null(back.error_class.ptr);
    cr_assert_null(back.error_code.ptr);
    cr_assert(pb_bytes_are(back.error_text, "no"));
    sb_done(&out);
}

Test(frames, an_answer_goes_back_where_the_request_came_from)
{
    envelope request = sample(ENVELOPE_REQUEST), back, answer;
    pb_bytes self = pb_bytes_of("\x0a\x01m");
    dht_ping ping = {.request_id = pb_bytes_of("r")};
    sb store = SB_INIT, out = SB_INIT;

    answer = envelope_answer(&request, self);
    answer.message_id = pb_bytes_of("m");
    cr_assert(envelope_seal(&answer, &dht_ping_response_table, &ping, &store));
    expect_round_trip(&answer, &out, &back);
    expect_same(back.target.ptr, back.target.len, request.source, "target");
    expect_same(back.source.ptr, back.source.len, self, "source");
    cr_assert(pb_bytes_are(back.type, "dht.PingResponse"));
    cr_assert(pb_bytes_are(back.method, "ping"));
    sb_done(&store);
    sb_done(&out);
}

Test(frames, with_a_field_twice_or_without_sense_are_refused)
{
    static const char *const bad[] = {
        "",                                    /* nothing in it */
        "0a0161",                              /* an id alone */
        "0a01610a0161420a",                    /* cut */
        "0a01610a01614200",                    /* two ids */
        "120012004200",                        /* two sources */
        "42004a00",                            /* two bodies */
        "2a00",                                /* RPC without a header */
        "2a060a040a026161",                    /* an unknown key alone */
        "2a180a0a0a0672657175657374120178",    /* header cut */
        "0a01ff4200",                          /* id is no UTF-8 */
        "2a120a0e0a07726571756573741203616263" /* request without a method */
        "1a00",
    };
    envelope e;

    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        pb_bytes frame = unhex(bad[i]);

        cr_assert_not_null(envelope_read(frame.ptr, frame.len, &e), "%s", bad[i]);
        give_back(frame);
    }
}

Test(frames, unknown_fields_are_skipped)
{
    envelope e = sample(ENVELOPE_REQUEST), back;
    sb out = SB_INIT;

    expect_round_trip(&e, &out, &back);
    sb_append(&out, "\xa2\x06\x03xyz\xa8\x06\x07", 9);
    cr_assert_null(envelope_read(out.data, out.len, &back));
    cr_assert(pb_bytes_are(back.method, "ping"));
    sb_done(&out);
}

Test(frames, a_fan_writes_what_single_frames_would_be)
{
    envelope common, got;
    envelope_fan fan = {SB_INIT, SB_INIT, {NULL, 0}};
    uuid_source ids = {.left = 0};
    pb_bytes frame = {NULL, 0}, ids_seen[8];
    sb single = SB_INIT;
    uint8_t *out[4];
    json_t *v;
    size_t i;

    json_array_foreach(vectors("capturedFrames"), i, v)
    {
        if (strstr(str(v, "what"), "sendStreamMessage") != NULL && frame.ptr == NULL)
            frame = unhex(str(v, "hex"));
    }
    cr_assert_null(envelope_read(frame.ptr, frame.len, &common));
    cr_assert_eq(common.kind, ENVELOPE_NOTIFICATION);
    envelope_fan_init(&fan, &common);
    envelope_fan_init(&fan, &common); /* used again */
    for (i = 0; i < 4; i++) {
        pb_bytes target = {common.target.ptr, common.target.len - i}; /* bytes are bytes */
        size_t len = envelope_fan_size(&fan, target);

        out[i] = malloc(len);
        cr_assert_eq(envelope_fan_put(&fan, target, &ids, out[i]), out[i] + len);
        cr_assert_null(envelope_read(out[i], len, &got));
        ids_seen[2 * i] = got.message_id;
        ids_seen[2 * i + 1] = got.request_id;
        for (size_t k = 0; k < 2 * i + 1; k++)
            cr_assert_neq(memcmp(ids_seen[k].ptr, ids_seen[2 * i + 1].ptr, UUID_LEN), 0);
        common.target = target;
        common.message_id = got.message_id;
        common.request_id = got.request_id;
        sb_clear(&single);
        envelope_append(&common, &single);
        expect_same(out[i], len, pb_bytes_from(single.data, single.len), "fan");
        cr_assert_null(envelope_read(frame.ptr, frame.len, &common));
    }
    for (i = 0; i < 4; i++)
        free(out[i]);
    envelope_fan_done(&fan);
    sb_done(&single);
    give_back(frame);
}

Test(frames, header_entries_with_empty_values_are_written)
{
    pb_arena arena = {malloc(ARENA), ARENA, 0};
    rpc_message m = {.request_id = pb_bytes_of("i")};
    sb out = SB_INIT;

    cr_assert(rpc_header_put(&m, "n", "", &arena));
    cr_assert(rpc_header_put(&m, "m", "x", &arena));
    cr_assert(pb_encode(&rpc_message_table, &m, &out));
    expect_same(out.data, out.len,
                pb_bytes_from("\x0a\x05\x0a\x01n\x12\x00\x0a\x06\x0a\x01m\x12\x01x\x1a\x01i", 18),
                "header");
    cr_assert_not_null(rpc_header_get(&m, "n").ptr);
    cr_assert(pb_bytes_are(rpc_header_get(&m, "m"), "x"));
    cr_assert_null(rpc_header_get(&m, "o").ptr);
    sb_done(&out);
    free(arena.base);
}

Test(tables, have_distinct_names_and_the_prefix_of_their_package)
{
    size_t n = 0;

    for (; wire_tables[n] != NULL; n++)
        for (size_t k = 0; k < n; k++)
            cr_assert_str_neq(wire_tables[n]->name, wire_tables[k]->name);
    cr_assert_eq(n, 66);
    cr_assert_eq(wire_table_of_url(pb_bytes_of("type.googleapis.com/dht.PingRequest")),
                 &dht_ping_request_table);
    cr_assert_eq(wire_table_of_url(pb_bytes_of("elsewhere/x/NeighborUpdate")),
                 &network_neighbor_update_table);
    cr_assert_null(wire_table_of_url(pb_bytes_of("type.googleapis.com/PingRequest")));
    cr_assert_null(wire_table_of_url(pb_bytes_of("type.googleapis.com/dht.NeighborUpdate")));
    for (n = 0; wire_tables[n] != NULL; n++)
        for (unsigned i = 1; i < wire_tables[n]->n_rows; i++)
            cr_assert_gt(wire_tables[n]->rows[i].number, wire_tables[n]->rows[i - 1].number, "%s",
                         wire_tables[n]->name);
}

Test(time, of_the_network_is_milliseconds_here)
{
    static const int64_t times[] = {0, 1, 1700000000123, -1, -1000, -1001};
    rpc_timestamp far = {.seconds = INT64_MAX, .nanos = INT32_MAX}, t;

    for (size_t i = 0; i < COUNT_OF(times); i++) {
        t = rpc_timestamp_of_ms(times[i]);
        cr_assert(t.nanos >= 0 && t.nanos < 1000000000);
        cr_assert_eq(rpc_timestamp_ms(&t), times[i], "%lld", (long long)times[i]);
    }
    cr_assert_eq(rpc_timestamp_ms(&far), INT64_MAX);
    far.seconds = INT64_MIN;
    cr_assert_eq(rpc_timestamp_ms(&far), INT64_MIN);
}

/* ---- Identities ---- */

Test(identity, node_ids_come_from_address_and_key_as_in_the_reference)
{
    json_t *v;
    size_t i;

    json_array_foreach(vectors("nodeIds"), i, v)
    {
        pb_bytes key = unhex(str(v, "privateKey"));
        char text[NODE_ID_TEXT_LEN + 1];
        node_id id;

        id = node_id_from_ip((uint32_t)json_integer_value(json_object_get(v, "ipNumber")), key.ptr);
        node_id_text(&id, text);
        cr_assert_str_eq(text, str(v, "nodeId"));
        give_back(key);
    }
}

static peer_self self_of(json_t *v, sb *host)
{
    json_t *fields = json_object_get(v, "fields"), *ws = json_object_get(fields, "websocket");
    json_t *region = json_object_get(fields, "region"), *ip = json_object_get(fields, "ipAddress");
    json_t *key = json_object_get(fields, "publicKey"), *sig = json_object_get(fields, "signature");
    peer_self self = {.id = id_hex(str(fields, "nodeId")),
                      .type = (dht_node_type)json_integer_value(json_object_get(fields, "type")),
                      .has_region = region != NULL,
                      .region = (uint32_t)json_integer_value(region),
                      .has_ip = ip != NULL,
                      .ip = (uint32_t)json_integer_value(ip),
                      .has_public_key = key != NULL,
                      .has_signature = sig != NULL};

    if (ws != NULL) {
        sb_puts(host, str(ws, "host"));
        self.host = host->data;
        self.port = (uint32_t)json_integer_value(json_object_get(ws, "port"));
        self.tls = json_is_true(json_object_get(ws, "tls"));
    }
    if (key != NULL)
        cr_assert(hex_decode(self.public_key, json_string_value(key), 40));
    if (sig != NULL)
        cr_assert(hex_decode(self.signature, json_string_value(sig), 130));
    return self;
}

Test(identity, descriptors_and_ring_ids_are_those_of_the_vectors)
{
    json_t *v;
    size_t i;

    json_array_foreach(vectors("peerDescriptors"), i, v)
    {
        pb_bytes want = unhex(str(v, "protobuf")), payload = unhex(str(v, "signaturePayload"));
        pb_bytes ring_want = unhex(str(json_array_get(vectors("ringIds"), i), "ringIdRaw15Bytes"));
        pb_arena arena = {malloc(ARENA), ARENA, 0};
        sb out = SB_INIT, host = SB_INIT;
        peer_self self = self_of(v, &host);
        dht_peer *peer;
        ring_id ring;
        node_id id;

        peer_encode(&self, &out);
        expect_same(out.data, out.len, want, str(v, "name"));
        sb_clear(&out);
        peer_signed_payload(&self, &out);
        expect_same(out.data, out.len, payload, str(v, "name"));
        peer = expect_again(&dht_peer_table, want, &arena, str(v, "name"));
        cr_assert(peer_same(peer, peer));
        cr_assert(ring_id_of_peer(peer, &ring));
        expect_same(ring.bytes, sizeof ring.bytes, ring_want, str(v, "name"));
        cr_assert(peer_node_id(want, &id) && node_id_same(&id, &self.id));
        give_back(want), give_back(payload), give_back(ring_want);
        sb_done(&out), sb_done(&host);
        free(arena.base);
    }
}

Test(identity, a_descriptor_of_ones_own_may_leave_out_what_is_not_known)
{
    peer_self self = {.id = node_id_random()};
    pb_arena arena = {malloc(ARENA), ARENA, 0};
    uint8_t key[32];
    sb out = SB_INIT;
    dht_peer peer;

    peer_encode(&self, &out);
    cr_assert_eq(out.len, 22);
    memset(key, 0x11, sizeof key);
    peer_sign(&self, key);
    sb_clear(&out);
    peer_encode(&self, &out);
    cr_assert_null(pb_decode(&dht_peer_table, &peer, out.data, out.len, &arena));
    cr_assert_eq(peer.public_key.len, 20);
    cr_assert_eq(peer.signature.len, 65);
    cr_assert_not(pb_has(&dht_peer_table, &peer, 6));
    sb_done(&out);
    free(arena.base);
}

Test(identity, descriptors_without_a_node_id_are_nobodys)
{
    dht_peer a = {.type = 0}, b = {.type = 0};
    node_id id;

    cr_assert_not(peer_same(&a, &b));
    cr_assert_not(peer_node_id(pb_bytes_of(""), &id));
    cr_assert_not(peer_node_id(pb_bytes_of("\x0a\x13"
                                           "1234567890123456789"),
                               &id));
    cr_assert_not(peer_node_id(pb_bytes_of("\x0a\x14"
                                           "1234567890123456789"),
                               &id));
    cr_assert_not(node_id_of_text(pb_bytes_of("xx11111111111111111111111111111111111111"), &id));
}

Test(identity, the_offerer_is_the_one_of_the_vectors)
{
    json_t *v;
    size_t i;

    json_array_foreach(vectors("offerer"), i, v)
    {
        node_id local = id_hex(str(v, "local")), remote = id_hex(str(v, "remote"));

        cr_assert_eq(node_id_offers(&local, &remote), strcmp(str(v, "offerer"), "local") == 0);
    }
}

Test(identity, nearer_is_by_xor_to_the_last_bit)
{
    node_id target = id_of(0), a = id_of(0), b = id_of(0);

    cr_assert_eq(node_id_nearer(&target, &a, &b), 0);
    a.bytes[19] = 2, b.bytes[19] = 3;
    cr_assert_lt(node_id_nearer(&target, &a, &b), 0);
    target.bytes[19] = 1;
    cr_assert_gt(node_id_nearer(&target, &a, &b), 0);
    a.bytes[0] = 0x80;
    cr_assert_gt(node_id_nearer(&target, &a, &b), 0);
    target.bytes[0] = 0xff, b.bytes[0] = 0x7f;
    cr_assert_lt(node_id_nearer(&target, &a, &b), 0);
}

Test(identity, the_ring_goes_round)
{
    ring_distance size = ((ring_distance)1 << 120) - 1;
    ring_id a = {{0}}, b = {{0}};

    a.bytes[14] = 9, b.bytes[14] = 4;
    cr_assert(ring_left(&a, &b) == 5);
    cr_assert(ring_left(&b, &a) == size - 5);
    cr_assert(ring_right(&b, &a) == 5);
    cr_assert(ring_right(&a, &b) == size - 5);
    cr_assert(ring_left(&a, &a) == size);
    b.bytes[0] = 0x80;
    cr_assert(ring_right(&a, &b) == ((ring_distance)1 << 119) + 4 - 9);
}

Test(identity, stream_parts_have_one_spelling)
{
    static const char *const bad[] = {"",
                                      "#0",
                                      OWNER "/a",
                                      OWNER "/a#",
                                      OWNER "/a#100",
                                      OWNER "/a#00",
                                      OWNER "/a#-1",
                                      OWNER "/a#-0",
                                      OWNER "/a#1x",
                                      "a b#0",
                                      OWNER "/a#+1"};
    pb_bytes stream;
    uint32_t partition;
    sb out = SB_INIT;

    for (size_t i = 0; i < COUNT_OF(bad); i++)
        cr_assert_not(stream_part_read(pb_bytes_of(bad[i]), &stream, &partition), "%s", bad[i]);
    cr_assert(stream_part_read(pb_bytes_of(OWNER "/a#99"), &stream, &partition));
    cr_assert_eq(partition, 99);
    cr_assert(pb_bytes_are(stream, OWNER "/a"));
    stream_part_write(stream, partition, &out);
    cr_assert_str_eq(out.data, OWNER "/a#99");
    sb_done(&out);
}

Test(identity, stream_part_keys_are_those_of_the_vectors)
{
    json_t *v;
    size_t i;

    json_array_foreach(vectors("streamPartDataKeys"), i, v)
    {
        node_id key = stream_part_key(pb_bytes_of(str(v, "streamPartId")));
        char text[NODE_ID_TEXT_LEN + 1];

        node_id_text(&key, text);
        cr_assert_str_eq(text, str(v, "sha1"));
    }
}

Test(uuid, is_version_4_in_lower_case_and_never_twice_from_any_source)
{
    enum { IDS = 300000 }; /* so many that each source takes a second key from the kernel */
    static uuid_source one, two;
    dedup *d = dedup_new(IDS);
    char id[UUID_LEN + 1] = "";

    for (unsigned i = 0; i < IDS; i++) {
        uuid_make(i % 2 == 0 ? &one : &two, id);
        cr_assert_eq(strspn(id, "0123456789abcdef-"), UUID_LEN, "%s", id);
        cr_assert(id[8] == '-' && id[13] == '-' && id[18] == '-' && id[23] == '-', "%s", id);
        cr_assert(id[14] == '4' && strchr("89ab", id[19]) != NULL, "%s", id);
        cr_assert_not(dedup_seen(d, id, UUID_LEN), "%s", id);
    }
    dedup_free(d);
}

/* ---- Twice ---- */

Test(dedup, remembers_the_last_n_and_no_more)
{
    dedup *d = dedup_new(100);
    uint32_t i;

    for (i = 0; i < 5000; i++) {
        uint32_t old = i - 99, gone = i - 100;

        cr_assert_not(dedup_seen(d, &i, sizeof i), "%u is new", i);
        cr_assert(dedup_seen(d, &i, sizeof i));
        if (i >= 99)
            cr_assert(dedup_seen(d, &old, sizeof old), "%u is the oldest kept", old);
        if (i == 4999)
            cr_assert_not(dedup_seen(d, &gone, sizeof gone), "%u is gone", gone);
    }
    dedup_free(d);
}

typedef struct step {
    int64_t previous, number; /* previous < 0: none */
    gaps_verdict verdict;
} step;

static void expect_steps(const step *steps, size_t n, uint32_t beyond)
{
    gaps *g = gaps_new();

    for (size_t i = 0; i < n; i++) {
        gaps_number number = {steps[i].number, 0}, previous = {steps[i].previous, 0};
        gaps_verdict got = gaps_check(g, pb_bytes_of("p"), pb_bytes_of("c"), number,
                                      steps[i].previous < 0 ? NULL : &previous);

        cr_assert_eq(got, steps[i].verdict, "step %zu, %lld after %lld: %d", i,
                     (long long)steps[i].number, (long long)steps[i].previous, (int)got);
    }
    cr_assert_eq(gaps_beyond(g), beyond, "%u gaps left", gaps_beyond(g));
    gaps_free(g);
}

#define STEPS(beyond, ...)                                                                         \
    do {                                                                                           \
        static const step steps[] = {__VA_ARGS__};                                                 \
        expect_steps(steps, COUNT_OF(steps), beyond);                                              \
    } while (0)

Test(gaps, in_order_is_new_and_again_is_a_duplicate)
{
    STEPS(0, {-1, 1, GAPS_NEW}, {1, 2, GAPS_NEW}, {2, 3, GAPS_NEW}, {2, 3, GAPS_DUPLICATE},
          {1, 2, GAPS_DUPLICATE}, {-1, 1, GAPS_DUPLICATE}, {0, 1, GAPS_DUPLICATE});
}

Test(gaps, what_was_missing_is_new_once)
{
    /* 1, then 5 after 4: (1, 4] is missing. */
    STEPS(0, {-1, 1, GAPS_NEW}, {4, 5, GAPS_NEW}, {2, 3, GAPS_NEW}, {2, 3, GAPS_DUPLICATE},
          {1, 2, GAPS_NEW}, {3, 4, GAPS_NEW}, {3, 4, GAPS_DUPLICATE}, {4, 5, GAPS_DUPLICATE});
}

Test(gaps, shrink_from_either_end_and_split_in_the_middle)
{
    STEPS(1, {-1, 10, GAPS_NEW}, {50, 60, GAPS_NEW}, {10, 20, GAPS_NEW}, {40, 50, GAPS_NEW});
    STEPS(2, {-1, 10, GAPS_NEW}, {50, 60, GAPS_NEW}, {25, 30, GAPS_NEW});
    STEPS(3, {-1, 10, GAPS_NEW}, {20, 30, GAPS_NEW}, {40, 50, GAPS_NEW}, {60, 70, GAPS_NEW});
}

Test(gaps, a_chain_that_contradicts_itself_is_a_mismatch)
{
    STEPS(1, {-1, 10, GAPS_NEW}, {30, 40, GAPS_NEW}, /* (10, 30] */
          {20, 35, GAPS_MISMATCH},                   /* beyond the gap it begins in */
          {5, 20, GAPS_MISMATCH},                    /* begins before it */
          {30, 35, GAPS_DUPLICATE},                  /* begins at its end */
          {20, 50, GAPS_MISMATCH},                   /* leaps over what is there */
          {39, 50, GAPS_MISMATCH});
}

Test(gaps, the_message_before_must_be_before)
{
    STEPS(0, {5, 5, GAPS_INVALID}, {6, 5, GAPS_INVALID}, {4, 5, GAPS_NEW}, {5, 5, GAPS_INVALID});
}

Test(gaps, without_a_message_before_only_the_newest_is_new)
{
    STEPS(1, {-1, 10, GAPS_NEW}, {20, 30, GAPS_NEW}, {-1, 15, GAPS_DUPLICATE},
          {-1, 30, GAPS_DUPLICATE}, {-1, 40, GAPS_NEW}, {-1, 40, GAPS_DUPLICATE});
}

Test(gaps, the_first_says_nothing_about_what_was_before_it)
{
    STEPS(0, {9, 10, GAPS_NEW}, {9, 10, GAPS_DUPLICATE}, {8, 9, GAPS_DUPLICATE},
          {-1, 9, GAPS_DUPLICATE});
}

Test(gaps, order_is_by_timestamp_then_sequence)
{
    gaps *g = gaps_new();
    pb_bytes p = pb_bytes_of("p"), c = pb_bytes_of("c");
    gaps_number a = {1, 0}, b = {1, 1}, far = {INT64_MAX, INT32_MAX};

    cr_assert_eq(gaps_check(g, p, c, a, NULL), GAPS_NEW);
    cr_assert_eq(gaps_check(g, p, c, b, &a), GAPS_NEW);
    cr_assert_eq(gaps_check(g, p, c, a, &b), GAPS_INVALID);
    cr_assert_eq(gaps_check(g, p, c, far, &b), GAPS_NEW);
    cr_assert_eq(gaps_check(g, p, c, far, &b), GAPS_DUPLICATE);
    gaps_free(g);
}

Test(gaps, chains_of_other_publishers_are_other_chains)
{
    gaps *g = gaps_new();
    gaps_number n = {1, 0};

    cr_assert_eq(gaps_check(g, pb_bytes_of("ab"), pb_bytes_of("c"), n, NULL), GAPS_NEW);
    cr_assert_eq(gaps_check(g, pb_bytes_of("a"), pb_bytes_of("bc"), n, NULL), GAPS_NEW);
    cr_assert_eq(gaps_check(g, pb_bytes_of("a"), pb_bytes_of("c"), n, NULL), GAPS_NEW);
    cr_assert_eq(gaps_check(g, pb_bytes_of("ab"), pb_bytes_of("c"), n, NULL), GAPS_DUPLICATE);
    cr_assert_eq(gaps_chains(g), 3);
    gaps_free(g);
}

/* Every second message of a chain: each leaves a gap. */
static void make_gaps(gaps *g, const char *chain, int64_t n)
{
    for (int64_t i = 0; i <= n; i++) {
        gaps_number number = {10 * i, 0}, previous = {10 * i - 5, 0};

        cr_assert_eq(
            gaps_check(g, pb_bytes_of("p"), pb_bytes_of(chain), number, i > 0 ? &previous : NULL),
            GAPS_NEW);
    }
}

Test(gaps, of_one_chain_are_ten_thousand_at_most_and_the_lowest_go)
{
    gaps *g = gaps_new();
    pb_bytes p = pb_bytes_of("p"), c = pb_bytes_of("c");
    int64_t n = GAPS_A_CHAIN + 5;
    gaps_number low = {5, 0}, before_low = {0, 0}, high = {10 * n - 5, 0},
                before_high = {10 * n - 10, 0};

    make_gaps(g, "c", n);
    cr_assert_eq(gaps_beyond(g), GAPS_A_CHAIN - 1);
    cr_assert_eq(gaps_check(g, p, c, low, &before_low), GAPS_DUPLICATE);
    cr_assert_eq(gaps_check(g, p, c, high, &before_high), GAPS_NEW);
    for (int64_t i = n - 1; i > 6; i--) { /* fill the rest: the memory goes too */
        gaps_number number = {10 * i - 5, 0}, previous = {10 * i - 10, 0};

        cr_assert_eq(gaps_check(g, p, c, number, &previous), GAPS_NEW, "%lld", (long long)i);
    }
    cr_assert_eq(gaps_beyond(g), 0);
    gaps_free(g);
}

Test(gaps, the_chain_longest_without_a_message_is_forgotten)
{
    gaps *g = gaps_new();
    gaps_number one = {1, 0};
    char chain[16];

    for (unsigned i = 0; i < GAPS_CHAINS; i++) {
        snprintf(chain, sizeof chain, "%u", i);
        cr_assert_eq(gaps_check(g, pb_bytes_of("p"), pb_bytes_of(chain), one, NULL), GAPS_NEW);
    }
    cr_assert_eq(gaps_check(g, pb_bytes_of("p"), pb_bytes_of("0"), one, NULL), GAPS_DUPLICATE);
    cr_assert_eq(gaps_check(g, pb_bytes_of("p"), pb_bytes_of("x"), one, NULL), GAPS_NEW);
    cr_assert_eq(gaps_chains(g), GAPS_CHAINS);
    cr_assert_eq(gaps_check(g, pb_bytes_of("p"), pb_bytes_of("0"), one, NULL), GAPS_DUPLICATE);
    cr_assert_eq(gaps_check(g, pb_bytes_of("p"), pb_bytes_of("1"), one, NULL), GAPS_NEW);
    gaps_free(g);
}

Test(gaps, of_all_chains_together_are_bounded)
{
    gaps *g = gaps_new();
    char chain[16];

    for (unsigned i = 0; i < 8; i++) {
        snprintf(chain, sizeof chain, "%u", i);
        make_gaps(g, chain, GAPS_A_CHAIN);
        cr_assert_leq(gaps_beyond(g), GAPS_IN_ALL);
    }
    cr_assert_eq(gaps_chains(g), 5, "%u chains", gaps_chains(g));
    gaps_free(g);
}

/* ---- Recent ---- */

static unsigned released;

static void release(void *item)
{
    (void)item;
    released++;
}

typedef struct got {
    int items[RECENT_MESSAGES + 1];
    size_t n;
    bool refuse;
} got;

static bool take_item(void *ctx, void *item)
{
    got *to = ctx;

    to->items[to->n++] = *(int *)item;
    return !to->refuse;
}

static int numbers[400];

static void number_items(void)
{
    for (int i = 0; i < (int)COUNT_OF(numbers); i++)
        numbers[i] = i;
    released = 0;
}

static got feed(recent *r, char to, int64_t now_ms, bool refuse)
{
    got g = {.n = 0, .refuse = refuse};
    node_id id = id_of(to);

    recent_feed(r, &id, now_ms, take_item, &g);
    return g;
}

Test(recent, gives_a_message_to_two_and_not_to_its_source, .init = number_items)
{
    recent *r = recent_new(release);
    node_id source = id_of('s');

    recent_add(r, &numbers[7], 10, &source, NULL, 0, 0);
    cr_assert_eq(feed(r, 's', 1, false).n, 0);
    cr_assert_eq(feed(r, 'a', 1, true).n, 1, "could not be sent: does not count");
    cr_assert_eq(feed(r, 'a', 2, false).items[0], 7);
    cr_assert_eq(feed(r, 'a', 3, false).n, 0, "it has it");
    cr_assert_eq(released, 0);
    cr_assert_eq(feed(r, 'b', 4, false).n, 1);
    cr_assert_eq(released, 1);
    cr_assert_eq(feed(r, 'c', 5, false).n, 0);
    cr_assert_eq(recent_count(r), 0);
    recent_free(r);
    cr_assert_eq(released, 1);
}

Test(recent, counts_who_got_it_at_first, .init = number_items)
{
    recent *r = recent_new(release);
    node_id both[2] = {id_of('a'), id_of('b')};

    recent_add(r, &numbers[0], 10, NULL, both, 2, 0);
    cr_assert_eq(released, 1, "two have it");
    recent_add(r, &numbers[1], 10, NULL, both, 1, 0);
    cr_assert_eq(feed(r, 'a', 1, false).n, 0);
    cr_assert_eq(feed(r, 'b', 1, false).n, 1);
    cr_assert_eq(released, 2);
    recent_free(r);
}

Test(recent, keeps_ten_seconds, .init = number_items)
{
    recent *r = recent_new(release);

    recent_add(r, &numbers[0], 10, NULL, NULL, 0, 0);
    recent_add(r, &numbers[1], 10, NULL, NULL, 0, 5);
    cr_assert_eq(feed(r, 'a', RECENT_MS - 1, true).n, 2);
    cr_assert_eq(feed(r, 'a', RECENT_MS, true).n, 1);
    cr_assert_eq(released, 1);
    recent_expire(r, RECENT_MS + 5);
    cr_assert_eq(recent_count(r), 0);
    recent_free(r);
}

Test(recent, keeps_the_last_150_in_order_and_no_more_bytes_than_its_bound, .init = number_items)
{
    recent *r = recent_new(release);
    got g;

    for (int i = 0; i < 400; i++)
        recent_add(r, &numbers[i], 10, NULL, NULL, 0, i);
    cr_assert_eq(released, 400 - RECENT_MESSAGES);
    g = feed(r, 'a', 400, true);
    cr_assert_eq(g.n, RECENT_MESSAGES);
    for (int i = 0; i < (int)g.n; i++)
        cr_assert_eq(g.items[i], 250 + i);
    recent_add(r, &numbers[0], RECENT_BYTES - 15, NULL, NULL, 0, 400);
    cr_assert_eq(recent_count(r), 2);
    recent_add(r, &numbers[0], RECENT_BYTES + 1, NULL, NULL, 0, 400);
    cr_assert_eq(recent_count(r), 2, "too large to keep");
    recent_free(r);
    cr_assert_eq(released, 402);
}

/* ---- Calls ---- */

static envelope response_to(const char *id)
{
    envelope e = sample(ENVELOPE_RESPONSE);

    e.request_id = pb_bytes_of(id);
    return e;
}

Test(calls, are_answered_once_and_by_the_node_that_was_asked)
{
    static const char id[] = "00000000-0000-4000-8000-000000000009";
    calls *c = calls_new();
    node_id a = id_of('a'), b = id_of('b');
    envelope response = response_to(id), request = response;
    int user;

    request.kind = ENVELOPE_REQUEST;
    cr_assert(calls_add(c, id, &a, &user, 100));
    cr_assert_null(calls_take(c, &response, &b));
    cr_assert_null(calls_take(c, &request, &a));
    cr_assert_eq(calls_take(c, &response, &a), &user);
    cr_assert_null(calls_take(c, &response, &a));
    response = response_to("short");
    cr_assert_null(calls_take(c, &response, &a));
    cr_assert_eq(calls_next_ms(c), INT64_MAX);
    calls_free(c);
}

Test(calls, end_in_the_order_of_their_deadlines)
{
    uuid_source ids = {.left = 0};
    calls *c = calls_new();
    node_id a = id_of('a');
    static char id[1000][UUID_LEN];
    static int64_t due[1000];
    int64_t last = -1;
    unsigned n = 0;
    int64_t *user;

    for (unsigned i = 0; i < 1000; i++) {
        uuid_make(&ids, id[i]);
        due[i] = (i * 7919) % 503;
        cr_assert(calls_add(c, id[i], i % 2 ? &a : NULL, &due[i], due[i]));
    }
    for (unsigned i = 0; i < 1000; i += 3) {
        envelope e = sample(ENVELOPE_ERROR);

        e.request_id = pb_bytes_from(id[i], UUID_LEN);
        cr_assert_eq(calls_take(c, &e, &a), &due[i]);
    }
    cr_assert_null(calls_expired(c, -1));
    for (; (user = calls_expired(c, INT64_MAX)) != NULL; n++) {
        cr_assert_geq(*user, last);
        cr_assert_neq((user - due) % 3, 0);
        last = *user;
    }
    cr_assert_eq(n, 666);
    calls_free(c);
}

Test(calls, are_bounded)
{
    uuid_source ids = {.left = 0};
    calls *c = calls_new();
    char id[UUID_LEN];

    for (unsigned i = 0; i < CALLS_MAX; i++) {
        uuid_make(&ids, id);
        cr_assert(calls_add(c, id, NULL, c, i));
    }
    uuid_make(&ids, id);
    cr_assert_not(calls_add(c, id, NULL, c, 0));
    cr_assert_eq(calls_next_ms(c), 0);
    calls_free(c);
}
