/* guest: the process of an isolated plugin, spoken to as a node does: tests/plugins/apart.c. */
#include "eth/eth.h"
#include "isolate/words.h"
#include "pack/pack.h"
#include "streamr/streamr.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define STREAM      "0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a/apart"
#define PATIENCE_MS 30000

/* What the test knows of the process. */
typedef struct node {
    int frames, asks;
    pid_t pid;
    uint32_t sub, seen;
    char *paths[IDS_MAX / 1024]; /* of the routes, by number */
    int64_t counted;             /* of the counter           */
    unsigned observed;
    double level;
    sb body; /* of the frame that came last */
} node;

/* ---- frames ---- */

static void put_all(int fd, const void *bytes, size_t len)
{
    for (size_t at = 0; at < len;) {
        ssize_t n = send(fd, (const char *)bytes + at, len - at, MSG_NOSIGNAL);

        cr_assert_gt(n, 0, "the process takes nothing");
        at += (size_t)n;
    }
}

static void say(int fd, uint8_t word, const sb *body)
{
    uint8_t head[FRAME_HEAD];

    put_u32be(head, (uint32_t)(1 + body->len));
    head[4] = word;
    put_all(fd, head, sizeof head);
    put_all(fd, body->data, body->len);
}

/* False: the other side is gone. */
static bool get_all(int fd, void *bytes, size_t len)
{
    for (size_t at = 0; at < len;) {
        ssize_t n = recv(fd, (char *)bytes + at, len - at, 0);

        if (n <= 0)
            return false;
        at += (size_t)n;
    }
    return true;
}

/* The word of a frame, its body in *body; 0: gone. */
static uint8_t hear(int fd, sb *body)
{
    uint8_t head[FRAME_HEAD];
    uint32_t len;

    sb_clear(body);
    if (!get_all(fd, head, sizeof head))
        return 0;
    len = get_u32be(head);
    cr_assert(len >= 1 && len <= FRAME_MAX);
    sb_room(body, len);
    cr_assert(get_all(fd, body->data, len - 1));
    body->len = len - 1;
    return head[4];
}

static uint8_t u8_at(const node *n, size_t at)
{
    cr_assert_lt(at, n->body.len);
    return (uint8_t)n->body.data[at];
}

static uint32_t u32_at(const node *n, size_t at)
{
    cr_assert_leq(at + 4, n->body.len);
    return get_u32be((const uint8_t *)n->body.data + at);
}

static uint64_t u64_at(const node *n, size_t at)
{
    cr_assert_leq(at + 8, n->body.len);
    return get_u64be((const uint8_t *)n->body.data + at);
}

/* ---- questions ---- */

static unpacked *map_of(const sb *body)
{
    unpacked *u = NULL;

    cr_assert_eq(unpack(body->data, body->len, &u), 1);
    return u;
}

static void answer(node *n)
{
    uint8_t bytes[65] = {0x11};
    sb asked = SB_INIT, out = SB_INIT;
    words_result r = {BROKER_OK, {NULL, 0}};
    uint8_t word = hear(n->asks, &asked);
    unpacked *u = NULL;
    char *name;

    switch (word) {
    case 0:
        close(n->asks);
        n->asks = -1;
        sb_done(&asked);
        return;
    case ASK_ROUTE:
        u = map_of(&asked);
        n->paths[unpack_uint(unpacked_root(u), "id", 0)] = unpack_text(unpacked_root(u), "path");
        break;
    case ASK_SUBSCRIBE:
        u = map_of(&asked);
        n->sub = (uint32_t)unpack_uint(unpacked_root(u), "id", 0);
        cr_assert_eq(unpack_uint(unpacked_root(u), "flags", 0), BROKER_SUB_DURABLE);
        break;
    case ASK_METRIC:
        u = map_of(&asked);
        name = unpack_text(unpacked_root(u), "name");
        if (strcmp(name, "seen_total") == 0)
            n->seen = (uint32_t)unpack_uint(unpacked_root(u), "id", 0);
        free(name);
        break;
    case ASK_KEY:
        r.rc = asked.len == 6 && memcmp(asked.data, "secret", 6) == 0 ? BROKER_OK : BROKER_EDENIED;
        break;
    case ASK_ADDRESS:
        r.bytes = (broker_bytes){bytes, 20};
        break;
    default:
        cr_assert_eq(word, ASK_SIGN);
        cr_assert_eq(asked.len, 5);
        bytes[64] = 27;
        r.bytes = (broker_bytes){bytes, 65};
    }
    unpacked_free(u);
    words_put_result(&out, &r);
    say(n->asks, WORD_ANSWER, &out);
    sb_done(&out);
    sb_done(&asked);
}

/* ---- what it says ---- */

static void metric_note(node *n)
{
    uint64_t bits = u64_at(n, 5);

    cr_assert_eq(n->body.len, 13);
    if (u8_at(n, 4) == METRIC_COUNTER) {
        cr_assert_eq(u32_at(n, 0), n->seen);
        n->counted += (int64_t)bits;
    } else if (u8_at(n, 4) == METRIC_HISTOGRAM) {
        n->observed++;
    } else {
        cr_assert_eq(u8_at(n, 4), METRIC_GAUGE_SET);
        memcpy(&n->level, &bits, sizeof bits);
    }
}

/* The next frame but metrics; questions are answered meanwhile. */
static uint8_t next(node *n)
{
    for (;;) {
        struct pollfd fds[] = {{n->asks, POLLIN, 0}, {n->frames, POLLIN, 0}};
        uint8_t word;

        cr_assert_gt(poll(fds, COUNT_OF(fds), PATIENCE_MS), 0, "the process says nothing");
        if (fds[0].fd >= 0 && fds[0].revents != 0) {
            answer(n);
            continue;
        }
        word = hear(n->frames, &n->body);
        if (word != WORD_METRIC)
            return word;
        metric_note(n);
    }
}

static void expect(node *n, uint8_t word)
{
    uint8_t came = next(n);

    cr_assert_eq(came, word, "word %u came, not %u", came, word);
}

static void expect_result(node *n, uint8_t word, broker_rc rc, const char *text)
{
    words_result r;

    expect(n, word);
    cr_assert(words_read_result((broker_bytes){(uint8_t *)n->body.data, n->body.len}, &r));
    cr_assert_eq(r.rc, rc, "rc %d", r.rc);
    if (text != NULL)
        cr_assert(r.bytes.len == strlen(text) && memcmp(r.bytes.ptr, text, r.bytes.len) == 0,
                  "%.*s", (int)r.bytes.len, (const char *)r.bytes.ptr);
}

static void say_nothing(node *n, uint8_t word)
{
    sb none = SB_INIT;

    say(n->frames, word, &none);
}

static void say_number(node *n, uint8_t word, uint64_t req)
{
    sb body = SB_INIT;

    words_put_u64(&body, req);
    say(n->frames, word, &body);
    sb_done(&body);
}

/* ---- life ---- */

static void spawn(node *n, const char *file)
{
    int frames[2], asks[2], build = open(file, O_RDONLY | O_CLOEXEC);
    sb body = SB_INIT;

    memset(n, 0, sizeof *n);
    alarm(PATIENCE_MS / 1000); /* nothing waits for ever; the process ends with this one */
    cr_assert_geq(build, 0, "%s", file);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, frames), 0);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, asks), 0);
    n->pid = fork();
    cr_assert_geq(n->pid, 0);
    if (n->pid == 0) {
        /* Above where they go, so that none is overwritten before it is there. */
        int from[] = {fcntl(frames[1], F_DUPFD, 20), fcntl(asks[1], F_DUPFD, 20),
                      fcntl(build, F_DUPFD, 20)};

        for (int i = 0; i < 3; i++)
            dup2(from[i], ISOLATED_FRAMES_FD + i);
        closefrom(ISOLATED_FILE_FD + 1);
        execl(PROGRAM, "logstore-broker", "--isolated", "apart", (char *)NULL);
        _exit(127);
    }
    n->frames = frames[0];
    n->asks = asks[0];
    close(frames[1]);
    close(asks[1]);
    close(build);
    pack_map(&body, 5);
    pack_int(&body, "logLevel", 2);
    pack_bool(&body, "logJson", false);
    pack_text(&body, "dataDir", "/nowhere");
    pack_uint(&body, "workers", 2);
    pack_uint(&body, "warnMs", 0);
    say(n->frames, WORD_INIT, &body);
    sb_done(&body);
}

static void say_create(node *n, const char *section)
{
    sb body = SB_INIT;

    pack_map(&body, 3);
    pack_text(&body, "section", section);
    pack_list(&body, "shared", 1);
    pack_map(&body, 2);
    pack_text(&body, "path", "mode");
    pack_text(&body, "text", "{\"type\":\"network\"}");
    pack_bool(&body, "keys", true);
    say(n->frames, WORD_CREATE, &body);
    sb_done(&body);
}

static void start(node *n)
{
    spawn(n, PLUGIN);
    expect(n, WORD_LOADED);
    say_create(n, "{\"fails\":false}");
    expect_result(n, WORD_CREATED, BROKER_OK, NULL);
    say_nothing(n, WORD_START);
    expect_result(n, WORD_STARTED, BROKER_OK, NULL);
    cr_assert_neq(n->sub, 0);
}

/* Its wait status, when its sockets have been closed by it. */
static int ended(node *n)
{
    int status;

    cr_assert_eq(waitpid(n->pid, &status, 0), n->pid);
    close(n->frames);
    if (n->asks >= 0)
        close(n->asks);
    for (size_t i = 0; i < COUNT_OF(n->paths); i++)
        free(n->paths[i]);
    sb_done(&n->body);
    return status;
}

static void destroy(node *n)
{
    int status;

    say_nothing(n, WORD_DESTROY);
    while (next(n) != 0)
        ;
    status = ended(n);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", status);
}

static void quiet(node *n)
{
    words_result r;

    do {
        say_nothing(n, WORD_QUIESCE);
        expect(n, WORD_QUIET);
        cr_assert(words_read_result((broker_bytes){(uint8_t *)n->body.data, n->body.len}, &r));
    } while (r.rc == BROKER_AGAIN);
    cr_assert_eq(r.rc, BROKER_OK);
}

Test(guest, runs_a_plugin_from_loading_to_its_end)
{
    unpacked *u;
    char *text;
    node n;

    spawn(&n, PLUGIN);
    expect(&n, WORD_LOADED);
    u = map_of(&n.body);
    text = unpack_text(unpacked_root(u), "name");
    cr_assert_str_eq(text, "apart");
    free(text);
    text = unpack_text(unpacked_root(u), "schema");
    cr_assert_eq(strncmp(text, "{\"type\":", 8), 0);
    free(text);
    text = unpack_text(unpacked_root(u), "id");
    cr_assert_eq(strlen(text), 40);
    free(text);
    unpacked_free(u);
    say_create(&n, "{\"fails\":false}");
    expect_result(&n, WORD_CREATED, BROKER_OK, "");
    say_nothing(&n, WORD_START);
    expect_result(&n, WORD_STARTED, BROKER_OK, "");
    say_nothing(&n, WORD_PREPARE);
    expect_result(&n, WORD_PREPARED, BROKER_OK, "");
    kill(n.pid, SIGTERM); /* that is the node's to decide */
    say_nothing(&n, WORD_PING);
    expect(&n, WORD_PONG);
    quiet(&n);
    destroy(&n);
}

Test(guest, says_why_a_file_cannot_be_loaded)
{
    node n;

    spawn(&n, __FILE__);
    expect(&n, WORD_FAILED);
    destroy(&n);
}

Test(guest, says_why_a_plugin_is_not_created)
{
    node n;

    spawn(&n, PLUGIN);
    expect(&n, WORD_LOADED);
    say_create(&n, "{\"fails\":true}");
    expect_result(&n, WORD_CREATED, BROKER_ECONFIG, "it shall fail");
    destroy(&n);
}

Test(guest, ends_when_the_node_has_gone)
{
    node n;
    int status;

    start(&n);
    shutdown(n.frames, SHUT_RDWR);
    status = ended(&n);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 1, "status %x", status);
}

Test(guest, needs_a_node)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        closefrom(3);
        execl(PROGRAM, "logstore-broker", "--isolated", "apart", (char *)NULL);
        _exit(127);
    }
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 2, "status %x", status);
}

/* ---- requests ---- */

static void pair(sb *body, const char *name, const char *value)
{
    pack_map(body, 2);
    pack_text(body, "name", name);
    pack_text(body, "value", value);
}

/* A request of the route with that path, whose one parameter has that value. */
static void request(node *n, uint64_t req, const char *path, const char *param, const char *value,
                    const char *saved)
{
    sb body = SB_INIT;
    uint32_t route = 1;

    while (n->paths[route] == NULL || strcmp(n->paths[route], path) != 0)
        route++;
    pack_map(&body, saved != NULL ? 9 : 8);
    pack_uint(&body, "req", req);
    pack_uint(&body, "route", route);
    pack_text(&body, "method", "GET");
    pack_text(&body, "target", "/apart/there?x=1&q=a%20b+c");
    pack_text(&body, "user", "me");
    pack_text(&body, "peer", "127.0.0.1:1");
    pack_list(&body, "params", 1);
    pair(&body, param, value);
    pack_list(&body, "headers", 2);
    pair(&body, "Host", "here");
    pair(&body, "X-TEST", "head");
    if (saved != NULL)
        pack_bytes(&body, "resumed", saved, strlen(saved));
    say(n->frames, WORD_REQUEST, &body);
    sb_done(&body);
}

static void check_reply(const node *n, uint64_t req, uint64_t status, const char *text)
{
    unpacked *u = map_of(&n->body);
    size_t len = 0;
    const char *body = unpack_bytes(unpacked_root(u), "body", &len);

    cr_assert_eq(unpack_uint(unpacked_root(u), "req", 0), req);
    cr_assert_eq(unpack_uint(unpacked_root(u), "status", 0), status);
    cr_assert(len == strlen(text) && memcmp(body, text, len) == 0, "%.*s", (int)len, body);
    cr_assert_eq(unpack_list(unpacked_root(u), "headers"), 1);
    unpacked_free(u);
}

Test(guest, hands_a_request_to_its_route_and_the_reply_back)
{
    node n;

    start(&n);
    request(&n, 7, "/apart/say/{word}", "word", "hi", NULL);
    expect(&n, WORD_REPLY);
    check_reply(&n, 7, 200, "hi|a b c|head|me|{\"type\":\"network\"}");
    destroy(&n);
}

Test(guest, asks_the_node_to_sign_and_to_check_keys)
{
    node n;

    start(&n);
    request(&n, 7, "/apart/sign", "none", "", NULL);
    expect(&n, WORD_STATE);
    cr_assert_eq(u32_at(&n, 0), BROKER_STATE_DEGRADED);
    expect(&n, WORD_REPLY);
    check_reply(&n, 7, 200, "0 11 0 1b 0");
    destroy(&n);
}

static void took(node *n, uint64_t req, size_t len)
{
    sb body = SB_INIT;

    words_put_u64(&body, req);
    words_put_u32(&body, (uint32_t)len);
    say(n->frames, WORD_TAKEN, &body);
    sb_done(&body);
}

Test(guest, streams_an_answer_no_faster_than_it_is_taken)
{
    size_t whole = 5000000, got = 0;
    uint8_t word;
    node n;

    start(&n);
    request(&n, 9, "/apart/count/{n}", "n", "5000000", NULL);
    expect(&n, WORD_STREAM);
    while (got < WINDOW_STREAM) {
        expect(&n, WORD_CHUNK);
        got += n.body.len - 8;
    }
    cr_assert_eq(got, WINDOW_STREAM, "more than the window: %zu", got);
    say_nothing(&n, WORD_PING);
    expect(&n, WORD_PONG);
    took(&n, 9, got);
    while ((word = next(&n)) == WORD_CHUNK) {
        got += n.body.len - 8;
        took(&n, 9, n.body.len - 8);
    }
    cr_assert_eq(word, WORD_END);
    cr_assert_eq(u32_at(&n, 8), BROKER_END);
    cr_assert_eq(got, whole, "%zu", got);
    say_number(&n, WORD_CLOSE, 9);
    destroy(&n);
}

Test(guest, closes_an_answer_whose_client_has_left)
{
    node n;

    start(&n);
    request(&n, 9, "/apart/count/{n}", "n", "50000000", NULL);
    expect(&n, WORD_STREAM);
    say_number(&n, WORD_CLOSE, 9);
quiet_after:
    say_nothing(&n, WORD_PING);
    if (next(&n) == WORD_CHUNK)
        goto quiet_after;
    destroy(&n);
}

static void part(node *n, uint64_t req, const char *text, bool last)
{
    sb body = SB_INIT;

    words_put_u64(&body, req);
    words_put_u8(&body, last);
    sb_puts(&body, text);
    say(n->frames, WORD_BODY, &body);
    sb_done(&body);
}

Test(guest, reads_a_body_part_by_part)
{
    node n;

    start(&n);
    request(&n, 3, "/apart/echo", "none", "", NULL);
    expect(&n, WORD_RECEIVE);
    cr_assert_eq(u8_at(&n, 8), 1);
    part(&n, 3, "abc", false);
    part(&n, 3, "def", true); /* waits until the plugin resumes */
    expect(&n, WORD_PAUSE);
    expect(&n, WORD_CREDIT);
    cr_assert_eq(u32_at(&n, 8), 3);
    expect(&n, WORD_RESUME);
    expect(&n, WORD_REPLY);
    check_reply(&n, 3, 200, "abcdef");
    expect(&n, WORD_CREDIT);
    destroy(&n);
}

Test(guest, tells_that_a_body_breaks_off)
{
    node n;

    start(&n);
    request(&n, 3, "/apart/echo", "none", "", NULL);
    expect(&n, WORD_RECEIVE);
    say_number(&n, WORD_ABORT, 3);
    say_number(&n, WORD_ABORT, 4); /* nobody knows it any more */
    expect(&n, WORD_REPLY);
    check_reply(&n, 3, 400, "aborted");
    destroy(&n);
}

Test(guest, saves_a_request_and_goes_on_with_it)
{
    words_result r;
    node n;

    start(&n);
    request(&n, 3, "/apart/echo", "none", "", NULL);
    expect(&n, WORD_RECEIVE);
    part(&n, 3, "abc", false);
    expect(&n, WORD_PAUSE);
    expect(&n, WORD_CREDIT);
    expect(&n, WORD_RESUME);
    say_number(&n, WORD_SAVE, 3);
    expect(&n, WORD_SAVED);
    cr_assert(words_read_result((broker_bytes){(uint8_t *)n.body.data + 8, n.body.len - 8}, &r));
    cr_assert_eq(r.rc, BROKER_OK);
    cr_assert(r.bytes.len == 3 && memcmp(r.bytes.ptr, "abc", 3) == 0);
    part(&n, 3, "late", false); /* nobody knows it any more */
    request(&n, 4, "/apart/echo", "none", "", "abc");
    expect(&n, WORD_RECEIVE);
    part(&n, 4, "def", true);
    expect(&n, WORD_REPLY);
    check_reply(&n, 4, 200, "abcdef");
    destroy(&n);
}

Test(guest, ends_though_it_hangs_when_the_node_has_gone)
{
    node n;
    int status;

    start(&n);
    request(&n, 3, "/apart/hang", "none", "", NULL);
    say_nothing(&n, WORD_PING); /* never answered */
    shutdown(n.frames, SHUT_RDWR);
    status = ended(&n);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 1, "status %x", status);
}

/* ---- messages ---- */

static void message(const char *content, sb *out)
{
    uint8_t key[32], pub[64], address[20], sig[65];
    broker_msg m = {
        .size = sizeof m,
        .stream = {STREAM, strlen(STREAM)},
        .timestamp_ms = 1700000000000,
        .publisher = {address, 20},
        .chain = {"c", 1},
        .content = {(const uint8_t *)content, strlen(content)},
        .body = BROKER_BODY_CONTENT,
        .signature_type = BROKER_SIGNATURE_SECP256K1,
    };

    memset(key, 0x11, sizeof key);
    cr_assert(eth_key_public(key, pub));
    eth_address_of(pub, address);
    streamr_sign(&m, key, sig);
    streamr_encode(&m, out);
}

/* count messages, with the handles from first on. */
static void messages(node *n, uint32_t sub, uint64_t first, size_t count, const char *content)
{
    sb body = SB_INIT, raw = SB_INIT;

    message(content, &raw);
    words_put_u32(&body, sub);
    for (size_t i = 0; i < count; i++)
        words_put_msg(
            &body,
            &(words_msg){first + i, 0, BROKER_MSG_VERIFIED, {(const uint8_t *)raw.data, raw.len}});
    say(n->frames, WORD_MSGS, &body);
    sb_done(&body);
    sb_done(&raw);
}

/* Reads a WORD_SETTLE; the first handle must be that one. Returns how many were settled. */
static size_t settled(node *n, uint64_t first)
{
    view v = view_of(n->body.data, n->body.len);
    words_outcome o;
    uint32_t sub;
    size_t count = 0;

    cr_assert(view_u32be(&v, &sub));
    cr_assert_eq(sub, n->sub);
    while (words_read_outcome(&v, &o)) {
        cr_assert_eq(o.handle, first + count++);
        cr_assert_eq(o.outcome.code, BROKER_STORED);
        cr_assert_str_eq(o.outcome.reason, "kept");
    }
    cr_assert_eq(view_left(&v), 0);
    return count;
}

/* Until all are taken and settled. */
static void all_settled(node *n, uint64_t first, size_t count)
{
    size_t taken = 0, done = 0;

    while (taken < count || done < count) {
        uint8_t word = next(n);

        if (word == WORD_TOOK) {
            cr_assert_eq(u32_at(n, 0), n->sub);
            taken += u32_at(n, 4);
        } else {
            cr_assert_eq(word, WORD_SETTLE, "word %u", word);
            done += settled(n, first + done);
        }
    }
    cr_assert(taken == count && done == count, "%zu taken, %zu settled", taken, done);
}

Test(guest, delivers_messages_in_order_and_tells_what_became_of_them)
{
    uint32_t count;
    node n;

    start(&n);
    messages(&n, n.sub, 1, 100, "hello"); /* it takes 64 at once */
    messages(&n, n.sub + 1, 900, 1, "of a subscription that there is not");
    all_settled(&n, 1, 100);
    quiet(&n);
    count = 100;
    cr_assert(n.body.len == 8 && memcmp(n.body.data + 4, &count, 4) == 0, "the state");
    cr_assert_eq(n.counted, 100, "%ld", (long)n.counted);
    cr_assert_eq(n.observed, 100, "%u", n.observed);
    cr_assert_eq(n.level, 100, "%g", n.level);
    destroy(&n);
}

Test(guest, starts_again_with_its_own_state_after_it_was_quiet)
{
    uint32_t count;
    sb state = SB_INIT;
    node n;

    start(&n);
    messages(&n, n.sub, 1, 3, "hello");
    all_settled(&n, 1, 3);
    quiet(&n);
    sb_append(&state, n.body.data + 4, n.body.len - 4);
    say(n.frames, WORD_START, &state);
    expect_result(&n, WORD_STARTED, BROKER_OK, NULL);
    messages(&n, n.sub, 4, 2, "hello");
    all_settled(&n, 4, 2);
    quiet(&n);
    count = 5;
    cr_assert(n.body.len == 8 && memcmp(n.body.data + 4, &count, 4) == 0, "the state");
    cr_assert_eq(n.counted, 5);
    destroy(&n);
    sb_done(&state);
}

Test(guest, is_quiet_when_nothing_of_it_runs)
{
    node n;

    start(&n);
    messages(&n, n.sub, 1, 1, "wait");
    expect(&n, WORD_TOOK);
    say_nothing(&n, WORD_QUIESCE);
    expect(&n, WORD_SETTLE);
    cr_assert_eq(settled(&n, 1), 1);
    expect_result(&n, WORD_QUIET, BROKER_OK, NULL);
    destroy(&n);
}

Test(guest, ends_by_the_signal_of_a_crash)
{
    node n;
    int status;

    start(&n);
    messages(&n, n.sub, 1, 1, "crash");
    while (next(&n) != 0)
        ;
    status = ended(&n);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV, "status %x", status);
}

/* ---- publishing ---- */

/* The id of a WORD_PUBLISH that came. */
static uint64_t published(const node *n, size_t *len)
{
    unpacked *u = map_of(&n->body);
    uint64_t id = unpack_uint(unpacked_root(u), "id", 0);

    cr_assert_not_null(unpack_bytes(unpacked_root(u), "content", len));
    unpacked_free(u);
    return id;
}

/* content NULL: it could not be made. */
static void say_published(node *n, uint64_t id, int32_t code, const char *content)
{
    sb body = SB_INIT, raw = SB_INIT;

    words_put_u64(&body, id);
    words_put_outcome(&body, &(words_outcome){0, {code, 0, NULL}});
    words_put_u8(&body, content != NULL);
    if (content != NULL) {
        message(content, &raw);
        words_put_msg(
            &body, &(words_msg){0, 0, BROKER_MSG_VERIFIED, {(const uint8_t *)raw.data, raw.len}});
    }
    say(n->frames, WORD_PUBLISHED, &body);
    sb_done(&body);
    sb_done(&raw);
}

Test(guest, publishes_and_tells_the_outcome)
{
    size_t len;
    node n;

    start(&n);
    request(&n, 1, "/apart/publish/{text}", "text", "hello", NULL);
    expect(&n, WORD_PUBLISH);
    say_published(&n, published(&n, &len), BROKER_STORED, "hello");
    cr_assert_eq(len, 5);
    expect(&n, WORD_REPLY);
    check_reply(&n, 1, 200, "1 hello");
    request(&n, 2, "/apart/publish/{text}", "text", "hello", NULL);
    expect(&n, WORD_PUBLISH);
    say_published(&n, published(&n, &len), BROKER_REJECTED, NULL);
    expect(&n, WORD_REPLY);
    check_reply(&n, 2, 200, "5 none");
    destroy(&n);
}

Test(guest, admits_and_tells_each_outcome)
{
    words_admission a;
    broker_bytes one, two;
    sb body = SB_INIT;
    node n;
    view v;

    start(&n);
    request(&n, 1, "/apart/admit", "none", "", NULL);
    expect(&n, WORD_ADMIT);
    v = view_of(n.body.data, n.body.len);
    cr_assert(words_read_admission(&v, &a) && words_read_bytes(&v, &one) &&
              words_read_bytes(&v, &two) && view_left(&v) == 0);
    cr_assert_eq(a.flags, BROKER_ADMIT_CARRY);
    cr_assert(a.only_stream.len == strlen(STREAM) && one.len == 3 && two.len == 3 &&
              memcmp(one.ptr, "one", 3) == 0 && memcmp(two.ptr, "two", 3) == 0);
    words_put_u64(&body, a.id);
    words_put_outcome(&body, &(words_outcome){0, {BROKER_STORED, 0, NULL}});
    words_put_outcome(&body, &(words_outcome){0, {BROKER_REJECTED, 0, "too late"}});
    say(n.frames, WORD_OUTCOMES, &body);
    sb_done(&body);
    expect(&n, WORD_REPLY);
    check_reply(&n, 1, 200, "2: 1, 5 too late");
    destroy(&n);
}

Test(guest, stops_publishing_at_the_window_and_goes_on_when_there_is_room)
{
    size_t len, most = WINDOW_INPUT / INPUT_COST(100000u);
    uint64_t ids[200];
    char text[64];
    node n;

    start(&n);
    request(&n, 1, "/apart/fill", "none", "", NULL);
    for (size_t i = 0; i < most; i++) {
        expect(&n, WORD_PUBLISH);
        ids[i] = published(&n, &len);
    }
    say_nothing(&n, WORD_PING);
    expect(&n, WORD_PONG);
    for (size_t i = 0; i < most; i++)
        say_published(&n, ids[i], BROKER_NO_STORE, NULL);
    expect(&n, WORD_REPLY);
    snprintf(text, sizeof text, "room after %zu", most);
    check_reply(&n, 1, 200, text);
    destroy(&n);
}
