/* plugin_tool -- "logstore-broker plugin ...": what plugin authors use. */
#ifndef TOOL_PLUGIN_TOOL_H
#define TOOL_PLUGIN_TOOL_H

/* argv[0] is "plugin". Returns the exit status: 0 fine, 1 not, 2 wrong usage. */
int plugin_tool(int argc, char **argv);

/* plugin new NAME [DIR] (new.c) */
int plugin_new(const char *name, const char *folder);

#endif
