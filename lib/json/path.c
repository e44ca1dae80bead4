/* path -- dotted look-ups and compact text. See json.h. */
#include "json/json.h"

json_t *json_at(json_t *root, const char *path)
{
    while (root != NULL && *path != '\0') {
        size_t n = strcspn(path, ".");
        char key[256];
        int64_t index;

        if (n >= sizeof key)
            return NULL;
        memcpy(key, path, n);
        key[n] = '\0';
        if (json_is_array(root))
            root = parse_i64(key, n, &index) && index >= 0 ? json_array_get(root, (size_t)index)
                                                           : NULL;
        else
            root = json_object_get(root, key);
        path += n + (path[n] == '.');
    }
    return root;
}

char *json_text(const json_t *value)
{
    return json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_PRESERVE_ORDER);
}
