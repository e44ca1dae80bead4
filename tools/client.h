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
    const char *publisher, *chain, *format;
    uint32_t partition;
    bool has_partition, node_signs, verify;
    void *curl; /* the connection to the node, kept from request to request */
} client;

/* ---- commands: arguments after the command's name; an EXIT_* status,
 * EXIT_USAGE when the command's help should be shown ---- */
int cmd_keygen(client *c, int argc, char **argv);
int cmd_address(client *c, int argc, char **argv);
int cmd_publish(client *c, int argc, char **argv);
int cmd_query(client *c, int argc, char **argv);
int cmd_import(client *c, int argc, char **argv);
int cmd_export(client *c, int argc, char **argv);
int cmd_verify(client *c, int argc, char **argv);

/* ---- HTTP (request.c) ---- */

/* Takes bytes of an answer; false: stop, the reason has been said. */
typedef bool (*sink)(void *arg, const uint8_t *bytes, size_t len);
/* Gives bytes of a body: how many it put into buf, 0 at the end, -1: stop, it
 * has been said. */
typedef int64_t (*source)(void *arg, uint8_t *buf, size_t len);

typedef struct answer {
    long status;
    sb body;
    sb message_id; /* the header X-Message-Id */
} answer;
void answer_done(answer *a);

/* GET path; the body of a 200 goes to out. Says on standard error what went
 * wrong. */
int client_get(client *c, const char *path, sink out, void *arg);
/* POST path; EXIT_GOOD with an answer of any status. */
int client_post(client *c, const char *path, const char *type, source in, void *arg, answer *a);
/* Say that the node refused, and why; EXIT_REFUSED. */
int client_refused(const answer *a);
/* "/ROOT/ID", the id encoded. */
void client_path(const char *root, const char *stream, sb *out);
void client_done(client *c);

/* ---- keys (keys.c) ---- */
bool key_read(const char *file, uint8_t key[32]); /* says what is wrong */

/* ---- output (output.c) ---- */
bool write_all(int fd, const void *bytes, size_t len); /* says what is wrong */
bool write_frame(int fd, const uint8_t *raw, size_t len);

/* ---- which messages (select.c) ---- */

/* Arguments "last N", "from T" or "range A B" and the options that go with
 * them, as the path of a query. False: it has been said. */
bool select_path(const client *c, const char *stream, int argc, char **argv, const char *format,
                 sb *path);

/* ---- checking signatures (check.c) ---- */
typedef struct check_counts {
    uint64_t valid, invalid, unverifiable;
} check_counts;
/* Whether the frame is a message whose signature is not wrong; says the first
 * few that are not. *m is filled when it can be read. */
bool check_frame(check_counts *n, uint64_t index, const uint8_t *raw, size_t len, broker_msg *m);
/* "3 messages: ..." */
void check_say(const check_counts *n, FILE *out);

#endif
