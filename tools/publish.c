/* publish -- `publish`: contents become messages, signed here or by the node.
 *
 * Lines of standard input are sent in batches: as many as are there, so that a
 * line typed by hand goes out at once and a long file does not wait for an
 * fsync a line. */
#include "client.h"
#include "eth/eth.h"
#include "input.h"
#include "streamr/streamr.h"
#include "summary.h"

#define BATCH_MESSAGES 1000u
#define BATCH_BYTES    (4u << 20)

/* Where contents come from: one argument, or lines. */
typedef struct contents {
    const char *given; /* NULL: lines, or it has been taken */
    bool lines;
    input in;
    uint64_t index; /* of the last one, from 0 */
    bool any;
} contents;

typedef struct publisher {
    client *c;
    contents from;
    summary summary;
    sb path;
    /* signed here */
    const char *stream;
    uint8_t key[32], address[20];
    char chain[20];
    bool has_last;
    int64_t last_ms;
    int32_t last_sequence;
    uint64_t index_of[BATCH_MESSAGES];
    size_t n;
    sb out;
} publisher;

static void reject(publisher *p, const char *why)
{
    fprintf(stderr, "%s %llu: %s\n", p->from.lines ? "line" : "content",
            (unsigned long long)p->from.index + 1, why);
    summary_reject(&p->summary, p->from.index, why);
}

/* The next content that can be sent. INPUT_LINE, INPUT_END or INPUT_FAILED. */
static input_result content_next(publisher *p, const char **text, size_t *len)
{
    contents *f = &p->from;

    for (;;) {
        input_result result = INPUT_LINE;

        if (f->lines) {
            result = input_line(&f->in, text, len);
        } else if (f->given == NULL) {
            return INPUT_END;
        } else {
            TAKE(*text, f->given);
            *len = strlen(*text);
        }
        if (result == INPUT_END || result == INPUT_FAILED)
            return result;
        f->index = f->any ? f->index + 1 : 0;
        f->any = true;
        if (result == INPUT_TOO_LONG || *len > STREAMR_MESSAGE_MAX)
            reject(p, "larger than a message may be (1 MiB)");
        else if (!streamr_json_valid(*text, *len))
            reject(p, *len == 0 ? "empty; expected JSON" : "not JSON");
        else
            return INPUT_LINE;
    }
}

/* ---- the node signs ---- */

static int64_t text_source(void *arg, uint8_t *buf, size_t len)
{
    view *v = arg;
    size_t n = view_left(v) < len ? view_left(v) : len;

    view_read(v, buf, n);
    return (int64_t)n;
}

static int publish_by_node(publisher *p)
{
    const char *text;
    size_t len;
    input_result next;
    bool good = true;

    client_path("streams", p->stream, &p->path);
    if (p->c->has_partition)
        sb_printf(&p->path, "?partition=%u", p->c->partition);
    while ((next = content_next(p, &text, &len)) == INPUT_LINE) {
        view v = view_of(text, len);
        answer a;
        int result = client_post(p->c, p->path.data, "application/json", text_source, &v, &a);

        if (result == EXIT_GOOD && a.status != 200) {
            client_refused(&a);
            good = false;
        } else if (result == EXIT_GOOD) {
            puts(a.message_id.len != 0 ? a.message_id.data : "OK");
            fflush(stdout);
        }
        answer_done(&a);
        if (result != EXIT_GOOD)
            return result;
    }
    return next == INPUT_END && good && summary_is_good(&p->summary) ? EXIT_GOOD : EXIT_REFUSED;
}

/* ---- signed here ---- */

/* Sign the content as the next of the chain. NULL, or why not: the chain stands
 * as before. */
static const char *message_add(publisher *p, const char *text, size_t len)
{
    uint8_t sig[65], length[4] = {0};
    size_t start = p->out.len, size;
    broker_msg m = {
        .size = sizeof m,
        .stream = {p->stream, strlen(p->stream)},
        .partition = p->c->partition,
        .timestamp_ms = clock_wall_ms(),
        .publisher = {p->address, sizeof p->address},
        .chain = {p->chain, sizeof p->chain},
        .content = {(const uint8_t *)text, len},
        .body = BROKER_BODY_CONTENT,
    };

    if (p->has_last) {
        if (m.timestamp_ms < p->last_ms)
            m.timestamp_ms = p->last_ms; /* the clock was set back */
        m.sequence = m.timestamp_ms == p->last_ms ? p->last_sequence + 1 : 0;
        m.flags = BROKER_MSG_HAS_PREV;
        m.prev_timestamp_ms = p->last_ms;
        m.prev_sequence = p->last_sequence;
    }
    streamr_sign(&m, p->key, sig);
    sb_append(&p->out, length, sizeof length);
    streamr_encode(&m, &p->out);
    size = p->out.len - start - sizeof length;
    if (size > STREAMR_MESSAGE_MAX) {
        p->out.len = start;
        return "larger than a message may be (1 MiB)";
    }
    put_u32be((uint8_t *)p->out.data + start, (uint32_t)size);
    p->has_last = true;
    p->last_ms = m.timestamp_ms;
    p->last_sequence = m.sequence;
    p->index_of[p->n++] = p->from.index;
    return NULL;
}

static int batch_send(publisher *p)
{
    view v = view_of(p->out.data, p->out.len);
    answer a;
    int result;

    if (p->n == 0)
        return EXIT_GOOD;
    result = client_post(p->c, p->path.data, "application/octet-stream", text_source, &v, &a);
    if (result == EXIT_GOOD &&
        (!summary_add(&p->summary, a.body.data, a.body.len, p->index_of, p->n) || a.status != 200))
        result = client_refused(&a);
    answer_done(&a);
    sb_clear(&p->out);
    p->n = 0;
    return result;
}

/* Send when the batch is full, or when the next line is not there yet. */
static int publish_signed(publisher *p)
{
    const char *text, *why;
    size_t len;
    int result = EXIT_GOOD;
    input_result next;
    sb line = SB_INIT;

    while ((next = content_next(p, &text, &len)) == INPUT_LINE && result == EXIT_GOOD) {
        why = message_add(p, text, len);
        if (why != NULL)
            reject(p, why);
        if (p->n == BATCH_MESSAGES || p->out.len >= BATCH_BYTES ||
            (p->from.lines && !input_ready(&p->from.in)))
            result = batch_send(p);
    }
    if (result == EXIT_GOOD)
        result = batch_send(p);
    summary_text(&p->summary, &line);
    puts(line.data);
    sb_done(&line);
    if (result == EXIT_GOOD && (next == INPUT_FAILED || !summary_is_good(&p->summary)))
        result = EXIT_REFUSED;
    return result;
}

static bool identity_make(publisher *p)
{
    uint8_t pub[64], random[10];

    if (!key_read(p->c->key_file, p->key))
        return false;
    must(eth_key_public(p->key, pub));
    eth_address_of(pub, p->address);
    random_bytes(random, sizeof random);
    hex_encode(p->chain, random, sizeof random);
    client_path("stores", p->stream, &p->path);
    sb_printf(&p->path, "/data/partitions/%u", p->c->partition);
    return true;
}

static bool arguments_fit(const client *c, int argc, char **argv)
{
    const char *why = argc > 0 ? streamr_stream_id_check(argv[0], strlen(argv[0])) : NULL;

    if (argc < 1 || argc > 2)
        return false;
    if (why != NULL) {
        fprintf(stderr, "'%s' is no stream: %s\n", argv[0], why);
        return false;
    }
    if (c->node_signs == (c->key_file != NULL)) {
        fputs("who signs? expected either --key-file FILE (this program) or --node "
              "(the node)\n",
              stderr);
        return false;
    }
    return true;
}

int cmd_publish(client *c, int argc, char **argv)
{
    publisher p = {.c = c};
    sb id = SB_INIT;
    int result = EXIT_REFUSED;

    if (!arguments_fit(c, argc, argv))
        return EXIT_USAGE;
    p.from.lines = argc == 1 || strcmp(argv[1], "-") == 0;
    p.from.given = p.from.lines ? NULL : argv[1];
    if (p.from.lines && !input_open(&p.from.in, "-"))
        return EXIT_REFUSED;
    streamr_stream_id_normalise(argv[0], strlen(argv[0]), &id);
    p.stream = id.data;
    if (c->node_signs)
        result = publish_by_node(&p);
    else if (identity_make(&p))
        result = publish_signed(&p);
    explicit_bzero(p.key, sizeof p.key);
    if (p.from.lines)
        input_close(&p.from.in);
    summary_done(&p.summary);
    sb_done(&p.path);
    sb_done(&p.out);
    sb_done(&id);
    return result;
}
