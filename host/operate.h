/* operate -- what an operator changes while the node runs: swap, enable, disable, reload,
 * and files that are watched. [loop] */
#ifndef HOST_OPERATE_H
#define HOST_OPERATE_H

#include "conf/conf.h"
#include "plugin/loader.h"

typedef struct operate operate;

typedef struct operate_parts {
    loop *loop;
    loader *loader;
    conf *conf;             /* in force; borrowed */
    const char *admin_path; /* where to listen */
    /* A configuration that was read anew is in force now; owned by whoever is told. */
    void (*adopt)(void *arg, conf *fresh);
    void *arg;
} operate_parts;

/* Begins to listen and to watch. Without the socket (the log says why) signals and watched files
 * still work. */
operate *operate_new(const operate_parts *parts);
/* Read the configuration again and change what differs. */
void operate_reload(operate *o);
/* Nothing is begun any more; what is under way is answered as the loader ends it. */
void operate_stop(operate *o);
void operate_free(operate *o); /* the loader has stopped */

#endif
