/* json_valid -- whether bytes are one JSON value (RFC 8259), in one pass.
 *
 * No recursion, no tree, no memory but one bit a level: objects and arrays may be
 * nested DEPTH deep. Contents of every message go through here. */
#include "streamr/internal.h"

#define DEPTH 512u

typedef struct scan {
    const uint8_t *p, *end;
    unsigned depth;
    bool too_deep;
    uint64_t object[DEPTH / 64]; /* bit i: level i is an object */
} scan;

static void space(scan *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' || *s->p == '\r' || *s->p == '\t'))
        s->p++;
}

static bool take(scan *s, uint8_t c)
{
    if (s->p == s->end || *s->p != c)
        return false;
    s->p++;
    return true;
}

static bool digits(scan *s)
{
    const uint8_t *start = s->p;

    while (s->p < s->end && *s->p >= '0' && *s->p <= '9')
        s->p++;
    return s->p != start;
}

static bool number(scan *s)
{
    take(s, '-');
    if (!take(s, '0') && !digits(s))
        return false;
    if (take(s, '.') && !digits(s))
        return false;
    if (take(s, 'e') || take(s, 'E')) {
        if (!take(s, '+'))
            take(s, '-');
        return digits(s);
    }
    return true;
}

static bool word(scan *s, const char *text, size_t len)
{
    if ((size_t)(s->end - s->p) < len || memcmp(s->p, text, len) != 0)
        return false;
    s->p += len;
    return true;
}

static bool escape(scan *s)
{
    if (s->p == s->end)
        return false;
    if (*s->p == 'u') {
        uint8_t unit[2];

        if (s->end - s->p < 5 || !hex_decode(unit, (const char *)s->p + 1, 4))
            return false;
        s->p += 5;
        return true;
    }
    return *s->p != '\0' && strchr("\"\\/bfnrt", *s->p++) != NULL;
}

/* Whether one of eight bytes is a quote, a backslash, a control or not ASCII. May say yes
 * for a plain byte above such a one; then the bytes are looked at one by one. */
static bool special(uint64_t w)
{
    const uint64_t ones = 0x0101010101010101u, highs = 0x8080808080808080u;
    uint64_t quote = w ^ (ones * '"'), slash = w ^ (ones * '\\');

    return (((w - ones * 0x20) | (quote - ones) | (slash - ones) | w) & highs) != 0;
}

/* The rest of a string, after its opening quote. */
static bool string(scan *s)
{
    for (;;) {
        uint64_t w;

        while (s->end - s->p >= 8 && (memcpy(&w, s->p, 8), !special(w)))
            s->p += 8;
        while (s->p < s->end && *s->p >= 0x20 && *s->p < 0x80 && *s->p != '"' && *s->p != '\\')
            s->p++;
        if (s->p == s->end || *s->p < 0x20)
            return false;
        if (*s->p == '"') {
            s->p++;
            return true;
        }
        if (*s->p == '\\') {
            s->p++;
            if (!escape(s))
                return false;
        } else {
            /* A character has no ASCII byte in it, so a run of others is whole. */
            const uint8_t *run = s->p;

            while (s->p < s->end && *s->p >= 0x80)
                s->p++;
            if (!utf8_ok(run, (size_t)(s->p - run)))
                return false;
        }
    }
}

static bool in_object(const scan *s)
{
    unsigned level = s->depth - 1;

    return (s->object[level / 64] >> level % 64 & 1) != 0;
}

static bool enter(scan *s, bool object)
{
    s->too_deep = s->depth == DEPTH;
    if (s->too_deep)
        return false;
    s->object[s->depth / 64] &= ~(1ull << s->depth % 64);
    s->object[s->depth / 64] |= (uint64_t)object << s->depth % 64;
    s->depth++;
    return true;
}

static bool member_name(scan *s)
{
    space(s);
    if (!take(s, '"') || !string(s))
        return false;
    space(s);
    return take(s, ':');
}

/* Begin a value. *open: it was an object or array that is not closed yet. */
static bool value(scan *s, bool *open)
{
    *open = false;
    space(s);
    if (s->p == s->end)
        return false;
    switch (*s->p) {
    case '"':
        s->p++;
        return string(s);
    case '{':
        s->p++;
        space(s);
        if (take(s, '}'))
            return true;
        *open = true;
        return enter(s, true) && member_name(s);
    case '[':
        s->p++;
        space(s);
        if (take(s, ']'))
            return true;
        *open = true;
        return enter(s, false);
    case 't':
        return word(s, "true", 4);
    case 'f':
        return word(s, "false", 5);
    case 'n':
        return word(s, "null", 4);
    default:
        return number(s);
    }
}

/* True: one value and nothing else. False: s->p is where something else was expected. */
static bool document(scan *s)
{
    bool open;

    for (;;) {
        if (!value(s, &open))
            return false;
        /* After a value: close what ends here, or go on to the next member. */
        while (!open) {
            space(s);
            if (s->depth == 0)
                return s->p == s->end;
            if (take(s, ',')) {
                if (in_object(s) && !member_name(s))
                    return false;
                break;
            }
            if (!take(s, in_object(s) ? '}' : ']'))
                return false;
            s->depth--;
        }
    }
}

const char *streamr_json_fault(const void *bytes, size_t len, size_t *at)
{
    scan s = {.p = bytes};

    *at = 0;
    if (len == 0)
        return "it is empty";
    s.end = s.p + len;
    if (document(&s))
        return NULL;
    *at = (size_t)(s.p - (const uint8_t *)bytes);
    if (s.too_deep)
        return "it is nested too deeply (512 levels are allowed)";
    return s.p == s.end ? "it ends too early" : "unexpected character";
}

bool streamr_json_valid(const void *bytes, size_t len)
{
    size_t at;

    return streamr_json_fault(bytes, len, &at) == NULL;
}
