/* uri -- see schema_parts.h. */
#include "json/schema_parts.h"

typedef struct uri {
    broker_str scheme, authority, path, query, fragment; /* ptr NULL: absent */
} uri;

static broker_str cut(const char **p, const char *stops)
{
    broker_str part = {*p, strcspn(*p, stops)};

    *p += part.len;
    return part;
}

static uri uri_of(const char *text)
{
    uri u = {{NULL, 0}, {NULL, 0}, {NULL, 0}, {NULL, 0}, {NULL, 0}};
    size_t n = strcspn(text, ":/?#");

    if (n != 0 && text[n] == ':') {
        u.scheme = (broker_str){text, n};
        text += n + 1;
    }
    if (strncmp(text, "//", 2) == 0) {
        text += 2;
        u.authority = cut(&text, "/?#");
    }
    u.path = cut(&text, "?#");
    if (*text == '?') {
        text++;
        u.query = cut(&text, "#");
    }
    if (*text == '#')
        u.fragment = (broker_str){text + 1, strlen(text + 1)};
    return u;
}

/* RFC 3986 5.2.4, in place. */
static void remove_dots(char *path)
{
    char *in = path, *out = path;

    while (*in != '\0') {
        if (strncmp(in, "/./", 3) == 0) {
            in += 2;
        } else if (strcmp(in, "/.") == 0) {
            *++in = '/', *out++ = '/', in++;
        } else if (strncmp(in, "/../", 4) == 0 || strcmp(in, "/..") == 0) {
            bool last = in[3] == '\0';

            in += 3;
            while (out > path && *--out != '/')
                ;
            if (last)
                *out++ = '/';
        } else {
            *out++ = *in++;
            while (*in != '\0' && *in != '/')
                *out++ = *in++;
        }
    }
    *out = '\0';
}

static void put(sb *out, const char *before, broker_str part, const char *after)
{
    if (part.ptr == NULL)
        return;
    sb_puts(out, before);
    sb_append(out, part.ptr, part.len);
    sb_puts(out, after);
}

void uri_resolve(const char *base_text, const char *ref_text, sb *out)
{
    uri base = uri_of(base_text), ref = uri_of(ref_text), to = ref;
    sb path = SB_INIT;

    sb_puts(&path, "");
    if (ref.scheme.ptr != NULL || ref.authority.ptr != NULL || ref.path.len != 0) {
        if (ref.scheme.ptr == NULL && ref.authority.ptr == NULL && ref.path.ptr[0] != '/') {
            size_t keep = base.path.len;

            while (keep > 0 && base.path.ptr[keep - 1] != '/')
                keep--;
            if (base.path.len == 0 && base.authority.ptr != NULL)
                sb_puts(&path, "/");
            sb_append(&path, base.path.ptr, keep);
        }
        sb_append(&path, ref.path.ptr, ref.path.len);
        if (path.data[0] == '/') {
            remove_dots(path.data);
            path.len = strlen(path.data);
        }
    } else {
        sb_append(&path, base.path.ptr, base.path.len);
        if (ref.query.ptr == NULL)
            to.query = base.query;
    }
    if (ref.scheme.ptr == NULL) {
        to.scheme = base.scheme;
        if (ref.authority.ptr == NULL)
            to.authority = base.authority;
    }
    put(out, "", to.scheme, ":");
    put(out, "//", to.authority, "");
    sb_append(out, path.data, path.len);
    put(out, "?", to.query, "");
    put(out, "#", to.fragment, "");
    sb_done(&path);
}
