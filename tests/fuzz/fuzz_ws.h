/* fuzz_ws -- what a peer sends to one end of a WebSocket: a handshake, then frames; or frames
 * alone. However the bytes are cut, and however often the reader rests, the same messages and
 * the same end must come out. */
#ifndef FUZZ_WS_H
#define FUZZ_WS_H

#include "net/shake.h"
#include "net/ws.h"

#define FUZZ_MESSAGE_MAX 3000u

typedef struct seen {
    sb messages, sent;
    unsigned n;
    bool rests;
} seen;

static void on_out(void *owner, const uint8_t *bytes, size_t len, broker_buf *buf)
{
    seen *s = owner;

    must(buf == NULL);
    sb_append(&s->sent, bytes, len);
}

static bool on_message(void *owner, broker_buf *buf, broker_bytes data, bool text)
{
    seen *s = owner;

    must(data.len <= FUZZ_MESSAGE_MAX);
    must(data.ptr >= buf->bytes && data.ptr + data.len <= buf->bytes + buf->len);
    must(!text || utf8_ok(data.ptr, data.len));
    sb_printf(&s->messages, "%d %zu ", text, data.len);
    sb_append(&s->messages, data.ptr, data.len);
    s->n++;
    return !s->rests;
}

/* The code of the end, 0 when there was none. */
static int frames_read(bool server, const uint8_t *bytes, size_t len, size_t step, bool rests,
                       seen *s)
{
    static const ws_calls calls = {.out = on_out, .message = on_message};
    slab small = {0};
    ws *w = ws_new(server, FUZZ_MESSAGE_MAX, &small, &calls, s);
    int code = 0;

    *s = (seen){.messages = SB_INIT, .sent = SB_INIT, .rests = rests};
    for (size_t at = 0; at < len && !ws_is_over(w);) {
        size_t n = len - at < step ? len - at : step;
        uint8_t *exact = malloc(n); /* so that ASan sees a step beyond it */
        size_t used;

        must(exact != NULL);
        memcpy(exact, bytes + at, n);
        used = ws_feed(w, exact, n);
        free(exact);
        must(used == n || rests);
        at += used;
    }
    for (unsigned before = s->n + 1; before != s->n && !ws_is_over(w);) {
        before = s->n;
        ws_feed(w, NULL, 0); /* what it still has */
    }
    if (ws_is_over(w)) {
        code = ws_code(w);
        must(utf8_ok(ws_why(w), strlen(ws_why(w))));
    }
    ws_sent(w);
    ws_close(w, 1000, "that is all");
    ws_free(w);
    slab_done(&small);
    return code;
}

static void frames_fuzz(bool server, const uint8_t *bytes, size_t len)
{
    seen whole, pieces;
    int code = frames_read(server, bytes, len, len + 1, false, &whole);

    for (unsigned i = 0; i < 2; i++) { /* in small pieces; with rests */
        must(frames_read(server, bytes, len, i == 0 ? 3 : len + 1, i == 1, &pieces) == code);
        must(whole.messages.len == pieces.messages.len &&
             (whole.messages.len == 0 ||
              memcmp(whole.messages.data, pieces.messages.data, whole.messages.len) == 0));
        sb_done(&pieces.messages);
        sb_done(&pieces.sent);
    }
    sb_done(&whole.messages);
    sb_done(&whole.sent);
}

#endif
