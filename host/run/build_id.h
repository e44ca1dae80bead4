/* build_id -- the linker's hash of loaded code: two files with one id are the same build. [any] */
#ifndef RUN_BUILD_ID_H
#define RUN_BUILD_ID_H

#include "base/base.h"

/* Of the object that the address lies in, in hex; false: it carries none. */
bool build_id_of(const void *address, char out[41]);

#endif
