/* child -- see child.h. */
#include "isolate/child.h"

#include "isolate/words.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

#define FIRST_SAFE_FD 16 /* above all that the process gets, so that no dup2() hits another */

/* The environment without what is the node's alone: its settings may have its key. */
static char **environment(void)
{
    static const char *const ours[] = {"LOGSTORE__BROKER__", "NOTIFY_SOCKET=", "WATCHDOG_"};
    size_t n = 0, kept = 0;
    char **copy;

    while (environ[n] != NULL)
        n++;
    copy = must_alloc((n + 1) * sizeof *copy);
    for (size_t i = 0; i < n; i++) {
        bool keep = true;

        for (size_t k = 0; k < COUNT_OF(ours); k++)
            keep = keep && strncmp(environ[i], ours[k], strlen(ours[k])) != 0;
        if (keep)
            copy[kept++] = environ[i];
    }
    return copy;
}

/* A descriptor out of the way; -1 and errno. */
static int away(int fd)
{
    int moved = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_SAFE_FD);
    int error = errno;

    close(fd);
    errno = error;
    return moved;
}

static bool pair_make(int ends[2])
{
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return false;
    ends[1] = away(ends[1]);
    if (ends[1] >= 0)
        return true;
    close(ends[0]);
    return false;
}

static int spawn(child *c, const char *name, int frames, int asks, int file)
{
    const char *const argv[] = {"logstore-broker", "--isolated", name, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    char **env = environment();
    sigset_t none;
    int rc;

    sigemptyset(&none);
    must(posix_spawn_file_actions_init(&actions) == 0 && posix_spawnattr_init(&attributes) == 0);
    must(posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0) == 0);
    must(posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0) == 0);
    must(posix_spawn_file_actions_adddup2(&actions, frames, ISOLATED_FRAMES_FD) == 0);
    must(posix_spawn_file_actions_adddup2(&actions, asks, ISOLATED_ASKS_FD) == 0);
    must(posix_spawn_file_actions_adddup2(&actions, file, ISOLATED_FILE_FD) == 0);
    must(posix_spawn_file_actions_addclosefrom_np(&actions, ISOLATED_FILE_FD + 1) == 0);
    must(posix_spawnattr_setpgroup(&attributes, 0) == 0);
    must(posix_spawnattr_setsigmask(&attributes, &none) == 0);
    must(posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK) ==
         0);
    rc = posix_spawn(&c->pid, "/proc/self/exe", &actions, &attributes, (char **)(uintptr_t)argv,
                     env);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    free(env);
    return rc;
}

bool child_start(child *c, const char *name, int file, sb *why)
{
    int frames[2] = {-1, -1}, asks[2] = {-1, -1}, copy = -1, rc = 0;

    *c = (child){0};
    if (!pair_make(frames) || !pair_make(asks) ||
        (copy = fcntl(file, F_DUPFD_CLOEXEC, FIRST_SAFE_FD)) < 0)
        rc = errno;
    if (rc == 0)
        rc = spawn(c, name, frames[1], asks[1], copy);
    if (copy >= 0)
        close(copy);
    if (frames[1] >= 0)
        close(frames[1]);
    if (asks[1] >= 0)
        close(asks[1]);
    if (rc == 0) {
        c->frames = frames[0];
        c->asks = asks[0];
        return true;
    }
    c->pid = 0;
    if (frames[1] >= 0)
        close(frames[0]);
    if (asks[1] >= 0)
        close(asks[0]);
    sb_printf(why, "no process can be started for it (%s)", strerror(rc));
    return false;
}

/* By its very pid: others' children are others'. */
static void wait_for(child *c, int flags)
{
    pid_t got;

    while (c->pid != 0 && !c->over) {
        got = waitpid(c->pid, &c->status, flags);
        if (got < 0 && errno == EINTR)
            continue;
        c->over = got != 0; /* ECHILD: somebody has; there is none any more */
        if (got < 0)
            c->status = 0;
        if (flags != 0)
            break;
    }
}

bool child_is_over(child *c)
{
    wait_for(c, WNOHANG);
    return c->pid == 0 || c->over;
}

void child_kill(child *c)
{
    if (c->pid != 0 && !c->over) {
        kill(-c->pid, SIGKILL);
        kill(c->pid, SIGKILL);
    }
}

void child_wait(child *c, unsigned ms)
{
    struct pollfd end = {.fd = c->pid != 0 && !c->over ? pidfd_open(c->pid, 0) : -1,
                         .events = POLLIN};

    if (end.fd >= 0) {
        poll(&end, 1, (int)ms); /* a signal ends it early: then the process is ended early */
        close(end.fd);
    }
    if (!child_is_over(c)) {
        child_kill(c);
        wait_for(c, 0);
    }
}

void child_say(const child *c, sb *out)
{
    int number = WIFSIGNALED(c->status) ? WTERMSIG(c->status) : 0;
    const char *name = number != 0 ? sigabbrev_np(number) : NULL;

    if (name != NULL)
        sb_printf(out, "SIG%s", name);
    else if (number != 0)
        sb_printf(out, "signal %d", number);
    else
        sb_printf(out, "status %d", WEXITSTATUS(c->status));
}
