/* schema_parts -- what the files of the schema checker share. Not for others. */
#ifndef JSON_SCHEMA_PARTS_H
#define JSON_SCHEMA_PARTS_H

#include "json/json.h"

#include <broker/plugin.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

/* A subschema and the URI its references stand on. */
typedef struct schema_node {
    const json_t *schema, *target; /* target: of its $ref, or NULL */
    char *base;
} schema_node;

typedef struct schema_name {
    char *uri; /* absolute, as `$id`s add up to */
    const json_t *schema;
} schema_name;

typedef struct schema_pattern {
    const char *text;
    pcre2_code *code;
} schema_pattern;

struct json_schema {
    json_t **docs; /* owned; the first is the schema itself */
    schema_node *nodes;
    schema_name *names;
    schema_pattern *patterns;
    size_t n_docs, n_nodes, n_names, n_patterns;
    bool lax;
};

/* schema_compile.c */
const json_t *schema_target(const json_schema *s, const json_t *schema);
const pcre2_code *schema_pattern_of(const json_schema *s, const char *text);

/* regex.c: ECMA-262 patterns on PCRE2, without unbounded backtracking. */
pcre2_code *regex_new(const char *text, size_t len); /* NULL: not one */
bool regex_matches(const pcre2_code *code, const char *text, size_t len);

/* uri.c: RFC 3986 section 5.2, resolve a reference. */
void uri_resolve(const char *base, const char *ref, sb *out);

/* format.c: false when the text is not what the format (draft-07 section 7.3) says.
 * Formats it does not know accept everything. */
bool format_accepts(const char *format, const char *text, size_t len);

/* number.c: whether x is a multiple of m > 0, in decimal arithmetic. */
bool number_is_multiple(const json_t *x, const json_t *m);

#endif
