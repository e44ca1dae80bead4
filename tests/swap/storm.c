/* storm -- many clients that read a store and notice the slightest thing.
 *
 * storm PORT TARGET FAST SLOW: reads TARGET once and takes what comes as the truth; then FAST
 * threads read it again and again, and SLOW ones do so at a crawl, until standard input ends.
 * Then one line of JSON: answers, bytes and failures, the first of them in words. Exit
 * status 0 when nothing failed. */
#include "base/base.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SLOW_BYTES    32768u
#define SLOW_PAUSE_MS 4

typedef struct plan {
    unsigned port;
    const char *target;
    sb truth;
} plan;

static atomic_bool over;
static atomic_ullong answers, bytes_read, failures;
static pthread_mutex_t first_lock = PTHREAD_MUTEX_INITIALIZER;
static char first_failure[256]; /* under first_lock */

static void fail(const char *what)
{
    atomic_fetch_add(&failures, 1);
    pthread_mutex_lock(&first_lock);
    if (first_failure[0] == '\0')
        snprintf(first_failure, sizeof first_failure, "%s (%s)", what, strerror(errno));
    pthread_mutex_unlock(&first_lock);
}

/* One connection and what has been read from it. */
typedef struct stream {
    int fd;
    bool slow;
    uint8_t buf[65536];
    size_t at, len;
} stream;

static bool fill(stream *s)
{
    size_t want = s->slow ? SLOW_BYTES : sizeof s->buf;
    ssize_t n;

    if (s->slow && !atomic_load(&over))
        poll(NULL, 0, SLOW_PAUSE_MS);
    n = recv(s->fd, s->buf, want, 0);
    if (n <= 0)
        return false;
    atomic_fetch_add(&bytes_read, (unsigned long long)n);
    s->at = 0;
    s->len = (size_t)n;
    return true;
}

static int byte(stream *s)
{
    if (s->at == s->len && !fill(s))
        return -1;
    return s->buf[s->at++];
}

/* A line without its end; false: the connection ended, or it is too long. */
static bool line(stream *s, char *to, size_t room)
{
    size_t n = 0;
    int c;

    while ((c = byte(s)) >= 0 && c != '\n') {
        if (n + 1 == room)
            return false;
        if (c != '\r')
            to[n++] = (char)c;
    }
    to[n] = '\0';
    return c >= 0;
}

/* The body of a chunked answer with status 200 goes to out or, when that is NULL, is compared with
 * the truth. NULL, or what is wrong with it. */
static const char *body(stream *s, const sb *truth, sb *out)
{
    static const char broken[] = "an answer was cut, refused or late";
    size_t at = 0;
    char text[1024];

    if (!line(s, text, sizeof text) || strncmp(text, "HTTP/1.1 200", 12) != 0)
        return broken;
    while (text[0] != '\0')
        if (!line(s, text, sizeof text))
            return broken;
    for (;;) {
        size_t left;

        if (!line(s, text, sizeof text))
            return broken;
        left = strtoull(text, NULL, 16);
        if (left == 0 && !line(s, text, sizeof text))
            return broken;
        if (left == 0)
            return out != NULL || at == truth->len ? NULL : "an answer is too short";
        while (left != 0) {
            size_t n;

            if (s->at == s->len && !fill(s))
                return broken;
            n = s->len - s->at < left ? s->len - s->at : left;
            if (out != NULL)
                sb_append(out, s->buf + s->at, n);
            else if (n > truth->len - at || memcmp(truth->data + at, s->buf + s->at, n) != 0)
                return "an answer differs";
            at += n;
            s->at += n;
            left -= n;
        }
        if (!line(s, text, sizeof text))
            return broken;
    }
}

static int dial(unsigned port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct timeval patience = {.tv_sec = 60};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0 &&
        connect(fd, (const struct sockaddr *)&to, sizeof to) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

static const char *ask(const plan *p, stream *s, sb *out)
{
    const char *why = "the node cannot be reached";
    sb head = SB_INIT;

    if (s->fd < 0)
        s->fd = dial(p->port);
    sb_printf(&head, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", p->target);
    if (s->fd >= 0 && send(s->fd, head.data, head.len, MSG_NOSIGNAL) == (ssize_t)head.len)
        why = body(s, &p->truth, out);
    sb_done(&head);
    return why;
}

typedef struct reader {
    pthread_t thread;
    const plan *plan;
    bool slow;
} reader;

static void *read_on(void *arg)
{
    reader *r = arg;
    stream *s = must_alloc(sizeof *s);

    s->fd = -1;
    s->slow = r->slow;
    while (!atomic_load(&over)) {
        const char *why;

        errno = 0;
        why = ask(r->plan, s, NULL);
        if (why == NULL) {
            atomic_fetch_add(&answers, 1);
            continue;
        }
        fail(why);
        if (s->fd >= 0)
            close(s->fd);
        s->fd = -1;
        s->at = s->len = 0;
    }
    if (s->fd >= 0)
        close(s->fd);
    free(s);
    return NULL;
}

int main(int argc, char **argv)
{
    plan p = {0};
    stream *first = must_alloc(sizeof *first);
    size_t fast, slow;
    reader *readers;
    char c;

    if (argc != 5) {
        fputs("usage: storm PORT TARGET FAST SLOW\n", stderr);
        return 2;
    }
    p.port = (unsigned)strtoul(argv[1], NULL, 10);
    p.target = argv[2];
    fast = strtoul(argv[3], NULL, 10);
    slow = strtoul(argv[4], NULL, 10);
    first->fd = -1;
    if (ask(&p, first, &p.truth) != NULL) {
        fputs("the store does not answer\n", stderr);
        return 2;
    }
    close(first->fd);
    free(first);
    readers = must_alloc((fast + slow) * sizeof *readers);
    for (size_t i = 0; i < fast + slow; i++) {
        readers[i] = (reader){.plan = &p, .slow = i >= fast};
        must(pthread_create(&readers[i].thread, NULL, read_on, &readers[i]) == 0);
    }
    while (read(STDIN_FILENO, &c, 1) > 0)
        ;
    atomic_store(&over, true);
    for (size_t i = 0; i < fast + slow; i++)
        pthread_join(readers[i].thread, NULL);
    free(readers);
    sb_done(&p.truth);
    printf("{\"answers\": %llu, \"bytes\": %llu, \"failures\": %llu, \"first\": \"%s\"}\n",
           atomic_load(&answers), atomic_load(&bytes_read), atomic_load(&failures), first_failure);
    return atomic_load(&failures) != 0;
}
