/* watch -- a thread that ends the process when the node has gone.
 *
 * The loop notices too, unless it hangs in the plugin. It has a second for what was said last. */
#include "guest/parts.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define GRACE_MS 1000

struct watch {
    uv_thread_t thread;
    int over; /* an eventfd: nothing is to be watched any more */
};

static void watch_main(void *arg)
{
    const watch *w = arg;
    struct pollfd fds[] = {{ISOLATED_FRAMES_FD, POLLRDHUP | POLLHUP, 0}, {w->over, POLLIN, 0}};
    sigset_t all;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    while (poll(fds, COUNT_OF(fds), -1) < 0 && errno == EINTR)
        ;
    if (fds[1].revents != 0)
        return;
    while (poll(fds + 1, 1, GRACE_MS) < 0 && errno == EINTR)
        ;
    if (fds[1].revents == 0)
        _exit(1);
}

watch *guest_watch_new(void)
{
    watch *w = must_alloc(sizeof *w);

    w->over = eventfd(0, EFD_CLOEXEC);
    must(w->over >= 0);
    must(uv_thread_create(&w->thread, watch_main, w) == 0);
    return w;
}

void guest_watch_free(watch *w)
{
    uint64_t one = 1;

    must(write(w->over, &one, sizeof one) == sizeof one);
    uv_thread_join(&w->thread);
    close(w->over);
    free(w);
}
