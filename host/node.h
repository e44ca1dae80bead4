/* node -- the running node: owns all parts, starts and stops them in order. */
#ifndef HOST_NODE_H
#define HOST_NODE_H

#include "conf/conf.h"

/* Exit status of the daemon; documented in docs/operate.md. */
#define EXIT_OK     0
#define EXIT_CONFIG 1 /* the configuration is at fault; nothing was started      */
#define EXIT_USAGE  2
#define EXIT_START  3 /* something needed could not be had: a port, a file, a disk */
#define EXIT_STUCK  4 /* a plugin did not let go within shutdownTimeoutMs         */

/* Run until SIGTERM or SIGINT. Takes conf. safe: without plugins whose file is not in the plugin
 * folder. Returns an EXIT_* status. */
int node_run(conf *c, bool safe);

/* Load every plugin, check its configuration against its schema, start nothing. False:
 * problems, one a line, in *why. */
bool node_check(conf *c, sb *why);
/* Whether a build of a plugin, in file or, when NULL, where the configuration says, would be
 * accepted: loads it, checks its configuration, calls create() and destroy(). What it
 * says is one sentence. For a process of its own: what the file does there, crashes included,
 * concerns nobody. */
bool node_try(conf *c, const char *key, const char *file, sb *said);
/* One line a plugin: key, name, version, ABI, file. */
bool node_list(conf *c, sb *out, sb *why);

#endif
