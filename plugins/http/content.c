/* content -- see content.h.
 *
 * Whether the text is JSON is decided as it is everywhere in the node, by one pass without a
 * tree; jansson, which refuses some numbers and escapes that are valid, only says what is
 * wrong with a text that is not. */
#include "content.h"
#include "streamr/streamr.h"

#include <jansson.h>

static void syntax_say(const char *text, size_t len, sb *why)
{
    json_error_t error;
    json_t *value;

    sb_puts(why, "Payload is not a JSON string: ");
    if (len == 0) {
        sb_puts(why, "the body is empty, a JSON object was expected");
        return;
    }
    value = json_loadb(text, len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    if (value == NULL)
        sb_printf(why, "%s (line %d, column %d)", error.text, error.line, error.column);
    else
        sb_puts(why, "it is nested too deeply (512 levels are allowed)");
    json_decref(value);
}

bool content_check(const char *text, size_t len, sb *why)
{
    size_t at = 0;

    if (!streamr_json_valid(text, len)) {
        syntax_say(text, len, why);
        return false;
    }
    while (text[at] == ' ' || text[at] == '\t' || text[at] == '\r' || text[at] == '\n')
        at++;
    if (text[at] == '{')
        return true;
    sb_puts(why, text[at] == 'n' ? "Content missing" : "Content is not an object");
    return false;
}
