/* conf -- see conf.h. */
#include "conf/conf.h"

#include "conf/env.h"

#include <errno.h>
#include <unistd.h>

#define FILE_MAX_LEN (16u << 20)

extern const char conf_schema[];

/* Keys of a plugin's section that are the host's. */
static const char *const host_keys[] = {"module", "enabled", "watch", "isolate",
                                        "apiAuthentication"};

struct conf {
    json_doc *doc;
    bool from_file;
    sb touched; /* "pointer\tVARIABLE\n" of what the environment set */
};

static char *file_find(void)
{
    const char *env = getenv("LOGSTORE_BROKER_CONFIG"), *home = getenv("HOME");
    sb path = SB_INIT;

    if (env != NULL && env[0] != '\0')
        return must_strdup(env);
    if (home != NULL) {
        sb_printf(&path, "%s/.logstore/config/default.json", home);
        if (access(path.data, F_OK) == 0)
            return path.data;
        sb_done(&path);
    }
    return access("/etc/logstore-broker/config.json", F_OK) == 0
               ? must_strdup("/etc/logstore-broker/config.json")
               : NULL;
}

/* The variable that set the value at pointer (or around it), or NULL. */
static const char *variable_of(const conf *c, const char *pointer, size_t *len)
{
    const char *p = c->touched.data;

    while (p != NULL && *p != '\0') {
        const char *tab = strchr(p, '\t'), *end = strchr(p, '\n');
        size_t n = (size_t)(tab - p);

        if (strncmp(p, pointer, n) == 0 && (pointer[n] == '\0' || pointer[n] == '/')) {
            *len = (size_t)(end - tab) - 1;
            return tab + 1;
        }
        p = end + 1;
    }
    return NULL;
}

static void say(const conf *c, const char *pointer, const char *message, const char *hint, sb *why)
{
    unsigned line, column;
    size_t len;
    const char *variable = variable_of(c, pointer, &len);

    if (why->len != 0 && why->data[why->len - 1] != '\n')
        sb_putc(why, '\n');
    if (variable != NULL)
        sb_printf(why, "%.*s: ", (int)len, variable);
    else if (json_doc_position(c->doc, pointer, &line, &column))
        sb_printf(why, "%s:%u:%u: ", json_doc_name(c->doc), line, column);
    else
        sb_printf(why, "%s: ", json_doc_name(c->doc));
    sb_printf(why, "%s %s%s%s", pointer[0] != '\0' ? pointer : "/", message,
              hint != NULL ? "; " : "", hint != NULL ? hint : "");
}

/* What the reference node's files say elsewhere. */
static bool old_roots_check(const conf *c, sb *why)
{
    static const struct {
        const char *pointer, *path, *instead;
    } old[] = {
        {"/streamrClient", "streamrClient", "is of the older node; write it as 'client'"},
        {"/logStoreClient", "logStoreClient",
         "is of the older node and not needed; remove it ('client' has the key)"},
    };
    const char *type =
        json_string_value(json_at(json_doc_root(c->doc), "plugins.logStore.db.type"));
    bool ok = true;

    for (size_t i = 0; i < COUNT_OF(old); i++)
        if (json_at(json_doc_root(c->doc), old[i].path) != NULL) {
            say(c, old[i].pointer, old[i].instead, NULL, why);
            ok = false;
        }
    if (type != NULL && (strcmp(type, "sqlite") == 0 || strcmp(type, "cassandra") == 0)) {
        say(c, "/plugins/logStore/db/type", "names a store this node does not have",
            "write \"db\": {\"type\": \"rocksdb\", \"dataPath\": \"/var/lib/logstore\"}", why);
        ok = false;
    }
    return ok;
}

static bool check(conf *c, const char *schema_text, const char *what, const char *at,
                  json_t *instance, sb *why)
{
    sb reason = SB_INIT;
    json_doc *schema = json_doc_parse(what, schema_text, strlen(schema_text), &reason);
    json_schema *compiled =
        schema != NULL ? json_schema_new(json_doc_root(schema), NULL, &reason) : NULL;
    json_problems problems = {0};
    bool ok = false;

    if (compiled == NULL) {
        sb_printf(why, "the configuration schema of %s cannot be used: %s", what, reason.data);
        goto done;
    }
    ok = json_schema_check(compiled, instance, true, &problems);
    for (size_t i = 0; i < problems.n; i++) {
        sb pointer = SB_INIT;

        sb_printf(&pointer, "%s%s", at, problems.items[i].pointer);
        say(c, pointer.data, problems.items[i].message, problems.items[i].hint, why);
        sb_done(&pointer);
    }
done:
    json_problems_done(&problems);
    json_schema_free(compiled);
    json_doc_free(schema);
    sb_done(&reason);
    return ok;
}

conf *conf_load(const char *file, char *const *envp, sb *why)
{
    conf *c = must_alloc(sizeof *c);
    char *path = file != NULL ? must_strdup(file) : file_find(), *text = NULL;
    size_t len;

    text = path != NULL ? file_read(path, FILE_MAX_LEN, &len) : NULL;
    if (path != NULL && text == NULL) {
        sb_printf(why, "%s: cannot be read (%s)", path, strerror(errno));
        goto fail;
    }
    c->doc = json_doc_parse(path != NULL ? path : "(defaults)", text != NULL ? text : "{}",
                            text != NULL ? len : 2, why);
    if (c->doc == NULL)
        goto fail;
    c->from_file = path != NULL;
    if (!json_is_object(json_doc_root(c->doc))) {
        say(c, "", "must be object", NULL, why);
        goto fail;
    }
    if (!env_apply(envp, json_doc_root(c->doc), &c->touched, why) || !old_roots_check(c, why) ||
        !check(c, conf_schema, "the host", "", json_doc_root(c->doc), why))
        goto fail;
    free(path);
    free(text);
    return c;
fail:
    free(path);
    free(text);
    conf_free(c);
    return NULL;
}

void conf_free(conf *c)
{
    if (c == NULL)
        return;
    json_doc_free(c->doc);
    sb_done(&c->touched);
    free(c);
}

const char *conf_name(const conf *c)
{
    return json_doc_name(c->doc);
}

json_t *conf_root(conf *c)
{
    return json_doc_root(c->doc);
}

const char *conf_file(const conf *c)
{
    return c->from_file ? json_doc_name(c->doc) : NULL;
}

bool conf_plugin_of(conf *c, const char *key, conf_plugin *out)
{
    json_t *section = json_at(conf_root(c), "plugins");
    const char *module;

    section = json_object_get(section, key);
    if (section == NULL)
        return false;
    module = json_string_value(json_object_get(section, "module"));
    *out = (conf_plugin){must_strdup(key), module != NULL ? must_strdup(module) : NULL, section,
                         json_is_true(json_object_get(section, "isolate"))};
    return true;
}

void conf_plugin_done(conf_plugin *plugin)
{
    free(plugin->key);
    free(plugin->module);
}

size_t conf_plugins(conf *c, conf_plugin **out)
{
    json_t *plugins = json_object_get(conf_root(c), "plugins"), *section;
    const char *key;
    size_t n = 0;

    *out = must_alloc((json_object_size(plugins) + 1) * sizeof **out);
    json_object_foreach(plugins, key, section)
    {
        if (!json_is_false(json_object_get(section, "enabled")))
            conf_plugin_of(c, key, &(*out)[n++]);
    }
    return n;
}

void conf_plugins_free(conf_plugin *plugins, size_t n)
{
    for (size_t i = 0; i < n; i++)
        conf_plugin_done(&plugins[i]);
    free(plugins);
}

json_t *conf_check_plugin(conf *c, const conf_plugin *plugin, const char *schema, sb *why)
{
    json_t *settings = json_deep_copy(plugin->section);
    sb at = SB_INIT, what = SB_INIT;

    must(settings != NULL);
    for (size_t i = 0; i < COUNT_OF(host_keys); i++) /* not the plugin's business */
        json_object_del(settings, host_keys[i]);
    sb_printf(&at, "/plugins/%s", plugin->key);
    sb_printf(&what, "plugin '%s'", plugin->key);
    if (!check(c, schema != NULL ? schema : "{\"type\":\"object\",\"additionalProperties\":false}",
               what.data, at.data, settings, why)) {
        json_decref(settings);
        settings = NULL;
    }
    sb_done(&at);
    sb_done(&what);
    return settings;
}

void conf_plugin_fill(conf *c, const char *key, json_t *settings)
{
    must(json_object_update(json_object_get(json_at(conf_root(c), "plugins"), key), settings) == 0);
}

json_t *conf_plugin_keys(conf *c, const conf_plugin *plugin)
{
    json_t *own = json_object_get(plugin->section, "apiAuthentication");
    json_t *keys = own != NULL ? json_object_get(own, "keys")
                               : json_at(conf_root(c), "apiAuthentication.keys");

    return json_array_size(keys) != 0 ? json_incref(keys) : NULL;
}

char *conf_shared(conf *c, const char *path)
{
    static const char *const shared[] = {"mode", "validation", "client.network"};
    json_t *value = json_at(conf_root(c), path);

    for (size_t i = 0; i < COUNT_OF(shared); i++)
        if (strcmp(path, shared[i]) == 0)
            return value != NULL ? json_text(value) : NULL;
    if (strcmp(path, "apiAuthentication") == 0 && value != NULL)
        return must_strdup("{}"); /* that there is one, not its keys */
    return NULL;
}

static void mask(json_t *root, const char *path)
{
    json_t *value = json_at(root, path);
    size_t i;
    json_t *item;

    if (json_is_string(value))
        json_string_set(value, "***");
    json_array_foreach(value, i, item) json_string_set(item, "***");
}

char *conf_dump(conf *c)
{
    json_t *copy = json_deep_copy(conf_root(c)), *section, *rpc;
    const char *name;
    char *text;
    size_t i;

    mask(copy, "client.auth.privateKey");
    mask(copy, "apiAuthentication.keys");
    json_object_foreach(json_object_get(copy, "plugins"), name, section)
    {
        mask(section, "apiAuthentication.keys");
        /* Providers put keys into URLs. */
        json_array_foreach(json_object_get(section, "rpcs"), i, rpc) mask(rpc, "url");
    }
    text = json_dumps(copy, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    json_decref(copy);
    return text;
}
