/* tls_parts -- what tls.c and wire.c share. Not for others. */
#ifndef NET_TLS_PARTS_H
#define NET_TLS_PARTS_H

#include "net/tls.h"
#include "net/wire.h"

#include <openssl/ssl.h>

#define TLS_BLOCK (64u * 1024u)

struct tls {
    SSL_CTX *ctx;
    unsigned refs;
    bool client;
    unsigned char alpn[32];   /* length and name */
    unsigned alpn_len;        /* 0: none */
    uint8_t block[TLS_BLOCK]; /* ciphertext between the socket and OpenSSL, in one callback */
};

#endif
