/* wire -- one TCP connection, with TLS or without: bytes in, bytes out, back-pressure.
 *
 * On the heap, so that it can change hands (wire_give). Plain bytes are read where the owner
 * wants them and written from where they lie. Everything is [loop]. */
#ifndef NET_WIRE_H
#define NET_WIRE_H

#include "net/tls.h"
#include "run/loop.h"

typedef struct wire wire;

typedef struct wire_calls {
    /* Where the next bytes go, *len > 0 of them; NULL: no memory, the wire breaks. */
    uint8_t *(*room)(void *owner, size_t *len);
    /* n bytes were put there. 0: the peer sends no more (it may still read). -1: broken,
     * wire_why() says how. */
    void (*got)(void *owner, ssize_t n);
    /* Connected, and the handshake, if any, is over. NULL: whoever accepts hears of it with
     * the first byte. Not called for a plain wire that was accepted: it is up at once. */
    void (*up)(void *owner);
    /* After wire_close(), once, the last call; NULL: nothing to do. The wire is gone. */
    void (*closed)(void *owner);
} wire_calls;

/* with: NULL, or the end of TLS it speaks; a reference is kept. */
wire *wire_new(loop *l, tls *with, const wire_calls *calls, void *owner);
/* Take the connection that waits at the listener. False: it is gone; still wire_close()
 * the wire. */
bool wire_accept(wire *w, uv_stream_t *listener);
/* Begin to connect; up() or got(-1) follows. name: whose certificate is expected (TLS). False:
 * it cannot be tried, wire_why() says why. */
bool wire_connect(wire *w, const struct sockaddr *to, const char *name);
/* Another owner from here on. Nothing may be on its way out. */
void wire_give(wire *w, const wire_calls *calls, void *owner);
/* Writing is possible. */
bool wire_is_up(const wire *w);
void wire_read(wire *w, bool on);
/* The bytes stay where they are until written(arg, ok), which is not called from inside.
 * False: the wire is broken or closing; written() is not called. */
bool wire_write(wire *w, const void *bytes, size_t len, void (*written)(void *arg, bool ok),
                void *arg);
bool wire_writev(wire *w, const uv_buf_t *bufs, unsigned n, void (*written)(void *arg, bool ok),
                 void *arg);
/* After what is written, say that no more will come. */
void wire_end(wire *w);
void wire_close(wire *w);
/* What broke it, or NULL. */
const char *wire_why(const wire *w);
/* The address that host names without being looked up: a number, or "localhost". */
bool wire_address_of(const char *host, unsigned port, struct sockaddr_storage *out);
/* "127.0.0.1:5123", "[::1]:5123"; "" when unknown. */
void wire_peer(const wire *w, sb *out);

#endif
