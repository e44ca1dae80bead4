/* base -- see base.h. */
#include "base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

void must_failed(const char *cond, const char *file, int line)
{
    fprintf(stderr, "bug: '%s' does not hold at %s:%d\n", cond, file, line);
    abort();
}

void *must_alloc(size_t len)
{
    void *p = calloc(1, len != 0 ? len : 1);

    must(p != NULL);
    return p;
}

void *must_realloc(void *p, size_t len)
{
    void *grown = realloc(p, len != 0 ? len : 1);

    must(grown != NULL);
    return grown;
}

char *must_strndup(const char *s, size_t len)
{
    char *copy = must_alloc(len + 1);

    if (len != 0)
        memcpy(copy, s, len);
    return copy;
}

char *must_strdup(const char *s)
{
    return must_strndup(s, strlen(s));
}

/* ---- sb ---- */

void sb_done(sb *b)
{
    free(b->data);
    *b = (sb)SB_INIT;
}

void sb_clear(sb *b)
{
    b->len = 0;
    if (b->data != NULL)
        b->data[0] = '\0';
}

char *sb_room(sb *b, size_t len)
{
    must(len < SIZE_MAX / 4 && b->len < SIZE_MAX / 4);
    if (b->len + len + 1 > b->cap) {
        b->cap = (b->len + len + 1) * 2;
        b->data = must_realloc(b->data, b->cap);
    }
    return b->data + b->len;
}

void sb_append(sb *b, const void *bytes, size_t len)
{
    char *to = sb_room(b, len);

    if (len != 0)
        memcpy(to, bytes, len);
    b->len += len;
    b->data[b->len] = '\0';
}

void sb_puts(sb *b, const char *s)
{
    sb_append(b, s, strlen(s));
}

void sb_putc(sb *b, char c)
{
    sb_append(b, &c, 1);
}

void sb_put_utf8(sb *b, uint32_t c)
{
    if (c < 0x80) {
        sb_putc(b, (char)c);
        return;
    }
    if (c < 0x800) {
        sb_putc(b, (char)(0xc0 | c >> 6));
    } else {
        if (c < 0x10000) {
            sb_putc(b, (char)(0xe0 | c >> 12));
        } else {
            sb_putc(b, (char)(0xf0 | c >> 18));
            sb_putc(b, (char)(0x80 | (c >> 12 & 0x3f)));
        }
        sb_putc(b, (char)(0x80 | (c >> 6 & 0x3f)));
    }
    sb_putc(b, (char)(0x80 | (c & 0x3f)));
}

void sb_vprintf(sb *b, const char *fmt, va_list args)
{
    va_list again;
    int n;

    va_copy(again, args);
    n = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    must(n >= 0);
    sb_room(b, (size_t)n + 1);
    vsnprintf(b->data + b->len, (size_t)n + 1, fmt, args);
    b->len += (size_t)n;
}

void sb_printf(sb *b, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    sb_vprintf(b, fmt, args);
    va_end(args);
}

/* Length of the well-formed UTF-8 sequence at p, or 0. */
static size_t utf8_len(const uint8_t *p, size_t left)
{
    size_t n = p[0] < 0x80                   ? 1
               : p[0] >= 0xc2 && p[0] < 0xe0 ? 2
               : (p[0] & 0xf0) == 0xe0       ? 3
               : p[0] >= 0xf0 && p[0] < 0xf5 ? 4
                                             : 0;

    if (n == 0 || n > left)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
        (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return n;
}

void sb_json_string(sb *b, const char *s, size_t len)
{
    const uint8_t *p = (const uint8_t *)s, *end = len != 0 ? p + len : p;

    sb_putc(b, '"');
    while (p < end) {
        const uint8_t *plain = p;
        size_t n;

        while (p < end && *p >= 0x20 && *p < 0x80 && *p != '"' && *p != '\\')
            p++;
        sb_append(b, plain, (size_t)(p - plain));
        if (p == end)
            break;
        if (*p == '"' || *p == '\\') {
            sb_putc(b, '\\');
            sb_putc(b, (char)*p++);
        } else if (*p == '\n') {
            sb_puts(b, "\\n");
            p++;
        } else if (*p < 0x20) {
            sb_printf(b, "\\u%04x", *p++);
        } else if ((n = utf8_len(p, (size_t)(end - p))) != 0) {
            sb_append(b, p, n);
            p += n;
        } else {
            sb_puts(b, "\xef\xbf\xbd");
            p++;
        }
    }
    sb_putc(b, '"');
}

/* ---- view ---- */

bool view_skip(view *v, size_t len, const uint8_t **at)
{
    if (len > view_left(v))
        return false;
    if (at != NULL)
        *at = v->p;
    v->p += len;
    return true;
}

bool view_read(view *v, void *to, size_t len)
{
    const uint8_t *at;

    if (!view_skip(v, len, &at))
        return false;
    if (len != 0)
        memcpy(to, at, len);
    return true;
}

bool view_u8(view *v, uint8_t *out)
{
    return view_read(v, out, 1);
}

bool view_u32be(view *v, uint32_t *out)
{
    const uint8_t *at;

    if (!view_skip(v, 4, &at))
        return false;
    *out = get_u32be(at);
    return true;
}

bool view_u64be(view *v, uint64_t *out)
{
    const uint8_t *at;

    if (!view_skip(v, 8, &at))
        return false;
    *out = get_u64be(at);
    return true;
}

/* ---- text ---- */

void hex_encode(char *out, const void *bytes, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *p = bytes;

    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digits[p[i] >> 4];
        out[2 * i + 1] = digits[p[i] & 15];
    }
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool hex_decode(uint8_t *out, const char *hex, size_t hex_len)
{
    if (hex_len % 2 != 0)
        return false;
    for (size_t i = 0; i < hex_len / 2; i++) {
        int hi = hex_digit(hex[2 * i]), lo = hex_digit(hex[2 * i + 1]);

        if (hi < 0 || lo < 0)
            return false;
        out[i] = (uint8_t)(hi << 4 | lo);
    }
    return true;
}

bool utf8_ok(const void *bytes, size_t len)
{
    const uint8_t *p = bytes, *end = len != 0 ? p + len : p;

    while (p < end) {
        uint64_t word;
        size_t n;

        if (end - p >= 8) {
            memcpy(&word, p, 8);
            if ((word & 0x8080808080808080u) == 0) {
                p += 8;
                continue;
            }
        }
        n = utf8_len(p, (size_t)(end - p));
        if (n == 0)
            return false;
        p += n;
    }
    return true;
}

bool parse_i64(const char *s, size_t len, int64_t *out)
{
    bool negative = len > 0 && s[0] == '-';
    uint64_t value = 0;
    size_t i = negative ? 1 : 0;

    if (i == len)
        return false;
    for (; i < len; i++) {
        unsigned digit = (unsigned)(uint8_t)s[i] - '0';

        if (digit > 9 || value > (UINT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    if (value > (uint64_t)INT64_MAX + (negative ? 1 : 0))
        return false;
    *out = negative ? (int64_t)(0 - value) : (int64_t)value;
    return true;
}

/* ---- hashes ---- */

static uint64_t rotl(uint64_t x, int n)
{
    return x << n | x >> (64 - n);
}

#define SIP_ROUND                                                                                  \
    do {                                                                                           \
        a += b, b = rotl(b, 13), b ^= a, a = rotl(a, 32);                                          \
        c += d, d = rotl(d, 16), d ^= c;                                                           \
        a += d, d = rotl(d, 21), d ^= a;                                                           \
        c += b, b = rotl(b, 17), b ^= c, c = rotl(c, 32);                                          \
    } while (0)

static uint64_t hash_key[2];

__attribute__((constructor)) static void hash_key_draw(void)
{
    random_bytes(hash_key, sizeof hash_key);
}

bool same_secret(const char *secret, const char *shown, size_t len)
{
    size_t secret_len = strlen(secret);
    unsigned differ = secret_len != len;

    for (size_t i = 0; i < len; i++)
        differ |= (unsigned)(secret[secret_len != 0 ? i % secret_len : 0] ^ shown[i]);
    return differ == 0;
}

/* SipHash-1-3 (Aumasson and Bernstein), as Rust and Python use it for tables. */
uint64_t hash_bytes(const void *bytes, size_t len)
{
    uint64_t a = hash_key[0] ^ 0x736f6d6570736575u, b = hash_key[1] ^ 0x646f72616e646f6du;
    uint64_t c = hash_key[0] ^ 0x6c7967656e657261u, d = hash_key[1] ^ 0x7465646279746573u;
    const uint8_t *p = bytes;
    uint64_t word;

    for (size_t left = len; left >= 8; left -= 8, p += 8) {
        memcpy(&word, p, 8);
        d ^= word;
        SIP_ROUND;
        a ^= word;
    }
    word = (uint64_t)len << 56;
    for (size_t i = 0; i < len % 8; i++)
        word |= (uint64_t)p[i] << (8 * i);
    d ^= word;
    SIP_ROUND;
    a ^= word;
    c ^= 0xff;
    SIP_ROUND;
    SIP_ROUND;
    SIP_ROUND;
    return a ^ b ^ c ^ d;
}

static uint32_t crc_table[8][256];

__attribute__((constructor)) static void crc_table_fill(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;

        for (int k = 0; k < 8; k++)
            c = (c & 1) != 0 ? c >> 1 ^ 0x82f63b78u : c >> 1;
        crc_table[0][i] = c;
    }
    for (uint32_t i = 0; i < 256; i++)
        for (int t = 1; t < 8; t++)
            crc_table[t][i] = crc_table[t - 1][i] >> 8 ^ crc_table[0][crc_table[t - 1][i] & 255];
}

uint32_t crc32c(uint32_t crc, const void *bytes, size_t len)
{
    const uint8_t *p = bytes;

    crc = ~crc;
    for (; len >= 8; len -= 8, p += 8) {
        uint32_t lo, hi;

        memcpy(&lo, p, 4);
        memcpy(&hi, p + 4, 4);
        lo ^= crc; /* little-endian machines only; the build refuses others */
        crc = crc_table[7][lo & 255] ^ crc_table[6][lo >> 8 & 255] ^ crc_table[5][lo >> 16 & 255] ^
              crc_table[4][lo >> 24] ^ crc_table[3][hi & 255] ^ crc_table[2][hi >> 8 & 255] ^
              crc_table[1][hi >> 16 & 255] ^ crc_table[0][hi >> 24];
    }
    while (len-- != 0)
        crc = crc >> 8 ^ crc_table[0][(crc ^ *p++) & 255];
    return ~crc;
}
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "crc32c reads words little-endian");

/* ---- system ---- */

int64_t clock_wall_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

uint64_t clock_mono_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void random_bytes(void *out, size_t len)
{
    uint8_t *p = out;

    while (len != 0) {
        ssize_t n = getrandom(p, len < 256 ? len : 256, 0);

        if (n < 0 && errno == EINTR)
            continue;
        must(n > 0);
        p += n;
        len -= (size_t)n;
    }
}

char *file_read(const char *path, size_t max, size_t *len)
{
    struct stat st;
    char *text = NULL;
    size_t got = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return NULL;
    if (fstat(fd, &st) != 0)
        goto done;
    if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size > max) {
        errno = S_ISREG(st.st_mode) ? EFBIG : EINVAL;
        goto done;
    }
    text = must_alloc((size_t)st.st_size + 1);
    while (got < (size_t)st.st_size) {
        ssize_t n = read(fd, text + got, (size_t)st.st_size - got);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        got += (size_t)n;
    }
    *len = got;
done:
    close(fd);
    return text;
}

unsigned edit_distance(const char *a, const char *b)
{
    unsigned row[65];
    size_t la = strlen(a), lb = strlen(b);

    if (la >= COUNT_OF(row) || lb >= COUNT_OF(row))
        return UINT_MAX;
    for (unsigned j = 0; j <= lb; j++)
        row[j] = j;
    for (unsigned i = 1; i <= la; i++) {
        unsigned diagonal = row[0];

        row[0] = i;
        for (unsigned j = 1; j <= lb; j++) {
            unsigned change = diagonal + (a[i - 1] != b[j - 1]);
            unsigned best = row[j] + 1 < row[j - 1] + 1 ? row[j] + 1 : row[j - 1] + 1;

            diagonal = row[j];
            row[j] = change < best ? change : best;
        }
    }
    return row[lb];
}
