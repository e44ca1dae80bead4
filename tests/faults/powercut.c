/* powercut -- an LD_PRELOAD shim that writes down what a power cut would leave.
 *
 * For files below $POWERCUT_DIR it appends to $POWERCUT_JOURNAL:
 *   C path            made; lost with the power until its folder is synced
 *   S path size       fsync or fdatasync returned: so many bytes are safe
 *   R old new backup  renamed; undone until the folder is synced ("-": nothing was replaced,
 *                     else a hard link to what was)
 *   U path backup     removed; comes back until the folder is synced
 *   D folder          the folder was synced
 * powercut.py plays it back. sync_file_range() promises nothing, so it is not here. */
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static atomic_uint backups;

static const char *dir(void)
{
    return getenv("POWERCUT_DIR");
}

static int ours(const char *path)
{
    return dir() != NULL && strncmp(path, dir(), strlen(dir())) == 0;
}

static void note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static void note(const char *fmt, ...)
{
    int (*real)(const char *, int, ...) = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open");
    static _Thread_local char line[3 * PATH_MAX];
    int fd = real(getenv("POWERCUT_JOURNAL"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    va_list args;
    int n;

    va_start(args, fmt);
    n = vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    if (fd < 0 || write(fd, line, (size_t)n) != n)
        abort();
    close(fd);
}

/* A hard link to what is about to be replaced or removed. */
static void backup(const char *path, char out[PATH_MAX])
{
    snprintf(out, PATH_MAX, "%s.%d-%u", getenv("POWERCUT_JOURNAL"), (int)getpid(),
             atomic_fetch_add(&backups, 1));
    if (link(path, out) != 0)
        memcpy(out, "-", 2);
}

static int open_noted(const char *name, const char *path, int flags, mode_t mode)
{
    int (*real)(const char *, int, ...) = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, name);
    int made = (flags & O_CREAT) != 0 && ours(path) && access(path, F_OK) != 0;
    int fd = real(path, flags, mode);

    if (made && fd >= 0)
        note("C\t%s\n", path);
    return fd;
}

int open(const char *path, int flags, ...);
int open64(const char *path, int flags, ...);

int open(const char *path, int flags, ...)
{
    va_list args;
    mode_t mode;

    va_start(args, flags);
    mode = (flags & O_CREAT) != 0 ? va_arg(args, mode_t) : 0;
    va_end(args);
    return open_noted("open", path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    va_list args;
    mode_t mode;

    va_start(args, flags);
    mode = (flags & O_CREAT) != 0 ? va_arg(args, mode_t) : 0;
    va_end(args);
    return open_noted("open64", path, flags, mode);
}

/* st is of before the call: what is written during it may not be safe. */
static void synced(int fd, const struct stat *st)
{
    char link_name[64], path[PATH_MAX];
    ssize_t n;

    snprintf(link_name, sizeof link_name, "/proc/self/fd/%d", fd);
    n = readlink(link_name, path, sizeof path - 1);
    if (n <= 0)
        return;
    path[n] = '\0';
    if (!ours(path))
        return;
    if (S_ISDIR(st->st_mode))
        note("D\t%s\n", path);
    else
        note("S\t%s\t%lld\n", path, (long long)st->st_size);
}

int fsync(int fd)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    struct stat before;
    int known = fstat(fd, &before) == 0, rc = real(fd);

    if (rc == 0 && known)
        synced(fd, &before);
    return rc;
}

int fdatasync(int fd)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    struct stat before;
    int known = fstat(fd, &before) == 0, rc = real(fd);

    if (rc == 0 && known)
        synced(fd, &before);
    return rc;
}

int rename(const char *from, const char *to)
{
    int (*real)(const char *, const char *) =
        (int (*)(const char *, const char *))dlsym(RTLD_NEXT, "rename");
    char kept[PATH_MAX] = "-";
    int rc;

    if (ours(to))
        backup(to, kept);
    rc = real(from, to);
    if (rc == 0 && ours(to))
        note("R\t%s\t%s\t%s\n", from, to, kept);
    return rc;
}

int unlink(const char *path)
{
    int (*real)(const char *) = (int (*)(const char *))dlsym(RTLD_NEXT, "unlink");
    char kept[PATH_MAX] = "-";
    int rc;

    if (ours(path))
        backup(path, kept);
    rc = real(path);
    if (rc == 0 && ours(path))
        note("U\t%s\t%s\n", path, kept);
    return rc;
}
