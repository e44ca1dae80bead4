/* Any bytes as a frame and as every message that a frame can hold. What is read is the same
 * after writing and reading it again, and the reader without tables agrees with the tables. */
#include "wire/envelope.h"
#include "wire/identity.h"
#include "wire/network.h"

#include <stdlib.h>

#define ARENA (256u * 1024u)

static uint8_t memory[2][ARENA] __attribute__((aligned(16)));

/* decode, encode, decode, encode: both encodings are the same. */
static void round_trip(const pb_table *table, pb_bytes in)
{
    pb_arena arena = {memory[0], ARENA, 0}, again = {memory[1], ARENA, 0};
    void *msg = pb_alloc(&arena, table->size), *back = pb_alloc(&again, table->size);
    sb first = SB_INIT, second = SB_INIT;

    if (pb_decode(table, msg, in.ptr, in.len, &arena) == NULL) {
        must(pb_encode(table, msg, &first));
        must(pb_decode(table, back, first.data, first.len, &again) == NULL);
        must(pb_encode(table, back, &second));
        must(first.len == second.len &&
             (first.len == 0 || memcmp(first.data, second.data, first.len) == 0));
    }
    sb_done(&first);
    sb_done(&second);
}

static bool same(pb_bytes a, pb_bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static void agree(const envelope *e, pb_bytes frame)
{
    pb_arena arena = {memory[0], ARENA, 0};
    dht_message m;
    const char *why = pb_decode(&dht_message_table, &m, frame.ptr, frame.len, &arena);

    /* The envelope does not look into what it does not need. */
    if (why != NULL)
        return;
    must(same(e->message_id, m.message_id) && same(e->service, m.service));
    must((e->source.ptr != NULL) == (m.source != NULL));
    must((e->target.ptr != NULL) == (m.target != NULL));
    must((e->kind <= ENVELOPE_ERROR) == (m.which == 5));
    if (m.which != 5) {
        must((uint32_t)e->kind == m.which);
        return;
    }
    must(same(e->request_id, m.rpc->request_id));
    must(same(e->method, rpc_header_get(m.rpc, "method")));
    must((e->type.ptr != NULL) == (m.rpc->body != NULL));
    if (m.rpc->body != NULL) {
        must(same(e->type, wire_type_name(m.rpc->body->type_url)));
        must(same(e->body, m.rpc->body->value));
    }
    if (e->kind == ENVELOPE_ERROR)
        must(pb_has(&rpc_message_table, m.rpc, 4) && m.rpc->error_type == e->error_type);
}

static void written_again(const envelope *e)
{
    sb first = SB_INIT, second = SB_INIT;
    envelope back;

    envelope_append(e, &first);
    if (envelope_read(first.data, first.len, &back) == NULL) {
        must(back.kind == e->kind && same(back.message_id, e->message_id));
        must(same(back.service, e->service) && same(back.method, e->method));
        must(same(back.request_id, e->request_id) && same(back.type, e->type));
        must(same(back.body, e->body) && same(back.source, e->source));
        must(same(back.error_text, e->error_text) || e->kind != ENVELOPE_ERROR);
        envelope_append(&back, &second);
        must(first.len == second.len && memcmp(first.data, second.data, first.len) == 0);
    } else
        must(first.len > ENVELOPE_MAX); /* the prefix of the type made it longer */
    sb_done(&first);
    sb_done(&second);
}

static void fanned(const envelope *e)
{
    envelope_fan fan = {SB_INIT, SB_INIT, {NULL, 0}};
    uuid_source ids = {.left = 0};
    size_t len;
    uint8_t *out;
    envelope back;

    envelope_fan_init(&fan, e);
    len = envelope_fan_size(&fan, e->target);
    out = malloc(len);
    must(out != NULL && envelope_fan_put(&fan, e->target, &ids, out) == out + len);
    if (len <= ENVELOPE_MAX) {
        must(envelope_read(out, len, &back) == NULL && back.kind == ENVELOPE_NOTIFICATION);
        must(same(back.body, e->body) && same(back.target, e->target));
        must(envelope_size(&back) == len);
    }
    free(out);
    envelope_fan_done(&fan);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pb_bytes in = {data, size}, stream;
    uint32_t partition;
    envelope e, inner;
    node_id id;
    sb out = SB_INIT;

    for (const pb_table *const *t = wire_tables; *t != NULL; t++)
        round_trip(*t, in);
    peer_node_id(in, &id);
    if (stream_part_read(in, &stream, &partition)) {
        stream_part_write(stream, partition, &out);
        must(same(in, pb_bytes_from(out.data, out.len)));
    }
    sb_done(&out);
    if (envelope_read(data, size, &e) != NULL)
        return 0;
    agree(&e, in);
    written_again(&e);
    if (e.kind == ENVELOPE_NOTIFICATION && e.type.ptr != NULL)
        fanned(&e);
    for (const pb_table *const *t = wire_tables; *t != NULL; t++)
        round_trip(*t, e.body);
    if (e.kind <= ENVELOPE_ERROR && envelope_is(&e, &dht_route_table)) {
        pb_arena arena = {memory[0], ARENA, 0};
        dht_route route;

        if (envelope_open(&e, &dht_route_table, &route, &arena) == NULL &&
            envelope_read(route.message.ptr, route.message.len, &inner) == NULL)
            written_again(&inner);
    }
    return 0;
}
