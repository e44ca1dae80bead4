/* main -- the command line of the client: options, commands and their help. */
#include "client.h"

#include <curl/curl.h>
#include <getopt.h>

/* Fits a screen of 24 lines. */
static const char help[] =
    "usage: logstore [OPTIONS] COMMAND ...\n"
    "\n"
    "  keygen FILE                  make a private key (mode 0600), print its "
    "address\n"
    "  address FILE                 print the address of a private key\n"
    "  publish STREAM [JSON|-]      publish a message, or one a line of "
    "standard input\n"
    "  query STREAM last N | from TIME | range TIME TIME\n"
    "  import STREAM FILE|-         upload signed messages\n"
    "  export STREAM FILE           a stream's history into a file\n"
    "  verify FILE|-                check every signature of an exported file\n"
    "  help COMMAND                 more about a command and its options\n"
    "\n"
    "  --url URL        the node (default $LOGSTORE_URL or "
    "http://127.0.0.1:7171)\n"
    "  --api-key KEY    of a node with apiAuthentication (default "
    "$LOGSTORE_API_KEY)\n"
    "  --partition P    of the stream (default 0)\n"
    "  --version, --help\n"
    "\n"
    "TIME is Unix milliseconds or ISO 8601: 1700000000000, "
    "2023-11-14T22:13:20Z (UTC\n"
    "where no offset is given).\n"
    "Exit status: 0 done, 1 refused or bad data, 2 usage, 3 the node was not "
    "reached.\n";

typedef struct command {
    const char *name;
    int (*run)(client *c, int argc, char **argv);
    const char *help;
} command;

static const command commands[] = {
    {"keygen", cmd_keygen,
     "usage: logstore keygen FILE\n"
     "\n"
     "Makes a secp256k1 private key, writes it to FILE as 64 hex digits (mode "
     "0600; a file\n"
     "that exists is never overwritten) and prints its address.\n"},
    {"address", cmd_address,
     "usage: logstore address FILE\n"
     "\n"
     "Prints the address of the private key in FILE.\n"},
    {"publish", cmd_publish,
     "usage: logstore publish STREAM [JSON|-] --key-file FILE\n"
     "       logstore publish STREAM [JSON|-] --node\n"
     "\n"
     "Publishes the JSON given, or one message for each line of standard "
     "input.\n"
     "\n"
     "  --key-file FILE   sign here with this key; messages of one call form a "
     "chain, are\n"
     "                    sent in batches, and the node's summary is printed "
     "at the end:\n"
     "                    {\"stored\":2,\"duplicates\":0,\"rejected\":[]}; "
     "indexes count lines "
     "from 0\n"
     "  --node            the node signs with its own key; prints the id of "
     "each message:\n"
     "                    [stream, partition, timestamp, sequence, publisher, "
     "chain]\n"
     "  --partition P     of the stream (default 0)\n"
     "\n"
     "Exit status 0 means that everything is stored durably.\n"},
    {"query", cmd_query,
     "usage: logstore query STREAM last N\n"
     "       logstore query STREAM from TIME [--publisher ADDRESS]\n"
     "       logstore query STREAM range TIME TIME [--publisher ADDRESS "
     "--chain ID]\n"
     "\n"
     "Prints messages in the order of their time, as they come; both ends of a "
     "range are\n"
     "included.\n"
     "\n"
     "  --format object   one JSON document, as the node answers (default)\n"
     "  --format jsonl    one message a line\n"
     "  --format raw      u32 big-endian length and protobuf StreamMessage, "
     "again and again\n"
     "  --verify          check every signature here; what is wrong is left "
     "out, told on\n"
     "                    standard error, and makes the exit status 1 (jsonl, "
     "raw)\n"
     "  --partition P     of the stream (default 0)\n"},
    {"import", cmd_import,
     "usage: logstore import STREAM FILE|-\n"
     "\n"
     "Uploads signed messages in one request of any length, and prints the "
     "node's summary:\n"
     "{\"stored\":5,\"duplicates\":0,\"rejected\":[{\"index\":2,\"reason\":\".."
     ".\"}]}\n"
     "\n"
     "FILE holds frames (u32 big-endian length and protobuf StreamMessage, as "
     "'export'\n"
     "writes them) or the JSON arrays of protocol version 32, a line each; "
     "which, is seen.\n"
     "Importing twice stores nothing twice. Exit status 1 when anything was "
     "rejected.\n"
     "\n"
     "  --partition P     of the stream (default 0)\n"},
    {"export", cmd_export,
     "usage: logstore export STREAM FILE\n"
     "       logstore export STREAM FILE from TIME | range TIME TIME | last N\n"
     "\n"
     "Writes messages to FILE as 'import' and 'verify' read them. FILE gets "
     "its name when\n"
     "everything is on disk; until then it is FILE.part.\n"
     "\n"
     "  --verify          check every signature too; exit status 1 when one is "
     "wrong\n"
     "  --partition P     of the stream (default 0)\n"},
    {"verify", cmd_verify,
     "usage: logstore verify FILE|-\n"
     "\n"
     "Checks every signature of an exported file, asking nobody: counts, and "
     "the indexes and\n"
     "reasons of the first that are wrong. Exit status 1 when one is, or when "
     "the file is\n"
     "broken. Signatures that only a contract can check (ERC-1271) are "
     "counted\n"
     "on their own.\n"},
};

enum {
    URL = 1000,
    API_KEY,
    PARTITION,
    FORMAT,
    VERIFY,
    PUBLISHER,
    CHAIN,
    KEY_FILE,
    NODE,
    VERSION,
    HELP
};

static const struct option options[] = {
    {"url", required_argument, NULL, URL},
    {"api-key", required_argument, NULL, API_KEY},
    {"partition", required_argument, NULL, PARTITION},
    {"format", required_argument, NULL, FORMAT},
    {"verify", no_argument, NULL, VERIFY},
    {"publisher", required_argument, NULL, PUBLISHER},
    {"chain", required_argument, NULL, CHAIN},
    {"key-file", required_argument, NULL, KEY_FILE},
    {"node", no_argument, NULL, NODE},
    {"version", no_argument, NULL, VERSION},
    {"help", no_argument, NULL, HELP},
    {NULL, 0, NULL, 0},
};

typedef struct request {
    client client;
    bool help, version;
} request;

static bool option_take(request *r, int option)
{
    client *c = &r->client;
    int64_t x;

    switch (option) {
    case URL:
        c->url = optarg;
        return true;
    case API_KEY:
        c->api_key = optarg;
        return true;
    case PARTITION:
        if (!parse_i64(optarg, strlen(optarg), &x) || x < 0 || x > 99) {
            fprintf(stderr, "--partition is 0 to 99, not '%s'\n", optarg);
            return false;
        }
        c->partition = (uint32_t)x;
        c->has_partition = true;
        return true;
    case FORMAT:
        c->format = optarg;
        return true;
    case VERIFY:
        c->verify = true;
        return true;
    case PUBLISHER:
        c->publisher = optarg;
        return true;
    case CHAIN:
        c->chain = optarg;
        return true;
    case KEY_FILE:
        c->key_file = optarg;
        return true;
    case NODE:
        c->node_signs = true;
        return true;
    case VERSION:
        r->version = true;
        return true;
    case HELP:
        r->help = true;
        return true;
    default: /* getopt has said what is wrong */
        return false;
    }
}

static const command *command_find(const char *name)
{
    const command *near = NULL;
    unsigned least = 3;

    for (size_t i = 0; i < COUNT_OF(commands); i++) {
        unsigned distance = edit_distance(name, commands[i].name);

        if (distance == 0)
            return &commands[i];
        if (distance < least) {
            least = distance;
            near = &commands[i];
        }
    }
    fprintf(stderr, "there is no command '%s'", name);
    if (near != NULL)
        fprintf(stderr, "; did you mean '%s'?", near->name);
    fputs(" (logstore --help lists them)\n", stderr);
    return NULL;
}

static int help_show(const char *name)
{
    const command *found = name != NULL ? command_find(name) : NULL;

    if (name != NULL && found == NULL)
        return EXIT_USAGE;
    fputs(found != NULL ? found->help : help, stdout);
    return EXIT_GOOD;
}

static int command_run(client *c, int argc, char **argv)
{
    const command *found = command_find(argv[0]);
    int status = EXIT_USAGE;

    if (found == NULL)
        return EXIT_USAGE;
    curl_global_init(CURL_GLOBAL_DEFAULT);
    status = found->run(c, argc - 1, argv + 1);
    client_done(c);
    curl_global_cleanup();
    if (status == EXIT_USAGE)
        fprintf(stderr, "try: logstore help %s\n", found->name);
    /* What was printed is not there when it could not be written. */
    if (fflush(stdout) != 0 && status == EXIT_GOOD) {
        fputs("cannot write to standard output\n", stderr);
        status = EXIT_REFUSED;
    }
    return status;
}

int main(int argc, char **argv)
{
    const char *url = getenv("LOGSTORE_URL");
    request r = {.client = {.url = url != NULL && *url != '\0' ? url : "http://127.0.0.1:7171",
                            .api_key = getenv("LOGSTORE_API_KEY")}};
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
        if (!option_take(&r, option)) {
            fputs("try: logstore --help\n", stderr);
            return EXIT_USAGE;
        }
    if (r.version) {
        puts("logstore " LOGSTORE_VERSION);
        return EXIT_GOOD;
    }
    if (optind < argc && strcmp(argv[optind], "help") == 0)
        return help_show(optind + 1 < argc ? argv[optind + 1] : NULL);
    if (r.help)
        return help_show(optind < argc ? argv[optind] : NULL);
    if (optind == argc) {
        fputs(help, stderr);
        return EXIT_USAGE;
    }
    return command_run(&r.client, argc - optind, argv + optind);
}
