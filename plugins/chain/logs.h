/* logs -- what eth_getLogs and eth_getBlockByNumber answer, cut down to what counts, and read.
 * Pure. [any] */
#ifndef CHAIN_LOGS_H
#define CHAIN_LOGS_H

#include "base/base.h"

#include <broker/plugin.h>

typedef enum log_kind {
    LOG_ADDED,   /* a storage node to a stream          */
    LOG_REMOVED, /* from it                             */
    LOG_CHANGED, /* the stream, or what is permitted    */
} log_kind;

typedef struct chain_log {
    uint64_t block, index;
    log_kind kind;
    uint8_t node[20]; /* of ADDED, REMOVED */
    const char *stream;
    size_t stream_len;
} chain_log;

/* Parameters. */
void logs_put_range(sb *out, const uint8_t streams[20], const uint8_t storage[20], uint64_t from,
                    uint64_t to);
void logs_put_block(sb *out, uint64_t number);

/* For rpc_how.reduce. */
char *logs_reduce(const char *text);
char *logs_reduce_block(const char *text); /* "0x<hash>"; NULL: there is no such block */

/* Logs of blocks from..to that are one of these, in their order; of what logs_reduce() gave. False:
 * it is not that. */
bool logs_read(const char *text, uint64_t from, uint64_t to,
               void (*each)(void *arg, const chain_log *log), void *arg);
bool logs_read_hash(const char *text, uint8_t out[32]);

#endif
