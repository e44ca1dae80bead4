/* logstore: query parameters, with the texts of the two specs to the letter. */
#include "query.h"

#include <criterion/criterion.h>

/* "name=value&name=value", not encoded. */
static broker_str param(void *arg, const char *name)
{
    size_t n = strlen(name);

    for (const char *at = arg; *at != '\0';) {
        size_t len = strcspn(at, "&");

        if (len > n && memcmp(at, name, n) == 0 && at[n] == '=')
            return (broker_str){at + n + 1, len - n - 1};
        at += len + (at[len] == '&');
    }
    return (broker_str){NULL, 0};
}

static unsigned parse(bool streams, const char *kind, const char *text, query *q, sb *why)
{
    sb_clear(why);
    return query_parse(streams, (broker_str){kind, strlen(kind)}, param, (void *)(uintptr_t)text, q,
                       why);
}

#define REQUIRED_TOO                                                                               \
    "Query parameter \"toTimestamp\" required as well. To request all messages "                   \
    "since a "                                                                                     \
    "timestamp, use the endpoint "

Test(query, what_cannot_be_read_is_refused_in_the_words_of_the_spec)
{
    static const struct {
        bool streams;
        const char *kind, *text, *why;
    } cases[] = {
        {false, "last", "format=protocol", "Query parameter \"format\" is invalid: protocol"},
        {false, "nope", "format=x", "Query parameter \"format\" is invalid: x"},
        {false, "last", "count=abc", "Query parameter \"count\" not a number: abc"},
        {false, "last", "count=1abc", "Query parameter \"count\" not a number: 1abc"},
        {false, "last", "count=", "Query parameter \"count\" not a number: "},
        {false, "last", "count= 12", "Query parameter \"count\" not a number:  12"},
        {false, "last", "count=99999999999999999999",
         "Query parameter \"count\" not a number: 99999999999999999999"},
        {false, "from", "", "Query parameter \"fromTimestamp\" required."},
        {false, "from", "fromTimestamp=zz", "Query parameter \"fromTimestamp\" not a number: zz"},
        {false, "range", "fromTimestamp=1",
         REQUIRED_TOO "/stores/:id/data/partitions/:partition/from"},
        {true, "range", "fromTimestamp=1",
         REQUIRED_TOO "/streams/:id/data/partitions/:partition/from"},
        {false, "range", "fromTimestamp=1&toTimestamp=b",
         "Query parameter \"toTimestamp\" not a number: b"},
        {false, "range", "fromTimestamp=1&toTimestamp=2&publisherId=0x12",
         "Invalid combination of \"publisherId\" and \"msgChainId\""},
        {false, "range", "fromTimestamp=1&toTimestamp=2&msgChainId=c",
         "Invalid combination of \"publisherId\" and \"msgChainId\""},
        {false, "range", "fromOffset=1",
         "Query parameters \"fromOffset\" and \"toOffset\" are no longer "
         "supported. Please use "
         "\"fromTimestamp\" and \"toTimestamp\"."},
        {true, "from", "fromTimestamp=1&fromSequenceNumber=q",
         "Query parameter \"fromSequenceNumber\" not a number: q"},
        {true, "from", "fromTimestamp=1&publisherId=zz",
         "Query parameter \"publisherId\" not valid: zz"},
        {true, "range", "fromTimestamp=1&toTimestamp=2&publisherId=zz",
         "Invalid combination of \"publisherId\" and \"msgChainId\""}, /* the pair
                                                                          comes
                                                                          first */
        {true, "nope", "", "Unknown resend type"},
        {true, "nope", "format=x", "Query parameter \"format\" is invalid: x"},
    };
    query q;
    sb why = SB_INIT;

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        cr_assert_eq(parse(cases[i].streams, cases[i].kind, cases[i].text, &q, &why), 400,
                     "case %zu", i);
        cr_assert_str_eq(why.data, cases[i].why, "case %zu: %s", i, why.data);
    }
    cr_assert_eq(parse(false, "nope", "", &q, &why), 404);
    sb_done(&why);
}

Test(query, last_counts_from_the_end_and_negative_from_the_beginning)
{
    query q;
    sb why = SB_INIT;

    cr_assert_eq(parse(false, "last", "", &q, &why), 0);
    cr_assert(q.kind == QUERY_LAST && q.count == 1);
    cr_assert_eq(parse(false, "last", "count=0", &q, &why), 0);
    cr_assert(q.kind == QUERY_LAST && q.count == 0);
    cr_assert_eq(parse(false, "last", "count=-3", &q, &why), 0);
    cr_assert(q.kind == QUERY_FIRST && q.count == 3);
    cr_assert_eq(parse(false, "last", "count=-9223372036854775808", &q, &why), 0);
    cr_assert(q.kind == QUERY_FIRST && q.count == 1ull << 63);
    sb_done(&why);
}

Test(query, a_range_has_the_defaults_of_the_spec_and_takes_every_parameter)
{
    query q;
    sb why = SB_INIT;

    cr_assert_eq(parse(false, "range", "fromTimestamp=5&toTimestamp=9", &q, &why), 0);
    cr_assert(q.range.from_ms == 5 && q.range.to_ms == 9 && q.range.from_sequence == 0 &&
              q.range.to_sequence == INT32_MAX && q.form == FORM_OBJECT && !q.limited);
    cr_assert_eq(parse(true, "range",
                       "fromTimestamp=5&toTimestamp=9&fromSequenceNumber=2&"
                       "toSequenceNumber=0&"
                       "publisherId=0xABcd&msgChainId=c&format=raw&limit=7",
                       &q, &why),
                 0);
    cr_assert(q.range.from_sequence == 2 && q.range.to_sequence == 0 && q.form == FORM_RAW);
    cr_assert(q.range.publisher.len == 2 && q.publisher_bytes[0] == 0xab);
    cr_assert(q.range.chain.len == 1 && q.limited && q.limit == 7);
    sb_done(&why);
}
