/* Any text: the JSON checker and the v32 reader never run over; what the reader takes is
 * valid JSON, and survives being written and read again. */
#include "streamr/streamr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sb store = SB_INIT, other = SB_INIT, first = SB_INIT, second = SB_INIT;
    bool valid = streamr_json_valid(data, size);
    broker_msg m, again;
    const char *why;

    if (streamr_json_decode((const char *)data, size, &store, &m) == NULL) {
        must(valid);
        must(streamr_json_encode(&m, &first));
        must(streamr_json_valid(first.data, first.len));
        why = streamr_json_decode(first.data, first.len, &other, &again);
        must(why == NULL);
        must(streamr_same_identity(&m, &again) && streamr_same_payload(&m, &again));
        must(streamr_json_encode(&again, &second));
        must(first.len == second.len && memcmp(first.data, second.data, first.len) == 0);
    }
    sb_done(&store);
    sb_done(&other);
    sb_done(&first);
    sb_done(&second);
    return 0;
}
