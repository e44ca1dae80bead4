/* websocket -- publish and subscribe over WebSocket, as the plugin of that name in the Streamr
 * node. Here: settings, the listener, and the life of a build. */
#include "parts.h"

#include <broker/plugin.h>
#include <broker/plugin_log.h>

extern const char websocket_schema[];

static broker_rc create(broker_ctx *ctx, void **self)
{
    websocket *w = must_alloc(sizeof *w);

    w->ctx = ctx;
    w->config = BROKER_SERVICE(ctx, broker_config);
    w->bus = BROKER_SERVICE(ctx, broker_bus);
    w->net = BROKER_SERVICE(ctx, broker_net);
    w->access = BROKER_SERVICE(ctx, broker_access);
    w->metrics = BROKER_SERVICE(ctx, broker_metrics);
    w->work = BROKER_SERVICE(ctx, broker_work);
    if (w->config == NULL || w->bus == NULL || w->net == NULL || w->access == NULL ||
        w->metrics == NULL || w->work == NULL) {
        free(w);
        return ctx->host->fail(ctx, BROKER_ENOSYS,
                               "it needs a host with broker.config, bus, net, access, metrics and "
                               "work, version 1 each");
    }
    w->wrapped = w->config->boolean(ctx, "payloadMetadata") != 0;
    w->origins = w->config->json(ctx, "allowedOrigins");
    w->max_queued = (size_t)w->config->integer(ctx, "maxQueuedBytes");
    w->last_waiting = &w->waiting;
    *self = w;
    return BROKER_OK;
}

static broker_rc metrics_make(websocket *w)
{
    static const char help[] = "Open connections.";
    const broker_metrics *m = w->metrics;
    broker_rc rc = trouble_init(&w->trouble, w->ctx, m, w->work);

    if (rc == BROKER_OK)
        rc = m->gauge(w->ctx, "connections", "kind=\"subscribe\"", help, &w->connections[0]);
    if (rc == BROKER_OK)
        rc = m->gauge(w->ctx, "connections", "kind=\"publish\"", help, &w->connections[1]);
    if (rc == BROKER_OK)
        rc = m->counter(w->ctx, "messages_in_total", NULL, "Messages that came from publishers.",
                        &w->in);
    if (rc == BROKER_OK)
        rc = m->counter(w->ctx, "messages_out_total", NULL,
                        "Messages sent to subscribers, each as often as it was sent.", &w->out);
    if (rc == BROKER_OK)
        rc = m->gauge(w->ctx, "queued_bytes", NULL, "Bytes that wait for clients, once a second.",
                      &w->queued);
    return rc;
}

static void on_second(void *arg)
{
    websocket *w = arg;
    size_t bytes = 0;

    for (const client *c = w->clients; c != NULL; c = c->next)
        bytes += w->net->queued(c->conn);
    w->metrics->set(w->queued, (double)bytes);
}

static char *setting(websocket *w, const char *path)
{
    broker_str value = w->config->string(w->ctx, path);

    return value.len != 0 ? must_strndup(value.ptr, value.len) : NULL;
}

static broker_rc listen_on(websocket *w, const char *host)
{
    char *cert = setting(w, "sslCertificate.certFileName");
    char *key = setting(w, "sslCertificate.privateKeyFileName");
    broker_net_options o = {
        .size = sizeof o,
        .kind = cert != NULL ? BROKER_NET_WSS : BROKER_NET_WS,
        .host = host,
        .port = (uint32_t)w->config->integer(w->ctx, "port"),
        .max_message = (uint32_t)w->config->integer(w->ctx, "maxMessageBytes"),
        .low_water = (uint32_t)w->max_queued / 2,
        .high_water = (uint32_t)w->max_queued,
        .ping_ms = (uint32_t)w->config->integer(w->ctx, "pingSendInterval"),
        .silence_ms = (uint32_t)w->config->integer(w->ctx, "disconnectTimeout"),
        .max_connections = (uint32_t)w->config->integer(w->ctx, "maxConnections"),
        .tls_cert_file = cert,
        .tls_key_file = key,
    };
    broker_rc rc = w->net->listen(w->ctx, &o, client_accept, w, &w->listener);

    if (rc == BROKER_OK)
        broker_logf(w->ctx, BROKER_LOG_INFO, "listening on %s://%s:%u", cert != NULL ? "wss" : "ws",
                    host, w->net->port(w->listener));
    free(cert);
    free(key);
    return rc;
}

static broker_rc start(void *self, broker_bytes state)
{
    websocket *w = self;
    char *host = setting(w, "host");
    session *sessions = NULL;
    size_t n = 0;
    const char *why = state.len != 0 ? state_read(state, &sessions, &n) : NULL;
    broker_rc rc = metrics_make(w);

    if (rc != BROKER_OK)
        goto done;
    if (why != NULL) {
        rc = w->ctx->host->fail(w->ctx, BROKER_ESTATE, why);
        goto done;
    }
    if (!host_is_loopback(host) && !w->access->required(w->ctx)) {
        rc = w->ctx->host->fail(w->ctx, BROKER_ECONFIG,
                                "'host' is reachable from other machines and nobody would be asked "
                                "for a key; set apiAuthentication.keys, or host 127.0.0.1");
        goto done;
    }
    rc = listen_on(w, host);
    if (rc != BROKER_OK)
        goto done;
    rc = w->work->timer(w->ctx, 1000, 1000, on_second, w, &w->timer);
    if (rc != BROKER_OK) {
        w->net->unlisten(w->listener);
        goto done;
    }
    for (size_t i = 0; i < COUNT_OF(w->connections); i++)
        w->metrics->set(w->connections[i], 0);
    for (size_t i = 0; i < n; i++)
        client_adopt(w, &sessions[i]);
done:
    sessions_free(sessions, n);
    free(host);
    return rc;
}

/* What the next build needs: all connections that are not about to end. */
static void state_make(const websocket *w, sb *out)
{
    size_t n = 0;

    for (const client *c = w->clients; c != NULL; c = c->next)
        n += !c->leaving;
    state_begin(out, n);
    for (const client *c = w->clients; c != NULL; c = c->next)
        if (!c->leaving)
            state_add(out, &c->s);
}

static broker_rc quiesce(void *self, broker_writer *out)
{
    websocket *w = self;
    sb state = SB_INIT;
    broker_rc rc;

    if (w->in_flight != 0 || w->waiting != NULL)
        return BROKER_AGAIN; /* publishers are still to be answered */
    state_make(w, &state);
    rc = out->write(out, state.data, state.len);
    sb_done(&state);
    if (rc != BROKER_OK)
        return rc;
    w->work->timer_stop(w->timer);
    clients_forget(w);
    return BROKER_OK;
}

static void destroy(void *self)
{
    websocket *w = self;

    clients_forget(w);
    sb_done(&w->frames);
    free(w);
}

BROKER_PLUGIN("websocket", LOGSTORE_VERSION, BROKER_PLUGIN_HOTSWAP, websocket_schema, create, start,
              NULL, quiesce, destroy);
