/* frames -- see frames.h. */
#include "net/frames.h"

#include <wslay/wslay.h>

#define ABNORMAL 1006

struct frames {
    wslay_event_context_ptr ws;
    frames_calls calls;
    view in; /* what is being fed */
    char why[124];
};

static ssize_t on_recv(wslay_event_context_ptr ws, uint8_t *to, size_t room, int flags, void *arg)
{
    frames *f = arg;
    size_t n = view_left(&f->in) < room ? view_left(&f->in) : room;

    (void)flags;
    if (n == 0) {
        wslay_event_set_error(ws, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    must(view_read(&f->in, to, n));
    return (ssize_t)n;
}

static ssize_t on_send(wslay_event_context_ptr ws, const uint8_t *bytes, size_t len, int flags,
                       void *arg)
{
    frames *f = arg;

    (void)ws, (void)flags;
    f->calls.write(f->calls.self, bytes, len);
    return (ssize_t)len;
}

static void on_message(wslay_event_context_ptr ws, const struct wslay_event_on_msg_recv_arg *m,
                       void *arg)
{
    frames *f = arg;

    (void)ws;
    if (m->opcode == WSLAY_TEXT_FRAME || m->opcode == WSLAY_BINARY_FRAME) {
        f->calls.message(f->calls.self, m->msg, m->msg_length, m->opcode == WSLAY_TEXT_FRAME);
    } else if (m->opcode == WSLAY_CONNECTION_CLOSE && m->msg_length > 2) {
        memcpy(f->why, m->msg + 2, m->msg_length - 2); /* a control frame has 125 bytes at most */
        f->why[m->msg_length - 2] = '\0';
    }
}

frames *frames_new(uint32_t max_message, const frames_calls *calls)
{
    static const struct wslay_event_callbacks ours = {
        .recv_callback = on_recv, .send_callback = on_send, .on_msg_recv_callback = on_message};
    frames *f = must_alloc(sizeof *f);

    f->calls = *calls;
    must(wslay_event_context_server_init(&f->ws, &ours, f) == 0);
    wslay_event_config_set_max_recv_msg_length(f->ws, max_message);
    return f;
}

void frames_free(frames *f)
{
    if (f == NULL)
        return;
    wslay_event_context_free(f->ws);
    free(f);
}

bool frames_feed(frames *f, const uint8_t *bytes, size_t len)
{
    f->in = view_of(bytes, len);
    if (wslay_event_recv(f->ws) == 0)
        return wslay_event_send(f->ws) == 0;
    /* A control frame in pieces, or too long: wslay says so to us only. */
    if (!frames_close_sent(f))
        frames_close(f, WSLAY_CODE_PROTOCOL_ERROR, NULL);
    return false;
}

size_t frames_head(uint8_t out[FRAMES_HEAD_MAX], size_t len, bool text)
{
    out[0] = 0x80 | (text ? WSLAY_TEXT_FRAME : WSLAY_BINARY_FRAME);
    if (len < 126) {
        out[1] = (uint8_t)len;
        return 2;
    }
    if (len <= UINT16_MAX) {
        out[1] = 126;
        out[2] = (uint8_t)(len >> 8);
        out[3] = (uint8_t)len;
        return 4;
    }
    out[1] = 127;
    put_u64be(out + 2, len);
    return 10;
}

void frames_ping(frames *f)
{
    const struct wslay_event_msg ping = {WSLAY_PING, NULL, 0};

    if (wslay_event_queue_msg(f->ws, &ping) == 0)
        wslay_event_send(f->ws);
}

void frames_close(frames *f, int32_t code, const char *why)
{
    size_t len = why != NULL ? strlen(why) : 0;

    if (len > 123)
        len = 123;
    while (len != 0 && !utf8_ok(why, len))
        len--; /* not in the middle of a character */
    /* Refused when a close is queued already: then that one goes out. */
    wslay_event_queue_close(f->ws, (uint16_t)code, (const uint8_t *)why, len);
    wslay_event_send(f->ws);
}

bool frames_close_sent(const frames *f)
{
    return wslay_event_get_close_sent(f->ws) != 0;
}

bool frames_close_received(const frames *f)
{
    return wslay_event_get_close_received(f->ws) != 0;
}

int32_t frames_code(const frames *f)
{
    if (frames_close_received(f))
        return wslay_event_get_status_code_received(f->ws);
    return frames_close_sent(f) ? wslay_event_get_status_code_sent(f->ws) : ABNORMAL;
}

const char *frames_why(const frames *f)
{
    return f->why;
}
