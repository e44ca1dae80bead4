/* packet -- MQTT 3.1.1 control packets: bytes <-> structs. [any]
 *
 * (OASIS MQTT Version 3.1.1.) Pure: no state, no allocation on reading; what was read points into
 * the bytes it was read from. Readers are strict: reserved bits, UTF-8, packet ids that are zero
 * and bytes that are left over are errors, as the standard has it. An error is a constant
 * sentence. */
#ifndef MQTT_PACKET_H
#define MQTT_PACKET_H

#include "base/base.h"

#include <broker/plugin.h>

#define PACKET_CONNECT     1u
#define PACKET_CONNACK     2u
#define PACKET_PUBLISH     3u
#define PACKET_PUBACK      4u
#define PACKET_PUBREC      5u
#define PACKET_PUBREL      6u
#define PACKET_PUBCOMP     7u
#define PACKET_SUBSCRIBE   8u
#define PACKET_SUBACK      9u
#define PACKET_UNSUBSCRIBE 10u
#define PACKET_UNSUBACK    11u
#define PACKET_PINGREQ     12u
#define PACKET_PINGRESP    13u
#define PACKET_DISCONNECT  14u

/* What CONNACK says. */
#define CONNACK_ACCEPTED        0u
#define CONNACK_BAD_VERSION     1u
#define CONNACK_BAD_CLIENT_ID   2u
#define CONNACK_UNAVAILABLE     3u
#define CONNACK_BAD_CREDENTIALS 4u
#define CONNACK_NOT_AUTHORISED  5u

#define SUBACK_REFUSED 0x80u
#define FILTERS_MAX    1024u /* in one packet: each costs time, and the loop serves others too */

/* ---- In ---- */

typedef struct packet {
    uint8_t type;  /* PACKET_*               */
    uint8_t flags; /* of the fixed header    */
    view body;     /* behind the fixed header */
} packet;

typedef enum packet_state { PACKET_WHOLE, PACKET_PART, PACKET_BROKEN } packet_state;

/* Cut the next packet off *in. PACKET_PART: more bytes are needed, *in is as it was.
 * PACKET_BROKEN: *why; a body longer than max is one such case, found as soon as its length is
 * known. */
packet_state packet_next(view *in, size_t max, packet *out, const char **why);

typedef struct packet_connect {
    uint8_t level; /* of the protocol; what follows is read for level 4 only */
    bool clean;
    uint16_t keep_alive_s;
    broker_str client_id;
    bool has_will, will_retain;
    uint8_t will_qos;
    broker_str will_topic;
    broker_bytes will_payload;
    bool has_password;
    broker_str password;
} packet_connect;

typedef struct packet_publish {
    bool dup, retain;
    uint8_t qos;
    uint16_t id; /* 0 with QoS 0 */
    broker_str topic;
    broker_bytes payload;
} packet_publish;

/* Each returns NULL, or what is wrong with the packet. */
const char *packet_read_connect(const packet *p, packet_connect *out);
const char *packet_read_publish(const packet *p, packet_publish *out);
/* PUBACK, PUBREC, PUBREL, PUBCOMP. */
const char *packet_read_ack(const packet *p, uint16_t *id);
/* PINGREQ, DISCONNECT. */
const char *packet_read_empty(const packet *p);
/* SUBSCRIBE and UNSUBSCRIBE: the id, checked whole, then one topic filter after the other from
 * *filters. False: that was the last. */
const char *packet_read_filters(const packet *p, uint16_t *id, view *filters);
bool packet_next_filter(view *filters, bool with_qos, broker_str *filter, uint8_t *qos);

/* ---- Out, appended ---- */

void packet_put_connack(sb *out, bool session_present, uint8_t code);
/* The refusal a client of MQTT 5 understands: unsupported protocol version. */
void packet_put_connack_v5_refusal(sb *out);
void packet_put_publish(sb *out, const packet_publish *p);
/* PUBACK, PUBREC, PUBREL, PUBCOMP, UNSUBACK. */
void packet_put_ack(sb *out, uint8_t type, uint16_t id);
void packet_put_suback(sb *out, uint16_t id, const uint8_t *codes, size_t n);
void packet_put_pingresp(sb *out);

#endif
