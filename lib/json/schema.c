/* schema -- checking values against JSON Schema draft-07, all keywords. See json.h.
 *
 * The schema is walked as it was written; what is slow to find out (patterns, where
 * references lead) was found out by schema_compile. */
#include "json/schema_parts.h"

#include <math.h>

/* A schema may ask for more work than there is time: past a bound it is invalid. */
#define DEPTH_MAX 300u
#define STEPS_MAX 500000u

typedef struct check {
    const json_schema *schema;
    json_problems *out;
    unsigned *steps;
    unsigned depth;
    bool fill;
} check;

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

/* Step into a member or an item, and out again. */
static size_t pointer_push(sb *pointer, const char *key)
{
    size_t len = pointer->len;

    sb_putc(pointer, '/');
    for (; *key != '\0'; key++) {
        if (*key == '~' || *key == '/')
            sb_puts(pointer, *key == '~' ? "~0" : "~1");
        else
            sb_putc(pointer, *key);
    }
    return len;
}

static void pointer_pop(sb *pointer, size_t len)
{
    pointer->len = len;
    pointer->data[len] = '\0';
}

/* Equal as JSON values: 1 and 1.0 are. */
static bool same(const json_t *a, const json_t *b)
{
    json_t *mutable = (json_t *)(uintptr_t)a, *value;
    const char *key;
    size_t i;

    if (json_is_number(a) && json_is_number(b)) {
        if (json_is_integer(a) && json_is_integer(b))
            return json_integer_value(a) == json_integer_value(b);
        return json_number_value(a) == json_number_value(b);
    }
    if (json_is_array(a) && json_is_array(b) && json_array_size(a) == json_array_size(b)) {
        json_array_foreach(mutable, i, value) if (!same(value, json_array_get(b, i))) return false;
        return true;
    }
    if (json_is_object(a) && json_is_object(b) && json_object_size(a) == json_object_size(b)) {
        json_object_foreach(mutable, key,
                            value) if (!same(value, json_object_get(b, key))) return false;
        return true;
    }
    return json_equal(a, b) == 1;
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

/* Check without telling: what an alternative says is not the operator's business. */
static bool accepts(const check *c, const json_t *schema, json_t *v, sb *pointer, bool fill)
{
    json_problems quiet = {0};
    check silent = {c->schema, &quiet, c->steps, c->depth, fill};
    bool ok = value_check(&silent, schema, v, pointer);

    json_problems_done(&quiet);
    return ok;
}

/* n against "<least>" and "<most>" of a schema. */
static bool size_check(check *c, const json_t *s, const char *least, const char *most, size_t n,
                       const char *what, const sb *pointer)
{
    const json_t *min = json_object_get(s, least), *max = json_object_get(s, most);

    if (min != NULL && (double)n < json_number_value(min))
        problem(c, pointer, NULL, "must NOT have fewer than %.15g %s", json_number_value(min),
                what);
    else if (max != NULL && (double)n > json_number_value(max))
        problem(c, pointer, NULL, "must NOT have more than %.15g %s", json_number_value(max), what);
    else
        return true;
    return false;
}

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
    const json_t *step = json_object_get(s, "multipleOf");
    double x = json_number_value(v);
    bool ok = true;

    if (step != NULL && !number_is_multiple(v, step)) {
        problem(c, pointer, NULL, "must be multiple of %.15g (found %.15g)",
                json_number_value(step), x);
        ok = false;
    }
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
    const char *pattern = json_string_value(json_object_get(s, "pattern"));
    const char *format = json_string_value(json_object_get(s, "format"));
    const char *text = json_string_value(v);
    size_t len = json_string_length(v), n = 0;
    bool ok;

    for (size_t i = 0; i < len; i++)
        n += (text[i] & 0xc0) != 0x80;
    ok = size_check(c, s, "minLength", "maxLength", n, "characters", pointer);
    if (pattern != NULL && !regex_matches(schema_pattern_of(c->schema, pattern), text, len)) {
        problem(c, pointer, NULL, "must match pattern \"%s\"", pattern);
        ok = false;
    }
    if (format != NULL && !format_accepts(format, text, len)) {
        problem(c, pointer, NULL, "must match format \"%s\" (found \"%.60s\")", format, text);
        ok = false;
    }
    return ok;
}

/* The schema of item i: of its place, of all, or of what comes after the places. */
static const json_t *item_schema(const json_t *s, size_t i)
{
    const json_t *items = json_object_get(s, "items");

    if (!json_is_array(items))
        return items;
    return i < json_array_size(items) ? json_array_get(items, i)
                                      : json_object_get(s, "additionalItems");
}

static bool array_check(check *c, const json_t *s, json_t *v, sb *pointer)
{
    bool unique = json_is_true(json_object_get(s, "uniqueItems")), found = false;
    const json_t *contains = json_object_get(s, "contains");
    bool ok = size_check(c, s, "minItems", "maxItems", json_array_size(v), "items", pointer);
    size_t i;
    json_t *item;

    json_array_foreach(v, i, item)
    {
        for (size_t k = 0; unique && k < i; k++)
            if (same(item, json_array_get(v, k))) {
                problem(c, pointer, NULL, "must NOT have duplicate items (%zu and %zu)", k, i);
                return false;
            }
    }
    json_array_foreach(v, i, item)
    {
        const json_t *sub = item_schema(s, i);
        char index[24];
        size_t len;

        snprintf(index, sizeof index, "%zu", i);
        len = pointer_push(pointer, index);
        found = found || (contains != NULL && accepts(c, contains, item, pointer, false));
        ok = (sub == NULL || value_check(c, sub, item, pointer)) && ok;
        pointer_pop(pointer, len);
    }
    if (contains != NULL && !found) {
        problem(c, pointer, NULL, "must contain at least one valid item");
        ok = false;
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

/* A member against everything that speaks of it. */
static bool member_check(check *c, const json_t *s, const char *key, json_t *value, sb *pointer)
{
    const json_t *sub = json_object_get(json_object_get(s, "properties"), key);
    const json_t *extra = json_object_get(s, "additionalProperties");
    json_t *patterns = json_object_get(s, "patternProperties"), *one;
    bool spoken = sub != NULL, ok = sub == NULL || value_check(c, sub, value, pointer);
    const char *pattern;
    char *hint;

    json_object_foreach(patterns, pattern, one)
    {
        if (!regex_matches(schema_pattern_of(c->schema, pattern), key, strlen(key)))
            continue;
        spoken = true;
        ok = value_check(c, one, value, pointer) && ok;
    }
    if (spoken || extra == NULL)
        return ok;
    if (!json_is_false(extra))
        return value_check(c, extra, value, pointer);
    hint = suggestion(json_object_get(s, "properties"), key);
    problem(c, pointer, hint, "must NOT have additional properties (%s)", key);
    free(hint);
    return false;
}

static bool required_check(check *c, const json_t *names, const json_t *v, const char *because,
                           const sb *pointer)
{
    bool ok = true;
    size_t i;
    json_t *name;

    json_array_foreach(names, i, name)
    {
        if (json_object_get(v, json_string_value(name)) != NULL)
            continue;
        if (because == NULL)
            problem(c, pointer, NULL, "must have required property '%s'", json_string_value(name));
        else
            problem(c, pointer, NULL, "must have property '%s' when property '%s' is present",
                    json_string_value(name), because);
        ok = false;
    }
    return ok;
}

static bool dependencies_check(check *c, const json_t *s, json_t *v, sb *pointer)
{
    json_t *dependencies = json_object_get(s, "dependencies"), *needs;
    const char *key;
    bool ok = true;

    json_object_foreach(dependencies, key, needs)
    {
        if (json_object_get(v, key) == NULL)
            continue;
        ok = (json_is_array(needs) ? required_check(c, needs, v, key, pointer)
                                   : value_check(c, needs, v, pointer)) &&
             ok;
    }
    return ok;
}

static bool object_check(check *c, const json_t *s, json_t *v, sb *pointer)
{
    const json_t *names = json_object_get(s, "propertyNames");
    const char *key;
    json_t *item;
    bool ok;

    if (c->fill)
        fill_in(json_object_get(s, "properties"), v);
    ok = size_check(c, s, "minProperties", "maxProperties", json_object_size(v), "properties",
                    pointer);
    ok = required_check(c, json_object_get(s, "required"), v, NULL, pointer) && ok;
    ok = dependencies_check(c, s, v, pointer) && ok;
    json_object_foreach(v, key, item)
    {
        size_t len = pointer_push(pointer, key);

        if (names != NULL) {
            json_t *name = json_string(key);

            ok = value_check(c, names, name, pointer) && ok;
            json_decref(name);
        }
        ok = member_check(c, s, key, item, pointer) && ok;
        pointer_pop(pointer, len);
    }
    return ok;
}

/* How many of the alternatives accept; the first that does fills in its defaults. */
static size_t count_valid(const check *c, const json_t *list, json_t *v, sb *pointer)
{
    size_t i, n = 0;
    json_t *one;

    json_array_foreach(list, i, one)
    {
        if (!accepts(c, one, v, pointer, false))
            continue;
        if (n++ == 0 && c->fill)
            accepts(c, one, v, pointer, true);
    }
    return n;
}

static bool choice_check(check *c, const json_t *s, json_t *v, sb *pointer)
{
    const json_t *any = json_object_get(s, "anyOf"), *one = json_object_get(s, "oneOf");
    const json_t *all = json_object_get(s, "allOf"), *none = json_object_get(s, "not");
    const json_t *condition = json_object_get(s, "if"), *then = NULL;
    const json_t *list = json_object_get(s, "enum"), *only = json_object_get(s, "const");
    bool ok = true, found = false;
    size_t i;
    json_t *item;

    if (any != NULL && count_valid(c, any, v, pointer) == 0) {
        problem(c, pointer, NULL, "must match a schema in anyOf");
        ok = false;
    }
    if (one != NULL && count_valid(c, one, v, pointer) != 1) {
        problem(c, pointer, NULL, "must match exactly one schema in oneOf");
        ok = false;
    }
    json_array_foreach(all, i, item) ok = value_check(c, item, v, pointer) && ok;
    if (none != NULL && accepts(c, none, v, pointer, false)) {
        problem(c, pointer, NULL, "must NOT be valid");
        ok = false;
    }
    if (condition != NULL)
        then = json_object_get(s, accepts(c, condition, v, pointer, false) ? "then" : "else");
    if (then != NULL)
        ok = value_check(c, then, v, pointer) && ok;
    if (list != NULL) {
        json_array_foreach(list, i, item) found = found || same(item, v);
        if (!found) {
            char *allowed = json_text(list);

            problem(c, pointer, NULL, "must be one of %s", allowed);
            free(allowed);
            ok = false;
        }
    }
    if (only != NULL && !same(only, v)) {
        problem(c, pointer, NULL, "must be equal to constant");
        ok = false;
    }
    return ok;
}

static bool keywords_check(check *c, const json_t *s, json_t *v, sb *pointer)
{
    const json_t *type = json_object_get(s, "type");
    bool ok;

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

static bool value_check(check *c, const json_t *s, json_t *v, sb *pointer)
{
    const json_t *target;
    bool ok;

    while ((target = schema_target(c->schema, s)) != NULL)
        s = target;
    if (json_is_boolean(s)) {
        if (json_is_false(s))
            problem(c, pointer, NULL, "must NOT be there");
        return json_is_true(s);
    }
    if (c->depth >= DEPTH_MAX)
        *c->steps = STEPS_MAX; /* whoever nests this deep has had their turn */
    if (*c->steps >= STEPS_MAX)
        return false;
    ++*c->steps;
    c->depth++;
    ok = keywords_check(c, s, v, pointer);
    c->depth--;
    return ok;
}

bool json_schema_check(const json_schema *s, json_t *instance, bool fill, json_problems *out)
{
    unsigned steps = 0;
    check c = {s, out, &steps, 0, fill};
    sb pointer = SB_INIT;
    bool ok;

    sb_append(&pointer, "", 0);
    ok = value_check(&c, s->docs[0], instance, &pointer);
    if (steps >= STEPS_MAX) {
        problem(&c, &pointer, NULL, "is nested too deeply, or too much work to check");
        ok = false;
    }
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
