/* streamr: which texts the check of JSON content takes. */
#include "base/base.h"
#include "streamr/streamr.h"

#include <criterion/criterion.h>

Test(json_valid, valid_texts_are_valid)
{
    static const char *const good[] = {"0",
                                       "-0",
                                       "1",
                                       "-12.5e+10",
                                       "1E5",
                                       "1e-5",
                                       "0.0",
                                       "true",
                                       "false",
                                       "null",
                                       "\"\"",
                                       "\"a\"",
                                       "[]",
                                       "{}",
                                       " [ ] ",
                                       "\t\r\n{ }\n",
                                       "[1,2,3]",
                                       "[[],[[]],{}]",
                                       "{\"a\":1}",
                                       "{\"a\":{\"b\":[true,null]},\"c\":\"d\"}",
                                       "{\"a\":1,\"a\":2}",
                                       "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
                                       "\"\\u00e4\\uD83D\\uDE00\\ud800\"",
                                       "\"w\xc3\xb6rld \xe2\x82\xac \xf0\x9f\x98\x80\"",
                                       "\"a string that is longer than eight bytes\"",
                                       "\"12345678\\n12345678\"",
                                       "\"\x7f\"",
                                       "99999999999999999999999999999999",
                                       "[{},{\"\":[]}]",
                                       "[\"]\",\"}\",\",\"]"};

    for (size_t i = 0; i < COUNT_OF(good); i++)
        cr_assert(streamr_json_valid(good[i], strlen(good[i])), "'%s'", good[i]);
}

Test(json_valid, invalid_texts_are_not)
{
    static const char *const bad[] = {"",
                                      " ",
                                      "-",
                                      "01",
                                      "1.",
                                      ".5",
                                      "1e",
                                      "1e+",
                                      "+1",
                                      "0x1",
                                      "NaN",
                                      "Infinity",
                                      "tru",
                                      "True",
                                      "nul",
                                      "\"",
                                      "\"a",
                                      "\"\\\"",
                                      "\"\\x\"",
                                      "\"\\u12\"",
                                      "\"\\u12g4\"",
                                      "\"\n\"",
                                      "\"12345678\x01\"",
                                      "'a'",
                                      "[",
                                      "]",
                                      "[1",
                                      "[1,",
                                      "[1,]",
                                      "[,1]",
                                      "[1 2]",
                                      "{",
                                      "}",
                                      "{\"a\"",
                                      "{\"a\":",
                                      "{\"a\":1",
                                      "{\"a\":1,",
                                      "{\"a\":1,}",
                                      "{a:1}",
                                      "{1:2}",
                                      "{\"a\" 1}",
                                      "{\"a\":1 \"b\":2}",
                                      "[}",
                                      "{]",
                                      "[1}",
                                      "{\"a\":1]",
                                      "1 2",
                                      "[] []",
                                      "{}x",
                                      "nullnull",
                                      "\"\xff\"",
                                      "\"\xc3\"",
                                      "\"\xed\xa0\x80\"",
                                      "\"\xc0\xaf\"",
                                      "\xef\xbb\xbf{}",
                                      "// c\n1",
                                      "\"a\"b",
                                      "[\"a\":1]",
                                      "--1"};

    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        size_t len = strlen(bad[i]);
        char *exact = malloc(len + (len == 0));

        memcpy(exact, bad[i], len);
        cr_assert_not(streamr_json_valid(exact, len), "'%s'", bad[i]);
        free(exact);
    }
    cr_assert_not(streamr_json_valid("1\0", 2), "a NUL after the value");
    cr_assert_not(streamr_json_valid("\"\\\0\"", 4), "an escaped NUL");
}

Test(json_valid, nests_512_levels_and_not_one_more)
{
    char text[1100];

    memset(text, '[', 512);
    memset(text + 512, ']', 512);
    cr_assert(streamr_json_valid(text, 1024));
    memset(text, '[', 513);
    memset(text + 513, ']', 513);
    cr_assert(streamr_json_valid(text, 1026), "the innermost, empty one opens no level");
    memset(text, '[', 514);
    memset(text + 514, ']', 514);
    cr_assert_not(streamr_json_valid(text, 1028));
}
