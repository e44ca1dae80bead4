/* cluster -- which stream parts are this node's, of those assigned to its cluster. Pure, [any].
 *
 * The nodes of a cluster have one address on the chain and share its streams: a part is the
 * node's whose index its name hashes to. (Streamr storage API 1.8.) */
#ifndef LOGSTORE_CLUSTER_H
#define LOGSTORE_CLUSTER_H

#include "base/base.h"

#include <broker/plugin.h>

typedef struct cluster {
    uint8_t address[20];
    uint32_t size, index;
} cluster;

bool cluster_owns(const cluster *c, broker_str stream, uint32_t partition);

/* The settings `cluster`; without clusterAddress it is the node's own. False: a sentence in *why.
 */
bool cluster_read(const char *json, size_t len, const uint8_t own[20], cluster *out, sb *why);

#endif
