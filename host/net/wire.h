/* wire -- one TCP connection, with TLS or without: bytes in, bytes out, back-pressure.
 *
 * Embedded in what owns it. Plain bytes are read where the owner wants them and written
 * from where they lie. Everything is [loop]. */
#ifndef NET_WIRE_H
#define NET_WIRE_H

#include "net/tls.h"
#include "run/loop.h"

typedef struct wire wire;

typedef struct wire_calls {
    /* Where the next bytes go, *len > 0 of them; NULL: no memory, the wire breaks. */
    uint8_t *(*room)(wire *w, size_t *len);
    /* n bytes were put there. 0: the peer sends no more (it may still read). -1: broken. */
    void (*got)(wire *w, ssize_t n);
    /* After wire_close(), once, the last call: free what the wire is in. */
    void (*closed)(wire *w);
} wire_calls;

struct wire {
    uv_tcp_t tcp;
    loop *loop;
    const wire_calls *calls;
    tls *tls; /* NULL: plain */
    struct ssl_st *ssl;
    struct bio_st *in, *out; /* ciphertext; owned by ssl */
    bool reading, closing, up, fin, eof, pump_posted, pumping, gone;
    loop_call pump; /* decrypted bytes wait that no socket event will announce */
    uv_shutdown_t shutdown;
};

/* Take the connection that waits at the listener. False: it is gone; still wire_close()
 * it. with: NULL, or the TLS that the listener speaks; kept until closed(). */
bool wire_accept(wire *w, loop *l, uv_stream_t *listener, tls *with, const wire_calls *calls);
/* The handshake, if any, is over: writing is possible. */
bool wire_is_up(const wire *w);
void wire_read(wire *w, bool on);
/* The bytes stay where they are until written(arg, ok), which is not called from inside.
 * False: the wire is broken or closing; written() is not called. */
bool wire_write(wire *w, const void *bytes, size_t len, void (*written)(void *arg, bool ok),
                void *arg);
/* After what is written, say that no more will come. */
void wire_end(wire *w);
void wire_close(wire *w);
/* "127.0.0.1:5123", "[::1]:5123"; "" when unknown. */
void wire_peer(const wire *w, sb *out);

#endif
