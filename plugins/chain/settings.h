/* settings -- the plugin's section of the configuration, read once. */
#ifndef CHAIN_SETTINGS_H
#define CHAIN_SETTINGS_H

#include "events.h"
#include "rpc.h"
#include "views.h"

typedef struct settings {
    rpc_options rpc; /* the urls are the settings' */
    views_options views;
    bool has_events;
    events_options events; /* changed and arg are not the settings' */
} settings;

/* A failure is told to the host. [loop] */
broker_rc settings_read(broker_ctx *ctx, const broker_config *config, settings *s);
void settings_done(settings *s);

#endif
