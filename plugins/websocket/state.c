/* state -- see state.h. */
#include "state.h"

#include "pack/pack.h"

#define VERSION 1u

void state_begin(sb *out, size_t sessions)
{
    pack_map(out, 2);
    pack_uint(out, "v", VERSION);
    pack_list(out, "sessions", (uint32_t)sessions);
}

void state_add(sb *out, const session *s)
{
    const target *t = &s->want;

    pack_map(out, 9);
    pack_uint(out, "conn", s->conn);
    pack_bytes(out, "stream", t->stream.data, t->stream.len);
    pack_bool(out, "publish", t->publish);
    pack_bool(out, "ack", t->ack);
    pack_uint(out, "route", t->route);
    pack_bytes(out, "key", t->key.data, t->key.len);
    pack_bytes(out, "partitions", t->partitions, t->n_partitions);
    pack_bytes(out, "chain", s->chain, strlen(s->chain));
    pack_uint(out, "messages", s->messages);
}

/* ---- reading: nothing is taken that no client could have asked for ---- */

static bool stream_read(const unpacked_map *m, sb *out)
{
    size_t len;
    const char *id = unpack_bytes(m, "stream", &len);

    if (id == NULL || streamr_stream_id_check(id, len) != NULL)
        return false;
    sb_append(out, id, len);
    return true;
}

static bool partitions_read(const unpacked_map *m, target *t)
{
    size_t n, least = t->publish ? t->route == ROUTE_PARTITION : 1;
    const char *partitions = unpack_bytes(m, "partitions", &n);

    if (partitions == NULL || n < least || (t->publish && n > least))
        return false;
    for (size_t i = 0; i < n; i++) {
        uint8_t x = (uint8_t)partitions[i];

        if (x >= STREAMR_PARTITIONS || !target_add_partition(t, x))
            return false;
    }
    return true;
}

static bool session_read(const unpacked_map *m, session *s)
{
    target *t = &s->want;
    uint64_t route = unpack_uint(m, "route", UINT64_MAX);
    size_t key_len, chain_len;
    const char *key = unpack_bytes(m, "key", &key_len);
    const char *chain = unpack_bytes(m, "chain", &chain_len);

    s->conn = unpack_uint(m, "conn", 0);
    s->messages = unpack_uint(m, "messages", 0);
    t->publish = unpack_bool(m, "publish", false);
    t->ack = unpack_bool(m, "ack", false);
    if (route > (t->publish ? ROUTE_FIELD : ROUTE_DEFAULT) || key == NULL || chain == NULL ||
        chain_len != (t->publish ? CHAIN_LEN : 0) || memchr(chain, '\0', chain_len) != NULL)
        return false;
    t->route = (target_route)route;
    sb_append(&t->key, key, key_len);
    memcpy(s->chain, chain, chain_len);
    return stream_read(m, &t->stream) && partitions_read(m, t);
}

const char *state_read(broker_bytes state, session **sessions, size_t *n)
{
    const char *why = "it is not the state of this plugin";
    const unpacked_map *root;
    session *list = NULL;
    unpacked *u = NULL;
    uint64_t version;
    uint32_t count = 0, i = 0;

    if (unpack(state.ptr, state.len, &u) != 1)
        return why;
    root = unpacked_root(u);
    version = unpack_uint(root, "v", 0);
    if (version != 0)
        why = "it is of another version";
    if (version != VERSION)
        goto done;
    count = unpack_list(root, "sessions");
    list = must_alloc((count + 1) * sizeof *list);
    for (; i < count; i++) {
        const unpacked_map *m = unpack_element(root, "sessions", i);

        if (m == NULL || !session_read(m, &list[i]))
            break;
    }
    why = i < count ? "it is damaged" : NULL;
done:
    if (why == NULL) {
        *sessions = list;
        *n = count;
    } else {
        sessions_free(list, count);
    }
    unpacked_free(u);
    return why;
}

void sessions_free(session *sessions, size_t n)
{
    for (size_t i = 0; sessions != NULL && i < n; i++)
        target_done(&sessions[i].want);
    free(sessions);
}
