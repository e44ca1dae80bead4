/* when -- a moment on the command line: Unix milliseconds or ISO 8601. [any] */
#ifndef TOOLS_WHEN_H
#define TOOLS_WHEN_H

#include "base/base.h"

/* "1700000000000", "2023-11-14", "2023-11-14T22:13[:20[.5]][Z|+01:00]"; UTC
 * where no offset is given. False: none of these, or before the epoch. */
bool when_read(const char *text, int64_t *out_ms);

#endif
