/* content -- a value in the JSON content of a message, found by a path "sensor.value".
 *
 * What is encrypted, binary, no JSON or larger than CONTENT_MAX has no value: parsing takes
 * time, and the loop has none. Needs jansson. */
#ifndef EXAMPLE_CONTENT_H
#define EXAMPLE_CONTENT_H

#include <broker/plugin.h>
#include <jansson.h>
#include <string.h>

#define CONTENT_MAX 65536u

/* The content as a tree that the caller json_decref()s, or NULL. */
static inline json_t *content_read(const broker_msg *m)
{
    if (m->body != BROKER_BODY_CONTENT || m->content_type != BROKER_CONTENT_JSON ||
        m->encryption_type != BROKER_ENCRYPTION_NONE || m->content.len > CONTENT_MAX)
        return NULL;
    return json_loadb((const char *)m->content.ptr, m->content.len, JSON_DECODE_ANY, NULL);
}

/* The value at the path, which is keys joined by dots; "" is the whole. Borrowed; NULL: none. */
static inline json_t *content_at(json_t *content, broker_str path)
{
    const char *at = path.ptr, *end = path.ptr + path.len;

    while (content != NULL && at < end) {
        const char *dot = memchr(at, '.', (size_t)(end - at));
        size_t len = (size_t)((dot != NULL ? dot : end) - at);
        char key[128];

        if (len >= sizeof key)
            return NULL;
        memcpy(key, at, len);
        key[len] = '\0';
        content = json_object_get(content, key);
        at += len + (dot != NULL);
    }
    return content;
}

#endif
