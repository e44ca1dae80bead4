/* handover -- see handover.h. */
#include "handover.h"

#include "pack/pack.h"

#define VERSION 1

/* 1: *out, of our version. */
static bool open(const void *bytes, size_t len, unpacked **out)
{
    if (unpack(bytes, len, out) != 1)
        return false;
    if (unpack_uint(unpacked_root(*out), "v", 0) == VERSION)
        return true;
    unpacked_free(*out);
    return false;
}

static void read_bytes(const unpacked_map *m, const char *key, sb *out)
{
    size_t len = 0;
    const char *bytes = unpack_bytes(m, key, &len);

    if (bytes != NULL)
        sb_append(out, bytes, len);
}

void answer_progress_write(const answer_progress *p, sb *out)
{
    pack_map(out, 9);
    pack_uint(out, "v", VERSION);
    pack_bool(out, "began", p->began);
    pack_bool(out, "ending", p->ending);
    pack_bool(out, "hasNext", p->has_next);
    pack_bool(out, "inclusive", p->inclusive);
    pack_uint(out, "told", p->told);
    pack_int(out, "timestamp", p->timestamp_ms);
    pack_int(out, "sequence", p->sequence);
    pack_bytes(out, "key", p->key.data, p->key.len);
}

bool answer_progress_read(const void *bytes, size_t len, answer_progress *out)
{
    unpacked *u;
    const unpacked_map *m;

    if (!open(bytes, len, &u))
        return false;
    m = unpacked_root(u);
    *out = (answer_progress){
        .began = unpack_bool(m, "began", false),
        .ending = unpack_bool(m, "ending", false),
        .has_next = unpack_bool(m, "hasNext", false),
        .inclusive = unpack_bool(m, "inclusive", false),
        .told = unpack_uint(m, "told", 0),
        .timestamp_ms = unpack_int(m, "timestamp", 0),
        .sequence = (int32_t)unpack_int(m, "sequence", 0),
    };
    read_bytes(m, "key", &out->key);
    unpacked_free(u);
    return true;
}

void answer_progress_done(answer_progress *p)
{
    sb_done(&p->key);
}

void upload_progress_write(const upload_progress *p, sb *out)
{
    pack_map(out, 8);
    pack_uint(out, "v", VERSION);
    pack_uint(out, "index", p->index);
    pack_uint(out, "stored", p->stored);
    pack_uint(out, "duplicates", p->duplicates);
    pack_uint(out, "rejected", p->rejected);
    pack_bytes(out, "rejections", p->rejections.data, p->rejections.len);
    pack_bytes(out, "partial", p->partial.data, p->partial.len);
    pack_bytes(out, "lines", p->lines.data, p->lines.len);
}

bool upload_progress_read(const void *bytes, size_t len, upload_progress *out)
{
    unpacked *u;
    const unpacked_map *m;

    if (!open(bytes, len, &u))
        return false;
    m = unpacked_root(u);
    *out = (upload_progress){
        .index = unpack_uint(m, "index", 0),
        .stored = unpack_uint(m, "stored", 0),
        .duplicates = unpack_uint(m, "duplicates", 0),
        .rejected = unpack_uint(m, "rejected", 0),
    };
    read_bytes(m, "rejections", &out->rejections);
    read_bytes(m, "partial", &out->partial);
    read_bytes(m, "lines", &out->lines);
    unpacked_free(u);
    return true;
}

void upload_progress_done(upload_progress *p)
{
    sb_done(&p->rejections);
    sb_done(&p->partial);
    sb_done(&p->lines);
}
