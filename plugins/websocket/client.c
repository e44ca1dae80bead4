/* client -- connections of either kind: who is let in, when they are read, how they end. */
#include "parts.h"

#include <broker/plugin_log.h>

/* ---- connections ---- */

static void count_joined(websocket *w, const client *c, int change)
{
    unsigned *n = &w->n_joined[c->s.want.publish];

    *n += (unsigned)change;
    w->metrics->set(w->connections[c->s.want.publish], *n);
}

/* Takes what s owns. */
static client *client_new(websocket *w, broker_conn *conn, session *s)
{
    client *c = must_alloc(sizeof *c);

    c->w = w;
    c->conn = conn;
    c->s = *s;
    *s = (session){.conn = 0};
    c->next = w->clients;
    c->at = &w->clients;
    if (c->next != NULL)
        c->next->at = &c->next;
    w->clients = c;
    publish_init(c);
    return c;
}

static void client_unlink(client *c)
{
    *c->at = c->next;
    if (c->next != NULL)
        c->next->at = c->at;
}

static void client_free(client *c)
{
    target_done(&c->s.want);
    free(c);
}

static void client_join(client *c)
{
    if (c->joined)
        return;
    if (!c->s.want.publish && feeds_join(c) != BROKER_OK) {
        client_close(c, 1011, "the stream cannot be subscribed to now");
        return;
    }
    c->joined = true;
    count_joined(c->w, c, 1);
}

void client_flow(client *c)
{
    bool pause = c->clogged || c->held != NULL;

    if (c->conn == NULL) {
        if (c->in_flight == 0 && c->held == NULL)
            client_free(c);
        return;
    }
    if (pause == c->paused)
        return;
    c->paused = pause;
    (pause ? c->w->net->pause : c->w->net->resume)(c->conn);
}

void client_answer(client *c, const char *text, size_t len)
{
    if (c->conn == NULL ||
        c->w->net->send(c->conn, (broker_bytes){(const uint8_t *)text, len}, 1) != BROKER_AGAIN)
        return;
    c->clogged = true;
    client_flow(c);
}

void client_close(client *c, int32_t code, const char *reason)
{
    if (c->leaving)
        return;
    c->leaving = true;
    c->w->net->close(c->conn, code, reason);
}

static void on_open(void *self, broker_conn *conn)
{
    (void)conn;
    client_join(self);
}

static void on_data(void *self, broker_conn *conn, broker_buf *buf, broker_bytes data, int32_t text)
{
    client *c = self;

    (void)conn;
    (void)text; /* binary messages are taken as text */
    if (data.len == 4 && memcmp(data.ptr, "ping", 4) == 0)
        client_answer(c, "pong", 4);
    else if (c->s.want.publish)
        publish_data(c, buf, data);
}

static void on_drain(void *self, broker_conn *conn)
{
    client *c = self;

    (void)conn;
    c->clogged = false;
    client_flow(c);
}

static void on_close(void *self, broker_conn *conn, int32_t code, const char *why)
{
    client *c = self;
    broker_str address = c->w->net->address(conn);

    broker_logf(c->w->ctx, BROKER_LOG_DEBUG, "%.*s left '%s' (code %d%s%s)", (int)address.len,
                address.ptr, c->s.want.stream.data, code, why != NULL ? ": " : "",
                why != NULL ? why : "");
    if (c->joined) {
        feeds_leave(c);
        count_joined(c->w, c, -1);
    }
    client_unlink(c);
    c->conn = NULL;
    client_flow(c);
}

static broker_peer_calls calls_of(client *c)
{
    return (broker_peer_calls){.size = sizeof(broker_peer_calls),
                               .self = c,
                               .on_open = on_open,
                               .on_data = on_data,
                               .on_drain = on_drain,
                               .on_close = on_close};
}

/* ---- who is let in ---- */

/* False: a sentence in *why, and *status. key->data is NULL when none was shown. */
static bool key_check(websocket *w, const sb *key, broker_rc *status, sb *why)
{
    if (!w->access->required(w->ctx))
        return true;
    if (key->data == NULL) {
        *status = 401;
        sb_puts(why, "it shows no API key (parameter apiKey)");
        return false;
    }
    if (w->access->check(w->ctx, (broker_str){key->data, key->len}) == BROKER_OK)
        return true;
    *status = 403;
    sb_puts(why, "its API key is not one of this node's");
    return false;
}

/* A stream may have fewer partitions than there can be. */
static bool partitions_check(websocket *w, const target *t, sb *why)
{
    uint32_t known = w->bus->partitions(w->ctx, (broker_str){t->stream.data, t->stream.len});

    if (known == 0 || target_least_partitions(t) <= known)
        return true;
    sb_printf(why, "'%s' has %u partitions, so there is no partition %u", t->stream.data, known,
              target_least_partitions(t) - 1);
    return false;
}

/* A browser lets any page open a connection to anybody, this node included: where nobody shows a
 * key, pages may not publish with the node's signature unless they are listed. */
static bool origin_check(websocket *w, broker_conn *conn, const target *t, broker_rc *status,
                         sb *why)
{
    broker_str origin = w->net->header(conn, "Origin");
    sb listed = SB_INIT;
    bool ok;

    if (!t->publish || origin.ptr == NULL || w->access->required(w->ctx))
        return true;
    sb_json_string(&listed, origin.ptr, origin.len);
    ok = w->origins.len != 0 &&
         (memmem(w->origins.ptr, w->origins.len, "\"*\"", 3) != NULL ||
          memmem(w->origins.ptr, w->origins.len, listed.data, listed.len) != NULL);
    sb_done(&listed);
    if (!ok) {
        *status = 403;
        sb_printf(why,
                  "pages of '%.*s' may not publish here; list it in 'allowedOrigins', or ask for "
                  "API keys",
                  (int)origin.len, origin.ptr);
    }
    return ok;
}

/* BROKER_OK and *out, or the HTTP status to refuse with and a sentence in *why. */
static broker_rc request_check(websocket *w, broker_conn *conn, broker_str text, target *out,
                               sb *why)
{
    broker_rc status = 400;
    target t = {.publish = false};
    sb key = SB_INIT;

    if (!target_read(text, &t, &key, why) || !key_check(w, &key, &status, why) ||
        !origin_check(w, conn, &t, &status, why) || !partitions_check(w, &t, why)) {
        target_done(&t);
    } else {
        *out = t;
        status = BROKER_OK;
    }
    if (key.data != NULL)
        explicit_bzero(key.data, key.cap);
    sb_done(&key);
    return status;
}

static void chain_make(char chain[CHAIN_LEN + 1])
{
    uint8_t bytes[CHAIN_LEN / 2];

    random_bytes(bytes, sizeof bytes);
    hex_encode(chain, bytes, sizeof bytes);
    chain[CHAIN_LEN] = '\0';
}

broker_rc client_accept(void *self, broker_conn *conn, broker_str text, broker_peer_calls *calls)
{
    websocket *w = self;
    session s = {.conn = w->net->id(conn)};
    sb why = SB_INIT;
    broker_rc status = request_check(w, conn, text, &s.want, &why);

    if (status == BROKER_OK) {
        if (s.want.publish)
            chain_make(s.chain);
        *calls = calls_of(client_new(w, conn, &s));
    } else {
        broker_str address = w->net->address(conn);

        trouble_say(&w->trouble, status == 400 ? TROUBLE_TARGET : TROUBLE_KEY,
                    "refusing a request of %.*s with %d: %s", (int)address.len, address.ptr, status,
                    why.data);
    }
    sb_done(&why);
    return status;
}

/* ---- across builds ---- */

void client_adopt(websocket *w, session *s)
{
    client *c = client_new(w, NULL, s);
    broker_peer_calls calls = calls_of(c);

    if (w->net->adopt(w->ctx, c->s.conn, &calls, &c->conn) == BROKER_OK) {
        w->net->resume(c->conn); /* the build before may not have been reading it */
        client_join(c);
        return;
    }
    client_unlink(c);
    client_free(c);
}

void clients_forget(websocket *w)
{
    feeds_forget(w);
    while (w->clients != NULL) {
        client *c = w->clients;

        client_unlink(c);
        client_free(c);
    }
    w->n_joined[0] = w->n_joined[1] = 0;
    w->room_asked = false;
}
