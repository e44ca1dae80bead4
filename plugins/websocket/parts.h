/* parts -- what the files of the plugin share: the plugin and its clients. [loop] throughout.
 *
 * A client is one connection, of one kind for its life. It is in the list of the plugin until it
 * is closed; one that published is freed when the outcomes of its messages are known. */
#ifndef WEBSOCKET_PARTS_H
#define WEBSOCKET_PARTS_H

#include "state.h"
#include "trouble.h"

#define FEED_SLOTS 1024u

typedef struct websocket websocket;
typedef struct client client;
typedef struct feed feed;               /* feed.c */
typedef struct publication publication; /* publish.c */
typedef struct held held;               /* publish.c */

struct client {
    websocket *w;
    broker_conn *conn;  /* NULL: closed */
    client *next, **at; /* in w->clients */
    session s;
    bool joined;  /* counted, and subscribed if it subscribes */
    bool leaving; /* we have closed it; on_close() is still to come */
    bool clogged; /* does not read what we answer: waits for on_drain() */
    bool paused;
    /* publish */
    publication *first, **last; /* in order of arrival, until they are answered */
    size_t in_flight;           /* in that list */
    held *held, **last_held;    /* messages that wait to be published */
    bool waits_for_room;        /* in w->waiting */
    client *next_waiting;
};

struct websocket {
    broker_ctx *ctx;
    const broker_config *config;
    const broker_bus *bus;
    const broker_net *net;
    const broker_access *access;
    const broker_metrics *metrics;
    const broker_work *work;
    bool wrapped;       /* option payloadMetadata */
    broker_str origins; /* option allowedOrigins, as JSON */
    size_t max_queued;
    broker_listener *listener;
    client *clients;
    unsigned n_joined[2];            /* by session.want.publish */
    size_t in_flight;                /* publications of all clients, closed ones too */
    client *waiting, **last_waiting; /* publishers that the bus had no room for */
    bool room_asked;                 /* bus->on_room() will call */
    feed *feeds[FEED_SLOTS];
    sb frames; /* of a parcel being made; feed.c */
    broker_timer *timer;
    trouble trouble;
    broker_metric *connections[2], *in, *out, *queued;
};

/* ---- client.c ---- */

/* The listener's accepted(); self is the plugin. */
broker_rc client_accept(void *self, broker_conn *conn, broker_str text, broker_peer_calls *calls);
/* Go on with a connection of the build before, unless it has ended; takes what s owns. */
void client_adopt(websocket *w, session *s);
/* Forget all of them; their connections stay open. */
void clients_forget(websocket *w);

/* A frame to one client, as an answer to what it sent: when it does not read them it is not read
 * either. */
void client_answer(client *c, const char *text, size_t len);
/* End it; reason is what the client is told. */
void client_close(client *c, int32_t code, const char *reason);
/* Read it, or not, as its state says; free it when it is closed and nothing of it is in flight.
 * The last thing a callback does: messages may follow at once, and c may be gone. */
void client_flow(client *c);

/* ---- publish.c ---- */

void publish_init(client *c);
void publish_data(client *c, broker_buf *buf, broker_bytes data);

/* ---- feed.c ---- */

/* BROKER_OK, or it is in no feed. */
broker_rc feeds_join(client *c);
void feeds_leave(client *c);
/* Forget all feeds and who is in them; the bus still has their subscriptions. */
void feeds_forget(websocket *w);

#endif
