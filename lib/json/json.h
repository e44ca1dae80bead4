/* json -- configuration-grade JSON: parsing with positions, JSON Schema, dotted
 * paths. On top of jansson; not for message contents.
 *
 * Objects are used by one thread. Every error is text for the operator. */
#ifndef JSON_JSON_H
#define JSON_JSON_H

#include "base/base.h"

#include <jansson.h>

/* ---- Documents ---- */

/* A parsed text with the position of each value, found by JSON pointer. */
typedef struct json_doc json_doc;

/* Parse text in which line comments (//) outside strings are allowed. name is what errors call
 * the file. NULL: one line in *why, "name:line:column: what; what was expected".
 * Duplicate keys are errors. */
json_doc *json_doc_parse(const char *name, const char *text, size_t len, sb *why);
void json_doc_free(json_doc *doc);
json_t *json_doc_root(json_doc *doc); /* borrowed; may be changed in place */
const char *json_doc_name(const json_doc *doc);
/* Where the value (or, when it is absent, its nearest parent) stands; false: not from
 * the text. Lines and columns count from 1. */
bool json_doc_position(const json_doc *doc, const char *pointer, unsigned *line, unsigned *column);

/* ---- Schema, JSON Schema draft-07 ---- */

typedef struct json_schema json_schema;

typedef struct json_problem {
    char *pointer; /* JSON pointer of the instance, "" for the root  */
    char *message; /* "must be integer", in ajv's words              */
    char *hint;    /* NULL or "did you mean 'port'?"                 */
} json_problem;

typedef struct json_problems {
    json_problem *items;
    size_t n;
} json_problems;
void json_problems_done(json_problems *p);

typedef struct json_schema_document {
    const char *uri; /* without fragment */
    const json_t *schema;
} json_schema_document;

typedef struct json_schema_options {
    /* As the standard has it: unknown keywords, and what stands beside a $ref, say
     * nothing. Otherwise both are errors: nobody means to write them. */
    bool lax;
    /* What references to other documents find; nothing is ever fetched. The schema of
     * draft-07 itself is always there. */
    const json_schema_document *documents;
    size_t n_documents;
} json_schema_options;

/* Compile a schema; options may be NULL. NULL and a sentence in *why when it is not a
 * schema, or a reference in it leads nowhere. Formats are checked, except iri,
 * iri-reference and idn-hostname. */
json_schema *json_schema_new(const json_t *schema, const json_schema_options *options, sb *why);
void json_schema_free(json_schema *s);
/* Check an instance, all problems at once. fill: write `default`s into it. */
bool json_schema_check(const json_schema *s, json_t *instance, bool fill, json_problems *out);

/* ---- Paths ---- */

/* The value at a dotted path "a.b.2.c" ("" is root), borrowed, or NULL. */
json_t *json_at(json_t *root, const char *path);
/* Compact text, keys in their order; the caller frees. */
char *json_text(const json_t *value);

#endif
