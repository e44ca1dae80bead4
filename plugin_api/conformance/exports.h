/* exports -- the symbols that a shared library defines for others. */
#ifndef CONFORMANCE_EXPORTS_H
#define CONFORMANCE_EXPORTS_H

#include "base/base.h"

/* Those beside broker_plugin, quoted and joined by commas, from the bytes of a library. What is
 * not where the file says it is, is left out: the manifest's reader refuses such files. */
void exports_find(const void *bytes, size_t len, sb *out);

#endif
