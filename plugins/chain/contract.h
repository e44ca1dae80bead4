/* contract -- the calls of Streamr's contracts and of ERC-1271, written and read. Pure. [any] */
#ifndef CHAIN_CONTRACT_H
#define CHAIN_CONTRACT_H

#include "base/base.h"

#include <broker/plugin.h>

/* Parameters of eth_call: [{"to":..,"data":..},"latest"]. */
void contract_permissions(sb *out, const uint8_t registry[20], broker_str stream,
                          broker_bytes user);
void contract_metadata(sb *out, const uint8_t registry[20], broker_str stream);
void contract_is_storage_node(sb *out, const uint8_t registry[20], broker_str stream,
                              const uint8_t node[20]);
void contract_is_valid_signature(sb *out, const uint8_t contract[20], const uint8_t digest[32],
                                 broker_bytes signature);

/* The JSON of results. False: not what the function returns. */
typedef struct contract_rights {
    int64_t publish_until_s, subscribe_until_s;
} contract_rights;
bool contract_read_permissions(const char *text, contract_rights *out);
/* How many partitions the metadata says; 1 where it says nothing. */
bool contract_read_partitions(const char *text, int64_t *out);
bool contract_read_bool(const char *text, int64_t *out);
/* Any result is an answer here, also none at all. */
bool contract_read_is_magic(const char *text);

#endif
