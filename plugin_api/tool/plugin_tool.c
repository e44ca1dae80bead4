/* plugin_tool -- see plugin_tool.h. */
#include "plugin_tool.h"

#include "conformance/conformance.h"

#include <getopt.h>

static const char help[] =
    "usage: logstore-broker plugin new NAME [DIR]\n"
    "       logstore-broker plugin check FILE [--config JSON] [--only CHECK]\n"
    "       logstore-broker plugin check --list\n"
    "\n"
    "new writes a project that builds one plugin into DIR (default: NAME).\n"
    "\n"
    "check loads the plugin FILE into a host that records what it does, and says for each\n"
    "check whether it kept the promises of broker/plugin.h. It runs the plugin's code with\n"
    "your rights, in child processes.\n"
    "\n"
    "  --config JSON   its section of the configuration (default {})\n"
    "  --only CHECK    run this one\n"
    "  --list          say what is checked\n"
    "\n"
    "LOGSTORE_CHECK_LIMIT in the environment: seconds for each check, instead of its own limit.\n"
    "\n"
    "Exit status: 0 fine, 1 not (a line says why), 2 usage.\n";

static int usage(void)
{
    fputs("try: logstore-broker plugin --help\n", stderr);
    return 2;
}

static int check(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'}, {"only", required_argument, NULL, 'o'},
        {"list", no_argument, NULL, 'l'},         {"help", no_argument, NULL, 'h'},
        {"child", required_argument, NULL, 'C'},  {NULL, 0, NULL, 0},
    };
    const char *config = "{}", *only = NULL, *child = NULL;
    int option;

    optind = 1;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'c':
            config = optarg;
            break;
        case 'o':
            only = optarg;
            break;
        case 'C': /* how conformance_check() starts this program for one check */
            child = optarg;
            break;
        case 'l':
            conformance_list();
            return 0;
        case 'h':
            fputs(help, stdout);
            return 0;
        default:
            return usage();
        }
    }
    if (argc - optind != 1)
        return usage();
    if (child != NULL)
        return conformance_child(child, argv[optind], config);
    return conformance_check(argv[optind], config, only);
}

int plugin_tool(int argc, char **argv)
{
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0)) {
        fputs(help, stdout);
        return 0;
    }
    if (argc > 1 && strcmp(argv[1], "check") == 0)
        return check(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "new") == 0 && (argc == 3 || argc == 4) && argv[2][0] != '-')
        return plugin_new(argv[2], argc == 4 ? argv[3] : argv[2]);
    return usage();
}
