/* member -- see member.h. */
#include "payload/member.h"

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

broker_str member_trim(broker_str text)
{
    while (text.len != 0 && is_space(*text.ptr))
        text.ptr++, text.len--;
    while (text.len != 0 && is_space(text.ptr[text.len - 1]))
        text.len--;
    return text;
}

typedef struct scan {
    const char *p, *end;
} scan;

static void space(scan *s)
{
    while (s->p < s->end && is_space(*s->p))
        s->p++;
}

/* Past a string that begins here. */
static void string(scan *s)
{
    for (s->p++; s->p < s->end && *s->p != '"'; s->p++)
        if (*s->p == '\\' && s->end - s->p > 1)
            s->p++;
    if (s->p < s->end)
        s->p++;
}

/* Past a value that begins here: up to the comma or the brace that ends the member. */
static void value(scan *s)
{
    unsigned depth = 0;

    while (s->p < s->end) {
        if (*s->p == '"') {
            string(s);
            continue;
        }
        if (depth == 0 && (*s->p == ',' || *s->p == '}' || *s->p == ']'))
            return;
        if (*s->p == '{' || *s->p == '[')
            depth++;
        else if (*s->p == '}' || *s->p == ']')
            depth--;
        s->p++;
    }
}

static bool string_is(broker_str string, broker_str text)
{
    sb means = SB_INIT;
    bool same;

    if (memchr(string.ptr, '\\', string.len) == NULL)
        return string.len == text.len + 2 && memcmp(string.ptr + 1, text.ptr, text.len) == 0;
    member_text(string, &means);
    same = means.len == text.len && (text.len == 0 || memcmp(means.data, text.ptr, text.len) == 0);
    sb_done(&means);
    return same;
}

broker_str member_find(broker_str object, broker_str name)
{
    scan s = {object.ptr, object.ptr + object.len};
    broker_str found = {NULL, 0};

    if (object.len == 0)
        return found;
    s.p++; /* the brace */
    for (;;) {
        broker_str key, what;

        space(&s);
        if (s.p == s.end || *s.p != '"')
            return found;
        key.ptr = s.p;
        string(&s);
        key.len = (size_t)(s.p - key.ptr);
        space(&s);
        if (s.p == s.end || *s.p != ':')
            return found;
        s.p++;
        what.ptr = s.p;
        value(&s);
        what.len = (size_t)(s.p - what.ptr);
        if (string_is(key, name))
            found = member_trim(what);
        if (s.p == s.end || *s.p != ',')
            return found;
        s.p++;
    }
}

static uint32_t unit(const char *hex)
{
    uint8_t bytes[2] = {0xff, 0xfd};

    hex_decode(bytes, hex, 4);
    return (uint32_t)bytes[0] << 8 | bytes[1];
}

/* After "\u": one character, two units long when they are a pair. */
static void put_escaped(sb *out, scan *s)
{
    uint32_t c, low;

    if (s->end - s->p < 4) {
        s->p = s->end;
        return;
    }
    c = unit(s->p);
    s->p += 4;
    if (c >= 0xd800 && c < 0xe000) {
        low = c < 0xdc00 && s->end - s->p >= 6 && s->p[0] == '\\' && s->p[1] == 'u' ? unit(s->p + 2)
                                                                                    : 0;
        if (low >= 0xdc00 && low < 0xe000) {
            c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
            s->p += 6;
        } else {
            c = 0xfffd;
        }
    }
    sb_put_utf8(out, c);
}

void member_text(broker_str text, sb *out)
{
    static const char letters[] = "bfnrt", means[] = "\b\f\n\r\t";
    scan s = {text.ptr, text.ptr + text.len};

    if (text.len < 2)
        return;
    s.p++, s.end--; /* the quotes */
    while (s.p < s.end) {
        const char *plain = s.p, *letter;
        char c;

        while (s.p < s.end && *s.p != '\\')
            s.p++;
        sb_append(out, plain, (size_t)(s.p - plain));
        if (s.end - s.p < 2)
            return;
        c = s.p[1];
        s.p += 2;
        letter = c != '\0' ? strchr(letters, c) : NULL;
        if (c == 'u')
            put_escaped(out, &s);
        else
            sb_putc(out, letter != NULL ? means[letter - letters] : c);
    }
}
