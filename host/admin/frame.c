/* frame -- requests and answers of the admin socket as msgpack maps. See admin.h. */
#include "admin/admin.h"

#include <msgpack.h>

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

/* ---- writing ---- */

static int sb_write(void *data, const char *bytes, size_t len)
{
    sb_append(data, bytes, len);
    return 0;
}

static void put_text(msgpack_packer *p, const char *text)
{
    msgpack_pack_str(p, strlen(text));
    msgpack_pack_str_body(p, text, strlen(text));
}

void admin_request_write(const admin_request *r, sb *out)
{
    msgpack_packer p;

    msgpack_packer_init(&p, out, sb_write);
    msgpack_pack_map(&p, 1u + (r->plugin != NULL) + (r->file != NULL));
    put_text(&p, "do");
    put_text(&p, admin_verbs[r->verb]);
    if (r->plugin != NULL) {
        put_text(&p, "plugin");
        put_text(&p, r->plugin);
    }
    if (r->file != NULL) {
        put_text(&p, "file");
        put_text(&p, r->file);
    }
}

void admin_answer_write(bool ok, const char *text, sb *out)
{
    msgpack_packer p;

    msgpack_packer_init(&p, out, sb_write);
    msgpack_pack_map(&p, 2);
    put_text(&p, "ok");
    if (ok)
        msgpack_pack_true(&p);
    else
        msgpack_pack_false(&p);
    put_text(&p, "text");
    put_text(&p, text);
}

/* ---- reading ---- */

static bool is_text(const msgpack_object *o, const char *text)
{
    return o->type == MSGPACK_OBJECT_STR && o->via.str.size == strlen(text) &&
           memcmp(o->via.str.ptr, text, o->via.str.size) == 0;
}

static const msgpack_object *value_of(const msgpack_object *map, const char *key)
{
    for (uint32_t i = 0; i < map->via.map.size; i++)
        if (is_text(&map->via.map.ptr[i].key, key))
            return &map->via.map.ptr[i].val;
    return NULL;
}

/* The text at a key, or NULL: absent, no text, or with a NUL in it. */
static char *text_of(const msgpack_object *map, const char *key)
{
    const msgpack_object *o = value_of(map, key);

    if (o == NULL || o->type != MSGPACK_OBJECT_STR || o->via.str.size == 0 ||
        memchr(o->via.str.ptr, '\0', o->via.str.size) != NULL)
        return NULL;
    return must_strndup(o->via.str.ptr, o->via.str.size);
}

/* 1: a map; 0: not complete; -1: not a map, or not msgpack. */
static int map_read(msgpack_unpacked *to, const void *bytes, size_t len)
{
    size_t at = 0;

    switch (msgpack_unpack_next(to, bytes, len, &at)) {
    case MSGPACK_UNPACK_SUCCESS:
        return to->data.type == MSGPACK_OBJECT_MAP && at == len ? 1 : -1;
    case MSGPACK_UNPACK_CONTINUE:
        return 0;
    default:
        return -1;
    }
}

static bool request_fill(const msgpack_object *map, admin_request *out, sb *why)
{
    const msgpack_object *what = value_of(map, "do");
    int verb = 0;

    while (verb < ADMIN_VERBS && (what == NULL || !is_text(what, admin_verbs[verb])))
        verb++;
    if (verb == ADMIN_VERBS) {
        sb_puts(why, "'do' must be swap, enable, disable, reload or plugins");
        return false;
    }
    *out = (admin_request){(admin_verb)verb, text_of(map, "plugin"), text_of(map, "file")};
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
    msgpack_unpacked m;
    int rc;

    msgpack_unpacked_init(&m);
    rc = map_read(&m, bytes, len);
    if (rc < 0)
        sb_puts(why, "a request is one msgpack map");
    else if (rc == 1 && !request_fill(&m.data, out, why))
        rc = -1;
    msgpack_unpacked_destroy(&m);
    return rc;
}

int admin_answer_read(const void *bytes, size_t len, bool *ok, sb *text)
{
    msgpack_unpacked m;
    const msgpack_object *value;
    char *said;
    int rc;

    msgpack_unpacked_init(&m);
    rc = map_read(&m, bytes, len);
    if (rc == 1) {
        value = value_of(&m.data, "ok");
        *ok = value != NULL && value->type == MSGPACK_OBJECT_BOOLEAN && value->via.boolean;
        said = text_of(&m.data, "text");
        if (said != NULL)
            sb_puts(text, said);
        free(said);
    }
    msgpack_unpacked_destroy(&m);
    return rc;
}
