/* crash -- see crash.h. Only async-signal-safe calls below. */
#include "crash.h"

#include "run/ledger.h"

#include <signal.h>
#include <unistd.h>

static void say(const char *s)
{
    ssize_t n = write(STDERR_FILENO, s, strlen(s));

    (void)n;
}

static const char *signal_name(int sig)
{
    switch (sig) {
    case SIGSEGV:
        return "SIGSEGV";
    case SIGBUS:
        return "SIGBUS";
    case SIGFPE:
        return "SIGFPE";
    case SIGILL:
        return "SIGILL";
    default:
        return "SIGABRT";
    }
}

static void crashed(int sig)
{
    const ledger *l = ledger_current;

    say("crash: ");
    say(signal_name(sig));
    if (l != NULL) {
        say(" in plugin '");
        say(l->name);
        say("' ");
        say(l->build);
        say(", callback ");
        say(ledger_callback != NULL ? ledger_callback : "unknown");
    } else {
        say(" in the host, outside any plugin");
    }
    say(" (logstore-broker " LOGSTORE_VERSION ")\n");
    raise(sig); /* SA_RESETHAND: the default action, with a core dump */
}

void crash_watch(void)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    struct sigaction act = {.sa_handler = crashed, .sa_flags = (int)SA_RESETHAND};

    for (size_t i = 0; i < COUNT_OF(signals); i++)
        sigaction(signals[i], &act, NULL);
}
