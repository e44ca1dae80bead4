/* crash -- one last line that names the plugin and the callback. */
#ifndef HOST_CRASH_H
#define HOST_CRASH_H

/* Install handlers for SIGSEGV, SIGBUS, SIGFPE, SIGILL and SIGABRT. */
void crash_watch(void);

#endif
