/* fetch -- HTTP requests of plugins, many at once, over libcurl on the loop.
 *
 * Callbacks go through CROSS(owner, ...), never from inside start() or cancel();
 * owner->fetches counts what is under way. [loop] */
#ifndef FETCH_FETCH_H
#define FETCH_FETCH_H

#include "run/ledger.h"
#include "run/loop.h"

#include <broker/plugin.h>

typedef struct fetcher fetcher;

fetcher *fetcher_new(loop *l);
/* Cancel what is left and free; closed() when all is closed. */
void fetcher_close(fetcher *f, void (*closed)(void *arg), void *arg);

/* As in `broker_fetch`. A failure puts a sentence into *why. */
broker_rc fetch_start(fetcher *f, ledger *owner, const broker_fetch_request *what,
                      broker_fetch_job **out, sb *why);
void fetch_cancel(broker_fetch_job *job);
broker_str fetch_header(broker_fetch_job *job, const char *name);
/* Cancel all fetches of owner. */
void fetch_forget(fetcher *f, const ledger *owner);

#endif
