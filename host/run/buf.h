/* buf -- reference-counted byte blocks (broker_buf) as they come from sockets. [any] */
#ifndef RUN_BUF_H
#define RUN_BUF_H

#include "base/base.h"

#include <broker/plugin.h>

broker_buf *buf_new(size_t len);   /* one reference; NULL: no memory */
uint8_t *buf_bytes(broker_buf *b); /* to fill before it is shared */
/* Shorten to the bytes that were filled, before it is shared. */
void buf_trim(broker_buf *b, size_t len);
void buf_retain(broker_buf *b);
void buf_release(broker_buf *b);

#endif
