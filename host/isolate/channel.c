/* channel -- see channel.h. */
#include "isolate/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BLOCK_LEN (256u * 1024u)

struct channel {
    int fd;
    channel_calls calls;
    loop *loop; /* NULL: not watched */
    uv_poll_t *poll;
    int events;      /* it waits for */
    bool gone, busy; /* busy: a callback runs; it may free the channel */
    bool freed;

    broker_buf *in; /* in->bytes[start..len) is not looked at yet */
    size_t start, len;

    uv_mutex_t lock;
    sb out; /* under lock */
    bool posted;
    loop_call flush;
    sb leaving;  /* [loop] writes, under lock */
    size_t left; /* of it; the same           */
};

/* ---- ends ---- */

static void on_poll_closed(uv_handle_t *h)
{
    free(h);
}

static void channel_destroy(channel *c)
{
    buf_release(c->in);
    sb_done(&c->out);
    sb_done(&c->leaving);
    uv_mutex_destroy(&c->lock);
    free(c);
}

/* It was freed inside a callback; what is posted to the loop comes first. */
static void free_late(channel *c)
{
    if (c->freed && !c->posted)
        channel_destroy(c);
}

static void watch_end(channel *c)
{
    if (c->poll == NULL)
        return;
    uv_poll_stop(c->poll);
    uv_close((uv_handle_t *)c->poll, on_poll_closed);
    c->poll = NULL;
}

static void gone(channel *c, const char *why)
{
    if (c->gone)
        return;
    c->gone = true;
    watch_end(c);
    c->calls.on_gone(c->calls.arg, why);
}

/* ---- out ---- */

static void poll_settle(channel *c);

/* Send what can be sent now. */
static void flush(channel *c)
{
    while (!c->gone) {
        ssize_t n;

        if (c->left == c->leaving.len) {
            uv_mutex_lock(&c->lock);
            sb_clear(&c->leaving);
            c->left = 0;
            sb swap = c->leaving;
            c->leaving = c->out;
            c->out = swap;
            uv_mutex_unlock(&c->lock);
            if (c->leaving.len == 0)
                break;
        }
        n = send(c->fd, c->leaving.data + c->left, c->leaving.len - c->left,
                 MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            break;
        if (n < 0)
            break; /* reading tells, after what the other side said last */
        uv_mutex_lock(&c->lock);
        c->left += (size_t)n;
        uv_mutex_unlock(&c->lock);
    }
    poll_settle(c);
}

/* [loop] */
static void on_flush(loop_call *call)
{
    channel *c = CONTAINER_OF(call, channel, flush);

    uv_mutex_lock(&c->lock);
    c->posted = false;
    uv_mutex_unlock(&c->lock);
    if (c->freed)
        channel_destroy(c);
    else
        flush(c);
}

void channel_send(channel *c, uint8_t word, broker_bytes head, broker_bytes rest)
{
    uint8_t begin[FRAME_HEAD];

    must(head.len + rest.len < FRAME_MAX);
    put_u32be(begin, (uint32_t)(1 + head.len + rest.len));
    begin[4] = word;
    uv_mutex_lock(&c->lock);
    sb_append(&c->out, begin, sizeof begin);
    sb_append(&c->out, head.ptr, head.len);
    sb_append(&c->out, rest.ptr, rest.len);
    if (!c->posted && c->loop != NULL) {
        c->posted = true;
        loop_post(c->loop, &c->flush);
    }
    uv_mutex_unlock(&c->lock);
}

size_t channel_queued(channel *c)
{
    size_t n;

    uv_mutex_lock(&c->lock);
    n = c->out.len + c->leaving.len - c->left;
    uv_mutex_unlock(&c->lock);
    return n;
}

/* ---- in ---- */

/* Room behind what was read, for the frame that has begun and more. */
static bool room(channel *c)
{
    size_t rest = c->len - c->start, want = BLOCK_LEN;
    broker_buf *fresh;

    if (rest >= 4 && want < 4 + (size_t)get_u32be(c->in->bytes + c->start))
        want = 4 + (size_t)get_u32be(c->in->bytes + c->start);
    if (c->in != NULL && c->in->len - c->start >= want && c->len < c->in->len)
        return true;
    if (c->in != NULL && rest < 4 && c->in->len - c->len >= BLOCK_LEN / 4)
        return true;
    fresh = buf_new(want);
    if (fresh == NULL)
        return false;
    if (rest != 0)
        memcpy(buf_bytes(fresh), c->in->bytes + c->start, rest);
    buf_release(c->in);
    c->in = fresh;
    c->start = 0;
    c->len = rest;
    return true;
}

/* The frames that are whole. False: it is over. */
static bool take_frames(channel *c)
{
    while (c->len - c->start >= FRAME_HEAD) {
        const uint8_t *at = c->in->bytes + c->start;
        uint32_t len = get_u32be(at);

        if (len == 0 || len > FRAME_MAX) {
            gone(c, "it sent what is no frame");
            return false;
        }
        if (c->len - c->start < 4 + (size_t)len)
            break;
        c->start += 4 + (size_t)len;
        c->calls.on_frame(c->calls.arg, at[4], c->in, (broker_bytes){at + FRAME_HEAD, len - 1});
        if (c->freed || c->gone)
            return false;
    }
    return true;
}

/* Read what is there. */
static void take(channel *c)
{
    while (!c->freed && !c->gone) {
        ssize_t n;
        size_t space;

        if (!room(c)) {
            gone(c, "there is no memory for what it sent");
            break;
        }
        space = c->in->len - c->len;
        n = recv(c->fd, buf_bytes(c->in) + c->len, space, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            break;
        if (n <= 0) {
            gone(c, "it has ended");
            break;
        }
        c->len += (size_t)n;
        if (!take_frames(c) || (size_t)n < space)
            break;
    }
}

static void on_poll(uv_poll_t *p, int status, int events)
{
    channel *c = p->data;

    if ((events & UV_READABLE) != 0 || status < 0) {
        c->busy = true;
        take(c);
        c->busy = false;
    }
    if (!c->gone)
        flush(c);
    free_late(c);
}

static void poll_settle(channel *c)
{
    int events = UV_READABLE | (c->left != c->leaving.len ? UV_WRITABLE : 0);

    if (c->poll == NULL || events == c->events)
        return;
    c->events = events;
    must(uv_poll_start(c->poll, events, on_poll) == 0);
}

/* ---- life ---- */

channel *channel_new(int fd, const channel_calls *calls)
{
    channel *c = must_alloc(sizeof *c);

    c->fd = fd;
    c->calls = *calls;
    c->flush.fn = on_flush;
    must(uv_mutex_init(&c->lock) == 0);
    must(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) == 0);
    return c;
}

void channel_watch(channel *c, loop *l)
{
    if (c->loop != NULL || c->gone)
        return;
    uv_mutex_lock(&c->lock);
    c->loop = l;
    uv_mutex_unlock(&c->lock);
    c->poll = must_alloc(sizeof *c->poll);
    must(uv_poll_init(loop_uv(l), c->poll, c->fd) == 0);
    c->poll->data = c;
    flush(c);
}

bool channel_pump(channel *const *list, size_t n, const bool *over, uint64_t ms)
{
    uint64_t until = clock_mono_ns() / 1000000 + ms;
    struct pollfd fds[4];

    must(n <= COUNT_OF(fds));
    for (size_t i = 0; i < n; i++)
        list[i]->busy = true;
    while (!*over) {
        uint64_t now = clock_mono_ns() / 1000000;
        bool alive = false;

        if (now >= until)
            break;
        for (size_t i = 0; i < n; i++) {
            flush(list[i]);
            fds[i] = (struct pollfd){
                list[i]->gone ? -1 : list[i]->fd,
                (short)(POLLIN | (list[i]->left != list[i]->leaving.len ? POLLOUT : 0)), 0};
            alive = alive || !list[i]->gone;
        }
        if (!alive)
            break;
        if (poll(fds, n, (int)(until - now)) < 0 && errno != EINTR)
            break;
        for (size_t i = 0; i < n && !*over; i++)
            if (fds[i].fd >= 0 && fds[i].revents != 0)
                take(list[i]);
    }
    for (size_t i = 0; i < n; i++) {
        list[i]->busy = false;
        if (!list[i]->gone)
            flush(list[i]);
        free_late(list[i]);
    }
    return *over;
}

void channel_free(channel *c)
{
    if (c == NULL || c->freed)
        return;
    watch_end(c);
    close(c->fd);
    c->gone = c->freed = true;
    if (!c->busy && !c->posted)
        channel_destroy(c);
}
