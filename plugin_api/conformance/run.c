/* run -- the parent: a process for each check, a line for each result. The child: one check. */
#include "conformance.h"

#include "checks.h"
#include "folder.h"
#include "kit.h"

#include "plugin/manifest.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define SHOWN_MAX 5u /* findings in the line of a check */
#define GRACE_S   5u

/* Under sanitizers everything takes longer. */
#ifdef __SANITIZE_ADDRESS__
#define PATIENCE 4u
#else
#define PATIENCE 1u
#endif

void conformance_list(void)
{
    for (size_t i = 0; i < n_checks; i++)
        printf("%-10s %s\n", checks[i].name, checks[i].about);
}

static const check *check_find(const char *name)
{
    for (size_t i = 0; i < n_checks; i++)
        if (strcmp(checks[i].name, name) == 0)
            return &checks[i];
    return NULL;
}

/* ---- the child ---- */

int conformance_child(const char *name, const char *file, const char *config)
{
    const check *c = check_find(name);
    subject s = {.file = file, .config = config};
    image im;
    sb why = SB_INIT;

    if (c == NULL || fcntl(CONFORMANCE_FD, F_SETFD, FD_CLOEXEC) != 0) {
        fputs("--child is for the broker itself\n", stderr);
        return 2;
    }
    findings_watch(c->limit_s * PATIENCE);
    kit_loop_init();
    if (c->loads) {
        if (!image_open(file, &im, &why))
            finding("%s", why.data);
        else {
            s.im = &im;
            s.section = section_read(&im, config);
        }
    }
    if (!c->loads || s.section != NULL)
        c->run(&s);
    folder_remove();
    fflush(NULL);
    _exit(findings() == 0 ? 0 : 1); /* no destructor of a library has a say */
}

/* ---- the parent ---- */

/* Become the child of a check. Never returns. */
static void child_become(const check *c, const char *file, const char *config, int out, bool quiet)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    if (quiet)
        dup2(null, STDERR_FILENO);
    if (out != CONFORMANCE_FD)
        dup2(out, CONFORMANCE_FD);
    else
        fcntl(out, F_SETFD, 0);
    /* What is freed is seen to be free, whoever freed it (check_left.c). */
    setenv("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0:glibc.malloc.arena_max=1", 1);
    execl("/proc/self/exe", "logstore-broker", "plugin", "check", "--child", c->name, "--config",
          config, file, (char *)NULL);
    _exit(127);
}

/* What the child says until it ends, or until it is too late. False: too late. */
static bool child_hear(int in, uint64_t deadline_ns, sb *said)
{
    for (;;) {
        struct pollfd p = {in, POLLIN, 0};
        uint64_t now = clock_mono_ns();
        ssize_t n;

        if (now >= deadline_ns)
            return false;
        if (poll(&p, 1, (int)((deadline_ns - now) / 1000000 + 1)) <= 0)
            continue;
        n = read(in, sb_room(said, 4096), 4096);
        if (n <= 0)
            return true;
        said->len += (size_t)n;
    }
}

/* "reason; reason; and 3 more" */
static void findings_print(const char *name, const sb *said)
{
    unsigned shown = 0, more = 0;

    printf("not ok %s: ", name);
    for (const char *at = said->data, *end; (end = strchr(at, '\n')) != NULL; at = end + 1) {
        if (shown == SHOWN_MAX) {
            more++;
            continue;
        }
        printf("%s%.*s", shown++ != 0 ? "; " : "", (int)(end - at), at);
    }
    if (more != 0)
        printf("; and %u more", more);
    printf("\n");
}

static bool check_run(const check *c, const char *file, const char *config, bool quiet)
{
    sb said = SB_INIT;
    int ends[2], status = 0;
    bool in_time;
    pid_t child;

    must(pipe2(ends, O_CLOEXEC) == 0);
    fflush(NULL);
    child = fork();
    must(child >= 0);
    if (child == 0)
        child_become(c, file, config, ends[1], quiet);
    close(ends[1]);
    in_time = child_hear(
        ends[0], clock_mono_ns() + (c->limit_s * PATIENCE + GRACE_S) * 1000000000ull, &said);
    if (!in_time)
        kill(child, SIGKILL);
    close(ends[0]);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    if (!in_time)
        sb_printf(&said, "did not finish within %u seconds\n", c->limit_s * PATIENCE);
    else if (status != 0 && said.len == 0)
        sb_printf(&said, "ended the process (%s %d)\n",
                  WIFEXITED(status) ? "exit status" : "signal",
                  WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
    sb_append(&said, "", 0);
    if (said.len == 0)
        printf("ok     %s\n", c->name);
    else
        findings_print(c->name, &said);
    fflush(stdout);
    status = said.len == 0;
    sb_done(&said);
    return status != 0;
}

int conformance_check(const char *file, const char *config, const char *only)
{
    unsigned good = 0, bad = 0;
    broker_manifest m;
    char why[256];
    bool readable, hotswap;

    if (only != NULL && check_find(only) == NULL) {
        fprintf(stderr, "there is no check '%s'; see plugin check --list\n", only);
        return 2;
    }
    readable = manifest_read(file, &m, why, sizeof why) == BROKER_OK;
    hotswap = readable && (m.flags & BROKER_PLUGIN_HOTSWAP) != 0;
    for (size_t i = 0; i < n_checks; i++) {
        const check *c = &checks[i];

        if (only != NULL && strcmp(only, c->name) != 0)
            continue;
        if (c->hotswap && readable && !hotswap) {
            printf("ok     %s (does not apply: it has no BROKER_PLUGIN_HOTSWAP)\n", c->name);
            good++;
            continue;
        }
        if (check_run(c, file, config, only == NULL)) {
            good++;
            continue;
        }
        bad++;
        if (c->prerequisite)
            break; /* it cannot be loaded: that is one thing wrong, not eighteen */
    }
    printf("%u ok, %u not ok\n", good, bad);
    return bad == 0 ? 0 : 1;
}
