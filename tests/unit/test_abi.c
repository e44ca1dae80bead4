/* abi: calls and results as Solidity has them. The encodings are those of npm ethers 6. */
#include "eth/abi.h"

#include <criterion/criterion.h>
#include <string.h>

static const uint8_t account[20] = {0x19, 0xe7, 0xe3, 0x76, 0xe7, 0xc2, 0x13, 0xb7, 0xe7, 0xe7,
                                    0xe4, 0x6c, 0xc7, 0x0a, 0x5d, 0xd0, 0x86, 0xda, 0xff, 0x2a};

static void check_call(const char *signature, const abi_value *args, size_t n, const char *expected)
{
    sb call = SB_INIT;
    char *hex;

    abi_put_call(&call, signature, args, n);
    hex = must_alloc(2 * call.len + 1);
    hex_encode(hex, call.data, call.len);
    cr_assert_str_eq(hex, expected);
    free(hex);
    sb_done(&call);
}

#define ZEROS24      "000000000000000000000000"
#define WORD(last16) "000000000000000000000000000000000000000000000000" last16

Test(abi, calls_are_what_ethers_makes)
{
    static const char stream[] =
        "0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a/streams/with a long path \xc3\xbc";
    uint8_t digest[32], signature[65];

    memset(digest, 0xab, sizeof digest);
    memset(signature, 0xcd, sizeof signature);
    check_call("getPermissionsForUserId(string,bytes)",
               (abi_value[]){abi_bytes(stream, strlen(stream)), abi_bytes(account, 20)}, 2,
               "7aa31f8c" WORD("0000000000000040") WORD("00000000000000c0") WORD(
                   "0000000000000046") "3078313965376533373665376332313362376537653765343663633730"
                                       "61356464303836646166663261"
                                       "2f73747265616d732f776974682061206c6f6e67207061746820c3bc"
                                       "0000000000000000000000000000000000000000000000000000" WORD(
                                           "0000000000000014") "19e7e376e7c213b7e7e7e46cc70a5dd086d"
                                                               "aff2a" ZEROS24);
    check_call("hasPublicPermission(string,uint8)",
               (abi_value[]){abi_bytes("a.eth/b", 7), abi_number(3)}, 2,
               "fb5642a0" WORD("0000000000000040") WORD("0000000000000003") WORD(
                   "0000000000000007") "612e6574682f6200000000000000000000000000000000000000000"
                                       "000000000");
    check_call("isStorageNodeOf(string,address)",
               (abi_value[]){abi_bytes("", 0), abi_address(account)}, 2,
               "a030f2df" WORD("0000000000000040") ZEROS24
               "19e7e376e7c213b7e7e7e46cc70a5dd086daff2a" WORD("0000000000000000"));
    check_call("isValidSignature(bytes32,bytes)",
               (abi_value[]){abi_bytes32(digest), abi_bytes(signature, 65)}, 2,
               "1626ba7eabababababababababababababababababababababababababababababababab" WORD(
                   "0000000000000040") WORD("0000000000000041") "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd"
                                                                "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcd"
                                                                "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd"
                                                                "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcd"
                                                                "cd00000000000000000000000000000000"
                                                                "000000000000000000000000000000");
}

Test(abi, events_are_known_by_their_topic)
{
    uint8_t topic[32];
    char hex[65] = "";

    abi_topic("Added(string,address)", topic);
    hex_encode(hex, topic, sizeof topic);
    cr_assert_str_eq(hex, "fb989cb0d132b51483b9258c1befbe92caa5f5b046af3dfdcc617dcf425af493");
    abi_topic("Removed(string,address)", topic);
    hex_encode(hex, topic, sizeof topic);
    cr_assert_str_eq(hex, "264d05230c1929427b5dcfcf1c83668ac376e215a2c35cb0e2c21816bbe28d06");
}

/* ---- reading ---- */

static abi_tuple tuple_of(const char *hex, uint8_t *bytes, size_t cap)
{
    size_t len = strlen(hex);

    must(len / 2 <= cap && hex_decode(bytes, hex, len));
    return (abi_tuple){bytes, len / 2};
}

static const char mixed[] = /* bool, uint256, bytes, string: true, 2^255, 0x0102, "x" */
    WORD("0000000000000001") "800000000000000000000000000000000000000000000000000000000000000"
                             "0" WORD("0000000000000080") WORD("00000000000000c0") WORD(
                                 "0000000000000002") "010200000000000000000"
                                                     "000000000000000000000"
                                                     "0000000000000000000"
                                                     "000" WORD(
                                                         "0000000000000001") "780000000000000000000"
                                                                             "000000000000000000000"
                                                                             "000000000000000000000"
                                                                             "0";

Test(abi, values_of_every_kind_are_read)
{
    uint8_t room[512];
    abi_tuple t = tuple_of(mixed, room, sizeof room);
    bool flag;
    int64_t number;
    uint64_t unsigned_number;
    const uint8_t *bytes;
    const char *text;
    size_t len;

    cr_assert(abi_get_bool(t, 0, &flag) && flag);
    cr_assert(abi_get_i64(t, 1, &number) && number == INT64_MAX, "a large number is not cut");
    cr_assert(abi_get_u64(t, 1, &unsigned_number) && unsigned_number == UINT64_MAX);
    cr_assert(abi_get_bytes(t, 2, &bytes, &len) && len == 2 && bytes[1] == 2);
    cr_assert(abi_get_text(t, 3, &text, &len) && len == 1 && text[0] == 'x');
}

Test(abi, a_tuple_in_a_result_counts_from_its_own_start)
{
    static const char hex[] = WORD("0000000000000020") ZEROS24
        "19e7e376e7c213b7e7e7e46cc70a5dd086daff2a" WORD("0000000000000060") WORD("000000006553f100")
            WORD("000000000000001d") "7b2275726c73223a5b22687474703a2f2f3132372e302e302e31225d7d00"
                                     "0000";
    uint8_t room[512], address[20];
    abi_tuple t;
    const char *text;
    size_t len;

    cr_assert(abi_get_tuple(tuple_of(hex, room, sizeof room), 0, &t));
    cr_assert(abi_get_address(t, 0, address) && memcmp(address, account, 20) == 0);
    cr_assert(abi_get_text(t, 1, &text, &len));
    cr_assert_eq(len, 29);
    cr_assert(memcmp(text, "{\"urls\":[\"http://127.0.0.1\"]}", len) == 0);
}

Test(abi, what_leads_out_of_the_bytes_is_refused)
{
    static const char *const wrong[] = {
        "",
        "00",
        WORD("0000000000000021"),                                             /* behind the end */
        WORD("0000000000000020"),                                             /* at the end      */
        WORD("0000000000000020") WORD("0000000000000001"),                    /* nothing there   */
        WORD("0000000000000020") WORD("ffffffffffffffff"),                    /* too long        */
        WORD("ffffffffffffffff") WORD("0000000000000000"),                    /* wraps           */
        WORD("0000000000000001") WORD("0000000000000000"),                    /* length is huge  */
        "01" WORD("00000000000000") WORD("0000000000000000"),                 /* above 64 bits   */
        WORD("0000000000000020") WORD("0000000000000002") "0102030405060708", /* 8 of 2: fits */
    };
    uint8_t room[512];
    const uint8_t *bytes;
    size_t len, last = COUNT_OF(wrong) - 1;

    for (size_t i = 0; i < last; i++)
        cr_assert_not(abi_get_bytes(tuple_of(wrong[i], room, sizeof room), 0, &bytes, &len),
                      "case %zu", i);
    cr_assert(abi_get_bytes(tuple_of(wrong[last], room, sizeof room), 0, &bytes, &len));
}

Test(abi, words_are_what_they_are_said_to_be)
{
    uint8_t room[64], address[20];
    abi_tuple t = tuple_of(WORD("0000000000000002"), room, sizeof room);
    bool flag;
    const char *text;
    size_t len;

    cr_assert_not(abi_get_bool(t, 0, &flag), "2 is not a bool");
    cr_assert_not(abi_get_bool(t, 1, &flag), "there is no second word");
    memset(room, 0xff, 32);
    cr_assert_not(abi_get_address(t, 0, address), "an address has 20 bytes");
    t = tuple_of(WORD("0000000000000020") WORD("0000000000000001"), room, sizeof room);
    t.len = 64;
    cr_assert_not(abi_get_text(t, 0, &text, &len));
}
