/* pack -- msgpack maps with text keys: what builds hand over and what the admin socket says.
 *
 * A map is written key by key and read key by key, so that what writes and what reads may be
 * of different versions. Reading is bounded by the bytes given. Objects are used by one
 * thread at a time. */
#ifndef PACK_PACK_H
#define PACK_PACK_H

#include "base/base.h"

/* ---- Writing: pack_map(n), then n pairs ---- */
void pack_map(sb *out, uint32_t n);
void pack_bool(sb *out, const char *key, bool value);
void pack_int(sb *out, const char *key, int64_t value);
void pack_uint(sb *out, const char *key, uint64_t value);
void pack_text(sb *out, const char *key, const char *text);
void pack_bytes(sb *out, const char *key, const void *bytes, size_t len);
/* n elements follow, each a map. */
void pack_list(sb *out, const char *key, uint32_t n);

/* ---- Reading ---- */
typedef struct unpacked unpacked;
typedef struct unpacked_map unpacked_map; /* borrowed from its unpacked */

/* 1: *out, freed by unpacked_free(); 0: the bytes are the beginning of one; -1: they are not
 * one map, or it is nested too deeply. */
int unpack(const void *bytes, size_t len, unpacked **out);
void unpacked_free(unpacked *u); /* accepts NULL */
const unpacked_map *unpacked_root(const unpacked *u);

/* The value at a key; the fallback when it is absent or of another type. */
bool unpack_bool(const unpacked_map *m, const char *key, bool fallback);
int64_t unpack_int(const unpacked_map *m, const char *key, int64_t fallback);
uint64_t unpack_uint(const unpacked_map *m, const char *key, uint64_t fallback);
/* Text or bytes, borrowed; NULL when absent. */
const char *unpack_bytes(const unpacked_map *m, const char *key, size_t *len);
/* Text without a NUL in it, copied; NULL when absent or empty. */
char *unpack_text(const unpacked_map *m, const char *key);
/* Elements of a list, 0 when absent; an element that is no map is NULL. */
uint32_t unpack_list(const unpacked_map *m, const char *key);
const unpacked_map *unpack_element(const unpacked_map *m, const char *key, uint32_t i);

#endif
