/* doc -- a JSON text with line comments, and where each value stands in it. See json.h. */
#include "json/json.h"

#define DEPTH_MAX 100

typedef struct place {
    char *pointer;
    unsigned line, column;
} place;

struct json_doc {
    char *name;
    json_t *root;
    place *places; /* in order of the text */
    size_t n, cap;
};

/* Blank comments, so that offsets stay what they are. */
static char *without_comments(const char *text, size_t len)
{
    char *copy = must_strndup(text, len);
    bool in_string = false;

    for (size_t i = 0; i < len; i++) {
        if (in_string) {
            if (copy[i] == '\\')
                i++;
            else if (copy[i] == '"')
                in_string = false;
        } else if (copy[i] == '"') {
            in_string = true;
        } else if (copy[i] == '/' && i + 1 < len && copy[i + 1] == '/') {
            for (; i < len && copy[i] != '\n'; i++)
                copy[i] = ' ';
        }
    }
    return copy;
}

/* A walk over text that jansson has found valid, noting the start of each value. */
typedef struct walk {
    json_doc *doc;
    const char *p;
    unsigned line;
    const char *line_start;
} walk;

static void skip_space(walk *w)
{
    for (; *w->p == ' ' || *w->p == '\t' || *w->p == '\r' || *w->p == '\n'; w->p++)
        if (*w->p == '\n') {
            w->line++;
            w->line_start = w->p + 1;
        }
}

static void note(walk *w, const sb *pointer)
{
    json_doc *d = w->doc;

    if (d->n == d->cap) {
        d->cap = d->cap != 0 ? d->cap * 2 : 64;
        d->places = must_realloc(d->places, d->cap * sizeof *d->places);
    }
    d->places[d->n++] = (place){must_strndup(pointer->data, pointer->len), w->line,
                                (unsigned)(w->p - w->line_start) + 1};
}

static void skip_string(walk *w)
{
    for (w->p++; *w->p != '"'; w->p++)
        if (*w->p == '\\')
            w->p++;
    w->p++;
}

/* A key as a JSON pointer token; escapes other than \" and \\ stay as they are written. */
static void key_append(walk *w, sb *pointer)
{
    const char *p = w->p + 1;

    sb_putc(pointer, '/');
    for (; *p != '"'; p++) {
        if (*p == '\\' && (p[1] == '"' || p[1] == '\\'))
            p++;
        if (*p == '~')
            sb_puts(pointer, "~0");
        else if (*p == '/')
            sb_puts(pointer, "~1");
        else
            sb_putc(pointer, *p);
    }
    skip_string(w);
}

static void value_walk(walk *w, sb *pointer, unsigned depth)
{
    size_t len = pointer->len, index = 0;
    char close;

    skip_space(w);
    note(w, pointer);
    if (*w->p == '"') {
        skip_string(w);
        return;
    }
    if ((*w->p != '{' && *w->p != '[') || depth == DEPTH_MAX) {
        w->p += strcspn(w->p, ",]} \t\r\n");
        return;
    }
    close = *w->p++ == '{' ? '}' : ']';
    for (skip_space(w); *w->p != close; skip_space(w)) {
        if (close == '}') {
            key_append(w, pointer);
            skip_space(w);
            w->p++; /* the colon */
        } else {
            sb_printf(pointer, "/%zu", index++);
        }
        value_walk(w, pointer, depth + 1);
        pointer->len = len;
        pointer->data[len] = '\0';
        skip_space(w);
        if (*w->p == ',')
            w->p++;
    }
    w->p++;
}

static unsigned depth_of(const char *text)
{
    unsigned depth = 0, most = 0;
    bool in_string = false;

    for (; *text != '\0'; text++) {
        if (in_string && *text == '\\' && text[1] != '\0')
            text++;
        else if (*text == '"')
            in_string = !in_string;
        else if (!in_string && (*text == '{' || *text == '['))
            most = ++depth > most ? depth : most;
        else if (!in_string && (*text == '}' || *text == ']') && depth > 0)
            depth--;
    }
    return most;
}

json_doc *json_doc_parse(const char *name, const char *text, size_t len, sb *why)
{
    char *blanked = without_comments(text, len);
    json_doc *d = must_alloc(sizeof *d);
    json_error_t error;
    sb pointer = SB_INIT;
    walk w;

    d->name = must_strdup(name);
    if (memchr(text, '\0', len) != NULL) {
        sb_printf(why, "%s: a NUL byte in it; expected JSON text", name);
        goto fail;
    }
    if (depth_of(blanked) > DEPTH_MAX) {
        sb_printf(why, "%s: nested deeper than %d levels", name, DEPTH_MAX);
        goto fail;
    }
    d->root = json_loadb(blanked, len, JSON_REJECT_DUPLICATES, &error);
    if (d->root == NULL) {
        sb_printf(why, "%s:%d:%d: %s", name, error.line, error.column, error.text);
        goto fail;
    }
    sb_append(&pointer, "", 0);
    w = (walk){d, blanked, 1, blanked};
    value_walk(&w, &pointer, 0);
    sb_done(&pointer);
    free(blanked);
    return d;
fail:
    free(blanked);
    json_doc_free(d);
    return NULL;
}

void json_doc_free(json_doc *d)
{
    if (d == NULL)
        return;
    json_decref(d->root);
    for (size_t i = 0; i < d->n; i++)
        free(d->places[i].pointer);
    free(d->places);
    free(d->name);
    free(d);
}

json_t *json_doc_root(json_doc *d)
{
    return d->root;
}

const char *json_doc_name(const json_doc *d)
{
    return d->name;
}

bool json_doc_position(const json_doc *d, const char *pointer, unsigned *line, unsigned *column)
{
    size_t len = strlen(pointer);

    for (;;) {
        for (size_t i = 0; i < d->n; i++)
            if (strlen(d->places[i].pointer) == len &&
                memcmp(d->places[i].pointer, pointer, len) == 0) {
                *line = d->places[i].line;
                *column = d->places[i].column;
                return true;
            }
        if (len == 0)
            return false;
        while (pointer[--len] != '/')
            ;
    }
}
