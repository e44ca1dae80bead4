/* export -- `export`: a stream's history into a file.
 *
 * Written into FILE.part, which takes the name when everything is there and on
 * disk: a FILE that exists is complete. */
#include "client.h"
#include "frames.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <unistd.h>

#define BLOCK (256u * 1024)

typedef struct copy {
    client *c;
    int fd;
    check_counts counts;
    frames frames;
    sb out; /* written in blocks */
    uint64_t bytes;
} copy;

static bool flush(copy *x)
{
    bool ok = write_all(x->fd, x->out.data, x->out.len);

    sb_clear(&x->out);
    return ok;
}

static bool on_message(void *arg, uint64_t index, const uint8_t *raw, size_t len)
{
    copy *x = arg;
    uint8_t length[4];
    broker_msg m;

    if (x->c->verify)
        check_frame(&x->counts, index, raw, len, &m);
    put_u32be(length, (uint32_t)len);
    sb_append(&x->out, length, sizeof length);
    sb_append(&x->out, raw, len);
    x->bytes += sizeof length + len;
    return x->out.len < BLOCK || flush(x);
}

static bool on_bytes(void *arg, const uint8_t *bytes, size_t len)
{
    copy *x = arg;

    if (frames_put(&x->frames, bytes, len))
        return true;
    if (x->frames.why != NULL)
        fprintf(stderr, "the node's answer is wrong: %s\n", x->frames.why);
    return false;
}

/* The name is on disk when its folder is. */
static bool folder_sync(const char *file)
{
    char *copy_of_name = must_strdup(file);
    int fd = open(dirname(copy_of_name), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd >= 0 && fsync(fd) == 0;

    if (fd >= 0)
        close(fd);
    free(copy_of_name);
    return ok;
}

static int finish(copy *x, const char *part, const char *file)
{
    if (!frames_end(&x->frames)) {
        fprintf(stderr, "the node's answer is wrong: %s\n", x->frames.why);
        return EXIT_REFUSED;
    }
    if (!flush(x))
        return EXIT_REFUSED;
    if (fsync(x->fd) != 0 || rename(part, file) != 0 || !folder_sync(file)) {
        fprintf(stderr, "cannot write '%s' (%s)\n", file, strerror(errno));
        return EXIT_REFUSED;
    }
    fprintf(stderr, "%llu messages, %llu bytes in '%s'\n", (unsigned long long)x->frames.n,
            (unsigned long long)x->bytes, file);
    if (x->c->verify)
        check_say(&x->counts, stderr);
    return x->counts.invalid == 0 ? EXIT_GOOD : EXIT_REFUSED;
}

int cmd_export(client *c, int argc, char **argv)
{
    static char from[] = "from", zero[] = "0";
    char *everything[] = {from, zero};
    bool all = argc == 2;
    sb path = SB_INIT, part = SB_INIT;
    copy x = {.c = c, .fd = -1};
    int result = EXIT_USAGE;

    if (argc < 2)
        return EXIT_USAGE;
    if (!select_path(c, argv[0], all ? 2 : argc - 2, all ? everything : argv + 2, "raw", &path))
        goto done;
    sb_printf(&part, "%s.part", argv[1]);
    x.fd = open(part.data, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (x.fd < 0) {
        fprintf(stderr, "cannot make '%s' (%s)\n", part.data, strerror(errno));
        result = EXIT_REFUSED;
        goto done;
    }
    frames_init(&x.frames, on_message, &x);
    result = client_get(c, path.data, on_bytes, &x);
    if (result == EXIT_GOOD)
        result = finish(&x, part.data, argv[1]);
    unlink(part.data); /* gone already when all went well */
    close(x.fd);
    frames_done(&x.frames);
done:
    sb_done(&x.out);
    sb_done(&path);
    sb_done(&part);
    return result;
}
