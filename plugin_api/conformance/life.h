/* life -- one instance of the plugin, from create() to destroy(), in a kit of its own. */
#ifndef CONFORMANCE_LIFE_H
#define CONFORMANCE_LIFE_H

#include "image.h"
#include "kit.h"

typedef struct life {
    const image *im;
    kit *k;
    void *self;
    bool may_fail; /* a call was made to fail: create() and start() may say so */
} life;

void life_init(life *l, const image *im, json_t *section);

/* False: it failed, which is a finding unless it may, or was without a reason. */
bool life_create(life *l);
/* The first time, or again after a quiet time. state NULL: none. */
bool life_start(life *l, const sb *state);
/* Some of everything it registered for, and time passes. */
void life_traffic(life *l);
/* prepare(). */
void life_prepare(life *l);
/* One quiesce(): AGAIN is returned, OK leaves it quiet. A failure is a finding. */
broker_rc life_quiesce_once(life *l, sb *state);
/* prepare() and quiesce() until OK or the deadline; then nothing may be in flight. */
bool life_quiesce(life *l, sb *state);
/* What it holds when it is quiet becomes a finding. */
void life_check_quiet(life *l);
/* In any state. */
void life_destroy(life *l);

/* All of it, without and with traffic. */
void life_whole(const image *im, json_t *section, bool traffic);

#endif
