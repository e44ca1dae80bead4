/* frames -- splits u32 big-endian length and that many bytes, again and again,
 * out of pieces of any size. One thread. Memory is bounded by the longest
 * message. */
#ifndef TOOLS_FRAMES_H
#define TOOLS_FRAMES_H

#include "base/base.h"

/* One whole frame, valid during the call. False: wants no more. */
typedef bool (*frames_each)(void *arg, uint64_t index, const uint8_t *raw, size_t len);

typedef struct frames {
    frames_each each;
    void *arg;
    uint64_t n;      /* whole frames so far                       */
    const char *why; /* NULL, or what is wrong with the bytes     */
    sb left;         /* the start of a frame that is not complete */
} frames;

void frames_init(frames *f, frames_each each, void *arg);
void frames_done(frames *f);
/* False: the bytes are wrong (f->why), or each() wanted no more. */
bool frames_put(frames *f, const uint8_t *bytes, size_t len);
/* No more bytes come. False: they were wrong, or end inside a frame; f->why
 * says which. */
bool frames_end(frames *f);

#endif
