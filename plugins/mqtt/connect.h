/* connect -- CONNECT: who may come in, which session it opens. [loop] */
#ifndef MQTT_CONNECT_H
#define MQTT_CONNECT_H

#include "client.h"
#include "packet.h"

/* NULL, or what is wrong with the packet. A client that is refused is answered and closed. */
const char *connect_packet(client *c, const packet *connect);

#endif
