/* tls -- certificates and settings for one end of TLS connections. On OpenSSL 3;
 * TLS 1.2 and 1.3. [loop] */
#ifndef NET_TLS_H
#define NET_TLS_H

#include "base/base.h"

typedef struct tls tls;

/* A listener's end: a PEM chain and its key. alpn is the one protocol offered, "http/1.1", or
 * NULL: none is spoken of. NULL: a sentence in *why. */
tls *tls_new_server(const char *cert_file, const char *key_file, const char *alpn, sb *why);
/* A client's end: the system's certificate authorities say whom to believe. */
tls *tls_new_client(const char *alpn, sb *why);
void tls_retain(tls *t);
void tls_release(tls *t); /* accepts NULL */

#endif
