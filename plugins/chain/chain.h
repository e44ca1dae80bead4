/* chain -- one build of the plugin: its parts. Not for others. */
#ifndef CHAIN_CHAIN_H
#define CHAIN_CHAIN_H

#include "checker.h"
#include "events.h"
#include "rpc.h"
#include "settings.h"
#include "streams.h"
#include "views.h"

typedef struct chain {
    rpc_services s;
    const broker_config *config;
    const broker_verify *verify;
    const broker_registry *registry;
    settings settings;
    uint64_t leaving_ms; /* since when quiesce() waits; 0: it does not */
    rpc *rpc;
    views *views;
    checker *checker;
    events *events; /* NULL: the settings say no */
    streams *streams;
} chain;

#endif
