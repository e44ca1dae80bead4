/* settings -- the plugin's section of the configuration, read once. */
#ifndef STREAMR_SETTINGS_H
#define STREAMR_SETTINGS_H

#include "wire/identity.h"

#include <broker/plugin.h>

#define SETTINGS_PORTS       256u /* of a range that are tried */
#define SETTINGS_ENTRIES     32u
#define SETTINGS_PROXIES     16u
#define SETTINGS_PROXY_PARTS 64u
#define SETTINGS_RELAYED     1000u

typedef struct settings_proxy {
    sb descriptor;                       /* encoded */
    char *streams[SETTINGS_PROXY_PARTS]; /* "stream" or "stream#7"; '*' stands for any text */
    size_t n_streams;                    /* 0: all */
    bool publish, subscribe;
} settings_proxy;

typedef struct settings {
    /* Who we are. */
    bool has_id;
    node_id id;
    /* Our server; none when first_port is 0 and any_port is not set. */
    uint32_t first_port, last_port;
    bool any_port;
    char *bind;
    char *cert_file, *key_file; /* NULL: no TLS */
    /* What others are told: fixed, or found out. */
    bool fixed;    /* as host, port and tls say, without a check */
    char *host;    /* NULL: not given */
    uint32_t port; /* fixed */
    bool tls;      /* fixed */

    sb entries[SETTINGS_ENTRIES]; /* encoded */
    size_t n_entries;
    uint32_t max_connections, max_message, max_per_address, frames_per_s;

    bool accept_proxies;
    uint32_t neighbors, propagation_targets, propagation_buffer;
    settings_proxy proxies[SETTINGS_PROXIES];
    size_t n_proxies;
    char **relayed; /* stream parts, domain in lower case */
    size_t n_relayed;
} settings;

/* A failure is told to the host. Lets go of what was in s before. [loop] */
broker_rc settings_read(broker_ctx *ctx, const broker_config *config, settings *s);
void settings_done(settings *s);

static inline bool settings_serves(const settings *s)
{
    return s->any_port || s->first_port != 0;
}

#endif
