/* Configuration text: parsed with positions and checked, or refused with a sentence. */
#include "json/json.h"

extern const char conf_schema[];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static json_schema *schema;
    sb why = SB_INIT;
    json_doc *doc;
    json_problems problems = {0};

    if (schema == NULL) {
        json_doc *text = json_doc_parse("schema", conf_schema, strlen(conf_schema), &why);

        must(text != NULL);
        schema = json_schema_new(json_doc_root(text), NULL, &why);
        must(schema != NULL);
        json_doc_free(text);
    }
    doc = json_doc_parse("config", (const char *)data, size, &why);
    must((doc == NULL) == (why.len != 0));
    if (doc != NULL) {
        unsigned line, column;

        must(json_schema_check(schema, json_doc_root(doc), true, &problems) == (problems.n == 0));
        for (size_t i = 0; i < problems.n; i++)
            json_doc_position(doc, problems.items[i].pointer, &line, &column);
        /* With its defaults in, it is as valid as before. */
        json_problems_done(&problems);
    }
    json_doc_free(doc);
    sb_done(&why);
    return 0;
}
