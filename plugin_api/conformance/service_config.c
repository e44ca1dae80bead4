/* service_config -- "broker.config/1" of the kit: the section that was given, and a folder
 * of this process. */
#include "folder.h"
#include "kit.h"

#include "json/json.h"

#define MAGIC 0x74657874u

/* A text that lives as long as the kit. */
typedef struct text {
    object o;
    char *s;
} text;

static void text_free(object *o)
{
    text *t = CONTAINER_OF(o, text, o);

    free(t->s);
    free(t);
}

static broker_str keep(kit *k, char *s)
{
    text *t;

    if (s == NULL)
        return (broker_str){NULL, 0};
    t = must_alloc(sizeof *t);
    object_init(k, &t->o, MAGIC, text_free);
    t->s = s;
    return (broker_str){s, strlen(s)};
}

static json_t *look(broker_ctx *ctx, const char *path, call which)
{
    called(kit_of(ctx), which);
    return json_at(kit_of(ctx)->section, path);
}

static int64_t integer(broker_ctx *ctx, const char *path)
{
    json_t *v = look(ctx, path, CALL_config_integer);

    return json_is_real(v) ? (int64_t)json_real_value(v) : json_integer_value(v);
}

static int32_t boolean(broker_ctx *ctx, const char *path)
{
    return json_is_true(look(ctx, path, CALL_config_boolean)) ? 1 : 0;
}

static broker_str string(broker_ctx *ctx, const char *path)
{
    json_t *v = look(ctx, path, CALL_config_string);

    return (broker_str){json_string_value(v), json_string_length(v)};
}

static broker_str json(broker_ctx *ctx, const char *path)
{
    json_t *v = look(ctx, path, CALL_config_json);

    return keep(kit_of(ctx), v != NULL ? json_text(v) : NULL);
}

static broker_str shared(broker_ctx *ctx, const char *path)
{
    kit *k = kit_of(ctx);
    sb out = SB_INIT;

    if (called(k, CALL_config_shared))
        return (broker_str){NULL, 0};
    if (strcmp(path, "mode") == 0)
        sb_printf(&out, "{\"type\":\"standalone\",\"trackedStreams\":[{\"id\":\"%s/*\"}]}",
                  kit_address());
    else if (strcmp(path, "validation") == 0)
        sb_puts(&out, "{\"publish\":\"open\"}");
    return keep(k, out.data);
}

static broker_str data_dir(broker_ctx *ctx)
{
    if (called(kit_of(ctx), CALL_config_data_dir))
        return (broker_str){NULL, 0};
    return (broker_str){folder_of_child(), strlen(folder_of_child())};
}

const broker_config kit_config = {
    sizeof kit_config, 0, integer, boolean, string, json, shared, data_dir,
};
