/* check_left -- what is left behind after destroy(): threads, files, memory, code.
 *
 * Libraries keep things of their own for good (a pool of threads, a random device), so the
 * first lives do not count: what every later life leaves behind is the plugin's. */
#include "checks.h"

#include "life.h"

#include <malloc.h>
#include <unistd.h>

#define WARM_LIVES 4
#define LIVES      8

/* With a sanitizer this process knows better. */
extern int __lsan_do_recoverable_leak_check(void) __attribute__((weak));

void check_threads(const subject *s)
{
    census before = census_of_threads(), first, last;

    life_whole(s->im, s->section, true);
    first = census_of_threads();
    threads_wait(&before);
    for (size_t i = 0; i < first.n; i++)
        if (!census_has(&before, first.items[i]) && thread_is_in(first.items[i], s->im)) {
            finding("a thread that runs its code is left after destroy(); plugins start no "
                    "threads, work goes through work.submit()");
            _exit(1); /* it may not be unmapped under that thread */
        }
    life_whole(s->im, s->section, true);
    life_whole(s->im, s->section, true);
    last = census_of_threads();
    if (last.n >= first.n + 2)
        finding("each life leaves a thread behind: %zu after one, %zu after three", first.n,
                last.n);
    census_done(&before);
    census_done(&first);
    census_done(&last);
}

void check_files(const subject *s)
{
    sb name = SB_INIT;
    census before, after;

    life_whole(s->im, s->section, true);
    before = census_of_files();
    life_whole(s->im, s->section, true);
    after = census_of_files();
    for (size_t i = 0; i < after.n; i++)
        if (!census_has(&before, after.items[i])) {
            sb_clear(&name);
            file_say(after.items[i], &name);
            finding("'%s' is left open after destroy()", name.data);
        }
    sb_done(&name);
    census_done(&before);
    census_done(&after);
}

static size_t memory_in_use(void)
{
    struct mallinfo2 m = mallinfo2();

    return m.uordblks + m.hblkhd;
}

void check_memory(const subject *s)
{
    size_t before, least = SIZE_MAX;

    for (int i = 0; i < WARM_LIVES; i++)
        life_whole(s->im, s->section, true);
    if (__lsan_do_recoverable_leak_check != NULL) {
        if (__lsan_do_recoverable_leak_check() != 0)
            finding("memory is left after destroy(); the sanitizer's report says where "
                    "(--only memory)");
        return;
    }
    before = memory_in_use();
    for (int i = 0; i < LIVES; i++) {
        size_t now;

        life_whole(s->im, s->section, true);
        now = memory_in_use();
        least = now <= before ? 0 : now - before < least ? now - before : least;
        before = now;
    }
    if (least != 0)
        finding("each life leaves %zu bytes of memory or more behind", least);
}

void check_unload(const subject *s)
{
    census before = census_of_threads();

    life_whole(s->im, s->section, true);
    if (!image_close(s->im))
        finding("its code stays mapped after dlclose(), so it cannot be replaced: a destructor of "
                "a thread-local variable or a unique C++ symbol holds it");
    kit_run(1000);
    threads_wait(&before); /* whoever still runs there falls now */
    census_done(&before);
}
