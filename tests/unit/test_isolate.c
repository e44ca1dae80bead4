/* isolate: words and their bounds, the channel between two processes, numbers of things, the
 * process of a plugin. */
#include "isolate/channel.h"
#include "isolate/child.h"
#include "isolate/slots.h"
#include "isolate/words.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

static broker_bytes bytes_of(const sb *b)
{
    return (broker_bytes){(const uint8_t *)b->data, b->len};
}

static broker_bytes text_of(const char *text)
{
    return (broker_bytes){(const uint8_t *)text, strlen(text)};
}

/* ---- words ---- */

Test(words, results_come_back_as_they_went)
{
    words_result in = {BROKER_EIO, text_of("no disk")}, out;
    sb b = SB_INIT;

    words_put_result(&b, &in);
    cr_assert(words_read_result(bytes_of(&b), &out));
    cr_assert_eq(out.rc, BROKER_EIO);
    cr_assert_eq(out.bytes.len, 7);
    cr_assert_eq(memcmp(out.bytes.ptr, "no disk", 7), 0);
    cr_assert_not(words_read_result((broker_bytes){(const uint8_t *)b.data, 3}, &out),
                  "three bytes were read as a result");
    sb_done(&b);
}

Test(words, messages_come_back_as_they_went_and_none_of_a_piece)
{
    words_msg in = {77, 5, BROKER_MSG_VERIFIED, text_of("raw bytes")}, out;
    sb b = SB_INIT;
    view v;

    words_put_msg(&b, &in);
    words_put_msg(&b, &in);
    v = view_of(b.data, b.len);
    for (int i = 0; i < 2; i++) {
        cr_assert(words_read_msg(&v, &out));
        cr_assert_eq(out.handle, 77);
        cr_assert_eq(out.origin, 5);
        cr_assert_eq(out.flags, BROKER_MSG_VERIFIED);
        cr_assert_eq(out.raw.len, 9);
    }
    cr_assert_eq(view_left(&v), 0);
    for (size_t len = 0; len < b.len / 2; len++) {
        v = view_of(b.data, len);
        cr_assert_not(words_read_msg(&v, &out), "%zu bytes were read as a message", len);
    }
    sb_done(&b);
}

Test(words, outcomes_have_codes_that_there_are_and_reasons_that_end)
{
    words_outcome in = {9, {BROKER_REJECTED, 0, "badly signed"}}, out;
    sb b = SB_INIT;
    view v;

    words_put_outcome(&b, &in);
    v = view_of(b.data, b.len);
    cr_assert(words_read_outcome(&v, &out));
    cr_assert_eq(out.handle, 9);
    cr_assert_eq(out.outcome.code, BROKER_REJECTED);
    cr_assert_str_eq(out.outcome.reason, "badly signed");
    b.data[b.len - 1] = 'x'; /* not ended */
    v = view_of(b.data, b.len);
    cr_assert_not(words_read_outcome(&v, &out), "a reason without an end was read");
    b.data[b.len - 1] = '\0';
    b.data[13] = '\0'; /* ended before its end */
    v = view_of(b.data, b.len);
    cr_assert_not(words_read_outcome(&v, &out), "a reason that ends early was read");
    for (int code = 0; code < 256; code++) {
        sb one = SB_INIT;

        words_put_outcome(&one, &(words_outcome){1, {code, 0, NULL}});
        v = view_of(one.data, one.len);
        cr_assert_eq(words_read_outcome(&v, &out), code >= BROKER_STORED && code <= BROKER_FULL,
                     "outcome %d", code);
        sb_done(&one);
    }
    sb_done(&b);
}

Test(words, admissions_come_back_as_they_went)
{
    words_admission in = {3, BROKER_ADMIT_CARRY, 7, {"s/t", 3}}, out;
    broker_bytes frame;
    sb b = SB_INIT;
    view v;

    words_put_admission(&b, &in);
    words_put_bytes(&b, text_of("one"));
    words_put_bytes(&b, text_of(""));
    v = view_of(b.data, b.len);
    cr_assert(words_read_admission(&v, &out));
    cr_assert_eq(out.only_stream.len, 3);
    cr_assert_eq(out.only_partition, 7);
    cr_assert(words_read_bytes(&v, &frame));
    cr_assert_eq(frame.len, 3);
    cr_assert(words_read_bytes(&v, &frame));
    cr_assert_eq(frame.len, 0);
    cr_assert_not(words_read_bytes(&v, &frame));
    put_u32be((uint8_t *)b.data + b.len - 4, 0xffffffff); /* longer than all there is */
    v = view_of(b.data + b.len - 4, 4);
    cr_assert_not(words_read_bytes(&v, &frame));
    sb_done(&b);
}

/* ---- slots and ids ---- */

Test(slots, a_number_is_never_used_twice)
{
    slots s = {0};
    int a, b;
    uint64_t first = slots_add(&s, &a), second = slots_add(&s, &b), third;

    cr_assert_neq(first, 0);
    cr_assert_eq(slots_take(&s, first), &a);
    cr_assert_null(slots_take(&s, first), "a number was taken twice");
    third = slots_add(&s, &a);
    cr_assert_neq(third, first);
    cr_assert_null(slots_get(&s, first), "an old number means a new thing");
    cr_assert_eq(slots_get(&s, third), &a);
    cr_assert_eq(slots_get(&s, second), &b);
    cr_assert(slots_gave(&s, first) && slots_gave(&s, second) && slots_gave(&s, third));
    cr_assert_not(slots_gave(&s, 0));
    cr_assert_not(slots_gave(&s, third + 5));
    cr_assert_not(slots_gave(&s, third + (UINT64_C(1) << 32)), "a number of the future");
    cr_assert_eq(s.used, 2);
    slots_done(&s);
}

Test(ids, have_bounds)
{
    ids i = {0};
    int a;

    cr_assert_not(ids_set(&i, 0, &a));
    cr_assert_not(ids_set(&i, IDS_MAX, &a));
    cr_assert(ids_set(&i, IDS_MAX - 1, &a));
    cr_assert(ids_set(&i, 1, &a));
    cr_assert_eq(ids_get(&i, IDS_MAX - 1), &a);
    cr_assert_null(ids_get(&i, 2));
    cr_assert_null(ids_get(&i, UINT32_MAX));
    ids_done(&i);
}

/* ---- channel ---- */

/* One end under test, and what it heard; the other end is a plain socket. */
typedef struct end {
    channel *c;
    int other;
    sb heard; /* "word:length " */
    size_t frames, until;
    bool over;
    char why[64];
    unsigned gone;
    bool free_inside;
} end;

static void on_frame(void *arg, uint8_t word, broker_buf *buf, broker_bytes body)
{
    end *e = arg;

    cr_assert(body.len == 0 ||
              (body.ptr >= buf->bytes && body.ptr + body.len <= buf->bytes + buf->len));
    for (size_t i = 0; i < body.len; i++)
        cr_assert_eq(body.ptr[i], (uint8_t)(word + i), "byte %zu of word %u", i, word);
    if (e->heard.len < 4096)
        sb_printf(&e->heard, "%u:%zu ", word, body.len);
    if (++e->frames == e->until)
        e->over = true;
    if (e->free_inside) {
        channel_free(e->c);
        e->c = NULL;
    }
}

static void on_gone(void *arg, const char *why)
{
    end *e = arg;

    e->gone++;
    snprintf(e->why, sizeof e->why, "%s", why);
    e->over = true;
}

static void end_begin(end *e)
{
    const channel_calls calls = {e, on_frame, on_gone};
    int fds[2];

    *e = (end){0};
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    e->other = fds[1];
    e->c = channel_new(fds[0], &calls);
}

static void end_done(end *e)
{
    channel_free(e->c);
    close(e->other);
    sb_done(&e->heard);
}

static bool pump(end *e, uint64_t ms)
{
    channel *list[] = {e->c};

    e->over = false;
    return channel_pump(list, 1, &e->over, ms);
}

static void put_frame(sb *out, uint8_t word, size_t len)
{
    words_put_u32(out, (uint32_t)len + 1);
    words_put_u8(out, word);
    for (size_t i = 0; i < len; i++)
        words_put_u8(out, (uint8_t)(word + i));
}

static void write_all(int fd, const void *bytes, size_t len)
{
    for (const char *p = bytes; len != 0;) {
        ssize_t n = write(fd, p, len);

        cr_assert_gt(n, 0);
        p += n;
        len -= (size_t)n;
    }
}

Test(channel, frames_arrive_whole_however_they_are_cut)
{
    sb bytes = SB_INIT;
    end e;

    put_frame(&bytes, 5, 0);
    put_frame(&bytes, 6, 3);
    put_frame(&bytes, 7, 300);
    end_begin(&e);
    e.until = 3;
    for (size_t i = 0; i < bytes.len; i++) {
        write_all(e.other, bytes.data + i, 1);
        pump(&e, i + 1 == bytes.len ? 5000 : 1);
    }
    cr_assert_str_eq(e.heard.data, "5:0 6:3 7:300 ");
    end_done(&e);
    sb_done(&bytes);
}

static void *write_much(void *arg)
{
    end *e = arg;
    sb bytes = SB_INIT;

    for (unsigned i = 0; i < 50; i++)
        put_frame(&bytes, (uint8_t)i, i * 20000);
    write_all(e->other, bytes.data, bytes.len);
    sb_done(&bytes);
    return NULL;
}

Test(channel, frames_larger_than_a_block_and_many_at_once_arrive)
{
    pthread_t writer;
    end e;

    end_begin(&e);
    e.until = 50;
    cr_assert_eq(pthread_create(&writer, NULL, write_much, &e), 0);
    cr_assert(pump(&e, 20000), "%zu frames arrived", e.frames);
    pthread_join(writer, NULL);
    cr_assert_eq(e.gone, 0);
    end_done(&e);
}

Test(channel, a_length_that_cannot_be_is_the_end)
{
    static const uint32_t lengths[] = {0, FRAME_MAX + 1, UINT32_MAX};

    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        uint8_t head[FRAME_HEAD] = {0};
        end e;

        end_begin(&e);
        put_u32be(head, lengths[i]);
        write_all(e.other, head, sizeof head);
        cr_assert(pump(&e, 5000));
        cr_assert_eq(e.gone, 1, "a frame of %u bytes was taken", lengths[i]);
        cr_assert_str_eq(e.why, "it sent what is no frame");
        cr_assert_eq(e.frames, 0);
        end_done(&e);
    }
}

Test(channel, what_the_other_side_said_last_is_heard_before_its_end)
{
    sb bytes = SB_INIT;
    end e;

    end_begin(&e);
    put_frame(&bytes, 9, 2);
    write_all(e.other, bytes.data, bytes.len);
    write_all(e.other, "\0\0", 2); /* a piece of another */
    shutdown(e.other, SHUT_RDWR);
    channel_send(e.c, 1, text_of("nobody reads this"), text_of(""));
    e.until = 2;
    cr_assert(pump(&e, 5000));
    cr_assert_str_eq(e.heard.data, "9:2 ");
    cr_assert_eq(e.gone, 1);
    end_done(&e);
    sb_done(&bytes);
}

Test(channel, may_be_freed_by_what_it_says)
{
    sb bytes = SB_INIT;
    end e;

    end_begin(&e);
    e.free_inside = true;
    e.until = 1;
    put_frame(&bytes, 1, 1);
    put_frame(&bytes, 2, 1);
    write_all(e.other, bytes.data, bytes.len);
    cr_assert(pump(&e, 5000));
    cr_assert_eq(e.frames, 1, "it spoke after it was freed");
    end_done(&e);
    sb_done(&bytes);
}

Test(channel, a_pump_ends_when_its_time_is_over)
{
    end e;

    end_begin(&e);
    cr_assert_not(pump(&e, 20));
    end_done(&e);
}

/* ---- from threads, over a loop ---- */

#define SENDERS 4
#define SENT    500

static void *send_many(void *arg)
{
    end *e = arg;

    for (unsigned i = 0; i < SENT; i++) {
        uint8_t body[64];

        for (size_t k = 0; k < sizeof body; k++)
            body[k] = (uint8_t)(42 + k);
        channel_send(e->c, 42, (broker_bytes){body, 10}, (broker_bytes){body + 10, 54});
    }
    return NULL;
}

typedef struct far_end {
    end e;
    loop *l;
} far_end;

static void on_far_frame(void *arg, uint8_t word, broker_buf *buf, broker_bytes body)
{
    far_end *f = arg;

    on_frame(&f->e, word, buf, body);
    if (f->e.over)
        loop_stop(f->l);
}

Test(channel, many_threads_send_and_nothing_is_torn)
{
    loop *l = loop_new();
    far_end far = {.l = l};
    const channel_calls calls = {&far, on_far_frame, on_gone};
    pthread_t threads[SENDERS];
    end near;

    end_begin(&near);
    far.e.c = channel_new(dup(near.other), &calls);
    far.e.until = SENDERS * SENT;
    channel_watch(near.c, l);
    channel_watch(far.e.c, l);
    for (size_t i = 0; i < SENDERS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, send_many, &near), 0);
    loop_run(l);
    for (size_t i = 0; i < SENDERS; i++)
        pthread_join(threads[i], NULL);
    cr_assert_eq(far.e.frames, SENDERS * SENT);
    cr_assert_eq(channel_queued(near.c), 0);
    channel_free(far.e.c);
    sb_done(&far.e.heard);
    end_done(&near);
    loop_free(l);
}

/* ---- the process ---- */

static void *sleep_long(void *arg)
{
    (void)arg;
    pause();
    return NULL;
}

/* A process as child_start() leaves one, without a program of its own. */
static child forked(int status, int number)
{
    child c = {0};

    c.pid = fork();
    if (c.pid != 0)
        return c;
    setpgid(0, 0);
    if (number != 0)
        raise(number);
    if (status < 0)
        sleep_long(NULL);
    _exit(status);
}

Test(child, how_it_ended_is_said)
{
    sb said = SB_INIT;
    child c = forked(3, 0);

    child_wait(&c, 10000);
    child_say(&c, &said);
    cr_assert_str_eq(said.data, "status 3");
    sb_clear(&said);
    c = forked(0, SIGTERM);
    child_wait(&c, 10000);
    child_say(&c, &said);
    cr_assert_str_eq(said.data, "SIGTERM");
    sb_done(&said);
}

Test(child, one_that_does_not_end_is_killed)
{
    child c = forked(-1, 0);
    sb said = SB_INIT;

    cr_assert_not(child_is_over(&c));
    child_wait(&c, 20);
    cr_assert(child_is_over(&c));
    child_say(&c, &said);
    cr_assert_str_eq(said.data, "SIGKILL");
    sb_done(&said);
}

Test(child, there_may_be_none)
{
    child c = {0};

    cr_assert(child_is_over(&c));
    child_kill(&c);
    child_wait(&c, 0);
}
