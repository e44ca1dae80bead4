/* format -- see schema_parts.h. The grammars that are regular are patterns; dates, and
 * addresses, need arithmetic. */
#include "json/schema_parts.h"

#include <arpa/inet.h>

#define UNRESERVED "[A-Za-z0-9\\-._~]"
#define PCT        "%[0-9A-Fa-f]{2}"
#define SUB        "[!$&'()*+,;=]"
#define PCHAR      "(?:" UNRESERVED "|" PCT "|" SUB "|[:@])"
#define AUTHORITY                                                                                  \
    "(?:(?:" UNRESERVED "|" PCT "|" SUB "|:)*@)?(?:\\[[0-9A-Fa-fv:.]+\\]|(?:" UNRESERVED "|" PCT   \
    "|" SUB ")*)(?::[0-9]*)?"
#define TAIL    "(?:\\?(?:" PCHAR "|[/?])*)?(?:#(?:" PCHAR "|[/?])*)?$"
#define HIER    "(?://" AUTHORITY "(?:/" PCHAR "*)*|/(?:" PCHAR "+(?:/" PCHAR "*)*)?|"
#define LABEL   "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
#define ATEXT   "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]"
#define VARNAME "(?:[A-Za-z0-9_]|" PCT ")(?:\\.?(?:[A-Za-z0-9_]|" PCT "))*"
#define VARSPEC VARNAME "(?::[1-9][0-9]{0,3}|\\*)?"

static const struct {
    const char *name, *pattern;
} grammars[] = {
    {"email", "^(?:" ATEXT "+(?:\\." ATEXT "+)*|\"(?:[^\"\\\\\\x00-\\x1f]|\\\\.)*\")@(?:" LABEL
              "(?:\\." LABEL ")*|\\[[0-9A-Fa-f:.]+\\]|\\[IPv6:[0-9A-Fa-f:.]+\\])$"},
    {"idn-email", "^[^@\\s]+@[^@\\s]+$"},
    {"hostname", "^(?=.{1,253}$)" LABEL "(?:\\." LABEL ")*$"},
    {"uri", "^[A-Za-z][A-Za-z0-9+.-]*:" HIER PCHAR "+(?:/" PCHAR "*)*|)" TAIL},
    {"uri-reference", "^(?:[A-Za-z][A-Za-z0-9+.-]*:" HIER PCHAR "+(?:/" PCHAR "*)*|)|" HIER
                      "(?:" UNRESERVED "|" PCT "|" SUB "|@)+(?:/" PCHAR "*)*|))" TAIL},
    {"uri-template", "^(?:[^\\x00-\\x20\"'<>%\\\\^`{|}]|" PCT "|\\{[+#./;?&=,!@|]?" VARSPEC
                     "(?:," VARSPEC ")*\\})*$"},
    {"json-pointer", "^(?:/(?:[^/~]|~[01])*)*$"},
    {"relative-json-pointer", "^(?:0|[1-9][0-9]*)(?:#|(?:/(?:[^/~]|~[01])*)*)$"},
};

static bool digits(const char **p, const char *end, int n, int *out)
{
    *out = 0;
    for (; n > 0; n--, ++*p) {
        if (*p == end || **p < '0' || **p > '9')
            return false;
        *out = *out * 10 + (**p - '0');
    }
    return true;
}

static bool literal(const char **p, const char *end, char c)
{
    if (*p == end || (**p | 0x20) != (c | 0x20))
        return false;
    ++*p;
    return true;
}

/* RFC 3339 full-date. */
static bool date_read(const char **p, const char *end)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int y, m, d;

    if (!digits(p, end, 4, &y) || *p == end || *(*p)++ != '-' || !digits(p, end, 2, &m) ||
        *p == end || *(*p)++ != '-' || !digits(p, end, 2, &d) || m < 1 || m > 12 || d < 1)
        return false;
    return d <= days[m - 1] + (m == 2 && ((y % 4 == 0 && y % 100 != 0) || y % 400 == 0));
}

/* RFC 3339 full-time; a leap second is one only at 23:59:60 UTC. */
static bool time_read(const char **p, const char *end)
{
    int h, m, s, oh = 0, om = 0, sign = 1, utc;

    if (!digits(p, end, 2, &h) || *p == end || *(*p)++ != ':' || !digits(p, end, 2, &m) ||
        *p == end || *(*p)++ != ':' || !digits(p, end, 2, &s) || h > 23 || m > 59 || s > 60)
        return false;
    if (*p != end && **p == '.') {
        const char *from = ++*p;

        while (*p != end && **p >= '0' && **p <= '9')
            ++*p;
        if (*p == from)
            return false;
    }
    if (!literal(p, end, 'z')) {
        if (*p == end || (**p != '+' && **p != '-'))
            return false;
        sign = *(*p)++ == '-' ? -1 : 1;
        if (!digits(p, end, 2, &oh) || *p == end || *(*p)++ != ':' || !digits(p, end, 2, &om) ||
            oh > 23 || om > 59)
            return false;
    }
    utc = ((h * 60 + m - sign * (oh * 60 + om)) % 1440 + 1440) % 1440;
    return s < 60 || utc == 23 * 60 + 59;
}

static bool moment_accepts(const char *format, const char *p, size_t len)
{
    const char *end = p + len;

    if (strcmp(format, "time") != 0 && !date_read(&p, end))
        return false;
    if (strcmp(format, "date-time") == 0 && !literal(&p, end, 't'))
        return false;
    if (strcmp(format, "date") != 0 && !time_read(&p, end))
        return false;
    return p == end;
}

static bool pattern_accepts(const char *pattern, const char *text, size_t len)
{
    pcre2_code *code = regex_new(pattern, strlen(pattern));
    bool ok;

    must(code != NULL);
    ok = regex_matches(code, text, len);
    pcre2_code_free(code);
    return ok;
}

bool format_accepts(const char *format, const char *text, size_t len)
{
    uint8_t address[16];
    pcre2_code *code;

    if (strcmp(format, "date-time") == 0 || strcmp(format, "date") == 0 ||
        strcmp(format, "time") == 0)
        return moment_accepts(format, text, len);
    if (strcmp(format, "ipv4") == 0 || strcmp(format, "ipv6") == 0)
        return strlen(text) == len &&
               inet_pton(format[3] == '4' ? AF_INET : AF_INET6, text, address) == 1;
    if (strcmp(format, "regex") == 0) {
        code = regex_new(text, len);
        pcre2_code_free(code);
        return code != NULL;
    }
    for (size_t i = 0; i < COUNT_OF(grammars); i++)
        if (strcmp(grammars[i].name, format) == 0)
            return pattern_accepts(grammars[i].pattern, text, len);
    return true;
}
