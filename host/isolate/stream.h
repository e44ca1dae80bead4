/* stream -- the answer of a request as an isolated plugin streams it: chunks come from its process
 * on the loop, and go on by pull() on workers. */
#ifndef ISOLATE_STREAM_H
#define ISOLATE_STREAM_H

#include "isolate/parts.h"

/* Bytes that wait, in the buffers they came in. */
typedef struct piece piece;
typedef struct pieces {
    piece *first, **last;
} pieces;
struct piece {
    piece *next;
    broker_buf *buf;
    broker_bytes bytes;
    bool is_last;
};
void pieces_put(pieces *list, broker_buf *buf, broker_bytes bytes, bool is_last);
void pieces_drop(pieces *list); /* the first */

typedef struct stream stream;

/* Answer req, which the process knows by number, with a stream. closed(arg) comes once, when the
 * server is done with the answer [worker]; the stream may be freed from then on. [loop] */
stream *stream_begin(standin *s, broker_req *req, uint64_t number, const broker_response *r,
                     void (*closed)(void *arg), void *arg);
void stream_free(stream *t); /* NULL: nothing */
/* More of it, which is to be within the window. [loop] */
fault stream_chunk(stream *t, broker_buf *buf, broker_bytes bytes);
/* All of it has come. False: it had ended already. [loop] */
bool stream_end(stream *t, broker_rc rc);
/* Nothing more is said to its process. [loop] */
void stream_hush(stream *t);
/* Its process is gone: what has come goes out, then the answer is cut. [loop] */
void stream_lose(stream *t);

#endif
