/* Request targets of WebSocket clients: any bytes are read or refused with a sentence. */
#include "target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sb key = SB_INIT, why = SB_INIT;
    target t;
    bool ok = target_read((broker_str){(const char *)data, size}, &t, &key, &why);

    must(ok == (why.len == 0));
    if (ok) {
        must(streamr_stream_id_check(t.stream.data, t.stream.len) == NULL);
        must(t.n_partitions <= STREAMR_PARTITIONS && (t.publish || t.n_partitions != 0));
        must(target_least_partitions(&t) <= STREAMR_PARTITIONS);
        target_done(&t);
    }
    sb_done(&key);
    sb_done(&why);
    return 0;
}
