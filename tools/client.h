/* client -- what the subcommands of `logstore` share. One thread. */
#ifndef TOOLS_CLIENT_H
#define TOOLS_CLIENT_H

#include "base/base.h"

#include <broker/plugin.h>

/* Exit status. */
enum { EXIT_GOOD = 0, EXIT_REFUSED = 1, EXIT_USAGE = 2, EXIT_UNREACHABLE = 3 };

typedef struct client {
    const char *url; /* of the node */
    const char *api_key;
    const char *key_file;
    const char *publisher, *chain, *format, *partition_text;
    uint32_t partition;
    bool node_signs, verify;
} client;

/* ---- commands: arguments after the command's name; an EXIT_* status ---- */
int cmd_keygen(client *c, int argc, char **argv);
int cmd_address(client *c, int argc, char **argv);
int cmd_publish(client *c, int argc, char **argv);
int cmd_query(client *c, int argc, char **argv);
int cmd_import(client *c, int argc, char **argv);
int cmd_export(client *c, int argc, char **argv);
int cmd_verify(client *c, int argc, char **argv);

/* ---- HTTP (request.c) ---- */

/* Takes bytes of an answer; false: stop. */
typedef bool (*sink)(void *arg, const uint8_t *bytes, size_t len);
/* Gives bytes of a body: how many it put into buf, 0 at the end, -1 on an error. */
typedef int64_t (*source)(void *arg, uint8_t *buf, size_t len);

/* GET path; the body of a 200 goes to out. Says on standard error what went wrong. */
int client_get(client *c, const char *path, sink out, void *arg);
/* POST path; the answer, of any status, into *answer, and its status. */
int client_post(client *c, const char *path, source in, void *arg, sb *answer, long *status);
/* "/stores/ID/data/partitions/P" with the id encoded. */
void client_path(const client *c, const char *root, const char *stream, sb *out);

/* ---- keys (keys.c) ---- */
bool key_read(const char *file, uint8_t key[32]); /* says what is wrong */

/* ---- frames (frames.c) ---- */

/* Splits u32be-framed bytes that come in pieces. */
typedef struct frames {
    sb left; /* the start of a frame that is not complete */
    uint64_t index;
    bool (*each)(void *arg, uint64_t index, broker_bytes raw);
    void *arg;
    bool broken; /* a length that cannot be; *why says so */
    const char *why;
} frames;
void frames_start(frames *f, bool (*each)(void *arg, uint64_t index, broker_bytes raw), void *arg);
/* False: broken, or each() wanted no more. */
bool frames_put(frames *f, const uint8_t *bytes, size_t len);
/* False: the bytes ended inside a frame. */
bool frames_end(frames *f);

#endif
