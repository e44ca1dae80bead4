/* child -- the process of an isolated plugin: started, watched for its end, ended. */
#ifndef ISOLATE_CHILD_H
#define ISOLATE_CHILD_H

#include "base/base.h"

#include <sys/types.h>

typedef struct child {
    pid_t pid;        /* 0: there is none; it is there until it was waited for */
    int frames, asks; /* our ends of its sockets; the caller's to close        */
    bool over;        /* it has ended; status is valid */
    int status;       /* as of waitpid() */
} child;

/* Start this very program once more for the plugin of that name, with the file open. False: why
 * not. [any] */
bool child_start(child *c, const char *name, int file, sb *why);
/* Whether it has ended; asks the kernel once. True too when there was none. */
bool child_is_over(child *c);
/* End it, and what it has started. */
void child_kill(child *c);
/* Wait for its end so long, then kill it. */
void child_wait(child *c, unsigned ms);
/* "SIGSEGV", "status 3". */
void child_say(const child *c, sb *out);

#endif
