/* asker -- a plugin that uses "chain.streams/1": GET /ask?what=&stream=&user=HEX answers with
 * {"rc":..,"value":..,"at_once":..}; GET /heard with the storage events so far. */
#include "chain/chain_streams.h"

#include <broker/plugin.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EVENTS_MAX 200

typedef struct plugin {
    broker_ctx *ctx;
    const broker_http *http;
    const broker_registry *registry;
    broker_peer *peer;
    void *followed; /* whose events */
    chain_follower *follower;
    char heard[EVENTS_MAX * 200];
    size_t len;
} plugin;

typedef struct ask {
    plugin *p;
    broker_req *req;
} ask;

static void reply(plugin *p, broker_req *req, const char *text)
{
    broker_response r = {.size = sizeof r, .status = 200, .type = "application/json"};

    r.body = (broker_bytes){(const uint8_t *)text, strlen(text)};
    p->http->reply(req, &r);
}

static void tell(plugin *p, broker_req *req, int rc, int64_t value, int at_once)
{
    char text[200];

    snprintf(text, sizeof text, "{\"rc\":%d,\"value\":%lld,\"at_once\":%s}", rc, (long long)value,
             at_once ? "true" : "false");
    reply(p, req, text);
}

static void on_answer(void *arg, broker_rc rc, int64_t value, const char *why)
{
    ask *a = arg;

    (void)why;
    tell(a->p, a->req, rc, value, 0);
    free(a);
}

static size_t hex_read(broker_str hex, uint8_t *out, size_t cap)
{
    size_t n = hex.len / 2 < cap ? hex.len / 2 : cap;
    char two[3] = "";

    for (size_t i = 0; i < n; i++) {
        memcpy(two, hex.ptr + 2 * i, 2);
        out[i] = (uint8_t)strtoul(two, NULL, 16);
    }
    return n;
}

static void on_storage(void *arg, broker_str stream, const uint8_t node[20], uint32_t flags,
                       uint64_t block)
{
    plugin *p = arg;
    int n = snprintf(p->heard + p->len, sizeof p->heard - p->len,
                     "%s{\"stream\":\"%.*s\",\"node\":\"%02x%02x\",\"added\":%s,\"back\":%s,"
                     "\"block\":%llu}",
                     p->len != 0 ? "," : "", (int)stream.len, stream.ptr, node[0], node[1],
                     flags & CHAIN_ADDED ? "true" : "false",
                     flags & CHAIN_TAKEN_BACK ? "true" : "false", (unsigned long long)block);

    if (n > 0 && (size_t)n < sizeof p->heard - p->len)
        p->len += (size_t)n;
}

static const chain_streams *enter(plugin *p, void **self)
{
    const chain_streams *chain = p->registry->enter(p->peer, self);

    if (chain != NULL && *self != p->followed) {
        p->followed = *self;
        if (chain->follow(*self, NULL, on_storage, p, &p->follower) != BROKER_OK)
            p->follower = NULL;
    }
    return chain;
}

static void on_ask(void *self, broker_req *req)
{
    plugin *p = self;
    uint8_t user[64];
    broker_str what = p->http->query(req, "what"), hex = p->http->query(req, "user");
    chain_question q = {.size = sizeof q,
                        .what = (uint32_t)(what.ptr != NULL ? what.ptr[0] - '0' : 0),
                        .stream = p->http->query(req, "stream"),
                        .user = {user, hex.ptr != NULL ? hex_read(hex, user, sizeof user) : 0}};
    void *owner;
    const chain_streams *chain = enter(p, &owner);
    int64_t value = 0;
    ask *a = calloc(1, sizeof *a);
    broker_rc rc = BROKER_ENOSYS;

    *a = (ask){p, req};
    if (chain != NULL) {
        rc = chain->ask(owner, &q, &value, on_answer, a);
        p->registry->leave(p->peer);
    }
    if (rc == BROKER_AGAIN)
        return;
    tell(p, req, rc, value, 1);
    free(a);
}

static void on_heard(void *self, broker_req *req)
{
    plugin *p = self;
    void *owner;
    char *text = malloc(p->len + 3);

    if (enter(p, &owner) != NULL)
        p->registry->leave(p->peer);
    text[0] = '[';
    memcpy(text + 1, p->heard, p->len);
    memcpy(text + 1 + p->len, "]", 2);
    reply(p, req, text);
    free(text);
}

static broker_rc create(broker_ctx *ctx, void **self)
{
    plugin *p = calloc(1, sizeof *p);

    p->ctx = ctx;
    p->http = BROKER_SERVICE(ctx, broker_http);
    p->registry = BROKER_SERVICE(ctx, broker_registry);
    *self = p;
    return BROKER_OK;
}

static broker_rc start(void *self, broker_bytes state)
{
    plugin *p = self;
    broker_route asks = {
        .size = sizeof asks, .method = "GET", .path = "/ask", .self = p, .on_req = on_ask};
    broker_route heard = {
        .size = sizeof heard, .method = "GET", .path = "/heard", .self = p, .on_req = on_heard};
    broker_rc rc = p->http->route(p->ctx, &asks);

    (void)state;
    if (rc == BROKER_OK)
        rc = p->http->route(p->ctx, &heard);
    return rc == BROKER_OK ? p->registry->follow(p->ctx, CHAIN_STREAMS_ID, &p->peer) : rc;
}

static broker_rc quiesce(void *self, broker_writer *state)
{
    plugin *p = self;
    void *owner;
    const chain_streams *chain = p->registry->enter(p->peer, &owner);

    (void)state;
    if (chain != NULL) {
        if (owner == p->followed && p->follower != NULL)
            chain->unfollow(owner, p->follower);
        p->registry->leave(p->peer);
    }
    p->followed = NULL;
    return BROKER_OK;
}

static void destroy(void *self)
{
    free(self);
}

BROKER_PLUGIN("asker", "1.0.0", 0, NULL, create, start, NULL, quiesce, destroy);
