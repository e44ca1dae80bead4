/* zoo -- bad plugins, one of them a build: ZOO_<what is wrong>. Each tells by writing to
 * $ZOO_WITNESS that its code has run, which a refused one must never do.
 *
 * The macros below stand in for what a compiler, a hurried author or an attacker would
 * have put into the file. */
#include <broker/plugin.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef ZOO_NAME
#define ZOO_NAME "zoo"
#endif
#ifndef ZOO_MAJOR
#define ZOO_MAJOR BROKER_ABI_MAJOR
#endif
#ifndef ZOO_MINOR
#define ZOO_MINOR BROKER_ABI_MINOR
#endif
#ifndef ZOO_LAYOUT
#define ZOO_LAYOUT BROKER_LAYOUT
#endif
#ifndef ZOO_DESCSZ
#define ZOO_DESCSZ sizeof(broker_manifest)
#endif
#ifndef ZOO_TABLE_SIZE
#define ZOO_TABLE_SIZE sizeof(broker_plugin_table)
#endif
#ifdef ZOO_WRONG_SCHEMA
#define ZOO_SCHEMA "{\"type\":\"integr\"}"
#elif !defined(ZOO_SCHEMA)
#define ZOO_SCHEMA                                                                                 \
    "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{\"port\":{\"type\":"      \
    "\"integer\"}}}"
#endif
#ifndef ZOO_CREATE
#define ZOO_CREATE create
#endif
#ifndef ZOO_START
#define ZOO_START start
#endif

__attribute__((constructor)) static void witness(void)
{
    const char *path = getenv("ZOO_WITNESS");
    int fd = path != NULL ? open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600) : -1;

    if (fd >= 0)
        close(fd);
}

static broker_ctx *self_ctx;

static broker_rc create(broker_ctx *ctx, void **self)
{
    self_ctx = ctx;
    *self = &self_ctx;
    return BROKER_OK;
}

static broker_rc create_fails(broker_ctx *ctx, void **self)
{
    (void)self;
    return ctx->host->fail(ctx, BROKER_EIO, "the device is on fire");
}

static broker_rc create_fails_silently(broker_ctx *ctx, void **self)
{
    (void)ctx, (void)self;
    return BROKER_ENOSYS;
}

static broker_rc start(void *self, broker_bytes state)
{
    (void)self, (void)state;
    return BROKER_OK;
}

static broker_rc start_fails(void *self, broker_bytes state)
{
    (void)self, (void)state;
    return self_ctx->host->fail(self_ctx, BROKER_EIO, "the port is taken");
}

static broker_rc quiesce(void *self, broker_writer *state)
{
    (void)self, (void)state;
    return BROKER_OK;
}

static void destroy(void *self)
{
    (void)self;
}

#ifdef ZOO_UNRESOLVED
extern void nobody_defines_this(void);
void *zoo_needs = (void *)nobody_defines_this;
#endif

#ifndef ZOO_NO_NOTE
__attribute__((section(".note.broker"), used, aligned(4))) static const broker_note note = {
    8,
    ZOO_DESCSZ,
    BROKER_NOTE_TYPE,
    BROKER_NOTE_OWNER,
    {sizeof(broker_manifest), ZOO_MAJOR, ZOO_MINOR, ZOO_LAYOUT, 0, ZOO_NAME, "1.0.0"}};
#endif

#ifdef ZOO_NO_TABLE
#define broker_plugin zoo_hidden
__attribute__((visibility("hidden")))
#endif
const broker_plugin_table broker_plugin = {ZOO_TABLE_SIZE, 0,    ZOO_SCHEMA, ZOO_CREATE,
                                           ZOO_START,      NULL, quiesce,    destroy};

/* Each is used by one of the builds. */
__attribute__((used)) static void *const others[] = {(void *)create, (void *)create_fails,
                                                     (void *)create_fails_silently, (void *)start,
                                                     (void *)start_fails};
