/* watchdog -- a thread that says which callback keeps the event loop from going on.
 *
 * Everything the node does waits for a callback that blocks; nobody sees it from outside but as
 * slowness. */
#ifndef RUN_WATCHDOG_H
#define RUN_WATCHDOG_H

#include "run/loop.h"

typedef struct watchdog watchdog;

/* Called on the loop's thread. warn_ms: after so long it is said, once a callback; abort_ms: after
 * so long the process is ended, for a supervisor to start it again; 0: never. */
watchdog *watchdog_new(loop *l, unsigned warn_ms, unsigned abort_ms);
/* The loop must run on to close its handles. */
void watchdog_free(watchdog *w);

#endif
