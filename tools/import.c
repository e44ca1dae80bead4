/* import -- `import`: a file of messages to the node, in one request of any
 * length. */
#include "client.h"
#include "input.h"
#include "streamr/streamr.h"
#include "summary.h"

#include <unistd.h>

typedef struct import {
    input in;
    bool lines; /* v32 JSON arrays, a line each */
    sb out;     /* a line, converted             */
    size_t at;
    uint64_t shown_ns, began_ns;
    bool terminal;
} import;

/* Every half second on a terminal; every ten in a log. */
static void progress(import *im)
{
    uint64_t now = clock_mono_ns(), pause = im->terminal ? 500000000u : 10000000000u;
    double mib = (double)im->in.taken / 1048576;

    if (now < im->shown_ns + pause)
        return;
    im->shown_ns = now;
    fprintf(stderr, "%s%.1f MiB", im->terminal ? "\r" : "", mib);
    if (im->in.size != 0)
        fprintf(stderr, " of %.1f", (double)im->in.size / 1048576);
    fprintf(stderr, ", %.1f MiB/s%s", mib * 1e9 / (double)(now - im->began_ns),
            im->terminal ? "   " : "\n");
}

/* The next line as a frame. What cannot be read becomes an empty frame, which
 * the node rejects by its index, so that indexes count lines; the reason is
 * said here. False: no more, or it failed. */
static bool line_convert(import *im, bool *failed)
{
    const char *text, *why;
    sb store = SB_INIT;
    uint8_t length[4] = {0};
    broker_msg m;
    size_t len;
    input_result result;

    result = input_line(&im->in, &text, &len);
    *failed = result == INPUT_FAILED;
    if (result == INPUT_END || *failed)
        return false;
    why =
        result == INPUT_TOO_LONG ? "longer than 4 MiB" : streamr_json_decode(text, len, &store, &m);
    sb_clear(&im->out);
    im->at = 0;
    sb_append(&im->out, length, sizeof length);
    if (why == NULL)
        streamr_encode(&m, &im->out);
    if (im->out.len - sizeof length > STREAMR_MESSAGE_MAX) {
        im->out.len = sizeof length;
        why = "longer than 1 MiB";
    }
    if (why != NULL)
        fprintf(stderr, "line %llu: %s\n", (unsigned long long)im->in.lines, why);
    put_u32be((uint8_t *)im->out.data, (uint32_t)(im->out.len - sizeof length));
    sb_done(&store);
    return true;
}

static int64_t import_source(void *arg, uint8_t *buf, size_t len)
{
    import *im = arg;
    bool failed = false;
    size_t n;

    progress(im);
    if (!im->lines)
        return input_bytes(&im->in, buf, len);
    if (im->at == im->out.len && !line_convert(im, &failed))
        return failed ? -1 : 0;
    n = im->out.len - im->at < len ? im->out.len - im->at : len;
    memcpy(buf, im->out.data + im->at, n);
    im->at += n;
    return (int64_t)n;
}

static int upload(client *c, import *im, const char *path)
{
    summary s = {0};
    sb text = SB_INIT;
    answer a;
    int result;

    result = client_post(c, path, "application/octet-stream", import_source, im, &a);
    if (im->terminal && im->shown_ns != im->began_ns)
        fputc('\n', stderr);
    if (result == EXIT_GOOD && summary_add(&s, a.body.data, a.body.len, NULL, 0)) {
        summary_text(&s, &text);
        puts(text.data);
        result = a.status == 200 && summary_is_good(&s) ? EXIT_GOOD : EXIT_REFUSED;
    } else if (result == EXIT_GOOD) {
        result = client_refused(&a);
    }
    answer_done(&a);
    summary_done(&s);
    sb_done(&text);
    return result;
}

int cmd_import(client *c, int argc, char **argv)
{
import im = {.began_ns = clock_mono_ns(), .terminal = isatty(STDERR_FILENO) == 1 };
    sb path = SB_INIT;
    int first, result = EXIT_REFUSED;

    if (argc != 2)
        return EXIT_USAGE;
    if (!input_open(&im.in, argv[1]))
        return EXIT_REFUSED;
    im.shown_ns = im.began_ns;
    first = input_peek(&im.in);
    im.lines = first == '['; /* the length of a frame begins with a zero byte */
    if (first > 0 && !im.lines) {
        fprintf(stderr,
                "%s holds no messages; expected frames of a u32 big-endian length "
                "and a "
                "protobuf StreamMessage, or v32 JSON arrays, a line each\n",
                im.in.name);
    } else {
        client_path("stores", argv[0], &path);
        sb_printf(&path, "/data/partitions/%u", c->partition);
        result = upload(c, &im, path.data);
    }
    input_close(&im.in);
    sb_done(&im.out);
    sb_done(&path);
    return result;
}
