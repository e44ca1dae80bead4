/* settings -- see settings.h. */
#include "settings.h"

#include "eth/eth.h"
#include "run/log.h"
#include "streamr/streamr.h"

#include <libgen.h>
#include <unistd.h>

typedef struct tracked {
    char *pattern; /* normalised */
    size_t len;
    uint32_t partitions;
} tracked;

struct settings {
    conf *conf;
    tracked *tracked;
    size_t n_tracked;
    uint8_t (*allow)[20];
    const char **keys, **origins, **hosts;
};

static json_t *at(const settings *s, const char *path)
{
    return json_at(conf_root(s->conf), path);
}

static const char *text_at(const settings *s, const char *path)
{
    return json_string_value(at(s, path));
}

static unsigned number_at(const settings *s, const char *path, unsigned fallback)
{
    json_t *value = at(s, path);

    return json_is_integer(value) ? (unsigned)json_integer_value(value) : fallback;
}

static const char **texts_at(const settings *s, const char *path)
{
    json_t *list = at(s, path);
    const char **texts = must_alloc((json_array_size(list) + 1) * sizeof *texts);

    for (size_t i = 0; i < json_array_size(list); i++)
        texts[i] = json_string_value(json_array_get(list, i));
    return texts;
}

static void tracked_read(settings *s)
{
    json_t *list = at(s, "mode.trackedStreams");

    s->tracked = must_alloc((json_array_size(list) + 1) * sizeof *s->tracked);
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *item = json_array_get(list, i);
        const char *id = json_string_value(json_object_get(item, "id"));
        sb normal = SB_INIT;

        if (id == NULL)
            continue;
        streamr_stream_id_normalise(id, strlen(id), &normal);
        s->tracked[s->n_tracked++] =
            (tracked){normal.data, normal.len,
                      (uint32_t)json_integer_value(json_object_get(item, "partitions"))};
    }
}

settings *settings_new(conf *c)
{
    settings *s = must_alloc(sizeof *s);

    s->conf = c;
    tracked_read(s);
    s->keys = texts_at(s, "apiAuthentication.keys");
    s->origins = texts_at(s, "httpServer.allowedOrigins");
    s->hosts = texts_at(s, "httpServer.allowedHosts");
    return s;
}

void settings_free(settings *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->n_tracked; i++)
        free(s->tracked[i].pattern);
    free(s->tracked);
    free(s->allow);
    free(s->keys);
    free(s->origins);
    free(s->hosts);
    free(s);
}

void settings_log(const settings *s)
{
    static const char *const levels[] = {"error", "warn", "info", "debug"};
    const char *level = text_at(s, "log.level"), *format = text_at(s, "log.format");
    log_level most = LOG_INFO;

    for (size_t i = 0; level != NULL && i < COUNT_OF(levels); i++)
        if (strcmp(level, levels[i]) == 0)
            most = (log_level)i;
    log_setup(most, format != NULL && strcmp(format, "json") == 0);
}

static bool allow_read(settings *s, policy *p, sb *why)
{
    json_t *allow = at(s, "validation.allow");

    free(s->allow);
    s->allow = must_alloc((json_array_size(allow) + 1) * sizeof *s->allow);
    for (size_t i = 0; i < json_array_size(allow); i++) {
        const char *text = json_string_value(json_array_get(allow, i));

        if (text == NULL || !eth_address_parse(text, strlen(text), s->allow[i])) {
            sb_printf(why,
                      "%s: /validation/allow/%zu is not an Ethereum address (0x and 40 hex digits)",
                      conf_name(s->conf), i);
            return false;
        }
        p->n_allow++;
    }
    p->allow = s->allow;
    return true;
}

bool settings_policy(settings *s, policy *p, sb *why)
{
    static const struct {
        const char *name;
        publish_policy policy;
    } names[] = {{"open", PUBLISH_OPEN},
                 {"owner", PUBLISH_OWNER},
                 {"allow", PUBLISH_ALLOW},
                 {"chain", PUBLISH_CHAIN}};
    const char *publish = text_at(s, "validation.publish");
    const char *unverifiable = text_at(s, "validation.unverifiable");

    *p = (policy){.max_future_skew_ms = number_at(s, "validation.maxFutureSkewMs", 900000)};
    p->accept_unverifiable = unverifiable != NULL && strcmp(unverifiable, "accept") == 0;
    for (size_t i = 0; publish != NULL && i < COUNT_OF(names); i++)
        if (strcmp(publish, names[i].name) == 0)
            p->publish = names[i].policy;
    return allow_read(s, p, why);
}

void settings_http(settings *s, http_options *out)
{
    const char *host = text_at(s, "httpServer.host");

    *out = (http_options){
        .host = host != NULL ? host : "127.0.0.1",
        .port = number_at(s, "httpServer.port", 7171),
        .cert_file = text_at(s, "httpServer.sslCertificate.certFileName"),
        .key_file = text_at(s, "httpServer.sslCertificate.privateKeyFileName"),
        .max_connections = number_at(s, "httpServer.maxConnections", 1000),
        .max_head = 16384,
        .head_timeout_ms = number_at(s, "httpServer.headTimeoutMs", 10000),
        .body_timeout_ms = number_at(s, "httpServer.bodyTimeoutMs", 30000),
        .idle_timeout_ms = number_at(s, "httpServer.idleTimeoutMs", 60000),
        .api_keys = s->keys,
        .n_api_keys = json_array_size(at(s, "apiAuthentication.keys")),
        .allowed_origins = s->origins,
        .n_allowed_origins = json_array_size(at(s, "httpServer.allowedOrigins")),
        .allowed_hosts = s->hosts,
        .n_allowed_hosts = json_array_size(at(s, "httpServer.allowedHosts")),
    };
}

unsigned settings_workers(const settings *s)
{
    unsigned wanted = number_at(s, "workers", 0);
    long cores = sysconf(_SC_NPROCESSORS_ONLN);

    /* One more than cores: a worker that waits for the disk leaves a core idle. */
    return wanted != 0 ? wanted : (unsigned)(cores > 0 ? cores : 1) + 1;
}

unsigned settings_shutdown_ms(const settings *s)
{
    return number_at(s, "shutdownTimeoutMs", 10000);
}

char *settings_plugin_dir(const settings *s)
{
    const char *wanted = text_at(s, "pluginDir");
    char self[4096];
    ssize_t n;
    sb dir = SB_INIT;

    if (wanted != NULL)
        return must_strdup(wanted);
    n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n > 0) {
        self[n] = '\0';
        sb_printf(&dir, "%s/../plugins", dirname(self));
        if (access(dir.data, X_OK) == 0)
            return dir.data;
        sb_done(&dir);
    }
    return must_strdup(LOGSTORE_PLUGIN_DIR);
}

char *settings_data_dir(void)
{
    const char *state = getenv("STATE_DIRECTORY"), *home = getenv("HOME");
    sb dir = SB_INIT;

    if (state != NULL && state[0] != '\0')
        sb_puts(&dir, state);
    else
        sb_printf(&dir, "%s/.logstore", home != NULL ? home : ".");
    return dir.data;
}

void settings_watchdog(const settings *s, unsigned *warn_ms, unsigned *abort_ms)
{
    *warn_ms = number_at(s, "watchdog.warnMs", 250);
    *abort_ms = number_at(s, "watchdog.abortMs", 120000);
}

void settings_swap(const settings *s, unsigned *prepare_ms, unsigned *pause_ms)
{
    *prepare_ms = number_at(s, "swap.prepareMs", 30000);
    *pause_ms = number_at(s, "swap.pauseMs", 5000);
}

char *settings_admin_path(const settings *s)
{
    const char *wanted = text_at(s, "admin.socket");
    char *dir;
    sb path = SB_INIT;

    if (wanted != NULL)
        return must_strdup(wanted);
    dir = settings_data_dir();
    sb_printf(&path, "%s/admin.sock", dir);
    free(dir);
    return path.data;
}

uint32_t settings_partitions(void *arg, broker_str stream)
{
    const settings *s = arg;

    for (size_t i = 0; i < s->n_tracked; i++)
        if (streamr_stream_matches(s->tracked[i].pattern, s->tracked[i].len, stream.ptr,
                                   stream.len))
            return s->tracked[i].partitions;
    return 0;
}
