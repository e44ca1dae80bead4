/* http: the head of a request, its body in pieces, and which route it means. What is right is
 * said by RFC 9110 and RFC 9112. */
#include "http/body.h"
#include "http/route.h"
#include "net/head.h"

#include <criterion/criterion.h>

/* ---- heads ---- */

#define LINE "GET /a HTTP/1.1\r\n"
#define HOST "Host: localhost\r\n"
#define POST "POST /a HTTP/1.1\r\n" HOST

/* The status; the text is copied to its exact size, so that ASan sees a step beyond it. */
static unsigned parse_bytes(const char *text, size_t len, head *out, char **copy)
{
    const char *why = NULL;
    unsigned status;

    *copy = malloc(len);
    memcpy(*copy, text, len);
    cr_assert_eq(head_length(*copy, len), len, "the head is complete: %s", text);
    status = head_parse(*copy, len, out, &why);
    if (status != 0)
        cr_assert_gt(strlen(why), 0, "a refusal says why: %s", text);
    return status;
}

static unsigned status_of(const char *text, size_t len)
{
    static head h;
    char *copy;
    unsigned status = parse_bytes(text, len, &h, &copy);

    free(copy);
    return status;
}

typedef struct refusal {
    const char *what, *text;
    unsigned status;
} refusal;

static void all_refused(const refusal *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned got = status_of(list[i].text, strlen(list[i].text));

        cr_expect_eq(got, list[i].status, "%s: status %u, expected %u", list[i].what, got,
                     list[i].status);
    }
}

Test(head, request_lines_that_break_the_rules_are_refused)
{
    static const refusal list[] = {
        {"no method", " /a HTTP/1.1\r\n" HOST "\r\n", 400},
        {"method of a separator", "GE(T /a HTTP/1.1\r\n" HOST "\r\n", 400},
        {"no target", "GET  HTTP/1.1\r\n" HOST "\r\n", 400},
        {"no version", "GET /a\r\n" HOST "\r\n", 400},
        {"two spaces before the target", "GET  /a HTTP/1.1\r\n" HOST "\r\n", 400},
        {"a tab instead of a space", "GET\t/a HTTP/1.1\r\n" HOST "\r\n", 400},
        {"a control character in the target", "GET /a\x01 HTTP/1.1\r\n" HOST "\r\n", 400},
        {"DEL in the target", "GET /a\x7f HTTP/1.1\r\n" HOST "\r\n", 400},
        {"only an empty line after the method", "GET\r\n\r\n", 400},
        {"HTTP/2.0", "GET /a HTTP/2.0\r\n" HOST "\r\n", 505},
        {"HTTP/1.2", "GET /a HTTP/1.2\r\n" HOST "\r\n", 505},
        {"HTTP/1.11", "GET /a HTTP/1.11\r\n" HOST "\r\n", 505},
        {"HTTP/0.9", "GET /a HTTP/0.9\r\n" HOST "\r\n", 505},
    };

    all_refused(list, COUNT_OF(list));
}

Test(head, fields_that_break_the_rules_are_refused)
{
    static const refusal list[] = {
        {"no Host", LINE "\r\n", 400},
        {"two Hosts", LINE HOST HOST "\r\n", 400},
        {"two Hosts in other cases", LINE HOST "hOST: other\r\n\r\n", 400},
        {"a space before the colon", LINE "Host : localhost\r\n\r\n", 400},
        {"a tab before the colon", LINE "Host\t: localhost\r\n\r\n", 400},
        {"a space before the first name", LINE " Host: localhost\r\n\r\n", 400},
        {"a folded value", LINE HOST "X: a\r\n b\r\n\r\n", 400},
        {"a folded value with a tab", LINE HOST "X: a\r\n\tb\r\n\r\n", 400},
        {"no colon", LINE HOST "X\r\n\r\n", 400},
        {"no name", LINE HOST ": a\r\n\r\n", 400},
        {"a separator in the name", LINE HOST "X[0]: a\r\n\r\n", 400},
        {"a control character in a value", LINE HOST "X: a\x0b\r\n\r\n", 400},
        {"a bare line feed", LINE HOST "X: a\nY: b\r\n\r\n", 400},
        {"a bare line feed at the end", LINE HOST "X: a\n\r\n\r\n", 400},
        {"a bare carriage return", LINE HOST "X: a\rb\r\n\r\n", 400},
        {"an expectation nobody knows", POST "Expect: miracles\r\n\r\n", 417},
    };

    all_refused(list, COUNT_OF(list));
    cr_expect_eq(status_of(LINE HOST "X: a\0b\r\n\r\n", sizeof(LINE HOST "X: a\0b\r\n\r\n") - 1),
                 400, "NUL in a value");
    cr_expect_eq(status_of("GET /a\0 HTTP/1.1\r\n" HOST "\r\n",
                           sizeof("GET /a\0 HTTP/1.1\r\n" HOST "\r\n") - 1),
                 400, "NUL in the target");
}

Test(head, lengths_of_a_body_that_two_may_read_in_two_ways_are_refused)
{
    static const refusal list[] = {
        {"both lengths", POST "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
        {"both, turned round", POST "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", 400},
        {"two lengths", POST "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400},
        {"the same length twice", POST "Content-Length: 1\r\nContent-Length: 1\r\n\r\n", 400},
        {"a list of lengths", POST "Content-Length: 1, 1\r\n\r\n", 400},
        {"+5", POST "Content-Length: +5\r\n\r\n", 400},
        {"-1", POST "Content-Length: -1\r\n\r\n", 400},
        {"-0", POST "Content-Length: -0\r\n\r\n", 400},
        {"5 5", POST "Content-Length: 5 5\r\n\r\n", 400},
        {"0x5", POST "Content-Length: 0x5\r\n\r\n", 400},
        {"5.0", POST "Content-Length: 5.0\r\n\r\n", 400},
        {"nothing", POST "Content-Length:\r\n\r\n", 400},
        {"2^64", POST "Content-Length: 18446744073709551616\r\n\r\n", 400},
        {"2^64 + 5", POST "Content-Length: 18446744073709551621\r\n\r\n", 400},
        {"2^63", POST "Content-Length: 9223372036854775808\r\n\r\n", 400},
        {"chunked twice", POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
         400},
        {"chunked in HTTP/1.0", "POST /a HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
        {"gzip", POST "Transfer-Encoding: gzip\r\n\r\n", 501},
        {"gzip, chunked", POST "Transfer-Encoding: gzip, chunked\r\n\r\n", 501},
        {"chunked, chunked", POST "Transfer-Encoding: chunked, chunked\r\n\r\n", 501},
        {"xchunked", POST "Transfer-Encoding: xchunked\r\n\r\n", 501},
        {"identity", POST "Transfer-Encoding: identity\r\n\r\n", 501},
        {"an empty coding", POST "Transfer-Encoding:\r\n\r\n", 501},
    };

    all_refused(list, COUNT_OF(list));
}

Test(head, what_is_right_is_understood)
{
    static const struct {
        const char *text;
        int minor;
        bool keep, chunked, expects;
        long length; /* -1: none */
    } list[] = {
        {LINE HOST "\r\n", 1, true, false, false, -1},
        {LINE "host:localhost\r\n\r\n", 1, true, false, false, -1},
        {LINE "HOST:\t localhost \t\r\n\r\n", 1, true, false, false, -1},
        {LINE HOST "Connection: close\r\n\r\n", 1, false, false, false, -1},
        {LINE HOST "Connection: x , CLOSE\r\n\r\n", 1, false, false, false, -1},
        {LINE HOST "Connection: closed\r\n\r\n", 1, true, false, false, -1},
        {LINE HOST "Connection: keep-alive, close\r\n\r\n", 1, false, false, false, -1},
        {LINE HOST "Connection: close\r\nConnection: keep-alive\r\n\r\n", 1, false, false, false,
         -1},
        {"GET /a HTTP/1.0\r\n\r\n", 0, false, false, false, -1},
        {"GET /a HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", 0, true, false, false, -1},
        {"GET /a HTTP/1.0\r\nConnection: close\r\nConnection: keep-alive\r\n\r\n", 0, false, false,
         false, -1},
        {POST "Content-Length: 0\r\n\r\n", 1, true, false, false, 0},
        {POST "content-length:00017\r\n\r\n", 1, true, false, false, 17},
        {POST "Transfer-Encoding: CHUNKED\r\n\r\n", 1, true, true, false, -1},
        {POST "Expect: 100-Continue\r\nContent-Length: 3\r\n\r\n", 1, true, false, true, 3},
        {"POST /a HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n", 0, false, false,
         false, 3},
        {"!#$%&'*+-.^_`|~09azAZ /a HTTP/1.1\r\n" HOST "\r\n", 1, true, false, false, -1},
        {LINE HOST "X-Empty:\r\n\r\n", 1, true, false, false, -1},
        {LINE HOST "X: caf\xc3\xa9\r\n\r\n", 1, true, false, false, -1},
    };

    for (size_t i = 0; i < COUNT_OF(list); i++) {
        static head h;
        char *copy;
        unsigned status = parse_bytes(list[i].text, strlen(list[i].text), &h, &copy);

        cr_expect_eq(status, 0, "status %u for %s", status, list[i].text);
        cr_expect_eq(h.minor, list[i].minor, "minor %d of %s", h.minor, list[i].text);
        cr_expect_eq(h.keep_alive, list[i].keep, "keep-alive %d of %s", h.keep_alive, list[i].text);
        cr_expect_eq(h.chunked, list[i].chunked, "chunked %d of %s", h.chunked, list[i].text);
        cr_expect_eq(h.expects_continue, list[i].expects, "expects %d: %s", h.expects_continue,
                     list[i].text);
        cr_expect_eq(h.has_length ? (long)h.length : -1, list[i].length, "length of %s",
                     list[i].text);
        free(copy);
    }
}

Test(head, values_come_without_the_space_around_them_and_by_any_case_of_the_name)
{
    static head h;
    static const char text[] = LINE HOST "X-One: \t a b\t \r\nX-Two:\r\n\r\n";
    char *copy;
    broker_str one, two;

    cr_assert_eq(parse_bytes(text, sizeof text - 1, &h, &copy), 0);
    one = head_get(&h, "x-oNE");
    two = head_get(&h, "X-Two");
    cr_expect(one.len == 3 && memcmp(one.ptr, "a b", 3) == 0, "'%.*s'", (int)one.len, one.ptr);
    cr_expect(two.ptr != NULL && two.len == 0, "an empty value is there: %zu bytes", two.len);
    cr_expect_null(head_get(&h, "X-Three").ptr);
    cr_expect_null(head_get(&h, "X-On").ptr);
    free(copy);
}

Test(head, a_hundred_headers_pass_and_one_more_is_431)
{
    for (unsigned n = 99; n <= 101; n++) {
        sb text = SB_INIT;
        unsigned got;

        sb_puts(&text, LINE HOST);
        for (unsigned i = 1; i < n; i++)
            sb_printf(&text, "X-%u: %u\r\n", i, i);
        sb_puts(&text, "\r\n");
        got = status_of(text.data, text.len);
        cr_expect_eq(got, n > 100 ? 431 : 0, "%u headers: status %u", n, got);
        sb_done(&text);
    }
}

Test(head, a_head_is_complete_at_its_empty_line_and_not_a_byte_before)
{
    static const char text[] = POST "X: \r\rn\r\n\r\nbody\r\n\r\n";
    size_t len = sizeof text - 1 - strlen("body\r\n\r\n");

    for (size_t n = 0; n < sizeof text; n++) {
        char *copy = malloc(n + 1);

        memcpy(copy, text, n);
        cr_expect_eq(head_length(copy, n), n < len ? 0 : len, "%zu of %zu bytes: %zu", n, len,
                     head_length(copy, n));
        free(copy);
    }
}

/* ---- bodies ---- */

/* Reads text in pieces that end at the cuts; what is read to *out. -1: refused, else how many
 * bytes were used. */
static long body_pieces(body_reader r, const char *text, size_t len, const size_t *cuts,
                        size_t n_cuts, sb *out)
{
    size_t at = 0;

    for (size_t i = 0; i <= n_cuts; i++) {
        size_t stop = i < n_cuts ? cuts[i] : len;
        uint8_t *piece = malloc(stop - at + 1); /* a copy: ASan sees a step beyond it */
        size_t n = stop - at, from = 0;
        bool ok = true;

        memcpy(piece, text + at, n);
        while (ok && from < n && !body_is_over(&r)) {
            size_t used = 0, part = 0;

            ok = body_read(&r, piece + from, n - from, &used, &part);
            if (ok) {
                cr_assert(used > 0 && used <= n - from && part <= used, "used %zu, part %zu of %zu",
                          used, part, n - from);
                sb_append(out, piece + from + used - part, part);
                from += used;
            }
        }
        free(piece);
        if (!ok)
            return -1;
        at += from;
        if (body_is_over(&r))
            return (long)at;
    }
    return body_is_over(&r) ? (long)at : -2; /* -2: not over yet */
}

typedef struct body_case {
    const char *text, *body;
    long used; /* -1: refused; -2: it takes more bytes */
} body_case;

static const body_case chunked[] = {
    {"0\r\n\r\n", "", 5},
    {"5\r\nhello\r\n0\r\n\r\nGET", "hello", 15},
    {"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", "hello world", 26},
    {"a\r\n0123456789\r\n0\r\n\r\n", "0123456789", 20},
    {"A\r\n0123456789\r\n0\r\n\r\n", "0123456789", 20},
    {"00005\r\nhello\r\n000\r\n\r\n", "hello", 21},
    {"5;ext\r\nhello\r\n0;last=1\r\n\r\n", "hello", 26},
    {"5;a=\"b;c\";d\r\nhello\r\n0\r\n\r\n", "hello", 25},
    {"5\r\nhello\r\n0\r\nX-Trailer: a\r\nY: b\r\n\r\nGET", "hello", 35},
    {"4\r\n\r\n\r\n\r\n0\r\n\r\n", "\r\n\r\n", 14},
    /* not over */
    {"", "", -2},
    {"5\r\nhell", "hell", -2},
    {"5\r\nhello\r\n0\r\n", "hello", -2},
    {"5\r\nhello\r\n0\r\nX: a\r\n", "hello", -2},
    /* refused */
    {"\r\n", "", -1},
    {";ext\r\n", "", -1},
    {"g\r\n", "", -1},
    {"-1\r\n", "", -1},
    {"+5\r\nhello\r\n0\r\n\r\n", "", -1},
    {" 5\r\nhello\r\n0\r\n\r\n", "", -1},
    {"0x5\r\nhello\r\n0\r\n\r\n", "", -1},
    {"5\nhello\r\n0\r\n\r\n", "", -1},
    {"5\rhello\r\n0\r\n\r\n", "", -1},
    {"5 5\r\nhello\r\n0\r\n\r\n", "", -1},
    {"5;ext\nhello\r\n0\r\n\r\n", "", -1},
    {"5;ex\rt\r\nhello\r\n0\r\n\r\n", "", -1},
    {"5\r\nhelloX\r\n0\r\n\r\n", "hello", -1},
    {"5\r\nhello\n0\r\n\r\n", "hello", -1},
    {"5\r\nhello\rX0\r\n\r\n", "hello", -1},
    {"5\r\nhello0\r\n\r\n", "hello", -1},
    {"0\r\nX: a\n\r\n", "", -1},
    {"0\r\n\rX", "", -1},
    {"0\r\n\n", "", -1},
    {"0\r\nX: a\rb\r\n\r\n", "", -1},
    {"fffffffffffffffff\r\n", "", -1},      /* 2^68 - 1 */
    {"10000000000000005\r\nhello", "", -1}, /* 2^64 + 5: 5 for one that forgets the carry */
    {"ffffffffffffffff\r\nx", "", -1},      /* 2^64 - 1: negative for one that casts */
};

Test(body, chunks_come_out_the_same_wherever_they_are_cut)
{
    for (size_t i = 0; i < COUNT_OF(chunked); i++) {
        const body_case *c = &chunked[i];
        size_t len = strlen(c->text);

        for (size_t first = 0; first <= len; first++)
            for (size_t second = first; second <= len; second++) {
                size_t cuts[2] = {first, second};
                sb out = SB_INIT;
                body_reader r;
                long used;

                body_chunks(&r);
                used = body_pieces(r, c->text, len, cuts, 2, &out);
                cr_assert_eq(used, c->used, "'%s' cut at %zu and %zu: %ld, expected %ld", c->text,
                             first, second, used, c->used);
                cr_assert(out.len == strlen(c->body) &&
                              (out.len == 0 || memcmp(out.data, c->body, out.len) == 0),
                          "'%s' cut at %zu and %zu gives '%s'", c->text, first, second, out.data);
                sb_done(&out);
            }
    }
}

Test(body, chunks_come_out_the_same_byte_by_byte)
{
    for (size_t i = 0; i < COUNT_OF(chunked); i++) {
        const body_case *c = &chunked[i];
        size_t cuts[64], n = strlen(c->text);
        sb out = SB_INIT;
        body_reader r;
        long used;

        for (size_t at = 0; at < n; at++)
            cuts[at] = at;
        body_chunks(&r);
        used = body_pieces(r, c->text, n, cuts, n, &out);
        cr_expect_eq(used, c->used, "'%s': %ld, expected %ld", c->text, used, c->used);
        cr_expect(out.len == strlen(c->body), "'%s' gives %zu bytes", c->text, out.len);
        sb_done(&out);
    }
}

Test(body, a_sized_body_ends_at_its_length_wherever_it_is_cut)
{
    static const char text[] = "0123456789GET / HTTP/1.1";

    for (size_t length = 0; length <= 10; length++)
        for (size_t cut = 0; cut <= sizeof text - 1; cut++) {
            sb out = SB_INIT;
            body_reader r;
            long used;

            body_sized(&r, length);
            used = body_pieces(r, text, sizeof text - 1, &cut, 1, &out);
            cr_assert_eq(used, (long)length, "length %zu, cut at %zu: used %ld", length, cut, used);
            cr_assert(out.len == length && (length == 0 || memcmp(out.data, text, length) == 0));
            sb_done(&out);
        }
}

Test(body, none_is_over_at_once_and_reads_nothing)
{
    body_reader r;
    size_t used = 99, part = 99;

    body_none(&r);
    cr_assert(body_is_over(&r));
    cr_assert(body_read(&r, (const uint8_t *)"GET", 3, &used, &part));
    cr_assert_eq(used, 0, "used %zu", used);
    cr_assert_eq(part, 0, "part %zu", part);
}

Test(body, extensions_and_trailers_have_a_bound)
{
    static const char *const starts[] = {"5;", "0\r\nX: ", "0\r\n"};
    static const char *const more[] = {"a", "a", "X: a\r\n"};

    for (size_t i = 0; i < COUNT_OF(starts); i++) {
        body_reader r;
        size_t used, part, total = 0;
        bool ok;

        body_chunks(&r);
        ok = body_read(&r, (const uint8_t *)starts[i], strlen(starts[i]), &used, &part);
        cr_assert(ok, "'%s' was refused", starts[i]);
        while (ok && total < (1u << 20)) {
            ok = body_read(&r, (const uint8_t *)more[i], strlen(more[i]), &used, &part);
            total += strlen(more[i]);
        }
        cr_expect(!ok, "%zu bytes behind '%s' were taken", total, starts[i]);
        cr_expect_gt(total, 1000, "only %zu bytes behind '%s' were taken", total, starts[i]);
    }
}

/* ---- routes ---- */

static void handler(void *self, broker_req *req)
{
    (void)self;
    (void)req;
}

static const char *add(route **list, ledger *owner, const char *method, const char *path)
{
    broker_route r = {.size = sizeof r, .method = method, .path = path, .on_req = handler};

    return route_add(list, owner, &r);
}

static broker_str str(const char *s)
{
    return (broker_str){s, strlen(s)};
}

static ledger one = {.name = "one"}, other = {.name = "other"};

static route *routes_make(void)
{
    static const char *const list[][2] = {
        {"GET", "/stores"},
        {"GET", "/stores/{id+}/data/partitions/{p}/{kind}"},
        {"POST", "/stores/{id+}/data/partitions/{p}"},
        {"PUT", "/stores/{id+}/data/partitions/{p}"},
        {"GET", "/exact/{name}"},
    };
    route *routes = NULL;

    for (size_t i = 0; i < COUNT_OF(list); i++)
        cr_assert_null(add(&routes, i < 4 ? &one : &other, list[i][0], list[i][1]));
    return routes;
}

Test(route, targets_find_their_route_and_their_parameters)
{
    static const struct {
        const char *method, *path;
        unsigned status;
        const char *id, *kind; /* NULL: no parameter */
    } list[] = {
        {"GET", "/stores", 0, NULL, NULL},
        {"HEAD", "/stores", 0, NULL, NULL},
        {"GET", "/stores/a/data/partitions/0/last", 0, "a", "last"},
        {"GET", "/stores/a/b/c/data/partitions/0/last", 0, "a/b/c", "last"},
        {"GET", "/stores/a%2Fb%2fc/data/partitions/0/last", 0, "a/b/c", "last"},
        {"GET", "/stores/a+b/data/partitions/0/last", 0, "a+b", "last"},
        {"GET", "/stores/data/partitions/0/data/partitions/0/last", 0, "data/partitions/0", "last"},
        {"GET", "/stores/../data/partitions/0/last", 0, "..", "last"},
        {"POST", "/stores/a/data/partitions/0", 0, "a", NULL},
        {"PUT", "/stores/a/data/partitions/0", 0, "a", NULL},
        {"GET", "/stores/", 404, NULL, NULL},
        {"GET", "/stores//", 404, NULL, NULL},
        {"GET", "//stores", 404, NULL, NULL},
        {"GET", "/Stores", 404, NULL, NULL},
        {"GET", "/%73tores", 404, NULL, NULL},
        {"GET", "/", 404, NULL, NULL},
        {"GET", "", 404, NULL, NULL},
        {"GET", "*", 404, NULL, NULL},
        {"GET", "stores", 404, NULL, NULL},
        {"GET", "/stores/data/partitions/0/last", 404, NULL, NULL},
        {"GET", "/stores//data/partitions/0/last", 404, NULL, NULL},
        {"GET", "/stores/a/data/partitions//last", 404, NULL, NULL},
        {"GET", "/stores/a/data/partitions/0/", 404, NULL, NULL},
        {"GET", "/exact/a/b", 404, NULL, NULL},
        {"DELETE", "/stores", 405, NULL, NULL},
        {"get", "/stores", 405, NULL, NULL},
        {"GE", "/stores", 405, NULL, NULL},
        {"HEAD", "/stores/a/data/partitions/0", 405, NULL, NULL},
        {"GET", "/stores/a/data/partitions/0", 405, NULL, NULL},
    };
    route *routes = routes_make();

    for (size_t i = 0; i < COUNT_OF(list); i++) {
        char *path = must_strndup(list[i].path, strlen(list[i].path));
        route_match m;
        sb allow = SB_INIT;
        unsigned status = route_find(routes, str(list[i].method), str(path), &m, &allow);
        const char *id = NULL, *kind = NULL;

        cr_expect_eq(status, list[i].status, "%s %s: status %u", list[i].method, path, status);
        for (size_t k = 0; k < m.n; k++) {
            id = strcmp(m.names[k], "id") == 0 ? m.values[k] : id;
            kind = strcmp(m.names[k], "kind") == 0 ? m.values[k] : kind;
        }
        cr_expect((id == NULL) == (list[i].id == NULL) &&
                      (id == NULL || strcmp(id, list[i].id) == 0),
                  "%s: id '%s'", path, id != NULL ? id : "none");
        cr_expect((kind == NULL) == (list[i].kind == NULL) &&
                      (kind == NULL || strcmp(kind, list[i].kind) == 0),
                  "%s: kind '%s'", path, kind != NULL ? kind : "none");
        route_match_done(&m);
        sb_done(&allow);
        free(path);
    }
    route_forget(&routes, NULL);
}

Test(route, a_wrong_method_says_which_there_are)
{
    route *routes = routes_make();
    route_match m;
    sb allow = SB_INIT;

    cr_assert_eq(route_find(routes, str("DELETE"), str("/stores/a/data/partitions/0"), &m, &allow),
                 405);
    cr_assert_str_eq(allow.data, "POST, PUT");
    sb_done(&allow);
    route_forget(&routes, NULL);
}

Test(route, a_parameter_with_a_malformed_escape_is_not_taken)
{
    static const char *const bad[] = {"%", "%2", "%2g", "%g2", "a%", "%%41", "%-1", "% 1", "%0x"};
    route *routes = routes_make();

    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        sb path = SB_INIT, allow = SB_INIT;
        route_match m;
        unsigned status;

        sb_printf(&path, "/exact/%s", bad[i]);
        status = route_find(routes, str("GET"), str(path.data), &m, &allow);
        cr_expect_neq(status, 0, "'%s' was taken", bad[i]);
        sb_done(&path);
        sb_done(&allow);
    }
    route_forget(&routes, NULL);
}

Test(route, escapes_are_decoded_once_and_plus_only_where_it_means_a_space)
{
    static const struct {
        const char *text;
        bool plus;
        const char *out;
        size_t len;
    } list[] = {
        {"", false, "", 0},
        {"a+b", true, "a b", 3},
        {"a+b", false, "a+b", 3},
        {"%2B", true, "+", 1},
        {"%252F", false, "%2F", 3},
        {"%00x", false, "\0x", 2},
        {"%c3%A9", false, "\xc3\xa9", 2},
    };

    for (size_t i = 0; i < COUNT_OF(list); i++) {
        sb out = SB_INIT;

        cr_expect(percent_decode(list[i].text, strlen(list[i].text), list[i].plus, &out));
        cr_expect(out.len == list[i].len && memcmp(out.data, list[i].out, out.len) == 0,
                  "'%s' gives '%s'", list[i].text, out.data);
        sb_done(&out);
    }
}

Test(route, what_is_taken_or_malformed_is_not_added_and_owners_are_forgotten_alone)
{
    route *routes = routes_make();
    route_match m;
    sb allow = SB_INIT;

    cr_expect_not_null(add(&routes, &other, "GET", "/stores"), "taken");
    cr_expect_null(add(&routes, &other, "POST", "/stores"), "another method");
    cr_expect_not_null(add(&routes, &other, "GET", "stores"), "no slash");
    cr_expect_not_null(add(&routes, &other, "GET", NULL), "no path");
    cr_expect_not_null(add(&routes, &other, NULL, "/x"), "no method");
    cr_expect_not_null(add(&routes, &other, "GET", "/{a+}/{b+}"), "two of many segments");
    route_forget(&routes, &one);
    cr_expect_eq(route_find(routes, str("GET"), str("/stores"), &m, &allow), 405);
    cr_expect_eq(route_find(routes, str("GET"), str("/exact/a"), &m, &allow), 0);
    route_match_done(&m);
    route_forget(&routes, NULL);
    cr_expect_null(routes);
    sb_done(&allow);
}
