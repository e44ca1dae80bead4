/* env -- see env.h. LOGSTORE__BROKER__PLUGINS__LOG_STORE__DB__DATA_PATH=/x sets
 * plugins.logStore.db.dataPath; a suffix _N is the N-th element of a list. */
#include "conf/env.h"

#include <ctype.h>

#define PREFIX "LOGSTORE__BROKER__"

/* CONSTANT_CASE to camelCase; *index gets N - 1 of a suffix _N, or -1. */
static bool part_name(const char *part, size_t len, char *out, size_t out_len, int64_t *index)
{
    size_t n = len, to = 0;
    bool upper = false;

    *index = -1;
    while (n > 0 && isdigit((unsigned char)part[n - 1]))
        n--;
    if (n < len && n > 1 && part[n - 1] == '_') {
        if (!parse_i64(part + n, len - n, index) || --*index < 0)
            return false;
        n--;
    } else {
        n = len;
    }
    if (n == 0 || n >= out_len || !isupper((unsigned char)part[n - 1]))
        return false;
    for (size_t i = 0; i < n; i++) {
        if (part[i] == '_') {
            upper = to != 0;
        } else if (isupper((unsigned char)part[i])) {
            out[to++] = upper ? part[i] : (char)tolower((unsigned char)part[i]);
            upper = false;
        } else {
            return false;
        }
    }
    out[to] = '\0';
    return to != 0;
}

static json_t *value_of(const char *text)
{
    const char *p = text + (text[0] == '-');
    size_t whole = strspn(p, "0123456789"), fraction = 0;

    if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0)
        return json_boolean(text[0] == 't');
    if (strcmp(text, "null") == 0)
        return json_null();
    if (whole != 0 && p[whole] == '.')
        fraction = 1 + strspn(p + whole + 1, "0123456789");
    /* Longer ones are no quantities: a private key may be all digits. */
    if (whole != 0 && whole < 19 && p[whole + fraction] == '\0')
        return fraction == 0 ? json_integer(strtoll(text, NULL, 10))
                             : json_real(strtod(text, NULL));
    return json_string(text);
}

/* The container at key (and index) of an object, made when it is not there. */
static json_t *descend(json_t *object, const char *key, int64_t index, bool last, json_t *value)
{
    json_t *at = json_object_get(object, key);

    if (index < 0) {
        if (last) {
            json_object_set_new(object, key, value);
            return object;
        }
        if (!json_is_object(at)) {
            at = json_object();
            json_object_set_new(object, key, at);
        }
        return at;
    }
    if (!json_is_array(at)) {
        at = json_array();
        json_object_set_new(object, key, at);
    }
    while ((int64_t)json_array_size(at) <= index)
        json_array_append_new(at, last ? json_null() : json_object());
    if (last) {
        json_array_set_new(at, (size_t)index, value);
        return at;
    }
    return json_array_get(at, (size_t)index);
}

static bool apply(const char *name, size_t name_len, const char *text, json_t *root, sb *touched,
                  sb *why)
{
    const char *p = name + strlen(PREFIX), *end = name + name_len;
    json_t *at = root, *value = value_of(text);

    while (p < end) {
        const char *stop = memmem(p, (size_t)(end - p), "__", 2);
        size_t len = (size_t)((stop != NULL ? stop : end) - p);
        char key[128];
        int64_t index;

        if (!part_name(p, len, key, sizeof key, &index) || index > 10000) {
            json_decref(value);
            sb_printf(why,
                      "Malformed environment variable %.*s: expected parts like LOG_STORE or "
                      "KEYS_1, joined by __",
                      (int)name_len, name);
            return false;
        }
        sb_printf(touched, "/%s", key);
        if (index >= 0)
            sb_printf(touched, "/%lld", (long long)index);
        at = descend(at, key, index, stop == NULL, value);
        if (!json_is_object(at) && stop != NULL) {
            json_decref(value);
            sb_printf(why, "environment variable %.*s reaches into a value that has no members",
                      (int)name_len, name);
            return false;
        }
        p += len + 2;
    }
    sb_printf(touched, "\t%.*s\n", (int)name_len, name);
    return true;
}

bool env_apply(char *const *envp, json_t *root, sb *touched, sb *why)
{
    for (; envp != NULL && *envp != NULL; envp++) {
        const char *eq = strchr(*envp, '=');

        if (eq == NULL || strncmp(*envp, PREFIX, strlen(PREFIX)) != 0 || eq[1] == '\0')
            continue;
        if (!apply(*envp, (size_t)(eq - *envp), eq + 1, root, touched, why))
            return false;
    }
    return true;
}
