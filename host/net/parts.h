/* parts -- what the files of net share. Not for others. */
#ifndef NET_PARTS_H
#define NET_PARTS_H

#include "net/tls.h"
#include "net/wire.h"

#include <openssl/ssl.h>

#define TLS_BLOCK (64u * 1024u)

struct tls {
    SSL_CTX *ctx;
    unsigned char alpn[32]; /* length and name */
    unsigned alpn_len;
    uint8_t block[TLS_BLOCK]; /* ciphertext between the socket and OpenSSL, in one callback */
};

#endif
