/* schema -- JSON Schema draft-07: the keywords that configuration uses. See json.h.
 *
 * A keyword that constrains and is not in `known` makes compiling fail: nothing is
 * silently not checked. */
#include "json/json.h"

#include <math.h>
#include <regex.h>

struct json_schema {
    json_t *root;
};

typedef struct check {
    json_problems *out;
    bool fill;
} check;

static const char *const known[] = {
    "$schema",
    "$id",
    "$comment",
    "title",
    "description",
    "default",
    "examples",
    "type",
    "enum",
    "const",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "minLength",
    "maxLength",
    "pattern",
    "items",
    "minItems",
    "maxItems",
    "uniqueItems",
    "properties",
    "patternProperties",
    "additionalProperties",
    "required",
    "minProperties",
    "maxProperties",
    "anyOf",
    "oneOf",
    "allOf",
    "not",
};

static bool compile(const json_t *s, const char *pointer, sb *why);

static bool compile_map(const json_t *map, const char *pointer, const char *name, sb *why)
{
    const char *key;
    json_t *value;
    bool ok = true;
    json_t *mutable = (json_t *)(uintptr_t)map;

    json_object_foreach(mutable, key, value)
    {
        sb at = SB_INIT;

        sb_printf(&at, "%s/%s/%s", pointer, name, key);
        ok = ok && compile(value, at.data, why);
        sb_done(&at);
    }
    return ok;
}

static bool compile(const json_t *s, const char *pointer, sb *why)
{
    json_t *mutable = (json_t *)(uintptr_t)s, *value, *item;
    const char *key;
    size_t i;

    if (json_is_boolean(s))
        return true;
    if (!json_is_object(s)) {
        sb_printf(why, "schema %s: expected an object or a boolean", pointer);
        return false;
    }
    json_object_foreach(mutable, key, value)
    {
        bool found = false;

        for (i = 0; i < COUNT_OF(known); i++)
            found = found || strcmp(known[i], key) == 0;
        if (!found) {
            sb_printf(why, "schema %s: the keyword '%s' is not supported", pointer, key);
            return false;
        }
        if (strcmp(key, "pattern") == 0) {
            regex_t re;

            if (!json_is_string(value) ||
                regcomp(&re, json_string_value(value), REG_EXTENDED | REG_NOSUB) != 0) {
                sb_printf(why, "schema %s: 'pattern' is not a regular expression", pointer);
                return false;
            }
            regfree(&re);
        }
        if ((strcmp(key, "items") == 0 || strcmp(key, "not") == 0 ||
             strcmp(key, "additionalProperties") == 0) &&
            !compile(value, pointer, why))
            return false;
        if (strcmp(key, "anyOf") == 0 || strcmp(key, "oneOf") == 0 || strcmp(key, "allOf") == 0)
            json_array_foreach(value, i, item) if (!compile(item, pointer, why)) return false;
    }
    return compile_map(json_object_get(s, "properties"), pointer, "properties", why) &&
           compile_map(json_object_get(s, "patternProperties"), pointer, "patternProperties", why);
}

json_schema *json_schema_new(const json_t *schema, sb *why)
{
    json_schema *s;

    if (!compile(schema, "#", why))
        return NULL;
    s = must_alloc(sizeof *s);
    s->root = json_deep_copy(schema);
    return s;
}

void json_schema_free(json_schema *s)
{
    if (s == NULL)
        return;
    json_decref(s->root);
    free(s);
}

/* ---- checking ---- */

static void problem(check *c, const sb *pointer, const char *hint, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

static void problem(check *c, const sb *pointer, const char *hint, const char *fmt, ...)
{
    json_problem *p;
    sb message = SB_INIT;
    va_list args;

    va_start(args, fmt);
    sb_vprintf(&message, fmt, args);
    va_end(args);
    c->out->items = must_realloc(c->out->items, (c->out->n + 1) * sizeof *c->out->items);
    p = &c->out->items[c->out->n++];
    p->pointer = must_strndup(pointer->data, pointer->len);
    p->message = message.data;
    p->hint = hint != NULL ? must_strdup(hint) : NULL;
}

static bool has_type(const json_t *v, const char *type)
{
    if (strcmp(type, "integer") == 0)
        return json_is_integer(v) ||
               (json_is_real(v) && floor(json_real_value(v)) == json_real_value(v));
    if (strcmp(type, "number") == 0)
        return json_is_number(v);
    if (strcmp(type, "string") == 0)
        return json_is_string(v);
    if (strcmp(type, "boolean") == 0)
        return json_is_boolean(v);
    if (strcmp(type, "object") == 0)
        return json_is_object(v);
    if (strcmp(type, "array") == 0)
        return json_is_array(v);
    return strcmp(type, "null") == 0 && json_is_null(v);
}

static bool value_check(check *c, const json_t *schema, json_t *v, sb *pointer);

static bool type_check(check *c, const json_t *type, const json_t *v, const sb *pointer)
{
    char *found;
    size_t i;
    json_t *one;
    sb names = SB_INIT;

    if (json_is_string(type)) {
        if (has_type(v, json_string_value(type)))
            return true;
        sb_puts(&names, json_string_value(type));
    }
    json_array_foreach(type, i, one)
    {
        if (has_type(v, json_string_value(one))) {
            sb_done(&names);
            return true;
        }
        sb_printf(&names, "%s%s", names.len != 0 ? "," : "", json_string_value(one));
    }
    found = json_text(v);
    problem(c, pointer, NULL, "must be %s (found %.60s)", names.data, found);
    free(found);
    sb_done(&names);
    return false;
}

static bool number_check(check *c, const json_t *s, const json_t *v, const sb *pointer)
{
    static const struct {
        const char *keyword, *text;
    } bounds[] = {
        {"minimum", ">="}, {"maximum", "<="}, {"exclusiveMinimum", ">"}, {"exclusiveMaximum", "<"}};
    double x = json_number_value(v);
    bool ok = true;

    for (size_t i = 0; i < COUNT_OF(bounds); i++) {
        const json_t *bound = json_object_get(s, bounds[i].keyword);
        double b = json_number_value(bound);

        if (bound == NULL || (i == 0 && x >= b) || (i == 1 && x <= b) || (i == 2 && x > b) ||
            (i == 3 && x < b))
            continue;
        problem(c, pointer, NULL, "must be %s %.15g (found %.15g)", bounds[i].text, b, x);
        ok = false;
    }
    return ok;
}

static bool string_check(check *c, const json_t *s, const json_t *v, const sb *pointer)
{
    const json_t *pattern = json_object_get(s, "pattern");
    const json_t *least = json_object_get(s, "minLength"), *most = json_object_get(s, "maxLength");
    const char *text = json_string_value(v);
    int64_t len = 0;
    regex_t re;
    bool ok = true;

    for (const char *p = text; *p != '\0'; p++)
        len += (*p & 0xc0) != 0x80;
    if (least != NULL && len < json_integer_value(least)) {
        problem(c, pointer, NULL, "must NOT have fewer than %lld characters",
                (long long)json_integer_value(least));
        ok = false;
    }
    if (most != NULL && len > json_integer_value(most)) {
        problem(c, pointer, NULL, "must NOT have more than %lld characters",
                (long long)json_integer_value(most));
        ok = false;
    }
    if (pattern != NULL &&
        regcomp(&re, json_string_value(pattern), REG_EXTENDED | REG_NOSUB) == 0) {
        if (regexec(&re, text, 0, NULL, 0) != 0) {
            problem(c, pointer, NULL, "must match pattern \"%s\"", json_string_value(pattern));
            ok = false;
        }
        regfree(&re);
    }
    return ok;
}

static bool array_check(check *c, const json_t *s, json_t *v, sb *pointer)
{
    bool unique = json_is_true(json_object_get(s, "uniqueItems"));
    const json_t *items = json_object_get(s, "items"), *least = json_object_get(s, "minItems");
    const json_t *most = json_object_get(s, "maxItems");
    size_t len = pointer->len, i;
    json_t *item;
    bool ok = true;

    if (least != NULL && (json_int_t)json_array_size(v) < json_integer_value(least)) {
        problem(c, pointer, NULL, "must NOT have fewer than %lld items",
                (long long)json_integer_value(least));
        ok = false;
    }
    if (most != NULL && (json_int_t)json_array_size(v) > json_integer_value(most)) {
        problem(c, pointer, NULL, "must NOT have more than %lld items",
                (long long)json_integer_value(most));
        ok = false;
    }
    json_array_foreach(v, i, item)
    {
        for (size_t k = 0; unique && k < i; k++)
            if (json_equal(item, json_array_get(v, k))) {
                problem(c, pointer, NULL, "must NOT have duplicate items (%zu and %zu)", k, i);
                return false;
            }
    }
    if (items == NULL)
        return ok;
    json_array_foreach(v, i, item)
    {
        sb_printf(pointer, "/%zu", i);
        ok = value_check(c, items, item, pointer) && ok;
        pointer->len = len;
        pointer->data[len] = '\0';
    }
    return ok;
}

/* "did you mean 'port'?" or NULL; the caller frees. */
static char *suggestion(const json_t *properties, const char *key)
{
    json_t *mutable = (json_t *)(uintptr_t)properties, *value;
    const char *name, *best = NULL;
    unsigned least = 4;
    sb text = SB_INIT;

    json_object_foreach(mutable, name, value)
    {
        unsigned d = edit_distance(key, name);

        if (d < least && d < strlen(name)) {
            least = d;
            best = name;
        }
    }
    if (best != NULL)
        sb_printf(&text, "did you mean '%s'?", best);
    return text.data;
}

static void fill_in(const json_t *properties, json_t *v)
{
    json_t *mutable = (json_t *)(uintptr_t)properties, *property;
    const char *key;

    json_object_foreach(mutable, key, property)
    {
        json_t *value = json_object_get(property, "default");

        if (value != NULL && json_object_get(v, key) == NULL)
            json_object_set_new(v, key, json_deep_copy(value));
    }
}

static bool extra_check(check *c, const json_t *s, const char *key, json_t *value, sb *pointer)
{
    const json_t *extra = json_object_get(s, "additionalProperties");
    const json_t *patterns = json_object_get(s, "patternProperties");
    json_t *mutable = (json_t *)(uintptr_t)patterns, *sub;
    const char *pattern;
    char *hint;

    json_object_foreach(mutable, pattern, sub)
    {
        regex_t re;
        bool matches;

        if (regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB) != 0)
            continue;
        matches = regexec(&re, key, 0, NULL, 0) == 0;
        regfree(&re);
        if (matches)
            return value_check(c, sub, value, pointer);
    }
    if (extra == NULL || json_is_true(extra))
        return true;
    if (!json_is_false(extra))
        return value_check(c, extra, value, pointer);
    hint = suggestion(json_object_get(s, "properties"), key);
    problem(c, pointer, hint, "must NOT have additional properties (%s)", key);
    free(hint);
    return false;
}

static bool size_check(check *c, const json_t *s, size_t n, const sb *pointer)
{
    const json_t *least = json_object_get(s, "minProperties");
    const json_t *most = json_object_get(s, "maxProperties");

    if (least != NULL && (json_int_t)n < json_integer_value(least))
        problem(c, pointer, NULL, "must NOT have fewer than %lld properties",
                (long long)json_integer_value(least));
    else if (most != NULL && (json_int_t)n > json_integer_value(most))
        problem(c, pointer, NULL, "must NOT have more than %lld properties",
                (long long)json_integer_value(most));
    else
        return true;
    return false;
}

static bool object_check(check *c, const json_t *s, json_t *v, sb *pointer)
{
    const json_t *properties = json_object_get(s, "properties");
    const json_t *required = json_object_get(s, "required");
    size_t len = pointer->len, i;
    const char *key;
    json_t *item;
    bool ok = true;

    if (c->fill)
        fill_in(properties, v);
    ok = size_check(c, s, json_object_size(v), pointer);
    json_array_foreach(required, i, item)
    {
        if (json_object_get(v, json_string_value(item)) != NULL)
            continue;
        problem(c, pointer, NULL, "must have required property '%s'", json_string_value(item));
        ok = false;
    }
    json_object_foreach(v, key, item)
    {
        const json_t *sub = json_object_get(properties, key);

        sb_printf(pointer, "/%s", key);
        ok = (sub != NULL ? value_check(c, sub, item, pointer)
                          : extra_check(c, s, key, item, pointer)) &&
             ok;
        pointer->len = len;
        pointer->data[len] = '\0';
    }
    return ok;
}

/* How many of the alternatives accept. */
static size_t count_valid(const json_t *list, json_t *v, sb *pointer, bool fill)
{
    size_t i, n = 0;
    json_t *one;

    json_array_foreach(list, i, one)
    {
        json_problems quiet = {0};
        check c = {&quiet, fill && n == 0};

        n += value_check(&c, one, v, pointer);
        json_problems_done(&quiet);
    }
    return n;
}

static bool choice_check(check *c, const json_t *s, json_t *v, sb *pointer)
{
    const json_t *any = json_object_get(s, "anyOf"), *one = json_object_get(s, "oneOf");
    const json_t *all = json_object_get(s, "allOf"), *none = json_object_get(s, "not");
    const json_t *list = json_object_get(s, "enum"), *only = json_object_get(s, "const");
    bool ok = true, found = false;
    json_problems quiet = {0};
    check silent = {&quiet, false};
    size_t i;
    json_t *item;

    if (any != NULL && count_valid(any, v, pointer, c->fill) == 0) {
        problem(c, pointer, NULL, "must match a schema in anyOf");
        ok = false;
    }
    if (one != NULL && count_valid(one, v, pointer, c->fill) != 1) {
        problem(c, pointer, NULL, "must match exactly one schema in oneOf");
        ok = false;
    }
    json_array_foreach(all, i, item) ok = value_check(c, item, v, pointer) && ok;
    if (none != NULL && value_check(&silent, none, v, pointer)) {
        problem(c, pointer, NULL, "must NOT be valid");
        ok = false;
    }
    json_problems_done(&quiet);
    if (list != NULL) {
        json_array_foreach(list, i, item) found = found || json_equal(item, v);
        if (!found) {
            char *allowed = json_text(list);

            problem(c, pointer, NULL, "must be one of %s", allowed);
            free(allowed);
            ok = false;
        }
    }
    if (only != NULL && !json_equal(only, v)) {
        problem(c, pointer, NULL, "must be equal to constant");
        ok = false;
    }
    return ok;
}

static bool value_check(check *c, const json_t *s, json_t *v, sb *pointer)
{
    const json_t *type = json_object_get(s, "type");
    bool ok;

    if (json_is_boolean(s)) {
        if (json_is_false(s))
            problem(c, pointer, NULL, "must NOT be there");
        return json_is_true(s);
    }
    if (type != NULL && !type_check(c, type, v, pointer))
        return false;
    ok = choice_check(c, s, v, pointer);
    if (json_is_number(v))
        ok = number_check(c, s, v, pointer) && ok;
    if (json_is_string(v))
        ok = string_check(c, s, v, pointer) && ok;
    if (json_is_array(v))
        ok = array_check(c, s, v, pointer) && ok;
    if (json_is_object(v))
        ok = object_check(c, s, v, pointer) && ok;
    return ok;
}

bool json_schema_check(const json_schema *s, json_t *instance, bool fill, json_problems *out)
{
    check c = {out, fill};
    sb pointer = SB_INIT;
    bool ok;

    sb_append(&pointer, "", 0);
    ok = value_check(&c, s->root, instance, &pointer);
    sb_done(&pointer);
    return ok;
}

void json_problems_done(json_problems *p)
{
    for (size_t i = 0; i < p->n; i++) {
        free(p->items[i].pointer);
        free(p->items[i].message);
        free(p->items[i].hint);
    }
    free(p->items);
    *p = (json_problems){0};
}
