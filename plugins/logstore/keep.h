/* keep -- the assigned streams on disk, so that after a crash a node takes them before it has asked
 * the chain.
 *
 * One file in the plugin's folder, written anew by a worker and put in place of the old one. What
 * is announced was written before: see keep_durable(). [loop] */
#ifndef LOGSTORE_KEEP_H
#define LOGSTORE_KEEP_H

#include "assigned.h"
#include "logstore.h"

typedef struct keep keep;

/* written() when a version has become durable. */
keep *keep_new(logstore *l, void (*written)(void *arg), void *arg);
void keep_free(keep *k); /* accepts NULL; it is idle */
/* Into an empty set; nothing of a file that is not there or damaged (which is logged). */
void keep_read(keep *k, assigned_set *set, uint64_t *position);

/* The set has changed; the number of the version it now is. */
uint64_t keep_changed(keep *k);
/* The newest version that is on disk. */
uint64_t keep_durable(const keep *k);
/* Write what has changed, if nothing is being written. */
void keep_tick(keep *k, const assigned_set *set, uint64_t position);
/* All is on disk, or cannot be brought there. */
bool keep_is_idle(const keep *k);
/* A sentence; NULL: it could be written. */
const char *keep_trouble(const keep *k);

#endif
