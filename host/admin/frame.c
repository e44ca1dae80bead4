/* frame -- requests and answers of the admin socket as msgpack maps. See admin.h. */
#include "admin/admin.h"

#include "pack/pack.h"

const char *const admin_verbs[ADMIN_VERBS] = {
    [ADMIN_SWAP] = "swap",     [ADMIN_ENABLE] = "enable",   [ADMIN_DISABLE] = "disable",
    [ADMIN_RELOAD] = "reload", [ADMIN_PLUGINS] = "plugins",
};

void admin_request_done(admin_request *r)
{
    free(r->plugin);
    free(r->file);
    r->plugin = r->file = NULL;
}

void admin_request_write(const admin_request *r, sb *out)
{
    pack_map(out, 1u + (r->plugin != NULL) + (r->file != NULL));
    pack_text(out, "do", admin_verbs[r->verb]);
    if (r->plugin != NULL)
        pack_text(out, "plugin", r->plugin);
    if (r->file != NULL)
        pack_text(out, "file", r->file);
}

void admin_answer_write(bool ok, const char *text, sb *out)
{
    pack_map(out, 2);
    pack_bool(out, "ok", ok);
    pack_text(out, "text", text);
}

static bool request_fill(const unpacked_map *m, admin_request *out, sb *why)
{
    char *what = unpack_text(m, "do");
    int verb = 0;

    while (verb < ADMIN_VERBS && (what == NULL || strcmp(what, admin_verbs[verb]) != 0))
        verb++;
    free(what);
    if (verb == ADMIN_VERBS) {
        sb_puts(why, "'do' must be swap, enable, disable, reload or plugins");
        return false;
    }
    *out = (admin_request){(admin_verb)verb, unpack_text(m, "plugin"), unpack_text(m, "file")};
    if (out->plugin == NULL && out->verb <= ADMIN_DISABLE)
        sb_printf(why, "%s needs the name of a plugin", admin_verbs[verb]);
    else if (out->file != NULL && out->file[0] != '/')
        sb_puts(why, "the file must be an absolute path");
    if (why->len == 0)
        return true;
    admin_request_done(out);
    return false;
}

int admin_request_read(const void *bytes, size_t len, admin_request *out, sb *why)
{
    unpacked *u;
    int rc = unpack(bytes, len, &u);

    if (rc < 0)
        sb_puts(why, "a request is one msgpack map");
    if (rc != 1)
        return rc;
    if (!request_fill(unpacked_root(u), out, why))
        rc = -1;
    unpacked_free(u);
    return rc;
}

int admin_answer_read(const void *bytes, size_t len, bool *ok, sb *text)
{
    unpacked *u;
    int rc = unpack(bytes, len, &u);
    char *said;

    if (rc != 1)
        return rc;
    *ok = unpack_bool(unpacked_root(u), "ok", false);
    said = unpack_text(unpacked_root(u), "text");
    if (said != NULL)
        sb_puts(text, said);
    free(said);
    unpacked_free(u);
    return 1;
}
