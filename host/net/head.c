/* head -- see head.h. Refuses what two parsers may read in two ways: both lengths,
 * repeated Host, bare line feeds, folded lines, spaces before the colon. */
#include "net/head.h"

#include <strings.h>

size_t head_length(const char *bytes, size_t len)
{
    const char *end = len != 0 ? memmem(bytes, len, "\r\n\r\n", 4) : NULL;

    return end != NULL ? (size_t)(end - bytes) + 4 : 0;
}

static bool is_token(unsigned char c)
{
    return c > 32 && c < 127 && strchr("\"(),/:;<=>?@[\\]{}", c) == NULL;
}

static bool is(broker_str s, const char *text)
{
    return s.len == strlen(text) && strncasecmp(s.ptr, text, s.len) == 0;
}

static unsigned line_parse(const char *line, size_t len, head *out, const char **why)
{
    const char *sp = memchr(line, ' ', len), *version;
    size_t rest;

    *why = "the request line is not 'METHOD TARGET HTTP/1.1'";
    if (sp == NULL || sp == line)
        return 400;
    out->method = (broker_str){line, (size_t)(sp - line)};
    for (size_t i = 0; i < out->method.len; i++)
        if (!is_token((unsigned char)line[i]))
            return 400;
    rest = len - out->method.len - 1;
    version = memchr(sp + 1, ' ', rest);
    if (version == NULL || version == sp + 1)
        return 400;
    out->target = (broker_str){sp + 1, (size_t)(version - sp - 1)};
    for (size_t i = 0; i < out->target.len; i++)
        if ((unsigned char)out->target.ptr[i] <= 32 || out->target.ptr[i] == 127)
            return 400;
    if (line + len - version != 9 || memcmp(version, " HTTP/1.", 8) != 0 ||
        (version[8] != '0' && version[8] != '1')) {
        *why = "only HTTP/1.0 and HTTP/1.1 are spoken here";
        return 505;
    }
    out->minor = version[8] - '0';
    return 0;
}

static unsigned field_parse(const char *line, size_t len, head *out, const char **why)
{
    const char *p = line, *end = line + len;
    head_field *f;

    if (out->n_fields == HEAD_HEADERS_MAX) {
        *why = "more than 100 headers";
        return 431;
    }
    f = &out->fields[out->n_fields++];
    while (p < end && is_token((unsigned char)*p))
        p++;
    *why = "a header is not 'name: value'";
    if (p == line || p == end || *p != ':')
        return 400;
    f->name = (broker_str){line, (size_t)(p - line)};
    for (p++; p < end && (*p == ' ' || *p == '\t'); p++)
        ;
    while (end > p && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    f->value = (broker_str){p, (size_t)(end - p)};
    *why = "a header value has a control character in it";
    for (; p < end; p++)
        if (((unsigned char)*p < 32 && *p != '\t') || *p == 127)
            return 400;
    return 0;
}

/* Whether a comma-separated list has the word. */
static bool list_has(broker_str list, const char *word)
{
    const char *p = list.ptr, *end = p + list.len;

    while (p < end) {
        const char *comma = memchr(p, ',', (size_t)(end - p));
        const char *stop = comma != NULL ? comma : end, *last = stop;

        while (p < last && (*p == ' ' || *p == '\t'))
            p++;
        while (last > p && (last[-1] == ' ' || last[-1] == '\t'))
            last--;
        if (is((broker_str){p, (size_t)(last - p)}, word))
            return true;
        p = stop + 1;
    }
    return false;
}

/* The two headers that say where a body ends may have no space behind their value: parsers
 * differ in whether they then know it. */
static unsigned meaning(head *h, const char **why)
{
    unsigned hosts = 0, lengths = 0, codings = 0;
    bool close = false; /* it wins, in whatever order they come (RFC 9112 9.3) */

    h->keep_alive = h->minor == 1;
    for (size_t i = 0; i < h->n_fields; i++) {
        broker_str name = h->fields[i].name, value = h->fields[i].value;
        int64_t n;

        if (is(name, "host")) {
            hosts++;
        } else if (is(name, "content-length")) {
            lengths++;
            *why = "Content-Length is not a number";
            if (value.ptr[value.len] != '\r' || value.len == 0 || value.len > 18 ||
                value.ptr[0] == '-' || !parse_i64(value.ptr, value.len, &n))
                return 400;
            h->has_length = true;
            h->length = (uint64_t)n;
        } else if (is(name, "transfer-encoding")) {
            codings++;
            *why = "the only Transfer-Encoding here is 'chunked'";
            if (!is(value, "chunked") || h->minor == 0 || value.ptr[value.len] != '\r')
                return h->minor == 0 ? 400 : 501;
            h->chunked = true;
        } else if (is(name, "connection")) {
            close = close || list_has(value, "close");
            h->keep_alive = !close && (h->keep_alive || list_has(value, "keep-alive"));
        } else if (is(name, "expect")) {
            *why = "the only expectation met here is '100-continue'";
            if (!is(value, "100-continue"))
                return 417;
            h->expects_continue = h->minor == 1;
        }
    }
    *why = "Content-Length and Transfer-Encoding may come once, and not both";
    if (lengths + codings > 1)
        return 400;
    *why = "an HTTP/1.1 request has exactly one Host header";
    if (hosts > 1 || (hosts == 0 && h->minor == 1))
        return 400;
    return 0;
}

static bool answer_line_parse(const char *line, size_t len, unsigned *status)
{
    if (len < 12 || memcmp(line, "HTTP/1.1 ", 9) != 0 || (len > 12 && line[12] != ' '))
        return false;
    *status = 0;
    for (size_t i = 9; i < 12; i++) {
        if (line[i] < '0' || line[i] > '9')
            return false;
        *status = *status * 10 + (unsigned)(line[i] - '0');
    }
    return *status >= 100;
}

/* answer: where its status goes, or NULL for a request. */
static unsigned lines_parse(const char *bytes, size_t len, head *out, unsigned *answer,
                            const char **why)
{
    const char *end = bytes + len - 2, *line = bytes; /* up to the empty line */
    unsigned status = 0;

    *why = "a NUL byte or a bare line end in the head";
    memset(out, 0, offsetof(head, fields));
    out->n_fields = 0;
    for (size_t i = 0; i < len; i++)
        if (bytes[i] == '\0' || (bytes[i] == '\n' && (i == 0 || bytes[i - 1] != '\r')) ||
            (bytes[i] == '\r' && (i + 1 == len || bytes[i + 1] != '\n')))
            return 400;
    while (line < end && status == 0) {
        const char *stop = memmem(line, (size_t)(end - line), "\r\n", 2);
        size_t n = (size_t)((stop != NULL ? stop : end) - line);

        if (line != bytes) {
            status = field_parse(line, n, out, why);
        } else if (answer == NULL) {
            status = line_parse(line, n, out, why);
        } else if (!answer_line_parse(line, n, answer)) {
            *why = "the first line is not 'HTTP/1.1 STATUS TEXT'";
            status = 400;
        }
        line += n + 2;
    }
    return status;
}

unsigned head_parse(const char *bytes, size_t len, head *out, const char **why)
{
    unsigned status = lines_parse(bytes, len, out, NULL, why);

    return status != 0 ? status : meaning(out, why);
}

const char *head_parse_answer(const char *bytes, size_t len, head *out, unsigned *status)
{
    const char *why;

    return lines_parse(bytes, len, out, status, &why) != 0 ? why : NULL;
}

broker_str head_get(const head *h, const char *name)
{
    for (size_t i = 0; i < h->n_fields; i++)
        if (is(h->fields[i].name, name))
            return h->fields[i].value;
    return (broker_str){NULL, 0};
}

bool head_has(const head *h, const char *name, const char *word)
{
    for (size_t i = 0; i < h->n_fields; i++)
        if (is(h->fields[i].name, name) && list_has(h->fields[i].value, word))
            return true;
    return false;
}

const char *status_text(unsigned status)
{
    static const struct {
        unsigned status;
        const char *text;
    } texts[] = {
        {101, "Switching Protocols"},
        {200, "OK"},
        {204, "No Content"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {413, "Content Too Large"},
        {417, "Expectation Failed"},
        {421, "Misdirected Request"},
        {422, "Unprocessable Content"},
        {426, "Upgrade Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {505, "HTTP Version Not Supported"},
        {507, "Insufficient Storage"},
    };

    for (size_t i = 0; i < COUNT_OF(texts); i++)
        if (texts[i].status == status)
            return texts[i].text;
    return "Status";
}
