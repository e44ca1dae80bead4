/* topic -- what an MQTT topic says: "<stream id>[?partition=N|partitionKey=K|partitionKeyField=F]".
 * [any]
 *
 * The id begins behind the configured domain, when there is one; the query begins behind the last
 * '?' and is percent-encoded. */
#ifndef MQTT_TOPIC_H
#define MQTT_TOPIC_H

#include "base/base.h"

#include <broker/plugin.h>

#define TOPIC_MAX 4096u /* bytes; more than a stream id and a key need */

typedef enum topic_choice { TOPIC_ANY, TOPIC_PARTITION, TOPIC_KEY, TOPIC_FIELD } topic_choice;

typedef struct topic {
    sb stream; /* the stream id, its domain in lower case */
    topic_choice choice;
    uint32_t partition; /* TOPIC_PARTITION                       */
    sb value;           /* the key, or the name of the field     */
} topic;

#define TOPIC_INIT                                                                                 \
    {                                                                                              \
        .choice = TOPIC_ANY                                                                        \
    }

/* False: a sentence in *why. *out is a TOPIC_INIT or one that was read; empty it with
 * topic_done() in either case. domain: "" or what stands before the topic with a slash. */
bool topic_read(broker_str text, broker_str domain, topic *out, sb *why);
void topic_done(topic *t);

#endif
