/* What stream parts read of a message, and whom they remember as candidates. */
#include "delivery/glance.h"
#include "delivery/view.h"
#include "streamr/streamr.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <stdlib.h>

/* ---- glance ---- */

static json_t *vectors(void)
{
    json_error_t error;
    json_t *root = json_load_file(TEST_VECTORS "/streamr.json", 0, &error);

    cr_assert_not_null(root, "%s", error.text);
    return root;
}

static void same_text(pb_bytes got, broker_str want)
{
    cr_assert_eq(got.len, want.len);
    cr_assert(memcmp(got.ptr, want.ptr, want.len) == 0);
}

static void expect_same(pb_bytes bytes)
{
    broker_msg m;
    glance g;

    cr_assert_null(streamr_decode(bytes.ptr, bytes.len, &m));
    cr_assert_null(glance_read(bytes, &g));
    same_text(g.stream, m.stream);
    same_text(g.chain, m.chain);
    same_text(g.publisher, (broker_str){(const char *)m.publisher.ptr, m.publisher.len});
    cr_assert_eq(g.partition, m.partition);
    cr_assert_eq(g.number.timestamp_ms, m.timestamp_ms);
    cr_assert_eq(g.number.sequence, m.sequence);
    cr_assert_eq(g.has_previous, (m.flags & BROKER_MSG_HAS_PREV) != 0);
    if (g.has_previous) {
        cr_assert_eq(g.previous.timestamp_ms, m.prev_timestamp_ms);
        cr_assert_eq(g.previous.sequence, m.prev_sequence);
    }
    cr_assert_eq((int)g.body, m.body);
}

Test(glance, sees_in_real_messages_what_the_codec_sees)
{
    json_t *root = vectors(), *one;
    size_t i;

    json_array_foreach(json_object_get(root, "streamMessages"), i, one)
    {
        const char *hex = json_string_value(json_object_get(one, "protobuf"));
        size_t len = strlen(hex) / 2;
        uint8_t *bytes = malloc(len); /* at its exact size, for the sanitizer */

        cr_assert(hex_decode(bytes, hex, strlen(hex)));
        expect_same((pb_bytes){bytes, len});
        for (size_t cut = 0; cut < len; cut++) {
            glance g;

            glance_read((pb_bytes){bytes, cut}, &g); /* whatever it says: nothing is read beyond */
        }
        free(bytes);
    }
    cr_assert_geq(i, 13);
    json_decref(root);
}

static const char *read_bytes(const char *bytes, size_t len)
{
    glance g;

    return glance_read(pb_bytes_from(bytes, len), &g);
}

#define ID "\x0a\x03\x0a\x01s" /* field 1, a message with field 1 "s" */

Test(glance, refuses_what_two_readers_could_read_in_two_ways)
{
    static const struct {
        const char *bytes, *why;
    } cases[] = {
        {ID "\x2a\x01\x18\x32\x01\x18", "two bodies in one message"},
        {ID ID "\x2a\x01\x18", "a field is given twice"},
        {"\x0a\x06\x0a\x01s\x0a\x01t\x2a\x01\x18", "a field is given twice"},
        {"\x08\x01\x2a\x01\x18", "a field has another wire type than the protocol gives it"},
        {ID, "a message without a body"},
        {"\x2a\x01\x18", "a message without an id"},
    };

    for (unsigned i = 0; i < COUNT_OF(cases); i++) {
        const char *why = read_bytes(cases[i].bytes, strlen(cases[i].bytes));

        cr_assert_not_null(why, "case %u", i);
        cr_assert_str_eq(why, cases[i].why);
    }
    cr_assert_null(read_bytes(ID "\x2a\x01\x18", sizeof ID "\x2a\x01\x18" - 1));
}

/* ---- view ---- */

static sb descriptor(uint8_t first, bool has_server)
{
    peer_self self = {.host = has_server ? "127.0.0.1" : NULL, .port = 1};
    sb out = SB_INIT;

    memset(&self.id, first, sizeof self.id);
    peer_encode(&self, &out);
    return out;
}

static bool add(view_set *v, uint8_t id, bool has_server)
{
    sb d = descriptor(id, has_server);
    bool added = view_add(v, pb_bytes_from(d.data, d.len));

    sb_done(&d);
    return added;
}

static void begin(view_set *v, unsigned size)
{
    sb self = descriptor(0, true);

    view_init(v, pb_bytes_from(self.data, self.len), size);
    sb_done(&self);
}

static bool refuses(void *ctx, const node_id *id)
{
    return ctx != NULL && id->bytes[0] == *(uint8_t *)ctx;
}

static int picked(const view_set *v, view_order order, uint8_t but)
{
    const candidate *c = view_pick(v, order, refuses, &but);

    return c != NULL ? c->id.bytes[0] : -1;
}

Test(view, picks_by_distance_ring_and_server)
{
    view_set v;

    begin(&v, 20);
    cr_assert_eq(picked(&v, VIEW_NEAREST, 0), -1);
    cr_assert(add(&v, 9, true));
    cr_assert(add(&v, 2, false));
    cr_assert(add(&v, 200, true));
    cr_assert_not(add(&v, 9, true), "known");
    cr_assert_not(add(&v, 0, true), "ourselves");
    cr_assert_eq(picked(&v, VIEW_NEAREST, 0), 2);
    cr_assert_eq(picked(&v, VIEW_NEAREST, 2), 9);
    cr_assert_eq(picked(&v, VIEW_SERVER, 0), 9);
    cr_assert_eq(picked(&v, VIEW_LEFT, 0), 200, "from 0 to the left the highest comes first");
    cr_assert_eq(picked(&v, VIEW_RIGHT, 0), 2);
    for (unsigned i = 0; i < 50; i++)
        cr_assert_neq(picked(&v, VIEW_RANDOM, 9), 9);
    view_done(&v);
}

Test(view, never_grows_and_the_nearest_stay)
{
    view_set v;

    begin(&v, 5);
    for (unsigned i = 255; i > 0; i--)
        add(&v, (uint8_t)i, true);
    cr_assert_eq(view_count(&v), 10);
    for (uint8_t i = 1; i <= 5; i++) {
        cr_assert_eq(picked(&v, VIEW_NEAREST, 0), i);
        view_remove(&v, &v.near[0].id);
    }
    cr_assert_eq(view_count(&v), 5);
    view_done(&v);
}

Test(view, near_ids_cannot_fill_all_of_it)
{
    view_set v;
    bool far = false;

    begin(&v, 5);
    for (unsigned i = 0; i < 5; i++)
        add(&v, (uint8_t)(200 + i), true);
    for (uint8_t i = 1; i <= 5; i++)
        add(&v, i, true);
    for (unsigned i = 0; i < v.n_others; i++)
        far = far || v.others[i].id.bytes[0] >= 200;
    cr_assert(far);
    view_done(&v);
}

Test(view, takes_over_where_a_node_has_moved_to)
{
    view_set v;
    uint8_t none = 0;
    const candidate *c;

    begin(&v, 5);
    add(&v, 7, false);
    cr_assert_not(add(&v, 7, true));
    c = view_pick(&v, VIEW_SERVER, refuses, &none);
    cr_assert_not_null(c);
    cr_assert_eq(view_count(&v), 1);
    view_done(&v);
}
