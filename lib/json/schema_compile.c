/* schema_compile -- everything of a schema that can be worked out, and refused, before
 * the first value: unknown keywords, patterns, where each reference leads. See json.h. */
#include "json/schema_parts.h"

#define DRAFT_07  "http://json-schema.org/draft-07/schema"
#define DEPTH_MAX 200

extern const char json_draft_07[];

/* How a keyword holds subschemas. */
typedef enum holds {
    HOLDS_NONE,
    HOLDS_ONE,
    HOLDS_LIST,
    HOLDS_MAP,
    HOLDS_ANNOTATION, /* says nothing about values */
} holds;

static const struct {
    const char *name;
    holds holds;
} keywords[] = {
    {"$schema", HOLDS_ANNOTATION},
    {"$id", HOLDS_ANNOTATION},
    {"$ref", HOLDS_NONE},
    {"$comment", HOLDS_ANNOTATION},
    {"title", HOLDS_ANNOTATION},
    {"description", HOLDS_ANNOTATION},
    {"default", HOLDS_ANNOTATION},
    {"examples", HOLDS_ANNOTATION},
    {"readOnly", HOLDS_ANNOTATION},
    {"writeOnly", HOLDS_ANNOTATION},
    {"contentMediaType", HOLDS_ANNOTATION},
    {"contentEncoding", HOLDS_ANNOTATION},
    {"type", HOLDS_NONE},
    {"enum", HOLDS_NONE},
    {"const", HOLDS_NONE},
    {"multipleOf", HOLDS_NONE},
    {"minimum", HOLDS_NONE},
    {"maximum", HOLDS_NONE},
    {"exclusiveMinimum", HOLDS_NONE},
    {"exclusiveMaximum", HOLDS_NONE},
    {"minLength", HOLDS_NONE},
    {"maxLength", HOLDS_NONE},
    {"pattern", HOLDS_NONE},
    {"format", HOLDS_NONE},
    {"items", HOLDS_LIST},
    {"additionalItems", HOLDS_ONE},
    {"minItems", HOLDS_NONE},
    {"maxItems", HOLDS_NONE},
    {"uniqueItems", HOLDS_NONE},
    {"contains", HOLDS_ONE},
    {"properties", HOLDS_MAP},
    {"patternProperties", HOLDS_MAP},
    {"additionalProperties", HOLDS_ONE},
    {"propertyNames", HOLDS_ONE},
    {"dependencies", HOLDS_MAP},
    {"required", HOLDS_NONE},
    {"minProperties", HOLDS_NONE},
    {"maxProperties", HOLDS_NONE},
    {"definitions", HOLDS_MAP},
    {"if", HOLDS_ONE},
    {"then", HOLDS_ONE},
    {"else", HOLDS_ONE},
    {"allOf", HOLDS_LIST},
    {"anyOf", HOLDS_LIST},
    {"oneOf", HOLDS_LIST},
    {"not", HOLDS_ONE},
};

static schema_node *node_of(const json_schema *s, const json_t *schema)
{
    for (size_t i = 0; i < s->n_nodes; i++)
        if (s->nodes[i].schema == schema)
            return &s->nodes[i];
    return NULL;
}

const json_t *schema_target(const json_schema *s, const json_t *schema)
{
    const schema_node *n = node_of(s, schema);

    return n != NULL ? n->target : NULL;
}

const pcre2_code *schema_pattern_of(const json_schema *s, const char *text)
{
    for (size_t i = 0; i < s->n_patterns; i++)
        if (strcmp(s->patterns[i].text, text) == 0)
            return s->patterns[i].code;
    return NULL;
}

static const json_t *name_find(const json_schema *s, const char *uri)
{
    for (size_t i = 0; i < s->n_names; i++)
        if (strcmp(s->names[i].uri, uri) == 0)
            return s->names[i].schema;
    return NULL;
}

static void name_add(json_schema *s, const char *uri, const json_t *schema)
{
    if (name_find(s, uri) != NULL)
        return;
    s->names = must_realloc(s->names, (s->n_names + 1) * sizeof *s->names);
    s->names[s->n_names++] = (schema_name){must_strdup(uri), schema};
}

static bool pattern_add(json_schema *s, const char *text, const char *at, sb *why)
{
    pcre2_code *code;

    if (schema_pattern_of(s, text) != NULL)
        return true;
    code = regex_new(text, strlen(text));
    if (code == NULL) {
        sb_printf(why, "schema %s: \"%s\" is not a regular expression (ECMA-262)", at, text);
        return false;
    }
    s->patterns = must_realloc(s->patterns, (s->n_patterns + 1) * sizeof *s->patterns);
    s->patterns[s->n_patterns++] = (schema_pattern){text, code};
    return true;
}

static bool walk(json_schema *s, json_t *schema, const char *base, sb *at, unsigned depth, sb *why);

static bool walk_under(json_schema *s, json_t *schema, const char *base, sb *at, const char *key,
                       unsigned depth, sb *why)
{
    size_t len = at->len;
    bool ok;

    sb_printf(at, "/%s", key);
    ok = walk(s, schema, base, at, depth + 1, why);
    at->len = len;
    at->data[len] = '\0';
    return ok;
}

/* The subschemas of one keyword. */
static bool walk_keyword(json_schema *s, const char *key, holds how, json_t *value,
                         const char *base, sb *at, unsigned depth, sb *why)
{
    bool patterns = strcmp(key, "patternProperties") == 0;
    size_t len = at->len, i;
    const char *name;
    json_t *item;
    bool ok = true;

    sb_printf(at, "/%s", key);
    if (how == HOLDS_ONE || (how == HOLDS_LIST && !json_is_array(value))) {
        ok = walk(s, value, base, at, depth + 1, why);
    } else if (how == HOLDS_LIST) {
        json_array_foreach(value, i, item)
        {
            char index[24];

            snprintf(index, sizeof index, "%zu", i);
            ok = ok && walk_under(s, item, base, at, index, depth, why);
        }
    } else if (how == HOLDS_MAP) {
        json_object_foreach(value, name, item)
        {
            ok = ok && (!patterns || pattern_add(s, name, at->data, why));
            if (!json_is_array(item)) /* a list of names in `dependencies` */
                ok = ok && walk_under(s, item, base, at, name, depth, why);
        }
    }
    at->len = len;
    at->data[len] = '\0';
    return ok;
}

/* Take the schema's `$id` into account; the base of what is in it, the caller frees. */
static char *base_of(json_schema *s, const json_t *schema, const char *base)
{
    const char *id = json_string_value(json_object_get(schema, "$id"));
    sb uri = SB_INIT;
    char *fragment;

    if (id == NULL || json_object_get(schema, "$ref") != NULL)
        return must_strdup(base);
    uri_resolve(base, id, &uri);
    fragment = strchr(uri.data, '#');
    if (fragment != NULL && fragment[1] != '\0')
        name_add(s, uri.data, schema);
    if (fragment != NULL)
        *fragment = '\0';
    if (id[0] != '#')
        name_add(s, uri.data, schema);
    return uri.data;
}

static bool walk(json_schema *s, json_t *schema, const char *outer, sb *at, unsigned depth, sb *why)
{
    bool refers = json_is_string(json_object_get(schema, "$ref")), ok = true;
    const char *key;
    json_t *value;
    char *base;

    if (json_is_boolean(schema) || node_of(s, schema) != NULL)
        return true;
    if (!json_is_object(schema)) {
        sb_printf(why, "schema %s: expected an object or a boolean", at->data);
        return false;
    }
    if (depth > DEPTH_MAX) {
        sb_printf(why, "schema %s: nested more than %d deep", at->data, DEPTH_MAX);
        return false;
    }
    base = base_of(s, schema, outer);
    s->nodes = must_realloc(s->nodes, (s->n_nodes + 1) * sizeof *s->nodes);
    s->nodes[s->n_nodes++] = (schema_node){schema, NULL, base};
    base = must_strdup(base); /* nodes may move while we are here */
    json_object_foreach(schema, key, value)
    {
        size_t i = 0;

        while (i < COUNT_OF(keywords) && strcmp(keywords[i].name, key) != 0)
            i++;
        if (i == COUNT_OF(keywords) && !s->lax) {
            sb_printf(why, "schema %s: the keyword '%s' is not one of JSON Schema draft-07",
                      at->data, key);
            ok = false;
        } else if (refers && !s->lax && strcmp(key, "$ref") != 0 &&
                   strcmp(key, "definitions") != 0 && keywords[i].holds != HOLDS_ANNOTATION) {
            sb_printf(why, "schema %s: '%s' means nothing beside '$ref'; put both into an allOf",
                      at->data, key);
            ok = false;
        } else if (i < COUNT_OF(keywords)) {
            ok = walk_keyword(s, key, keywords[i].holds, value, base, at, depth, why);
            if (ok && strcmp(key, "pattern") == 0)
                ok = pattern_add(s, json_string_value(value), at->data, why);
        }
        if (!ok)
            break;
    }
    free(base);
    return ok;
}

/* ---- references ---- */

/* The document of a URI without fragment: known, among the options', or ours. */
static const json_t *document_find(json_schema *s, const char *uri, const json_schema_options *o,
                                   sb *why)
{
    const json_t *found = name_find(s, uri);
    json_t *doc = NULL;
    sb at = SB_INIT;
    bool ok;

    if (found != NULL)
        return found;
    for (size_t i = 0; i < o->n_documents && doc == NULL; i++)
        if (strcmp(o->documents[i].uri, uri) == 0)
            doc = json_deep_copy(o->documents[i].schema);
    if (doc == NULL && strcmp(uri, DRAFT_07) == 0)
        doc = json_loads(json_draft_07, 0, NULL);
    if (doc == NULL)
        return NULL;
    s->docs = must_realloc(s->docs, (s->n_docs + 1) * sizeof *s->docs);
    s->docs[s->n_docs++] = doc;
    name_add(s, uri, doc);
    sb_puts(&at, uri);
    ok = walk(s, doc, uri, &at, 0, why);
    sb_done(&at);
    return ok ? doc : NULL;
}

/* Follow a JSON pointer as a URI fragment writes it. */
static json_t *pointer_follow(const json_t *doc, const char *p)
{
    json_t *at = (json_t *)(uintptr_t)doc;

    while (at != NULL && *p == '/') {
        sb key = SB_INIT;
        int64_t index;

        sb_puts(&key, "");
        for (p++; *p != '\0' && *p != '/'; p++) {
            char c = *p;

            if (c == '%' && p[1] != '\0' && hex_decode((uint8_t *)&c, p + 1, 2))
                p += 2;
            if (c == '~' && (p[1] == '0' || p[1] == '1'))
                c = *++p == '0' ? '~' : '/';
            sb_putc(&key, c);
        }
        if (!json_is_array(at))
            at = json_object_get(at, key.data);
        else if (parse_i64(key.data, key.len, &index) && index >= 0)
            at = json_array_get(at, (size_t)index);
        else
            at = NULL;
        sb_done(&key);
    }
    return *p == '\0' ? at : NULL;
}

static bool ref_resolve(json_schema *s, size_t i, const json_schema_options *o, sb *why)
{
    const char *ref = json_string_value(json_object_get(s->nodes[i].schema, "$ref"));
    const char *base = s->nodes[i].base;
    sb uri = SB_INIT, at = SB_INIT;
    const json_t *doc, *target = NULL;
    const schema_node *known;
    char *fragment;
    bool ok = true;

    uri_resolve(base, ref, &uri);
    fragment = strchr(uri.data, '#');
    if (fragment != NULL && fragment[1] != '\0' && fragment[1] != '/')
        target = name_find(s, uri.data);
    if (fragment != NULL)
        *fragment++ = '\0';
    doc = target == NULL ? document_find(s, uri.data, o, why) : NULL;
    if (doc != NULL && (fragment == NULL || *fragment == '\0' || *fragment == '/'))
        target = pointer_follow(doc, fragment != NULL ? fragment : "");
    else if (doc != NULL) {
        fragment[-1] = '#';
        target = name_find(s, uri.data);
        fragment[-1] = '\0';
    }
    if (target == NULL && why->len == 0)
        sb_printf(why, "schema: '$ref' \"%s\" leads nowhere (%s)", ref, uri.data);
    if (target != NULL && node_of(s, target) == NULL) {
        known = node_of(s, doc);
        sb_puts(&at, ref);
        base = must_strdup(known != NULL ? known->base : uri.data);
        ok = walk(s, (json_t *)(uintptr_t)target, base, &at, 0, why);
        free((char *)(uintptr_t)base);
    }
    s->nodes[i].target = target;
    sb_done(&at);
    sb_done(&uri);
    return ok && target != NULL;
}

/* A chain of references that never comes to a schema. */
static bool ref_ends(const json_schema *s, const json_t *schema, sb *why)
{
    for (size_t steps = 0; steps <= s->n_nodes; steps++) {
        schema = schema_target(s, schema);
        if (schema == NULL)
            return true;
    }
    sb_puts(why, "schema: '$ref's lead to each other in a circle");
    return false;
}

static json_schema *compile(const json_t *schema, const json_schema_options *o, sb *why)
{
    json_schema *s = must_alloc(sizeof *s);
    sb at = SB_INIT;
    bool ok;

    s->lax = o->lax;
    s->docs = must_alloc(sizeof *s->docs);
    s->docs[s->n_docs++] = json_deep_copy(schema);
    name_add(s, "", s->docs[0]);
    sb_puts(&at, "#");
    ok = walk(s, s->docs[0], "", &at, 0, why);
    s->lax = true; /* other documents are not ours to judge */
    for (size_t i = 0; ok && i < s->n_nodes; i++)
        if (json_is_string(json_object_get(s->nodes[i].schema, "$ref")))
            ok = ref_resolve(s, i, o, why);
    for (size_t i = 0; ok && i < s->n_nodes; i++)
        ok = ref_ends(s, s->nodes[i].schema, why);
    sb_done(&at);
    if (ok)
        return s;
    json_schema_free(s);
    return NULL;
}

/* Whether the schema is one, by the schema of schemas. */
static bool is_schema(const json_t *schema, sb *why)
{
    static const json_schema_options lax = {.lax = true};
    json_t *text = json_loads(json_draft_07, 0, NULL);
    json_schema *draft = compile(text, &lax, why);
    json_problems problems = {0};

    must(draft != NULL);
    if (!json_schema_check(draft, (json_t *)(uintptr_t)schema, false, &problems))
        sb_printf(why, "schema #%s: %s", problems.items[0].pointer, problems.items[0].message);
    json_schema_free(draft);
    json_decref(text);
    json_problems_done(&problems);
    return why->len == 0;
}

json_schema *json_schema_new(const json_t *schema, const json_schema_options *options, sb *why)
{
    static const json_schema_options strict = {.lax = false};

    return is_schema(schema, why) ? compile(schema, options != NULL ? options : &strict, why)
                                  : NULL;
}

void json_schema_free(json_schema *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->n_docs; i++)
        json_decref(s->docs[i]);
    for (size_t i = 0; i < s->n_nodes; i++)
        free(s->nodes[i].base);
    for (size_t i = 0; i < s->n_names; i++)
        free(s->names[i].uri);
    for (size_t i = 0; i < s->n_patterns; i++)
        pcre2_code_free(s->patterns[i].code);
    free(s->docs);
    free(s->nodes);
    free(s->names);
    free(s->patterns);
    free(s);
}
