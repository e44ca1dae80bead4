/* pack: maps come back as they were written, and anything else is nothing. */
#include "pack/pack.h"

#include <criterion/criterion.h>

Test(pack, a_map_comes_back_as_it_was_written)
{
    sb bytes = SB_INIT;
    unpacked *u;
    const unpacked_map *m, *item;
    size_t len;
    char *text;

    pack_map(&bytes, 6);
    pack_uint(&bytes, "u", UINT64_MAX);
    pack_int(&bytes, "i", INT64_MIN);
    pack_bool(&bytes, "b", true);
    pack_text(&bytes, "t", "hello");
    pack_bytes(&bytes, "bytes", "a\0b", 3);
    pack_list(&bytes, "list", 2);
    pack_map(&bytes, 1);
    pack_int(&bytes, "n", 1);
    pack_map(&bytes, 0);
    cr_assert_eq(unpack(bytes.data, bytes.len, &u), 1);
    m = unpacked_root(u);
    cr_assert_eq(unpack_uint(m, "u", 0), UINT64_MAX);
    cr_assert_eq(unpack_int(m, "i", 0), INT64_MIN);
    cr_assert(unpack_bool(m, "b", false));
    cr_assert_str_eq(text = unpack_text(m, "t"), "hello");
    free(text);
    cr_assert_eq(memcmp(unpack_bytes(m, "bytes", &len), "a\0b", 3), 0);
    cr_assert_eq(len, 3);
    cr_assert_null(unpack_text(m, "bytes"), "a text has no NUL in it");
    cr_assert_eq(unpack_list(m, "list"), 2);
    item = unpack_element(m, "list", 0);
    cr_assert_eq(unpack_int(item, "n", 0), 1);
    cr_assert_null(unpack_element(m, "list", 2));
    cr_assert_eq(unpack_int(m, "t", 7), 7, "a wrong type reads as absent");
    cr_assert_eq(unpack_uint(m, "i", 7), 7, "a negative number is not unsigned");
    unpacked_free(u);
    sb_done(&bytes);
}

Test(pack, a_part_of_a_map_asks_for_more_and_a_longer_one_is_refused)
{
    sb bytes = SB_INIT;
    unpacked *u;

    pack_map(&bytes, 2);
    pack_text(&bytes, "do", "swap");
    pack_bytes(&bytes, "x", "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy", 42);
    for (size_t len = 0; len < bytes.len; len++)
        cr_assert_eq(unpack(bytes.data, len, &u), 0, "%zu bytes", len);
    sb_putc(&bytes, '\0');
    cr_assert_eq(unpack(bytes.data, bytes.len, &u), -1);
    sb_done(&bytes);
}

Test(pack, what_only_claims_to_be_large_takes_no_memory)
{
    static const char claims[] = "\xdf\xff\xff\xff\xff";
    unpacked *u;

    cr_assert_eq(unpack(claims, 5, &u), 0);
    cr_assert_eq(unpack("\xc1", 1, &u), -1);
    cr_assert_eq(unpack("\x93\x01\x02\x03", 4, &u), -1, "a list is not a map");
    cr_assert_eq(unpack("\xd4\x01\x01", 3, &u), -1, "extensions are nothing we write");
}
