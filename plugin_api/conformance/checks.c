/* checks -- see checks.h: the list, and what needs no instance. */
#include "checks.h"

#include "exports.h"
#include "kit.h"

#include "plugin/manifest.h"
#include "json/json.h"

static void check_manifest(const subject *s)
{
    broker_manifest m;
    char why[256];

    if (manifest_read(s->file, &m, why, sizeof why) != BROKER_OK ||
        manifest_check(&m, why, sizeof why) != BROKER_OK)
        finding("%s", why);
    else if (m.version[0] == '\0')
        finding("its manifest has no version");
}

static void check_symbols(const subject *s)
{
    size_t len;
    char *bytes = file_read(s->file, IMAGE_MAX, &len);
    sb others = SB_INIT;

    if (bytes != NULL)
        exports_find(bytes, len, &others);
    if (bytes == NULL)
        finding("it cannot be read, or is larger than %u bytes", IMAGE_MAX);
    else if (others.len != 0)
        finding("it exports %s beside broker_plugin; build it with -fvisibility=hidden, "
                "broker_add_plugin() does",
                others.data);
    free(bytes);
    sb_done(&others);
}

static json_schema *schema_read(const char *text, sb *why)
{
    json_doc *doc = json_doc_parse("config_schema", text, strlen(text), why);
    json_schema *schema = doc != NULL ? json_schema_new(json_doc_root(doc), NULL, why) : NULL;

    json_doc_free(doc);
    return schema;
}

json_t *section_read(const image *im, const char *config)
{
    const char *text = im->table->config_schema;
    json_t *section = json_loads(config, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
    json_problems problems = {NULL, 0};
    json_schema *schema;
    sb why = SB_INIT;

    if (!json_is_object(section)) {
        finding("the configuration given by --config is not a JSON object");
        json_decref(section);
        return NULL;
    }
    if (text == NULL && json_object_size(section) != 0)
        finding("it has no config_schema, so it takes no settings, and --config gives some");
    if (text == NULL)
        return section;
    schema = schema_read(text, &why);
    if (schema == NULL)
        finding("its config_schema cannot be used: %s", why.data);
    else if (!json_schema_check(schema, section, true, &problems))
        finding("its section is not as its schema wants it: %s %s (give one with --config)",
                problems.items[0].pointer[0] != '\0' ? problems.items[0].pointer : "it",
                problems.items[0].message);
    if (schema == NULL || problems.n != 0) {
        json_decref(section);
        section = NULL;
    }
    json_problems_done(&problems);
    json_schema_free(schema);
    sb_done(&why);
    return section;
}

static void check_config(const subject *s)
{
    image im;
    sb why = SB_INIT;

    if (image_open(s->file, &im, &why))
        json_decref(section_read(&im, s->config));
    else
        finding("%s", why.data);
    sb_done(&why);
}

const check checks[] = {
    {"manifest", "the file has a manifest that this host accepts", check_manifest, true, false,
     false, 10},
    {"symbols", "it exports broker_plugin and nothing else", check_symbols, false, false, false,
     10},
    {"config", "it loads; its schema is one, and accepts the section", check_config, true, false,
     false, 30},
    {"create", "create() touches nothing: no registration, no open file; twice at once",
     check_create, false, true, false, 30},
    {"life", "create, start, a minute without traffic, quiesce, destroy", check_life, false, true,
     false, 60},
    {"requests", "each request is ended once: bodies in parts, clients that leave, HEAD",
     check_requests, false, true, false, 60},
    {"messages", "messages taken are settled once, retained ones released", check_messages, false,
     true, false, 60},
    {"peers", "carriers, signature checkers, listeners and connections", check_peers, false, true,
     false, 60},
    {"busy", "quiesce in the middle of things, given up once, then done in time", check_busy, false,
     true, false, 60},
    {"restart", "after a failed swap it starts again with its own state", check_restart, false,
     true, true, 60},
    {"swap", "the next build takes the state over", check_swap, false, true, true, 60},
    {"crossing", "half read requests and half sent answers go on in the next build", check_crossing,
     false, true, true, 60},
    {"bad_state", "cut, changed and foreign state: an error or ignored, never a crash",
     check_bad_state, false, true, true, 120},
    {"missing", "each service missing: an error with a reason, or it copes", check_missing, false,
     true, false, 120},
    {"failures", "each call that can fail fails once: an error with a reason, or it copes",
     check_failures, false, true, false, 240},
    {"threads", "no thread is started or left", check_threads, false, true, false, 120},
    {"files", "no file or socket is left open", check_files, false, true, false, 120},
    {"memory", "no memory is left", check_memory, false, true, false, 240},
    {"unload", "after destroy() its code can be unmapped", check_unload, false, true, false, 60},
};
const size_t n_checks = COUNT_OF(checks);
