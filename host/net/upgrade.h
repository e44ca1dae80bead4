/* upgrade -- the opening handshake of a WebSocket, RFC 6455 section 4. Pure. */
#ifndef NET_UPGRADE_H
#define NET_UPGRADE_H

#include "net/head.h"

#define UPGRADE_ACCEPT_LEN 28

/* Check a client's request. 0 and the value of Sec-WebSocket-Accept, NUL-terminated; else the
 * status to refuse with: 400, or 426 for another version than 13. */
unsigned upgrade_check(const head *h, char accept[UPGRADE_ACCEPT_LEN + 1]);
/* The answer that opens the connection. protocol: the subprotocol, or NULL. */
void upgrade_answer(const char *accept, const char *protocol, sb *out);
/* The answer that refuses it: a line, as the Streamr node has it. */
void upgrade_refuse(unsigned status, sb *out);

#endif
