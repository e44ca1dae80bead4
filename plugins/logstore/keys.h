/* keys -- the byte layout of everything in RocksDB; nobody else knows it.
 *
 * A slab is the column family "slab-<id>", the id in decimal. In it are messages:
 *      part be32 | timestamp be64 | sequence be32 | publisher be32 | chain
 *        -> version u8 | flags u8 | crc32c be32 of the rest | protobuf as received
 * In "default":
 *      "v"                          -> format version be32
 *      "a"                          -> older messages of a class without maxAgeMs share a slab,
 * be64 "p" partition be32 stream    -> part id be32 "u" publisher                -> publisher id
 * be32 "s" slab be32                -> first timestamp be64, the one after its last be64, group "n"
 * slab be32 part be32      -> what the slab has of the part: messages be64, bytes be64, oldest
 * timestamp be64, newest be64 The group of a slab says which messages come into it (slab.h). A
 * column family without an "s" has nothing that was acknowledged. Integers are big-endian, so bytes
 * sort as numbers do. Timestamps and sequence numbers are never negative (streamr_decode). Pure,
 * [any]. */
#ifndef LOGSTORE_KEYS_H
#define LOGSTORE_KEYS_H

#include "base/base.h"

#include <broker/plugin.h>

#define FORMAT_VERSION 1u

#define KEY_FIXED          20u /* bytes before the chain */
#define VALUE_HEAD         6u  /* bytes before the protobuf */
#define VALUE_VERSION      1u
#define VALUE_UNVERIFIABLE (1u << 0)

/* What there is of a stream part, in one slab or in all. */
typedef struct counts {
    uint64_t messages, bytes;  /* bytes of protobuf, as received */
    int64_t first_ms, last_ms; /* with messages != 0 */
} counts;

typedef struct slab_record {
    int64_t start_ms, end_ms;
    broker_str group;
} slab_record;

void key_make(sb *out, uint32_t part, int64_t timestamp_ms, int32_t sequence, uint32_t publisher,
              broker_str chain);
uint32_t key_part(const uint8_t *key);
int64_t key_timestamp(const uint8_t *key);
int32_t key_sequence(const uint8_t *key);
uint32_t key_publisher(const uint8_t *key);

void value_head_make(uint8_t head[VALUE_HEAD], uint8_t flags, broker_bytes raw);
/* The protobuf in a stored value; false: damaged, or of a newer format. */
bool value_open(const uint8_t *value, size_t len, broker_bytes *raw, uint8_t *flags);

void part_key_make(sb *out, broker_str stream, uint32_t partition);
bool part_key_open(const uint8_t *key, size_t len, broker_str *stream, uint32_t *partition);

void slab_key_make(sb *out, uint32_t slab);
bool slab_key_open(const uint8_t *key, size_t len, uint32_t *slab);
void slab_record_make(sb *out, const slab_record *r);
bool slab_record_open(const uint8_t *bytes, size_t len, slab_record *out);

void counts_key_make(sb *out, uint32_t slab, uint32_t part);
bool counts_key_open(const uint8_t *key, size_t len, uint32_t *slab, uint32_t *part);
void counts_make(sb *out, const counts *c);
bool counts_open(const uint8_t *bytes, size_t len, counts *out);

void slab_name_make(char out[24], uint32_t slab);
/* False: not the column family of a slab. */
bool slab_name_open(const char *name, uint32_t *slab);

#endif
