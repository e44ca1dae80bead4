/* session -- what is kept of a client while it is away, and the table of all. [loop]
 *
 * A session has a client id, subscriptions, letters (QoS 1 towards the client) and the ids of
 * PUBLISH packets of QoS 2 it has not released yet. A clean one ends with its connection; others
 * are kept for a time, and at most so many: the one that has been away longest goes first. Pure:
 * no sockets, no clock. */
#ifndef MQTT_SESSION_H
#define MQTT_SESSION_H

#include "letters.h"

#include <broker/plugin.h>

#define CLIENT_ID_MAX     1024u
#define SUBSCRIPTIONS_MAX 1024u /* of one session */

struct client;
struct part;
struct post;

typedef struct session session;

/* One topic of one client. Owned by the session, known to the part. */
typedef struct subscription {
    struct subscription *next; /* of the session                     */
    session *session;
    parcel *topic; /* as the client wrote it             */
    uint8_t qos;
    struct part *part;
    struct subscription *part_next, **part_at;
} subscription;

struct session {
    session *next; /* of one slot of the table */
    session *older, *newer;
    bool away; /* in the list of those without a connection */
    uint64_t away_since_ms;
    parcel *client_id;
    bool clean;
    sb key; /* that the client has shown, checked again after a swap */
    letters letters;
    subscription *subscriptions;
    uint32_t n_subscriptions;
    uint8_t *received; /* NULL, or a bit for each packet id */
    struct client *client;
    struct post *posts, **posts_end; /* its publications in flight, in order */
    uint32_t n_posts;
};

typedef struct session_table {
    letters_limits limits;
    session **slots;
    size_t n;
    session *oldest, *newest; /* of those away */
    size_t n_away;
    /* Gives up a session's subscriptions and publications, before it is freed. */
    void (*leave)(void *arg, session *s);
    void *leave_arg;
} session_table;

void session_table_init(session_table *t, const letters_limits *limits,
                        void (*leave)(void *arg, session *s), void *arg);
void session_table_done(session_table *t);
session *session_find(const session_table *t, broker_str client_id);
/* There is none with this id yet. */
session *session_add(session_table *t, broker_str client_id, bool clean);
void session_drop(session_table *t, session *s);
/* The connection has ended; the session is not a clean one. */
void session_leave(session_table *t, session *s, uint64_t now_ms);
void session_return(session_table *t, session *s);
/* Drop those that have been away since `before_ms` or longer, and the ones away longest while more
 * than max are. How many. */
size_t session_expire(session_table *t, uint64_t before_ms, size_t max);

subscription *session_subscription(const session *s, broker_str topic);

/* QoS 2, towards us. False: the id was known already. */
bool session_receive(session *s, uint16_t id);
void session_release(session *s, uint16_t id);
bool session_has_received(const session *s, uint16_t id);

#endif
