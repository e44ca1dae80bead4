/* guest -- see guest.h. The life of the process: what the node says, one word after another. */
#include "guest/guest.h"

#include "guest/parts.h"
#include "run/log.h"
#include "json/json.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define WORKERS     2u
#define WORKERS_MAX 64u
#define CALM_MS     1000u /* without being asked to be quiet: the node has given up */
#define LEAVE_MS    5u
#define HUSH_MS     2u
#define HELD_MS     1000u /* what is held for so long is said */
#define HELD_MAX_MS 10000u
#define STATE_MAX   (FRAME_MAX - 64u)

static const broker_bytes nothing = {NULL, 0};

void guest_broken(const char *what)
{
    log_error("isolated", "the node said %s", what);
    _exit(1);
}

/* ---- answers ---- */

static void say(guest *g, uint8_t word, broker_rc rc, broker_bytes bytes)
{
    sb body = SB_INIT;

    words_put_result(&body, &(words_result){rc, bytes});
    channel_send(g->frames, word, bytes_of(&body), nothing);
    sb_done(&body);
}

/* How a callback ended. With a failure, why. */
static void say_end(guest *g, uint8_t word, broker_rc rc)
{
    sb why = SB_INIT;

    if (rc < 0)
        build_why(g->build, rc, &why);
    say(g, word, rc, bytes_of(&why));
    sb_done(&why);
}

/* ---- loading ---- */

static void say_loaded(guest *g)
{
    const build *b = g->build;
    const char *schema = b->table->config_schema;
    sb body = SB_INIT;

    pack_map(&body, schema != NULL ? 4 : 3);
    if (schema != NULL)
        pack_text(&body, "schema", schema);
    pack_text(&body, "name", b->manifest.name);
    pack_text(&body, "version", b->manifest.version);
    pack_text(&body, "id", b->id);
    channel_send(g->frames, WORD_LOADED, bytes_of(&body), nothing);
    sb_done(&body);
}

static void say_failed(guest *g, const sb *why)
{
    sb body = SB_INIT;

    pack_map(&body, 1);
    pack_text(&body, "why", why->data);
    channel_send(g->frames, WORD_FAILED, bytes_of(&body), nothing);
    sb_done(&body);
}

static void parts_make(guest *g, const unpacked_map *m)
{
    uint64_t workers = unpack_uint(m, "workers", WORKERS);

    workers = workers == 0 ? WORKERS : workers > WORKERS_MAX ? WORKERS_MAX : workers;
    g->pool = pool_new(g->loop, (unsigned)workers);
    g->net = net_new(g->loop);
    g->fetcher = fetcher_new(g->loop);
    g->data_dir = unpack_text(m, "dataDir");
    g->parts.loop = g->loop;
    g->parts.pool = g->pool;
    g->parts.net = g->net;
    g->parts.fetcher = g->fetcher;
    g->parts.data_dir = g->data_dir != NULL ? g->data_dir : ".";
}

static void on_init(guest *g, broker_buf *buf, broker_bytes body)
{
    int64_t level;
    unsigned warn_ms;
    sb why = SB_INIT;
    unpacked *u;

    (void)buf;
    if (g->build != NULL || unpack(body.ptr, body.len, &u) != 1)
        guest_broken("no beginning");
    level = unpack_int(unpacked_root(u), "logLevel", LOG_INFO);
    log_setup(level >= LOG_ERROR && level <= LOG_DEBUG ? (log_level)level : LOG_INFO,
              unpack_bool(unpacked_root(u), "logJson", false));
    parts_make(g, unpacked_root(u));
    warn_ms = (unsigned)unpack_uint(unpacked_root(u), "warnMs", 0);
    if (warn_ms != 0)
        g->watchdog = watchdog_new(g->loop, warn_ms, 0);
    unpacked_free(u);
    g->build = build_new_alone(&g->parts, guest_services());
    snprintf(g->build->manifest.name, sizeof g->build->manifest.name, "isolated");
    sb_printf(&why, "/proc/self/fd/%d", ISOLATED_FILE_FD);
    g->build->file = why.data;
    why = (sb)SB_INIT;
    if (build_open(g->build, g->build->file, &why))
        say_loaded(g);
    else
        say_failed(g, &why);
    close(ISOLATED_FILE_FD);
    sb_done(&why);
}

/* ---- create, start ---- */

static void shared_read(guest *g, const unpacked_map *m)
{
    uint32_t n = unpack_list(m, "shared");

    g->shared = must_alloc((n + 1) * sizeof *g->shared);
    for (uint32_t i = 0; i < n; i++) {
        const unpacked_map *one = unpack_element(m, "shared", i);
        shared_text *s = &g->shared[g->n_shared];

        if (one == NULL)
            continue;
        s->path = unpack_text(one, "path");
        s->text = unpack_text(one, "text");
        if (s->path == NULL) /* "" */
            s->path = must_strdup("");
        if (s->text == NULL)
            s->text = must_strdup("");
        g->n_shared++;
    }
}

static void on_create(guest *g, broker_buf *buf, broker_bytes body)
{
    build *b = g->build;
    const char *section;
    size_t len = 0;
    unpacked *u;
    broker_rc rc;

    (void)buf;
    if (b == NULL || b->table == NULL || g->created || unpack(body.ptr, body.len, &u) != 1)
        guest_broken("that it shall create what it cannot");
    g->created = true;
    section = unpack_bytes(unpacked_root(u), "section", &len);
    b->section = section != NULL ? json_loadb(section, len, JSON_DECODE_ANY, NULL) : json_object();
    if (b->section == NULL)
        guest_broken("a configuration that cannot be read");
    g->keys = unpack_bool(unpacked_root(u), "keys", false);
    shared_read(g, unpacked_root(u));
    unpacked_free(u);
    CROSS(&b->ledger, "create", rc = b->table->create(&b->ctx, &b->self));
    g->ready = rc == BROKER_OK;
    say_end(g, WORD_CREATED, rc);
}

/* Nothing that the plugin registered is there any more. */
static void vacate(guest *g)
{
    ledger *l = &g->build->ledger;

    guest_subs_end(g);
    guest_routes_end(g);
    guest_rooms_end(g);
    net_forget(g->net, l);
    fetch_forget(g->fetcher, l);
    work_stop(g->build);
    uv_timer_stop(&g->calm);
    g->parked = false;
}

static void on_start(guest *g, broker_buf *buf, broker_bytes body)
{
    build *b = g->build;
    broker_rc rc;

    (void)buf;
    if (!g->ready)
        guest_broken("that it shall start what was not created");
    CROSS(&b->ledger, "start", rc = b->table->start(b->self, body));
    if (rc != BROKER_OK) {
        vacate(g);
        guest_subs_quiet(g);
    }
    say_end(g, WORD_STARTED, rc);
}

/* ---- prepare, quiesce ---- */

static void on_prepare(guest *g, broker_buf *buf, broker_bytes body)
{
    build *b = g->build;
    broker_rc rc = BROKER_OK;

    (void)buf, (void)body;
    if (!g->ready)
        guest_broken("that it shall prepare what was not created");
    if (g->hushed) /* the node has given up; it is told how that ended */
        rc = BROKER_AGAIN;
    else if (b->table->prepare != NULL)
        CROSS(&b->ledger, "prepare", rc = b->table->prepare(b->self));
    say_end(g, WORD_PREPARED, rc);
}

/* Whoever asked it to be quiet does so no more. */
static void on_calm(uv_timer_t *t)
{
    guest *g = t->data;

    g->parked = false;
    net_unpark(g->net, &g->build->ledger);
}

/* Nothing may be left of it; what is says so by itself, and the node waits as long as it likes.
 * Then it is quiet anyway: no code is taken from under what still runs. */
static void on_hush(uv_timer_t *t)
{
    guest *g = t->data;
    const ledger *l = &g->build->ledger;
    uint64_t waited = clock_mono_ns() / 1000000 - g->hush_ms;
    sb held = SB_INIT;

    if (!ledger_is_clear(l) && waited >= HELD_MS && !g->hush_told) {
        ledger_say(l, &held);
        log_error(l->name, "it says it is quiet, but still holds %s", held.data);
        g->hush_told = true;
    }
    sb_done(&held);
    if (!ledger_is_clear(l) && waited < HELD_MAX_MS)
        return;
    uv_timer_stop(t);
    g->hushed = false;
    guest_metrics_tell(g);
    guest_subs_quiet(g);
    say(g, WORD_QUIET, BROKER_OK, bytes_of(&g->state));
    sb_clear(&g->state);
}

static void hush(guest *g)
{
    net_leave(g->net, &g->build->ledger); /* no other process can take its sockets over: 1012 */
    net_unpark(g->net, &g->build->ledger);
    vacate(g);
    g->hushed = true;
    g->hush_told = false;
    g->hush_ms = clock_mono_ns() / 1000000;
    must(uv_timer_start(&g->hush, on_hush, HUSH_MS, HUSH_MS) == 0);
    on_hush(&g->hush);
}

static void on_quiesce(guest *g, broker_buf *buf, broker_bytes body)
{
    build *b = g->build;
    blob to = blob_of(&g->state);
    broker_rc rc;

    (void)buf, (void)body;
    if (!g->ready || g->hushed)
        guest_broken("that it shall be quiet and it cannot");
    if (!g->parked) /* or there may be no end to what comes */
        net_park(g->net, &b->ledger);
    g->parked = true;
    must(uv_timer_start(&g->calm, on_calm, CALM_MS, 0) == 0);
    sb_clear(&g->state);
    CROSS(&b->ledger, "quiesce", rc = b->table->quiesce(b->self, &to.w));
    if (rc == BROKER_OK && g->state.len > STATE_MAX)
        rc = b->ctx.host->fail(&b->ctx, BROKER_EIO, "its state is larger than 64 MiB");
    if (rc == BROKER_OK) {
        hush(g);
        return;
    }
    guest_metrics_tell(g);
    say_end(g, WORD_QUIET, rc);
}

static void on_ping(guest *g, broker_buf *buf, broker_bytes body)
{
    (void)buf, (void)body;
    channel_send(g->frames, WORD_PONG, nothing, nothing);
}

/* ---- destroy ---- */

/* Behind all that was posted before. */
static void on_over(loop_call *call)
{
    loop_stop(CONTAINER_OF(call, guest, over)->loop);
}

static void on_net_closed(void *arg)
{
    guest *g = arg;

    channel_free(g->frames);
    g->over.fn = on_over;
    loop_post(g->loop, &g->over);
}

static void on_fetcher_closed(void *arg)
{
    guest *g = arg;

    net_close(g->net, on_net_closed, g);
}

static void timers_end(guest *g)
{
    uv_close((uv_handle_t *)&g->calm, NULL);
    uv_close((uv_handle_t *)&g->hush, NULL);
    uv_close((uv_handle_t *)&g->tick, NULL);
    uv_close((uv_handle_t *)&g->last, NULL);
}

/* As soon as nothing of it runs, destroy() and out. */
static void on_last(uv_timer_t *t)
{
    guest *g = t->data;
    ledger *l = &g->build->ledger;

    if (atomic_load(&l->calls) != 0 || atomic_load(&l->jobs) != 0 || g->n_requests != 0)
        return;
    build_free(g->build);
    g->build = NULL;
    guest_subs_quiet(g);
    timers_end(g);
    fetcher_close(g->fetcher, on_fetcher_closed, g);
}

static void on_destroy(guest *g, broker_buf *buf, broker_bytes body)
{
    (void)buf, (void)body;
    if (g->leaving)
        return;
    if (g->build == NULL)
        _exit(0);
    g->leaving = true;
    uv_timer_stop(&g->hush);
    vacate(g);
    guest_requests_end(g);
    must(uv_timer_start(&g->last, on_last, 0, LEAVE_MS) == 0);
}

/* ---- words ---- */

static void (*const handlers[])(guest *g, broker_buf *buf, broker_bytes body) = {
    [WORD_INIT] = on_init,
    [WORD_CREATE] = on_create,
    [WORD_START] = on_start,
    [WORD_PREPARE] = on_prepare,
    [WORD_QUIESCE] = on_quiesce,
    [WORD_DESTROY] = on_destroy,
    [WORD_PING] = on_ping,
    [WORD_MSGS] = guest_msgs,
    [WORD_OUTCOMES] = guest_outcomes,
    [WORD_PUBLISHED] = guest_published,
    [WORD_REQUEST] = guest_request,
    [WORD_BODY] = guest_body,
    [WORD_ABORT] = guest_abort,
    [WORD_SAVE] = guest_save,
    [WORD_TAKEN] = guest_taken,
    [WORD_CLOSE] = guest_close,
};

static void on_frame(void *arg, uint8_t word, broker_buf *buf, broker_bytes body)
{
    guest *g = arg;

    if (word >= COUNT_OF(handlers) || handlers[word] == NULL)
        guest_broken("a word that there is not");
    if (g->leaving)
        return;
    if (word != WORD_INIT && word != WORD_DESTROY && word != WORD_PING && g->build == NULL)
        guest_broken("something before the beginning");
    handlers[word](g, buf, body);
}

static void on_gone(void *arg, const char *why)
{
    const guest *g = arg;

    (void)why;
    if (!g->leaving)
        _exit(1);
}

/* ---- life ---- */

static int is_socket(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
}

int guest_is_wanted(void)
{
    return is_socket(ISOLATED_FRAMES_FD) && is_socket(ISOLATED_ASKS_FD);
}

/* The node decides when it is over. */
static void signals_ignore(void)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGPIPE};

    for (size_t i = 0; i < COUNT_OF(signals); i++)
        signal(signals[i], SIG_IGN);
}

static void timer_init(guest *g, uv_timer_t *t)
{
    must(uv_timer_init(loop_uv(g->loop), t) == 0);
    t->data = g;
}

static void sockets_take(void)
{
    static const int fds[] = {ISOLATED_FRAMES_FD, ISOLATED_ASKS_FD, ISOLATED_FILE_FD};

    for (size_t i = 0; i < COUNT_OF(fds); i++)
        fcntl(fds[i], F_SETFD, FD_CLOEXEC);
    fcntl(ISOLATED_ASKS_FD, F_SETFL, fcntl(ISOLATED_ASKS_FD, F_GETFL) & ~O_NONBLOCK);
}

static void guest_free(guest *g)
{
    guest_watch_free(g->watch);
    watchdog_free(g->watchdog);
    pool_free(g->pool);
    guest_metrics_done(g);
    guest_input_done(g);
    numbers_done(&g->subs);
    numbers_done(&g->routes);
    for (uint32_t i = 0; i < g->n_shared; i++) {
        free(g->shared[i].path);
        free(g->shared[i].text);
    }
    free(g->shared);
    free(g->data_dir);
    sb_done(&g->state);
    uv_mutex_destroy(&g->ask_lock);
    loop_free(g->loop);
    close(ISOLATED_ASKS_FD);
    free(g);
}

int guest_run(void)
{
    guest *g = must_alloc(sizeof *g);

    signals_ignore();
    sockets_take();
    g->watch = guest_watch_new();
    g->loop = loop_new();
    must(uv_mutex_init(&g->ask_lock) == 0);
    g->frames = channel_new(ISOLATED_FRAMES_FD, &(channel_calls){g, on_frame, on_gone});
    timer_init(g, &g->calm);
    timer_init(g, &g->hush);
    timer_init(g, &g->last);
    guest_input_init(g);
    guest_metrics_init(g);
    channel_watch(g->frames, g->loop);
    loop_run(g->loop);
    guest_free(g);
    return 0;
}
