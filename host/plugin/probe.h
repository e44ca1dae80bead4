/* probe -- try a build in a process of its own before it comes into this one: a file that
 * crashes or hangs as it is loaded and created costs nobody anything. [loop] */
#ifndef PLUGIN_PROBE_H
#define PLUGIN_PROBE_H

#include "run/loop.h"

typedef struct probe probe;

/* Runs `logstore-broker swap --dry-run` for the plugin and file, with the configuration file
 * (NULL: none). done(arg, ok, said) is called once, maybe from inside; said is a sentence when it
 * is not ok. *out may be stopped until done() is called; it is NULL when that was from inside. */
void probe_start(loop *l, const char *config, const char *plugin, const char *file,
                 void (*done)(void *arg, bool ok, const char *said), void *arg, probe **out);
/* Kill it; done() follows. */
void probe_stop(probe *p);

#endif
