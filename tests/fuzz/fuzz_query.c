/* Query parameters: any text is read or refused with a sentence. */
#include "query.h"

typedef struct text {
    const char *p;
    size_t len;
} text;

/* name=value lines, as http->query() would give them. */
static broker_str param(void *arg, const char *name)
{
    const text *t = arg;
    size_t n = strlen(name);

    for (size_t at = 0; at < t->len;) {
        const char *line = t->p + at, *end = memchr(line, '\n', t->len - at);
        size_t len = end != NULL ? (size_t)(end - line) : t->len - at;

        if (len > n && memcmp(line, name, n) == 0 && line[n] == '=')
            return (broker_str){line + n + 1, len - n - 1};
        at += len + 1;
    }
    return (broker_str){NULL, 0};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const kinds[] = {"last", "from", "range", "other"};
    text t = {(const char *)data + 1, size - 1};
    sb why = SB_INIT;
    static query q;
    unsigned status;

    if (size == 0)
        return 0;
    status = query_parse((data[0] & 4) != 0,
                         (broker_str){kinds[data[0] & 3], strlen(kinds[data[0] & 3])}, param, &t,
                         &q, &why);
    must((status == 0) == (why.len == 0));
    if (status == 0)
        must(q.range.from_ms >= 0 && q.range.from_sequence >= 0 && q.range.to_sequence >= 0);
    sb_done(&why);
    return 0;
}
