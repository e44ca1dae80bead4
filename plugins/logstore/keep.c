/* keep -- see keep.h. The file: what assigned_save() writes, and its CRC-32C. */
#include "keep.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define LANE         4u
#define FILE_MAX     (64u << 20)
#define AGAIN_MS     10000u
#define POSITION_MS  60000u /* how often a position alone is worth a write */
#define REST_MS      200u   /* between two writes; and more for a large file: */
#define REST_STREAMS 20u    /* 1 ms for so many */

struct keep {
    logstore *l;
    void (*written)(void *arg);
    void *arg;
    sb path;
    uint64_t version, writing_version, durable;
    bool writing;
    uint64_t written_ms, again_ms, position; /* position: as on disk */
    sb bytes;                                /* being written; the worker's meanwhile */
    char failure[256];                       /* the worker's; empty: none */
    sb trouble;
};

keep *keep_new(logstore *l, void (*written)(void *arg), void *arg)
{
    keep *k = must_alloc(sizeof *k);
    broker_str dir = l->config->data_dir(l->ctx);

    k->l = l;
    k->written = written;
    k->arg = arg;
    sb_printf(&k->path, "%.*s/assignments", (int)dir.len, dir.ptr);
    return k;
}

void keep_free(keep *k)
{
    if (k == NULL)
        return;
    sb_done(&k->path);
    sb_done(&k->bytes);
    sb_done(&k->trouble);
    free(k);
}

void keep_read(keep *k, assigned_set *set, uint64_t *position)
{
    size_t len;
    char *bytes = file_read(k->path.data, FILE_MAX, &len);

    if (bytes == NULL) {
        if (errno != ENOENT)
            broker_logf(k->l->ctx, BROKER_LOG_ERROR,
                        "cannot read '%s' (%s): until the chain has been read this node does not "
                        "know which streams are assigned to it",
                        k->path.data, strerror(errno));
        return;
    }
    if (len < 4 || crc32c(0, bytes, len - 4) != get_u32be((const uint8_t *)bytes + len - 4) ||
        !assigned_load(set, bytes, len - 4, k->l->cluster.address, position)) {
        *position = 0;
        broker_logf(k->l->ctx, BROKER_LOG_WARN,
                    "'%s' is damaged, or of another cluster: the chain will say which streams are "
                    "assigned to this node",
                    k->path.data);
    }
    k->position = *position;
    free(bytes);
}

/* ---- writing ---- */

static bool write_all(int file, const char *bytes, size_t len)
{
    while (len != 0) {
        ssize_t n = write(file, bytes, len);

        if (n < 0 && errno != EINTR)
            return false;
        bytes += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
    return true;
}

static bool file_write(const char *path, const sb *bytes)
{
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool ok;

    if (file < 0)
        return false;
    ok = write_all(file, bytes->data, bytes->len) && fsync(file) == 0;
    return close(file) == 0 && ok;
}

/* The name is on disk too. */
static bool folder_sync(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = must_strndup(path, (size_t)(slash - path));
    int file = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = file >= 0 && fsync(file) == 0;

    if (file >= 0)
        close(file);
    free(folder);
    return ok;
}

/* [worker] */
static void write_run(void *arg)
{
    keep *k = arg;
    sb new = SB_INIT;

    k->failure[0] = '\0';
    sb_printf(&new, "%s.new", k->path.data);
    if (!file_write(new.data, &k->bytes) || rename(new.data, k->path.data) != 0 ||
        !folder_sync(k->path.data))
        snprintf(k->failure, sizeof k->failure, "%s", strerror(errno));
    sb_done(&new);
}

static void write_done(void *arg)
{
    keep *k = arg;

    k->writing = false;
    sb_clear(&k->trouble);
    if (k->failure[0] != '\0') {
        sb_printf(&k->trouble,
                  "cannot write '%s' (%s): streams that are assigned now would be forgotten in a "
                  "crash, and nobody is told of them",
                  k->path.data, k->failure);
        k->again_ms = k->l->work->now_ms(k->l->ctx) + AGAIN_MS;
        return;
    }
    k->durable = k->writing_version;
    k->written(k->arg);
}

uint64_t keep_changed(keep *k)
{
    return ++k->version;
}

uint64_t keep_durable(const keep *k)
{
    return k->durable;
}

static bool is_due(const keep *k, uint64_t now, uint64_t position)
{
    if (k->writing || now < k->again_ms)
        return false;
    return k->version != k->durable ||
           (position != k->position && (k->position == 0 || now - k->written_ms >= POSITION_MS));
}

void keep_tick(keep *k, const assigned_set *set, uint64_t position)
{
    uint64_t now = k->l->work->now_ms(k->l->ctx);
    uint8_t sum[4];

    if (!is_due(k, now, position))
        return;
    sb_clear(&k->bytes);
    assigned_save(set, k->l->cluster.address, position, &k->bytes);
    put_u32be(sum, crc32c(0, k->bytes.data, k->bytes.len));
    sb_append(&k->bytes, sum, sizeof sum);
    k->writing_version = k->version;
    k->position = position;
    k->written_ms = now;
    k->again_ms = now + REST_MS + assigned_count(set) / REST_STREAMS;
    k->writing = k->l->work->submit(k->l->ctx, LANE, write_run, write_done, k) == BROKER_OK;
}

bool keep_is_idle(const keep *k)
{
    return !k->writing && (k->version == k->durable || k->trouble.len != 0);
}

const char *keep_trouble(const keep *k)
{
    return k->trouble.len != 0 ? k->trouble.data : NULL;
}
