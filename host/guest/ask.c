/* ask -- questions to the node on the second socket: one at a time, each waits for its answer.
 *
 * The node answers from its loop, also while it waits for create() or start(), and never asks
 * back, so waiting ends. */
#include "guest/parts.h"

#include <errno.h>
#include <sys/socket.h>

static bool put(const void *bytes, size_t len)
{
    const uint8_t *p = bytes;

    while (len != 0) {
        ssize_t n = send(ISOLATED_ASKS_FD, p, len, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        p += n;
        len -= (size_t)n;
    }
    return true;
}

static bool get(void *bytes, size_t len)
{
    uint8_t *p = bytes;

    while (len != 0) {
        ssize_t n = recv(ISOLATED_ASKS_FD, p, len, 0);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        p += n;
        len -= (size_t)n;
    }
    return true;
}

/* One question, one answer. False: nothing more can be asked. Under ask_lock. */
static bool exchange(uint8_t word, broker_bytes body, sb *said)
{
    uint8_t begin[FRAME_HEAD];
    uint32_t len;

    put_u32be(begin, (uint32_t)(1 + body.len));
    begin[4] = word;
    if (!put(begin, sizeof begin) || !put(body.ptr, body.len) || !get(begin, sizeof begin))
        return false;
    len = get_u32be(begin);
    if (len < 1 + 4 || len > FRAME_MAX || begin[4] != WORD_ANSWER)
        return false;
    if (!get(sb_room(said, len - 1), len - 1))
        return false;
    said->len += len - 1;
    return true;
}

broker_rc guest_ask(guest *g, uint8_t word, broker_bytes body, sb *answer)
{
    words_result r = {BROKER_EGONE, {NULL, 0}};
    sb said = SB_INIT;

    if (body.len >= FRAME_MAX)
        return BROKER_EINVAL;
    uv_mutex_lock(&g->ask_lock);
    if (!g->asks_over && !exchange(word, body, &said))
        g->asks_over = true;
    if (!g->asks_over)
        words_read_result(bytes_of(&said), &r);
    uv_mutex_unlock(&g->ask_lock);
    if (r.rc >= 0 && answer != NULL)
        sb_append(answer, r.bytes.ptr, r.bytes.len);
    if (r.rc < 0 && r.bytes.len != 0) {
        char *why = must_strndup((const char *)r.bytes.ptr, r.bytes.len);

        g->build->ctx.host->fail(&g->build->ctx, r.rc, why);
        free(why);
    }
    sb_done(&said);
    return r.rc;
}
