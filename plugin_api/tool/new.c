/* new -- write a project that builds one plugin: the files of plugin_api/template, in which
 * the new name stands for "my_plugin". */
#include "plugin_tool.h"

#include "base/base.h"

#include <errno.h>
#include <sys/stat.h>

#define NAME_MAX_LEN 31 /* broker_manifest.name */

static const char placeholder[] = "my_plugin";

extern const char template_cmake[], template_c[], template_schema[], template_readme[];

/* NULL, or why a plugin cannot be called so. */
static const char *name_check(const char *name)
{
    /* Names of targets that CMake keeps for itself. */
    static const char *const taken[] = {"all",   "test",    "install",   "help",
                                        "clean", "package", "edit_cache"};
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789_";

    if (name[0] < 'a' || name[0] > 'z')
        return "it must begin with a letter a-z";
    if (strspn(name, letters) != strlen(name))
        return "it must be made of a-z, 0-9 and _";
    if (strlen(name) > NAME_MAX_LEN)
        return "it must not be longer than 31 letters";
    for (size_t i = 0; i < COUNT_OF(taken); i++)
        if (strcmp(name, taken[i]) == 0)
            return "CMake keeps that name for a target of its own";
    return NULL;
}

/* The text with the name in place of the placeholder. */
static void named(const char *text, const char *name, sb *out)
{
    for (const char *at; (at = strstr(text, placeholder)) != NULL;
         text = at + strlen(placeholder)) {
        sb_append(out, text, (size_t)(at - text));
        sb_puts(out, name);
    }
    sb_puts(out, text);
}

static bool file_write(const char *folder, const char *file, const char *text, const char *name)
{
    sb path = SB_INIT, content = SB_INIT;
    FILE *out;
    bool ok;

    sb_printf(&path, "%s/", folder);
    named(file, name, &path);
    named(text, name, &content);
    out = fopen(path.data, "wx");
    ok = out != NULL && fwrite(content.data, 1, content.len, out) == content.len;
    if (out != NULL && fclose(out) != 0)
        ok = false;
    if (!ok)
        fprintf(stderr, "cannot write '%s' (%s)\n", path.data, strerror(errno));
    sb_done(&path);
    sb_done(&content);
    return ok;
}

int plugin_new(const char *name, const char *folder)
{
    static const struct {
        const char *file, *text;
    } files[] = {
        {"CMakeLists.txt", template_cmake},
        {"my_plugin.c", template_c},
        {"schema.json", template_schema},
        {"README.md", template_readme},
    };
    const char *why = name_check(name);

    if (why != NULL) {
        fprintf(stderr, "a plugin cannot be called '%s': %s\n", name, why);
        return 1;
    }
    if (mkdir(folder, 0777) != 0) {
        if (errno == EEXIST)
            fprintf(stderr, "'%s' is there already; name a folder that is not\n", folder);
        else
            fprintf(stderr, "cannot make the folder '%s' (%s)\n", folder, strerror(errno));
        return 1;
    }
    for (size_t i = 0; i < COUNT_OF(files); i++)
        if (!file_write(folder, files[i].file, files[i].text, name))
            return 1;
    printf("wrote the plugin '%s' into %s; %s/README.md says how it is built\n", name, folder,
           folder);
    return 0;
}
