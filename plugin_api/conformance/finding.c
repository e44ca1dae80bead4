/* finding -- what a plugin did wrong, said once, to the parent process: a line each, the
 * scene behind a tab. */
#include "conformance.h"
#include "kit.h"

#include <signal.h>
#include <unistd.h>

#define FINDINGS_MAX 40u

_Thread_local const char *inside;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t said[FINDINGS_MAX]; /* hashes; under lock */
static unsigned n_said;             /* under lock */
static char scene[160];
static struct sigaction before[NSIG];
static pthread_t loop_thread;

static void say(const char *s)
{
    ssize_t n = write(CONFORMANCE_FD, s, strlen(s));

    (void)n;
}

void finding(const char *fmt, ...)
{
    char line[600];
    va_list args;
    size_t at;
    uint64_t hash;
    bool known = false;

    va_start(args, fmt);
    vsnprintf(line, sizeof line - sizeof scene - 8, fmt, args);
    va_end(args);
    for (char *p = line; *p != '\0'; p++)
        if ((unsigned char)*p < ' ')
            *p = ' ';
    pthread_mutex_lock(&lock);
    at = strlen(line);
    hash = hash_bytes(line, at); /* the same in two scenes is one finding */
    for (unsigned i = 0; i < n_said; i++)
        known = known || said[i] == hash;
    if (!known && n_said < FINDINGS_MAX) {
        said[n_said++] = hash;
        snprintf(line + at, sizeof line - at, "%s%s\n", scene[0] != '\0' ? "\t" : "", scene);
        say(line);
    }
    pthread_mutex_unlock(&lock);
}

unsigned findings(void)
{
    unsigned n;

    pthread_mutex_lock(&lock);
    n = n_said;
    pthread_mutex_unlock(&lock);
    return n;
}

void scene_set(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vsnprintf(scene, sizeof scene, fmt, args);
    va_end(args);
}

void scene_end(void)
{
    scene[0] = '\0';
}

/* Only async-signal-safe calls below. */
static void end_line(void)
{
    say(inside != NULL ? inside : "the kit");
    say(inside != NULL ? "()" : "");
    say(scene[0] != '\0' ? "\t" : "");
    say(scene);
    say("\n");
}

static void crashed(int sig)
{
    say("crashed (");
    say(sig == SIGSEGV   ? "SIGSEGV"
        : sig == SIGBUS  ? "SIGBUS"
        : sig == SIGFPE  ? "SIGFPE"
        : sig == SIGILL  ? "SIGILL"
        : sig == SIGABRT ? "SIGABRT"
                         : "signal");
    say(") in ");
    end_line();
    /* The sanitizers' handler, or the default one: what happened happens again. */
    sigaction(sig, &before[sig], NULL);
    if (sig == SIGABRT)
        raise(sig);
}

static void sanitizer_dies(void)
{
    say("a sanitizer ended it in ");
    end_line();
}

/* There in sanitized builds only. */
extern void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

static void too_late(int sig)
{
    if (!pthread_equal(pthread_self(), loop_thread)) {
        pthread_kill(loop_thread, sig); /* it knows where it is */
        return;
    }
    say(inside != NULL ? "did not come back in time from " : "did not finish in time, in ");
    end_line();
    _exit(1);
}

void findings_watch(unsigned limit_s)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    struct sigaction act = {.sa_handler = crashed, .sa_flags = SA_NODEFER};
    struct sigaction late = {.sa_handler = too_late};

    loop_thread = pthread_self();
    for (size_t i = 0; i < COUNT_OF(signals); i++)
        sigaction(signals[i], &act, &before[signals[i]]);
    sigaction(SIGALRM, &late, NULL);
    if (__sanitizer_set_death_callback != NULL)
        __sanitizer_set_death_callback(sanitizer_dies);
    alarm(limit_s);
}
