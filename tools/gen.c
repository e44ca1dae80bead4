/* gen -- signed messages for tests and benchmarks, the same ones every time.
 *
 * u32 big-endian length and protobuf, again and again, on standard output. Message i has
 * the timestamp START + i and one of N publishers, whose keys come from the seed. */
#include "base/base.h"
#include "eth/eth.h"
#include "streamr/streamr.h"

#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <unistd.h>

#define THREADS 2u
#define BLOCK   512u /* messages signed by one thread at a time */

#define PUBLISHERS_MAX 1000000u
#define CONTENT_MAX    (STREAMR_MESSAGE_MAX - 4096u) /* leaves room for the envelope */

typedef struct plan {
    const char *stream;
    uint32_t partition;
    uint64_t count;
    unsigned publishers;
    size_t content_bytes;
    int64_t start_ms;
    uint64_t seed;
    uint8_t (*keys)[32], (*addresses)[20];
} plan;

typedef struct block {
    const plan *plan;
    uint64_t from;
    size_t n;
    sb out;
} block;

static void message_make(const plan *p, uint64_t i, sb *content, sb *raw)
{
    size_t who = (size_t)(i % p->publishers), head;
    uint8_t sig[65];
    char chain[32];
    broker_msg m = {
        .size = sizeof m,
        .stream = {p->stream, strlen(p->stream)},
        .partition = p->partition,
        .timestamp_ms = p->start_ms + (int64_t)i,
        .publisher = {p->addresses[who], 20},
        .body = BROKER_BODY_CONTENT,
    };

    snprintf(chain, sizeof chain, "chain%zu", who);
    m.chain = (broker_str){chain, strlen(chain)};
    if (i >= p->publishers) {
        m.flags = BROKER_MSG_HAS_PREV;
        m.prev_timestamp_ms = m.timestamp_ms - p->publishers;
    }
    sb_clear(content);
    sb_printf(content, "{\"n\":%llu,\"pad\":\"", (unsigned long long)i);
    head = content->len + 2;
    for (size_t k = head; k < p->content_bytes; k++)
        sb_putc(content, (char)('a' + (i + k) % 26));
    sb_puts(content, "\"}");
    m.content = (broker_bytes){(const uint8_t *)content->data, content->len};
    streamr_sign(&m, p->keys[who], sig);
    sb_clear(raw);
    streamr_encode(&m, raw);
}

static void *block_make(void *arg)
{
    block *b = arg;
    sb content = SB_INIT, raw = SB_INIT;
    uint8_t length[4];

    sb_clear(&b->out);
    for (size_t i = 0; i < b->n; i++) {
        message_make(b->plan, b->from + i, &content, &raw);
        put_u32be(length, (uint32_t)raw.len);
        sb_append(&b->out, length, sizeof length);
        sb_append(&b->out, raw.data, raw.len);
    }
    sb_done(&content);
    sb_done(&raw);
    return NULL;
}

static bool write_all(const sb *out)
{
    for (size_t at = 0; at < out->len;) {
        ssize_t n = write(STDOUT_FILENO, out->data + at, out->len - at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            fprintf(stderr, "cannot write to standard output (%s)\n", strerror(errno));
            return false;
        }
        at += (size_t)n;
    }
    return true;
}

static void keys_make(plan *p)
{
    p->keys = must_alloc(p->publishers * sizeof *p->keys);
    p->addresses = must_alloc(p->publishers * sizeof *p->addresses);
    for (unsigned i = 0; i < p->publishers; i++) {
        uint8_t text[16], pub[64];

        put_u64be(text, p->seed);
        put_u64be(text + 8, i);
        eth_keccak256(text, sizeof text, p->keys[i]);
        must(eth_key_public(p->keys[i], pub));
        eth_address_of(pub, p->addresses[i]);
    }
}

static int generate(plan *p)
{
    block blocks[THREADS] = {0};
    pthread_t threads[THREADS];
    uint64_t at = 0;
    bool ok = true;

    keys_make(p);
    while (ok && at < p->count) {
        unsigned running = 0;

        for (; running < THREADS && at < p->count; running++) {
            block *b = &blocks[running];

            b->plan = p;
            b->from = at;
            b->n = p->count - at < BLOCK ? (size_t)(p->count - at) : BLOCK;
            at += b->n;
            must(pthread_create(&threads[running], NULL, block_make, b) == 0);
        }
        for (unsigned i = 0; i < running; i++)
            pthread_join(threads[i], NULL);
        for (unsigned i = 0; ok && i < running; i++)
            ok = write_all(&blocks[i].out);
    }
    for (unsigned i = 0; i < THREADS; i++)
        sb_done(&blocks[i].out);
    free(p->keys);
    free(p->addresses);
    return ok ? 0 : 1;
}

static const char help[] =
    "usage: logstore-gen --stream ID [--partition P] [--count N] [--publishers N]\n"
    "                    [--content-bytes N] [--start-timestamp MS] [--seed N]\n"
    "\n"
    "Writes signed messages for tests and benchmarks to standard output; the same options\n"
    "give the same bytes. 60 bytes of content make messages of about 250 bytes.\n";

/* One numeric option. False: said on standard error. */
static bool number(plan *p, int option, const char *text)
{
    static const struct {
        int option;
        const char *name;
        int64_t least, most;
    } limits[] = {
        {'p', "partition", 0, STREAMR_PARTITIONS - 1}, {'n', "count", 0, INT64_MAX / 2},
        {'u', "publishers", 1, PUBLISHERS_MAX},        {'b', "content-bytes", 0, CONTENT_MAX},
        {'t', "start-timestamp", 0, INT64_MAX / 2},    {'e', "seed", 0, INT64_MAX},
    };
    int64_t x = 0;
    size_t i = 0;

    while (limits[i].option != option)
        must(++i < COUNT_OF(limits));
    if (!parse_i64(text, strlen(text), &x) || x < limits[i].least || x > limits[i].most) {
        fprintf(stderr, "--%s is %lld to %lld, not '%s'\n", limits[i].name,
                (long long)limits[i].least, (long long)limits[i].most, text);
        return false;
    }
    switch (option) {
    case 'p':
        p->partition = (uint32_t)x;
        break;
    case 'n':
        p->count = (uint64_t)x;
        break;
    case 'u':
        p->publishers = (unsigned)x;
        break;
    case 'b':
        p->content_bytes = (size_t)x;
        break;
    case 't':
        p->start_ms = x;
        break;
    default:
        p->seed = (uint64_t)x;
    }
    return true;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"stream", required_argument, NULL, 's'},
        {"partition", required_argument, NULL, 'p'},
        {"count", required_argument, NULL, 'n'},
        {"publishers", required_argument, NULL, 'u'},
        {"content-bytes", required_argument, NULL, 'b'},
        {"start-timestamp", required_argument, NULL, 't'},
        {"seed", required_argument, NULL, 'e'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    plan p = {.count = 1, .publishers = 1, .content_bytes = 60, .start_ms = 1700000000000};
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'h') {
            fputs(help, stdout);
            return 0;
        }
        if (option == 's') {
            p.stream = optarg;
        } else if (option == '?' || !number(&p, option, optarg)) {
            fputs("try: logstore-gen --help\n", stderr);
            return 2;
        }
    }
    if (p.stream == NULL) {
        fputs(help, stderr);
        return 2;
    }
    return generate(&p);
}
