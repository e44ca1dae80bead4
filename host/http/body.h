/* body -- taking a request body apart, a piece at a time. Pure. */
#ifndef HTTP_BODY_H
#define HTTP_BODY_H

#include "base/base.h"

typedef struct body_reader {
    bool chunked;
    int state;
    uint64_t left;   /* of the body, or of the chunk */
    unsigned digits; /* of the chunk size read so far */
    unsigned line;   /* bytes of an extension or trailer */
} body_reader;

void body_none(body_reader *r);
void body_sized(body_reader *r, uint64_t length);
void body_chunks(body_reader *r);
bool body_is_over(const body_reader *r);

/* Look at the next bytes: *used of them are consumed, of which the last *part bytes are
 * body. False: they break the rules. */
bool body_read(body_reader *r, const uint8_t *p, size_t len, size_t *used, size_t *part);

#endif
