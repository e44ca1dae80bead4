/* guest -- the process of an isolated plugin: the plugin, and the tables it was promised.
 *
 * What it does is said at host/isolate/words.h: the node at the other end of two sockets decides,
 * this process has a loop, workers and one build, and ends when the node has gone. */
#ifndef GUEST_GUEST_H
#define GUEST_GUEST_H

/* Whether the sockets to a node are there, so that guest_run() makes sense. */
int guest_is_wanted(void);
/* Run until the node says that it is over. Returns the exit status. */
int guest_run(void);

#endif
