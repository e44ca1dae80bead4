/* admin -- the socket through which an operator changes a running node.
 *
 * One request a connection, one answer, both msgpack maps:
 *
 *   {"do": "swap"|"enable"|"disable"|"reload"|"plugins", "plugin": text, "file": text}
 *   {"ok": bool, "text": text}
 *
 * The socket is the owner's alone (mode 0600), and a peer of another user, root apart, is
 * turned away. */
#ifndef ADMIN_ADMIN_H
#define ADMIN_ADMIN_H

#include "run/loop.h"

#define ADMIN_REQUEST_MAX 65536u
#define ADMIN_ANSWER_MAX  (1u << 20)

typedef enum admin_verb {
    ADMIN_SWAP,
    ADMIN_ENABLE,
    ADMIN_DISABLE,
    ADMIN_RELOAD,
    ADMIN_PLUGINS,
    ADMIN_VERBS
} admin_verb;
extern const char *const admin_verbs[ADMIN_VERBS];

typedef struct admin_request {
    admin_verb verb;
    char *plugin; /* NULL with reload and plugins */
    char *file;   /* absolute, or NULL */
} admin_request;
void admin_request_done(admin_request *r);

/* ---- frame.c: pure ---- */
void admin_request_write(const admin_request *r, sb *out);
/* 1: read; 0: more bytes are needed; -1: it is no request, *why. */
int admin_request_read(const void *bytes, size_t len, admin_request *out, sb *why);
void admin_answer_write(bool ok, const char *text, sb *out);
int admin_answer_read(const void *bytes, size_t len, bool *ok, sb *text);

/* ---- server.c: [loop] ---- */
typedef struct admin admin;
typedef struct admin_conn admin_conn;

/* ask() is called for each request; it ends by one admin_answer(). NULL: a sentence in *why. */
admin *admin_new(loop *l, const char *path,
                 void (*ask)(void *arg, const admin_request *r, admin_conn *to), void *arg,
                 sb *why);
void admin_answer(admin_conn *to, bool ok, const char *text);
/* Stop listening and drop the connections; those not answered yet may still be answered.
 * It is freed by itself as the loop runs on. */
void admin_close(admin *a);

/* ---- client.c: blocking ---- */
/* Ask the node at path. False: it could not be asked, *text says why. */
bool admin_ask(const char *path, const admin_request *r, bool *ok, sb *text);

#endif
