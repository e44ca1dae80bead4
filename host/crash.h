/* crash -- one last line that names the plugin, the build and the callback, and a record that the
 * next start reads: who crashed the process too often is left out. */
#ifndef HOST_CRASH_H
#define HOST_CRASH_H

#include "base/base.h"

#define CRASH_LIMIT     3
#define CRASH_WINDOW_MS 600000 /* ten minutes */

/* Install handlers for SIGSEGV, SIGBUS, SIGFPE, SIGILL and SIGABRT. record: the file that gets a
 * line a crash, copied; NULL: none. */
void crash_watch(const char *record);

/* How often builds with that id crashed the process within the window before now. */
unsigned crash_count(const char *record, const char *build_id, int64_t now_ms);

#endif
