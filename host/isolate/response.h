/* response -- an answer of the plugin's process to a request, checked before the HTTP server gets
 * it. [any] */
#ifndef ISOLATE_RESPONSE_H
#define ISOLATE_RESPONSE_H

#include "isolate/parts.h"

#include "net/head.h"
#include "pack/pack.h"

/* A response that was read; its strings are the map's, or its own. */
typedef struct response {
    broker_response r;
    unpacked *map;
    char *type;
    broker_header headers[HEAD_HEADERS_MAX];
    char *names[HEAD_HEADERS_MAX];
} response;

/* The body of WORD_REPLY or WORD_STREAM; what was read points into it. End it with response_done(),
 * also when it is faulty. */
fault response_read(broker_bytes body, response *a, uint64_t *req);
void response_done(response *a);

#endif
