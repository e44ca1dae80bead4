/* state -- sessions and connections on their way to the next build: a blob of msgpack. [loop]
 *
 *   ["mqtt", 1, [parcel...], [[ms away, session]...], [client...]]
 *   session: [client id, clean, key, last packet id, [[topic, qos]...],
 *             [[packet id, sent, sent before, topic, payload]...], [[topic, payload]...], [received
 * id...]] client:  [connection, session or nil, ms of silence allowed, ms open, will or nil, bytes
 * received]
 *
 * Topics and payloads are numbers of parcels, so that what a thousand sessions share is written
 * once. The blob is checked as a whole before anything is taken from it. */
#ifndef MQTT_STATE_H
#define MQTT_STATE_H

#include "mqtt.h"

void state_write(mqtt *m, sb *out);
/* False: another build wrote it; nothing was taken. Connections are adopted. Those who no longer
 * show a valid key are left out, and so is what the limits of this build do not allow. */
bool state_read(mqtt *m, broker_bytes blob);

#endif
