/* loader -- bring plugins in, take them out, and change builds while traffic flows. [loop]
 *
 * States of a build:
 *
 *   checked -> loaded -> created -> running -> quiet -> destroyed -> closed
 *
 * A file is never mapped itself: the loader works on a private copy of it, whose
 * manifest is read before it is loaded. */
#ifndef PLUGIN_LOADER_H
#define PLUGIN_LOADER_H

#include "plugin/build.h"

typedef struct plugin plugin;

/* plugin_dir: where modules named without a slash are looked for. keep_mapped: under
 * sanitizers and coverage, which want the code to stay. */
loader *loader_new(const host_parts *parts, const char *plugin_dir, bool keep_mapped);
void loader_free(loader *l); /* all plugins stopped */

const char *loader_dir(const loader *l); /* plugin_dir */
/* The file that a plugin's configuration means. */
void loader_file(const char *plugin_dir, const conf_plugin *wanted, sb *path);

/* Check and load a plugin and check its configuration; nothing of it runs but the
 * constructors of its libraries. NULL: a sentence in *why. */
plugin *loader_load(loader *l, const conf_plugin *wanted, sb *why);
/* Load it, check its configuration, create and destroy it. What it is, or why not, in *said. */
bool loader_try(loader *l, const conf_plugin *wanted, sb *said);
/* Keep it in the list as one that does not run, and why; unloads it. */
void loader_leave_out(plugin *p, const char *why);
const char *plugin_build_id(const plugin *p); /* hex, or "" */
const broker_manifest *plugin_manifest(const plugin *p);

/* Call create() and start() of all, in order of loading. False: a sentence in *why;
 * those before have been started. */
bool loader_start(loader *l, sb *why);
/* Quiesce and destroy all, last loaded first; stopped(arg, true) when done. Nothing new
 * may come in. A plugin that does not let go until deadline_ms: its ledger is logged and
 * stopped(arg, false) is called; it stays mapped. */
void loader_stop(loader *l, uint64_t deadline_ms, void (*stopped)(void *arg, bool clean),
                 void *arg);

/* Whether all plugins say ready; else what is wrong, one plugin a line, in *why. */
bool loader_is_ready(loader *l, sb *why);
/* One line a plugin: key, name, version, build id, state, file. */
void loader_describe(loader *l, sb *out);

/* ---- Changes while traffic flows (swap.c) ---- */

typedef enum change_kind {
    CHANGE_SWAP,    /* another build, or other settings, of a plugin that runs */
    CHANGE_ENABLE,  /* a plugin that does not run yet                          */
    CHANGE_DISABLE, /* take it out                                             */
} change_kind;

/* Changes happen one after another, in the order asked for. wanted is copied; with
 * CHANGE_DISABLE its key alone counts. file: instead of the configured one, or NULL.
 * done(arg, ok, report) is called once, maybe from inside; report is a sentence. When a change
 * fails, what ran before runs on. */
void loader_change(loader *l, change_kind kind, const conf_plugin *wanted, const char *file,
                   void (*done)(void *arg, bool ok, const char *report), void *arg);
/* Whether the plugin with that key, or manifest name, is there; its key, else NULL. */
const char *loader_key_of(loader *l, const char *name);
/* The file that an operator gave to CHANGE_SWAP and that runs, else NULL: it counts until the node
 * is started again. */
const char *loader_file_by_hand(loader *l, const char *key);
/* Fill the defaults of the loaded plugins into the configuration, for conf_dump(). */
void loader_fill(loader *l, conf *c);
/* Whether wanted differs from what runs: its settings, its file or what lies there. */
bool loader_differs(loader *l, const conf_plugin *wanted);
/* Each key of a loaded plugin. */
void loader_keys(loader *l, void (*each)(void *arg, const char *key), void *arg);

#endif
