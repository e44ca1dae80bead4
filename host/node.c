/* node -- see node.h. Start order is top to bottom of node_run(), stop order
 * the reverse: requests end, plugins let go, sockets close, threads end. */
#include "node.h"

#include "bus/bus.h"
#include "crash.h"
#include "eth/eth.h"
#include "fetch/fetch.h"
#include "http/http.h"
#include "net/net.h"
#include "operate.h"
#include "own.h"
#include "plugin/loader.h"
#include "run/log.h"
#include "run/metrics.h"
#include "run/watchdog.h"
#include "settings.h"

#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define IN_FLIGHT_BYTES    (48u << 20)
#define IN_FLIGHT_MESSAGES 100000u

/* Configurations that were in force, for as long as somebody may read them. */
typedef struct epoch {
    struct epoch *before;
    conf *conf;
    settings *settings;
} epoch;

typedef struct node {
    conf *conf;
    host_parts parts;
    loop *loop;
    pool *pool;
    bus *bus;
    http_server *http;
    net *net;
    fetcher *fetcher;
    loader *loader;
    uint8_t key[32];
    char *data_dir;
    settings *settings;          /* of the start */
    epoch *epochs;               /* newest first; [loop] */
    _Atomic(settings *) tracked; /* whose mode.trackedStreams count */
    operate *operate;
    own own;
    uv_signal_t term, interrupt, hangup;
    uv_timer_t deadline;
    uint64_t stop_by_ms;
    bool drained, safe;
    watchdog *watchdog;
    char *crashes; /* the record */
    int status;
} node;

/* ---- stopping ---- */

static void notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    size_t len = path != NULL ? strlen(path) : 0;
    int fd;

    if (len == 0 || len >= sizeof to.sun_path)
        return;
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    memcpy(to.sun_path, path, len);
    if (path[0] == '@')
        to.sun_path[0] = '\0';
    sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&to,
           (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
    close(fd);
}

static void on_net_closed(void *arg)
{
    node *n = arg;

    n->net = n->parts.net = NULL;
    loop_stop(n->loop);
}

static void on_fetcher_closed(void *arg)
{
    node *n = arg;

    n->fetcher = n->parts.fetcher = NULL;
    net_close(n->net, on_net_closed, n);
}

static void on_plugins_stopped(void *arg, bool clean)
{
    node *n = arg;

    if (!clean) {
        n->status = EXIT_STUCK;
        loop_stop(n->loop);
        return;
    }
    fetcher_close(n->fetcher, on_fetcher_closed, n);
}

static void on_http_closed(void *arg)
{
    node *n = arg;
    uint64_t now = clock_mono_ns() / 1000000;

    n->http = n->parts.http = NULL;
    /* Plugins get what is left of the time, and a second at least. */
    loader_stop(n->loader, n->stop_by_ms > now + 1000 ? n->stop_by_ms : now + 1000,
                on_plugins_stopped, n);
}

static void requests_over(node *n)
{
    if (n->drained)
        return;
    n->drained = true;
    uv_timer_stop(&n->deadline);
    http_close(n->http, on_http_closed, n);
}

static void on_drained(void *arg)
{
    requests_over(arg);
}

static void on_deadline(uv_timer_t *t)
{
    node *n = t->data;

    log_warn("broker", "some requests did not end in time and are cut");
    requests_over(n);
}

static void stop_begin(node *n)
{
    unsigned timeout_ms = settings_shutdown_ms(n->settings);

    if (n->own.stopping)
        return;
    n->own.stopping = true;
    operate_stop(n->operate);
    notify("STOPPING=1");
    log_info("broker", "stopping, within %u ms", timeout_ms);
    n->stop_by_ms = clock_mono_ns() / 1000000 + timeout_ms;
    /* Half of the time is for requests to end, half for plugins to let go. */
    must(uv_timer_start(&n->deadline, on_deadline, timeout_ms / 2, 0) == 0);
    http_drain(n->http, on_drained, n);
}

static void on_signal(uv_signal_t *s, int number)
{
    (void)number;
    stop_begin(s->data);
}

static void on_hangup(uv_signal_t *s, int number)
{
    node *n = s->data;

    (void)number;
    if (n->operate == NULL)
        return; /* still starting */
    notify("RELOADING=1");
    operate_reload(n->operate);
    notify("READY=1");
}

static void signals_watch(node *n)
{
    uv_loop_t *uv = loop_uv(n->loop);

    signal(SIGPIPE, SIG_IGN);
    must(uv_signal_init(uv, &n->term) == 0 && uv_signal_init(uv, &n->interrupt) == 0);
    must(uv_timer_init(uv, &n->deadline) == 0);
    must(uv_signal_init(uv, &n->hangup) == 0);
    n->term.data = n->interrupt.data = n->hangup.data = n->deadline.data = n;
    must(uv_signal_start(&n->hangup, on_hangup, SIGHUP) == 0);
    must(uv_signal_start(&n->term, on_signal, SIGTERM) == 0);
    must(uv_signal_start(&n->interrupt, on_signal, SIGINT) == 0);
}

/* ---- starting ---- */

static bool http_make(node *n, sb *why)
{
    http_options o;

    settings_http(n->settings, &o);
    n->http = http_new(n->loop, n->pool, &o, why);
    if (n->http == NULL)
        return false;
    n->net = net_new(n->loop);
    n->fetcher = fetcher_new(n->loop);
    return true;
}

static void crash_record(node *n)
{
    sb path = SB_INIT;

    mkdir(n->data_dir, 0700);
    sb_printf(&path, "%s/crashes", n->data_dir);
    n->crashes = path.data;
    crash_watch(n->crashes);
}

/* Whether the build may not run now: it crashed the process too often. */
static bool crashes_too_often(const node *n, const plugin *p)
{
    unsigned times =
        n->crashes == NULL ? 0 : crash_count(n->crashes, plugin_build_id(p), clock_wall_ms());

    if (times < CRASH_LIMIT)
        return false;
    log_error(
        "loader",
        "'%s' is left out: this build (%.12s) crashed the process %u times within ten minutes, "
        "see '%s'. Put another build in its place, or remove that file",
        plugin_manifest(p)->name, plugin_build_id(p), times, n->crashes);
    return true;
}

/* Whether the file is one that a plugin folder has, and no other. */
static bool is_installed(const node *n, const conf_plugin *wanted)
{
    sb file = SB_INIT;
    const char *dir = loader_dir(n->loader);
    size_t len = strlen(dir);
    bool inside;

    loader_file(dir, wanted, &file);
    inside = strncmp(file.data, dir, len) == 0 && strchr(file.data + len + 1, '/') == NULL;
    sb_done(&file);
    if (!inside)
        log_warn("loader", "'%s' is left out by --safe: its file is not in '%s'", wanted->key, dir);
    return inside;
}

static bool plugins_load(node *n, sb *why)
{
    conf_plugin *plugins;
    size_t count = conf_plugins(n->conf, &plugins);
    bool ok = true;

    for (size_t i = 0; i < count; i++) {
        plugin *p;

        if (n->safe && !is_installed(n, &plugins[i]))
            continue;
        if (why->len != 0 && why->data[why->len - 1] != '\n')
            sb_putc(why, '\n');
        p = loader_load(n->loader, &plugins[i], why);
        if (p == NULL)
            ok = false;
        else if (crashes_too_often(n, p))
            loader_leave_out(p, "it crashed the process too often");
    }
    conf_plugins_free(plugins, count);
    return ok;
}

static bool under_sanitizer(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return true;
#else
    return getenv("LOGSTORE_KEEP_MAPPED") != NULL;
#endif
}

static void loader_make(node *n)
{
    char *dir = settings_plugin_dir(n->settings);
    unsigned abort_ms;

    n->parts.conf = n->conf;
    n->parts.loop = n->loop;
    n->parts.pool = n->pool;
    n->parts.bus = n->bus;
    n->parts.http = n->http;
    n->parts.net = n->net;
    n->parts.fetcher = n->fetcher;
    n->parts.data_dir = n->data_dir;
    settings_swap(n->settings, &n->parts.swap_prepare_ms, &n->parts.swap_pause_ms);
    settings_watchdog(n->settings, &n->parts.warn_ms, &abort_ms);
    n->loader = loader_new(&n->parts, dir, under_sanitizer());
    free(dir);
}

/* [any] */
static uint32_t partitions(void *arg, broker_str stream)
{
    return settings_partitions(atomic_load(&((node *)arg)->tracked), stream);
}

static void adopt(void *arg, conf *fresh)
{
    node *n = arg;
    epoch *e = must_alloc(sizeof *e);

    *e = (epoch){n->epochs, fresh, settings_new(fresh)};
    n->epochs = e;
    n->parts.conf = fresh;
    atomic_store(&n->tracked, e->settings);
}

static void operate_make(node *n)
{
    char *path = settings_admin_path(n->settings);
    operate_parts parts = {.loop = n->loop,
                           .loader = n->loader,
                           .conf = n->conf,
                           .admin_path = path,
                           .adopt = adopt,
                           .arg = n};

    n->operate = operate_new(&parts);
    free(path);
}

static watchdog *watchdog_make(node *n)
{
    unsigned warn_ms, abort_ms;

    settings_watchdog(n->settings, &warn_ms, &abort_ms);
    return watchdog_new(n->loop, warn_ms, abort_ms);
}

static void say_lines(const sb *why)
{
    for (const char *p = why->data; p != NULL && *p != '\0';) {
        const char *end = strchrnul(p, '\n');
        char *line = must_strndup(p, (size_t)(end - p));

        if (line[0] != '\0')
            log_error("broker", "%s", line);
        free(line);
        p = *end != '\0' ? end + 1 : end;
    }
}

static void say_ready(node *n)
{
    http_options o;

    settings_http(n->settings, &o);
    log_info("http", "listening on %s://%s:%u", o.cert_file != NULL ? "https" : "http", o.host,
             http_port(n->http));
    notify("READY=1");
}

static void node_free(node *n)
{
    watchdog_free(n->watchdog);
    operate_free(n->operate);
    loader_free(n->loader);
    if (n->loop != NULL) {
        /* Handles close on the loop. */
        if (n->deadline.loop != NULL) {
            uv_close((uv_handle_t *)&n->term, NULL);
            uv_close((uv_handle_t *)&n->interrupt, NULL);
            uv_close((uv_handle_t *)&n->hangup, NULL);
            uv_close((uv_handle_t *)&n->deadline, NULL);
        }
        pool_free(n->pool);
        uv_run(loop_uv(n->loop), UV_RUN_NOWAIT); /* what the workers posted last */
        bus_free(n->bus);
        loop_free(n->loop);
    }
    metrics_free_all();
    while (n->epochs != NULL) {
        epoch *e = n->epochs;

        n->epochs = e->before;
        settings_free(e->settings);
        conf_free(e->conf);
        free(e);
    }
    settings_free(n->settings);
    free(n->data_dir);
    free(n->crashes);
    explicit_bzero(n->key, sizeof n->key);
    conf_free(n->conf);
    free(n);
}

static node *node_new(conf *c)
{
    node *n = must_alloc(sizeof *n);

    n->conf = c;
    n->settings = n->tracked = settings_new(c);
    n->data_dir = settings_data_dir();
    return n;
}

int node_run(conf *c, bool safe)
{
    node *n = node_new(c);
    bus_options options = {
        .max_bytes = IN_FLIGHT_BYTES,
        .max_messages = IN_FLIGHT_MESSAGES,
        .partitions = partitions,
        .partitions_arg = n,
    };
    char address[43] = "none";
    uint8_t pub[64], raw_address[20];
    sb why = SB_INIT;
    int found, status = EXIT_CONFIG;

    n->safe = safe;
    settings_log(n->settings);
    crash_record(n);
    n->loop = loop_new();
    signals_watch(n);
    found = conf_private_key(c, n->key, &why);
    if (found < 0 || !settings_policy(n->settings, &options.policy, &why))
        goto fail;
    if (found > 0 && !eth_key_public(n->key, pub)) {
        sb_puts(&why, "the private key is not a valid secp256k1 key (zero or too large)");
        goto fail;
    }
    if (found > 0) {
        eth_address_of(pub, raw_address);
        eth_address_text(raw_address, address);
        options.key = n->parts.key = n->key;
    }
    n->pool = pool_new(n->loop, settings_workers(n->settings));
    n->bus = bus_new(n->loop, n->pool, &options);
    status = EXIT_START;
    if (!http_make(n, &why))
        goto fail;
    loader_make(n);
    own_begin(&n->own, n->http, n->loader);
    log_info("broker", "logstore-broker %s, configuration '%s', address %s", LOGSTORE_VERSION,
             conf_name(c), address);
    if (!plugins_load(n, &why)) {
        status = EXIT_CONFIG;
        goto fail;
    }
    if (!loader_start(n->loader, &why))
        goto fail;
    operate_make(n);
    n->watchdog = watchdog_make(n);
    http_open(n->http);
    say_ready(n);
    loop_run(n->loop);
    goto stopped;
fail:
    say_lines(&why);
    n->status = status;
    if (n->loader != NULL || n->http != NULL) {
        if (n->loader == NULL)
            loader_make(n);
        stop_begin(n);
        loop_run(n->loop);
    }
stopped:
    status = n->status;
    sb_done(&why);
    if (status == EXIT_STUCK)
        _exit(EXIT_STUCK); /* never unmap under running code */
    log_info("broker", "stopped");
    node_free(n);
    return status;
}

bool node_check(conf *c, sb *why)
{
    node *n = node_new(c);
    policy p = {0};
    bool ok;

    loader_make(n);
    ok = settings_policy(n->settings, &p, why);
    ok = conf_private_key(c, n->key, why) >= 0 && ok;
    ok = plugins_load(n, why) && ok;
    loader_fill(n->loader, c);
    n->conf = NULL; /* the caller's */
    node_free(n);
    return ok;
}

bool node_try(conf *c, const char *name, const char *file, sb *said)
{
    node *n = node_new(c);
    conf_plugin wanted = {0};
    sb why = SB_INIT;
    bool ok = true;

    n->loop = loop_new();
    n->pool = pool_new(n->loop, 1);
    if (conf_private_key(c, n->key, &why) > 0)
        n->parts.key = n->key;
    sb_clear(&why);
    loader_make(n);
    if (!conf_plugin_of(c, name, &wanted)) {
        sb_printf(said, "the configuration has no plugin '%s'; name it as in 'plugins'", name);
        ok = false;
    } else {
        if (file != NULL) {
            free(wanted.module);
            wanted.module = must_strdup(file);
        }
        ok = loader_try(n->loader, &wanted, &why);
        if (ok)
            sb_printf(said, "'%s' would be accepted: %s", name, why.data);
        else
            sb_append(said, why.data, why.len);
    }
    conf_plugin_done(&wanted);
    sb_done(&why);
    n->conf = NULL; /* the caller's */
    node_free(n);
    return ok;
}

bool node_list(conf *c, sb *out, sb *why)
{
    node *n = node_new(c);
    conf_plugin *plugins;
    size_t count = conf_plugins(c, &plugins);
    char *dir = settings_plugin_dir(n->settings);
    bool ok = true;

    loader_make(n);
    for (size_t i = 0; i < count; i++) {
        plugin *p = loader_load(n->loader, &plugins[i], why);
        sb file = SB_INIT;

        if (p == NULL) {
            sb_putc(why, '\n');
            ok = false;
            continue;
        }
        loader_file(dir, &plugins[i], &file);
        sb_printf(out, "%-12s %-12s %-10s ABI %u.%u  %s\n", plugins[i].key,
                  plugin_manifest(p)->name, plugin_manifest(p)->version,
                  plugin_manifest(p)->abi_major, plugin_manifest(p)->abi_minor, file.data);
        sb_done(&file);
    }
    conf_plugins_free(plugins, count);
    free(dir);
    n->conf = NULL;
    node_free(n);
    return ok;
}
