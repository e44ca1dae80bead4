/* json: every case of the JSON Schema organisation's test suite for draft-07. */
#include "json/json.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <stdlib.h>

#define SUITE "/usr/share/json-schema-test-suite"

/* What is not held, and why: "file: group" as far as it must match. */
static const char *const not_held[] = {
    "bignum.json",        /* jansson's integers have 64 bits: the file itself is refused     */
    "content.json",       /* contentMediaType and contentEncoding are annotations here       */
    "iri.json",           /* not checked, as json.h says                                     */
    "iri-reference.json", /* not checked                                                     */
    "idn-hostname.json",  /* not checked                                                     */
    "ecmascript-regex.json: ECMA 262 \\s matches whitespace", /* PCRE2's \s is ASCII without UCP */
    "ecmascript-regex.json: ECMA 262 \\S matches everything but whitespace",
};

static unsigned cases, wrong;
static json_schema_document remotes[8];
static size_t n_remotes;

static bool held(const char *file, const char *group)
{
    sb name = SB_INIT;
    bool skip = false;

    sb_printf(&name, "%s: %s", file, group);
    for (size_t i = 0; i < COUNT_OF(not_held); i++)
        skip = skip || strncmp(name.data, not_held[i], strlen(not_held[i])) == 0;
    sb_done(&name);
    return !skip;
}

static void group_run(const char *file, json_t *group)
{
    const json_schema_options options = {
        .lax = true, .documents = remotes, .n_documents = n_remotes};
    const char *about = json_string_value(json_object_get(group, "description"));
    sb why = SB_INIT;
    json_schema *s;
    json_t *one;
    size_t i;

    if (!held(file, about))
        return;
    s = json_schema_new(json_object_get(group, "schema"), &options, &why);
    if (s == NULL) {
        wrong++;
        fprintf(stderr, "%s: %s: %s\n", file, about, why.data);
    }
    json_array_foreach(json_object_get(group, "tests"), i, one)
    {
        bool valid = json_is_true(json_object_get(one, "valid"));
        json_problems p = {0};

        cases++;
        if (s != NULL && json_schema_check(s, json_object_get(one, "data"), false, &p) != valid) {
            wrong++;
            fprintf(stderr, "%s: %s: %s: should be %s\n", file, about,
                    json_string_value(json_object_get(one, "description")),
                    valid ? "valid" : "invalid");
        }
        cr_expect_eq(p.n == 0, s == NULL || valid);
        json_problems_done(&p);
    }
    json_schema_free(s);
    sb_done(&why);
}

static void folder_run(const char *folder)
{
    DIR *dir = opendir(folder);
    struct dirent *e;

    cr_assert_not_null(dir, "%s: install json-schema-test-suite", folder);
    while ((e = readdir(dir)) != NULL) {
        sb path = SB_INIT;
        json_error_t error;
        json_t *groups, *group;
        size_t i;

        if (strstr(e->d_name, ".json") == NULL || !held(e->d_name, ""))
            continue;
        sb_printf(&path, "%s/%s", folder, e->d_name);
        groups = json_load_file(path.data, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
        cr_assert_not_null(groups, "%s: %s", path.data, error.text);
        json_array_foreach(groups, i, group) group_run(e->d_name, group);
        json_decref(groups);
        sb_done(&path);
    }
    closedir(dir);
}

static void remote(const char *name)
{
    static char uris[8][80];
    sb path = SB_INIT;
    json_error_t error;

    snprintf(uris[n_remotes], sizeof uris[0], "http://localhost:1234/%s", name);
    sb_printf(&path, SUITE "/remotes/%s", name);
    remotes[n_remotes].uri = uris[n_remotes];
    remotes[n_remotes].schema = json_load_file(path.data, 0, &error);
    cr_assert_not_null(remotes[n_remotes].schema, "%s: %s", path.data, error.text);
    n_remotes++;
    sb_done(&path);
}

Test(schema, holds_every_case_of_the_draft_07_suite)
{
    remote("integer.json");
    remote("name.json");
    remote("subSchemas.json");
    remote("folder/folderInteger.json");
    folder_run(SUITE "/tests/draft7");
    folder_run(SUITE "/tests/draft7/optional");
    folder_run(SUITE "/tests/draft7/optional/format");
    for (size_t i = 0; i < n_remotes; i++)
        json_decref((json_t *)(uintptr_t)remotes[i].schema);
    cr_expect(cases > 500, "the suite is there: %u cases", cases);
    cr_assert_eq(wrong, 0, "%u of %u cases", wrong, cases);
}
