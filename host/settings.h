/* settings -- the effective configuration as the host's parts want it.
 *
 * Made once at start; nothing changes afterwards, so reading is [any]. Strings in
 * results are borrowed from it. */
#ifndef HOST_SETTINGS_H
#define HOST_SETTINGS_H

#include "bus/policy.h"
#include "conf/conf.h"
#include "http/http.h"

typedef struct settings settings;

settings *settings_new(conf *c); /* borrows c */
void settings_free(settings *s);

void settings_log(const settings *s);
/* False: a sentence in *why. */
bool settings_policy(settings *s, policy *out, sb *why);
void settings_http(settings *s, http_options *out);
unsigned settings_workers(const settings *s);
unsigned settings_shutdown_ms(const settings *s);
/* Where plugins are looked for: pluginDir, the folder beside the program, or where they
 * are installed. The caller frees. */
char *settings_plugin_dir(const settings *s);
/* $STATE_DIRECTORY under systemd, else ~/.logstore. The caller frees. */
char *settings_data_dir(void);

void settings_watchdog(const settings *s, unsigned *warn_ms, unsigned *abort_ms);
void settings_swap(const settings *s, unsigned *prepare_ms, unsigned *pause_ms);

/* admin.socket, or admin.sock in the data directory. The caller frees. */
char *settings_admin_path(const settings *s);

/* Partitions of a stream according to mode.trackedStreams, 0: not known; in the form of
 * bus_options.partitions, arg is the settings. */
uint32_t settings_partitions(void *arg, broker_str stream);

#endif
