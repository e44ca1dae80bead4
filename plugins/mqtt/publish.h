/* publish -- PUBLISH packets and wills become publications of the bus; their outcomes become
 * acknowledgements, in the order of the packets (MQTT-4.6.0). [loop]
 *
 * An acknowledgement means what it means everywhere in the node: on disk where something stores
 * the stream part, delivered where nothing does. MQTT 3.1.1 has no way to say no, so a client
 * whose publication of QoS 1 or 2 is refused loses its connection. */
#ifndef MQTT_PUBLISH_H
#define MQTT_PUBLISH_H

#include "client.h"
#include "packet.h"

#define CHAIN_MAX 256u /* bytes; broker_publication.chain */

/* False: the bus is full; the same packet again when there is room. */
bool publish_packet(client *c, const packet_publish *sent);
/* A message chain for a connection: "<client id>~<random>", appended. What a client sends again
 * on its next connection may be older than the last message of the chain before. */
void publish_chain(const parcel *client_id, sb *out);
/* 20 letters that nobody has had before. */
void publish_draw(sb *out);
/* Takes the will. */
void publish_will(will *w, mqtt *m);
/* The bus has room: wills that waited. */
void publish_wills(mqtt *m);
/* Whether the topic and the payload of a will could be published. */
bool publish_check(mqtt *m, broker_str topic, broker_bytes payload, sb *why);
/* The session ends: outcomes of its publications are nobody's any more. */
void publish_leave(session *s);

#endif
