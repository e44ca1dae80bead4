/* state -- see state.h. A session is [conn, stream, publish, ack, route, key, [partition, ...],
 * chain, messages]. */
#include "state.h"

#include "pack/pack.h"

#include <msgpack.h>

#define VERSION        1u
#define SESSION_VALUES 9u
#define SESSION_MIN    11u /* bytes one takes at least */

static int write_sb(void *to, const char *bytes, size_t len)
{
    sb_append(to, bytes, len);
    return 0;
}

void state_begin(sb *out, size_t sessions)
{
    msgpack_packer p;

    msgpack_packer_init(&p, out, write_sb);
    msgpack_pack_array(&p, 2);
    msgpack_pack_uint32(&p, VERSION);
    msgpack_pack_array(&p, sessions);
}

void state_add(sb *out, const session *s)
{
    const target *t = &s->want;
    msgpack_packer p;

    msgpack_packer_init(&p, out, write_sb);
    msgpack_pack_array(&p, SESSION_VALUES);
    msgpack_pack_uint64(&p, s->conn);
    msgpack_pack_str_with_body(&p, t->stream.data, t->stream.len);
    (t->publish ? msgpack_pack_true : msgpack_pack_false)(&p);
    (t->ack ? msgpack_pack_true : msgpack_pack_false)(&p);
    msgpack_pack_uint32(&p, t->route);
    msgpack_pack_str_with_body(&p, t->key.len != 0 ? t->key.data : "", t->key.len);
    msgpack_pack_array(&p, t->n_partitions);
    for (size_t i = 0; i < t->n_partitions; i++)
        msgpack_pack_uint32(&p, t->partitions[i]);
    msgpack_pack_str_with_body(&p, s->chain, strlen(s->chain));
    msgpack_pack_uint64(&p, s->messages);
}

/* ---- reading ---- */

static bool partitions_read(view *v, target *t)
{
    size_t n;
    uint64_t x;

    if (!unpack_array(v, &n) || n > STREAMR_PARTITIONS)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (!unpack_uint(v, &x) || x >= STREAMR_PARTITIONS || !target_add_partition(t, (uint8_t)x))
            return false;
    }
    return true;
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

static bool session_read(view *v, session *s)
{
    target *t = &s->want;
    broker_str stream, key, chain;
    uint64_t route;
    size_t n;

    if (!unpack_array(v, &n) || n != SESSION_VALUES || !unpack_uint(v, &s->conn) ||
        !unpack_text(v, &stream) || !unpack_bool(v, &t->publish) || !unpack_bool(v, &t->ack) ||
        !unpack_uint(v, &route) || route > ROUTE_FIELD || !unpack_text(v, &key) ||
        !partitions_read(v, t) || !unpack_text(v, &chain) || chain.len > CHAIN_LEN ||
        !unpack_uint(v, &s->messages))
        return false;
    t->route = (target_route)route;
    sb_append(&t->stream, stream.ptr, stream.len);
    sb_append(&t->key, key.ptr, key.len);
    memcpy(s->chain, chain.ptr, chain.len);
    return session_makes_sense(s);
}

const char *state_read(broker_bytes state, session **sessions, size_t *n)
{
    view v = view_of(state.ptr, state.len);
    session *list;
    uint64_t version;
    size_t count, i = 0;

    if (!unpack_array(&v, &count) || count != 2 || !unpack_uint(&v, &version))
        return "it is not the state of this plugin";
    if (version != VERSION)
        return "it is of another version";
    if (!unpack_array(&v, &count) || count > view_left(&v) / SESSION_MIN)
        return "it is damaged";
    list = must_alloc((count + 1) * sizeof *list);
    while (i < count && session_read(&v, &list[i]))
        i++;
    if (i < count || view_left(&v) != 0) {
        sessions_free(list, count);
        return "it is damaged";
    }
    *sessions = list;
    *n = count;
    return NULL;
}

void sessions_free(session *sessions, size_t n)
{
    for (size_t i = 0; i < n; i++)
        target_done(&sessions[i].want);
    free(sessions);
}
