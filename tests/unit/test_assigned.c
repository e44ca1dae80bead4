/* logstore as a storage node: which parts are whose, the table of streams, lines for version 8. */
#include "assigned.h"
#include "cluster.h"
#include "eth/eth.h"
#include "streamr/streamr.h"
#include "v8.h"

#include <criterion/criterion.h>

#define OWNER "0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a"

static broker_str str(const char *text)
{
    return (broker_str){text, strlen(text)};
}

/* ---- cluster ---- */

Test(cluster, each_part_has_one_owner_and_a_cluster_of_one_has_all)
{
    static const uint8_t own[20] = {0};

    for (uint32_t size = 1; size < 5; size++)
        for (uint32_t p = 0; p < 100; p++) {
            uint32_t owners = 0;

            for (uint32_t i = 0; i < size; i++) {
                cluster c = {.size = size, .index = i};

                memcpy(c.address, own, sizeof own);
                owners += cluster_owns(&c, str(OWNER "/a"), p);
            }
            cr_assert_eq(owners, 1, "part %u of a cluster of %u has %u owners", p, size, owners);
        }
}

/* abs(int32le(md5("<id>#<n>")[0..3])) mod size, computed by others. */
Test(cluster, an_owner_is_the_one_the_streamr_storage_plugin_chooses)
{
    static const struct {
        const char *stream;
        uint32_t partition, size, index;
    } cases[] = {
        {"name.eth/x0", 17, 2, 1},
        {"0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a/sensors", 15, 7, 1},
        {"0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a/Ä", 60, 7, 4},
        {"name.eth/x3", 26, 2, 1},
        {"0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a/Ä", 3, 7, 6},
        {"0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a/Ä", 77, 2, 0},
        {"name.eth/x6", 89, 7, 2},
        {"0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a/sensors", 92, 3, 1},
        {"0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a/a", 40, 2, 1},
        {"name.eth/x9", 2, 2, 0},
        {"0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a/a", 48, 3, 1},
        {"0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a/Ä", 92, 2, 1},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        cluster c = {.size = cases[i].size, .index = cases[i].index};

        cr_assert(cluster_owns(&c, str(cases[i].stream), cases[i].partition), "case %zu", i);
    }
}

Test(cluster, settings_have_the_defaults_of_the_storage_plugin)
{
    static const char other[] =
        "{\"clusterAddress\":\"0xE1FAE9B4FAB2F5726677ECFA912D96B0B683E6A9\","
        "\"clusterSize\":3,\"myIndexInCluster\":2}",
                      wrong[] = "{\"clusterSize\":3,\"myIndexInCluster\":3}";
    uint8_t own[20];
    sb why = SB_INIT;
    cluster c;
    char text[43];

    memset(own, 7, sizeof own);
    cr_assert(cluster_read("{}", 2, own, &c, &why));
    cr_assert(c.size == 1 && c.index == 0 && memcmp(c.address, own, sizeof own) == 0);
    cr_assert(cluster_read(other, sizeof other - 1, own, &c, &why));
    eth_address_text(c.address, text);
    cr_assert_str_eq(text, "0xe1fae9b4fab2f5726677ecfa912d96b0b683e6a9");
    cr_assert(c.size == 3 && c.index == 2);
    cr_assert_not(cluster_read(wrong, sizeof wrong - 1, own, &c, &why));
    cr_assert_str_eq(why.data, "'cluster.myIndexInCluster' is 3, but a cluster of 3 has indexes "
                               "from 0 to 2");
    sb_done(&why);
}

/* ---- the table ---- */

static void count_each(void *arg, assigned *a)
{
    (void)a;
    ++*(size_t *)arg;
}

static void drop_each(void *arg, assigned *a)
{
    assigned_drop(arg, a);
}

static assigned *add(assigned_set *s, unsigned i)
{
    char id[80];

    snprintf(id, sizeof id, OWNER "/%u", i);
    return assigned_add(s, str(id));
}

Test(assigned, what_is_added_is_found_until_it_is_dropped)
{
    assigned_set *s = assigned_set_new();
    assigned *a = add(s, 1);
    size_t n = 0;

    cr_assert_eq(add(s, 1), a);
    cr_assert_eq(assigned_find(s, assigned_id(a)), a);
    cr_assert_null(assigned_find(s, str(OWNER "/2")));
    add(s, 2);
    assigned_each(s, count_each, &n);
    cr_assert_eq(n, 2);
    assigned_each(s, drop_each, s);
    cr_assert_eq(assigned_count(s), 0);
    cr_assert_null(assigned_find(s, str(OWNER "/1")));
    assigned_set_free(s);
}

Test(assigned, the_table_has_an_end)
{
    assigned_set *s = assigned_set_new();

    for (unsigned i = 0; i < ASSIGNED_STREAMS_MAX; i++)
        cr_assert_not_null(add(s, i));
    cr_assert_null(add(s, ASSIGNED_STREAMS_MAX));
    cr_assert_not_null(add(s, 7), "what is in it is still found");
    assigned_set_free(s);
}

Test(assigned, what_is_saved_is_loaded_and_any_damage_is_survived)
{
    static const uint8_t of[20] = {1, 2, 3}, other[20] = {9};
    assigned_set *s = assigned_set_new(), *t;
    assigned *a = add(s, 1);
    uint64_t position = 0;
    sb bytes = SB_INIT;

    *a = (assigned){.next = a->next,
                    .at = a->at,
                    .stream = a->stream,
                    .len = a->len,
                    .stored = true,
                    .told = true,
                    .partitions = 100,
                    .said = SAID_REMOVED};
    add(s, 2)->said = SAID_ADDED;
    assigned_save(s, of, 12345, &bytes);
    t = assigned_set_new();
    cr_assert(assigned_load(t, bytes.data, bytes.len, of, &position));
    cr_assert(assigned_count(t) == 2 && position == 12345);
    a = assigned_find(t, str(OWNER "/1"));
    cr_assert(a->stored && a->told && a->partitions == 100 && a->said == SAID_REMOVED);
    cr_assert_eq(assigned_find(t, str(OWNER "/2"))->said, SAID_ADDED);
    assigned_set_free(t);
    t = assigned_set_new();
    cr_assert_not(assigned_load(t, bytes.data, bytes.len, other, &position));
    assigned_set_free(t);
    for (size_t len = 0; len < bytes.len; len++) {
        t = assigned_set_new();
        cr_assert_not(assigned_load(t, bytes.data, len, of, &position), "of %zu bytes", len);
        assigned_set_free(t);
    }
    sb_done(&bytes);
    assigned_set_free(s);
}

Test(assigned, a_pattern_or_a_name_in_another_case_is_no_stream)
{
    static const char *const good[] = {OWNER "/a", "name.eth/A/b"},
                             *const bad[] = {
                                 "",         "/a",
                                 OWNER "/*", "Name.eth/a",
                                 "name.eth", "0x19E7E376e7c213b7e7e7e46cc70a5dd086daff2a/a"};

    for (size_t i = 0; i < COUNT_OF(good); i++)
        cr_assert(assigned_is_stream(str(good[i])), "%s", good[i]);
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        cr_assert_not(assigned_is_stream(str(bad[i])), "%s", bad[i]);
}

/* ---- version 8 ---- */

Test(v8, what_version_8_could_not_verify_has_no_line)
{
    static const struct {
        uint8_t signature, content, encryption;
        bool new_key;
        v8_fit fit;
    } cases[] = {
        {BROKER_SIGNATURE_LEGACY, BROKER_CONTENT_JSON, BROKER_ENCRYPTION_NONE, false, V8_FITS},
        {BROKER_SIGNATURE_LEGACY, BROKER_CONTENT_JSON, BROKER_ENCRYPTION_AES, true, V8_FITS},
        {BROKER_SIGNATURE_SECP256K1, BROKER_CONTENT_JSON, BROKER_ENCRYPTION_NONE, false, V8_FITS},
        {BROKER_SIGNATURE_SECP256K1, BROKER_CONTENT_JSON, BROKER_ENCRYPTION_AES, false,
         V8_ENCRYPTED},
        {BROKER_SIGNATURE_SECP256K1, BROKER_CONTENT_JSON, BROKER_ENCRYPTION_NONE, true,
         V8_ENCRYPTED},
        {BROKER_SIGNATURE_SECP256K1, BROKER_CONTENT_BINARY, BROKER_ENCRYPTION_NONE, false,
         V8_BINARY},
        {BROKER_SIGNATURE_ERC_1271, BROKER_CONTENT_JSON, BROKER_ENCRYPTION_NONE, false,
         V8_SIGNATURE},
        {BROKER_SIGNATURE_ML_DSA_87, BROKER_CONTENT_JSON, BROKER_ENCRYPTION_NONE, false,
         V8_SIGNATURE},
        {BROKER_SIGNATURE_SECP256R1, BROKER_CONTENT_JSON, BROKER_ENCRYPTION_NONE, false,
         V8_SIGNATURE},
    };
    static const uint8_t bytes[65] = {0};

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        broker_msg m = {.size = sizeof m,
                        .body = BROKER_BODY_CONTENT,
                        .stream = str(OWNER "/a"),
                        .chain = str("c"),
                        .publisher = {bytes, 20},
                        .signature = {bytes, 65},
                        .content = {(const uint8_t *)"{\"a\":1}", 7},
                        .signature_type = cases[i].signature,
                        .content_type = cases[i].content,
                        .encryption_type = cases[i].encryption};
        sb line = SB_INIT;

        if (m.encryption_type != BROKER_ENCRYPTION_NONE) {
            m.flags |= BROKER_MSG_HAS_KEY_ID;
            m.group_key_id = str("k");
        }
        if (cases[i].new_key) {
            m.flags |= BROKER_MSG_HAS_NEW_KEY;
            m.new_key_id = str("l");
            m.new_key_data = (broker_bytes){bytes, 48};
        }
        cr_assert_eq(v8_line(&m, &line), cases[i].fit, "case %zu", i);
        cr_assert_eq(line.len != 0, cases[i].fit == V8_FITS, "case %zu", i);
        if (line.len != 0) {
            sb store = SB_INIT;
            broker_msg again;

            cr_assert_eq(line.data[line.len - 1], '\n');
            cr_assert_null(memchr(line.data, '\n', line.len - 1));
            cr_assert_null(streamr_json_decode(line.data, line.len - 1, &store, &again));
            m.signature_type = BROKER_SIGNATURE_LEGACY;
            cr_assert(streamr_same_payload(&m, &again), "case %zu", i);
            sb_done(&store);
        }
        sb_done(&line);
    }
}
