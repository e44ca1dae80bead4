/* ledger -- see ledger.h. */
#include "run/ledger.h"

#include <pthread.h>

_Thread_local _Atomic(ledger *) ledger_current;
_Thread_local _Atomic(const char *) ledger_callback;
_Thread_local atomic_ullong ledger_crossings;

static pthread_mutex_t naming = PTHREAD_MUTEX_INITIALIZER;

bool ledger_name_of(_Atomic(ledger *) *current, sb *name)
{
    const ledger *l;

    pthread_mutex_lock(&naming);
    l = atomic_load(current);
    if (l != NULL)
        sb_puts(name, l->name);
    pthread_mutex_unlock(&naming);
    return l != NULL;
}

/* The thread is not inside of it any more: who comes later does not find it, and who found it has
 * read it. */
void ledger_retire(void)
{
    pthread_mutex_lock(&naming);
    pthread_mutex_unlock(&naming);
}

static const struct {
    size_t offset;
    const char *one, *many;
} entries[] = {
    {offsetof(ledger, calls), "running callback", "running callbacks"},
    {offsetof(ledger, jobs), "running job", "running jobs"},
    {offsetof(ledger, requests), "open request", "open requests"},
    {offsetof(ledger, messages), "unsettled message", "unsettled messages"},
    {offsetof(ledger, admissions), "unanswered admission", "unanswered admissions"},
    {offsetof(ledger, timers), "timer", "timers"},
    {offsetof(ledger, fetches), "fetch under way", "fetches under way"},
    {offsetof(ledger, checks), "unanswered check", "unanswered checks"},
    {offsetof(ledger, peers), "borrowed service", "borrowed services"},
};

static unsigned entry(const ledger *l, size_t i)
{
    const atomic_uint *counter =
        (const atomic_uint *)(const void *)((const char *)l + entries[i].offset);

    return atomic_load(counter);
}

bool ledger_is_clear(const ledger *l)
{
    for (size_t i = 0; i < COUNT_OF(entries); i++)
        if (entry(l, i) != 0)
            return false;
    return true;
}

void ledger_say(const ledger *l, sb *out)
{
    size_t start = out->len;

    for (size_t i = 0; i < COUNT_OF(entries); i++) {
        unsigned n = entry(l, i);

        if (n == 0)
            continue;
        if (out->len != start)
            sb_puts(out, ", ");
        sb_printf(out, "%u %s", n, n == 1 ? entries[i].one : entries[i].many);
    }
    if (out->len == start)
        sb_puts(out, "nothing");
}
