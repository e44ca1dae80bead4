/* ws -- one end of a WebSocket (RFC 6455), without its socket: bytes in, messages out, and
 * the other way round.
 *
 * libwslay cuts and makes frames; what frames may follow each other, what a message is and how
 * it ends is decided here. No extension. Pure. [loop] */
#ifndef NET_WS_H
#define NET_WS_H

#include "net/slab.h"

typedef struct ws ws;

#define WS_NONE     1005 /* the peer gave no code  */
#define WS_LOST     1006 /* there was no Close     */
#define WS_AWAY     1001
#define WS_PROTOCOL 1002
#define WS_NOT_UTF8 1007
#define WS_TOO_BIG  1009
#define WS_RESTART  1012

typedef struct ws_calls {
    /* Bytes to be sent. buf: they lie in it and may be kept; NULL: copy them. */
    void (*out)(void *owner, const uint8_t *bytes, size_t len, broker_buf *buf);
    /* One whole message, which may be kept by retaining buf. False: no more for now. */
    bool (*message)(void *owner, broker_buf *buf, broker_bytes data, bool text);
} ws_calls;

/* server: the end that was connected to. small: where short messages are put. */
ws *ws_new(bool server, size_t max_message, slab *small, const ws_calls *calls, void *owner);
void ws_free(ws *w); /* accepts NULL */

/* Read what came; how many bytes were used: all, unless message() said no more. */
size_t ws_feed(ws *w, const uint8_t *bytes, size_t len);
void ws_send(ws *w, broker_buf *buf, broker_bytes data, bool text);
void ws_ping(ws *w);
/* Say Close, once; messages that still come are thrown away. code 0: none; why: at most 123
 * bytes of it are said. */
void ws_close(ws *w, int code, const char *why);
/* All that was queued is with the kernel. */
void ws_sent(ws *w);

/* The peer said Close, or broke the rules (both: Close was said in return). */
bool ws_is_over(const ws *w);
/* It was the peer who said Close. */
bool ws_is_closed(const ws *w);
/* Then: with what code, and why ("" when nothing was said). */
int ws_code(const ws *w);
const char *ws_why(const ws *w);

#endif
