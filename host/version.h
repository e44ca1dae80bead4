/* version -- what this program is made of, for --version. */
#ifndef HOST_VERSION_H
#define HOST_VERSION_H

#include "base/base.h"

/* Version, build id, plugin ABI and libraries, a line each. */
void version_describe(sb *out);

#endif
