/* letters -- messages of QoS 1 on their way to one client. [loop]
 *
 * A window of those that were sent and wait for PUBACK, in the order they were sent, and a queue
 * behind it, both bounded. What waits for PUBACK when the connection ends is sent again on the
 * next one, first and with DUP, as MQTT has it. Pure: packets are appended to a byte string. */
#ifndef MQTT_LETTERS_H
#define MQTT_LETTERS_H

#include "base/base.h"

/* Bytes that several letters share: a payload, a topic. */
typedef struct parcel {
    uint32_t refs;
    uint32_t mark; /* its number in a state blob, while one is written */
    size_t len;
    char bytes[];
} parcel;

parcel *parcel_new(const void *bytes, size_t len);
parcel *parcel_retain(parcel *p);
void parcel_release(parcel *p); /* accepts NULL */

typedef struct letter {
    parcel *topic, *payload;
    uint16_t id; /* 0 in the queue                      */
    bool sent;   /* on the connection there is now      */
    bool again;  /* on one before: DUP                  */
} letter;

typedef struct letters_limits {
    uint32_t window; /* letters                               */
    uint32_t queued; /* letters behind the window             */
    size_t bytes;    /* of the payloads of either             */
} letters_limits;

typedef struct letters {
    const letters_limits *limits;
    letter *window;
    uint32_t n_window;
    size_t window_bytes;
    letter *queue; /* a ring */
    uint32_t head, n_queue, cap;
    size_t queue_bytes;
    uint16_t last_id;
} letters;

/* limits stay valid as long as the letters. */
void letters_init(letters *l, const letters_limits *limits);
void letters_done(letters *l);
/* Retains both. How many of the oldest in the queue had to go, this one among them when it is
 * larger than the queue may be. */
uint32_t letters_put(letters *l, parcel *topic, parcel *payload);
/* Append PUBLISH packets to out while it is shorter than `until` bytes. */
void letters_pump(letters *l, sb *out, size_t until);
/* False: no letter waits for this id. */
bool letters_acked(letters *l, uint16_t id);
/* The connection has ended. */
void letters_unsend(letters *l);
/* For what another build has written: false when the limits are reached. */
bool letters_restore(letters *l, const letter *one);

#endif
