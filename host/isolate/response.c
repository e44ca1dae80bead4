/* response -- see response.h. */
#include "isolate/response.h"

#include <strings.h>

#define STATUS_MIN 200u
#define STATUS_MAX 599u

static bool is_token(const char *name)
{
    static const char token[] = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
                                "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

    return name[0] != '\0' && name[strspn(name, token)] == '\0';
}

static bool is_value(const char *ptr, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (((unsigned char)ptr[i] < 0x20 && ptr[i] != '\t') || ptr[i] == 0x7f)
            return false;
    return true;
}

/* The server frames the answer itself. */
static bool is_framing(const char *name)
{
    return strcasecmp(name, "Content-Length") == 0 || strcasecmp(name, "Transfer-Encoding") == 0;
}

void response_done(response *a)
{
    for (size_t i = 0; i < a->r.n_headers; i++)
        free(a->names[i]);
    free(a->type);
    unpacked_free(a->map);
}

static fault response_read_headers(response *a, const unpacked_map *m)
{
    uint32_t n = unpack_list(m, "headers");

    if (n > HEAD_HEADERS_MAX)
        return "an answer has too many headers";
    for (uint32_t i = 0; i < n; i++) {
        const unpacked_map *pair = unpack_element(m, "headers", i);
        char *name = pair != NULL ? unpack_text(pair, "name") : NULL;
        size_t len = 0;
        const char *value = pair != NULL ? unpack_bytes(pair, "value", &len) : NULL;

        a->names[i] = name;
        a->r.n_headers = i + 1;
        if (name == NULL || value == NULL || !is_token(name) || is_framing(name) ||
            !is_value(value, len))
            return "an answer has a header that it may not have";
        a->headers[i] = (broker_header){name, {value, len}};
    }
    return NULL;
}

fault response_read(broker_bytes body, response *a, uint64_t *req)
{
    const unpacked_map *m;
    const char *bytes;

    memset(a, 0, sizeof *a);
    a->r.size = sizeof a->r;
    a->r.headers = a->headers;
    if (unpack(body.ptr, body.len, &a->map) != 1) {
        a->map = NULL;
        return "an answer is no map";
    }
    m = unpacked_root(a->map);
    *req = unpack_uint(m, "req", 0);
    a->r.status = (uint32_t)unpack_uint(m, "status", 0);
    a->r.type = a->type = unpack_text(m, "type");
    bytes = unpack_bytes(m, "body", &a->r.body.len);
    a->r.body.ptr = (const uint8_t *)bytes;
    if (bytes == NULL)
        a->r.body.len = 0;
    if (a->r.status < STATUS_MIN || a->r.status > STATUS_MAX)
        return "an answer has no status that there may be";
    if (a->type != NULL && !is_value(a->type, strlen(a->type)))
        return "an answer has a type that it may not have";
    return response_read_headers(a, m);
}
