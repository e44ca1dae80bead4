/* The client's parts that need no node. */
#include "frames.h"
#include "input.h"
#include "line.h"
#include "streamr/streamr.h"
#include "summary.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <unistd.h>

/* ---- frames ---- */

typedef struct seen {
    sb bytes;
    uint64_t stop_after;
    uint64_t n;
} seen;

static bool remember(void *arg, uint64_t index, const uint8_t *raw, size_t len)
{
    seen *s = arg;

    cr_assert_eq(index, s->n);
    sb_append(&s->bytes, raw, len);
    sb_putc(&s->bytes, '|');
    return ++s->n != s->stop_after;
}

static const uint8_t three[] = "\0\0\0\3abc\0\0\0\0\0\0\0\1d";
#define THREE (sizeof three - 1)

Test(frames, come_out_whole_however_the_bytes_are_cut)
{
    for (size_t a = 0; a <= THREE; a++)
        for (size_t b = a; b <= THREE; b++) {
            seen s = {0};
            frames f;

            frames_init(&f, remember, &s);
            cr_assert(frames_put(&f, three, a));
            cr_assert(frames_put(&f, three + a, b - a));
            cr_assert(frames_put(&f, three + b, THREE - b));
            cr_assert(frames_end(&f));
            cr_assert_str_eq(s.bytes.data, "abc||d|", "cut at %zu and %zu", a, b);
            frames_done(&f);
            sb_done(&s.bytes);
        }
}

Test(frames, an_end_inside_a_frame_is_told)
{
    for (size_t n = 0; n < THREE; n++) {
        seen s = {0};
        frames f;
        bool whole = n == 0 || n == 7 || n == 11;

        frames_init(&f, remember, &s);
        cr_assert(frames_put(&f, three, n));
        cr_assert_eq(frames_end(&f), whole, "%zu bytes", n);
        cr_assert_eq(f.why == NULL, whole);
        frames_done(&f);
        sb_done(&s.bytes);
    }
}

Test(frames, a_length_above_1_mib_is_refused_at_once)
{
    static const uint8_t most[] = {0, 0x10, 0, 0}, more[] = {0, 0x10, 0, 1};
    seen s = {0};
    frames f;

    frames_init(&f, remember, &s);
    cr_assert(frames_put(&f, most, 4));
    frames_done(&f);
    frames_init(&f, remember, &s);
    cr_assert(!frames_put(&f, more, 4));
    cr_assert_not_null(f.why);
    cr_assert(!frames_put(&f, three, THREE), "and stays refused");
    cr_assert(!frames_end(&f));
    frames_done(&f);
    frames_init(&f, remember, &s);
    cr_assert(frames_put(&f, more, 2));
    cr_assert(!frames_put(&f, more + 2, 2), "in two pieces too");
    frames_done(&f);
    cr_assert_eq(s.n, 0);
}

Test(frames, each_can_stop_it)
{
    seen s = {.stop_after = 1};
    frames f;

    frames_init(&f, remember, &s);
    cr_assert(!frames_put(&f, three, THREE));
    cr_assert_eq(f.n, 1);
    cr_assert_null(f.why, "nothing is wrong with the bytes");
    frames_done(&f);
    sb_done(&s.bytes);
}

/* ---- times ---- */

static const struct {
    const char *text;
    int64_t ms;
} times[] = {
    {"1700000000000", 1700000000000},
    {"2023-11-14T22:13:20Z", 1700000000000},
    {"2023-11-14T22:13:20", 1700000000000},
    {"2023-11-14 22:13:20.25Z", 1700000000250},
    {"2023-11-14T23:13:20+01:00", 1700000000000},
    {"2023-11-14T17:43:20.001-04:30", 1700000000001},
    {"2023-11-14T22:13", 1699999980000},
    {"2023-11-14", 1699920000000},
    {"2024-02-29", 1709164800000},
    {"1970-01-02", 86400000},
    {"2100-03-01", 4107542400000},
};

Test(times, milliseconds_and_iso_8601)
{
    for (size_t i = 0; i < COUNT_OF(times); i++) {
        int64_t ms = -1;

        cr_assert(moment_read(times[i].text, strlen(times[i].text), &ms), "%s", times[i].text);
        cr_assert_eq(ms, times[i].ms, "%s: %lld", times[i].text, (long long)ms);
    }
}

Test(times, what_is_no_time_is_refused)
{
    static const char *const wrong[] = {
        "",
        "foo",
        "-1",
        "2023-02-29",
        "2023-13-01",
        "2023-1-1",
        "2023-11-14T",
        "2023-11-14T22:13:20.",
        "2023-11-14T22:13:20X",
        "1969-12-31",
        "2023-11-31",
        "1e12",
        "2023-11-14T25:00",
        "2023-11-14T22:13:20+1",
    };

    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        int64_t ms = 7;

        cr_assert(!moment_read(wrong[i], strlen(wrong[i]), &ms), "%s", wrong[i]);
        cr_assert_eq(ms, 7, "%s: written although refused", wrong[i]);
    }
}

Test(times, are_read_to_the_end_of_the_text_and_no_further)
{
    char text[] = {'2', '0', '2', '3', '-', '1', '1', '-', '1', '4'};
    int64_t ms;

    cr_assert(moment_read(text, sizeof text, &ms));
    for (size_t n = 1; n < sizeof text; n++)
        cr_assert_eq(moment_read(text, n, &ms), n <= 4, "%zu", n);
}

/* ---- input ---- */

static input input_of(const char *text, size_t len)
{
    char name[] = "/tmp/test-tools-XXXXXX";
    int fd = mkstemp(name);
    input in;

    cr_assert(fd >= 0);
    cr_assert_eq(write(fd, text, len), (ssize_t)len);
    close(fd);
    cr_assert(input_open(&in, name));
    unlink(name);
    in.name = "test";
    return in;
}

Test(input, lines_with_any_end_and_without_one)
{
    input in = input_of("one\ntwo\r\n\nlast", 14);
    static const char *const expected[] = {"one", "two", "", "last"};
    const char *text;
    size_t len;

    cr_assert_eq(input_peek(&in), 'o');
    for (size_t i = 0; i < COUNT_OF(expected); i++) {
        cr_assert_eq(input_line(&in, &text, &len), INPUT_LINE);
        cr_assert_eq(len, strlen(expected[i]));
        cr_assert_eq(memcmp(text, expected[i], len), 0);
    }
    cr_assert_eq(input_line(&in, &text, &len), INPUT_END);
    cr_assert_eq(in.taken, in.size);
    cr_assert_eq(in.lines, 4);
    input_close(&in);
}

Test(input, a_line_without_end_is_left_out_in_bounded_memory)
{
    size_t huge = 3 * (size_t)INPUT_LINE_MAX;
    char *text = must_alloc(huge + 7);
    const char *line;
    input in;
    size_t len;

    memset(text, 'x', huge);
    memcpy(text + huge, "\nafter\n", 7);
    in = input_of(text, huge + 7);
    cr_assert_eq(input_line(&in, &line, &len), INPUT_TOO_LONG);
    cr_assert(in.buf.cap < 3 * (size_t)INPUT_LINE_MAX);
    cr_assert_eq(input_line(&in, &line, &len), INPUT_LINE);
    cr_assert_eq(len, 5);
    cr_assert_eq(in.lines, 2);
    cr_assert_eq(input_line(&in, &line, &len), INPUT_END);
    input_close(&in);
    free(text);
}

/* ---- summary ---- */

Test(summary, adds_up_answers_and_renames_indexes)
{
    static const char a[] = "{\"stored\":2,\"duplicates\":1,\"rejected\":[{\"index\":1,\"reason\":"
                            "\"bad \\\"x\\\"\"}]}";
    static const char b[] = "{\"stored\":1,\"duplicates\":0,\"rejected\":[],\"failed\":4,"
                            "\"error\":\"disk full\"}";
    const uint64_t names[] = {10, 20, 30, 40};
    summary s = {0};
    sb text = SB_INIT;

    cr_assert(summary_is_good(&s));
    summary_reject(&s, 5, "not JSON");
    cr_assert(summary_add(&s, a, strlen(a), names, 4));
    cr_assert(summary_add(&s, b, strlen(b), NULL, 0));
    cr_assert(!summary_is_good(&s));
    summary_text(&s, &text);
    cr_assert_str_eq(text.data,
                     "{\"stored\":3,\"duplicates\":1,\"rejected\":[{\"index\":5,\"reason\":"
                     "\"not "
                     "JSON\"},{\"index\":20,\"reason\":\"bad \\\"x\\\"\"}],\"failed\":4,"
                     "\"error\":\"disk full\"}");
    sb_done(&text);
    summary_done(&s);
}

Test(summary, other_texts_are_no_answers)
{
    summary s = {0};

    cr_assert(!summary_add(&s, "", 0, NULL, 0));
    cr_assert(!summary_add(&s, "Forbidden", 9, NULL, 0));
    cr_assert(!summary_add(&s, "{\"error\":\"x\"}", 13, NULL, 0));
    cr_assert(!summary_add(&s, "{\"stored\":1}", 12, NULL, 0));
    cr_assert(summary_is_good(&s));
    summary_done(&s);
}

/* ---- lines of JSON ---- */

Test(line, is_one_line_whatever_the_content)
{
    static const uint8_t publisher[20] = {0xab};
    static const char text[] = "{\n\"a\":\r1}";
    broker_msg m = {.size = sizeof m,
                    .stream = {"0x00/x", 6},
                    .timestamp_ms = 5,
                    .publisher = {publisher, 20},
                    .chain = {"c", 1},
                    .content = {(const uint8_t *)text, sizeof text - 1},
                    .signature = {(const uint8_t *)"\x12\x34", 2},
                    .signature_type = 1};
    sb out = SB_INIT;

    line_append(&m, &out);
    cr_assert_str_eq(out.data, "{\"streamId\":\"0x00/x\",\"streamPartition\":0,\"timestamp\":5,"
                               "\"sequenceNumber\":0,\"publisherId\":"
                               "\"0xab00000000000000000000000000000000000000\",\"msgChainId\":"
                               "\"c\",\"messageType\":27,\"contentType\":0,\"encryptionType\":0,"
                               "\"content\":{ \"a\": 1},\"signatureType\":1,\"signature\":"
                               "\"1234\"}\n");
    sb_clear(&out);
    m.encryption_type = BROKER_ENCRYPTION_AES;
    line_append(&m, &out);
    cr_assert_not_null(strstr(out.data, "\"encryptionType\":2,\"content\":\"7b0a2261223a0d317d\""));
    sb_done(&out);
}
