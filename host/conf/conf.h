/* conf -- the effective configuration: file, environment, defaults, checks.
 *
 * Used on one thread. Errors are text for the operator; nothing is logged and
 * nothing is started. */
#ifndef CONF_CONF_H
#define CONF_CONF_H

#include "json/json.h"

typedef struct conf conf;

/* Where to read from: file (NULL: search $LOGSTORE_BROKER_CONFIG,
 * ~/.logstore/config/default.json, /etc/logstore-broker/config.json, else the
 * empty configuration), then environment overrides LOGSTORE__BROKER__* from envp.
 * Checks against the host's schema and fills defaults in. NULL: one problem a line
 * in *why, "file:line:column: /json/pointer: found, expected; did you mean". */
conf *conf_load(const char *file, char *const *envp, sb *why);
void conf_free(conf *c);

/* The file that was read, or "(defaults)". */
const char *conf_name(const conf *c);
/* The same for conf_load(): NULL when none was read. */
const char *conf_file(const conf *c);
json_t *conf_root(conf *c); /* borrowed */

/* The plugins to load, in the order of the file. enabled: false ones are left out. */
typedef struct conf_plugin {
    char *key;       /* "logStore"                                            */
    char *module;    /* file given by `module`, or NULL: key in lower case    */
    json_t *section; /* borrowed; with the keys that are the host's           */
    bool isolate;    /* in a process of its own                               */
} conf_plugin;
size_t conf_plugins(conf *c, conf_plugin **out); /* free with conf_plugins_free */
void conf_plugins_free(conf_plugin *plugins, size_t n);
/* The plugin with that key, enabled or not; end it with conf_plugin_done(). False: the
 * configuration has none. */
bool conf_plugin_of(conf *c, const char *key, conf_plugin *out);
void conf_plugin_done(conf_plugin *plugin);

/* Check a plugin's section against its own schema text. Its settings: a copy without the host's
 * keys, defaults filled in, which the caller frees. The section itself stays as the operator wrote
 * it, for builds with other schemas. NULL: problems in *why, in the form of conf_load. schema
 * NULL: no settings are taken. */
json_t *conf_check_plugin(conf *c, const conf_plugin *plugin, const char *schema, sb *why);
/* Put such settings into the section, for conf_dump(). */
void conf_plugin_fill(conf *c, const char *key, json_t *settings);
/* The API keys of a plugin's own listeners: of its section, or else of the root. A new
 * reference to an array of texts, or NULL: none is asked for. */
json_t *conf_plugin_keys(conf *c, const conf_plugin *plugin);

/* What a plugin may see of the rest: JSON text of "mode", "validation",
 * "apiAuthentication" (without the keys), "client.network"; NULL for all else. The
 * caller frees. */
char *conf_shared(conf *c, const char *path);

/* The effective configuration, secrets as "***", indented. The caller frees. */
char *conf_dump(conf *c);

/* The node's private key from client.auth.privateKey or .privateKeyFile (refused
 * when others may read the file). 1: found; 0: none configured; -1: problem in *why. */
int conf_private_key(conf *c, uint8_t key[32], sb *why);

#endif
