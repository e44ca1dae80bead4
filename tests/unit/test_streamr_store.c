/* Data kept for others: how long, how much, whose. */
#include "control/store.h"

#include <criterion/criterion.h>

static node_id id_of(unsigned n)
{
    node_id id = {{0}};

    put_u32be(id.bytes, n);
    return id;
}

typedef struct rig {
    store *s;
    uint8_t memory[1 << 20];
    pb_list found;
} rig;
static rig r;

static bool put(unsigned sender, unsigned key, unsigned creator, int64_t created_ms,
                const char *data, int64_t now_ms)
{
    node_id from = id_of(sender), k = id_of(key), c = id_of(creator);
    rpc_timestamp created = rpc_timestamp_of_ms(created_ms);
    rpc_any any = {.type_url = pb_bytes_of("x/dht.PeerDescriptor"), .value = pb_bytes_of(data)};
    dht_store_request q = {.key = node_id_bytes(&k),
                           .data = &any,
                           .creator = node_id_bytes(&c),
                           .created = &created,
                           .ttl_ms = 1000000};

    return store_put(r.s, &from, &q, now_ms);
}

static unsigned get(unsigned key, int64_t now_ms)
{
    node_id k = id_of(key);
    pb_arena arena = {r.memory, sizeof r.memory, 0};

    r.found = (pb_list){NULL, 0, 0};
    store_get(r.s, &k, false, &r.found, &arena, now_ms);
    return r.found.n;
}

static const dht_entry *first(void)
{
    return ((dht_entry **)r.found.items)[0];
}

static void begin(void)
{
    r.s = store_new();
}

static void end(void)
{
    store_free(r.s);
}

TestSuite(streamr_store, .init = begin, .fini = end);

Test(streamr_store, what_is_stored_comes_back_for_a_minute_at_most)
{
    cr_assert(put(1, 10, 100, 5000, "here", 6000));
    cr_assert_eq(get(10, 6000), 1);
    cr_assert(pb_bytes_are(first()->data->value, "here"));
    cr_assert_eq(rpc_timestamp_ms(first()->created), 5000);
    cr_assert_eq(first()->ttl_ms, STORE_TTL_MS);
    cr_assert_eq(get(11, 6000), 0);
    cr_assert_eq(get(10, 6000 + STORE_TTL_MS - 1), 1);
    cr_assert_eq(get(10, 6000 + STORE_TTL_MS), 0);
}

Test(streamr_store, what_is_older_changes_nothing_and_deleted_is_until_said_again)
{
    node_id key = id_of(10), creator = id_of(100);

    cr_assert(put(1, 10, 100, 5000, "new", 6000));
    cr_assert(put(1, 10, 100, 4000, "old", 6000));
    cr_assert_eq(get(10, 6000), 1);
    cr_assert(pb_bytes_are(first()->data->value, "new"));
    store_delete(r.s, &key, &creator);
    cr_assert(get(10, 6000) == 1 && first()->deleted);
    cr_assert(put(1, 10, 100, 7000, "newer", 7000));
    cr_assert(get(10, 7000) == 1 && !first()->deleted);
    cr_assert(pb_bytes_are(first()->data->value, "newer"));
}

Test(streamr_store, one_sender_one_key_and_all_have_only_so_much)
{
    static char huge[STORE_DATA_MAX + 1];
    unsigned n = 0;

    memset(huge, 'x', sizeof huge - 1);
    cr_assert(!put(9, 1, 1, 1, huge, 1));
    while (n < 10000 && put(1, n, 1, 1, "x", 1))
        n++;
    cr_assert_eq(n, STORE_PER_SENDER);
    n = 0;
    for (unsigned i = 0; i < 10000; i++)
        n += put(100 + i, 77777, i, 1, "x", 1);
    cr_assert_eq(n, STORE_PER_KEY);
    n = 0;
    for (unsigned i = 0; i < 10000; i++)
        n += put(1000 + i / 100, 100000 + i, 1, 1, "x", 1);
    cr_assert_eq(n, STORE_MAX - STORE_PER_SENDER - STORE_PER_KEY);
    cr_assert_eq(get(0, 1), 1, "nobody's entry went");
    cr_assert(put(5, 5, 5, 1, "x", 1 + STORE_TTL_MS), "there is room again");
}
