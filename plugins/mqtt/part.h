/* part -- one bus subscription for each stream part that clients want, shared by all of them.
 * [loop]
 *
 * A message is written out once and goes to every subscription of the part under the topic its
 * client wrote, however that spells the stream part. */
#ifndef MQTT_PART_H
#define MQTT_PART_H

#include "mqtt.h"

/* Subscribe, or change the QoS of a subscription with this very topic and move it to where its key
 * belongs now. False: *why. */
bool part_subscribe(mqtt *m, session *s, broker_str topic, uint8_t qos, sb *why);
void part_unsubscribe(subscription *sub);

#endif
