/* shake -- the opening handshake of a WebSocket (RFC 6455 section 4), both ends. Pure. */
#ifndef NET_SHAKE_H
#define NET_SHAKE_H

#include "net/head.h"

#define SHAKE_HEAD_MAX (16u * 1024u)
#define SHAKE_KEY      25u /* characters of a key, and NUL */

/* Whether a request asks for a WebSocket, to the letter. 0, or the status to refuse it with;
 * *why says what is wrong. */
unsigned shake_check(const head *request, const char **why);
/* Agree. protocol: the one spoken here, or NULL; named when the client offers it. */
void shake_agree(const head *request, const char *protocol, sb *out);
void shake_refuse(unsigned status, sb *out);

void shake_key(char key[SHAKE_KEY]);
void shake_ask(const char *host, const char *target, const char *protocol, const char *key,
               sb *out);
/* NULL: the server agreed. Or what is wrong. */
const char *shake_verify(const head *answer, unsigned status, const char *key,
                         const char *protocol);

#endif
