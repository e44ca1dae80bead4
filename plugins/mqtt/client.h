/* client -- one connection: its bytes in, its packets out, its time limits. [loop]
 *
 * Life: accepted -> CONNECT opens a session -> packets -> closed by either side. The socket is not
 * read while the client has too many publications in flight, the bus is full, or the client
 * itself does not read. Answers gather in `out` and are sent once an event. */
#ifndef MQTT_CLIENT_H
#define MQTT_CLIENT_H

#include "mqtt.h"
#include "topic.h"

/* What the broker publishes for a client that is lost. */
typedef struct will {
    struct will *next;
    sb topic, payload;
    parcel *client_id;
} will;
void will_free(will *w); /* accepts NULL */

typedef struct client {
    struct client *next, **at;
    struct client *dirty_next;
    mqtt *m;
    broker_conn *conn;
    session *session; /* NULL before CONNECT and after the end */
    uint64_t number;  /* of the connection; never the same twice */
    uint64_t opened_ms, heard_ms;
    uint64_t silence_ms; /* that ends it; 0: none does */
    size_t queued;       /* with the host, at the last look */
    will *will;
    sb chain; /* of what it publishes */
    sb in;    /* a packet that is not whole yet, or what waits */
    sb out;   /* not sent yet */
    topic last_topic;
    sb last_topic_text;
    bool dirty;   /* in the list of those that have something to send */
    bool full;    /* it does not read: on_drain() follows */
    bool starved; /* the bus has no room: mqtt_ask_for_room() */
    bool doomed;  /* ends when the acknowledgements before are sent */
    bool paused;
    bool closing;
} client;

broker_rc client_accepted(void *self, broker_conn *conn, broker_str target,
                          broker_peer_calls *calls);
/* One of the build before. NULL: it has ended meanwhile. What it has to do (`in`, letters) it does
 * with the next client_check_times(). */
client *client_adopt(mqtt *m, uint64_t conn_id);

/* Where packets for the client are appended; they are sent by client_flush_all(). */
sb *client_out(client *c);
void client_flush_all(mqtt *m);
/* All that waits, of clients that do not read too: there is no on_drain() to come. */
void client_flush_last(mqtt *m);
/* When it is much already: do not let it grow until the event ends. */
void client_flush_long(client *c);
/* Letters of its session, as many as it takes now. */
void client_pump(client *c);
/* Go on with what was received, if nothing holds it back any more. */
void client_run(client *c);
/* End the connection; what is to send goes out first. The will is published unless the client
 * said goodbye. */
void client_close(client *c, mqtt_count why, const char *line);
/* Close those that are late. */
void client_check_times(mqtt *m);
/* Forget all, without closing a connection. */
void client_forget_all(mqtt *m);
/* Keep no large buffer for the next small message. */
void client_scratch_trim(sb *b);

#endif
