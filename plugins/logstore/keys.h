/* keys -- the byte layout of everything in RocksDB; nobody else knows it.
 *
 * A message:   part be32 | timestamp be64 | sequence be32 | publisher be32 | chain
 *              -> version u8 | flags u8 | crc32c be32 of the rest | protobuf as received
 * In "default": "v"                        -> format version be32
 *               "a"                        -> oldest timestamp of a dated slab, be64
 *               "p" partition be32 stream  -> id be32, messages be64, bytes be64,
 *                                             first be64, last be64, class be64
 *               "u" publisher              -> id be32
 * Integers are big-endian, so bytes sort as numbers do. Timestamps and sequence numbers
 * are never negative (streamr_decode). Pure, [any]. */
#ifndef LOGSTORE_KEYS_H
#define LOGSTORE_KEYS_H

#include "base/base.h"

#include <broker/plugin.h>

#define FORMAT_VERSION 1u

#define KEY_FIXED          20u /* bytes before the chain */
#define VALUE_HEAD         6u  /* bytes before the protobuf */
#define VALUE_VERSION      1u
#define VALUE_UNVERIFIABLE (1u << 0)

typedef struct part_record {
    uint32_t id;
    uint64_t messages, bytes;
    int64_t first_ms, last_ms; /* first_ms > last_ms: none yet */
    int64_t max_age_ms;        /* retention class; 0: kept for good */
} part_record;

void key_make(sb *out, uint32_t part, int64_t timestamp_ms, int32_t sequence, uint32_t publisher,
              broker_str chain);
int64_t key_timestamp(const uint8_t *key);
int32_t key_sequence(const uint8_t *key);
uint32_t key_publisher(const uint8_t *key);

void value_head_make(uint8_t head[VALUE_HEAD], uint8_t flags, broker_bytes raw);
/* The protobuf in a stored value; false: damaged, or of a newer format. */
bool value_open(const uint8_t *value, size_t len, broker_bytes *raw, uint8_t *flags);

void part_key_make(sb *out, broker_str stream, uint32_t partition);
bool part_key_open(const uint8_t *key, size_t len, broker_str *stream, uint32_t *partition);
void part_record_make(sb *out, const part_record *p);
bool part_record_open(const uint8_t *bytes, size_t len, part_record *out);

#endif
