/* streamr_parts -- what the plugin `streamr` offers other plugins, by "broker.registry/1": how far
 * stream parts reach.
 *
 *      registry->follow(ctx, STREAMR_PARTS_ID, &peer);                in start()
 *      parts = registry->enter(peer, &self);        NULL: this node is in no network now
 *      if (parts->neighbors(self, stream, 0) > 0) ...
 *      registry->leave(peer);
 *
 * [loop] throughout. The table grows at the end only; see its size. */
#ifndef STREAMR_PARTS_H
#define STREAMR_PARTS_H

#include <broker/plugin.h>

#define STREAMR_PARTS_ID "streamr.parts/1"

typedef struct streamr_parts {
    uint32_t size;
    uint32_t reserved;
    /* How many nodes messages of a stream part come from and go to; -1: it is not joined. */
    int32_t (*neighbors)(void *self, broker_str stream, uint32_t partition);
} streamr_parts;

#endif
