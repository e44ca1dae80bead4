/* crash -- see crash.h. Only async-signal-safe calls in crashed() and what it calls. */
#include "crash.h"

#include "run/ledger.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define RECORD_MAX (1u << 20) /* of the file; a longer one begins anew */

static char record_path[4096]; /* "": none */

/* A line put together without malloc or stdio. */
typedef struct text {
    char data[512];
    size_t len;
} text;

static void put(text *t, const char *s)
{
    while (s != NULL && *s != '\0' && t->len < sizeof t->data)
        t->data[t->len++] = *s++;
}

static void put_number(text *t, int64_t x)
{
    char digits[24];
    size_t n = sizeof digits;

    digits[--n] = '\0';
    do
        digits[--n] = (char)('0' + x % 10);
    while ((x /= 10) != 0);
    put(t, digits + n);
}

static void put_out(const text *t, int fd)
{
    ssize_t n = write(fd, t->data, t->len);

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

/* "milliseconds build plugin callback signal" */
static void record(const ledger *l, const char *callback, int sig)
{
    struct timespec now;
    text line = {.len = 0};
    int fd = open(record_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

    if (fd < 0)
        return;
    clock_gettime(CLOCK_REALTIME, &now);
    put_number(&line, (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000);
    put(&line, " ");
    put(&line, l->id);
    put(&line, " ");
    put(&line, l->name);
    put(&line, " ");
    put(&line, callback);
    put(&line, " ");
    put(&line, signal_name(sig));
    put(&line, "\n");
    put_out(&line, fd);
    close(fd);
}

static void crashed(int sig)
{
    const ledger *l = ledger_current;
    const char *callback = ledger_callback != NULL ? ledger_callback : "unknown";
    text line = {.len = 0};

    put(&line, "crash: ");
    put(&line, signal_name(sig));
    if (l != NULL) {
        put(&line, " in plugin '");
        put(&line, l->name);
        put(&line, "' ");
        put(&line, l->build);
        put(&line, " (build ");
        put(&line, l->id != NULL && l->id[0] != '\0' ? l->id : "unknown");
        put(&line, "), callback ");
        put(&line, callback);
    } else {
        put(&line, " in the host, outside any plugin");
    }
    put(&line, " (logstore-broker " LOGSTORE_VERSION ")\n");
    put_out(&line, STDERR_FILENO);
    if (l != NULL && l->id != NULL && l->id[0] != '\0' && record_path[0] != '\0')
        record(l, callback, sig);
    raise(sig); /* SA_RESETHAND: the default action, with a core dump */
}

void crash_watch(const char *record)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    struct sigaction act = {.sa_handler = crashed, .sa_flags = (int)SA_RESETHAND};

    if (record != NULL && strlen(record) < sizeof record_path)
        memcpy(record_path, record, strlen(record) + 1);
    for (size_t i = 0; i < COUNT_OF(signals); i++)
        sigaction(signals[i], &act, NULL);
}

unsigned crash_count(const char *path, const char *build_id, int64_t now_ms)
{
    size_t len, id_len = strlen(build_id);
    char *bytes = file_read(path, RECORD_MAX, &len), *next;
    struct stat st;
    unsigned n = 0;

    if (bytes == NULL && stat(path, &st) == 0 && st.st_size > RECORD_MAX)
        (void)!truncate(path, 0);
    if (bytes == NULL || id_len == 0)
        goto done;
    for (char *line = bytes; *line != '\0'; line = next) {
        char *end = strchrnul(line, '\n'), *space = memchr(line, ' ', (size_t)(end - line));
        int64_t at;

        next = *end != '\0' ? end + 1 : end;
        if (space != NULL && parse_i64(line, (size_t)(space - line), &at) &&
            at > now_ms - CRASH_WINDOW_MS && (size_t)(end - space) > id_len + 1 &&
            memcmp(space + 1, build_id, id_len) == 0 && space[1 + id_len] == ' ')
            n++;
    }
done:
    free(bytes);
    return n;
}
