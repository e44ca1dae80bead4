/* select -- "last N", "from T" and "range A B" as the path of a query. See
 * client.h. */
#include "client.h"
#include "streamr/streamr.h"

#include <curl/curl.h>

static bool moment(sb *path, const char *name, const char *text)
{
    int64_t ms;

    if (!moment_read(text, strlen(text), &ms)) {
        fprintf(stderr,
                "'%s' is no time; expected Unix milliseconds or ISO 8601, like "
                "1700000000000 or 2023-11-14T22:13:20Z\n",
                text);
        return false;
    }
    sb_printf(path, "%s=%lld&", name, (long long)ms);
    return true;
}

static bool count(sb *path, const char *text)
{
    int64_t n;

    if (!parse_i64(text, strlen(text), &n) || n < 1) {
        fprintf(stderr, "'%s' is no number of messages; expected 1 or more\n", text);
        return false;
    }
    sb_printf(path, "count=%lld&", (long long)n);
    return true;
}

static void escaped(sb *path, const char *name, const char *text)
{
    char *value = curl_easy_escape(NULL, text, 0);

    must(value != NULL);
    sb_printf(path, "%s=%s&", name, value);
    curl_free(value);
}

/* The node ignores what does not go together; here it would be a surprise. */
static bool filters(const client *c, const char *kind, sb *path)
{
    bool range = strcmp(kind, "range") == 0;

    if (strcmp(kind, "last") == 0 && (c->publisher != NULL || c->chain != NULL)) {
        fputs("--publisher and --chain go with 'from' and 'range', not with 'last'\n", stderr);
        return false;
    }
    if (c->chain != NULL && (!range || c->publisher == NULL)) {
        fputs("--chain goes with 'range' and --publisher\n", stderr);
        return false;
    }
    if (range && c->publisher != NULL && c->chain == NULL) {
        fputs("'range' takes --publisher together with --chain; 'from' takes it "
              "alone\n",
              stderr);
        return false;
    }
    if (c->publisher != NULL)
        escaped(path, "publisherId", c->publisher);
    if (c->chain != NULL)
        escaped(path, "msgChainId", c->chain);
    return true;
}

bool select_path(const client *c, const char *stream, int argc, char **argv, const char *format,
                 sb *path)
{
    const char *kind = argc > 0 ? argv[0] : "";
    const char *why = streamr_stream_id_check(stream, strlen(stream));
    bool ok;

    if (why != NULL) {
        fprintf(stderr, "'%s' is no stream: %s\n", stream, why);
        return false;
    }
    client_path("stores", stream, path);
    sb_printf(path, "/data/partitions/%u/%s?", c->partition, kind);
    if (strcmp(kind, "last") == 0 && argc == 2)
        ok = count(path, argv[1]);
    else if (strcmp(kind, "from") == 0 && argc == 2)
        ok = moment(path, "fromTimestamp", argv[1]);
    else if (strcmp(kind, "range") == 0 && argc == 3)
        ok = moment(path, "fromTimestamp", argv[1]) && moment(path, "toTimestamp", argv[2]);
    else {
        fputs("which messages? expected 'last N', 'from TIME' or 'range TIME TIME'\n", stderr);
        return false;
    }
    if (!ok || !filters(c, kind, path))
        return false;
    sb_printf(path, "format=%s", format);
    return true;
}
