/* streamr.c -- the plugin's table and wiring: to be a node of the Streamr network. */
#include "streamr_plugin.h"

#include <broker/plugin_log.h>

#include <stdlib.h>

extern const char streamr_schema[];

/* ---- who we are ---- */

/* Where others find us; host NULL: nowhere. */
static void descriptor_make(const streamr *s, const char *host, uint32_t port, bool tls, sb *out)
{
    peer_self self = {.id = s->id, .type = DHT_NODEJS, .host = host, .port = port, .tls = tls};

    peer_encode(&self, out);
}

static void descriptor_set(streamr *s, const char *host, uint32_t port, bool tls)
{
    sb own = SB_INIT;

    descriptor_make(s, host, port, tls, &own);
    peers_set_descriptor(s->peers, pb_bytes_from(own.data, own.len), host != NULL);
    sb_done(&own);
}

/* ---- joining the network ---- */

static void on_connected(void *arg, const node_id *id, pb_bytes descriptor)
{
    streamr *s = arg;
    char text[NODE_ID_TEXT_LEN + 1];

    (void)descriptor;
    node_id_text(id, text);
    if (s->entry == NULL || !entry_is_point(s->entry, id)) {
        broker_logf(s->ctx, BROKER_LOG_DEBUG, "connected to node %s", text);
        return;
    }
    broker_logf(s->ctx, BROKER_LOG_INFO, "connected to entry point %s", text);
    s->said_failed_ms = 0;
}

static void on_lost(void *arg, const node_id *id, peers_loss how)
{
    streamr *s = arg;
    char text[NODE_ID_TEXT_LEN + 1];

    node_id_text(id, text);
    broker_logf(s->ctx,
                s->entry != NULL && entry_is_point(s->entry, id) ? BROKER_LOG_INFO
                                                                 : BROKER_LOG_DEBUG,
                "node %s %s", text, how == PEERS_LEFT ? "has left" : "is no longer connected");
}

/* An entry point that does not answer is worth a line, now and then. */
static void on_failed(void *arg, const node_id *id)
{
    streamr *s = arg;
    int64_t now_ms = peers_now_ms(s->peers);
    char text[NODE_ID_TEXT_LEN + 1];

    if (s->entry == NULL || !entry_is_point(s->entry, id) ||
        (s->said_failed_ms != 0 && now_ms - s->said_failed_ms < STREAMR_SAY_MS))
        return;
    s->said_failed_ms = now_ms;
    node_id_text(id, text);
    broker_logf(s->ctx, BROKER_LOG_WARN, "entry point %s does not answer%s, trying again and again",
                text, entry_ready(s->entry) ? ", others do" : " and no other does");
}

/* Stream parts are joined at once, so that nothing published here is lost; entry points are dialled
 * when it is known how others reach us. */
static broker_rc take_part(streamr *s)
{
    pb_bytes points[SETTINGS_ENTRIES];

    for (size_t i = 0; i < s->settings.n_entries; i++)
        points[i] = pb_bytes_from(s->settings.entries[i].data, s->settings.entries[i].len);
    s->entry = entry_new(s->peers, points, s->settings.n_entries);
    return carrier_start(s);
}

static void check_begin(streamr *s);

static void on_again(void *arg)
{
    streamr *s = arg;

    s->work->timer_stop(s->again);
    s->again = NULL;
    check_begin(s);
}

static void on_checked(void *arg, const links_reach *found)
{
    streamr *s = arg;

    if (found->answered && found->reachable) {
        descriptor_set(s, found->host, s->port, s->settings.cert_file != NULL);
        broker_logf(s->ctx, BROKER_LOG_INFO, "other nodes reach this one at %s:%u", found->host,
                    s->port);
    } else if (found->answered)
        broker_logf(s->ctx, BROKER_LOG_WARN,
                    "other nodes cannot reach port %u of '%s'; the node only dials others: open "
                    "the port, or give 'peerDescriptor.websocket' as others shall use it",
                    s->port, found->host);
    else {
        if (!s->said_unreachable)
            broker_logf(s->ctx, BROKER_LOG_WARN,
                        "no entry point says whether others can reach this node, trying again "
                        "every %u s",
                        STREAMR_CHECK_AGAIN_MS / 1000);
        s->said_unreachable = true;
        s->work->timer(s->ctx, STREAMR_CHECK_AGAIN_MS, 0, on_again, s, &s->again);
    }
    entry_hold(s->entry, false);
}

static void check_begin(streamr *s)
{
    pb_bytes points[SETTINGS_ENTRIES];
    size_t n = s->settings.n_entries;

    for (size_t i = 0; i < n; i++)
        points[i] = pb_bytes_from(s->settings.entries[i].data, s->settings.entries[i].len);
    /* In random order, so that not all nodes ask the same one. */
    for (size_t i = n; i > 1; i--) {
        uint32_t r;
        pb_bytes swap = points[i - 1];

        random_bytes(&r, sizeof r);
        points[i - 1] = points[r % i];
        points[r % i] = swap;
    }
    links_check(peers_links(s->peers), points, n, s->port, s->settings.cert_file != NULL,
                s->settings.host, on_checked, s);
}

/* ---- the server ---- */

static broker_rc listen_at(streamr *s)
{
    const settings *o = &s->settings;
    broker_net_options where = {
        .size = sizeof where,
        .kind = o->cert_file != NULL ? BROKER_NET_WSS : BROKER_NET_WS,
        .host = o->bind,
        .tls_cert_file = o->cert_file,
        .tls_key_file = o->key_file,
    };
    uint32_t span = o->last_port - o->first_port, before = s->port;
    broker_rc rc = BROKER_EIO;

    /* The port of the build before first: others know it. */
    if (before != 0) {
        where.port = before;
        rc = links_listen(peers_links(s->peers), &where);
    }
    for (uint32_t i = 0; rc != BROKER_OK && i <= span && i < SETTINGS_PORTS; i++) {
        where.port = o->first_port + i;
        rc = links_listen(peers_links(s->peers), &where);
    }
    if (rc != BROKER_OK)
        return rc;
    s->port = links_port(peers_links(s->peers));
    broker_logf(s->ctx, BROKER_LOG_INFO, "Streamr node on %s://%s:%u",
                o->cert_file != NULL ? "wss" : "ws", o->bind, s->port);
    return BROKER_OK;
}

/* ---- life ---- */

static const char *service_missing(const streamr *s)
{
    const struct {
        const void *table;
        const char *id;
    } needed[] = {
        {s->config, BROKER_ID_broker_config},
        {s->bus, BROKER_ID_broker_bus},
        {s->net, BROKER_ID_broker_net},
        {s->work, BROKER_ID_broker_work},
        {s->metrics, BROKER_ID_broker_metrics},
        {s->node, BROKER_ID_broker_node},
        {s->transport, BROKER_ID_broker_transport},
    };

    for (size_t i = 0; i < COUNT_OF(needed); i++)
        if (needed[i].table == NULL)
            return needed[i].id;
    return NULL;
}

static broker_rc create(broker_ctx *ctx, void **self)
{
    streamr *s = must_alloc(sizeof *s);
    const char *missing;

    s->ctx = ctx;
    s->config = BROKER_SERVICE(ctx, broker_config);
    s->bus = BROKER_SERVICE(ctx, broker_bus);
    s->net = BROKER_SERVICE(ctx, broker_net);
    s->work = BROKER_SERVICE(ctx, broker_work);
    s->metrics = BROKER_SERVICE(ctx, broker_metrics);
    s->transport = BROKER_SERVICE(ctx, broker_transport);
    s->node = BROKER_SERVICE(ctx, broker_node);
    missing = service_missing(s);
    if (missing != NULL) {
        free(s);
        broker_failf(ctx, BROKER_ENOSYS,
                     "this host lacks %s (and an isolated plugin has no broker.transport: leave "
                     "'isolate' out)",
                     missing);
    }
    *self = s;
    return BROKER_OK;
}

/* All there is; sockets that are not left by then stay open. */
static void take_down(streamr *s)
{
    carrier_end(s);
    gauges_end(s);
    if (s->again != NULL)
        s->work->timer_stop(s->again);
    s->again = NULL;
    entry_free(s->entry);
    s->entry = NULL;
    control_free(s->control);
    s->control = NULL;
    peers_free(s->peers);
    s->peers = NULL;
}

/* "1 <node id> <port>": what the next build goes on with. */
static bool state_read(streamr *s, broker_bytes state)
{
    int64_t port;
    const char *text = (const char *)state.ptr;

    if (state.len < 2 + NODE_ID_TEXT_LEN + 2 || memcmp(text, "1 ", 2) != 0 ||
        text[2 + NODE_ID_TEXT_LEN] != ' ' ||
        !node_id_of_text(pb_bytes_from(text + 2, NODE_ID_TEXT_LEN), &s->id) ||
        !parse_i64(text + 3 + NODE_ID_TEXT_LEN, state.len - 3 - NODE_ID_TEXT_LEN, &port) ||
        port < 0 || port > 65535)
        return false;
    s->port = (uint32_t)port;
    return true;
}

static broker_rc identity(streamr *s, broker_bytes state)
{
    s->port = 0;
    if (state.len != 0) {
        if (!state_read(s, state))
            return s->ctx->host->fail(s->ctx, BROKER_ESTATE,
                                      "the node id of the build before cannot be read");
    } else
        s->id = node_id_random();
    if (s->settings.has_id)
        s->id = s->settings.id;
    if (!settings_serves(&s->settings) ||
        (!s->settings.any_port &&
         (s->port < s->settings.first_port || s->port > s->settings.last_port)))
        s->port = 0;
    return BROKER_OK;
}

static broker_rc bring_up(streamr *s)
{
    const settings *o = &s->settings;
    sb own = SB_INIT;
    links_options for_links = {.id = s->id,
                               .application = s->application,
                               .max_message = o->max_message,
                               .max_links = o->max_connections,
                               .max_per_address = o->max_per_address,
                               .frames_per_s = o->frames_per_s};
    control_options for_control = {.application = s->application,
                                   .accepts_proxies = o->accept_proxies,
                                   .is_private = o->n_proxies != 0 && o->n_entries == 0 &&
                                                 !settings_serves(o),
                                   .parts = carrier_parts,
                                   .contact = carrier_contact,
                                   .arg = s};
    broker_rc rc = BROKER_OK;

    descriptor_make(s, NULL, 0, false, &own);
    for_links.descriptor = pb_bytes_from(own.data, own.len);
    s->peers = peers_new(s->ctx, &for_links);
    sb_done(&own);
    if (s->peers == NULL)
        return s->ctx->host->fail(s->ctx, BROKER_ENOMEM, "no timer for the connections");
    s->watch = (peers_watch){.arg = s, .connected = on_connected, .lost = on_lost};
    peers_watch_add(s->peers, &s->watch);
    peers_on_failed(s->peers, on_failed, s);
    s->control = control_new(s->peers, &for_control);
    if (settings_serves(o))
        rc = listen_at(s);
    if (rc == BROKER_OK)
        rc = gauges_start(s);
    return rc;
}

static broker_rc start(void *self, broker_bytes state)
{
    streamr *s = self;
    char id[NODE_ID_TEXT_LEN + 1];
    const settings *o = &s->settings;
    broker_rc rc = settings_read(s->ctx, s->config, &s->settings);

    snprintf(s->application, sizeof s->application, "%s", GREETING_APPLICATION);
    if (rc == BROKER_OK)
        rc = identity(s, state);
    if (rc == BROKER_OK)
        rc = bring_up(s);
    if (rc == BROKER_OK)
        rc = carrier_offer(s);
    if (rc != BROKER_OK)
        goto done;
    node_id_text(&s->id, id);
    broker_logf(s->ctx, BROKER_LOG_INFO, "this is node %s", id);
    if (o->fixed)
        descriptor_set(s, o->host, o->port, o->tls);
    else if (settings_serves(o) && o->n_entries == 0)
        descriptor_set(s, o->host != NULL ? o->host : "127.0.0.1", s->port, o->cert_file != NULL);
    rc = take_part(s);
    if (!o->fixed && settings_serves(o) && o->n_entries != 0)
        check_begin(s);
    else
        entry_hold(s->entry, false);
done:
    if (rc != BROKER_OK)
        take_down(s);
    return rc;
}

static broker_rc quiesce(void *self, broker_writer *state)
{
    streamr *s = self;
    char id[NODE_ID_TEXT_LEN + 1], text[80];
    broker_rc rc;

    node_id_text(&s->id, id);
    snprintf(text, sizeof text, "1 %s %u", id, s->port);
    rc = state->write(state, text, strlen(text));
    if (rc != BROKER_OK)
        return rc;
    /* Stream parts are left first, then the network: their notices go by open connections. */
    carrier_end(s);
    if (s->peers != NULL) {
        control_goodbye(s->control);
        links_leave(peers_links(s->peers));
    }
    take_down(s);
    return BROKER_OK;
}

static void destroy(void *self)
{
    streamr *s = self;

    take_down(s);
    settings_done(&s->settings);
    free(s);
}

BROKER_PLUGIN("streamr", LOGSTORE_VERSION, BROKER_PLUGIN_HOTSWAP, streamr_schema, create, start,
              NULL, quiesce, destroy);
