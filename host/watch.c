/* watch -- see watch.h. The folder is watched, not the file: a file that is replaced is another
 * one. */
#include "watch.h"

#include <libgen.h>

#define QUIET_MS 200u /* who copies a file writes it more than once */

typedef struct watched {
    struct watched *next;
    watch *w;
    char *key, *name;
    uv_fs_event_t events;
    uv_timer_t quiet;
    unsigned open; /* handles */
} watched;

struct watch {
    loop *loop;
    void (*changed)(void *arg, const char *key);
    void *arg;
    watched *first;
};

watch *watch_new(loop *l, void (*changed)(void *arg, const char *key), void *arg)
{
    watch *w = must_alloc(sizeof *w);

    *w = (watch){l, changed, arg, NULL};
    return w;
}

static void on_quiet(uv_timer_t *t)
{
    watched *f = CONTAINER_OF(t, watched, quiet);

    f->w->changed(f->w->arg, f->key);
}

static void on_event(uv_fs_event_t *e, const char *name, int events, int status)
{
    watched *f = CONTAINER_OF(e, watched, events);

    (void)events;
    if (status == 0 && (name == NULL || strcmp(name, f->name) == 0))
        uv_timer_start(&f->quiet, on_quiet, QUIET_MS, 0);
}

static void on_closed(uv_handle_t *h)
{
    watched *f = h->data;

    if (--f->open != 0)
        return;
    free(f->key);
    free(f->name);
    free(f);
}

static void watched_close(watched *f)
{
    uv_close((uv_handle_t *)&f->events, on_closed);
    uv_close((uv_handle_t *)&f->quiet, on_closed);
}

bool watch_add(watch *w, const char *file, const char *key, sb *why)
{
    watched *f = must_alloc(sizeof *f);
    char *path = must_strdup(file), *folder;
    int rc;

    f->w = w;
    f->key = must_strdup(key);
    f->name = must_strdup(basename(path)); /* GNU's: leaves path as it is */
    folder = dirname(path);
    f->open = 2;
    must(uv_fs_event_init(loop_uv(w->loop), &f->events) == 0);
    must(uv_timer_init(loop_uv(w->loop), &f->quiet) == 0);
    f->events.data = f->quiet.data = f;
    rc = uv_fs_event_start(&f->events, on_event, folder, 0);
    if (rc != 0) {
        sb_printf(why, "cannot watch the folder '%s' for '%s' (%s); swap it by hand", folder, key,
                  uv_strerror(rc));
        watched_close(f);
    } else {
        f->next = w->first;
        w->first = f;
    }
    free(path);
    return rc == 0;
}

void watch_clear(watch *w)
{
    while (w->first != NULL) {
        watched *f = w->first;

        w->first = f->next;
        watched_close(f);
    }
}

void watch_free(watch *w)
{
    if (w == NULL)
        return;
    watch_clear(w);
    free(w);
}
