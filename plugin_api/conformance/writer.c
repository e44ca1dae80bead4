/* writer -- the broker_writer that the kit hands out. */
#include "kit.h"

static bool fits(kit_writer *w, size_t len)
{
    return w->bytes.len == 0 || w->bytes.len + len <= w->room;
}

static broker_rc write_bytes(broker_writer *out, const void *bytes, size_t len)
{
    kit_writer *w = CONTAINER_OF(out, kit_writer, w);

    if (len != 0 && bytes == NULL) {
        finding("a writer was given %zu bytes at NULL", len);
        return BROKER_EINVAL;
    }
    if (!fits(w, len))
        return BROKER_AGAIN;
    if (len != 0)
        sb_append(&w->bytes, bytes, len);
    return BROKER_OK;
}

static uint8_t *reserve(broker_writer *out, size_t len)
{
    kit_writer *w = CONTAINER_OF(out, kit_writer, w);

    if (!fits(w, len))
        return NULL;
    w->reserved = len;
    return (uint8_t *)sb_room(&w->bytes, len);
}

static void commit(broker_writer *out, size_t used)
{
    kit_writer *w = CONTAINER_OF(out, kit_writer, w);

    if (used > w->reserved) {
        finding("a writer's commit() was told %zu bytes and %zu had been reserved", used,
                w->reserved);
        used = w->reserved;
    }
    w->reserved = 0;
    w->bytes.len += used;
}

void writer_init(kit_writer *w, size_t room)
{
    *w = (kit_writer){{sizeof w->w, 0, write_bytes, reserve, commit}, SB_INIT, room, 0};
}
