/* watchdog -- see watchdog.h.
 *
 * The loop counts its turns, and says before it waits for events that it does. Callbacks of sockets
 * come before it can say that it no longer waits: of those, the ledger tells. */
#include "run/watchdog.h"

#include "run/ledger.h"
#include "run/log.h"
#include "run/metrics.h"

#include <signal.h>
#include <stdatomic.h>

typedef struct watched {
    uv_prepare_t before; /* it waits now   */
    uv_check_t after;    /* it waited      */
    unsigned open;
    atomic_bool waits;
    atomic_ullong turns;
} watched;

struct watchdog {
    watched *loop;
    unsigned warn_ms, abort_ms;
    _Atomic(ledger *) *current; /* the loop thread's */
    _Atomic(const char *) *callback;
    atomic_ullong *crossings;
    uv_thread_t thread;
    uv_mutex_t lock;
    uv_cond_t stop;
    bool stopping; /* under lock */
};

static void on_before(uv_prepare_t *h)
{
    watched *w = h->data;

    atomic_store_explicit(&w->waits, true, memory_order_relaxed);
}

static void on_after(uv_check_t *h)
{
    watched *w = h->data;

    atomic_store_explicit(&w->waits, false, memory_order_relaxed);
    atomic_fetch_add_explicit(&w->turns, 1, memory_order_relaxed);
}

static void bark(const watchdog *w, uint64_t ms)
{
    const char *callback = atomic_load(w->callback);
    sb name = SB_INIT;

    if (ledger_name_of(w->current, &name))
        log_warn("watchdog", "plugin '%s' has kept the event loop in %s for %llu ms", name.data,
                 callback != NULL ? callback : "a callback", (unsigned long long)ms);
    else
        log_warn("watchdog", "the event loop has not gone on for %llu ms", (unsigned long long)ms);
    sb_done(&name);
}

static void bite(uint64_t ms)
{
    log_error("watchdog",
              "the event loop has not gone on for %llu ms (watchdog.abortMs); ending, so that a "
              "supervisor starts the node again",
              (unsigned long long)ms);
    abort();
}

/* Look again and again until told to stop. */
static void watch_main(void *arg)
{
    watchdog *w = arg;
    uint64_t since = clock_mono_ns();
    unsigned long long before = 0;
    bool said = false;
    sigset_t all;

    sigfillset(&all); /* signals are the loop's */
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    uv_mutex_lock(&w->lock);
    while (!w->stopping) {
        unsigned long long now = atomic_load(&w->loop->turns) + atomic_load(w->crossings);
        uint64_t ms;

        if (now != before || (atomic_load(&w->loop->waits) && atomic_load(w->current) == NULL)) {
            before = now;
            since = clock_mono_ns();
            said = false;
        }
        ms = (clock_mono_ns() - since) / 1000000;
        if (ms >= w->warn_ms && !said) {
            bark(w, ms);
            said = true;
        }
        if (w->abort_ms != 0 && ms >= w->abort_ms)
            bite(ms);
        uv_cond_timedwait(&w->stop, &w->lock, (uint64_t)w->warn_ms * 1000000 / 4);
    }
    uv_mutex_unlock(&w->lock);
}

watchdog *watchdog_new(loop *l, unsigned warn_ms, unsigned abort_ms)
{
    watchdog *w = must_alloc(sizeof *w);
    watched *at = must_alloc(sizeof *at);

    w->loop = at;
    w->warn_ms = warn_ms;
    w->abort_ms = abort_ms;
    w->current = &ledger_current;
    w->callback = &ledger_callback;
    w->crossings = &ledger_crossings;
    at->before.data = at->after.data = at;
    at->open = 2;
    must(uv_prepare_init(loop_uv(l), &at->before) == 0 &&
         uv_check_init(loop_uv(l), &at->after) == 0);
    must(uv_prepare_start(&at->before, on_before) == 0 &&
         uv_check_start(&at->after, on_after) == 0);
    must(uv_mutex_init(&w->lock) == 0 && uv_cond_init(&w->stop) == 0);
    must(uv_thread_create(&w->thread, watch_main, w) == 0);
    return w;
}

static void on_closed(uv_handle_t *h)
{
    watched *w = h->data;

    if (--w->open == 0)
        free(w);
}

void watchdog_free(watchdog *w)
{
    if (w == NULL)
        return;
    uv_mutex_lock(&w->lock);
    w->stopping = true;
    uv_cond_signal(&w->stop);
    uv_mutex_unlock(&w->lock);
    uv_thread_join(&w->thread);
    uv_cond_destroy(&w->stop);
    uv_mutex_destroy(&w->lock);
    uv_close((uv_handle_t *)&w->loop->before, on_closed);
    uv_close((uv_handle_t *)&w->loop->after, on_closed);
    free(w);
}
