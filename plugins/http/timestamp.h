/* timestamp -- a moment as clients write it: Unix milliseconds or an ISO 8601 date. [any] */
#ifndef HTTP_TIMESTAMP_H
#define HTTP_TIMESTAMP_H

#include "base/base.h"

/* "1700000000000", "2023-11-14", "2023-11-14T22:13:20.5Z", "2023-11-14T23:13+01:00"; UTC where
 * no offset is given. False: none of these, or not after the epoch. */
bool timestamp_read(const char *text, size_t len, int64_t *out_ms);

#endif
