/* write -- `publish` and `import`: messages to the node. */
#include "client.h"
#include "eth/eth.h"
#include "streamr/streamr.h"

#include <errno.h>

/* Print the node's answer; whether everything was taken. */
static int answer_say(int result, long status, const sb *answer)
{
    if (result != EXIT_GOOD)
        return result;
    fprintf(status == 200 ? stdout : stderr, "%s\n", answer->data != NULL ? answer->data : "");
    return status == 200 &&
                   (answer->data == NULL || strstr(answer->data, "\"rejected\":[{") == NULL)
               ? EXIT_GOOD
               : EXIT_REFUSED;
}

/* ---- publish ---- */

typedef struct publisher {
    client *c;
    const char *stream;
    uint8_t key[32], address[20];
    char chain[21];
    const char *content; /* one message, or NULL: a line of standard input each */
    bool content_given;
    int64_t last_ms;
    int32_t last_sequence;
    bool has_last;
    sb out;
    size_t at;
    char *line;
    size_t line_cap;
} publisher;

static void message_add(publisher *p, const char *content, size_t len)
{
    uint8_t sig[65], length[4];
    size_t start = p->out.len;
    broker_msg m = {
        .size = sizeof m,
        .stream = {p->stream, strlen(p->stream)},
        .partition = p->c->partition,
        .timestamp_ms = clock_wall_ms(),
        .publisher = {p->address, 20},
        .chain = {p->chain, 20},
        .content = {(const uint8_t *)content, len},
        .body = BROKER_BODY_CONTENT,
    };

    if (p->has_last) {
        if (m.timestamp_ms < p->last_ms)
            m.timestamp_ms = p->last_ms;
        m.sequence = m.timestamp_ms == p->last_ms ? p->last_sequence + 1 : 0;
        m.flags = BROKER_MSG_HAS_PREV;
        m.prev_timestamp_ms = p->last_ms;
        m.prev_sequence = p->last_sequence;
    }
    p->has_last = true;
    p->last_ms = m.timestamp_ms;
    p->last_sequence = m.sequence;
    streamr_sign(&m, p->key, sig);
    sb_append(&p->out, length, sizeof length);
    streamr_encode(&m, &p->out);
    put_u32be((uint8_t *)p->out.data + start, (uint32_t)(p->out.len - start - 4));
}

/* The next content: the one given, or a line. False: there is none. */
static bool content_next(publisher *p, const char **text, size_t *len)
{
    ssize_t n;

    if (p->content != NULL) {
        *text = p->content;
        *len = strlen(p->content);
        p->content = NULL;
        return true;
    }
    if (p->content_given)
        return false;
    n = getline(&p->line, &p->line_cap, stdin);
    while (n > 0 && (p->line[n - 1] == '\n' || p->line[n - 1] == '\r'))
        n--;
    *text = p->line;
    *len = n > 0 ? (size_t)n : 0;
    return n > 0;
}

static int64_t messages_source(void *arg, uint8_t *buf, size_t len)
{
    publisher *p = arg;
    const char *text;
    size_t n;

    if (p->at == p->out.len) {
        sb_clear(&p->out);
        p->at = 0;
        if (!content_next(p, &text, &n))
            return 0;
        if (!streamr_json_valid(text, n)) {
            fprintf(stderr, "not JSON: %.*s\n", (int)(n < 80 ? n : 80), text);
            return -1;
        }
        message_add(p, text, n);
    }
    n = p->out.len - p->at < len ? p->out.len - p->at : len;
    memcpy(buf, p->out.data + p->at, n);
    p->at += n;
    return (int64_t)n;
}

static int64_t text_source(void *arg, uint8_t *buf, size_t len)
{
    view *v = arg;
    size_t n = view_left(v) < len ? view_left(v) : len;

    view_read(v, buf, n);
    return (int64_t)n;
}

/* POST /streams/ID, once for each content. */
static int publish_by_node(client *c, publisher *p)
{
    int result = EXIT_GOOD;
    const char *text;
    size_t n;

    while (result == EXIT_GOOD && content_next(p, &text, &n)) {
        view v = view_of(text, n);
        sb path = SB_INIT, answer = SB_INIT;
        long status = 0;

        client_path(c, "streams", p->stream, &path);
        if (c->partition_text != NULL)
            sb_printf(&path, "?partition=%u", c->partition);
        result = answer_say(client_post(c, path.data, text_source, &v, &answer, &status), status,
                            &answer);
        sb_done(&path);
        sb_done(&answer);
    }
    return result;
}

int cmd_publish(client *c, int argc, char **argv)
{
    publisher p = {.c = c, .stream = argc > 0 ? argv[0] : NULL};
    uint8_t pub[64], random[10];
    sb path = SB_INIT, answer = SB_INIT, id = SB_INIT;
    long status = 0;
    int result;

    if (argc < 1 || argc > 2 || (!c->node_signs && c->key_file == NULL)) {
        fputs("usage: logstore publish STREAM [JSON|-] --key-file FILE | --node\n", stderr);
        return EXIT_USAGE;
    }
    if (argc == 2 && strcmp(argv[1], "-") != 0) {
        p.content = argv[1];
        p.content_given = true;
    }
    if (c->node_signs)
        return publish_by_node(c, &p);
    if (!key_read(c->key_file, p.key))
        return EXIT_REFUSED;
    must(eth_key_public(p.key, pub));
    eth_address_of(pub, p.address);
    random_bytes(random, sizeof random);
    hex_encode(p.chain, random, sizeof random);
    streamr_stream_id_normalise(p.stream, strlen(p.stream), &id);
    p.stream = id.data;
    client_path(c, "stores", p.stream, &path);
    result = answer_say(client_post(c, path.data, messages_source, &p, &answer, &status), status,
                        &answer);
    explicit_bzero(p.key, sizeof p.key);
    free(p.line);
    sb_done(&p.out);
    sb_done(&id);
    sb_done(&path);
    sb_done(&answer);
    return result;
}

/* ---- import ---- */

typedef struct import {
    FILE *in;
    bool json; /* v32 JSON arrays, a line each */
    uint64_t bytes;
    sb out; /* of a converted line */
    size_t at;
    char *line;
    size_t line_cap;
    uint64_t lines;
    bool shows_progress;
    uint64_t shown_ns;
} import;

static void progress(import *im)
{
    if (!im->shows_progress || clock_mono_ns() < im->shown_ns + 500000000u)
        return;
    im->shown_ns = clock_mono_ns();
    fprintf(stderr, "\r%.1f MiB", (double)im->bytes / 1048576);
}

static bool line_convert(import *im)
{
    ssize_t n = getline(&im->line, &im->line_cap, im->in);
    sb store = SB_INIT;
    uint8_t length[4] = {0};
    broker_msg m;
    const char *why;

    while (n > 0 && (im->line[n - 1] == '\n' || im->line[n - 1] == '\r'))
        n--;
    if (n <= 0)
        return false;
    im->lines++;
    why = streamr_json_decode(im->line, (size_t)n, &store, &m);
    sb_clear(&im->out);
    im->at = 0;
    sb_append(&im->out, length, sizeof length);
    if (why == NULL) {
        streamr_encode(&m, &im->out);
    } else {
        /* The node rejects it by its index; the reason is said here. */
        fprintf(stderr, "line %llu: %s\n", (unsigned long long)im->lines, why);
    }
    put_u32be((uint8_t *)im->out.data, (uint32_t)(im->out.len - 4));
    sb_done(&store);
    return true;
}

static int64_t import_source(void *arg, uint8_t *buf, size_t len)
{
    import *im = arg;
    size_t n;

    if (im->json) {
        if (im->at == im->out.len && !line_convert(im))
            return 0;
        n = im->out.len - im->at < len ? im->out.len - im->at : len;
        memcpy(buf, im->out.data + im->at, n);
        im->at += n;
    } else {
        n = fread(buf, 1, len, im->in);
    }
    im->bytes += n;
    progress(im);
    return ferror(im->in) ? -1 : (int64_t)n;
}

int cmd_import(client *c, int argc, char **argv)
{
import im = {0 };
    sb path = SB_INIT, answer = SB_INIT;
    long status = 0;
    int first, result;

    if (argc != 2) {
        fputs("usage: logstore import STREAM FILE|-\n", stderr);
        return EXIT_USAGE;
    }
    im.in = strcmp(argv[1], "-") == 0 ? stdin : fopen(argv[1], "re");
    if (im.in == NULL) {
        fprintf(stderr, "cannot read '%s' (%s)\n", argv[1], strerror(errno));
        return EXIT_REFUSED;
    }
    im.shows_progress = im.in != stdin;
    first = getc(im.in);
    ungetc(first, im.in);
    im.json = first == '['; /* a frame of that first byte would be over a gigabyte long */
    client_path(c, "stores", argv[0], &path);
    result = client_post(c, path.data, import_source, &im, &answer, &status);
    if (im.shows_progress && im.shown_ns != 0)
        fputc('\n', stderr);
    result = answer_say(result, status, &answer);
    if (im.in != stdin)
        fclose(im.in);
    free(im.line);
    sb_done(&im.out);
    sb_done(&path);
    sb_done(&answer);
    return result;
}
