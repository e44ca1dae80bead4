/* base -- what every part stands on: assertions, byte strings, hex, UTF-8,
 * clocks, random bytes. Depends on nothing but libc. All functions are [any]
 * thread; an object is used by one thread at a time. */
#ifndef BASE_BASE_H
#define BASE_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* For our bugs, not for the world's: stays on in release builds. */
#define must(cond)                                                                                 \
    do {                                                                                           \
        if (__builtin_expect(!(cond), 0))                                                          \
            must_failed(#cond, __FILE__, __LINE__);                                                \
    } while (0)
_Noreturn void must_failed(const char *cond, const char *file, int line);

/* malloc and friends that abort on exhaustion: for small, bounded, internal
 * objects. What a peer can size is allocated with malloc and checked. */
void *must_alloc(size_t len); /* zeroed */
void *must_realloc(void *p, size_t len);
char *must_strdup(const char *s);
char *must_strndup(const char *s, size_t len);

/* Move ownership: the source is empty afterwards. */
#define TAKE(to, from)                                                                             \
    do {                                                                                           \
        (to) = (from);                                                                             \
        (from) = NULL;                                                                             \
    } while (0)

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

/* The struct that holds `member`, from the member's address. */
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* ---- sb: a growing byte string; data is NUL-terminated after every append ---- */
typedef struct sb {
    char *data;
    size_t len, cap;
} sb;
#define SB_INIT                                                                                    \
    {                                                                                              \
        NULL, 0, 0                                                                                 \
    }
void sb_done(sb *b);
void sb_clear(sb *b);
void sb_append(sb *b, const void *bytes, size_t len);
void sb_puts(sb *b, const char *s);
void sb_putc(sb *b, char c);
void sb_printf(sb *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void sb_vprintf(sb *b, const char *fmt, va_list args);
void sb_put_utf8(sb *b, uint32_t c); /* c is a Unicode scalar value */
char *sb_room(sb *b, size_t len);    /* len writable bytes at the end; then sb->len += used */
/* s as a JSON string, quotes included; bytes that are not UTF-8 become U+FFFD. */
void sb_json_string(sb *b, const char *s, size_t len);

/* ---- view: a bounded reader over bytes from outside ---- */
typedef struct view {
    const uint8_t *p, *end;
} view;
static inline view view_of(const void *p, size_t len)
{
    /* NULL with nothing behind it is a view too. */
    return (view){(const uint8_t *)p, len != 0 ? (const uint8_t *)p + len : (const uint8_t *)p};
}
static inline size_t view_left(const view *v)
{
    return (size_t)(v->end - v->p);
}
bool view_read(view *v, void *to, size_t len);
bool view_skip(view *v, size_t len, const uint8_t **at);
bool view_u8(view *v, uint8_t *out);
bool view_u32be(view *v, uint32_t *out);
bool view_u64be(view *v, uint64_t *out);

/* ---- big-endian integers in memory ---- */
static inline void put_u32be(uint8_t *p, uint32_t x)
{
    p[0] = (uint8_t)(x >> 24), p[1] = (uint8_t)(x >> 16), p[2] = (uint8_t)(x >> 8),
    p[3] = (uint8_t)x;
}
static inline void put_u64be(uint8_t *p, uint64_t x)
{
    put_u32be(p, (uint32_t)(x >> 32));
    put_u32be(p + 4, (uint32_t)x);
}
static inline uint32_t get_u32be(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | (uint32_t)p[3];
}
static inline uint64_t get_u64be(const uint8_t *p)
{
    return (uint64_t)get_u32be(p) << 32 | get_u32be(p + 4);
}

/* ---- hex: lower case out, either case in, no 0x ---- */
void hex_encode(char *out, const void *bytes, size_t len);      /* 2*len chars, no NUL */
bool hex_decode(uint8_t *out, const char *hex, size_t hex_len); /* hex_len/2 bytes */

/* %XX decoded, and '+' as a space when plus; NUL-terminated. False: malformed. */
bool percent_decode(const char *s, size_t len, bool plus, sb *out);

/* Whether a listener on this host is for this machine alone: 127.*, ::1, localhost. */
bool host_is_loopback(const char *host);

/* Whether the bytes are well-formed UTF-8 (no surrogates, no overlong forms). */
bool utf8_ok(const void *bytes, size_t len);

/* A whole decimal integer, optional '-', nothing after it. */
bool parse_i64(const char *s, size_t len, int64_t *out);

/* Whether what a client showed is the secret, in a time that does not tell how much of it is
 * right. */
bool same_secret(const char *secret, const char *shown, size_t len);

/* 64-bit keyed hash for tables that strangers can fill; the key is drawn once a
 * process. */
uint64_t hash_bytes(const void *bytes, size_t len);

/* CRC-32C, for our own files. */
uint32_t crc32c(uint32_t crc, const void *bytes, size_t len);

/* "1700000000000" (Unix milliseconds), "2023-11-14", "2023-11-14T22:13[:20[.5]][Z|+01:00]"; UTC
 * where no offset is given. False: none of these, or before the epoch. */
bool moment_read(const char *text, size_t len, int64_t *out_ms);

int64_t clock_wall_ms(void);
uint64_t clock_mono_ns(void);
void random_bytes(void *out, size_t len); /* from the kernel; never fails */

/* A whole file, at most max bytes; NULL and errno otherwise. NUL-terminated. */
char *file_read(const char *path, size_t max, size_t *len);

/* Levenshtein distance, for "did you mean". */
unsigned edit_distance(const char *a, const char *b);

#endif
