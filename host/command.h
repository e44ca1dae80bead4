/* command -- subcommands of the daemon's program that talk to a running node. */
#ifndef HOST_COMMAND_H
#define HOST_COMMAND_H

#include <stdbool.h>

bool command_is(const char *name);
/* argv[0] is the subcommand. Returns an EXIT_* status. */
int command_run(int argc, char **argv);

#endif
