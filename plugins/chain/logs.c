/* logs -- see logs.h. A log is kept as [block, index, data, topic, ...], numbers as decimals, hex
 * in lower case. */
#include "logs.h"

#include "eth/abi.h"
#include "eth/eth.h"
#include "json/json.h"

#include <ctype.h>
#include <string.h>

static const struct {
    const char *signature;
    log_kind kind;
} events[] = {
    {"Added(string,address)", LOG_ADDED},
    {"Removed(string,address)", LOG_REMOVED},
    {"StreamCreated(string,string)", LOG_CHANGED},
    {"StreamUpdated(string,string)", LOG_CHANGED},
    {"StreamDeleted(string)", LOG_CHANGED},
    {"PermissionUpdated(string,address,bool,bool,uint256,uint256,bool)", LOG_CHANGED},
    {"PermissionUpdatedForUserId(string,bytes,bool,bool,uint256,uint256,bool)", LOG_CHANGED},
};

#define TOPICS_MAX 4u

/* ---- parameters ---- */

static void put_topic(sb *out, const char *signature)
{
    uint8_t topic[32];
    char hex[64];

    abi_topic(signature, topic);
    hex_encode(hex, topic, sizeof topic);
    sb_printf(out, "\"0x%.64s\"", hex);
}

void logs_put_range(sb *out, const uint8_t streams[20], const uint8_t storage[20], uint64_t from,
                    uint64_t to)
{
    char address[43];

    eth_address_text(streams, address);
    sb_printf(out, "[{\"address\":[\"%s\",", address);
    eth_address_text(storage, address);
    sb_printf(out, "\"%s\"],\"fromBlock\":\"0x%llx\",\"toBlock\":\"0x%llx\",\"topics\":[[", address,
              (unsigned long long)from, (unsigned long long)to);
    for (size_t i = 0; i < COUNT_OF(events); i++) {
        if (i != 0)
            sb_putc(out, ',');
        put_topic(out, events[i].signature);
    }
    sb_puts(out, "]]}]");
}

void logs_put_block(sb *out, uint64_t number)
{
    sb_printf(out, "[\"0x%llx\",false]", (unsigned long long)number);
}

/* ---- cutting down ---- */

/* A text "0x...", in lower case; NULL when it is none. */
static json_t *hex_of(const json_t *value)
{
    const char *text = json_string_value(value);
    size_t len = text != NULL ? strlen(text) : 0;
    char *low;
    json_t *out;

    if (len < 2 || text[0] != '0' || text[1] != 'x')
        return NULL;
    low = must_strndup(text, len);
    for (size_t i = 2; i < len; i++)
        low[i] = (char)tolower((unsigned char)low[i]);
    out = json_string(low);
    free(low);
    return out;
}

static json_t *number_of(const json_t *value)
{
    const char *text = json_string_value(value);
    int64_t x = 0;

    if (text == NULL || strncmp(text, "0x", 2) != 0 || text[2] == '\0' || strlen(text) > 17)
        return NULL;
    for (const char *c = text + 2; *c != '\0'; c++) {
        if (!isxdigit((unsigned char)*c))
            return NULL;
        x = x * 16 + (*c <= '9' ? *c - '0' : tolower((unsigned char)*c) - 'a' + 10);
    }
    return json_integer(x);
}

/* Takes the value; false when there is none. */
static bool keep(json_t *list, json_t *value)
{
    return value != NULL && json_array_append_new(list, value) == 0;
}

static bool log_keep(json_t *list, const json_t *log)
{
    json_t *one = json_array(), *topics = json_object_get(log, "topics");
    bool ok = keep(one, number_of(json_object_get(log, "blockNumber"))) &&
              keep(one, number_of(json_object_get(log, "logIndex"))) &&
              keep(one, hex_of(json_object_get(log, "data"))) && json_is_array(topics) &&
              json_array_size(topics) <= TOPICS_MAX;

    for (size_t i = 0; ok && i < json_array_size(topics); i++)
        ok = keep(one, hex_of(json_array_get(topics, i)));
    return json_array_append_new(list, one) == 0 && ok;
}

char *logs_reduce(const char *text)
{
    json_t *all = json_loads(text, 0, NULL), *list = json_array();
    bool ok = json_is_array(all);
    char *out = NULL;

    for (size_t i = 0; ok && i < json_array_size(all); i++) {
        const json_t *log = json_array_get(all, i);

        if (!json_is_true(json_object_get(log, "removed")))
            ok = log_keep(list, log);
    }
    if (ok)
        out = json_dumps(list, JSON_COMPACT);
    json_decref(all);
    json_decref(list);
    return out;
}

char *logs_reduce_block(const char *text)
{
    json_t *block = json_loads(text, JSON_DECODE_ANY, NULL);
    json_t *hash = hex_of(json_object_get(block, "hash"));
    char *out = hash != NULL ? must_strdup(json_string_value(hash)) : NULL;

    json_decref(hash);
    json_decref(block);
    return out;
}

/* ---- reading ---- */

bool logs_read_hash(const char *text, uint8_t out[32])
{
    uint8_t hash[32];

    if (strlen(text) != 66 || !hex_decode(hash, text + 2, 64))
        return false;
    memcpy(out, hash, sizeof hash);
    return true;
}

/* False: another event. */
static bool kind_of(const char *topic, log_kind *out)
{
    uint8_t said[32], known[32];

    if (topic == NULL || !logs_read_hash(topic, said))
        return false;
    for (size_t i = 0; i < COUNT_OF(events); i++) {
        abi_topic(events[i].signature, known);
        if (memcmp(said, known, sizeof known) == 0) {
            *out = events[i].kind;
            return true;
        }
    }
    return false;
}

static bool node_read(const char *topic, uint8_t out[20])
{
    uint8_t word[32];

    return topic != NULL && logs_read_hash(topic, word) &&
           abi_get_address((abi_tuple){word, sizeof word}, 0, out);
}

/* The stream is the first thing in the data of them all. */
static bool stream_read(const char *hex, sb *data, chain_log *log)
{
    size_t len = hex != NULL ? strlen(hex) : 0;

    if (len < 2)
        return false;
    len -= 2;
    sb_clear(data);
    if (!hex_decode((uint8_t *)sb_room(data, len / 2 + 1), hex + 2, len))
        return false;
    data->len = len / 2;
    return abi_get_text((abi_tuple){(uint8_t *)data->data, data->len}, 0, &log->stream,
                        &log->stream_len);
}

/* 1: a log of ours; 0: another; -1: malformed. */
static int log_read(const json_t *one, chain_log *log, sb *data)
{
    if (!kind_of(json_string_value(json_array_get(one, 3)), &log->kind))
        return 0;
    log->block = (uint64_t)json_integer_value(json_array_get(one, 0));
    log->index = (uint64_t)json_integer_value(json_array_get(one, 1));
    if (log->kind != LOG_CHANGED &&
        !node_read(json_string_value(json_array_get(one, 4)), log->node))
        return -1;
    return stream_read(json_string_value(json_array_get(one, 2)), data, log) ? 1 : -1;
}

bool logs_read(const char *text, uint64_t from, uint64_t to,
               void (*each)(void *arg, const chain_log *log), void *arg)
{
    json_t *list = json_loads(text, 0, NULL);
    bool ok = json_is_array(list);
    sb data = SB_INIT;

    for (size_t i = 0; ok && i < json_array_size(list); i++) {
        chain_log log;
        int kind = log_read(json_array_get(list, i), &log, &data);

        ok = kind >= 0;
        if (kind > 0 && log.block >= from && log.block <= to)
            each(arg, &log);
    }
    sb_done(&data);
    json_decref(list);
    return ok;
}
