/* leave -- builds that were taken out and still hold something, and the timers of changes. */
#include "plugin/parts.h"

#include "run/log.h"

#define LEAVING_MS 20u

static void leaving_tick(uv_timer_t *t)
{
    loader *l = t->data;

    for (build **at = &l->leaving; *at != NULL;) {
        build *b = *at;

        if (!ledger_is_clear(&b->ledger)) {
            at = &b->next;
            continue;
        }
        *at = b->next;
        build_free(b);
    }
    if (l->leaving == NULL)
        uv_timer_stop(t);
}

void build_leave(loader *l, build *b)
{
    sb held = SB_INIT;

    if (b == NULL)
        return;
    if (ledger_is_clear(&b->ledger)) {
        build_free(b);
        return;
    }
    ledger_say(&b->ledger, &held);
    log_warn("loader", "a build of '%s' that left still holds %s; it stays mapped until then",
             b->manifest.name, held.data);
    sb_done(&held);
    b->next = l->leaving;
    l->leaving = b;
    must(uv_timer_start(&l->ticks->leaving, leaving_tick, LEAVING_MS, LEAVING_MS) == 0);
}

/* ---- timers ---- */

struct ticks *ticks_new(loader *l)
{
    struct ticks *t = must_alloc(sizeof *t);

    t->open = 2;
    must(uv_timer_init(loop_uv(l->parts->loop), &t->swap) == 0);
    must(uv_timer_init(loop_uv(l->parts->loop), &t->leaving) == 0);
    t->swap.data = t->leaving.data = l;
    return t;
}

static void on_closed(uv_handle_t *h)
{
    struct ticks *t = h->data;

    if (--t->open == 0)
        free(t);
}

void ticks_free(struct ticks *t)
{
    if (t == NULL)
        return;
    t->swap.data = t->leaving.data = t;
    uv_close((uv_handle_t *)&t->swap, on_closed);
    uv_close((uv_handle_t *)&t->leaving, on_closed);
}
