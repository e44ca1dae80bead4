/* streamr_plugin -- what the files of the plugin itself share: the node and its parts. [loop]
 * throughout.
 */
#ifndef STREAMR_PLUGIN_H
#define STREAMR_PLUGIN_H

#include "control/control.h"
#include "control/entry.h"
#include "delivery/delivery.h"
#include "intake.h"
#include "settings.h"

#define STREAMR_CHECK_AGAIN_MS 60000u /* whether others can reach us, when nobody could say */

#define STREAMR_SAY_MS 60000 /* between two lines about the same trouble */

typedef struct carrier carrier;
typedef struct gauges gauges;

typedef struct streamr {
    broker_ctx *ctx;
    const broker_config *config;
    const broker_bus *bus;
    const broker_net *net;
    const broker_work *work;
    const broker_metrics *metrics;
    const broker_transport *transport;
    const broker_node *node;
    settings settings;
    node_id id;
    uint32_t port; /* we listen on; 0: not */
    char host[256];
    char application[64];
    bool said_unreachable;
    int64_t said_failed_ms; /* 0: not yet */
    peers *peers;
    control *control;
    entry *entry;
    carrier *carrier;
    gauges *gauges;
    broker_timer *again;
    peers_watch watch;
} streamr;

/* ---- carrier.c: between the bus and stream parts ---- */
broker_rc carrier_start(streamr *s);
/* Leave all stream parts, let go of everything. */
void carrier_end(streamr *s);
/* Offer streamr_parts.h to other plugins; it answers while there is a carrier. */
broker_rc carrier_offer(streamr *s);
/* For node info. */
void carrier_parts(void *arg, pb_list *out, pb_arena *arena);
/* As control_options.contact; arg: streamr. */
void carrier_contact(void *arg, pb_bytes part, pb_bytes descriptor);
typedef struct carrier_counts {
    delivery_counters delivery;
    intake_counts intake;
    uint64_t refused; /* published here, and not carried away */
    size_t parts;
} carrier_counts;
/* Unchanged when there is no carrier. */
void carrier_counted(const streamr *s, carrier_counts *out);

/* ---- gauges.c: metrics ---- */
broker_rc gauges_start(streamr *s);
void gauges_end(streamr *s);

#endif
