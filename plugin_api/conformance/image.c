/* image -- see image.h. */
#include "image.h"

#include "folder.h"

#include "plugin/manifest.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define SETTLE_NS (2ull * 1000000000u)

/* ---- loading ---- */

static bool file_copy(const char *from, const char *to)
{
    size_t len;
    char *bytes = file_read(from, IMAGE_MAX, &len);
    FILE *out = bytes != NULL ? fopen(to, "wx") : NULL;
    bool ok = out != NULL && fwrite(bytes, 1, len, out) == len;

    if (out != NULL && fclose(out) != 0)
        ok = false;
    free(bytes);
    return ok;
}

/* The libraries that came along stay: they may have threads of their own. */
static void pin_libraries(void *dl)
{
    struct link_map *own = NULL;

    if (dlinfo(dl, RTLD_DI_LINKMAP, &own) != 0)
        return;
    for (struct link_map *m = own->l_next; m != NULL; m = m->l_next)
        if (m->l_name[0] != '\0')
            dlopen(m->l_name, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
}

bool image_open(const char *file, image *out, sb *why)
{
    static unsigned count;
    image im = {0};
    char text[256] = "";
    sb path = SB_INIT;

    sb_printf(&path, "%s/%u.so", folder_of_child(), count++);
    im.path = path.data;
    if (manifest_read(file, &im.manifest, text, sizeof text) != BROKER_OK ||
        manifest_check(&im.manifest, text, sizeof text) != BROKER_OK) {
        sb_puts(why, text);
        goto failed;
    }
    if (!file_copy(file, im.path)) {
        sb_printf(why, "cannot be copied (%s)", strerror(errno));
        goto failed;
    }
    im.dl = dlopen(im.path, RTLD_NOW | RTLD_LOCAL);
    if (im.dl == NULL) {
        sb_puts(why, dlerror());
        goto failed;
    }
    pin_libraries(im.dl);
    im.table = dlsym(im.dl, "broker_plugin");
    if (im.table == NULL || im.table->size < sizeof *im.table || im.table->create == NULL ||
        im.table->start == NULL || im.table->quiesce == NULL || im.table->destroy == NULL) {
        sb_puts(why, "its table 'broker_plugin' is missing or incomplete; write it with "
                     "BROKER_PLUGIN()");
        goto failed;
    }
    *out = im;
    return true;
failed:
    free(im.path);
    return false;
}

/* Calls each(arg, from, to, name) with every mapping of this process. */
static void mappings(void (*each)(void *arg, uintptr_t from, uintptr_t to, const char *name),
                     void *arg)
{
    FILE *in = fopen("/proc/self/maps", "re");
    char line[4400];

    while (in != NULL && fgets(line, sizeof line, in) != NULL) {
        unsigned long from, to;
        int name = 0;

        line[strcspn(line, "\n")] = '\0';
        if (sscanf(line, "%lx-%lx %*s %*s %*s %*s %n", &from, &to, &name) == 2 && name != 0)
            each(arg, from, to, line + name);
    }
    if (in != NULL)
        fclose(in);
}

/* Where a file is mapped, or which mapping an address is in. */
typedef struct place {
    const char *path;
    uintptr_t at, from, to;
} place;

static void file_place(void *arg, uintptr_t from, uintptr_t to, const char *name)
{
    place *p = arg;

    if (strcmp(name, p->path) != 0)
        return;
    p->from = p->from == 0 || from < p->from ? from : p->from;
    p->to = to > p->to ? to : p->to;
}

static void address_place(void *arg, uintptr_t from, uintptr_t to, const char *name)
{
    place *p = arg;

    (void)name;
    if (p->at < from || p->at >= to)
        return;
    p->from = from;
    p->to = to;
}

bool image_close(image *im)
{
    place p = {.path = im->path};

    dlclose(im->dl);
    mappings(file_place, &p);
    free(im->path);
    *im = (image){0};
    return p.from == 0;
}

/* ---- threads and files ---- */

static census census_read(const char *folder)
{
    DIR *dir = opendir(folder);
    census c = {NULL, 0};

    must(dir != NULL);
    for (const struct dirent *e; (e = readdir(dir)) != NULL;) {
        int64_t x;

        if (!parse_i64(e->d_name, strlen(e->d_name), &x) || x == dirfd(dir))
            continue;
        c.items = must_realloc(c.items, (c.n + 1) * sizeof *c.items);
        c.items[c.n++] = (int)x;
    }
    closedir(dir);
    return c;
}

census census_of_threads(void)
{
    return census_read("/proc/self/task");
}

census census_of_files(void)
{
    return census_read("/proc/self/fd");
}

void census_done(census *c)
{
    free(c->items);
    *c = (census){NULL, 0};
}

bool census_has(const census *c, int item)
{
    for (size_t i = 0; i < c->n; i++)
        if (c->items[i] == item)
            return true;
    return false;
}

/* The stack pointer of a thread that waits; 0: it runs, or is gone. */
static uintptr_t stack_of(int thread)
{
    char path[64], line[256] = "";
    unsigned long sp = 0;
    FILE *in;

    snprintf(path, sizeof path, "/proc/self/task/%d/syscall", thread);
    in = fopen(path, "re");
    if (in == NULL)
        return 0;
    /* number, six arguments, stack pointer, program counter; "-1 sp pc" outside of a call */
    if (fgets(line, sizeof line, in) == NULL ||
        (sscanf(line, "-1 %lx", &sp) != 1 &&
         sscanf(line, "%*d %*x %*x %*x %*x %*x %*x %lx", &sp) != 1))
        sp = 0;
    fclose(in);
    return sp;
}

void threads_wait(const census *known)
{
    const struct timespec look = {0, 1000000};
    uint64_t deadline = clock_mono_ns() + SETTLE_NS;
    bool runs = true;

    while (runs && clock_mono_ns() < deadline) {
        census now = census_of_threads();

        runs = false;
        for (size_t i = 0; i < now.n; i++)
            runs = runs || (!census_has(known, now.items[i]) && stack_of(now.items[i]) == 0);
        census_done(&now);
        if (runs)
            nanosleep(&look, NULL);
    }
}

bool thread_is_in(int thread, const image *im)
{
    place code = {.path = im->path}, stack = {.at = stack_of(thread)};
    uintptr_t words[512];

    mappings(file_place, &code);
    mappings(address_place, &stack);
    if (stack.at == 0 || stack.from == 0 || code.from == 0)
        return false;
    for (uintptr_t at = stack.at & ~(uintptr_t)7; at < stack.to;) {
        size_t len = stack.to - at < sizeof words ? stack.to - at : sizeof words;
        struct iovec to = {words, len}, from = {(void *)at, len};
        ssize_t n = process_vm_readv(getpid(), &to, 1, &from, 1, 0); /* it may vanish */

        if (n <= 0)
            return false;
        for (size_t i = 0; i < (size_t)n / sizeof *words; i++)
            if (words[i] >= code.from && words[i] < code.to)
                return true;
        at += (size_t)n;
    }
    return false;
}

void file_say(int fd, sb *out)
{
    char link[64], name[512];
    ssize_t n;

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    n = readlink(link, name, sizeof name - 1);
    name[n > 0 ? n : 0] = '\0';
    sb_puts(out, name);
}
