/* command -- see command.h. */
#include "command.h"

#include "admin/admin.h"
#include "crash.h"
#include "node.h"
#include "settings.h"

#include <getopt.h>

extern char **environ;

static const char help[] =
    "usage: logstore-broker swap [--dry-run] [--config CONFIG] PLUGIN [FILE]\n"
    "       logstore-broker enable [--config CONFIG] PLUGIN [FILE]\n"
    "       logstore-broker disable [--config CONFIG] PLUGIN\n"
    "       logstore-broker reload [--config CONFIG]\n"
    "       logstore-broker plugins [--config CONFIG]\n"
    "\n"
    "Changes the node that runs with CONFIG, found as the daemon finds it.\n"
    "\n"
    "swap     brings in the build that lies in FILE, or in the plugin's configured\n"
    "         file, while traffic flows. When it does not come up, the one before\n"
    "         runs on. FILE counts until the next start; plugins.PLUGIN.module\n"
    "         makes it last. --dry-run tries the file in a process of its own and\n"
    "         asks no node.\n"
    "enable   loads and starts a plugin of the configuration.\n"
    "disable  lets a plugin finish what it has begun and takes it out.\n"
    "reload   reads CONFIG again and swaps what differs, as SIGHUP does.\n"
    "plugins  lists what runs: key, name, version, build, ABI, state, file.\n"
    "\n"
    "Exit status: 0 done, 1 it was not done (the reason is said), 2 usage,\n"
    "3 no node answers.\n";

enum { CONFIG = 1000, DRY_RUN, HELP };

static const struct option options[] = {
    {"config", required_argument, NULL, CONFIG},
    {"dry-run", no_argument, NULL, DRY_RUN},
    {"help", no_argument, NULL, HELP},
    {NULL, 0, NULL, 0},
};

static int verb_of(const char *name)
{
    int verb = 0;

    while (verb < ADMIN_VERBS && strcmp(admin_verbs[verb], name) != 0)
        verb++;
    return verb;
}

bool command_is(const char *name)
{
    return verb_of(name) < ADMIN_VERBS;
}

static int usage(void)
{
    fputs("try: logstore-broker swap --help\n", stderr);
    return EXIT_USAGE;
}

static int ask(conf *c, const admin_request *r)
{
    settings *s = settings_new(c);
    char *path = settings_admin_path(s);
    sb text = SB_INIT;
    bool ok = false, asked = admin_ask(path, r, &ok, &text);

    if (text.len != 0)
        fprintf(ok ? stdout : stderr, "%s%s", text.data,
                text.data[text.len - 1] == '\n' ? "" : "\n");
    sb_done(&text);
    free(path);
    settings_free(s);
    return !asked ? EXIT_START : ok ? EXIT_OK : EXIT_CONFIG;
}

static int try_file(conf *c, const admin_request *r)
{
    sb said = SB_INIT;
    bool ok;

    crash_watch(NULL);
    ok = node_try(c, r->plugin, r->file, &said);

    fprintf(ok ? stdout : stderr, "%s\n", said.data);
    sb_done(&said);
    return ok ? EXIT_OK : EXIT_CONFIG;
}

int command_run(int argc, char **argv)
{
    admin_request r = {.verb = (admin_verb)verb_of(argv[0])};
    const char *config = NULL;
    bool dry = false;
    sb why = SB_INIT;
    int option, left, status = EXIT_CONFIG;
    conf *c;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == HELP) {
            fputs(help, stdout);
            return EXIT_OK;
        }
        if (option == '?')
            return usage();
        if (option == CONFIG)
            config = optarg;
        else
            dry = true;
    }
    left = argc - optind;
    if (r.verb <= ADMIN_DISABLE ? left < 1 || left > (r.verb == ADMIN_DISABLE ? 1 : 2) : left != 0)
        return usage();
    if (dry && r.verb != ADMIN_SWAP)
        return usage();
    if (left > 0)
        r.plugin = must_strdup(argv[optind]);
    if (left > 1 && (r.file = realpath(argv[optind + 1], NULL)) == NULL) {
        fprintf(stderr, "there is no file '%s'\n", argv[optind + 1]);
        admin_request_done(&r);
        return EXIT_CONFIG;
    }
    c = conf_load(config, environ, &why);
    if (c == NULL)
        fprintf(stderr, "%s\n", why.data);
    else
        status = dry ? try_file(c, &r) : ask(c, &r);
    admin_request_done(&r);
    conf_free(c);
    sb_done(&why);
    return status;
}
