/* json: positions, schema checks, defaults. */
#include "json/json.h"

#include <criterion/criterion.h>

static json_doc *parse(const char *text)
{
    sb why = SB_INIT;
    json_doc *doc = json_doc_parse("t", text, strlen(text), &why);

    cr_assert_not_null(doc, "%s", why.data);
    sb_done(&why);
    return doc;
}

static const char *refusal(const char *text)
{
    static sb why = SB_INIT;

    sb_clear(&why);
    cr_assert_null(json_doc_parse("t", text, strlen(text), &why));
    return why.data;
}

Test(doc, knows_where_values_stand_behind_comments)
{
    json_doc *doc = parse("{ // one\n  \"a\": [ 1, \"x//y\", { \"b/c\": true } ]\n}");
    unsigned line, column;

    cr_assert(json_doc_position(doc, "/a/2/b~1c", &line, &column));
    cr_assert_eq(line, 2);
    cr_assert_eq(column, 30);
    cr_assert(json_doc_position(doc, "/a/9", &line, &column), "the nearest parent");
    cr_assert_eq(column, 8);
    json_doc_free(doc);
}

Test(doc, refuses_duplicates_junk_and_deep_nesting_with_a_position)
{
    char deep[400];

    cr_assert(strstr(refusal("{\"a\":1,\"a\":2}"), "t:1:"));
    cr_assert(strstr(refusal("{} x"), "t:1:"));
    cr_assert(strstr(refusal(""), "t:1:"));
    memset(deep, '[', sizeof deep - 1);
    deep[sizeof deep - 1] = '\0';
    cr_assert(strstr(refusal(deep), "nested deeper"));
}

static const char *problem_of(const char *schema_text, const char *text)
{
    static char said[256];
    sb why = SB_INIT;
    json_doc *schema = parse(schema_text), *doc = parse(text);
    json_schema *s = json_schema_new(json_doc_root(schema), NULL, &why);
    json_problems p = {0};

    cr_assert_not_null(s, "%s", why.data);
    said[0] = '\0';
    if (!json_schema_check(s, json_doc_root(doc), true, &p))
        snprintf(said, sizeof said, "%s %s %s", p.items[0].pointer, p.items[0].message,
                 p.items[0].hint != NULL ? p.items[0].hint : "");
    json_problems_done(&p);
    json_schema_free(s);
    json_doc_free(schema);
    json_doc_free(doc);
    return said;
}

Test(schema, names_the_place_and_what_was_expected)
{
    cr_assert(
        strstr(problem_of("{\"properties\":{\"port\":{\"type\":\"integer\"}}}", "{\"port\":\"x\"}"),
               "/port must be integer (found \"x\")"));
    cr_assert(strstr(
        problem_of("{\"properties\":{\"port\":{}},\"additionalProperties\":false}", "{\"prot\":1}"),
        "did you mean 'port'?"));
    cr_assert(
        strstr(problem_of("{\"required\":[\"a\"]}", "{}"), "must have required property 'a'"));
    cr_assert(strstr(problem_of("{\"items\":{\"maximum\":3}}", "[1,5]"), "/1 must be <= 3"));
    cr_assert(
        strstr(problem_of("{\"items\":{\"pattern\":\"^0x\"}}", "[\"1\"]"), "must match pattern"));
    cr_assert(strstr(problem_of("{\"items\":{\"enum\":[1,2]}}", "[3]"), "must be one of [1,2]"));
    cr_assert(strstr(problem_of("{\"maxProperties\":1}", "{\"a\":1,\"b\":2}"), "more than 1 prop"));
    cr_assert(strstr(problem_of("{\"uniqueItems\":true}", "[1,2,1]"), "duplicate items"));
    cr_assert_str_eq(
        problem_of("{\"anyOf\":[{\"required\":[\"a\"]},{\"required\":[\"b\"]}]}", "{\"b\":1}"), "");
}

Test(schema, fills_defaults_in_on_every_level)
{
    sb why = SB_INIT;
    json_doc *schema =
        parse("{\"properties\":{\"a\":{\"default\":{},\"properties\":{\"b\":{\"default\":7}}}}}");
    json_doc *doc = parse("{}");
    json_schema *s = json_schema_new(json_doc_root(schema), NULL, &why);
    json_problems p = {0};

    cr_assert(json_schema_check(s, json_doc_root(doc), true, &p));
    cr_assert_eq(json_integer_value(json_at(json_doc_root(doc), "a.b")), 7);
    json_schema_free(s);
    json_doc_free(schema);
    json_doc_free(doc);
}

Test(schema, a_keyword_it_does_not_know_is_an_error)
{
    json_doc *schema = parse("{\"properties\":{\"a\":{\"minimun\":1}}}");
    sb why = SB_INIT;

    cr_assert_null(json_schema_new(json_doc_root(schema), NULL, &why));
    cr_assert(strstr(why.data, "minimun"));
    sb_done(&why);
    json_doc_free(schema);
}

static const char *schema_refusal(const char *text)
{
    static sb why = SB_INIT;
    json_doc *schema = parse(text);

    sb_clear(&why);
    cr_assert_null(json_schema_new(json_doc_root(schema), NULL, &why), "%s", text);
    json_doc_free(schema);
    return why.data;
}

Test(schema, that_cannot_be_honoured_is_refused_in_a_sentence)
{
    cr_assert_str_eq(schema_refusal("{\"minimum\":\"5\"}"),
                     "schema #/minimum: must be number (found \"5\")");
    cr_assert_str_eq(
        schema_refusal("{\"properties\":{\"a\":{\"minimun\":5}}}"),
        "schema #/properties/a: the keyword 'minimun' is not one of JSON Schema draft-07");
    cr_assert_str_eq(schema_refusal("{\"pattern\":\"(\"}"),
                     "schema #/pattern: must match format \"regex\" (found \"(\")");
    cr_assert_str_eq(schema_refusal("{\"$ref\":\"#/definitions/none\"}"),
                     "schema: '$ref' \"#/definitions/none\" leads nowhere ()");
    cr_assert_str_eq(schema_refusal("{\"$ref\":\"#\"}"),
                     "schema: '$ref's lead to each other in a circle");
    cr_assert_str_eq(schema_refusal("{\"$ref\":\"#/definitions/a\",\"minimum\":1,"
                                    "\"definitions\":{\"a\":{}}}"),
                     "schema #: 'minimum' means nothing beside '$ref'; put both into an allOf");
}

Test(schema, that_asks_for_endless_work_ends)
{
    static const char *const texts[] = {
        "{\"allOf\":[{\"$ref\":\"#\"}]}",
        "{\"allOf\":[{\"$ref\":\"#\"},{\"$ref\":\"#\"}]}",
        "{\"not\":{\"anyOf\":[{\"$ref\":\"#\"},{\"not\":{\"$ref\":\"#\"}}]}}",
        "{\"pattern\":\"^(a+)+$\"}",
    };
    json_doc *doc = parse("[\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab\"]");

    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        json_doc *schema = parse(texts[i]);
        sb why = SB_INIT;
        json_schema *s = json_schema_new(json_doc_root(schema), NULL, &why);
        json_problems p = {0};

        cr_assert_not_null(s, "%s: %s", texts[i], why.data);
        json_schema_check(s, json_array_get(json_doc_root(doc), 0), false, &p);
        json_problems_done(&p);
        json_schema_free(s);
        json_doc_free(schema);
        sb_done(&why);
    }
    json_doc_free(doc);
}
