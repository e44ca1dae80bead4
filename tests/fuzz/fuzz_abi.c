/* Results of contracts: any bytes are read as every type at every place, within their bounds. */
#include "eth/abi.h"

static void read_all(abi_tuple t, unsigned depth)
{
    for (size_t i = 0; i < 8; i++) {
        bool flag;
        uint64_t u;
        int64_t s;
        uint8_t address[20], word[32];
        const uint8_t *bytes;
        const char *text;
        size_t len;
        abi_tuple inner;

        abi_get_bool(t, i, &flag);
        if (abi_get_u64(t, i, &u) && abi_get_i64(t, i, &s))
            must(s >= 0);
        abi_get_address(t, i, address);
        abi_get_bytes32(t, i, word);
        if (abi_get_bytes(t, i, &bytes, &len)) {
            must(bytes >= t.bytes && len <= t.len && bytes + len <= t.bytes + t.len);
            crc32c(0, bytes, len); /* touches all of them */
        }
        if (abi_get_text(t, i, &text, &len))
            must(utf8_ok(text, len));
        if (depth > 0 && abi_get_tuple(t, i, &inner))
            read_all(inner, depth - 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    abi_value args[] = {abi_bytes(data, size), abi_number(size)};
    sb out = SB_INIT;
    const uint8_t *bytes;
    size_t len;

    read_all((abi_tuple){data, size}, 2);
    /* What is written is read again. */
    abi_put(&out, args, 2);
    must(abi_get_bytes((abi_tuple){(uint8_t *)out.data, out.len}, 0, &bytes, &len));
    must(len == size && (size == 0 || memcmp(bytes, data, size) == 0));
    sb_done(&out);
    return 0;
}
