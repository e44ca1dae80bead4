/* parts -- what the files of the loader share. Not for others. */
#ifndef PLUGIN_PARTS_H
#define PLUGIN_PARTS_H

#include "plugin/loader.h"

typedef struct swap swap;

/* They outlive the loader until the loop has closed them. */
struct ticks {
    uv_timer_t swap, leaving;
    unsigned open;
};

struct plugin {
    plugin *next; /* loaded before this one */
    char *key;    /* in the configuration */
    build *build;
    bool running, prepared;
    sb down; /* why it does not run, when it once did */
};

struct loader {
    const host_parts *parts;
    char *plugin_dir;
    bool keep_mapped;
    registry *registry;
    plugin *last; /* loaded last, stopped first */
    sb state;     /* what a quiesce() writes when the node stops */
    uv_timer_t tick;
    uint64_t deadline_ms, drain_ms, said_ms;
    bool drained; /* what came in is settled, and no more comes */
    void (*stopped)(void *arg, bool clean);
    void *stopped_arg;

    swap *first_swap, **last_swap; /* the first is under way */
    build *leaving;                /* destroyed when they hold nothing any more */
    struct ticks *ticks;
    bool stopping;
};

/* loader.c */
plugin *plugin_find(loader *l, const char *name); /* by key or by manifest name */
plugin *plugin_add(loader *l, const char *key, build *b);
void plugin_remove(loader *l, plugin *p);
/* The build of a plugin, checked as far as it can be without running it. [loop] */
bool build_accept(loader *l, build *b, const conf_plugin *wanted, sb *why);
bool build_start(build *b, broker_bytes state, sb *why);

/* leave.c */
/* Destroy and unmap as soon as nothing of it is held. NULL is fine. */
void build_leave(loader *l, build *b);
struct ticks *ticks_new(loader *l);
void ticks_free(struct ticks *t); /* accepts NULL */

/* swap.c */
void swaps_init(loader *l);
void swaps_done(loader *l);
/* Give up what is under way and what waits; over when l->first_swap is NULL. */
void swaps_stop(loader *l);

#endif
