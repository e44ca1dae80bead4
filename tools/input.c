/* input -- see input.h. */
#include "input.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK 65536u

bool input_open(input *in, const char *name)
{
    struct stat st;
    bool is_stdin = strcmp(name, "-") == 0;

    *in = (input){.name = is_stdin ? "standard input" : name};
    in->fd = is_stdin ? STDIN_FILENO : open(name, O_RDONLY | O_CLOEXEC);
    if (in->fd < 0) {
        fprintf(stderr, "cannot read '%s' (%s)\n", name, strerror(errno));
        return false;
    }
    if (fstat(in->fd, &st) == 0 && S_ISREG(st.st_mode))
        in->size = (uint64_t)st.st_size;
    return true;
}

void input_close(input *in)
{
    if (in->fd > STDIN_FILENO)
        close(in->fd);
    in->fd = -1;
    sb_done(&in->buf);
}

static ssize_t read_some(input *in, void *to, size_t len)
{
    ssize_t n;

    do
        n = read(in->fd, to, len);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        fprintf(stderr, "cannot read %s (%s)\n", in->name, strerror(errno));
    in->ended = n <= 0;
    return n;
}

/* Read one more block. False: it failed. */
static bool fill(input *in)
{
    ssize_t n;

    if (in->at != 0) {
        in->buf.len -= in->at;
        memmove(in->buf.data, in->buf.data + in->at, in->buf.len);
        in->at = 0;
    }
    n = read_some(in, sb_room(&in->buf, BLOCK), BLOCK);
    if (n > 0)
        in->buf.len += (size_t)n;
    return n >= 0;
}

int input_peek(input *in)
{
    if (in->at == in->buf.len && (in->ended || !fill(in) || in->at == in->buf.len))
        return -1;
    return (uint8_t)in->buf.data[in->at];
}

int64_t input_bytes(input *in, uint8_t *to, size_t len)
{
    size_t have = in->buf.len - in->at;
    ssize_t n;

    if (have != 0) {
        n = (ssize_t)(have < len ? have : len);
        memcpy(to, in->buf.data + in->at, (size_t)n);
        in->at += (size_t)n;
    } else {
        n = in->ended ? 0 : read_some(in, to, len);
    }
    if (n > 0)
        in->taken += (uint64_t)n;
    return n;
}

/* Take n bytes as a line, `end` of them its newline. */
static input_result line_take(input *in, size_t n, size_t end, const char **text, size_t *len)
{
    bool too_long = in->skipping || n > INPUT_LINE_MAX;

    *text = in->buf.data + in->at;
    *len = n != 0 && (*text)[n - 1] == '\r' ? n - 1 : n;
    in->at += n + end;
    in->taken += n + end;
    in->lines++;
    in->skipping = false;
    return too_long ? INPUT_TOO_LONG : INPUT_LINE;
}

input_result input_line(input *in, const char **text, size_t *len)
{
    size_t seen = 0; /* without a newline, from in->at on */

    for (;;) {
        size_t have = in->buf.len - in->at;
        const char *start = have != 0 ? in->buf.data + in->at : NULL;
        const char *end = have > seen ? memchr(start + seen, '\n', have - seen) : NULL;

        if (end != NULL)
            return line_take(in, (size_t)(end - start), 1, text, len);
        if (in->ended)
            return have != 0 || in->skipping ? line_take(in, have, 0, text, len) : INPUT_END;
        seen = have;
        if (have > INPUT_LINE_MAX) {
            in->skipping = true;
            in->at += have;
            in->taken += have;
            seen = 0;
        }
        if (!fill(in))
            return INPUT_FAILED;
    }
}

bool input_ready(const input *in)
{
    struct pollfd p = {.fd = in->fd, .events = POLLIN};

    if (in->ended || (in->buf.len != in->at &&
                      memchr(in->buf.data + in->at, '\n', in->buf.len - in->at) != NULL))
        return true;
    return poll(&p, 1, 0) > 0;
}
