/* main -- command line of the client. */
#include "client.h"

#include <curl/curl.h>
#include <getopt.h>

static const char help[] =
    "usage: logstore [OPTIONS] COMMAND ...\n"
    "\n"
    "  keygen FILE                     make a private key (mode 0600), print its address\n"
    "  address FILE                    print the address of a private key\n"
    "  publish STREAM [JSON|-]         publish one message, or one a line of standard input;\n"
    "                                  --key-file FILE signs here, --node lets the node sign\n"
    "  query STREAM last N             the newest N messages\n"
    "  query STREAM from MS            everything from a time (Unix milliseconds)\n"
    "  query STREAM range MS MS        everything between two times, both included\n"
    "  import STREAM FILE|-            length-prefixed protobuf, or v32 JSON lines\n"
    "  export STREAM FILE              the whole history, length-prefixed protobuf\n"
    "  verify FILE|-                   check every signature of an export\n"
    "\n"
    "  --url URL          the node (default $LOGSTORE_URL or http://127.0.0.1:7171)\n"
    "  --api-key KEY      for nodes with apiAuthentication\n"
    "  --partition P      of the stream (default 0)\n"
    "  --format FORM      of query: object or raw\n"
    "  --verify           of query: raw, and every signature checked\n"
    "  --publisher ID, --chain ID      of query: only theirs\n"
    "  --version, --help\n"
    "\n"
    "Exit status: 0 done, 1 refused or bad data, 2 usage, 3 the node cannot be reached.\n";

static const struct {
    const char *name;
    int (*run)(client *c, int argc, char **argv);
} commands[] = {
    {"keygen", cmd_keygen}, {"address", cmd_address}, {"publish", cmd_publish},
    {"query", cmd_query},   {"import", cmd_import},   {"export", cmd_export},
    {"verify", cmd_verify},
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

/* -1: go on; else the exit status. */
static int option_take(client *c, int option)
{
    int64_t x;

    switch (option) {
    case URL:
        c->url = optarg;
        return -1;
    case API_KEY:
        c->api_key = optarg;
        return -1;
    case PARTITION:
        if (!parse_i64(optarg, strlen(optarg), &x) || x < 0 || x > 99) {
            fprintf(stderr, "--partition is 0 to 99, not '%s'\n", optarg);
            return EXIT_USAGE;
        }
        c->partition = (uint32_t)x;
        c->partition_text = optarg;
        return -1;
    case FORMAT:
        c->format = optarg;
        return -1;
    case VERIFY:
        c->verify = true;
        return -1;
    case PUBLISHER:
        c->publisher = optarg;
        return -1;
    case CHAIN:
        c->chain = optarg;
        return -1;
    case KEY_FILE:
        c->key_file = optarg;
        return -1;
    case NODE:
        c->node_signs = true;
        return -1;
    case VERSION:
        puts("logstore " LOGSTORE_VERSION);
        return EXIT_GOOD;
    case HELP:
        fputs(help, stdout);
        return EXIT_GOOD;
    default:
        fputs("try: logstore --help\n", stderr);
        return EXIT_USAGE;
    }
}

int main(int argc, char **argv)
{
    const char *url = getenv("LOGSTORE_URL");
    client c = {.url = url != NULL ? url : "http://127.0.0.1:7171"};
    int option, status;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        status = option_take(&c, option);
        if (status >= 0)
            return status;
    }
    if (optind == argc) {
        fputs(help, stderr);
        return EXIT_USAGE;
    }
    curl_global_init(CURL_GLOBAL_DEFAULT);
    for (size_t i = 0; i < COUNT_OF(commands); i++)
        if (strcmp(argv[optind], commands[i].name) == 0) {
            status = commands[i].run(&c, argc - optind - 1, argv + optind + 1);
            curl_global_cleanup();
            return status;
        }
    fprintf(stderr, "there is no command '%s'; try: logstore --help\n", argv[optind]);
    return EXIT_USAGE;
}
