/* state -- sessions and connections on their way to the next build (lib/pack). [loop]
 *
 *   { version 1, parcels [{bytes}], away [{ms, <session>}], clients [{conn, silence, open, in,
 *     will-topic, will-payload, chain, <session>}] }
 *   session: id, clean, key, last-id, received, subscriptions [{topic, qos}],
 *            window [{id, sent, again, topic, payload}], queue [{topic, payload}]
 *
 * Topics and payloads are numbers of parcels, so that what a thousand sessions share is written
 * once. A client before CONNECT has no session, and no id. */
#ifndef MQTT_STATE_H
#define MQTT_STATE_H

#include "mqtt.h"

void state_write(mqtt *m, sb *out);
/* False: another build wrote it; nothing was taken. Connections are adopted. Those who no longer
 * show a valid key are left out, and so is what the limits of this build do not allow. */
bool state_read(mqtt *m, broker_bytes blob);

#endif
