/* query -- see query.h. */
#include "query.h"

#define MAX_TIMESTAMP 8640000000000000ll

typedef struct reader {
    query_param param;
    void *arg;
    query *q;
    sb *why;
} reader;

static broker_str get(const reader *r, const char *name)
{
    return r->param(r->arg, name);
}

/* 0: absent, 1: read into *out, -1: not a number. */
static int number(const reader *r, const char *name, int64_t *out)
{
    broker_str text = get(r, name);

    if (text.ptr == NULL)
        return 0;
    if (parse_i64(text.ptr, text.len, out))
        return 1;
    sb_printf(r->why, "Query parameter \"%s\" not a number: %.*s", name, (int)text.len, text.ptr);
    return -1;
}

static bool bounded(const reader *r, const char *name, int64_t x, int64_t most)
{
    if (x >= 0 && x <= most)
        return true;
    sb_printf(r->why, "Query parameter \"%s\" is out of range: %lld (0 to %lld)", name,
              (long long)x, (long long)most);
    return false;
}

static bool timestamp(const reader *r, const char *name, int64_t *out)
{
    int found = number(r, name, out);

    if (found == 0)
        sb_printf(r->why, "Query parameter \"%s\" required.", name);
    return found == 1 && bounded(r, name, *out, MAX_TIMESTAMP);
}

static bool sequence(const reader *r, const char *name, int32_t *out)
{
    int64_t x;
    int found = number(r, name, &x);

    if (found < 0 || (found == 1 && !bounded(r, name, x, INT32_MAX)))
        return false;
    if (found == 1)
        *out = (int32_t)x;
    return true;
}

static bool publisher(const reader *r)
{
    broker_str text = get(r, "publisherId");
    query *q = r->q;

    if (text.ptr == NULL)
        return true;
    if (text.len > 2 && text.len % 2 == 0 && text.len / 2 - 1 <= sizeof q->publisher_bytes &&
        text.ptr[0] == '0' && text.ptr[1] == 'x' &&
        hex_decode(q->publisher_bytes, text.ptr + 2, text.len - 2)) {
        q->range.publisher = (broker_bytes){q->publisher_bytes, text.len / 2 - 1};
        return true;
    }
    if (q->streams) {
        sb_printf(r->why, "Query parameter \"publisherId\" not valid: %.*s", (int)text.len,
                  text.ptr);
        return false;
    }
    q->nothing = true; /* the reference compares text: nobody has this id */
    return true;
}

static bool last_read(const reader *r)
{
    int64_t count = 1;

    if (number(r, "count", &count) < 0)
        return false;
    if (count < 0) {
        r->q->kind = QUERY_FIRST;
        r->q->count = 0 - (uint64_t)count;
    } else {
        r->q->kind = QUERY_LAST;
        r->q->count = (uint64_t)count;
    }
    return true;
}

static bool from_read(const reader *r)
{
    r->q->kind = QUERY_RANGE;
    return timestamp(r, "fromTimestamp", &r->q->range.from_ms) &&
           sequence(r, "fromSequenceNumber", &r->q->range.from_sequence) && publisher(r);
}

static bool range_read(const reader *r)
{
    range *g = &r->q->range;
    broker_str chain = get(r, "msgChainId");

    r->q->kind = QUERY_RANGE;
    if (get(r, "fromOffset").ptr != NULL || get(r, "toOffset").ptr != NULL) {
        sb_puts(r->why, "Query parameters \"fromOffset\" and \"toOffset\" are no longer supported. "
                        "Please use \"fromTimestamp\" and \"toTimestamp\".");
        return false;
    }
    if (!timestamp(r, "fromTimestamp", &g->from_ms))
        return false;
    if (get(r, "toTimestamp").ptr == NULL) {
        sb_printf(r->why,
                  "Query parameter \"toTimestamp\" required as well. To request all messages since "
                  "a timestamp, use the endpoint /%s/:id/data/partitions/:partition/from",
                  r->q->streams ? "streams" : "stores");
        return false;
    }
    if (!timestamp(r, "toTimestamp", &g->to_ms) ||
        !sequence(r, "fromSequenceNumber", &g->from_sequence) ||
        !sequence(r, "toSequenceNumber", &g->to_sequence))
        return false;
    if ((get(r, "publisherId").ptr != NULL) != (chain.ptr != NULL)) {
        sb_puts(r->why, "Invalid combination of \"publisherId\" and \"msgChainId\"");
        return false;
    }
    g->chain = chain;
    return publisher(r);
}

static bool form_read(const reader *r)
{
    broker_str form = get(r, "format");

    r->q->form = FORM_OBJECT;
    if (form.ptr == NULL || (form.len == 6 && memcmp(form.ptr, "object", 6) == 0))
        return true;
    if (form.len == 3 && memcmp(form.ptr, "raw", 3) == 0) {
        r->q->form = FORM_RAW;
        return true;
    }
    sb_printf(r->why, "Query parameter \"format\" is invalid: %.*s", (int)form.len, form.ptr);
    return false;
}

unsigned query_parse(bool streams, broker_str kind, query_param param, void *arg, query *out,
                     sb *why)
{
    static const struct {
        const char *name;
        bool (*read)(const reader *r);
    } kinds[] = {{"last", last_read}, {"from", from_read}, {"range", range_read}};
    reader r = {param, arg, out, why};
    int64_t limit;
    int found;

    memset(out, 0, offsetof(query, publisher_bytes));
    out->nothing = out->limited = false;
    out->streams = streams;
    out->range.to_ms = MAX_TIMESTAMP;
    out->range.to_sequence = INT32_MAX;
    if (!form_read(&r))
        return 400;
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        if (strlen(kinds[i].name) != kind.len || memcmp(kinds[i].name, kind.ptr, kind.len) != 0)
            continue;
        if (!kinds[i].read(&r))
            return 400;
        found = number(&r, "limit", &limit);
        if (found < 0 || (found == 1 && !bounded(&r, "limit", limit, INT64_MAX / 2)))
            return 400;
        out->limited = found == 1;
        out->limit = found == 1 ? (uint64_t)limit : 0;
        return 0;
    }
    if (streams) {
        sb_puts(why, "Unknown resend type");
        return 400;
    }
    sb_printf(why, "Unknown query type '%.*s'; it is 'last', 'from' or 'range'", (int)kind.len,
              kind.ptr);
    return 404;
}
