/* ws -- see ws.h. */
#include "net/ws.h"

#include <wslay/wslay.h>

#define SMALL       4096u         /* a message up to here is put into the slab             */
#define STAGE       (64u * 1024u) /* so much must have come before its full size is believed */
#define CONTROL_MAX 125u
#define PONGS_MAX   256u /* unsent; then only the last ping is answered (RFC 6455 5.5.3) */

struct ws {
    wslay_frame_context_ptr frames;
    const ws_calls *calls;
    void *owner;
    bool server;
    size_t max_message;
    slab *small;
    view in;
    bool stopped;

    /* the frame that is being read */
    bool in_frame, fin;
    uint8_t opcode;
    uint64_t left;
    uint8_t control[CONTROL_MAX];
    size_t control_len;

    /* the message it is of */
    bool in_message, text;
    broker_buf *buf; /* NULL: not begun, or all of it empty so far */
    uint8_t *bytes;
    size_t len, cap;

    /* what is being sent */
    broker_buf *keep;
    const uint8_t *keep_from, *keep_to;
    unsigned pongs;
    bool pong_waits;
    uint8_t pong[CONTROL_MAX];
    size_t pong_len;

    bool said_close, closed, failed;
    int code;
    char why[CONTROL_MAX + 1];
};

/* ---- frames out ---- */

static ssize_t on_out(const uint8_t *bytes, size_t len, int flags, void *arg)
{
    ws *w = arg;
    bool kept = w->keep != NULL && bytes >= w->keep_from && bytes < w->keep_to;

    (void)flags;
    w->calls->out(w->owner, bytes, len, kept ? w->keep : NULL);
    return (ssize_t)len;
}

/* A mask need not be secret from us, but unknown to whoever chose the payload (RFC 6455 5.3). */
static int on_mask(uint8_t *mask, size_t len, void *arg)
{
    static uint8_t pool[256];
    static size_t left;

    (void)arg;
    if (left < len) {
        random_bytes(pool, sizeof pool);
        left = sizeof pool;
    }
    memcpy(mask, pool + sizeof pool - left, len);
    left -= len;
    return 0;
}

static void frame_send(ws *w, uint8_t opcode, const uint8_t *bytes, size_t len)
{
    struct wslay_frame_iocb frame = {.fin = 1,
                                     .opcode = opcode,
                                     .mask = !w->server,
                                     .payload_length = len,
                                     .data = bytes,
                                     .data_length = len};

    /* on_out() takes everything. */
    must(wslay_frame_send(w->frames, &frame) == (ssize_t)len);
}

void ws_send(ws *w, broker_buf *buf, broker_bytes data, bool text)
{
    if (w->said_close)
        return;
    w->keep = buf;
    w->keep_from = data.ptr;
    w->keep_to = data.len != 0 ? data.ptr + data.len : data.ptr;
    frame_send(w, text ? WSLAY_TEXT_FRAME : WSLAY_BINARY_FRAME, data.ptr, data.len);
    w->keep = NULL;
}

void ws_ping(ws *w)
{
    if (!w->said_close)
        frame_send(w, WSLAY_PING, NULL, 0);
}

void ws_close(ws *w, int code, const char *why)
{
    uint8_t payload[CONTROL_MAX] = {(uint8_t)(code >> 8), (uint8_t)code};
    size_t len = why != NULL ? strlen(why) : 0;

    if (w->said_close)
        return;
    if (len > CONTROL_MAX - 2)
        len = CONTROL_MAX - 2;
    while (!utf8_ok(why, len))
        len--; /* not in the middle of a character */
    if (len != 0)
        memcpy(payload + 2, why, len);
    frame_send(w, WSLAY_CONNECTION_CLOSE, payload, code != 0 ? 2 + len : 0);
    w->said_close = true;
}

static void pong_send(ws *w)
{
    if (w->said_close)
        return;
    if (w->pongs < PONGS_MAX) {
        w->pongs++;
        frame_send(w, WSLAY_PONG, w->pong, w->pong_len);
        w->pong_waits = false;
    } else {
        w->pong_waits = true;
    }
}

void ws_sent(ws *w)
{
    w->pongs = 0;
    if (w->pong_waits)
        pong_send(w);
}

/* ---- frames in ---- */

static ssize_t on_in(uint8_t *to, size_t len, int flags, void *arg)
{
    ws *w = arg;
    size_t have = view_left(&w->in);

    (void)flags;
    if (have == 0)
        return -1; /* wslay: come back later */
    if (len > have)
        len = have;
    return view_read(&w->in, to, len) ? (ssize_t)len : -1;
}

static void message_drop(ws *w)
{
    buf_release(w->buf);
    w->buf = NULL;
    w->bytes = NULL;
    w->len = w->cap = 0;
    w->in_message = false;
}

/* The peer broke a rule. */
static void fail(ws *w, int code, const char *why)
{
    ws_close(w, code, why);
    w->failed = true;
    w->code = code;
    snprintf(w->why, sizeof w->why, "%s", why);
    message_drop(w);
}

/* NULL, or what is wrong with how the frame begins. */
static const char *frame_wrong(const ws *w, const struct wslay_frame_iocb *f)
{
    bool control = wslay_is_ctrl_frame(f->opcode) != 0;

    if (f->rsv != 0)
        return "a reserved bit is set, and no extension was agreed on";
    if ((f->mask != 0) != w->server)
        return w->server ? "a frame of a client is not masked" : "a frame of a server is masked";
    if (f->opcode > WSLAY_PONG || (f->opcode > WSLAY_BINARY_FRAME && !control))
        return "an opcode that nobody knows";
    if (control && (f->fin == 0 || f->payload_length > CONTROL_MAX))
        return "a control frame is in pieces or longer than 125 bytes";
    if (f->opcode == WSLAY_CONTINUATION_FRAME && !w->in_message)
        return "a continuation of nothing";
    if (!control && f->opcode != WSLAY_CONTINUATION_FRAME && w->in_message)
        return "a message begins inside another";
    return NULL;
}

static bool frame_begin(ws *w, const struct wslay_frame_iocb *f)
{
    const char *wrong = frame_wrong(w, f);

    if (wrong != NULL) {
        fail(w, WS_PROTOCOL, wrong);
        return false;
    }
    w->in_frame = true;
    w->fin = f->fin != 0;
    w->opcode = f->opcode;
    w->left = f->payload_length;
    w->control_len = 0;
    if (wslay_is_ctrl_frame(f->opcode) != 0)
        return true;
    if (f->opcode != WSLAY_CONTINUATION_FRAME) {
        w->in_message = true;
        w->text = f->opcode == WSLAY_TEXT_FRAME;
    }
    if (w->left > w->max_message - w->len) {
        char why[CONTROL_MAX];

        snprintf(why, sizeof why, "a message of more than %zu bytes", w->max_message);
        fail(w, WS_TOO_BIG, why);
        return false;
    }
    return true;
}

/* Room for n more bytes, n <= left. The size a frame claims is believed once some of it came. */
static bool message_room(ws *w, size_t n)
{
    size_t need = w->len + n, whole = w->len + (size_t)w->left, cap;
    broker_buf *fresh;

    if (need <= w->cap)
        return true;
    if (w->len == 0 && w->fin && whole <= SMALL) {
        w->bytes = slab_room(w->small, whole, &cap);
        if (w->bytes == NULL)
            return false;
        w->buf = slab_use(w->small, whole);
        buf_retain(w->buf);
        w->cap = whole;
        return true;
    }
    cap = whole < STAGE || need > STAGE ? whole : STAGE;
    if (!w->fin && cap < 2 * need)
        cap = 2 * need < w->max_message ? 2 * need : w->max_message;
    fresh = buf_new(cap);
    if (fresh == NULL)
        return false;
    if (w->len != 0)
        memcpy(buf_bytes(fresh), w->bytes, w->len);
    buf_release(w->buf);
    w->buf = fresh;
    w->bytes = buf_bytes(fresh);
    w->cap = cap;
    return true;
}

static bool frame_take(ws *w, const uint8_t *bytes, size_t n)
{
    must(n <= w->left);
    if (n == 0)
        return true;
    if (wslay_is_ctrl_frame(w->opcode) != 0) {
        memcpy(w->control + w->control_len, bytes, n);
        w->control_len += n;
    } else if (!w->said_close) {
        if (!message_room(w, n)) {
            fail(w, WS_TOO_BIG, "no memory for the message");
            return false;
        }
        memcpy(w->bytes + w->len, bytes, n);
        w->len += n;
    }
    w->left -= n;
    return true;
}

static bool code_is_sendable(unsigned code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
           (code >= 3000 && code <= 4999);
}

static void close_take(ws *w)
{
    unsigned code = WS_NONE;

    if (w->control_len >= 2)
        code = (unsigned)w->control[0] << 8 | w->control[1];
    if (w->control_len == 1 || (w->control_len >= 2 && !code_is_sendable(code))) {
        fail(w, WS_PROTOCOL, "a Close with a code that may not be sent");
        return;
    }
    if (w->control_len > 2) {
        if (!utf8_ok(w->control + 2, w->control_len - 2)) {
            fail(w, WS_NOT_UTF8, "the reason of a Close is not UTF-8");
            return;
        }
        memcpy(w->why, w->control + 2, w->control_len - 2);
        w->why[w->control_len - 2] = '\0';
    }
    w->code = (int)code;
    ws_close(w, code == WS_NONE ? 0 : w->code, NULL);
    w->closed = true;
    message_drop(w);
}

static void message_end(ws *w)
{
    broker_buf *buf;
    broker_bytes data;

    if (w->said_close) {
        message_drop(w);
        return;
    }
    if (w->text && !utf8_ok(w->bytes, w->len)) {
        fail(w, WS_NOT_UTF8, "a text message is not UTF-8");
        return;
    }
    if (w->buf == NULL) { /* an empty message lies in a buffer too */
        size_t len;

        w->bytes = slab_room(w->small, 1, &len);
        if (w->bytes == NULL) {
            fail(w, WS_TOO_BIG, "no memory for the message");
            return;
        }
        w->buf = slab_use(w->small, 0);
        buf_retain(w->buf);
    }
    TAKE(buf, w->buf);
    data = (broker_bytes){w->bytes, w->len};
    message_drop(w);
    w->stopped = !w->calls->message(w->owner, buf, data, w->text);
    buf_release(buf);
}

static void frame_end(ws *w)
{
    w->in_frame = false;
    switch (w->opcode) {
    case WSLAY_PING:
        memcpy(w->pong, w->control, w->control_len);
        w->pong_len = w->control_len;
        pong_send(w);
        break;
    case WSLAY_PONG:
        break; /* it came: that is all there is to it */
    case WSLAY_CONNECTION_CLOSE:
        close_take(w);
        break;
    default:
        if (w->fin)
            message_end(w);
    }
}

size_t ws_feed(ws *w, const uint8_t *bytes, size_t len)
{
    w->in = view_of(bytes, len);
    w->stopped = false;
    while (!w->stopped && !ws_is_over(w)) {
        struct wslay_frame_iocb f = {0};
        ssize_t n = wslay_frame_recv(w->frames, &f);

        if (n == WSLAY_ERR_WANT_READ)
            break;
        if (n < 0) {
            fail(w, WS_PROTOCOL, "a malformed frame");
            break;
        }
        if ((!w->in_frame && !frame_begin(w, &f)) || !frame_take(w, f.data, (size_t)n))
            break;
        if (w->left == 0)
            frame_end(w);
    }
    return ws_is_over(w) ? len : len - view_left(&w->in);
}

/* ---- life ---- */

ws *ws_new(bool server, size_t max_message, slab *small, const ws_calls *calls, void *owner)
{
    static const struct wslay_frame_callbacks frames = {on_out, on_in, on_mask};
    ws *w = must_alloc(sizeof *w);

    w->server = server;
    w->max_message = max_message;
    w->small = small;
    w->calls = calls;
    w->owner = owner;
    must(wslay_frame_context_init(&w->frames, &frames, w) == 0);
    return w;
}

void ws_free(ws *w)
{
    if (w == NULL)
        return;
    buf_release(w->buf);
    wslay_frame_context_free(w->frames);
    free(w);
}

bool ws_is_over(const ws *w)
{
    return w->closed || w->failed;
}

bool ws_is_closed(const ws *w)
{
    return w->closed;
}

int ws_code(const ws *w)
{
    return w->code;
}

const char *ws_why(const ws *w)
{
    return w->why;
}
