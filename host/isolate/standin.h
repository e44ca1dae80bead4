/* standin -- an isolated plugin, as its node sees it: one like any other, whose code runs in a
 * process of its own.
 *
 * Towards the loader it has the callbacks of a plugin; towards the bus, the HTTP server and the
 * rest it is a user of the public services; what it hears it says to the process (words.h) and the
 * other way round. When the process ends and nobody asked for it, what was under way there gets its
 * outcome and another process is started. */
#ifndef ISOLATE_STANDIN_H
#define ISOLATE_STANDIN_H

#include "run/loop.h"

#include <broker/plugin.h>

#include <sys/types.h>

typedef struct standin standin;

typedef struct standin_options {
    loop *loop;           /* NULL: the file is only looked at */
    const char *name;     /* of the plugin: its manifest's, and */
    const char *version;  /* the same                           */
    const char *data_dir; /* plugins' private directories are made in it */
    unsigned workers;     /* its process may have                        */
    unsigned warn_ms;     /* a callback that keeps its loop so long is named; 0: never */
} standin_options;

/* Start a process and load the build that file is open for; file is taken, also when it fails.
 * NULL: why, as the end of a sentence about the file. [any] */
standin *standin_load(const standin_options *options, int file, sb *why);
const char *standin_schema(const standin *s);   /* NULL: it takes no settings */
const char *standin_build_id(const standin *s); /* hex, or "" */
pid_t standin_pid(const standin *s);            /* 0: none at the moment */

/* As in broker_plugin_table, with the context, or the standin, in the place of self. [loop] */
broker_rc standin_create(standin *s, broker_ctx *ctx);
broker_rc standin_start(void *self, broker_bytes state);
broker_rc standin_prepare(void *self);
broker_rc standin_quiesce(void *self, broker_writer *state);
/* All that it registered is gone, or is the next build's. [loop] */
void standin_forget(standin *s);
/* End the process, and free. Its destroy() runs there when it was created. NULL is fine. [loop] */
void standin_free(standin *s);

#endif
