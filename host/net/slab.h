/* slab -- small pieces cut from one counted block after another, so that bytes from a socket
 * cost no allocation a message. A piece that is kept keeps its block. [loop] */
#ifndef NET_SLAB_H
#define NET_SLAB_H

#include "run/buf.h"

#define SLAB_BLOCK (64u * 1024u)

typedef struct slab {
    broker_buf *block; /* NULL: none yet */
    size_t used;
} slab;

void slab_done(slab *s);
/* At least `want` (at most SLAB_BLOCK) bytes to be filled; *len says how many. They stay free
 * until slab_use(). NULL: no memory. */
uint8_t *slab_room(slab *s, size_t want, size_t *len);
/* The first n of them are in use now; the block they lie in, borrowed. */
broker_buf *slab_use(slab *s, size_t n);

#endif
