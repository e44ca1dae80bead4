/* part -- a piece of a streamed body on its way from pull() to a socket. */
#ifndef HTTP_PART_H
#define HTTP_PART_H

#include "base/base.h"

#include <broker/plugin.h>

#define PART_LEN   (256u * 1024u) /* of a streamed answer; one is written while one is made */
#define CHUNK_HEAD 10u
#define CHUNK_TAIL 7u

typedef struct part {
    broker_writer w; /* first */
    uint8_t *bytes;  /* CHUNK_HEAD bytes free in front, CHUNK_TAIL behind */
    size_t len, cap;
} part;

/* Empty, to be written through w. False: no memory. bytes are freed by whoever owns it. */
bool part_begin(part *p);

#endif
