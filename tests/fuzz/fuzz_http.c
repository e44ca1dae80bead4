/* The request head and body readers: what ours accepts, http-parser must accept with the same
 * method, target and lengths; and a body must come out the same however it is cut. */
#include "http/body.h"
#include "http/route.h"
#include "net/head.h"

#include <http_parser.h>
#include <strings.h>

typedef struct seen {
    const char *url;
    size_t url_len;
    bool complete;
} seen;

static int on_url(http_parser *p, const char *at, size_t len)
{
    seen *s = p->data;

    if (s->url == NULL)
        s->url = at;
    s->url_len += len;
    return 0;
}

static int on_head(http_parser *p)
{
    seen *s = p->data;

    s->complete = true;
    http_parser_pause(p, 1);
    return 0;
}

/* The oracle forgets a header when a longer name begins with its name. */
static bool oracle_is_confused(const head *h)
{
    unsigned n = 0;

    for (size_t i = 0; i < h->n_fields; i++)
        n += h->fields[i].name.len >= 14 &&
             (strncasecmp(h->fields[i].name.ptr, "transfer-encod", 14) == 0 ||
              strncasecmp(h->fields[i].name.ptr, "content-length", 14) == 0);
    return n > 1;
}

static void head_agrees(const char *text, size_t len, const head *h)
{
    static const http_parser_settings settings = {.on_url = on_url, .on_headers_complete = on_head};
    http_parser p;
    seen s = {0};

    http_parser_init(&p, HTTP_REQUEST);
    p.data = &s;
    http_parser_execute(&p, &settings, text, len);
    if (HTTP_PARSER_ERRNO(&p) == HPE_INVALID_METHOD || HTTP_PARSER_ERRNO(&p) == HPE_INVALID_URL)
        return; /* it knows fewer methods, and is stricter about targets; routes decide here */
    if (HTTP_PARSER_ERRNO(&p) == HPE_INVALID_CONSTANT || oracle_is_confused(h))
        return; /* methods that need a certain form of target */
    must(s.complete);
    must(s.url_len == h->target.len && memcmp(s.url, h->target.ptr, s.url_len) == 0);
    must(((p.flags & F_CHUNKED) != 0) == h->chunked);
    if (h->has_length)
        must(p.content_length == h->length);
}

/* The body as one string, reading `step` bytes at a time; false: refused. */
static bool body_of(body_reader r, const uint8_t *p, size_t len, size_t step, sb *out)
{
    size_t at = 0;

    while (at < len && !body_is_over(&r)) {
        size_t n = len - at < step ? len - at : step, used, part;

        if (!body_read(&r, p + at, n, &used, &part))
            return false;
        must(used <= n && part <= used);
        must(used != 0);
        sb_append(out, p + at + used - part, part);
        at += used;
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static head h;
    const char *why;
    size_t len = head_length((const char *)data, size);
    body_reader r;
    sb whole = SB_INIT, pieces = SB_INIT, allow = SB_INIT;
    bool ok;

    if (len == 0)
        return 0;
    if (head_parse((const char *)data, len, &h, &why) == 0) {
        route *routes = NULL;
        route_match m;
        ledger owner = {.name = "fuzz"};
        broker_route pattern = {.size = sizeof pattern,
                                .method = "GET",
                                .path = "/stores/{id+}/data/partitions/{p}/{kind}",
                                .on_req = (void (*)(void *, broker_req *))(uintptr_t)1};

        head_agrees((const char *)data, len, &h);
        must(route_add(&routes, &owner, &pattern) == NULL);
        route_find(routes, h.method, h.target, &m, &allow);
        route_match_done(&m);
        route_forget(&routes, NULL);
        if (h.chunked)
            body_chunks(&r);
        else
            body_sized(&r, h.has_length ? h.length : 0);
        ok = body_of(r, data + len, size - len, size, &whole);
        if (body_of(r, data + len, size - len, 1, &pieces) == ok && ok)
            must(whole.len == pieces.len &&
                 (whole.len == 0 || memcmp(whole.data, pieces.data, whole.len) == 0));
    }
    sb_done(&whole);
    sb_done(&pieces);
    sb_done(&allow);
    return 0;
}
