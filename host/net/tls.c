/* tls -- see tls.h. */
#include "net/tls_parts.h"

#include <errno.h>
#include <openssl/err.h>
#include <sys/stat.h>

/* What OpenSSL has to say, without its codes. */
static const char *openssl_said(void)
{
    const char *said = ERR_reason_error_string(ERR_peek_error());

    ERR_clear_error();
    return said != NULL ? said : "no reason given";
}

static bool file_is_there(const char *what, const char *file, sb *why)
{
    FILE *f = fopen(file, "re");

    if (f == NULL) {
        sb_printf(why, "cannot read the %s file '%s' (%s)", what, file, strerror(errno));
        return false;
    }
    fclose(f);
    return true;
}

static bool key_is_private(const char *file, sb *why)
{
    struct stat st;

    if (stat(file, &st) != 0 || (st.st_mode & S_IROTH) == 0)
        return true;
    sb_printf(why, "the TLS key file '%s' can be read by everybody; run: chmod o-rwx '%s'", file,
              file);
    return false;
}

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                   const unsigned char *in, unsigned in_len, void *arg)
{
    tls *t = arg;
    unsigned char *chosen;

    (void)ssl;
    if (SSL_select_next_proto(&chosen, out_len, t->alpn, t->alpn_len, in, in_len) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static tls *tls_new(const SSL_METHOD *method, const char *alpn)
{
    tls *t = must_alloc(sizeof *t);
    size_t len = alpn != NULL ? strlen(alpn) : 0;

    t->refs = 1;
    if (len != 0) {
        must(len < sizeof t->alpn);
        t->alpn[0] = (unsigned char)len;
        memcpy(t->alpn + 1, alpn, len);
        t->alpn_len = (unsigned)len + 1;
    }
    t->ctx = SSL_CTX_new(method);
    must(t->ctx != NULL);
    SSL_CTX_set_min_proto_version(t->ctx, TLS1_2_VERSION);
    SSL_CTX_set_options(t->ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(t->ctx, SSL_MODE_RELEASE_BUFFERS);
    return t;
}

tls *tls_new_server(const char *cert_file, const char *key_file, const char *alpn, sb *why)
{
    tls *t = tls_new(TLS_server_method(), alpn);

    if (alpn != NULL)
        SSL_CTX_set_alpn_select_cb(t->ctx, on_alpn, t);
    if (!file_is_there("certificate", cert_file, why) || !file_is_there("TLS key", key_file, why) ||
        !key_is_private(key_file, why))
        goto fail;
    if (SSL_CTX_use_certificate_chain_file(t->ctx, cert_file) != 1) {
        sb_printf(why, "'%s' is not a PEM certificate chain (%s)", cert_file, openssl_said());
        goto fail;
    }
    if (SSL_CTX_use_PrivateKey_file(t->ctx, key_file, SSL_FILETYPE_PEM) != 1) {
        sb_printf(why, "'%s' is not the PEM private key of the certificate in '%s' (%s)", key_file,
                  cert_file, openssl_said());
        goto fail;
    }
    return t;
fail:
    tls_release(t);
    return NULL;
}

tls *tls_new_client(const char *alpn, sb *why)
{
    tls *t = tls_new(TLS_client_method(), alpn);

    t->client = true;
    SSL_CTX_set_verify(t->ctx, SSL_VERIFY_PEER, NULL);
    if (SSL_CTX_set_default_verify_paths(t->ctx) != 1 ||
        (t->alpn_len != 0 && SSL_CTX_set_alpn_protos(t->ctx, t->alpn, t->alpn_len) != 0)) {
        sb_printf(why, "cannot read the system's certificate authorities (%s)", openssl_said());
        tls_release(t);
        return NULL;
    }
    return t;
}

void tls_retain(tls *t)
{
    t->refs++;
}

void tls_release(tls *t)
{
    if (t == NULL || --t->refs != 0)
        return;
    SSL_CTX_free(t->ctx);
    free(t);
}
