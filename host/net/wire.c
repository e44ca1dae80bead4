/* wire -- see wire.h.
 *
 * With TLS the ciphertext goes through memory BIOs: what the socket gives is put into
 * `in`, OpenSSL leaves in `out` what the socket shall send. */
#include "net/tls_parts.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

struct wire {
    uv_tcp_t tcp;
    loop *loop;
    const wire_calls *calls;
    void *owner;
    tls *tls; /* NULL: plain */
    SSL *ssl;
    BIO *in, *out; /* ciphertext; owned by ssl */
    bool connected, reading, closing, up, fin, eof, lost, said, pump_posted, pumping, gone;
    loop_call pump; /* decrypted bytes wait that no socket event will announce */
    uv_connect_t connect;
    uv_shutdown_t shutdown;
    char *why;
};

typedef struct out_req {
    uv_write_t uv;
    wire *w;
    void (*written)(void *arg, bool ok);
    void *arg;
    uint8_t *cipher; /* NULL: the bytes are the owner's */
} out_req;

/* why: the first one is kept. */
static void broken(wire *w, const char *why)
{
    if (w->why == NULL)
        w->why = must_strdup(why);
    w->lost = true;
    if (!w->closing && !w->eof) {
        w->eof = true;
        w->calls->got(w->owner, -1);
    }
}

/* ---- out ---- */

static void on_written(uv_write_t *uv, int status)
{
    out_req *o = CONTAINER_OF(uv, out_req, uv);

    if (o->written != NULL)
        o->written(o->arg, status == 0 && !o->w->closing);
    else if (status != 0)
        broken(o->w, uv_strerror(status));
    free(o->cipher);
    free(o);
}

static bool send_bytes(wire *w, const uv_buf_t *bufs, unsigned n, uint8_t *cipher,
                       void (*written)(void *arg, bool ok), void *arg)
{
    out_req *o = must_alloc(sizeof *o);

    o->w = w;
    o->written = written;
    o->arg = arg;
    o->cipher = cipher;
    if (uv_write(&o->uv, (uv_stream_t *)&w->tcp, bufs, n, on_written) == 0)
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
    uv_buf_t buf;

    if (len == 0 && written == NULL)
        return true;
    cipher = must_alloc(len + 1);
    must(len == 0 || BIO_read(w->out, cipher, (int)len) == (int)len);
    buf = uv_buf_init((char *)cipher, (unsigned)len);
    return send_bytes(w, &buf, 1, cipher, written, arg);
}

bool wire_writev(wire *w, const uv_buf_t *bufs, unsigned n, void (*written)(void *arg, bool ok),
                 void *arg)
{
    if (w->closing)
        return false;
    if (w->ssl == NULL)
        return send_bytes(w, bufs, n, NULL, written, arg);
    must(w->up);
    for (unsigned i = 0; i < n; i++) {
        must(bufs[i].len <= INT_MAX);
        /* A memory BIO takes everything; what can fail is the session. */
        if (bufs[i].len != 0 && SSL_write(w->ssl, bufs[i].base, (int)bufs[i].len) <= 0) {
            ERR_clear_error();
            return false;
        }
    }
    return flush(w, written, arg);
}

bool wire_write(wire *w, const void *bytes, size_t len, void (*written)(void *arg, bool ok),
                void *arg)
{
    uv_buf_t buf = uv_buf_init((char *)(uintptr_t)bytes, (unsigned)len);

    return wire_writev(w, &buf, 1, written, arg);
}

void wire_end(wire *w)
{
    if (w->closing || !w->connected)
        return;
    if (w->ssl != NULL && w->up) {
        w->said = true;
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
    room = w->calls->room(w->owner, &len);
    *out = uv_buf_init((char *)room, room != NULL ? (unsigned)len : 0);
}

/* What is wrong with a handshake, for people. */
static void handshake_why(wire *w, int error)
{
    long verdict = SSL_get_verify_result(w->ssl);
    unsigned long code = ERR_peek_error();
    sb why = SB_INIT;

    if (w->tls->client && verdict != X509_V_OK)
        sb_printf(&why, "the certificate is not to be trusted (%s)",
                  X509_verify_cert_error_string(verdict));
    else
        sb_printf(&why, "the TLS handshake failed (%s)",
                  code != 0 && ERR_reason_error_string(code) != NULL ? ERR_reason_error_string(code)
                  : error == SSL_ERROR_ZERO_RETURN                   ? "the peer ended it"
                                                                     : "no reason given");
    free(w->why);
    w->why = why.data;
}

static bool handshake(wire *w)
{
    int rc = SSL_do_handshake(w->ssl);
    int error = rc == 1 ? SSL_ERROR_NONE : SSL_get_error(w->ssl, rc);

    if (rc != 1 && error != SSL_ERROR_WANT_READ)
        handshake_why(w, error);
    ERR_clear_error();
    flush(w, NULL, NULL); /* an alert that says why, too */
    w->up = rc == 1;
    if (w->up && w->calls->up != NULL)
        w->calls->up(w->owner);
    else if (!w->up && error != SSL_ERROR_WANT_READ)
        broken(w, "the TLS handshake failed");
    return w->up;
}

/* Hand on what can be decrypted, as long as the owner reads. */
static void pump(wire *w)
{
    w->pumping = true;
    while (w->reading && !w->closing && !w->eof) {
        size_t len = 0;
        uint8_t *room;
        int n, error;

        if (!w->up) {
            if (!handshake(w))
                break;
            continue; /* its owner may not want to read now */
        }
        room = w->calls->room(w->owner, &len);
        n = room == NULL ? 0 : SSL_read(w->ssl, room, len > INT_MAX ? INT_MAX : (int)len);
        error = n > 0 ? SSL_ERROR_NONE : SSL_get_error(w->ssl, n);
        ERR_clear_error();
        if (n > 0) {
            w->calls->got(w->owner, n);
            continue;
        }
        if (room != NULL && error == SSL_ERROR_WANT_READ && !w->fin)
            break;
        if (room != NULL && (error == SSL_ERROR_ZERO_RETURN || error == SSL_ERROR_WANT_READ)) {
            if (error != SSL_ERROR_ZERO_RETURN && w->why == NULL)
                w->why = must_strdup("the peer cut the TLS connection, without saying that this "
                                     "is the end");
            w->eof = true;
            w->calls->got(w->owner, 0);
        } else {
            flush(w, NULL, NULL);
            broken(w, room == NULL ? "no memory to read into" : "broken TLS records");
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
        w->calls->got(w->owner, 0);
    } else if (n < 0) {
        uv_read_stop(s);
        broken(w, n == UV_ENOBUFS ? "no memory to read into"
                  : n == UV_EOF   ? "the peer ended the TLS handshake"
                                  : uv_strerror((int)n));
    } else if (w->ssl == NULL) {
        w->calls->got(w->owner, n);
    } else {
        must(BIO_write(w->in, buf->base, (int)n) == (int)n);
        pump(w);
    }
}

static void wire_free(wire *w)
{
    const wire_calls *calls = w->calls;
    void *owner = w->owner;

    SSL_free(w->ssl);
    tls_release(w->tls);
    free(w->why);
    free(w);
    if (calls->closed != NULL)
        calls->closed(owner);
}

static void on_pump(loop_call *call)
{
    wire *w = CONTAINER_OF(call, wire, pump);

    w->pump_posted = false;
    if (!w->closing)
        pump(w);
    else if (w->gone)
        wire_free(w);
}

void wire_read(wire *w, bool on)
{
    on = on && !w->eof;
    if (w->reading == on || w->closing)
        return;
    w->reading = on;
    if (!w->connected)
        return; /* on_connect() begins */
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

wire *wire_new(loop *l, tls *with, const wire_calls *calls, void *owner)
{
    wire *w = must_alloc(sizeof *w);

    w->loop = l;
    w->calls = calls;
    w->owner = owner;
    w->pump.fn = on_pump;
    must(uv_tcp_init(loop_uv(l), &w->tcp) == 0);
    if (with == NULL)
        return w;
    tls_retain(with);
    w->tls = with;
    w->ssl = SSL_new(with->ctx);
    w->in = BIO_new(BIO_s_mem());
    w->out = BIO_new(BIO_s_mem());
    must(w->ssl != NULL && w->in != NULL && w->out != NULL);
    SSL_set_bio(w->ssl, w->in, w->out);
    if (with->client)
        SSL_set_connect_state(w->ssl);
    else
        SSL_set_accept_state(w->ssl);
    return w;
}

static void connected(wire *w)
{
    uv_tcp_nodelay(&w->tcp, 1);
    w->connected = true;
    w->up = w->ssl == NULL;
}

bool wire_accept(wire *w, uv_stream_t *listener)
{
    if (uv_accept(listener, (uv_stream_t *)&w->tcp) != 0)
        return false;
    connected(w);
    return true;
}

static void on_connect(uv_connect_t *req, int status)
{
    wire *w = CONTAINER_OF(req, wire, connect);
    bool wanted = w->reading;

    if (w->closing)
        return;
    if (status != 0) {
        broken(w, uv_strerror(status));
        return;
    }
    connected(w);
    if (wanted) {
        w->reading = false;
        wire_read(w, true);
    }
    if (w->ssl == NULL)
        w->calls->up(w->owner);
    else if (wanted)
        pump(w); /* the client speaks first */
}

/* Who the certificate must be of, and what the server is told (SNI; not for addresses). */
static bool name_expect(wire *w, const char *name)
{
    unsigned char address[16];

    if (uv_inet_pton(AF_INET, name, address) == 0 || uv_inet_pton(AF_INET6, name, address) == 0)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(w->ssl), name) == 1;
    SSL_set_hostflags(w->ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(w->ssl, name) == 1 && SSL_set_tlsext_host_name(w->ssl, name) == 1;
}

bool wire_connect(wire *w, const struct sockaddr *to, const char *name)
{
    int rc;

    if (w->ssl != NULL && !name_expect(w, name)) {
        ERR_clear_error();
        w->why = must_strdup("the name to verify is not a host name");
        return false;
    }
    rc = uv_tcp_connect(&w->connect, &w->tcp, to, on_connect);
    if (rc != 0)
        w->why = must_strdup(uv_strerror(rc));
    return rc == 0;
}

void wire_give(wire *w, const wire_calls *calls, void *owner)
{
    w->calls = calls;
    w->owner = owner;
}

bool wire_is_up(const wire *w)
{
    return w->up;
}

const char *wire_why(const wire *w)
{
    return w->why;
}

static void on_closed(uv_handle_t *h)
{
    wire *w = CONTAINER_OF((uv_tcp_t *)h, wire, tcp);

    if (w->pump_posted)
        w->gone = true; /* the call that is under way ends it */
    else
        wire_free(w);
}

void wire_close(wire *w)
{
    if (w->closing)
        return;
    w->closing = true;
    if (w->ssl != NULL && w->up && !w->lost && !w->said) {
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

bool wire_address_of(const char *host, unsigned port, struct sockaddr_storage *out)
{
    if (strcmp(host, "localhost") == 0)
        host = "127.0.0.1";
    return uv_ip4_addr(host, (int)port, (struct sockaddr_in *)out) == 0 ||
           uv_ip6_addr(host, (int)port, (struct sockaddr_in6 *)out) == 0;
}
