/* bus: which subscriptions want a stream part. */
#include "bus/topic.h"

#include <criterion/criterion.h>

#define A "0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a/a"

static broker_str str(const char *text)
{
    return (broker_str){text, strlen(text)};
}

/* Which entries of those given are found, as digits in the order they come. */
static const char *found(topic *t, const topic_entry *entries, const char *stream,
                         uint32_t partition)
{
    static char text[16];
    size_t n;
    topic_entry *const *got = topic_find(t, str(stream), partition, &n);

    for (size_t i = 0; i < n; i++)
        text[i] = (char)('0' + (got[i] - entries));
    text[n] = '\0';
    return text;
}

Test(topic, what_wants_a_part_is_found_in_order_of_registration)
{
    static const struct {
        const char *pattern;
        uint32_t partition;
    } wants[] = {
        {"*", BROKER_ALL_PARTITIONS}, {A, 0}, {"0x19E7*", 1},
        {A, BROKER_ALL_PARTITIONS},   {A, 1}, {"0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a/*", 1},
    };
    topic *t = topic_new();
    topic_entry entries[COUNT_OF(wants)];

    memset(entries, 0, sizeof entries);
    for (size_t i = 0; i < COUNT_OF(wants); i++) {
        topic_add(t, &entries[i], str(wants[i].pattern), wants[i].partition);
        found(t, entries, A, 0); /* what is remembered must change with the next */
        found(t, entries, A, 1);
    }
    cr_assert_str_eq(found(t, entries, A, 0), "013");
    cr_assert_str_eq(found(t, entries, A, 1), "02345");
    cr_assert_str_eq(found(t, entries, A, 2), "03");
    cr_assert_str_eq(found(t, entries, A "b", 1), "025");
    cr_assert_str_eq(found(t, entries, "a.eth/x", 1), "0");
    topic_remove(t, &entries[0]);
    topic_remove(t, &entries[4]);
    cr_assert_str_eq(found(t, entries, A, 1), "235");
    cr_assert_str_eq(found(t, entries, "a.eth/x", 1), "");
    for (size_t i = 1; i < COUNT_OF(wants); i++)
        if (i != 4)
            topic_remove(t, &entries[i]);
    cr_assert_str_eq(found(t, entries, A, 0), "");
    topic_free(t);
}

Test(topic, the_same_subscription_is_found_again)
{
    topic *t = topic_new();
    topic_entry entries[4], *first, *second;

    memset(entries, 0, sizeof entries);
    topic_add(t, &entries[0], str(A), 1);
    topic_add(t, &entries[1], str(A), 2);
    topic_add(t, &entries[2], str(A), 1);
    topic_add(t, &entries[3], str("*/a"), BROKER_ALL_PARTITIONS);
    first = topic_same(t, str("0x19E7E376e7c213b7e7e7e46cc70a5dd086daff2a/a"), 1, NULL);
    second = topic_same(t, str(A), 1, first);
    cr_assert(first != second && (first == &entries[0] || first == &entries[2]) &&
              (second == &entries[0] || second == &entries[2]));
    cr_assert_null(topic_same(t, str(A), 1, second));
    cr_assert_null(topic_same(t, str(A), BROKER_ALL_PARTITIONS, NULL));
    cr_assert_eq(topic_same(t, str("*/a"), BROKER_ALL_PARTITIONS, NULL), &entries[3]);
    for (size_t i = 0; i < COUNT_OF(entries); i++)
        topic_remove(t, &entries[i]);
    topic_free(t);
}
