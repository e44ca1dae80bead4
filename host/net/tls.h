/* tls -- certificates and settings for one end of TLS connections. On OpenSSL 3;
 * TLS 1.2 and 1.3. [loop] */
#ifndef NET_TLS_H
#define NET_TLS_H

#include "base/base.h"

typedef struct tls tls;

/* A listener's end: a PEM chain and its key. alpn is the one protocol offered, "http/1.1".
 * NULL: a sentence in *why. */
tls *tls_new_server(const char *cert_file, const char *key_file, const char *alpn, sb *why);
void tls_free(tls *t); /* accepts NULL; its wires must be closed */

#endif
