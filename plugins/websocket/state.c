/* state -- see state.h. A session is {conn, stream, publish, ack, route, key, partitions, chain,
 * messages}; partitions is a byte each. */
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

/* ---- reading ---- */

static bool text_read(const unpacked_map *m, const char *key, sb *out)
{
    size_t len;
    const char *text = unpack_bytes(m, key, &len);

    if (text != NULL)
        sb_append(out, text, len);
    return text != NULL;
}

static bool partitions_read(const unpacked_map *m, target *t)
{
    size_t n;
    const uint8_t *at = (const uint8_t *)unpack_bytes(m, "partitions", &n);

    for (size_t i = 0; at != NULL && i < n; i++)
        if (at[i] >= STREAMR_PARTITIONS || !target_add_partition(t, at[i]))
            return false;
    return at != NULL;
}

/* What no target could have said is not taken from a state either. */
static bool session_makes_sense(const session *s)
{
    const target *t = &s->want;

    if (streamr_stream_id_check(t->stream.data, t->stream.len) != NULL)
        return false;
    if (!t->publish)
        return t->n_partitions != 0 && t->route == ROUTE_DEFAULT;
    return strlen(s->chain) == CHAIN_LEN && t->n_partitions == (t->route == ROUTE_PARTITION);
}

static bool session_read(const unpacked_map *m, session *s)
{
    target *t = &s->want;
    uint64_t route;
    sb chain = SB_INIT;
    bool ok;

    if (m == NULL)
        return false;
    s->conn = unpack_uint(m, "conn", 0);
    s->messages = unpack_uint(m, "messages", 0);
    t->publish = unpack_bool(m, "publish", false);
    t->ack = unpack_bool(m, "ack", false);
    route = unpack_uint(m, "route", UINT64_MAX);
    ok = route <= ROUTE_FIELD && text_read(m, "stream", &t->stream) &&
         text_read(m, "key", &t->key) && partitions_read(m, t) && text_read(m, "chain", &chain) &&
         chain.len <= CHAIN_LEN;
    if (ok) {
        t->route = (target_route)route;
        if (chain.len != 0)
            memcpy(s->chain, chain.data, chain.len);
    }
    sb_done(&chain);
    return ok && session_makes_sense(s);
}

static const char *sessions_read(const unpacked_map *m, session **sessions, size_t *n)
{
    uint32_t count = unpack_list(m, "sessions"), i = 0;
    session *list;

    if (unpack_uint(m, "v", 0) != VERSION)
        return "it is of another version";
    list = must_alloc((count + 1u) * sizeof *list);
    while (i < count && session_read(unpack_element(m, "sessions", i), &list[i]))
        i++;
    if (i < count) {
        sessions_free(list, count);
        return "it is damaged";
    }
    *sessions = list;
    *n = count;
    return NULL;
}

const char *state_read(broker_bytes state, session **sessions, size_t *n)
{
    unpacked *u;
    const char *why;

    if (unpack(state.ptr, state.len, &u) != 1)
        return "it is not the state of this plugin";
    why = sessions_read(unpacked_root(u), sessions, n);
    unpacked_free(u);
    return why;
}

void sessions_free(session *sessions, size_t n)
{
    for (size_t i = 0; i < n; i++)
        target_done(&sessions[i].want);
    free(sessions);
}
