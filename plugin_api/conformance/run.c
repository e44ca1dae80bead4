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
#define CLEAN     42 /* exit status of a child that got to its end: a plugin may call exit(0) */
/* Seconds for a check, instead of its own limit; parent and child go by it. */
#define LIMIT_VARIABLE "LOGSTORE_CHECK_LIMIT"

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

static unsigned limit_of(const check *c)
{
    const char *said = getenv(LIMIT_VARIABLE);
    int64_t s;

    if (said != NULL && parse_i64(said, strlen(said), &s) && s > 0 && s <= 3600)
        return (unsigned)s;
    return c->limit_s * PATIENCE;
}

int conformance_child(const char *name, const char *file, const char *config)
{
    const check *c = check_find(name);
    subject s = {.file = file, .config = config};
    image im;
    sb why = SB_INIT;

    if (c == NULL || getenv(FOLDER_VARIABLE) == NULL ||
        fcntl(CONFORMANCE_FD, F_SETFD, FD_CLOEXEC) != 0) {
        fputs("--child is for the broker itself\n", stderr);
        return 2;
    }
    findings_watch(limit_of(c));
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
    fflush(NULL);
    _exit(findings() == 0 ? CLEAN : 1); /* no destructor of a library has a say */
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

/* What earlier checks have printed; one fault shows in many of them. */
typedef struct known {
    uint64_t hashes[256]; /* of findings without their scene */
    size_t n;
} known;

static bool is_known(known *k, const char *at, size_t len)
{
    uint64_t hash = hash_bytes(at, len);

    for (size_t i = 0; i < k->n; i++)
        if (k->hashes[i] == hash)
            return true;
    if (k->n < COUNT_OF(k->hashes))
        k->hashes[k->n++] = hash;
    return false;
}

/* "reason; reason, in this scene; and 3 more" */
static void findings_print(const char *name, const sb *said, known *k)
{
    unsigned shown = 0, more = 0;

    printf("not ok %s: ", name);
    for (const char *at = said->data, *end; (end = strchr(at, '\n')) != NULL; at = end + 1) {
        size_t len = (size_t)(end - at), head = strcspn(at, "\t\n");

        if (is_known(k, at, head) || shown == SHOWN_MAX) {
            more++;
            continue;
        }
        printf("%s%.*s", shown++ != 0 ? "; " : "", (int)head, at);
        if (head < len)
            printf(", %.*s", (int)(len - head - 1), at + head + 1);
    }
    if (more != 0 && shown == 0)
        printf("the same as above");
    else if (more != 0)
        printf("; and %u more", more);
    printf("\n");
}

static bool check_run(const check *c, const char *file, const char *config, bool quiet, known *k)
{
    sb said = SB_INIT;
    int ends[2], status = 0;
    bool in_time;
    pid_t child;

    must(pipe2(ends, O_CLOEXEC) == 0);
    folder_make();
    fflush(NULL);
    child = fork();
    must(child >= 0);
    if (child == 0)
        child_become(c, file, config, ends[1], quiet);
    close(ends[1]);
    in_time = child_hear(ends[0], clock_mono_ns() + (limit_of(c) + GRACE_S) * 1000000000ull, &said);
    if (!in_time)
        kill(child, SIGKILL);
    close(ends[0]);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    folder_remove();
    if (!in_time)
        sb_printf(&said, "did not finish within %u seconds\n", limit_of(c));
    else if (said.len == 0 && (!WIFEXITED(status) || WEXITSTATUS(status) != CLEAN))
        sb_printf(&said, "ended the process (%s %d)\n",
                  WIFEXITED(status) ? "exit status" : "signal",
                  WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
    sb_append(&said, "", 0);
    if (said.len == 0)
        printf("ok     %s\n", c->name);
    else
        findings_print(c->name, &said, k);
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
    known seen = {.n = 0};

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
        if (check_run(c, file, config, only == NULL, &seen)) {
            good++;
            continue;
        }
        bad++;
        if (c->prerequisite)
            break; /* it cannot be loaded: that is one thing wrong, not nineteen */
    }
    printf("%u ok, %u not ok\n", good, bad);
    return bad == 0 ? 0 : 1;
}
