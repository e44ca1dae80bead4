/* topic -- see topic.h. */
#include "topic.h"

#include "streamr/streamr.h"

static bool refuse(sb *why, const char *what)
{
    sb_clear(why);
    sb_puts(why, what);
    return false;
}

static bool partition_read(broker_str text, topic *out, sb *why)
{
    int64_t x;

    if (!parse_i64(text.ptr, text.len, &x) || x < 0 || x >= STREAMR_PARTITIONS)
        return refuse(why, "the partition of a topic is a number from 0 to 99");
    out->choice = TOPIC_PARTITION;
    out->partition = (uint32_t)x;
    return true;
}

static bool parameter_read(broker_str text, topic *out, sb *why)
{
    static const struct {
        const char *name;
        topic_choice choice;
    } names[] = {
        {"partition", TOPIC_PARTITION},
        {"partitionKey", TOPIC_KEY},
        {"partitionKeyField", TOPIC_FIELD},
    };
    const char *equals = text.len != 0 ? memchr(text.ptr, '=', text.len) : NULL;
    size_t name_len = equals != NULL ? (size_t)(equals - text.ptr) : text.len;
    broker_str value = {text.ptr + name_len, 0};

    if (equals != NULL)
        value = (broker_str){equals + 1, text.len - name_len - 1};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (name_len != strlen(names[i].name) || memcmp(text.ptr, names[i].name, name_len) != 0)
            continue;
        if (out->choice != TOPIC_ANY)
            return refuse(why, "a topic has at most one of 'partition', 'partitionKey' and "
                               "'partitionKeyField'");
        if (names[i].choice == TOPIC_PARTITION)
            return partition_read(value, out, why);
        out->choice = names[i].choice;
        if (value.len == 0 || !percent_decode(value.ptr, value.len, true, &out->value) ||
            !utf8_ok(out->value.data, out->value.len))
            return refuse(why, "the partition key of a topic is empty or badly encoded");
        return true;
    }
    return refuse(why, "behind the '?' of a topic only 'partition', 'partitionKey' and "
                       "'partitionKeyField' may stand");
}

static bool query_read(broker_str query, topic *out, sb *why)
{
    while (query.len != 0) {
        const char *end = memchr(query.ptr, '&', query.len);
        size_t len = end != NULL ? (size_t)(end - query.ptr) : query.len;

        if (!parameter_read((broker_str){query.ptr, len}, out, why))
            return false;
        len += end != NULL;
        query = (broker_str){query.ptr + len, query.len - len};
    }
    return true;
}

bool topic_read(broker_str text, broker_str domain, topic *out, sb *why)
{
    const char *mark = text.len != 0 ? memrchr(text.ptr, '?', text.len) : NULL;
    size_t id_len = mark != NULL ? (size_t)(mark - text.ptr) : text.len;
    const char *fault;
    sb id = SB_INIT;

    topic_done(out);
    if (text.len > TOPIC_MAX)
        return refuse(why, "a topic has at most 4096 bytes");
    for (size_t i = 0; i < id_len; i++)
        if (strchr("+#*", text.ptr[i]) != NULL)
            return refuse(why, "streams have no wildcards: a topic is one stream id");
    if (domain.len != 0) {
        sb_append(&id, domain.ptr, domain.len);
        sb_putc(&id, '/');
    }
    sb_append(&id, text.ptr, id_len);
    fault = streamr_stream_id_check(id.data, id.len);
    if (fault == NULL)
        streamr_stream_id_normalise(id.data, id.len, &out->stream);
    sb_done(&id);
    if (fault != NULL)
        return refuse(why, fault);
    return mark == NULL || query_read((broker_str){mark + 1, text.len - id_len - 1}, out, why);
}

void topic_done(topic *t)
{
    sb_done(&t->stream);
    sb_done(&t->value);
    *t = (topic)TOPIC_INIT;
}
