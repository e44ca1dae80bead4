/* service_config -- "broker.config/1": a plugin's own section. */
#include "plugin/build.h"

#include <errno.h>
#include <sys/stat.h>

/* Keep a text until the build is taken out. [any] */
static broker_str keep(build *b, char *text)
{
    if (text == NULL)
        return (broker_str){NULL, 0};
    uv_mutex_lock(&b->lock);
    b->texts = must_realloc(b->texts, (b->n_texts + 1) * sizeof *b->texts);
    b->texts[b->n_texts++] = text;
    uv_mutex_unlock(&b->lock);
    return (broker_str){text, strlen(text)};
}

static int64_t config_integer(broker_ctx *ctx, const char *path)
{
    json_t *value = json_at(build_of(ctx)->section, path);

    return json_is_real(value) ? (int64_t)json_real_value(value) : json_integer_value(value);
}

static int32_t config_boolean(broker_ctx *ctx, const char *path)
{
    return json_is_true(json_at(build_of(ctx)->section, path)) ? 1 : 0;
}

static broker_str config_string(broker_ctx *ctx, const char *path)
{
    json_t *value = json_at(build_of(ctx)->section, path);

    return (broker_str){json_string_value(value), json_string_length(value)};
}

static broker_str config_json(broker_ctx *ctx, const char *path)
{
    build *b = build_of(ctx);
    json_t *value = json_at(b->section, path);

    return keep(b, value != NULL ? json_text(value) : NULL);
}

/* A part of the rest of the configuration that a plugin has asked for. */
struct shared {
    struct shared *next;
    char *path, *text; /* text NULL: there was none */
};

static broker_str config_shared(broker_ctx *ctx, const char *path)
{
    build *b = build_of(ctx);
    struct shared *s = must_alloc(sizeof *s);
    broker_str text = {NULL, 0};

    s->path = must_strdup(path);
    s->text = conf_shared(b->parts->conf, path);
    if (s->text != NULL)
        text = (broker_str){s->text, strlen(s->text)};
    uv_mutex_lock(&b->lock);
    s->next = b->shared;
    b->shared = s;
    uv_mutex_unlock(&b->lock);
    return text;
}

bool config_shared_is_same(build *b, conf *now)
{
    bool same = true;

    uv_mutex_lock(&b->lock);
    for (const struct shared *s = b->shared; s != NULL; s = s->next) {
        char *text = conf_shared(now, s->path);

        same = same &&
               (text == NULL ? s->text == NULL : s->text != NULL && strcmp(text, s->text) == 0);
        free(text);
    }
    uv_mutex_unlock(&b->lock);
    return same;
}

void config_free(build *b)
{
    while (b->shared != NULL) {
        struct shared *s = b->shared;

        b->shared = s->next;
        free(s->path);
        free(s->text);
        free(s);
    }
    for (size_t i = 0; i < b->n_texts; i++)
        free(b->texts[i]);
    free(b->texts);
}

/* mkdir -p, mode 0700. */
static bool make_dirs(char *path)
{
    for (char *p = path + 1;; p++) {
        char c = *p;

        if (c != '/' && c != '\0')
            continue;
        *p = '\0';
        if (mkdir(path, 0700) != 0 && errno != EEXIST)
            return false;
        *p = c;
        if (c == '\0')
            return true;
    }
}

static broker_str config_data_dir(broker_ctx *ctx)
{
    build *b = build_of(ctx);
    sb path = SB_INIT;

    uv_mutex_lock(&b->lock);
    if (b->data_dir == NULL) {
        sb_printf(&path, "%s/%s", b->parts->data_dir, b->manifest.name);
        if (make_dirs(path.data))
            TAKE(b->data_dir, path.data);
        sb_done(&path);
    }
    uv_mutex_unlock(&b->lock);
    return (broker_str){b->data_dir, b->data_dir != NULL ? strlen(b->data_dir) : 0};
}

const broker_config service_config = {
    sizeof service_config, 0,           config_integer, config_boolean,
    config_string,         config_json, config_shared,  config_data_dir,
};
