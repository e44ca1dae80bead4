/* contract -- see contract.h. */
#include "contract.h"

#include "answer.h"
#include "eth/abi.h"
#include "eth/eth.h"
#include "json/json.h"

#include <string.h>

#define PARTITIONS_MAX 100

static void put_hex(sb *out, const void *bytes, size_t len)
{
    char *room = sb_room(out, 2 * len + 1);

    hex_encode(room, bytes, len);
    out->len += 2 * len;
    out->data[out->len] = '\0';
}

static void put_call(sb *out, const uint8_t to[20], const char *signature, const abi_value *args,
                     size_t n)
{
    char address[43];
    sb data = SB_INIT;

    eth_address_text(to, address);
    abi_put_call(&data, signature, args, n);
    sb_printf(out, "[{\"to\":\"%s\",\"data\":\"0x", address);
    put_hex(out, data.data, data.len);
    sb_puts(out, "\"},\"latest\"]");
    sb_done(&data);
}

void contract_permissions(sb *out, const uint8_t registry[20], broker_str stream, broker_bytes user)
{
    abi_value args[] = {abi_bytes(stream.ptr, stream.len), abi_bytes(user.ptr, user.len)};

    put_call(out, registry, "getPermissionsForUserId(string,bytes)", args, COUNT_OF(args));
}

void contract_metadata(sb *out, const uint8_t registry[20], broker_str stream)
{
    abi_value args[] = {abi_bytes(stream.ptr, stream.len)};

    put_call(out, registry, "getStreamMetadata(string)", args, COUNT_OF(args));
}

void contract_is_storage_node(sb *out, const uint8_t registry[20], broker_str stream,
                              const uint8_t node[20])
{
    abi_value args[] = {abi_bytes(stream.ptr, stream.len), abi_address(node)};

    put_call(out, registry, "isStorageNodeOf(string,address)", args, COUNT_OF(args));
}

void contract_is_valid_signature(sb *out, const uint8_t contract[20], const uint8_t digest[32],
                                 broker_bytes signature)
{
    abi_value args[] = {abi_bytes32(digest), abi_bytes(signature.ptr, signature.len)};

    put_call(out, contract, "isValidSignature(bytes32,bytes)", args, COUNT_OF(args));
}

/* ---- results ---- */

static bool tuple_read(const char *text, sb *bytes, abi_tuple *out)
{
    if (!answer_bytes(text, bytes))
        return false;
    *out = (abi_tuple){(const uint8_t *)bytes->data, bytes->len};
    return true;
}

bool contract_read_permissions(const char *text, contract_rights *out)
{
    sb bytes = SB_INIT;
    abi_tuple t;
    contract_rights rights;
    bool flag;
    /* canEdit, canDelete, publishExpiration, subscribeExpiration, canGrant */
    bool ok = tuple_read(text, &bytes, &t) && abi_get_bool(t, 0, &flag) &&
              abi_get_bool(t, 1, &flag) && abi_get_i64(t, 2, &rights.publish_until_s) &&
              abi_get_i64(t, 3, &rights.subscribe_until_s) && abi_get_bool(t, 4, &flag);

    sb_done(&bytes);
    if (ok)
        *out = rights;
    return ok;
}

static int64_t partitions_of(const char *metadata, size_t len)
{
    json_t *o = json_loadb(metadata, len, 0, NULL);
    json_t *n = json_object_get(o, "partitions");
    int64_t partitions = json_is_integer(n) ? json_integer_value(n) : 1;

    json_decref(o);
    return partitions >= 1 && partitions <= PARTITIONS_MAX ? partitions : 1;
}

bool contract_read_partitions(const char *text, int64_t *out)
{
    sb bytes = SB_INIT;
    abi_tuple t;
    const char *metadata;
    size_t len;
    bool ok = tuple_read(text, &bytes, &t) && abi_get_text(t, 0, &metadata, &len);

    if (ok)
        *out = partitions_of(metadata, len);
    sb_done(&bytes);
    return ok;
}

bool contract_read_bool(const char *text, int64_t *out)
{
    sb bytes = SB_INIT;
    abi_tuple t;
    bool value;
    bool ok = tuple_read(text, &bytes, &t) && abi_get_bool(t, 0, &value);

    sb_done(&bytes);
    if (ok)
        *out = value;
    return ok;
}

bool contract_read_is_magic(const char *text)
{
    static const uint8_t magic[4] = {0x16, 0x26, 0xba, 0x7e};
    sb bytes = SB_INIT;
    abi_tuple t;
    uint8_t word[32];
    bool ok = tuple_read(text, &bytes, &t) && abi_get_bytes32(t, 0, word) &&
              memcmp(word, magic, sizeof magic) == 0;

    sb_done(&bytes);
    return ok;
}
