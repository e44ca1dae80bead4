/* settings -- see settings.h. */
#include "settings.h"

#include "streamr/streamr.h"

#include <broker/plugin_log.h>

#include <stdlib.h>

#define CONTROL "network.controlLayer."
#define NODE    "network.node."

typedef struct reader {
    broker_ctx *ctx;
    const broker_config *config;
} reader;

static const char *path_of(char buffer[160], const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vsnprintf(buffer, 160, fmt, args);
    va_end(args);
    return buffer;
}

static bool given(const reader *r, const char *path)
{
    broker_str json = r->config->json(r->ctx, path);

    return json.len != 0 && !(json.len == 4 && memcmp(json.ptr, "null", 4) == 0);
}

static char *text_at(const reader *r, const char *path)
{
    broker_str text = r->config->string(r->ctx, path);

    return text.len != 0 ? must_strndup(text.ptr, text.len) : NULL;
}

static bool id_at(const reader *r, const char *path, node_id *out)
{
    broker_str text = r->config->string(r->ctx, path);
    size_t skip = text.len > 2 && text.ptr[1] == 'x' ? 2 : 0;

    return text.len != 0 && node_id_of_text(pb_bytes_from(text.ptr + skip, text.len - skip), out);
}

/* The node at "<path>.nodeId" and "<path>.websocket", as a descriptor. */
static void node_at(const reader *r, const char *path, sb *out)
{
    char p[160];
    char *host = text_at(r, path_of(p, "%s.websocket.host", path));
    broker_str type = r->config->string(r->ctx, path_of(p, "%s.type", path));
    peer_self node = {
        .type = type.len == 7 ? DHT_BROWSER : DHT_NODEJS,
        .host = host,
        .port = (uint32_t)r->config->integer(r->ctx, path_of(p, "%s.websocket.port", path)),
        .tls = r->config->boolean(r->ctx, path_of(p, "%s.websocket.tls", path)) != 0,
    };

    if (id_at(r, path_of(p, "%s.nodeId", path), &node.id))
        peer_encode(&node, out);
    free(host);
}

static void entries_read(const reader *r, settings *s)
{
    char p[160];

    while (s->n_entries < SETTINGS_ENTRIES &&
           given(r, path_of(p, CONTROL "entryPoints.%zu", s->n_entries)))
        node_at(r, p, &s->entries[s->n_entries++]);
}

static void proxy_read(const reader *r, const char *at, settings_proxy *out)
{
    char p[160];
    broker_str direction = r->config->string(r->ctx, path_of(p, "%s.direction", at));

    node_at(r, at, &out->descriptor);
    out->publish = direction.len == 0 || direction.ptr[0] != 's';
    out->subscribe = direction.len == 0 || direction.ptr[0] != 'p';
    while (out->n_streams < SETTINGS_PROXY_PARTS) {
        char *text = text_at(r, path_of(p, "%s.streams.%zu", at, out->n_streams));

        if (text == NULL)
            return;
        out->streams[out->n_streams++] = text;
    }
}

static void proxies_read(const reader *r, settings *s)
{
    char p[160];

    while (s->n_proxies < SETTINGS_PROXIES &&
           given(r, path_of(p, NODE "proxies.%zu", s->n_proxies)))
        proxy_read(r, p, &s->proxies[s->n_proxies++]);
}

static void relayed_read(const reader *r, settings *s)
{
    char p[160], *text;

    while (s->n_relayed < SETTINGS_RELAYED &&
           (text = text_at(r, path_of(p, "relay.%zu", s->n_relayed))) != NULL) {
        sb normal = SB_INIT;

        streamr_stream_id_normalise(text, strlen(text), &normal);
        free(text);
        s->relayed = must_realloc(s->relayed, (s->n_relayed + 1) * sizeof *s->relayed);
        s->relayed[s->n_relayed++] = normal.data;
    }
}

/* The server's port: of the fixed descriptor, fixed, or from a range. */
static broker_rc server_read(const reader *r, settings *s)
{
    const broker_config *c = r->config;

    s->bind = text_at(r, CONTROL "websocketBindHost");
    s->host = text_at(r, CONTROL "websocketHost");
    s->cert_file = text_at(r, CONTROL "tlsCertificate.certFileName");
    s->key_file = text_at(r, CONTROL "tlsCertificate.privateKeyFileName");
    if (given(r, CONTROL "peerDescriptor.websocket")) {
        s->fixed = true;
        free(s->host);
        s->host = text_at(r, CONTROL "peerDescriptor.websocket.host");
        s->port = (uint32_t)c->integer(r->ctx, CONTROL "peerDescriptor.websocket.port");
        s->tls = c->boolean(r->ctx, CONTROL "peerDescriptor.websocket.tls") != 0;
        s->first_port = s->last_port = s->port;
    }
    if (given(r, CONTROL "websocketPortRange")) {
        s->first_port = (uint32_t)c->integer(r->ctx, CONTROL "websocketPortRange.min");
        s->last_port = (uint32_t)c->integer(r->ctx, CONTROL "websocketPortRange.max");
    }
    if (given(r, CONTROL "websocketPort")) {
        s->first_port = s->last_port = (uint32_t)c->integer(r->ctx, CONTROL "websocketPort");
        s->any_port = s->first_port == 0;
    }
    if (s->first_port > s->last_port)
        return r->ctx->host->fail(r->ctx, BROKER_ECONFIG,
                                  "'websocketPortRange' begins behind its end");
    if (s->cert_file == NULL && s->tls)
        broker_logf(r->ctx, BROKER_LOG_INFO,
                    "the descriptor says TLS and there is no 'tlsCertificate': somebody in front "
                    "of this node must speak it");
    return BROKER_OK;
}

/* Keys of the Streamr node that change nothing here: a configuration may have them. */
static void unused_say(const reader *r)
{
    static const struct {
        const char *path, *why;
    } unused[] = {
        {CONTROL "iceServers", "this node speaks WebSocket, not WebRTC"},
        {CONTROL "webrtcAllowPrivateAddresses", "this node speaks WebSocket, not WebRTC"},
        {CONTROL "webrtcDatachannelBufferThresholdLow", "this node speaks WebSocket, not WebRTC"},
        {CONTROL "webrtcDatachannelBufferThresholdHigh", "this node speaks WebSocket, not WebRTC"},
        {CONTROL "webrtcNewConnectionTimeout", "this node speaks WebSocket, not WebRTC"},
        {CONTROL "webrtcPortRange", "this node speaks WebSocket, not WebRTC"},
        {CONTROL "autoCertifierUrl", "certificates are not fetched; give 'tlsCertificate'"},
        {CONTROL "autoCertifierConfigFile", "certificates are not fetched; give 'tlsCertificate'"},
        {CONTROL "geoIpDatabaseFolder", "the region of this node is not told"},
        {CONTROL "externalIp", "others see it by themselves"},
        {CONTROL "networkConnectivityTimeout", "the node starts without waiting for the network"},
        {CONTROL "entryPointDiscovery", "entry points are those of 'entryPoints'"},
        {NODE "contentDeliveryBufferWhileConnecting", "messages are kept while there is nobody "
                                                      "to give them to"},
    };

    for (size_t i = 0; i < COUNT_OF(unused); i++)
        if (given(r, unused[i].path))
            broker_logf(r->ctx, BROKER_LOG_INFO, "'%s' has no effect: %s", unused[i].path,
                        unused[i].why);
    if (r->config->boolean(r->ctx, CONTROL "websocketServerEnableTls") != 0 &&
        !given(r, CONTROL "tlsCertificate"))
        broker_logf(r->ctx, BROKER_LOG_WARN,
                    "'websocketServerEnableTls' needs 'tlsCertificate' here; the server speaks "
                    "plain WebSocket");
}

static void numbers_read(const reader *r, settings *s)
{
    const struct {
        const char *path;
        uint32_t *to;
    } numbers[] = {
        {CONTROL "maxConnections", &s->max_connections},
        {CONTROL "maxMessageSize", &s->max_message},
        {CONTROL "maxConnectionsPerAddress", &s->max_per_address},
        {CONTROL "maxFramesPerSecond", &s->frames_per_s},
        {NODE "streamPartitionNeighborTargetCount", &s->neighbors},
        {NODE "streamPartitionMinPropagationTargets", &s->propagation_targets},
        {NODE "streamPartitionMaxPropagationBufferSize", &s->propagation_buffer},
    };

    for (size_t i = 0; i < COUNT_OF(numbers); i++)
        *numbers[i].to = (uint32_t)r->config->integer(r->ctx, numbers[i].path);
    s->accept_proxies = r->config->boolean(r->ctx, NODE "acceptProxyConnections") != 0;
}

broker_rc settings_read(broker_ctx *ctx, const broker_config *config, settings *s)
{
    reader r = {ctx, config};

    settings_done(s);
    numbers_read(&r, s);
    entries_read(&r, s);
    proxies_read(&r, s);
    relayed_read(&r, s);
    unused_say(&r);
    s->has_id = id_at(&r, CONTROL "peerDescriptor.nodeId", &s->id) ||
                id_at(&r, CONTROL "peerDescriptor.id", &s->id);
    return server_read(&r, s);
}

void settings_done(settings *s)
{
    free(s->bind);
    free(s->cert_file);
    free(s->key_file);
    free(s->host);
    for (size_t i = 0; i < s->n_entries; i++)
        sb_done(&s->entries[i]);
    for (size_t i = 0; i < s->n_proxies; i++) {
        sb_done(&s->proxies[i].descriptor);
        for (size_t k = 0; k < s->proxies[i].n_streams; k++)
            free(s->proxies[i].streams[k]);
    }
    for (size_t i = 0; i < s->n_relayed; i++)
        free(s->relayed[i]);
    free(s->relayed);
    *s = (settings){.n_entries = 0};
}
