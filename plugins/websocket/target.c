/* target -- see target.h.
 *
 * As the Streamr node: any prefix before /streams/ is tolerated, parameters nobody knows are not
 * looked at. Stricter: a parameter may be given once, a number is digits and nothing else. */
#include "target.h"

static bool refuse(sb *why, const char *before, broker_str quoted, const char *after)
{
    sb_puts(why, before);
    sb_append(why, quoted.ptr, quoted.len < 100 ? quoted.len : 100);
    sb_puts(why, after);
    return false;
}

static bool say(sb *why, const char *sentence)
{
    sb_puts(why, sentence);
    return false;
}

/* ---- values ---- */

static bool partition_read(broker_str text, uint8_t *out, sb *why)
{
    int64_t x;

    if (text.len == 0 || text.ptr[0] == '-' || !parse_i64(text.ptr, text.len, &x))
        return refuse(why, "'", text, "' is not the number of a partition");
    if (x >= STREAMR_PARTITIONS)
        return refuse(why, "partition ", text, " is out of range: the last one possible is 99");
    *out = (uint8_t)x;
    return true;
}

static bool route_set(target *t, target_route route, sb *why)
{
    if (t->route != ROUTE_DEFAULT)
        return say(why, "only one of partition, partitionKey and partitionKeyField may be given");
    t->route = route;
    return true;
}

static bool take_partition(target *t, broker_str value, sb *why)
{
    t->n_partitions = 1;
    return route_set(t, ROUTE_PARTITION, why) && partition_read(value, &t->partitions[0], why);
}

static bool take_key(target *t, broker_str value, sb *why)
{
    sb_append(&t->key, value.ptr, value.len);
    return route_set(t, ROUTE_KEY, why);
}

static bool take_field(target *t, broker_str value, sb *why)
{
    sb_append(&t->key, value.ptr, value.len);
    return route_set(t, ROUTE_FIELD, why);
}

static bool take_ack(target *t, broker_str value, sb *why)
{
    bool yes = value.len == 4 && memcmp(value.ptr, "true", 4) == 0;

    if (!yes && (value.len != 5 || memcmp(value.ptr, "false", 5) != 0))
        return refuse(why, "ack is true or false, not '", value, "'");
    t->ack = yes;
    return true;
}

static bool take_partitions(target *t, broker_str value, sb *why)
{
    for (size_t at = 0; at <= value.len;) {
        const char *p = value.ptr + at;
        const char *comma = at < value.len ? memchr(p, ',', value.len - at) : NULL;
        size_t len = comma != NULL ? (size_t)(comma - p) : value.len - at;
        uint8_t x;

        if (!partition_read((broker_str){p, len}, &x, why))
            return false;
        target_add_partition(t, x);
        at += len + 1;
    }
    return true;
}

/* ---- the query ---- */

static const struct parameter {
    const char *name;
    bool publish, subscribe;
    bool (*take)(target *t, broker_str value, sb *why); /* NULL: apiKey */
} parameters[] = {
    {"apiKey", true, true, NULL},
    {"partition", true, false, take_partition},
    {"partitionKey", true, false, take_key},
    {"partitionKeyField", true, false, take_field},
    {"ack", true, false, take_ack},
    {"partitions", false, true, take_partitions},
};

static const struct parameter *parameter_of(const target *t, const sb *name)
{
    for (size_t i = 0; i < COUNT_OF(parameters); i++)
        if ((t->publish ? parameters[i].publish : parameters[i].subscribe) &&
            strlen(parameters[i].name) == name->len &&
            memcmp(parameters[i].name, name->data, name->len) == 0)
            return &parameters[i];
    return NULL;
}

/* One name=value. *seen has a bit for each parameter there was. */
static bool pair_read(target *t, broker_str pair, unsigned *seen, sb *key, sb *why)
{
    const char *eq = pair.len != 0 ? memchr(pair.ptr, '=', pair.len) : NULL;
    size_t name_len = eq != NULL ? (size_t)(eq - pair.ptr) : pair.len;
    size_t value_at = eq != NULL ? name_len + 1 : pair.len;
    sb name = SB_INIT, value = SB_INIT;
    const struct parameter *p = NULL;
    bool ok = percent_decode(pair.ptr, name_len, true, &name);

    if (ok && (p = parameter_of(t, &name)) == NULL)
        goto done;
    if (!ok || !percent_decode(pair.ptr + value_at, pair.len - value_at, true, &value) ||
        !utf8_ok(value.data, value.len)) {
        ok = say(why, "the query is not percent-encoded UTF-8");
        goto done;
    }
    if ((*seen & 1u << (p - parameters)) != 0) {
        ok = refuse(why, "parameter ", (broker_str){p->name, strlen(p->name)}, " is given twice");
        goto done;
    }
    *seen |= 1u << (p - parameters);
    if (p->take == NULL)
        sb_append(key, value.data, value.len);
    else
        ok = p->take(t, (broker_str){value.data, value.len}, why);
done:
    sb_done(&name);
    if (value.data != NULL)
        explicit_bzero(value.data, value.cap); /* it may have been the key */
    sb_done(&value);
    return ok;
}

static bool query_read(target *t, broker_str query, sb *key, sb *why)
{
    unsigned seen = 0;

    while (query.len != 0) {
        const char *amp = memchr(query.ptr, '&', query.len);
        size_t len = amp != NULL ? (size_t)(amp - query.ptr) : query.len;

        if (!pair_read(t, (broker_str){query.ptr, len}, &seen, key, why))
            return false;
        len += amp != NULL;
        query = (broker_str){query.ptr + len, query.len - len};
    }
    if (!t->publish && t->n_partitions == 0)
        t->partitions[t->n_partitions++] = 0;
    return true;
}

/* ---- the path ---- */

static bool ends_with(broker_str text, const char *end, size_t *without)
{
    size_t len = strlen(end);

    if (text.len < len || memcmp(text.ptr + text.len - len, end, len) != 0)
        return false;
    *without = text.len - len;
    return true;
}

static bool stream_read(target *t, broker_str id, sb *why)
{
    sb decoded = SB_INIT;
    const char *fault;
    bool ok = percent_decode(id.ptr, id.len, false, &decoded);

    fault = ok ? streamr_stream_id_check(decoded.data, decoded.len)
               : "the stream id is not percent-encoded as it should be";
    if (fault == NULL && memchr(decoded.data, '*', decoded.len) != NULL)
        fault = "a stream id has no '*'"; /* the bus would take it as a wildcard */
    if (fault == NULL)
        streamr_stream_id_normalise(decoded.data, decoded.len, &t->stream);
    else
        sb_puts(why, fault);
    sb_done(&decoded);
    return fault == NULL;
}

static bool path_read(target *t, broker_str path, sb *why)
{
    static const char streams[] = "/streams/";
    const size_t n = sizeof streams - 1;
    size_t end;

    t->publish = ends_with(path, "/publish", &end);
    if (!t->publish && !ends_with(path, "/subscribe", &end))
        return say(why, "the path is not /streams/{id}/publish or /streams/{id}/subscribe");
    for (size_t at = end + 1; at-- > n;) /* the last one counts */
        if (memcmp(path.ptr + at - n, streams, n) == 0)
            return stream_read(t, (broker_str){path.ptr + at, end - at}, why);
    return say(why, "the path has no /streams/{id}/");
}

bool target_read(broker_str text, target *out, sb *key, sb *why)
{
    const char *mark = text.len != 0 ? memchr(text.ptr, '?', text.len) : NULL;
    size_t path = mark != NULL ? (size_t)(mark - text.ptr) : text.len;
    size_t query = mark != NULL ? path + 1 : path;
    target t = {.publish = false};

    if (!path_read(&t, (broker_str){text.ptr, path}, why) ||
        !query_read(&t, (broker_str){text.ptr + query, text.len - query}, key, why)) {
        target_done(&t);
        return false;
    }
    *out = t;
    return true;
}

bool target_add_partition(target *t, uint8_t partition)
{
    for (size_t i = 0; i < t->n_partitions; i++)
        if (t->partitions[i] == partition)
            return false;
    t->partitions[t->n_partitions++] = partition;
    return true;
}

uint32_t target_least_partitions(const target *t)
{
    uint32_t least = 0;

    for (size_t i = 0; i < t->n_partitions; i++)
        if (t->partitions[i] >= least)
            least = t->partitions[i] + 1u;
    return least;
}

void target_done(target *t)
{
    sb_done(&t->stream);
    sb_done(&t->key);
}
