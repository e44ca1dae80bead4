/* main -- command line of the daemon. */
#include "command.h"
#include "crash.h"
#include "guest/guest.h"
#include "node.h"
#include "plugin_tool.h"
#include "version.h"

#include <getopt.h>
#include <jansson.h>

extern char **environ;

static const char help[] =
    "usage: logstore-broker [OPTIONS] [CONFIG]\n"
    "       logstore-broker plugin new|check ...   (see plugin --help)\n"
    "\n"
    "Runs a Log Store broker in the foreground until SIGTERM or Ctrl-C.\n"
    "CONFIG is a JSON file; without it $LOGSTORE_BROKER_CONFIG, then\n"
    "~/.logstore/config/default.json, then /etc/logstore-broker/config.json.\n"
    "Settings can be overridden by LOGSTORE__BROKER__... in the environment.\n"
    "\n"
    "Of a node that runs with CONFIG, through its admin socket:\n"
    "  swap PLUGIN [FILE]     change a plugin's build while traffic flows\n"
    "  enable PLUGIN [FILE], disable PLUGIN, reload, plugins\n"
    "  (logstore-broker COMMAND --help says more)\n"
    "\n"
    "  --check          say whether the configuration is valid; start nothing\n"
    "  --dump-config    print the effective configuration, secrets masked\n"
    "  --list-plugins   print the plugins the configuration enables\n"
    "  --safe           run without plugins from outside the plugin folder\n"
    "  --version        print versions\n"
    "  --help           print this\n"
    "\n"
    "Exit status: 0 clean stop, 1 configuration at fault, 2 usage, 3 could not\n"
    "start, 4 a plugin did not let go in time.\n";

enum { RUN, CHECK = 1000, DUMP, LIST, VERSION, SAFE, HELP };

static const struct option options[] = {
    {"check", no_argument, NULL, CHECK},
    {"dump-config", no_argument, NULL, DUMP},
    {"list-plugins", no_argument, NULL, LIST},
    {"version", no_argument, NULL, VERSION},
    {"safe", no_argument, NULL, SAFE},
    {"help", no_argument, NULL, HELP},
    {NULL, 0, NULL, 0},
};

static void version_print(void)
{
    sb out = SB_INIT;

    version_describe(&out);
    fputs(out.data, stdout);
    sb_done(&out);
}

/* Exit status for one that only looks at the configuration. */
static int look(int what, conf *c)
{
    sb out = SB_INIT, why = SB_INIT;
    bool ok = true;
    char *text;

    switch (what) {
    case CHECK:
        ok = node_check(c, &why);
        if (ok)
            sb_printf(&out, "%s: the configuration is valid\n", conf_name(c));
        break;
    case DUMP:
        ok = node_check(c, &why); /* fills the plugins' defaults in */
        text = conf_dump(c);
        sb_printf(&out, "%s\n", text);
        free(text);
        break;
    default:
        ok = node_list(c, &out, &why);
    }
    if (out.len != 0)
        fputs(out.data, stdout);
    if (why.len != 0)
        fprintf(stderr, "%s%s", why.data, why.data[why.len - 1] == '\n' ? "" : "\n");
    sb_done(&out);
    sb_done(&why);
    conf_free(c);
    return ok ? EXIT_OK : EXIT_CONFIG;
}

/* How a node starts the process of an isolated plugin; nothing for people. */
static int isolated(void)
{
    if (!guest_is_wanted()) {
        fputs("--isolated is how a node starts the process of a plugin; there is no node here\n",
              stderr);
        return EXIT_USAGE;
    }
    crash_watch(NULL);
    return guest_run();
}

int main(int argc, char **argv)
{
    int what = RUN, option;
    sb why = SB_INIT;
    conf *c;

    if (argc > 1 && strcmp(argv[1], "plugin") == 0)
        return plugin_tool(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "--isolated") == 0)
        return isolated();
    if (argc > 1 && command_is(argv[1]))
        return command_run(argc - 1, argv + 1);
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == HELP) {
            fputs(help, stdout);
            return EXIT_OK;
        }
        if (option == VERSION) {
            version_print();
            return EXIT_OK;
        }
        if (option == '?') {
            fputs("try: logstore-broker --help\n", stderr);
            return EXIT_USAGE;
        }
        what = option;
    }
    if (argc - optind > 1) {
        fprintf(stderr, "one configuration file, not %d; try: logstore-broker --help\n",
                argc - optind);
        return EXIT_USAGE;
    }
    crash_watch(NULL); /* node_run() says where to record */
    c = conf_load(optind < argc ? argv[optind] : NULL, environ, &why);
    if (c == NULL) {
        fprintf(stderr, "%s\n", why.data);
        sb_done(&why);
        return EXIT_CONFIG;
    }
    return what == RUN || what == SAFE ? node_run(c, what == SAFE) : look(what, c);
}
