/* pack -- a bounded reader of MessagePack, for state that one build hands to the next. [any]
 *
 * msgpack-c writes it; its reader allocates what a length says before it looks whether so much
 * follows. Here nothing is allocated: texts lie in the bytes that are read. Each function takes
 * one value of its type and returns true, or returns false and leaves the view and the results
 * as they were. */
#ifndef PACK_PACK_H
#define PACK_PACK_H

#include "base/base.h"

#include <broker/plugin.h>

bool unpack_uint(view *v, uint64_t *out);
bool unpack_bool(view *v, bool *out);
/* A str. It is not checked to be UTF-8. */
bool unpack_text(view *v, broker_str *out);
/* How many values follow; at most the bytes that are left, so a loop over them ends. */
bool unpack_array(view *v, size_t *n);

#endif
