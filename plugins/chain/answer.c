/* answer -- see answer.h. */
#include "answer.h"

#include "json/json.h"

#include <ctype.h>
#include <string.h>

#define WORDS_MAX 200u /* of an endpoint's error */

void answer_put_request(sb *out, uint64_t id, const char *method, const char *params)
{
    sb_printf(out, "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"method\":\"%s\",\"params\":%s}",
              (unsigned long long)id, method, params);
}

/* ---- errors ---- */

static bool says(const char *words, const char *part)
{
    for (; *words != '\0'; words++) {
        size_t i = 0;

        while (part[i] != '\0' && tolower((unsigned char)words[i]) == part[i])
            i++;
        if (part[i] == '\0')
            return true;
    }
    return false;
}

/* Endpoints agree on little: code and words are both looked at. */
static answer_kind error_kind(int64_t code, const char *words)
{
    static const char *const busy[] = {"rate limit", "too many requests", "capacity", "throughput",
                                       "request limit"};

    if (code == 3 || says(words, "revert"))
        return ANSWER_REVERTED;
    for (size_t i = 0; i < COUNT_OF(busy); i++)
        if (says(words, busy[i]))
            return ANSWER_BUSY;
    return code == 429 ? ANSWER_BUSY : ANSWER_ERROR;
}

static void error_read(json_t *error, answer *a, sb *text)
{
    const char *words = json_string_value(json_object_get(error, "message"));

    if (words == NULL)
        words = json_is_string(error) ? json_string_value(error) : "an error without a message";
    a->kind = error_kind(json_integer_value(json_object_get(error, "code")), words);
    for (size_t i = 0; words[i] != '\0' && i < WORDS_MAX; i++)
        sb_putc(text, (unsigned char)words[i] < ' ' ? ' ' : words[i]);
}

/* ---- answers ---- */

static bool one_read(json_t *o, void (*each)(void *arg, const answer *a), void *arg)
{
    json_t *error = json_object_get(o, "error"), *result = json_object_get(o, "result");
    json_t *id = json_object_get(o, "id");
    answer a = {.id = json_integer_value(id) > 0 ? (uint64_t)json_integer_value(id) : 0};
    bool failed = error != NULL && !json_is_null(error);
    sb text = SB_INIT;

    if (!failed && (result == NULL || a.id == 0))
        return false;
    if (failed) {
        error_read(error, &a, &text);
    } else {
        char *canonical = json_dumps(result, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);

        a.kind = ANSWER_RESULT;
        sb_puts(&text, canonical != NULL ? canonical : "null");
        free(canonical);
    }
    a.text = text.data != NULL ? text.data : "";
    each(arg, &a);
    sb_done(&text);
    return true;
}

bool answer_read(const void *body, size_t len, void (*each)(void *arg, const answer *a), void *arg)
{
    json_t *root = json_loadb(body, len, JSON_REJECT_DUPLICATES, NULL), *o;
    bool ok = root != NULL;
    size_t i;

    if (json_is_array(root)) {
        json_array_foreach(root, i, o) ok = ok && one_read(o, each, arg);
    } else if (ok) {
        ok = one_read(root, each, arg);
    }
    json_decref(root);
    return ok;
}

/* ---- results ---- */

bool answer_bytes(const char *text, sb *out)
{
    size_t len = strlen(text);
    char *room;

    if (len < 4 || text[0] != '"' || text[len - 1] != '"' || text[1] != '0' || text[2] != 'x' ||
        len % 2 != 0)
        return false;
    len -= 4;
    room = sb_room(out, len / 2 + 1);
    if (!hex_decode((uint8_t *)room, text + 3, len))
        return false;
    out->len += len / 2;
    return true;
}

bool answer_number(const char *text, uint64_t *out)
{
    uint64_t x = 0;
    size_t i = 3;

    if (strncmp(text, "\"0x", 3) != 0)
        return false;
    for (; isxdigit((unsigned char)text[i]); i++) {
        int c = tolower((unsigned char)text[i]);

        if (x >> 60 != 0)
            return false;
        x = x << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    if (i == 3 || strcmp(text + i, "\"") != 0)
        return false;
    *out = x;
    return true;
}
