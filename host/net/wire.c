/* wire -- see wire.h.
 *
 * With TLS the ciphertext goes through memory BIOs: what the socket gives is put into
 * `in`, OpenSSL leaves in `out` what the socket shall send. */
#include "net/parts.h"

#include <arpa/inet.h>
#include <openssl/err.h>

typedef struct out_req {
    uv_write_t uv;
    wire *w;
    void (*written)(void *arg, bool ok);
    void *arg;
    uint8_t *cipher; /* NULL: the bytes are the owner's */
} out_req;

static void broken(wire *w)
{
    if (!w->closing && !w->eof) {
        w->eof = true;
        w->calls->got(w, -1);
    }
}

/* ---- out ---- */

static void on_written(uv_write_t *uv, int status)
{
    out_req *o = CONTAINER_OF(uv, out_req, uv);

    if (o->written != NULL)
        o->written(o->arg, status == 0 && !o->w->closing);
    else if (status != 0)
        broken(o->w);
    free(o->cipher);
    free(o);
}

static bool send_bytes(wire *w, const void *bytes, size_t len, uint8_t *cipher,
                       void (*written)(void *arg, bool ok), void *arg)
{
    out_req *o = must_alloc(sizeof *o);
    uv_buf_t buf = uv_buf_init((char *)(uintptr_t)bytes, (unsigned)len);

    o->w = w;
    o->written = written;
    o->arg = arg;
    o->cipher = cipher;
    if (uv_write(&o->uv, (uv_stream_t *)&w->tcp, &buf, 1, on_written) == 0)
        return true;
    free(cipher);
    free(o);
    return false;
}

/* Send what OpenSSL has produced. */
static bool flush(wire *w, void (*written)(void *arg, bool ok), void *arg)
{
    size_t len = BIO_ctrl_pending(w->out);
    uint8_t *cipher;

    if (len == 0 && written == NULL)
        return true;
    cipher = must_alloc(len + 1);
    must(len == 0 || BIO_read(w->out, cipher, (int)len) == (int)len);
    return send_bytes(w, cipher, len, cipher, written, arg);
}

bool wire_write(wire *w, const void *bytes, size_t len, void (*written)(void *arg, bool ok),
                void *arg)
{
    if (w->closing)
        return false;
    if (w->ssl == NULL)
        return send_bytes(w, bytes, len, NULL, written, arg);
    must(w->up && len <= INT_MAX);
    /* A memory BIO takes everything; what can fail is the session. */
    if (len != 0 && SSL_write(w->ssl, bytes, (int)len) <= 0) {
        ERR_clear_error();
        return false;
    }
    return flush(w, written, arg);
}

void wire_end(wire *w)
{
    if (w->closing)
        return;
    if (w->ssl != NULL && w->up) {
        SSL_shutdown(w->ssl);
        ERR_clear_error();
        flush(w, NULL, NULL);
    }
    uv_shutdown(&w->shutdown, (uv_stream_t *)&w->tcp, NULL);
}

/* ---- in ---- */

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *out)
{
    wire *w = CONTAINER_OF((uv_tcp_t *)h, wire, tcp);
    size_t len = 0;
    uint8_t *room;

    (void)suggested;
    if (w->ssl != NULL) {
        *out = uv_buf_init((char *)w->tls->block, TLS_BLOCK);
        return;
    }
    room = w->calls->room(w, &len);
    *out = uv_buf_init((char *)room, room != NULL ? (unsigned)len : 0);
}

static bool handshake(wire *w)
{
    int rc = SSL_do_handshake(w->ssl);
    bool waits = rc <= 0 && SSL_get_error(w->ssl, rc) == SSL_ERROR_WANT_READ;

    ERR_clear_error();
    flush(w, NULL, NULL); /* an alert that says why, too */
    w->up = rc == 1;
    if (rc <= 0 && !waits)
        broken(w);
    return w->up;
}

/* Hand on what can be decrypted, as long as the owner reads. */
static void pump(wire *w)
{
    w->pumping = true;
    while (w->reading && !w->closing && !w->eof && (w->up || handshake(w))) {
        size_t len = 0;
        uint8_t *room = w->calls->room(w, &len);
        int n = room == NULL ? 0 : SSL_read(w->ssl, room, len > INT_MAX ? INT_MAX : (int)len);
        int error = n > 0 ? SSL_ERROR_NONE : SSL_get_error(w->ssl, n);

        ERR_clear_error();
        if (n > 0) {
            w->calls->got(w, n);
            continue;
        }
        if (room != NULL && error == SSL_ERROR_WANT_READ && !w->fin)
            break;
        if (room != NULL && (error == SSL_ERROR_ZERO_RETURN || error == SSL_ERROR_WANT_READ)) {
            w->eof = true;
            w->calls->got(w, 0);
        } else {
            flush(w, NULL, NULL);
            broken(w);
        }
    }
    w->pumping = false;
    if (!w->closing)
        flush(w, NULL, NULL); /* key updates */
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
    wire *w = CONTAINER_OF((uv_tcp_t *)s, wire, tcp);

    if (n == 0 || w->eof)
        return;
    if (n == UV_EOF && w->up) {
        uv_read_stop(s);
        if (w->ssl != NULL) {
            w->fin = true; /* after what is still to be decrypted */
            pump(w);
            return;
        }
        w->eof = true;
        w->calls->got(w, 0);
    } else if (n < 0) {
        uv_read_stop(s);
        broken(w);
    } else if (w->ssl == NULL) {
        w->calls->got(w, n);
    } else {
        must(BIO_write(w->in, buf->base, (int)n) == (int)n);
        pump(w);
    }
}

static void on_pump(loop_call *call)
{
    wire *w = CONTAINER_OF(call, wire, pump);

    w->pump_posted = false;
    if (!w->closing)
        pump(w);
    else if (w->gone)
        w->calls->closed(w);
}

void wire_read(wire *w, bool on)
{
    on = on && !w->eof;
    if (w->reading == on || w->closing)
        return;
    w->reading = on;
    if (!on) {
        uv_read_stop((uv_stream_t *)&w->tcp);
        return;
    }
    uv_read_start((uv_stream_t *)&w->tcp, on_alloc, on_read);
    if (w->ssl != NULL && !w->pumping && !w->pump_posted &&
        (SSL_has_pending(w->ssl) != 0 || BIO_ctrl_pending(w->in) != 0)) {
        w->pump_posted = true;
        loop_post(w->loop, &w->pump);
    }
}

/* ---- life ---- */

bool wire_accept(wire *w, loop *l, uv_stream_t *listener, tls *with, const wire_calls *calls)
{
    *w = (wire){.loop = l, .calls = calls, .tls = with, .pump.fn = on_pump};
    must(uv_tcp_init(loop_uv(l), &w->tcp) == 0);
    if (uv_accept(listener, (uv_stream_t *)&w->tcp) != 0)
        return false;
    uv_tcp_nodelay(&w->tcp, 1);
    if (with == NULL) {
        w->up = true;
        return true;
    }
    w->ssl = SSL_new(with->ctx);
    w->in = BIO_new(BIO_s_mem());
    w->out = BIO_new(BIO_s_mem());
    must(w->ssl != NULL && w->in != NULL && w->out != NULL);
    SSL_set_bio(w->ssl, w->in, w->out);
    SSL_set_accept_state(w->ssl);
    return true;
}

bool wire_is_up(const wire *w)
{
    return w->up;
}

static void on_closed(uv_handle_t *h)
{
    wire *w = CONTAINER_OF((uv_tcp_t *)h, wire, tcp);

    SSL_free(w->ssl);
    w->ssl = NULL;
    if (w->pump_posted)
        w->gone = true; /* the call that is under way ends it */
    else
        w->calls->closed(w);
}

void wire_close(wire *w)
{
    if (w->closing)
        return;
    w->closing = true;
    if (w->ssl != NULL && w->up && !w->eof) {
        /* Tell the peer that the end is meant, if the socket takes it at once. */
        char farewell[256];
        uv_buf_t buf;
        int len;

        SSL_shutdown(w->ssl);
        ERR_clear_error();
        len = BIO_read(w->out, farewell, sizeof farewell);
        buf = uv_buf_init(farewell, len > 0 ? (unsigned)len : 0);
        if (len > 0)
            uv_try_write((uv_stream_t *)&w->tcp, &buf, 1);
    }
    uv_close((uv_handle_t *)&w->tcp, on_closed);
}

void wire_peer(const wire *w, sb *out)
{
    struct sockaddr_storage addr;
    int len = sizeof addr;
    char text[INET6_ADDRSTRLEN] = "";

    if (uv_tcp_getpeername(&w->tcp, (struct sockaddr *)&addr, &len) != 0)
        return;
    if (addr.ss_family == AF_INET6)
        uv_ip6_name((struct sockaddr_in6 *)&addr, text, sizeof text);
    else
        uv_ip4_name((struct sockaddr_in *)&addr, text, sizeof text);
    sb_printf(out, addr.ss_family == AF_INET6 ? "[%s]:%u" : "%s:%u", text,
              ntohs(((struct sockaddr_in *)&addr)->sin_port));
}
