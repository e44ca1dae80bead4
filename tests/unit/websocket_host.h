/* websocket_host -- a host of the tests' own for the websocket plugin: it keeps what the plugin
 * does and plays clients, bus and network. */
#ifndef TESTS_UNIT_WEBSOCKET_HOST_H
#define TESTS_UNIT_WEBSOCKET_HOST_H

#include "base/base.h"

#include <broker/plugin.h>

#define S            "0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a/s"
#define PUBLISH      "/streams/" S "/publish"
#define FOLLOW       "/streams/" S "/subscribe"
#define MANY         64
#define PUBLISHED    10000
#define ROOM_FOR_ALL SIZE_MAX

struct broker_conn {
    uint64_t id;
    broker_peer_calls calls;
    bool paused, full; /* full: send() says AGAIN */
    bool gone;         /* send() says EGONE */
    size_t queued;
    int32_t code; /* it was closed with */
    char reason[124];
    sb got; /* what was sent, a line each */
    const broker_buf *last_buf;
};

typedef struct published {
    void (*done)(void *arg, const broker_msg *msg, const broker_outcome *outcome);
    void *arg;
    char content[200], key[50], chain[50];
    uint32_t partition;
} published;

struct broker_sub {
    broker_subscription want;
    char stream[100];
    bool live;
};

struct broker_metric {
    char name[100];
    int64_t value;
};

typedef struct host_double {
    sb log;
    char why[512], host_name[50];
    const char *key; /* NULL: none is required */
    uint64_t now_ms;
    published published[PUBLISHED];
    size_t n_published, room;
    void (*on_room)(void *arg);
    void *room_arg;
    broker_rc publish_rc;
    struct broker_sub subs[MANY];
    size_t n_subs;
    struct broker_metric metrics[MANY];
    struct broker_conn conns[MANY];
    size_t n_conns, bufs, bufs_made;
    broker_rc (*accepted)(void *self, broker_conn *conn, broker_str target,
                          broker_peer_calls *calls);
    void *accepted_self;
    bool wrapped;
} host_double;

extern host_double h;
extern broker_ctx ctx;

int64_t metric(const char *name);
/* A build that is created and started. */
void *build_start(broker_bytes state);
/* The first one. */
void *begin(void);
/* A request as the listener sees it; BROKER_OK or the status. */
broker_rc ask(const char *target, broker_conn **out);
broker_conn *client_open(const char *target);
/* A message of the client. */
void say(broker_conn *c, const char *text);
void leave(broker_conn *c);
/* The outcome of published[i]. */
void settle(size_t i, int32_t code);
/* The bus has room for so many in all, and says so. */
void room_again(size_t room);
/* Messages with these contents; "cipher" is encrypted. */
void deliver(broker_sub *s, const char *const *contents, size_t n);
broker_rc quiesce(void *self, sb *state);
/* Quiesce and destroy; nothing may be left. */
void end(void *self);

#endif
