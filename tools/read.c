/* read -- `query`, `export` and `verify`: what the node has, and whether it is genuine. */
#include "client.h"
#include "streamr/streamr.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* ---- checking signatures of frames ---- */

typedef struct audit {
    uint64_t good, bad, unverifiable;
    int fd; /* where good and bad frames go, or -1 */
} audit;

static bool write_all(int fd, const void *bytes, size_t len)
{
    const uint8_t *p = bytes;

    while (len != 0) {
        ssize_t n = write(fd, p, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            fprintf(stderr, "cannot write (%s)\n", strerror(errno));
            return false;
        }
        p += n;
        len -= (size_t)n;
    }
    return true;
}

static bool audit_frame(void *arg, uint64_t index, broker_bytes raw)
{
    audit *a = arg;
    broker_msg m;
    const char *why = streamr_decode(raw.ptr, raw.len, &m);
    streamr_check check = why == NULL ? streamr_verify(&m, &why) : STREAMR_INVALID;
    uint8_t length[4];

    if (check == STREAMR_VALID)
        a->good++;
    else if (check == STREAMR_UNVERIFIABLE)
        a->unverifiable++;
    else if (a->bad++ < 10)
        fprintf(stderr, "message %llu: %s\n", (unsigned long long)index, why);
    if (a->fd < 0)
        return true;
    put_u32be(length, (uint32_t)raw.len);
    return write_all(a->fd, length, 4) && write_all(a->fd, raw.ptr, raw.len);
}

static int audit_say(const audit *a)
{
    fprintf(
        stderr,
        "%llu messages with a valid signature, %llu invalid, %llu that cannot be checked here\n",
        (unsigned long long)a->good, (unsigned long long)a->bad,
        (unsigned long long)a->unverifiable);
    return a->bad == 0 ? EXIT_GOOD : EXIT_REFUSED;
}

int cmd_verify(client *c, int argc, char **argv)
{
    audit a = {.fd = -1};
    uint8_t buf[65536];
    frames f;
    ssize_t n;
    int fd = argc == 1 && strcmp(argv[0], "-") == 0 ? STDIN_FILENO : -1;

    (void)c;
    if (argc != 1) {
        fputs("usage: logstore verify FILE|-\n", stderr);
        return EXIT_USAGE;
    }
    if (fd < 0)
        fd = open(argv[0], O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        fprintf(stderr, "cannot read '%s' (%s)\n", argv[0], strerror(errno));
        return EXIT_REFUSED;
    }
    frames_start(&f, audit_frame, &a);
    while ((n = read(fd, buf, sizeof buf)) > 0 && frames_put(&f, buf, (size_t)n))
        ;
    close(fd);
    if (!frames_end(&f)) {
        fprintf(stderr, "%s\n", f.why != NULL ? f.why : "the file ends inside a message");
        audit_say(&a);
        return EXIT_REFUSED;
    }
    return audit_say(&a);
}

/* ---- asking the node ---- */

static bool to_fd(void *arg, const uint8_t *bytes, size_t len)
{
    return write_all(*(int *)arg, bytes, len);
}

static bool to_frames(void *arg, const uint8_t *bytes, size_t len)
{
    return frames_put(arg, bytes, len);
}

static bool number_add(sb *path, const char *name, const char *text)
{
    int64_t x;

    if (!parse_i64(text, strlen(text), &x)) {
        fprintf(stderr, "'%s' is not a number of milliseconds or messages\n", text);
        return false;
    }
    sb_printf(path, "%s=%lld&", name, (long long)x);
    return true;
}

static bool query_path(const client *c, int argc, char **argv, const char *format, sb *path)
{
    const char *kind = argc > 1 ? argv[1] : "";

    client_path(c, "stores", argc > 0 ? argv[0] : "", path);
    sb_printf(path, "/%s?", kind);
    if (!((strcmp(kind, "last") == 0 && argc == 3 && number_add(path, "count", argv[2])) ||
          (strcmp(kind, "from") == 0 && argc == 3 && number_add(path, "fromTimestamp", argv[2])) ||
          (strcmp(kind, "range") == 0 && argc == 4 && number_add(path, "fromTimestamp", argv[2]) &&
           number_add(path, "toTimestamp", argv[3])))) {
        fputs("usage: logstore query STREAM last N | from MS | range MS MS\n", stderr);
        return false;
    }
    if (c->publisher != NULL)
        sb_printf(path, "publisherId=%s&", c->publisher);
    if (c->chain != NULL)
        sb_printf(path, "msgChainId=%s&", c->chain);
    sb_printf(path, "format=%s", format);
    return true;
}

int cmd_query(client *c, int argc, char **argv)
{
    const char *format = c->verify ? "raw" : c->format != NULL ? c->format : "object";
    int fd = STDOUT_FILENO, result;
    audit a = {.fd = STDOUT_FILENO};
    sb path = SB_INIT;
    frames f;

    if (!query_path(c, argc, argv, format, &path)) {
        sb_done(&path);
        return EXIT_USAGE;
    }
    if (c->verify) {
        frames_start(&f, audit_frame, &a);
        result = client_get(c, path.data, to_frames, &f);
        if (!frames_end(&f) && result == EXIT_GOOD)
            result = EXIT_REFUSED;
        if (audit_say(&a) != EXIT_GOOD)
            result = EXIT_REFUSED;
    } else {
        result = client_get(c, path.data, to_fd, &fd);
    }
    sb_done(&path);
    return result;
}

/* Into a file beside the wanted one, which takes its name when all is there. */
int cmd_export(client *c, int argc, char **argv)
{
    char *range[] = {argc > 0 ? argv[0] : NULL, (char[]){"from"}, (char[]){"0"}};
    sb path = SB_INIT, part = SB_INIT;
    audit a = {0};
    frames f;
    int result = EXIT_REFUSED;

    if (argc != 2) {
        fputs("usage: logstore export STREAM FILE\n", stderr);
        return EXIT_USAGE;
    }
    must(query_path(c, 3, range, "raw", &path));
    sb_printf(&part, "%s.part", argv[1]);
    a.fd = open(part.data, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (a.fd < 0) {
        fprintf(stderr, "cannot make '%s' (%s)\n", part.data, strerror(errno));
        goto done;
    }
    frames_start(&f, audit_frame, &a);
    result = client_get(c, path.data, to_frames, &f);
    if (!frames_end(&f) && result == EXIT_GOOD) {
        fputs("the answer ended inside a message\n", stderr);
        result = EXIT_REFUSED;
    }
    if (fsync(a.fd) != 0 && result == EXIT_GOOD)
        result = EXIT_REFUSED;
    close(a.fd);
    if (result == EXIT_GOOD && rename(part.data, argv[1]) != 0) {
        fprintf(stderr, "cannot name '%s' (%s)\n", argv[1], strerror(errno));
        result = EXIT_REFUSED;
    }
    if (result == EXIT_GOOD)
        result = audit_say(&a);
    else
        unlink(part.data);
done:
    sb_done(&path);
    sb_done(&part);
    return result;
}
