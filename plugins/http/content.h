/* content -- whether a request body is a message's content: one JSON object. [any] */
#ifndef HTTP_CONTENT_H
#define HTTP_CONTENT_H

#include "base/base.h"

/* True, or false and the error of the interface in *why. */
bool content_check(const char *text, size_t len, sb *why);

#endif
