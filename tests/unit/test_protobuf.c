/* protobuf: the field reader and the table codec, against bytes written by protoc. */
#include "protobuf/protobuf.h"

#include <criterion/criterion.h>

typedef struct inner {
    pb_head head;
    int64_t n;
    pb_bytes s;
} inner;

typedef struct all {
    pb_head head;
    int32_t i32, s32, opt;
    uint32_t u32, f32, which;
    int64_t i64, s64;
    uint64_t u64, f64;
    bool b;
    float fl;
    double db;
    pb_bytes by, st, opts;
    inner *sub;
    pb_list ri, rs, rm, rf, rz, rd;
    union {
        int32_t pi;
        pb_bytes ps;
        inner *pm;
    } pick;
} all;

typedef struct tree {
    pb_head head;
    struct tree *child;
} tree;

static const pb_row inner_rows[] = {
    PB_FIELD(inner, n, 1, PB_INT64),
    PB_FIELD(inner, s, 2, PB_STRING),
};
static const pb_table inner_table = PB_TABLE(inner, inner_rows);

static const pb_row all_rows[] = {
    PB_FIELD(all, i32, 1, PB_INT32),
    PB_FIELD(all, i64, 2, PB_INT64),
    PB_FIELD(all, u32, 3, PB_UINT32),
    PB_FIELD(all, u64, 4, PB_UINT64),
    PB_FIELD(all, s32, 5, PB_SINT32),
    PB_FIELD(all, s64, 6, PB_SINT64),
    PB_FIELD(all, b, 7, PB_BOOL),
    PB_FIELD(all, f32, 8, PB_FIXED32),
    PB_FIELD(all, f64, 9, PB_FIXED64),
    PB_FIELD(all, fl, 10, PB_FLOAT),
    PB_FIELD(all, db, 11, PB_DOUBLE),
    PB_FIELD(all, by, 12, PB_BYTES),
    PB_FIELD(all, st, 13, PB_STRING),
    PB_SUB(all, sub, 14, inner_table),
    PB_OPTIONAL(all, opt, 15, PB_INT32),
    PB_OPTIONAL(all, opts, 16, PB_STRING),
    PB_REPEATED(all, ri, 17, PB_INT32),
    PB_REPEATED(all, rs, 18, PB_STRING),
    PB_REPEATED_SUB(all, rm, 19, inner_table),
    PB_REPEATED(all, rf, 20, PB_FIXED64),
    PB_REPEATED(all, rz, 21, PB_SINT32),
    PB_REPEATED(all, rd, 22, PB_DOUBLE),
    PB_ONEOF(all, pick.pi, which, 30, PB_INT32),
    PB_ONEOF(all, pick.ps, which, 31, PB_STRING),
    PB_ONEOF_SUB(all, pick.pm, which, 32, inner_table),
};
static const pb_table all_table = PB_TABLE(all, all_rows);

static const pb_table tree_table;
static const pb_row tree_rows[] = {PB_SUB(tree, child, 1, tree_table)};
static const pb_table tree_table = PB_TABLE(tree, tree_rows);

/* Written by protoc --encode. */
static const char scalars_hex[] =
    "08ffffffffffffffffff01108080808080808080800118ffffffff0f20ffffffffffffffffff0128ffffffff0f30"
    "ffffffffffffffffff013801457856341249efcdab8967452301550000c03f59000000000000d0bf620200ff6a06"
    "77c3b6726c64720508071201787800820100";
static const char lists_hex[] =
    "8a010d01ffffffffffffffffff01ac0292010161920100920101639a010208019a01009a010312017aa201100100"
    "0000000000000200000000000000aa01020102b20108000000000000e03f8202020809";

static uint8_t memory[4096];

static size_t from_hex(const char *hex, uint8_t *to)
{
    cr_assert(hex_decode(to, hex, strlen(hex)), "bad hex in the test: %s", hex);
    return strlen(hex) / 2;
}

static const char *read_all(const char *hex, all *m)
{
    static uint8_t bytes[512];
    pb_arena arena = {memory, sizeof memory, 0};

    return pb_decode(&all_table, m, bytes, from_hex(hex, bytes), &arena);
}

static void expect_encoding(const all *m, const char *hex)
{
    uint8_t want[512];
    size_t len = from_hex(hex, want);
    sb out = SB_INIT;

    cr_assert(pb_encode(&all_table, m, &out));
    cr_assert_eq(out.len, len, "%zu bytes instead of %zu", out.len, len);
    cr_assert_eq(memcmp(out.data, want, len), 0);
    sb_done(&out);
}

Test(codec, reads_every_scalar_type_as_protoc_wrote_it)
{
    all m;

    cr_assert_null(read_all(scalars_hex, &m));
    cr_assert_eq(m.i32, -1);
    cr_assert_eq(m.i64, INT64_MIN);
    cr_assert_eq(m.u32, UINT32_MAX);
    cr_assert_eq(m.u64, UINT64_MAX);
    cr_assert_eq(m.s32, INT32_MIN);
    cr_assert_eq(m.s64, INT64_MIN);
    cr_assert(m.b);
    cr_assert_eq(m.f32, 0x12345678u);
    cr_assert_eq(m.f64, 0x123456789abcdefu);
    cr_assert_eq(m.fl, 1.5f);
    cr_assert_eq(m.db, -0.25);
    cr_assert_eq(m.by.len, 2);
    cr_assert_eq(memcmp(m.st.ptr, "w\xc3\xb6rld", 6), 0);
    cr_assert_eq(m.sub->n, 7);
    cr_assert_eq(m.sub->s.len, 1);
}

Test(codec, writes_every_scalar_type_as_protoc_does)
{
    all m;

    cr_assert_null(read_all(scalars_hex, &m));
    expect_encoding(&m, scalars_hex);
}

Test(codec, reads_and_writes_lists_and_packed_lists)
{
    all m;

    cr_assert_null(read_all(lists_hex, &m));
    cr_assert_eq(m.ri.n, 3);
    cr_assert_eq(((int32_t *)m.ri.items)[1], -1);
    cr_assert_eq(m.rs.n, 3);
    cr_assert_eq(((pb_bytes *)m.rs.items)[1].len, 0);
    cr_assert_eq(m.rm.n, 3);
    cr_assert_eq(((inner **)m.rm.items)[0]->n, 1);
    cr_assert_eq(((uint64_t *)m.rf.items)[1], 2);
    cr_assert_eq(((int32_t *)m.rz.items)[0], -1);
    cr_assert_eq(((double *)m.rd.items)[0], 0.5);
    cr_assert_eq(m.which, 32);
    cr_assert_eq(m.pick.pm->n, 9);
    expect_encoding(&m, lists_hex);
}

Test(codec, reads_unpacked_lists_of_scalars_too)
{
    all m;

    cr_assert_null(read_all("88010188010288010388010488010588018002", &m));
    cr_assert_eq(m.ri.n, 6);
    cr_assert_eq(((int32_t *)m.ri.items)[5], 256);
    expect_encoding(&m, "8a01070102030405"
                        "8002");
}

Test(codec, tells_an_absent_optional_from_a_zero)
{
    all m;

    cr_assert_null(read_all("7800", &m));
    cr_assert(pb_has(&all_table, &m, 15));
    cr_assert_not(pb_has(&all_table, &m, 16));
    expect_encoding(&m, "7800");
    cr_assert_null(read_all("", &m));
    cr_assert_not(pb_has(&all_table, &m, 15));
    pb_set(&all_table, &m, 16);
    expect_encoding(&m, "820100");
}

Test(codec, writes_a_zero_in_a_oneof_and_minus_zero)
{
    all m;

    cr_assert_null(read_all("f00100", &m));
    expect_encoding(&m, "f00100");
    cr_assert_null(read_all("5500000080590000000000000080", &m));
    expect_encoding(&m, "5500000080590000000000000080");
}

Test(codec, the_last_member_of_a_oneof_wins)
{
    all m;

    cr_assert_null(read_all("f00105"
                            "fa010178",
                            &m));
    cr_assert_eq(m.which, 31);
    cr_assert_not(pb_has(&all_table, &m, 30));
    expect_encoding(&m, "fa010178");
    /* A message after a string must not take the string for a pointer. */
    cr_assert_null(read_all("fa010178"
                            "82020208098202031201"
                            "7a",
                            &m));
    cr_assert_eq(m.which, 32);
    cr_assert_eq(m.pick.pm->n, 9);
    cr_assert_eq(m.pick.pm->s.len, 1, "the second was not merged into the first");
}

Test(codec, keeps_unknown_fields_and_writes_them_back)
{
    all m;

    /* 40: varint, 41: bytes, and 1 as bytes instead of a varint. */
    cr_assert_null(read_all("c002ac02"
                            "0a0161"
                            "0807"
                            "ca02026162",
                            &m));
    cr_assert_eq(m.head.unknown.n, 3);
    cr_assert_eq(m.i32, 7);
    expect_encoding(&m, "0807"
                        "c002ac02"
                        "0a0161"
                        "ca02026162");
}

Test(codec, refuses_what_is_malformed)
{
    static const char *const bad[] = {
        "08",                     /* no value                        */
        "0880",                   /* varint cut                      */
        "08ffffffffffffffffff02", /* a 65th bit                      */
        "0880808080808080808080"
        "01",                     /* eleven bytes                    */
        "00",                     /* field 0                         */
        "0007",                   /* field 0                         */
        "6205ff",                 /* longer than what is left        */
        "62ffffffffffffffffff01", /* a length that would overflow    */
        "4d0000",                 /* fixed32 cut                     */
        "4900000000",             /* fixed64 cut                     */
        "0b0c",                   /* group                           */
        "0e",                     /* wire type 6                     */
        "0f",                     /* wire type 7                     */
        "808080808001"
        "00",             /* a key above 32 bits             */
        "8a0102ff80",     /* packed, cut                     */
        "a2010401000000", /* packed fixed64, cut             */
        "6a01ff",         /* not UTF-8                       */
        "7203120180",     /* not UTF-8, inside               */
        "7201ff",         /* sub-message malformed           */
    };
    all m;

    for (size_t i = 0; i < COUNT_OF(bad); i++)
        cr_assert_not_null(read_all(bad[i], &m), "'%s' was read", bad[i]);
}

Test(codec, stays_within_the_arena)
{
    uint8_t small[100], bytes[200];
    pb_arena arena = {small, sizeof small, 0};
    size_t len = 0;
    all m;

    for (; len < 60; len += 3)
        memcpy(bytes + len, "\x9a\x01\x00", 3); /* 20 empty sub-messages */
    cr_assert_not_null(pb_decode(&all_table, &m, bytes, len, &arena));
    cr_assert_leq(arena.used, sizeof small);
}

Test(codec, refuses_deep_nesting_both_ways)
{
    uint8_t bytes[128];
    pb_arena arena = {memory, sizeof memory, 0};
    tree nodes[PB_DEPTH + 2], m;
    sb out = SB_INIT;
    size_t len = 0;

    /* From the inside out: each level is the key and the length of what is in it. */
    for (unsigned i = 0; i < PB_DEPTH; i++) {
        memmove(bytes + 2, bytes, len);
        bytes[0] = 0x0a;
        bytes[1] = (uint8_t)len;
        len += 2;
    }
    cr_assert_null(pb_decode(&tree_table, &m, bytes, len, &arena));
    memmove(bytes + 2, bytes, len);
    bytes[0] = 0x0a;
    bytes[1] = (uint8_t)len;
    arena.used = 0;
    cr_assert_not_null(pb_decode(&tree_table, &m, bytes, len + 2, &arena));
    memset(nodes, 0, sizeof nodes);
    for (unsigned i = 0; i + 1 < COUNT_OF(nodes); i++)
        nodes[i].child = &nodes[i + 1];
    sb_puts(&out, "kept");
    cr_assert_not(pb_encode(&tree_table, &nodes[0], &out));
    cr_assert_str_eq(out.data, "kept");
    cr_assert(pb_encode(&tree_table, &nodes[1], &out));
    sb_done(&out);
}

Test(codec, encodes_messages_larger_than_its_first_guess)
{
    static uint8_t big[100000];
    pb_arena arena = {memory, sizeof memory, 0};
    all m = {0}, back;
    sb out = SB_INIT;

    memset(big, 'x', sizeof big);
    m.by = (pb_bytes){big, sizeof big};
    m.i32 = 1;
    sb_puts(&out, "..");
    cr_assert(pb_encode(&all_table, &m, &out));
    cr_assert_eq(memcmp(out.data, "..", 2), 0);
    cr_assert_null(pb_decode(&all_table, &back, out.data + 2, out.len - 2, &arena));
    cr_assert_eq(back.by.len, sizeof big);
    cr_assert_eq(back.i32, 1);
    sb_done(&out);
}

Test(codec, any_bytes_that_decode_encode_to_a_fixed_point)
{
    uint8_t bytes[160], lists[160];
    size_t len = from_hex(scalars_hex, bytes), lists_len = from_hex(lists_hex, lists);
    uint64_t seed = 42;
    unsigned read = 0;

    for (unsigned round = 0; round < 4000; round++) {
        uint8_t mutated[160];
        bool second = round % 2 == 1;
        size_t n = second ? lists_len : len;
        pb_arena arena = {memory, sizeof memory, 0};
        sb once = SB_INIT, twice = SB_INIT;
        all m;

        memcpy(mutated, second ? lists : bytes, n);
        for (unsigned k = 0; k < 2; k++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            mutated[(seed >> 33) % n] = (uint8_t)(seed >> 56);
        }
        if (pb_decode(&all_table, &m, mutated, n, &arena) != NULL)
            continue;
        read++;
        cr_assert(pb_encode(&all_table, &m, &once));
        arena.used = 0;
        cr_assert_null(pb_decode(&all_table, &m, once.data, once.len, &arena));
        cr_assert(pb_encode(&all_table, &m, &twice));
        cr_assert_eq(once.len, twice.len);
        cr_assert_eq(memcmp(once.data, twice.data, once.len), 0);
        sb_done(&once);
        sb_done(&twice);
    }
    cr_assert_gt(read, 200, "only %u of the mutations were readable", read);
}

Test(reader, varints_have_the_size_that_is_announced)
{
    for (unsigned bit = 0; bit < 64; bit++) {
        uint64_t x = 1ull << bit, back;
        uint8_t bytes[10];
        size_t len = (size_t)(pb_put_varint(bytes, x) - bytes);
        view in = view_of(bytes, len);

        cr_assert_eq(pb_varint_size(x), len, "2^%u", bit);
        cr_assert(pb_varint(&in, &back));
        cr_assert_eq(back, x);
        cr_assert_eq(view_left(&in), 0);
    }
    cr_assert_eq(pb_varint_size(0), 1);
}
