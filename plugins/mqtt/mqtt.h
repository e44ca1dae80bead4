/* mqtt -- what the parts of the plugin share: services, settings, counters, sessions. [loop] */
#ifndef MQTT_MQTT_H
#define MQTT_MQTT_H

#include "session.h"

#include "base/base.h"

#include <broker/plugin.h>

#define CONNECT_MAX     16384u /* bytes of a CONNECT packet: what a stranger may make us keep */
#define CONNECT_WAIT_MS 10000u /* for it */
#define POSTS_MAX       256u   /* publications of one client in flight; then its socket rests */
#define PARTS_MAX       10000u /* stream parts that clients subscribe to, in all */
#define HIGH_WATER      262144u
#define LOW_WATER       65536u

typedef enum mqtt_count {
    COUNT_STORED,
    COUNT_UNSTORED,
    COUNT_REFUSED,
    COUNT_FAILED,
    COUNT_DELIVERED_0,
    COUNT_DELIVERED_1,
    COUNT_DROPPED_SLOW,
    COUNT_DROPPED_QUEUE,
    COUNT_DROPPED_ENCRYPTED,
    COUNT_DROPPED_NOT_OBJECT,
    COUNT_ACCEPTED,
    COUNT_BAD_VERSION,
    COUNT_BAD_CLIENT_ID,
    COUNT_BAD_KEY,
    COUNT_BAD_WILL,
    COUNT_NO_CONNECT,
    COUNT_LEFT,
    COUNT_LOST,
    COUNT_BROKE_RULES,
    COUNT_SILENT,
    COUNT_TAKEN_OVER,
    COUNT_UNPUBLISHED,
    COUNT_WILLS,
    COUNT_WILLS_LOST,
    COUNT_SESSIONS_DROPPED,
    COUNTS,
} mqtt_count;

/* What is said to the operator, at most a few lines a minute of each kind. */
typedef enum mqtt_topic_of_talk { SAY_CLIENT, SAY_PUBLISH, SAY_CONTENT, SAYS } mqtt_topic_of_talk;

typedef struct mqtt_settings {
    bool wrapped; /* payloadMetadata */
    broker_str domain;
    uint32_t max_packet;
    uint32_t max_sessions;
    uint32_t keep_alive_max_s;
    uint64_t session_ms;
} mqtt_settings;

typedef struct mqtt {
    broker_ctx *ctx;
    const broker_config *config;
    const broker_bus *bus;
    const broker_net *net;
    const broker_access *access;
    const broker_work *work;
    const broker_metrics *metrics;
    mqtt_settings settings;
    broker_metric *counts[COUNTS];
    broker_metric *connections, *sessions_kept, *stream_parts;
    struct {
        uint64_t since_ms;
        uint32_t said, kept_back;
    } talk[SAYS];
    broker_listener *listener;
    broker_timer *timer;
    session_table sessions;
    struct client *clients, *dirty;
    size_t n_clients;
    uint64_t deaf_since_ms; /* a swap is near: client_check_times(); 0: none is */
    uint64_t last_connection;
    struct part **parts;
    size_t n_parts;
    size_t n_posts;     /* publications in flight, wills among them */
    struct will *wills; /* that the bus had no room for, oldest first */
    size_t n_wills;
    bool room_asked;
    sb scratch;
} mqtt;

uint64_t mqtt_now(const mqtt *m);
void mqtt_count_add(mqtt *m, mqtt_count what, size_t n);
/* A line of what a stranger can cause: held back when there are too many of its kind. */
void mqtt_say(mqtt *m, mqtt_topic_of_talk kind, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* A stranger's text for a log line: cut, and without what is not plain ASCII. */
typedef struct mqtt_shown {
    char text[68];
} mqtt_shown;
mqtt_shown mqtt_show(broker_str text);
/* As soon as the bus takes messages again, wills and then clients go on. */
void mqtt_ask_for_room(mqtt *m);

#endif
