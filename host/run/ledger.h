/* ledger -- what one build of a plugin still has in flight, and which build a
 * thread is running.
 *
 * Host code enters plugin code only through CROSS(), so that the loader knows
 * when nothing of a build runs any more, and a crash line can name it. Counters
 * are [any] thread. */
#ifndef RUN_LEDGER_H
#define RUN_LEDGER_H

#include "base/base.h"

#include <stdatomic.h>

typedef struct ledger {
    const char *name;       /* plugin, for logs and crash lines              */
    const char *build;      /* version                                       */
    const char *id;         /* the linker's hash of the code; may be NULL    */
    atomic_uint calls;      /* threads inside the plugin now                 */
    atomic_uint jobs;       /* submitted work that has not come back         */
    atomic_uint requests;   /* HTTP requests not ended, bodies not closed    */
    atomic_uint messages;   /* handed over and not settled                   */
    atomic_uint admissions; /* admissions and publications without done()   */
    atomic_uint timers;
    atomic_uint fetches; /* HTTP requests without on_done() */
    atomic_uint checks;  /* questions about messages without an answer */
    atomic_uint peers;   /* services of others that it is inside of       */
} ledger;

/* The build this thread is inside of, and the callback; read by the crash handler and, of the
 * loop's thread, by the watchdog's. */
extern _Thread_local _Atomic(ledger *) ledger_current;
extern _Thread_local _Atomic(const char *) ledger_callback;
extern _Thread_local atomic_ullong ledger_crossings; /* how often it entered one */

/* Relaxed: nothing but a name is read. */
#define LEDGER_GET(from)      atomic_load_explicit(&(from), memory_order_relaxed)
#define LEDGER_SET(to, value) atomic_store_explicit(&(to), (value), memory_order_relaxed)

#define CROSS(l, callback, call)                                                                   \
    do {                                                                                           \
        ledger *outer_ = LEDGER_GET(ledger_current);                                               \
        const char *outer_callback_ = LEDGER_GET(ledger_callback);                                 \
        LEDGER_SET(ledger_current, l);                                                             \
        LEDGER_SET(ledger_callback, callback);                                                     \
        LEDGER_SET(ledger_crossings, LEDGER_GET(ledger_crossings) + 1);                            \
        atomic_fetch_add(&(l)->calls, 1);                                                          \
        call;                                                                                      \
        atomic_fetch_sub(&(l)->calls, 1);                                                          \
        LEDGER_SET(ledger_callback, outer_callback_);                                              \
        LEDGER_SET(ledger_current, outer_);                                                        \
    } while (0)

/* The plugin that another thread is inside of: `current` is its ledger_current. False: none.
 * ledger_retire() comes before a ledger of that thread is freed. [any] */
bool ledger_name_of(_Atomic(ledger *) *current, sb *name);
void ledger_retire(void);

bool ledger_is_clear(const ledger *l);
/* "2 running jobs and 1 open request", or "nothing". */
void ledger_say(const ledger *l, sb *out);

#endif
