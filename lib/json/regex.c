/* regex -- see schema_parts.h. */
#include "json/schema_parts.h"

#define MATCH_LIMIT 200000u

/* PCRE2 knows escapes that ECMA-262 does not, \\Z for one. */
static bool has_foreign_escape(const char *text, size_t len)
{
    for (size_t i = 0; i + 1 < len; i++) {
        char c = text[i + 1];

        if (text[i] != '\\')
            continue;
        if (((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) &&
            strchr("bBcdDfknpPrsStuvwWx", c) == NULL)
            return true;
        i++;
    }
    return false;
}

pcre2_code *regex_new(const char *text, size_t len)
{
    pcre2_compile_context *context;
    pcre2_code *code;
    PCRE2_SIZE at;
    int error;

    if (has_foreign_escape(text, len))
        return NULL;
    context = pcre2_compile_context_create(NULL);
    must(context != NULL);
    pcre2_set_compile_extra_options(context, PCRE2_EXTRA_ALT_BSUX);
    pcre2_set_max_pattern_length(context, 64 * 1024);
    pcre2_set_parens_nest_limit(context, 100);
    code =
        pcre2_compile((PCRE2_SPTR)text, len,
                      PCRE2_UTF | PCRE2_DOLLAR_ENDONLY | PCRE2_ALT_BSUX | PCRE2_ALLOW_EMPTY_CLASS |
                          PCRE2_MATCH_UNSET_BACKREF | PCRE2_NEVER_BACKSLASH_C,
                      &error, &at, context);
    pcre2_compile_context_free(context);
    return code;
}

bool regex_matches(const pcre2_code *code, const char *text, size_t len)
{
    pcre2_match_data *data = pcre2_match_data_create(1, NULL);
    pcre2_match_context *context = pcre2_match_context_create(NULL);
    int rc;

    must(data != NULL && context != NULL);
    pcre2_set_match_limit(context, MATCH_LIMIT);
    rc = pcre2_match(code, (PCRE2_SPTR)text, len, 0, 0, data, context);
    pcre2_match_data_free(data);
    pcre2_match_context_free(context);
    return rc >= 0; /* what takes too long does not match */
}
