/* multi -- libcurl's sockets and its timer, on the loop. */
#include "fetch/parts.h"

typedef struct watch {
    uv_poll_t poll;
    fetcher *f;
    curl_socket_t fd;
} watch;

/* What libcurl has finished. Outside of libcurl, so that callbacks may do anything. */
static void results_take(fetcher *f)
{
    CURLMsg *m;
    int left;

    while ((m = curl_multi_info_read(f->multi, &left)) != NULL) {
        broker_fetch_job *job;

        if (m->msg != CURLMSG_DONE)
            continue;
        must(curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&job) == CURLE_OK);
        job_done(job, m->data.result);
    }
    fetch_step(f);
}

static void act(fetcher *f, curl_socket_t fd, int events)
{
    int running;

    f->inside = true;
    curl_multi_socket_action(f->multi, fd, events, &running);
    f->inside = false;
    results_take(f);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    watch *w = CONTAINER_OF(poll, watch, poll);
    int flags = (events & UV_READABLE ? CURL_CSELECT_IN : 0) |
                (events & UV_WRITABLE ? CURL_CSELECT_OUT : 0) |
                (status != 0 ? CURL_CSELECT_ERR : 0);

    act(w->f, w->fd, flags);
}

static void on_timer(uv_timer_t *t)
{
    act(CONTAINER_OF(t, fetcher, timer), CURL_SOCKET_TIMEOUT, 0);
}

static void on_tick(uv_timer_t *t)
{
    fetcher *f = CONTAINER_OF(t, fetcher, tick);

    fetch_late(f);
    if (f->n_waiting == 0)
        uv_timer_stop(t);
}

void tick_start(fetcher *f)
{
    if (!uv_is_active((uv_handle_t *)&f->tick))
        uv_timer_start(&f->tick, on_tick, FETCH_TICK_MS, FETCH_TICK_MS);
}

static int timer_set(CURLM *multi, long ms, void *arg)
{
    fetcher *f = arg;

    (void)multi;
    if (uv_is_closing((uv_handle_t *)&f->timer))
        return 0;
    if (ms < 0)
        uv_timer_stop(&f->timer);
    else
        uv_timer_start(&f->timer, on_timer, (uint64_t)ms, 0);
    return 0;
}

static void on_watch_closed(uv_handle_t *h)
{
    watch *w = CONTAINER_OF((uv_poll_t *)h, watch, poll);
    fetcher *f = w->f;

    free(w);
    handle_gone(f);
}

static int socket_set(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
    fetcher *f = arg;
    watch *w = known;
    int events = 0;

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (w != NULL) {
            uv_poll_stop(&w->poll);
            uv_close((uv_handle_t *)&w->poll, on_watch_closed);
            curl_multi_assign(f->multi, fd, NULL);
        }
        return 0;
    }
    if (w == NULL) {
        w = must_alloc(sizeof *w);
        w->f = f;
        w->fd = fd;
        if (uv_poll_init_socket(loop_uv(f->loop), &w->poll, fd) != 0) {
            free(w);
            return -1;
        }
        f->handles++;
        curl_multi_assign(f->multi, fd, w);
    }
    if (what == CURL_POLL_IN || what == CURL_POLL_INOUT)
        events |= UV_READABLE;
    if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT)
        events |= UV_WRITABLE;
    return uv_poll_start(&w->poll, events, on_poll) == 0 ? 0 : -1;
}

void multi_open(fetcher *f)
{
    must(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
    f->multi = curl_multi_init();
    must(f->multi != NULL);
    must(uv_timer_init(loop_uv(f->loop), &f->timer) == 0);
    must(uv_timer_init(loop_uv(f->loop), &f->tick) == 0);
    f->timer.data = f->tick.data = f;
    f->handles = 2;
    curl_multi_setopt(f->multi, CURLMOPT_SOCKETFUNCTION, socket_set);
    curl_multi_setopt(f->multi, CURLMOPT_SOCKETDATA, f);
    curl_multi_setopt(f->multi, CURLMOPT_TIMERFUNCTION, timer_set);
    curl_multi_setopt(f->multi, CURLMOPT_TIMERDATA, f);
    curl_multi_setopt(f->multi, CURLMOPT_MAXCONNECTS, (long)FETCH_RUNNING);
}

static void on_timer_closed(uv_handle_t *h)
{
    handle_gone(h->data);
}

void multi_close(fetcher *f)
{
    uv_close((uv_handle_t *)&f->timer, on_timer_closed);
    uv_close((uv_handle_t *)&f->tick, on_timer_closed);
    curl_multi_cleanup(f->multi); /* closes what connections are kept */
    f->multi = NULL;
}
