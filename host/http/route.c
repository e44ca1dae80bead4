/* route -- see route.h. */
#include "http/route.h"

#include <strings.h>

/* The segment at the start of s. */
static size_t segment(const char *s, size_t len)
{
    const char *slash = len != 0 ? memchr(s, '/', len) : NULL;

    return slash != NULL ? (size_t)(slash - s) : len;
}

static bool capture(route_match *m, const char *name, size_t name_len, const char *value,
                    size_t len)
{
    sb decoded = SB_INIT;

    if (m->n == ROUTE_PARAMS || len == 0 || !percent_decode(value, len, false, &decoded)) {
        sb_done(&decoded);
        return false;
    }
    m->names[m->n] = must_strndup(name, name_len);
    m->lengths[m->n] = decoded.len;
    m->values[m->n++] = decoded.data;
    return true;
}

static size_t count(const char *s, size_t len)
{
    size_t n = 1;

    for (size_t i = 0; i < len; i++)
        n += s[i] == '/';
    return n;
}

/* pattern and path without their leading slash */
static bool match(const char *pattern, const char *path, size_t len, route_match *m)
{
    size_t pattern_len = strlen(pattern), want = count(pattern, pattern_len),
           have = count(path, len);
    const char *end = path + len;

    if (have < want || (have > want && strstr(pattern, "+}") == NULL))
        return false;
    while (pattern_len != 0 || path < end) {
        size_t p = segment(pattern, pattern_len), n = segment(path, (size_t)(end - path));

        if (p >= 3 && pattern[0] == '{' && pattern[p - 1] == '}') {
            bool many = pattern[p - 2] == '+';

            /* Whatever the fixed part to the right leaves belongs to it. */
            for (size_t extra = many ? have - want : 0; extra != 0; extra--)
                n += 1 + segment(path + n + 1, (size_t)(end - path) - n - 1);
            if (!capture(m, pattern + 1, p - (many ? 3 : 2), path, n))
                return false;
        } else if (p != n || memcmp(pattern, path, n) != 0) {
            return false;
        }
        pattern += p + (p < pattern_len);
        pattern_len -= p + (p < pattern_len);
        path += n;
        if (path < end)
            path++;
        else if (pattern_len != 0)
            return false;
    }
    return true;
}

static bool method_fits(broker_str method, const char *of_route)
{
    return (method.len == strlen(of_route) && memcmp(method.ptr, of_route, method.len) == 0) ||
           (method.len == 4 && memcmp(method.ptr, "HEAD", 4) == 0 && strcmp(of_route, "GET") == 0);
}

unsigned route_find(const route *list, broker_str method, broker_str path, route_match *out,
                    sb *allow)
{
    memset(out, 0, sizeof *out);
    if (path.len == 0 || path.ptr[0] != '/')
        return 404;
    for (const route *r = list; r != NULL; r = r->next) {
        if (r->state == ROUTE_CLOSED)
            continue;
        if (!match(r->r.path + 1, path.ptr + 1, path.len - 1, out)) {
            route_match_done(out);
            continue;
        }
        if (method_fits(method, r->r.method)) {
            out->route = r;
            return 0;
        }
        route_match_done(out);
        if (strstr(allow->data != NULL ? allow->data : "", r->r.method) == NULL)
            sb_printf(allow, "%s%s", allow->len != 0 ? ", " : "", r->r.method);
    }
    return allow->len != 0 ? 405 : 404;
}

void route_match_done(route_match *m)
{
    for (size_t i = 0; i < m->n; i++) {
        free(m->names[i]);
        free(m->values[i]);
    }
    memset(m, 0, sizeof *m);
}

static const char *pattern_check(const char *pattern)
{
    unsigned many = 0;

    if (pattern == NULL || pattern[0] != '/')
        return "a route begins with '/'";
    for (const char *p = pattern + 1; *p != '\0'; p++) {
        if (*p == '+' && p[1] == '}')
            many++;
    }
    return many > 1 ? "a route has one {name+} at most" : NULL;
}

/* What a build made for an older header does not have is zero. */
static void copy(broker_route *to, const broker_route *from)
{
    memset(to, 0, sizeof *to);
    memcpy(to, from, from->size < sizeof *to ? from->size : sizeof *to);
}

/* The route of the build before, in its place. */
static void take_over(route *old, ledger *owner, const broker_route *r)
{
    const char *path = old->r.path, *method = old->r.method;

    copy(&old->r, r);
    old->r.path = path;
    old->r.method = method;
    old->owner = owner;
    old->state = ROUTE_PARKED;
}

const char *route_add(route **list, ledger *owner, const broker_route *r)
{
    const char *why = pattern_check(r->path);
    route **at = list, *made;

    if (why != NULL)
        return why;
    if (r->method == NULL || r->on_req == NULL)
        return "a route needs a method and a handler";
    for (; *at != NULL; at = &(*at)->next)
        if (strcmp((*at)->r.path, r->path) == 0 && strcmp((*at)->r.method, r->method) == 0) {
            if ((*at)->state != ROUTE_VACANT || strcmp((*at)->owner->name, owner->name) != 0)
                return "another route has the same method and path";
            take_over(*at, owner, r);
            return NULL;
        }
    made = must_alloc(sizeof *made);
    made->owner = owner;
    copy(&made->r, r);
    made->r.path = must_strdup(r->path);
    made->r.method = must_strdup(r->method);
    *at = made;
    return NULL;
}

/* Take out *at. */
static void drop(route **at)
{
    route *r = *at;

    *at = r->next;
    free((char *)(uintptr_t)r->r.path);
    free((char *)(uintptr_t)r->r.method);
    free(r);
}

void route_forget(route **list, const ledger *owner)
{
    while (*list != NULL)
        if (owner != NULL && (*list)->owner != owner)
            list = &(*list)->next;
        else
            drop(list);
}

void route_open(route **list, const char *name)
{
    while (*list != NULL) {
        route *r = *list;

        if (strcmp(r->owner->name, name) == 0 && r->state == ROUTE_VACANT) {
            drop(list);
            continue;
        }
        if (strcmp(r->owner->name, name) == 0)
            r->state = ROUTE_OPEN;
        list = &r->next;
    }
}
