/* mqtt.c -- the plugin's table and wiring: MQTT 3.1.1 clients publish to streams and subscribe
 * to them. */
#include "mqtt.h"

#include "client.h"
#include "part.h"
#include "publish.h"
#include "state.h"

#include <broker/plugin_log.h>

#define TICK_MS 500u

extern const char mqtt_schema[];

/* ---- services ---- */

static const char *service_missing(const mqtt *m)
{
    const struct {
        const void *table;
        const char *id;
    } needed[] = {
        {m->config, BROKER_ID_broker_config}, {m->bus, BROKER_ID_broker_bus},
        {m->net, BROKER_ID_broker_net},       {m->access, BROKER_ID_broker_access},
        {m->work, BROKER_ID_broker_work},     {m->metrics, BROKER_ID_broker_metrics},
    };

    for (size_t i = 0; i < COUNT_OF(needed); i++)
        if (needed[i].table == NULL)
            return needed[i].id;
    return NULL;
}

static broker_rc counters_make(mqtt *m)
{
    static const struct {
        const char *name, *labels, *help;
    } counters[COUNTS] = {
#define PUBLISHED(result)                                                                          \
    {"published_total", "result=\"" result "\"",                                                   \
     "Messages clients published, by what became "                                                 \
     "of them"}
        [COUNT_STORED] = PUBLISHED("stored"),
        [COUNT_UNSTORED] = PUBLISHED("unstored"),
        [COUNT_REFUSED] = PUBLISHED("refused"),
        [COUNT_FAILED] = PUBLISHED("failed"),
#define DELIVERED(qos)                                                                             \
    {"delivered_total", "qos=\"" qos "\"", "Messages sent (QoS 0) or acknowledged (QoS 1)"}
        [COUNT_DELIVERED_0] = DELIVERED("0"),
        [COUNT_DELIVERED_1] = DELIVERED("1"),
#define DROPPED(reason)                                                                            \
    {"dropped_total", "reason=\"" reason "\"", "Messages subscribers did not get"}
        [COUNT_DROPPED_SLOW] = DROPPED("slow"),
        [COUNT_DROPPED_QUEUE] = DROPPED("queue_full"),
        [COUNT_DROPPED_ENCRYPTED] = DROPPED("encrypted"),
        [COUNT_DROPPED_NOT_OBJECT] = DROPPED("not_object"),
#define CONNECTS(result)                                                                           \
    {"connects_total", "result=\"" result "\"", "CONNECT packets, by what was answered"}
        [COUNT_ACCEPTED] = CONNECTS("accepted"),
        [COUNT_BAD_VERSION] = CONNECTS("version"),
        [COUNT_BAD_CLIENT_ID] = CONNECTS("client_id"),
        [COUNT_BAD_KEY] = CONNECTS("key"),
        [COUNT_BAD_WILL] = CONNECTS("will"),
        [COUNT_NO_CONNECT] = CONNECTS("none"),
#define ENDS(reason) {"disconnects_total", "reason=\"" reason "\"", "Connections that ended"}
        [COUNT_LEFT] = ENDS("client"),
        [COUNT_LOST] = ENDS("lost"),
        [COUNT_BROKE_RULES] = ENDS("protocol"),
        [COUNT_SILENT] = ENDS("keep_alive"),
        [COUNT_TAKEN_OVER] = ENDS("taken_over"),
        [COUNT_UNPUBLISHED] = ENDS("unpublished"),
        [COUNT_WILLS] = {"wills_total", NULL, "Wills published"},
        [COUNT_WILLS_LOST] = {"wills_lost_total", NULL, "Wills that could not be published"},
        [COUNT_SESSIONS_DROPPED] = {"sessions_dropped_total", NULL,
                                    "Sessions that expired, made room for others, or whose API "
                                    "key went"},
    };
    broker_rc rc = BROKER_OK;

    for (size_t i = 0; i < COUNTS && rc == BROKER_OK; i++)
        rc = m->metrics->counter(m->ctx, counters[i].name, counters[i].labels, counters[i].help,
                                 &m->counts[i]);
    if (rc == BROKER_OK)
        rc = m->metrics->gauge(m->ctx, "connections", NULL, "Connections", &m->connections);
    if (rc == BROKER_OK)
        rc = m->metrics->gauge(m->ctx, "sessions", NULL, "Sessions, of clients that are away too",
                               &m->sessions_kept);
    if (rc == BROKER_OK)
        rc = m->metrics->gauge(m->ctx, "stream_parts", NULL, "Stream parts clients subscribe to",
                               &m->stream_parts);
    return rc;
}

/* ---- sessions, room, time ---- */

static void on_leave(void *arg, session *s)
{
    (void)arg;
    while (s->subscriptions != NULL)
        part_unsubscribe(s->subscriptions);
    publish_leave(s);
}

static void on_room(void *arg)
{
    mqtt *m = arg;

    m->room_asked = false;
    publish_wills(m);
    for (client *c = m->clients; c != NULL; c = c->next) {
        if (!c->starved)
            continue;
        c->starved = false;
        client_run(c);
    }
    client_flush_all(m);
}

void mqtt_ask_for_room(mqtt *m)
{
    if (!m->room_asked)
        m->room_asked = m->bus->on_room(m->ctx, on_room, m) == BROKER_OK;
}

static void on_tick(void *arg)
{
    mqtt *m = arg;
    uint64_t now = mqtt_now(m), kept = m->settings.session_ms;

    client_check_times(m);
    mqtt_count_add(
        m, COUNT_SESSIONS_DROPPED,
        session_expire(&m->sessions, now > kept ? now - kept : 0, m->settings.max_sessions));
    m->metrics->set(m->sessions_kept, (double)m->sessions.n);
}

/* ---- settings ---- */

static void settings_read(mqtt *m)
{
    const broker_config *c = m->config;
    letters_limits limits = {
        .window = (uint32_t)c->integer(m->ctx, "maxInflight"),
        .queued = (uint32_t)c->integer(m->ctx, "maxQueued"),
        .bytes = (size_t)c->integer(m->ctx, "maxQueuedBytes"),
    };

    m->settings = (mqtt_settings){
        .wrapped = c->boolean(m->ctx, "payloadMetadata") != 0,
        .domain = c->string(m->ctx, "streamIdDomain"),
        .max_packet = (uint32_t)c->integer(m->ctx, "maxPacketBytes"),
        .max_sessions = (uint32_t)c->integer(m->ctx, "maxSessions"),
        .keep_alive_max_s = (uint32_t)c->integer(m->ctx, "keepAliveMax"),
        .session_ms = (uint64_t)c->integer(m->ctx, "sessionExpirySeconds") * 1000,
    };
    session_table_init(&m->sessions, &limits, on_leave, m);
}

static broker_rc listen_on(mqtt *m, const char *host, const char *cert, const char *key)
{
    broker_net_options o = {
        .size = sizeof o,
        .kind = cert[0] != '\0' ? BROKER_NET_TLS : BROKER_NET_TCP,
        .host = host,
        .port = (uint32_t)m->config->integer(m->ctx, "port"),
        .low_water = LOW_WATER,
        .high_water = HIGH_WATER,
        .connect_timeout_ms = CONNECT_WAIT_MS,
        .max_connections = (uint32_t)m->config->integer(m->ctx, "maxConnections"),
        .tls_cert_file = cert[0] != '\0' ? cert : NULL,
        .tls_key_file = cert[0] != '\0' ? key : NULL,
    };
    broker_rc rc;

    if (!host_is_loopback(host) && m->access->required(m->ctx) == 0)
        broker_failf(m->ctx, BROKER_ECONFIG,
                     "'host' is '%s', so strangers could publish with this node's key: set "
                     "apiAuthentication.keys, or set 'host' to 127.0.0.1",
                     host);
    rc = m->net->listen(m->ctx, &o, client_accepted, m, &m->listener);
    if (rc == BROKER_OK)
        broker_logf(m->ctx, BROKER_LOG_INFO, "MQTT 3.1.1%s on %s:%u",
                    cert[0] != '\0' ? " (TLS)" : "", host, m->net->port(m->listener));
    return rc;
}

/* ---- life ---- */

/* All there is of clients; their connections stay open. */
static void forget(mqtt *m)
{
    while (m->wills != NULL) {
        will *w = m->wills;

        m->wills = w->next;
        will_free(w);
    }
    m->n_wills = 0;
    m->room_asked = false;
    m->deaf_since_ms = 0;
    client_forget_all(m);
    session_table_done(&m->sessions);
}

static void destroy(void *self)
{
    mqtt *m = self;

    forget(m);
    free(m->parts);
    sb_done(&m->scratch);
    free(m);
}

static broker_rc create(broker_ctx *ctx, void **self)
{
    mqtt *m = must_alloc(sizeof *m);
    const char *missing;

    m->ctx = ctx;
    m->config = BROKER_SERVICE(ctx, broker_config);
    m->bus = BROKER_SERVICE(ctx, broker_bus);
    m->net = BROKER_SERVICE(ctx, broker_net);
    m->access = BROKER_SERVICE(ctx, broker_access);
    m->work = BROKER_SERVICE(ctx, broker_work);
    m->metrics = BROKER_SERVICE(ctx, broker_metrics);
    missing = service_missing(m);
    if (missing != NULL) {
        free(m);
        broker_failf(ctx, BROKER_ENOSYS, "this host lacks %s", missing);
    }
    *self = m;
    return BROKER_OK;
}

static char *text_of(mqtt *m, const char *path)
{
    broker_str text = m->config->string(m->ctx, path);

    return must_strndup(text.ptr != NULL ? text.ptr : "", text.len);
}

static broker_rc start(void *self, broker_bytes state)
{
    mqtt *m = self;
    char *host = text_of(m, "host"), *cert = text_of(m, "sslCertificate.certFileName"),
         *key = text_of(m, "sslCertificate.privateKeyFileName");
    broker_rc rc = counters_make(m);

    settings_read(m);
    if (rc == BROKER_OK)
        rc = listen_on(m, host, cert, key);
    if (rc == BROKER_OK && state.len != 0 && !state_read(m, state))
        rc = m->ctx->host->fail(m->ctx, BROKER_ESTATE,
                                "the sessions of the build before cannot be read by this one");
    if (rc == BROKER_OK)
        rc = m->work->timer(m->ctx, 1, TICK_MS, on_tick, m, &m->timer);
    if (rc != BROKER_OK)
        forget(m);
    free(host);
    free(cert);
    free(key);
    return rc;
}

/* From here on the host may stop reading the sockets. */
static broker_rc prepare(void *self)
{
    mqtt *m = self;

    m->deaf_since_ms = mqtt_now(m);
    return BROKER_OK;
}

static broker_rc quiesce(void *self, broker_writer *state)
{
    mqtt *m = self;
    sb blob = SB_INIT;
    broker_rc rc;

    if (m->n_posts != 0 || m->wills != NULL)
        return BROKER_AGAIN; /* until it is known what became of them */
    client_flush_last(m);
    state_write(m, &blob);
    rc = state->write(state, blob.data, blob.len);
    sb_done(&blob);
    if (rc != BROKER_OK)
        return rc;
    m->work->timer_stop(m->timer);
    forget(m);
    return BROKER_OK;
}

BROKER_PLUGIN("mqtt", LOGSTORE_VERSION, BROKER_PLUGIN_HOTSWAP, mqtt_schema, create, start, prepare,
              quiesce, destroy);
