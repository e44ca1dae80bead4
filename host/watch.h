/* watch -- files that are replaced: told once they have been quiet for a while. [loop] */
#ifndef HOST_WATCH_H
#define HOST_WATCH_H

#include "run/loop.h"

typedef struct watch watch;

/* changed() gets the key of the file that was written or replaced. */
watch *watch_new(loop *l, void (*changed)(void *arg, const char *key), void *arg);
/* False: a sentence in *why. */
bool watch_add(watch *w, const char *file, const char *key, sb *why);
void watch_clear(watch *w);
void watch_free(watch *w);

#endif
