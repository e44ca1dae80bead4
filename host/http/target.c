/* target -- see target.h. */
#include "http/target.h"

#include <string.h>
#include <strings.h>

broker_str target_authority(broker_str target)
{
    const char *p = target.ptr, *end = p + target.len;
    size_t scheme = 0, len = 0;

    if (target.len > 8)
        scheme = strncasecmp(p, "http://", 7) == 0 ? 7 : strncasecmp(p, "https://", 8) == 0 ? 8 : 0;
    for (p += scheme; p + len < end && p[len] != '/' && p[len] != '?'; len++)
        ;
    return scheme != 0 ? (broker_str){p, len} : (broker_str){NULL, 0};
}

broker_str target_path(broker_str target, broker_str *behind)
{
    broker_str path = target, authority = target_authority(target);
    const char *mark;

    if (authority.ptr != NULL) {
        path.len -= (size_t)(authority.ptr + authority.len - path.ptr);
        path.ptr = authority.ptr + authority.len;
    }
    *behind = (broker_str){NULL, 0};
    mark = path.len != 0 ? memchr(path.ptr, '?', path.len) : NULL;
    if (mark != NULL) {
        *behind = (broker_str){mark + 1, path.len - (size_t)(mark - path.ptr) - 1};
        path.len = (size_t)(mark - path.ptr);
    }
    return path;
}

void query_parse(query *q, broker_str text)
{
    const char *p = text.ptr, *end = p + text.len;

    while (p < end) {
        const char *amp = memchr(p, '&', (size_t)(end - p)), *stop = amp != NULL ? amp : end;
        const char *eq = memchr(p, '=', (size_t)(stop - p));
        sb name = SB_INIT, value = SB_INIT;
        size_t n = q->n;

        if (!percent_decode(p, (size_t)((eq != NULL ? eq : stop) - p), true, &name) ||
            (eq != NULL ? !percent_decode(eq + 1, (size_t)(stop - eq - 1), true, &value)
                        : !percent_decode("", 0, true, &value)) ||
            n == 64) {
            sb_done(&name);
            sb_done(&value);
        } else {
            q->names = must_realloc(q->names, (n + 1) * sizeof *q->names);
            q->values = must_realloc(q->values, (n + 1) * sizeof *q->values);
            q->lengths = must_realloc(q->lengths, (n + 1) * sizeof *q->lengths);
            q->names[n] = name.data;
            q->values[n] = value.data;
            q->lengths[n] = value.len;
            q->n++;
        }
        p = stop + 1;
    }
}

broker_str query_get(const query *q, const char *name)
{
    for (size_t i = 0; i < q->n; i++)
        if (strcmp(q->names[i], name) == 0)
            return (broker_str){q->values[i], q->lengths[i]};
    return (broker_str){NULL, 0};
}

void query_done(query *q)
{
    for (size_t i = 0; i < q->n; i++) {
        free(q->names[i]);
        free(q->values[i]);
    }
    free(q->names);
    free(q->values);
    free(q->lengths);
    *q = (query){0};
}
