/* writefail -- an LD_PRELOAD shim that makes a chosen call on a folder's files fail.
 *
 * For files below $WRITEFAIL_DIR it counts calls that change them (writing, making room,
 * syncing, opening to make or write, renaming). $WRITEFAIL_CONTROL is a file of two 64-bit and
 * two 32-bit numbers in native order, mapped and shared with the test, which may change it
 * while we run:
 *   at     the call that fails, counting from 1; 0: none fails
 *   calls  how many there were; the test sets it back to 0
 *   error  what the call says (ENOSPC, EIO)
 *   sticky 1: every later call fails too, like a full disk; 0: that call alone
 * A write that fails has written nothing. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

typedef struct control {
    _Atomic uint64_t at, calls;
    _Atomic uint32_t error, sticky;
} control;

static control *shared;
static const char *dir;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

__attribute__((constructor)) static void map(void)
{
    const char *path = getenv("WRITEFAIL_CONTROL");
    int fd = path != NULL ? REAL(open)(path, O_RDWR | O_CLOEXEC) : -1;
    void *at = fd >= 0 ? mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
                       : MAP_FAILED;

    dir = getenv("WRITEFAIL_DIR");
    if (at != MAP_FAILED && dir != NULL)
        shared = at;
    if (fd >= 0)
        close(fd);
}

/* Whether this call is to fail; errno is set. */
static int fails(void)
{
    uint64_t n = atomic_fetch_add(&shared->calls, 1) + 1, at = atomic_load(&shared->at);

    if (at == 0 || n < at || (n > at && !atomic_load(&shared->sticky)))
        return 0;
    errno = (int)atomic_load(&shared->error);
    return 1;
}

static int path_fails(const char *path)
{
    return shared != NULL && strncmp(path, dir, strlen(dir)) == 0 && fails();
}

static int fd_fails(int fd)
{
    char link_name[64], path[PATH_MAX];
    ssize_t n;

    if (shared == NULL)
        return 0;
    snprintf(link_name, sizeof link_name, "/proc/self/fd/%d", fd);
    n = readlink(link_name, path, sizeof path - 1);
    if (n <= 0)
        return 0;
    path[n] = '\0';
    return path_fails(path);
}

#define CHANGES (O_CREAT | O_WRONLY | O_RDWR | O_TRUNC)

#define OPEN(name)                                                                                 \
    int name(const char *path, int flags, ...)                                                     \
    {                                                                                              \
        va_list args;                                                                              \
        mode_t mode;                                                                               \
                                                                                                   \
        va_start(args, flags);                                                                     \
        mode = (flags & O_CREAT) != 0 ? va_arg(args, mode_t) : 0;                                  \
        va_end(args);                                                                              \
        if ((flags & CHANGES) != 0 && path_fails(path))                                            \
            return -1;                                                                             \
        return REAL(name)(path, flags, mode);                                                      \
    }

OPEN(open)
OPEN(open64)

ssize_t write(int fd, const void *bytes, size_t len)
{
    return fd_fails(fd) ? -1 : REAL(write)(fd, bytes, len);
}

ssize_t pwrite(int fd, const void *bytes, size_t len, off_t at)
{
    return fd_fails(fd) ? -1 : REAL(pwrite)(fd, bytes, len, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t len, off64_t at)
{
    return fd_fails(fd) ? -1 : REAL(pwrite64)(fd, bytes, len, at);
}

ssize_t writev(int fd, const struct iovec *parts, int n)
{
    return fd_fails(fd) ? -1 : REAL(writev)(fd, parts, n);
}

int fsync(int fd)
{
    return fd_fails(fd) ? -1 : REAL(fsync)(fd);
}

int fdatasync(int fd)
{
    return fd_fails(fd) ? -1 : REAL(fdatasync)(fd);
}

int fallocate(int fd, int mode, off_t at, off_t len)
{
    return fd_fails(fd) ? -1 : REAL(fallocate)(fd, mode, at, len);
}

int fallocate64(int fd, int mode, off64_t at, off64_t len)
{
    return fd_fails(fd) ? -1 : REAL(fallocate64)(fd, mode, at, len);
}

int ftruncate(int fd, off_t len)
{
    return fd_fails(fd) ? -1 : REAL(ftruncate)(fd, len);
}

int ftruncate64(int fd, off64_t len)
{
    return fd_fails(fd) ? -1 : REAL(ftruncate64)(fd, len);
}

int rename(const char *from, const char *to)
{
    return path_fails(to) ? -1 : REAL(rename)(from, to);
}
