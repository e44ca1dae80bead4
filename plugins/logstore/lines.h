/* lines -- an answer of lines, told while its request is still being read.
 *
 * Lines are added on the loop; the host pulls them on a worker. Two own it: who adds, and
 * the answer's body. */
#ifndef LOGSTORE_LINES_H
#define LOGSTORE_LINES_H

#include "base/base.h"

#include <broker/plugin.h>

typedef struct lines lines;

/* Has one owner, who adds; lines_body() makes the other. */
lines *lines_new(const broker_http *http, broker_req *req);
broker_body lines_body(lines *l);
/* A line that will be told, if anybody is left to hear it; its end is put behind it. [loop] */
void lines_add(lines *l, const sb *line);
/* The last line was added. [loop] */
void lines_end(lines *l);
/* So much waits for a slow reader that no more should be read from it: the body is resumed once
 * that is told. [loop] */
bool lines_are_full(lines *l);
/* What was not told yet; the body tells no more. [loop] */
void lines_take(lines *l, sb *out);
void lines_release(lines *l);

#endif
