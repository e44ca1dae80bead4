/* loader -- bring plugins in and take them out. [loop]
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

/* The file that a plugin's configuration means. */
void loader_file(const char *plugin_dir, const conf_plugin *wanted, sb *path);

/* Check and load a plugin and check its configuration; nothing of it runs but the
 * constructors of its libraries. NULL: a sentence in *why. */
plugin *loader_load(loader *l, const conf_plugin *wanted, sb *why);
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

#endif
