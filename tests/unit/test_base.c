/* base: byte strings, hex, UTF-8, integers, hashes. */
#include "base/base.h"

#include <criterion/criterion.h>

Test(sb, json_strings_escape_what_must_be_and_mend_bad_utf8)
{
    sb out = SB_INIT;

    sb_json_string(&out, "a\"b\\c\n\x01\xff\xc3\xa4", 10);
    cr_assert_str_eq(out.data, "\"a\\\"b\\\\c\\n\\u0001\xef\xbf\xbd\xc3\xa4\"");
    sb_done(&out);
}

Test(hex, round_trips_and_refuses_other_digits)
{
    uint8_t bytes[4];
    char text[8];

    cr_assert(hex_decode(bytes, "00fFa5e1", 8));
    hex_encode(text, bytes, 4);
    cr_assert_eq(memcmp(text, "00ffa5e1", 8), 0);
    cr_assert_not(hex_decode(bytes, "0g", 2));
    cr_assert_not(hex_decode(bytes, "000", 3));
}

Test(utf8, refuses_overlong_surrogate_and_cut_sequences)
{
    cr_assert(utf8_ok("plain ascii, long enough for words \xf0\x9f\x98\x80", 39));
    cr_assert_not(utf8_ok("\xc0\xaf", 2));
    cr_assert_not(utf8_ok("\xed\xa0\x80", 3));
    cr_assert_not(utf8_ok("\xe2\x82", 2));
    cr_assert_not(utf8_ok("\xf4\x90\x80\x80", 4));
}

Test(parse, takes_whole_integers_only)
{
    int64_t x;

    cr_assert(parse_i64("-9223372036854775808", 20, &x));
    cr_assert_eq(x, INT64_MIN);
    cr_assert_not(parse_i64("9223372036854775808", 19, &x));
    cr_assert_not(parse_i64("12abc", 5, &x));
    cr_assert_not(parse_i64("-", 1, &x));
    cr_assert_not(parse_i64("", 0, &x));
    cr_assert_not(parse_i64(" 1", 2, &x));
}

/* RFC 3720, appendix B.4 */
Test(crc32c, matches_the_published_vectors)
{
    uint8_t bytes[32] = {0};

    cr_assert_eq(crc32c(0, bytes, 32), 0x8a9136aau);
    memset(bytes, 0xff, 32);
    cr_assert_eq(crc32c(0, bytes, 32), 0x62a8ab43u);
    for (unsigned i = 0; i < 32; i++)
        bytes[i] = (uint8_t)i;
    cr_assert_eq(crc32c(0, bytes, 32), 0x46dd794eu);
    cr_assert_eq(crc32c(crc32c(0, bytes, 13), bytes + 13, 19), 0x46dd794eu, "in two parts");
}

Test(view, never_reads_past_the_end)
{
    uint8_t bytes[5] = {0, 0, 1, 2, 9}, last;
    view v = view_of(bytes, sizeof bytes);
    uint32_t x;

    cr_assert(view_u32be(&v, &x));
    cr_assert_eq(x, 258);
    cr_assert_not(view_u32be(&v, &x));
    cr_assert_eq(view_left(&v), 1, "a read that fails takes nothing");
    cr_assert(view_u8(&v, &last));
    cr_assert_not(view_skip(&v, 1, NULL));
}

Test(edit_distance, counts_changes)
{
    cr_assert_eq(edit_distance("prot", "port"), 2);
    cr_assert_eq(edit_distance("logStore", "logstore"), 1);
    cr_assert_eq(edit_distance("", "abc"), 3);
}

Test(base, only_this_machine_is_loopback)
{
    static const char *const here[] = {"localhost", "::1", "127.0.0.1", "127.9.9.9"},
                             *const there[] = {
                                 "", "0.0.0.0", "::", "localhost.", "127.evil.com", "1127.0.0.1"};

    for (size_t i = 0; i < COUNT_OF(here); i++)
        cr_assert(host_is_loopback(here[i]), "%s", here[i]);
    for (size_t i = 0; i < COUNT_OF(there); i++)
        cr_assert_not(host_is_loopback(there[i]), "%s", there[i]);
}

Test(base, percent_encoding_is_whole_or_refused)
{
    sb out = SB_INIT;

    cr_assert(percent_decode("a%2Fb+%C3%a9", 12, false, &out));
    cr_assert_str_eq(out.data, "a/b+\xc3\xa9");
    sb_clear(&out);
    cr_assert(percent_decode("a+b%2B", 6, true, &out));
    cr_assert_str_eq(out.data, "a b+");
    cr_assert_not(percent_decode("%2", 2, false, &out));
    cr_assert_not(percent_decode("%zz", 3, false, &out));
    cr_assert_not(percent_decode("%", 1, false, &out));
    sb_done(&out);
}
