/* query -- `query`: messages of the node to standard output, as they come. */
#include "client.h"
#include "frames.h"
#include "line.h"
#include "streamr/streamr.h"

#include <unistd.h>

typedef struct reader {
    bool verify, lines;
    check_counts counts;
    sb line;
} reader;

static bool on_bytes(void *arg, const uint8_t *bytes, size_t len)
{
    (void)arg;
    return write_all(STDOUT_FILENO, bytes, len);
}

static bool on_frames(void *arg, const uint8_t *bytes, size_t len)
{
    frames *f = arg;

    if (frames_put(f, bytes, len))
        return true;
    if (f->why != NULL)
        fprintf(stderr, "the node's answer is wrong: %s\n", f->why);
    return false;
}

/* With --verify a message whose signature is wrong is not given on. */
static bool on_message(void *arg, uint64_t index, const uint8_t *raw, size_t len)
{
    reader *r = arg;
    broker_msg m;
    const char *why;

    if (r->verify && !check_frame(&r->counts, index, raw, len, &m))
        return true;
    if (!r->lines)
        return write_frame(STDOUT_FILENO, raw, len);
    why = streamr_decode(raw, len, &m);
    if (why != NULL) {
        fprintf(stderr, "message %llu of the answer cannot be read: %s\n",
                (unsigned long long)index, why);
        return false;
    }
    sb_clear(&r->line);
    line_append(&m, &r->line);
    return write_all(STDOUT_FILENO, r->line.data, r->line.len);
}

static int query_messages(client *c, const char *path, bool lines)
{
    reader r = {.verify = c->verify, .lines = lines};
    frames f;
    int result;

    frames_init(&f, on_message, &r);
    result = client_get(c, path, on_frames, &f);
    if (result == EXIT_GOOD && !frames_end(&f)) {
        fprintf(stderr, "the node's answer is wrong: %s\n", f.why);
        result = EXIT_REFUSED;
    }
    if (r.verify && result == EXIT_GOOD) {
        check_say(&r.counts, stderr);
        result = r.counts.invalid == 0 ? EXIT_GOOD : EXIT_REFUSED;
    }
    frames_done(&f);
    sb_done(&r.line);
    return result;
}

int cmd_query(client *c, int argc, char **argv)
{
    const char *format = c->format != NULL ? c->format : c->verify ? "jsonl" : "object";
    bool object = strcmp(format, "object") == 0, lines = strcmp(format, "jsonl") == 0;
    sb path = SB_INIT;
    int result = EXIT_USAGE;

    if (argc < 2)
        return EXIT_USAGE;
    if (!object && !lines && strcmp(format, "raw") != 0) {
        fprintf(stderr, "--format is object, raw or jsonl, not '%s'\n", format);
        return EXIT_USAGE;
    }
    if (object && c->verify) {
        fputs("--verify needs the messages themselves; use it with --format jsonl "
              "or raw\n",
              stderr);
        return EXIT_USAGE;
    }
    if (select_path(c, argv[0], argc - 1, argv + 1, object ? "object" : "raw", &path)) {
        result = lines || c->verify ? query_messages(c, path.data, lines)
                                    : client_get(c, path.data, on_bytes, NULL);
        if (object && result == EXIT_GOOD && isatty(STDOUT_FILENO))
            write_all(STDOUT_FILENO, "\n", 1);
    }
    sb_done(&path);
    return result;
}
