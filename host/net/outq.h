/* outq -- bytes that wait for a socket, in order: small ones copied together, large ones
 * kept where they lie. [loop] */
#ifndef NET_OUTQ_H
#define NET_OUTQ_H

#include "run/buf.h"

#include <uv.h>

#define OUTQ_KEEP 4096u /* bytes from which keeping is cheaper than copying */
#define OUTQ_BUFS 64u   /* most pieces of a batch */

typedef struct out_piece out_piece;

typedef struct outq {
    out_piece *head, *tail;
    size_t bytes;
} outq;

void outq_done(outq *q);
/* False: no memory; nothing was queued. */
bool outq_copy(outq *q, const void *bytes, size_t len);
/* bytes lie in buf, which is retained. */
void outq_keep(outq *q, broker_buf *buf, const uint8_t *bytes, size_t len);
/* Move pieces of max_bytes or a little more to a batch; how many went to bufs. */
unsigned outq_take(outq *q, size_t max_bytes, uv_buf_t bufs[OUTQ_BUFS], outq *batch);

#endif
